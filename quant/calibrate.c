// The calibration table: what was seen of each tensor, as a threshold. See observe.c for how it is seen, equalize.c for the
// factors of channels.
#include "quant/calibrate.h"

#include <string.h>

#include "quant/bias.h"
#include "quant/choose.h"
#include "quant/equalize.h"
#include "passes/weights.h"

// ---- what is in a table, in the order of the network

// What holds the operand's elements and no others may be no buffer of its own.
static int moved_index(const Histograms *list, const Value *const *values, const Value *value) {
    const Op *op = value->def;
    bool moves = op && (op->kind == OP_reshape || op->kind == OP_transpose || op->kind == OP_broadcast_to);
    for (int i = 0; moves && i < list->count; i++)
        if (values[i] == op_operand(op, 0))
            return i;
    return -1;
}

static void list_value(Histograms *list, const Value **values, const Observations *all, const Value *value) {
    if (!value->name || value_constant(value) || value->type->elem != ELEM_F32)
        return;
    const Observer *seen = observations_find(all, value);
    const int moved = seen ? -1 : moved_index(list, values, value);
    if (!seen && moved < 0 && type_elem_count(value->type)) // of no elements there is nothing to see, and any range will do
        return;
    values[list->count] = value;
    list->entries[list->count++] = (HistogramEntry){.name = value->name, .seen = seen, .moved = moved};
}

static void list_values(Arena *arena, const Observations *all, const Func *main, Histograms *list) {
    int room = main->arg_count;
    FOR_EACH_OP(main, op) room += op->result_count;
    const Value **values = ARENA_ARRAY(arena, const Value *, room + 1);
    list->entries = ARENA_ARRAY(arena, HistogramEntry, room + 1);
    for (int i = 0; i < main->arg_count; i++)
        list_value(list, values, all, &main->args[i]);
    FOR_EACH_OP(main, op)
    for (int i = 0; i < op->result_count; i++)
        list_value(list, values, all, &op->results[i]);
}

// Of these, what `auto` chooses from; of equal ones the first.
static const CalibrationMethod choices[] = {METHOD_MSE, METHOD_MINMAX, METHOD_KL, METHOD_PERCENTILE, METHOD_OCTAV, METHOD_ACIQ};
enum { CHOICE_COUNT = sizeof choices / sizeof *choices };

static bool choose_entries(Arena *arena, const Module *network, const PassContext *context, const SampleSource *source,
                           const CalibrateOptions *options, const Histograms *list, int threads, CalibrationTable *table) {
    CalibrationTable tables[CHOICE_COUNT] = {0}, chosen;
    if (!histograms_tables(arena, context->diag, network->file, list, &options->thresholds, CHOICE_COUNT, choices, threads, tables) ||
        !choose_thresholds(arena, network, context, source, CHOICE_COUNT, tables, threads, &chosen))
        return false;
    table->entries = chosen.entries;
    return true;
}

static Histograms histograms_of(Arena *arena, const Module *network, const Observations *seen) {
    Histograms list = {.model_hash = "", .data = ""};
    list_values(arena, seen, module_main(network), &list);
    return list;
}

bool calibrate_seen(Arena *arena, Diag *diag, const Module *network, const Observations *seen, CalibrationMethod method, const MethodOptions *options,
                    int threads, CalibrationTable *table) {
    const Histograms list = histograms_of(arena, network, seen);
    return histograms_tables(arena, diag, network->file, &list, options, 1, &method, threads, table);
}

// What the pass over the samples is for.
typedef struct {
    const Module *network;
    const PassContext *context;
    const SampleSource *source;
    const CalibrateOptions *options;
    int threads, count;
    const CalibrationMethod *wanted;
} Calibrating;

static bool fill_tables(Arena *arena, const Calibrating *work, const Observations *seen, CalibrationTable *tables) {
    const CalibrateOptions *options = work->options;
    Histograms list = histograms_of(arena, work->network, seen);
    list.data = work->source->description, list.equalized_count = tables[0].equalized_count, list.equalized = tables[0].equalized;
    bool done = histograms_tables(arena, work->context->diag, work->network->file, &list, &options->thresholds, work->count, work->wanted, work->threads, tables);
    for (int m = 0; done && m < work->count; m++)
        if (work->wanted[m] == METHOD_AUTO)
            done = choose_entries(arena, work->network, work->context, work->source, options, &list, work->threads, &tables[m]);
    if (done && options->keep)
        options->keep(options->keeper, &list);
    return done;
}

