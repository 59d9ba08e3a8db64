#include "tools/tables.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/eval.h"
#include "ir/map.h"
#include "passes/rewrite.h"

// ---- TPU-MLIR's names

// Of `122_Conv` the tensor 122, where the model has it and not the whole.
static const char *own_name(Func *main, const char *name) {
    if (func_find_value(main, name)) return name;
    const char *last = strrchr(name, '_');
    if (!last || last == name) return name;
    Value *value = func_find_value(main, arena_printf(main->module->arena, "%.*s", (int)(last - name), name));
    return value ? value->name : name;
}

void resolve_qtable(const Module *imported, Qtable *table) {
    for (int i = 0; table->format == TABLE_TPU_MLIR && i < table->count; i++)
        table->entries[i].name = own_name(module_main(imported), table->entries[i].name);
}

// ---- ncnn's layers

static bool is_layer(const Op *op) { return op->kind == OP_conv2d || op->kind == OP_linear; }

static bool is_mover(const Value *value) {
    const Op *op = value->def;
    return op && (op->kind == OP_reshape || op->kind == OP_transpose) && !value_constant(value);
}

// The convolution or linear layer of that name: of a node, or of the tensor that it gives.
static Op *find_layer(Func *main, const Map *nodes, const char *name) {
    const char *output = nodes ? map_find(nodes, name) : NULL;
    Value *value = func_find_value(main, output ? output : name);
    while (value && is_mover(value)) value = op_operand(value->def, 0);
    return value && value->def && is_layer(value->def) ? value->def : NULL;
}

static bool is_never_negative(const Value *value) {
    const Op *op = value->def;
    if (!op) return false;
    if (op->kind == OP_relu) return true;
    return is_layer(op) && !strncmp(activation_of(op), "relu", 4);
}

static CalibrationEntry *entry_for(CalibrationTable *table, const char *name) {
    for (int i = 0; i < table->count; i++)
        if (!strcmp(table->entries[i].name, name)) return &table->entries[i];
    return table->entries[table->count] = (CalibrationEntry){.name = name}, &table->entries[table->count++];
}

// What a layer reads, and the tensors that it is the elements of.
static void take_scale(CalibrationTable *table, const Value *read, const LayerScale *layer) {
    const double threshold = (float)(127 / layer->scale);
    for (const Value *value = read; value && value->name && !value_constant(value); value = is_mover(value) ? op_operand(value->def, 0) : NULL) {
        CalibrationEntry *entry = entry_for(table, value->name);
        entry->loc = layer->loc;
        entry->threshold = entry->max = fmax(entry->threshold, threshold);
        entry->min = is_never_negative(value) ? 0 : -entry->threshold;
    }
}

static bool is_missing(const CalibrationTable *table, const Value *value) {
    return value->type->elem == ELEM_F32 && !value_constant(value) && type_elem_count(value->type) && !calibration_find(table, value);
}

// Operators that read or give what has no entry are float ones.
static void leave_float(Arena *arena, Diag *diag, const Func *main, const CalibrationTable *table, Qtable *qtable) {
    int room = qtable->count, missing = 0;
    FOR_EACH_OP(main, op) room++;
    qtable->entries = memcpy(ARENA_ARRAY(arena, QtableEntry, room + 1), qtable->entries ? qtable->entries : (QtableEntry *)"", sizeof *qtable->entries * (size_t)qtable->count);
    FOR_EACH_OP(main, op) {
        if (!op_has(op, INT8) || op->result_count != 1 || !op->results[0].name || value_constant(&op->results[0])) continue;
        bool lacks = is_missing(table, &op->results[0]);
        for (int i = 0; i < op->operand_count && !lacks; i++) lacks = op_operand(op, i) && is_missing(table, op_operand(op, i));
        if (!lacks || qtable_find(qtable, &op->results[0])) continue;
        qtable->entries[qtable->count++] = (QtableEntry){op->results[0].name, ELEM_F32, table->layers[0].loc};
        missing++;
    }
    if (missing)
        diag_warning(diag, loc_file(table->layers[0].loc.file), "ncnn's table has no scales for what %d operators read or give; they stay f32. "
                     "`qanat calibrate MODEL --data DATA --calibration TABLE` measures what is missing", missing);
}

