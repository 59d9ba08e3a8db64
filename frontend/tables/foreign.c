// Tables of other compilers, told by what is in them. TPU-MLIR's calibration table has our columns, a header of its own, and
// may end in sections for other precisions; its quantization table has its own words for types. ncnn's has lines
// `layer_param_0 scale scale ...` for the weights of each output channel, then `layer scale` for the layer's input, where
// scale = 127 / threshold.
#include <float.h>
#include <string.h>
#include <strings.h>

#include "frontend/tables/tables.h"

bool is_tpu_mlir_comment(const char *text) {
    static const char *const beginnings[] = {" genetated time", " mlir version:", " op_name ", "tpu-mlir", "int4_th", "asym_op"};
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
        if (!strncmp(text, beginnings[i], strlen(beginnings[i]))) return true;
    return false;
}

bool is_tpu_mlir_qtable_header(const char *text) { return !strcmp(text, "##") || !strncmp(text, " op_name ", 9); }

bool is_tpu_mlir_section(const char *text) { return !strncmp(text, "int4_th", 7) || !strncmp(text, "asym_op", 7); }

bool tpu_mlir_precision(const char *text, Elem *type) {
    static const struct { const char *name; Elem type; } modes[] = {{"F32", ELEM_F32}, {"F16", ELEM_F32}, {"BF16", ELEM_F32}, {"INT8", ELEM_I8}};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (!strcmp(text, modes[i].name)) return *type = modes[i].type, true;
    return false;
}

bool is_ncnn_weight_line(const TableWord *words) {
    static const char ending[] = "_param_0";
    size_t length = strlen(words->text);
    return !words->quoted && length > strlen(ending) && !strcmp(words->text + length - strlen(ending), ending);
}

enum { WEIGHT_ENDING = 8 }; // "_param_0"
static bool is_weight_name(const char *text) {
    size_t length = strlen(text);
    return length > WEIGHT_ENDING && !strncmp(text + length - WEIGHT_ENDING, "_param_", WEIGHT_ENDING - 1) && strchr("0123", text[length - 1]);
}

// Kept as they are; what our weights are quantized with is found from these.
static void keep_weights(TableState *state, const TableWord *words, CalibrationTable *table) {
    const size_t length = strlen(words->text) - WEIGHT_ENDING;
    if (strcmp(words->text + length, "_param_0") != 0) return;
    LayerWeights entry = {.layer = arena_printf(state->arena, "%.*s", (int)length, words->text), .loc = table_loc(state, words->place)};
    for (const TableWord *word = words->next; word; word = word->next) {
        entry.scales = table_grown(state, entry.scales, entry.count, sizeof *entry.scales);
        entry.scales[entry.count++] = arena_strdup(state->arena, word->text);
    }
    table->weights = table_grown(state, table->weights, table->weights_count, sizeof entry);
    table->weights[table->weights_count++] = entry;
}

void ncnn_line(TableState *state, const TableWord *words, CalibrationTable *table) {
    LayerScale entry = {words->text, 0, table_loc(state, words->place)};
    if (!words->next) {
        table_fault(state, words->place, "expected `layer scale` or `layer_param_0 scale ...`");
        return;
    }
    for (const TableWord *word = words->next; word; word = word->next) {
        if (is_weight_name(words->text) && !strcasecmp(word->text, "inf")) continue; // of a channel of zeros
        if (!table_number(state, word, &entry.scale)) return;
        if (!(entry.scale > 0)) {
            table_fault(state, word->place, "a scale is positive: 127 / threshold");
            return;
        }
    }
    if (is_weight_name(words->text)) {
        keep_weights(state, words, table);
        return;
    }
    if (words->next->next) {
        table_fault(state, words->next->next->place, "a layer's input has one scale");
        return;
    }
    if (127 / entry.scale > FLT_MAX) {
        table_fault(state, words->next->place, "the scale is too small: 127 / scale is the threshold");
        return;
    }
    table->layers = table_grown(state, table->layers, table->layer_count, sizeof entry);
    table->layers[table->layer_count++] = entry;
}