// Corrections of biases are those of the first table; NULL: none.
static bool run_watched(Arena *arena, const Calibrating *work, const Watch *watch, Corrections *corrections, CalibrationTable *tables) {
    Observations seen;
    ObserveKind needs = work->options->keep ? OBSERVE_BINS : OBSERVE_RANGES;
    const ObserveMore more = corrections ? corrections_more(corrections) : (ObserveMore){0};
    for (int m = 0; m < work->count; m++)
        needs |= calibration_method_needs(work->wanted[m]);
    if (!watch_run(arena, work->context->diag, watch, work->source, needs, &more, work->threads, &seen))
        return false;
    const bool done = fill_tables(arena, work, &seen, tables);
    observations_close(&seen);
    if (done && corrections)
        corrections_find(arena, corrections, &tables[0]);
    for (int m = 1; done && corrections && m < work->count; m++)
        tables[m].corrected = tables[0].corrected, tables[m].corrected_count = tables[0].corrected_count;
    return done;
}

static bool run_network(Arena *arena, const Calibrating *work, bool corrects, CalibrationTable *tables) {
    const int threads = work->threads < work->source->count ? work->threads : work->source->count;
    Watch *watch = watch_new(arena, work->network, work->context, threads);
    if (!watch)
        return false;
    Corrections *corrections = corrects ? corrections_new(work->network, work->context, work->source, work->options, watch, threads) : NULL;
    const bool done = run_watched(arena, work, watch, corrections, tables);
    corrections_free(corrections);
    watch_free(watch);
    return done;
}

bool calibrate_ranges(Arena *arena, const Module *network, const PassContext *context, const SampleSource *source,
                      const CalibrateOptions *options, int threads, CalibrationTable *table) {
    return run_network(arena, &(Calibrating){network, context, source, options, threads, 1, &options->method}, false, table);
}

// A comment stays with its line.
static void keep_comments(Arena *arena, const CalibrationTable *given, CalibrationTable *table) {
    table->comments = ARENA_ARRAY(arena, TableComment, given->comment_count + 1);
    table->comment_count = given->comment_count;
    for (int i = 0; i < given->comment_count; i++) {
        TableComment *own = &table->comments[i];
        *own = given->comments[i];
        if (own->part != LINES_OF_RANGES)
            continue;
        const char *name = own->index < given->count ? given->entries[own->index].name : NULL;
        for (own->index = 0; own->index < table->count && (!name || strcmp(table->entries[own->index].name, name) != 0);)
            own->index++;
    }
}

bool calibrate_missing(Arena *arena, const Module *imported, const PassContext *context, const SampleSource *source,
                       const CalibrateOptions *options, int threads, const CalibrationTable *old, CalibrationTable *table) {
    const CalibrationTable copy = *old, *given = &copy; // `table` may be the old one
    const Module *network = equalized(arena, imported, context, given);
    *table = copy;
    if (!network || !calibrate_ranges(arena, network, context, source, options, threads, table))
        return false;
    for (int i = 0; i < table->count; i++) {
        const Value *value = func_find_value(module_main(imported), table->entries[i].name);
        const CalibrationEntry *own = value ? calibration_find(given, value) : NULL;
        if (!own)
            continue;
        const char *name = table->entries[i].name;
        table->entries[i] = *own;
        table->entries[i].name = name;
    }
    keep_comments(arena, given, table);
    return true;
}