static bool resolve_layers(Arena *arena, Diag *diag, const Module *imported, const Map *nodes, CalibrationTable *table) {
    Func *main = module_main(imported);
    bool good = true;
    int room = main->arg_count, count = 0;
    FOR_EACH_OP(main, op) room++;
    const char **names = ARENA_ARRAY(arena, const char *, room);
    FOR_EACH_OP(main, op)
    if (is_layer(op) && op->results[0].name) names[count++] = op->results[0].name;
    table->entries = ARENA_ARRAY(arena, CalibrationEntry, room + 1);
    for (int i = 0; i < table->layer_count; i++) {
        const LayerScale *layer = &table->layers[i];
        const Op *op = find_layer(main, nodes, layer->layer);
        const char *near = op ? NULL : nearest_name(layer->layer, count, names);
        if (op) take_scale(table, op_operand(op, 0), layer);
        else good = near ? diag_error(diag, layer->loc, "no convolution or linear layer '%s' in the model; did you mean '%s'", layer->layer, near)
                         : diag_error(diag, layer->loc, "no convolution or linear layer '%s' in the model", layer->layer);
    }
    return good;
}

// One for each channel of a layer that the model has; of layers that ncnn has joined with others nothing is known.
static bool check_weights(Diag *diag, const Module *imported, const Map *nodes, const CalibrationTable *table) {
    bool good = true;
    for (int i = 0; i < table->weights_count; i++) {
        const LayerWeights *own = &table->weights[i];
        const Op *op = find_layer(module_main(imported), nodes, own->layer);
        const int64_t channels = op ? op_operand(op, 1)->type->shape[0] : own->count;
        if (own->count != channels)
            good = diag_error(diag, own->loc, "found %d scales of weights, expected one for each of %lld channels", own->count, (long long)channels);
    }
    return good;
}

bool resolve_calibration(Arena *arena, Diag *diag, const Module *imported, const Map *nodes, CalibrationTable *table, Qtable *qtable) {
    for (int i = 0; table->format == TABLE_TPU_MLIR && i < table->count; i++)
        table->entries[i].name = own_name(module_main(imported), table->entries[i].name);
    if (table->format != TABLE_NCNN || !table->layer_count) return true;
    if (!check_weights(diag, imported, nodes, table)) return false;
    if (!resolve_layers(arena, diag, imported, nodes, table)) return false;
    if (qtable) leave_float(arena, diag, module_main(imported), table, qtable);
    return true;
}

// ---- writing

static TableFormat format_of(const Options *options, TableFormat own) {
    const char *text = options->table_format;
    if (!text) return own;
    return !strcmp(text, "ncnn") ? TABLE_NCNN : !strcmp(text, "tpu-mlir") ? TABLE_TPU_MLIR : TABLE_QANAT;
}

// Without an exponent, which not every reader knows: at least so many digits behind the point, and as many as give the f32 back.
static const char *decimal_text(Arena *arena, double value, int digits) {
    enum { MOST_DIGITS = 150, ROOM = 256 }; // the least f32 is 1.4e-45; the largest has 39 digits before the point
    char text[ROOM];
    for (; digits < MOST_DIGITS; digits++) {
        snprintf(text, sizeof text, "%.*f", digits, value);
        if (strtof(text, NULL) == (float)value) break;
    }
    return arena_strdup(arena, text);
}

static void write_tpu_mlir(const Model *model, const CalibrationTable *table, FILE *out) {
    if (table->format != TABLE_TPU_MLIR) {
        fprintf(out, "# calibration table in the form of TPU-MLIR\n");
        if (table->method) fprintf(out, "# quantization threshold calculation method: %s\n", table->method);
        fprintf(out, "###\n# op_name    threshold    min    max\n");
    }
    for (int i = 0; i < table->count; i++) {
        const CalibrationEntry *entry = &table->entries[i];
        table_write_comments(out, table->comments, table->comment_count, LINES_OF_RANGES, i, false);
        fprintf(out, "%s %s %s %s", table_word(model->arena, entry->name), decimal_text(model->arena, entry->threshold, 7),
                decimal_text(model->arena, entry->min, 7), decimal_text(model->arena, entry->max, 7));
        table_write_comments(out, table->comments, table->comment_count, LINES_OF_RANGES, i, true);
    }
    table_write_comments(out, table->comments, table->comment_count, LINES_OF_RANGES, table->count, false);
    if (table->sections) fprintf(out, "\n%s%s", table->sections, table->sections[strlen(table->sections) - 1] == '\n' ? "" : "\n");
}

// What ncnn calls a layer: the node's name, if it has one.
static const char *layer_name(const Map *names, const Value *result) {
    for (int i = 0; i < result->alias_count; i++)
        if (map_find(names, result->aliases[i])) return map_find(names, result->aliases[i]);
    const char *node = map_find(names, result->name);
    return node ? node : result->alias_count ? result->aliases[0] : result->name;
}

static const LayerWeights *find_weights(const CalibrationTable *table, const char *name, const Value *result) {
    for (int i = 0; i < table->weights_count; i++)
        if (!strcmp(table->weights[i].layer, name) || value_is_called(result, table->weights[i].layer)) return &table->weights[i];
    return NULL;
}

static void write_kept_scales(FILE *out, const char *name, const LayerWeights *kept) {
    fprintf(out, "%s_param_0 ", name);
    for (int c = 0; c < kept->count; c++) fprintf(out, "%s ", kept->scales[c]);
    fputc('\n', out);
}

static void write_weight_scales(FILE *out, Arena *arena, const char *name, const Value *weight) {
    const float *w = constant_f32(arena, weight);
    int64_t channels = weight->type->shape[0], each = channels ? type_elem_count(weight->type) / channels : 0;
    fprintf(out, "%s_param_0 ", name);
    for (int64_t c = 0; c < channels; c++) {
        float largest = 0;
        for (int64_t i = 0; i < each; i++) largest = fmaxf(largest, fabsf(w[c * each + i]));
        fprintf(out, "%s ", decimal_text(arena, largest > 0 ? 127 / (double)largest : 1.0, 6));
    }
    fputc('\n', out);
}

static bool write_ncnn(Model *model, const CalibrationTable *table, FILE *out) {
    const Func *main = module_main(model->imported);
    const Map *names = model->import.output_nodes;
    for (int inputs = 0; inputs < 2; inputs++)
        FOR_EACH_OP(main, op) {
            if (!is_layer(op) || !constant_f32(model->arena, op_operand(op, 1))) continue;
            const char *name = layer_name(names, &op->results[0]);
            const CalibrationEntry *entry = inputs ? calibration_find(table, op_operand(op, 0)) : NULL;
            if (strpbrk(name, " \t")) return diag_error(model->diag, loc_file(model->path), "the layer name '%s' has a blank, which ncnn's table can't hold", name);
            const LayerWeights *kept = inputs ? NULL : find_weights(table, name, &op->results[0]);
            if (kept) write_kept_scales(out, name, kept);
            else if (!inputs) write_weight_scales(out, model->arena, name, op_operand(op, 1));
            else if (entry && entry->threshold > 0) fprintf(out, "%s %s \n", name, decimal_text(model->arena, fmin(127 / entry->threshold, FLT_MAX), 6)); // below, all round to 0
        }
    return true;
}

bool write_calibration(Model *model, const CalibrationTable *table, FILE *out) {
    const TableFormat format = format_of(model->options, table->format);
    if (format == TABLE_QANAT) return calibration_write(out, model->arena, table), true;
    if (table->equalized_count || table->corrected_count)
        return diag_error(model->diag, loc_file(model->path), "the table has %s, which %s's form can't say; calibrate with %s",
                          table->equalized_count ? "factors of channels" : "corrections of biases", format == TABLE_NCNN ? "ncnn" : "TPU-MLIR",
                          table->equalized_count ? "--equalize none --bias-correction off" : "--bias-correction off");
    if (format == TABLE_NCNN) return write_ncnn(model, table, out);
    write_tpu_mlir(model, table, out);
    return true;
}

void write_qtable(const Model *model, const Qtable *table, FILE *out) {
    const bool tpu_mlir = format_of(model->options, table->format) == TABLE_TPU_MLIR;
    fprintf(out, tpu_mlir ? "###\n# op_name   quantize_mode\n" : "# qanat quantization table\n# name type\n");
    for (int i = 0; i < table->count; i++) {
        table_write_comments(out, table->comments, table->comment_count, LINES_OF_RANGES, i, false);
        const bool real = table->entries[i].type == ELEM_F32;
        const char *type = !tpu_mlir ? elem_name(table->entries[i].type) : real ? "F32" : "INT8";
        fprintf(out, "%s %s", table_word(model->arena, table->entries[i].name), type);
        table_write_comments(out, table->comments, table->comment_count, LINES_OF_RANGES, i, true);
    }
    table_write_comments(out, table->comments, table->comment_count, LINES_OF_RANGES, table->count, false);
}