bool calibrate_methods(Arena *arena, const Module *imported, const PassContext *context, const SampleSource *source,
                       const CalibrateOptions *options, int count, const CalibrationMethod *wanted, int threads, CalibrationTable *tables) {
    CalibrationTable factors = {0};
    CalibrateOptions first = *options;
    PassContext own = *context;
    first.method = wanted[0];
    own.weights = weight_cache_new();
    const Module *network = find_factors(arena, imported, &own, source, &first, threads, &factors);
    for (int m = 0; m < count; m++)
        tables[m] = factors;
    const bool done = network && run_network(arena, &(Calibrating){network, &own, source, options, threads, count, wanted}, true, tables);
    weight_cache_free(own.weights);
    return done;
}

bool calibrate(Arena *arena, const Module *imported, const PassContext *context, const SampleSource *source,
               const CalibrateOptions *options, int threads, CalibrationTable *table) {
    return calibrate_methods(arena, imported, context, source, options, 1, &options->method, threads, table);
}

const char *table_word(Arena *arena, const char *name) {
    if (*name && *name != '#' && !strpbrk(name, " \t\r\n\"") && strcmp(name, "equalize:") != 0 && strcmp(name, "bias:") != 0)
        return name;
    char *word = ARENA_ARRAY(arena, char, 2 * (int64_t)strlen(name) + 3), *to = word;
    *to++ = '"';
    for (const char *from = name; *from; from++) {
        if (*from == '"' || *from == '\\' || *from == '\n')
            *to++ = '\\';
        *to++ = *from == '\n' ? 'n' : *from;
    }
    *to = '"';
    return word;
}

void table_write_comments(FILE *out, const TableComment *comments, int count, TablePart part, int index, bool trailing) {
    for (int i = 0; i < count; i++) {
        const TableComment *comment = &comments[i];
        if (comment->index != index || comment->part != part || comment->trails != trailing)
            continue;
        fprintf(out, trailing ? " #%s" : "#%s\n", comment->text);
    }
    if (trailing)
        fputc('\n', out);
}

static void write_channels(FILE *out, Arena *arena, const char *kind, const char *name, int count, const float *numbers) {
    char text[FLOAT_TEXT];
    fprintf(out, "%s %s", kind, table_word(arena, name));
    for (int c = 0; c < count; c++) {
        putc(' ', out);
        fwrite(text, 1, float_write(text, numbers[c]), out);
    }
}

void calibration_write(FILE *out, Arena *arena, const CalibrationTable *table) {
    fprintf(out, "# qanat calibration table\n");
    if (table->method)
        fprintf(out, "# method: %s\n", table->method);
    if (table->data)
        fprintf(out, "# data: %s\n", table->data);
    if (table->model_hash)
        fprintf(out, "# model: %s\n", table->model_hash);
    fprintf(out, "# name threshold min max\n");
    for (int i = 0; i < table->count; i++) {
        const CalibrationEntry *entry = &table->entries[i];
        table_write_comments(out, table->comments, table->comment_count, LINES_OF_RANGES, i, false);
        fprintf(out, "%s %s %s %s", table_word(arena, entry->name), float_text(arena, (float)entry->threshold),
                float_text(arena, (float)entry->min), float_text(arena, (float)entry->max));
        table_write_comments(out, table->comments, table->comment_count, LINES_OF_RANGES, i, true);
    }
    table_write_comments(out, table->comments, table->comment_count, LINES_OF_RANGES, table->count, false);
    for (int i = 0; i < table->equalized_count; i++) {
        table_write_comments(out, table->comments, table->comment_count, LINES_OF_FACTORS, i, false);
        write_channels(out, arena, "equalize:", table->equalized[i].name, table->equalized[i].count, table->equalized[i].factors);
        table_write_comments(out, table->comments, table->comment_count, LINES_OF_FACTORS, i, true);
    }
    table_write_comments(out, table->comments, table->comment_count, LINES_OF_FACTORS, table->equalized_count, false);
    for (int i = 0; i < table->corrected_count; i++) {
        table_write_comments(out, table->comments, table->comment_count, LINES_OF_BIASES, i, false);
        write_channels(out, arena, "bias:", table->corrected[i].name, table->corrected[i].count, table->corrected[i].shifts);
        table_write_comments(out, table->comments, table->comment_count, LINES_OF_BIASES, i, true);
    }
    table_write_comments(out, table->comments, table->comment_count, LINES_OF_BIASES, table->corrected_count, false);
}
