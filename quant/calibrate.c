// The calibration table: what was seen of each tensor, as a threshold. See observe.c for how it is seen, equalize.c for the
// factors of channels.
#include "quant/calibrate.h"

#include <string.h>

#include "quant/equalize.h"

static void add_entry(Arena *arena, CalibrationTable *table, const Value *value, double threshold, double min,
                      double max) {
    // In f32, as the table is written: reading it back gives the same numbers.
    table->entries[table->count++] = (CalibrationEntry){
        .name = arena_strdup(arena, value->name), .threshold = (float)threshold, .min = min, .max = max};
}

// What holds the operand's elements and no others may be no buffer of its own.
static const CalibrationEntry *moved_entry(const CalibrationTable *table, const Value *value) {
    const Op *op = value->def;
    bool moves = op && (op->kind == OP_reshape || op->kind == OP_transpose || op->kind == OP_broadcast_to);
    return moves ? calibration_find(table, op_operand(op, 0)) : NULL;
}

static const struct { const char *name; double (*threshold)(const Observer *); } methods[METHOD_COUNT] = {
    [METHOD_MINMAX] = {"minmax", threshold_minmax}, [METHOD_KL] = {"kl", threshold_kl}, [METHOD_MSE] = {"mse", threshold_mse},
    [METHOD_PERCENTILE] = {"percentile", threshold_percentile}, [METHOD_OCTAV] = {"octav", threshold_octav},
    [METHOD_ACIQ] = {"aciq", threshold_aciq}};

const char *calibration_method_name(CalibrationMethod method) { return methods[method].name; }

static void fill_entry(Arena *arena, const Observations *all, CalibrationMethod method, const Value *value,
                       CalibrationTable *table) {
    if (!value->name || value_constant(value) || value->type->elem != ELEM_F32)
        return;
    const Observer *seen = observations_find(all, value);
    const CalibrationEntry *moved = seen ? NULL : moved_entry(table, value);
    if (seen)
        add_entry(arena, table, value, methods[method].threshold(seen), seen->min, seen->max);
    else if (moved)
        add_entry(arena, table, value, moved->threshold, moved->min, moved->max);
    else if (!type_elem_count(value->type)) // nothing to see, and any range will do
        add_entry(arena, table, value, 0, 0, 0);
}

// In the order of the network.
static void fill_table(Arena *arena, const Observations *all, CalibrationMethod method, const Func *main,
                       CalibrationTable *table) {
    int room = main->arg_count;
    FOR_EACH_OP(main, op) room += op->result_count;
    table->entries = ARENA_ARRAY(arena, CalibrationEntry, room + 1);
    for (int i = 0; i < main->arg_count; i++)
        fill_entry(arena, all, method, &main->args[i], table);
    FOR_EACH_OP(main, op)
    for (int i = 0; i < op->result_count; i++)
        fill_entry(arena, all, method, &op->results[i], table);
}

static bool fill_tables(Arena *arena, const Module *network, const PassContext *context, const SampleSource *source,
                        int count, const CalibrationMethod *wanted, int threads, CalibrationTable *tables) {
    Observations seen;
    bool ranges_only = count == 1 && wanted[0] == METHOD_MINMAX;
    if (!observe(arena, network, context, source, ranges_only ? OBSERVE_RANGES : OBSERVE_BINS, threads, &seen))
        return false;
    for (int m = 0; m < count; m++) {
        tables[m].method = methods[wanted[m]].name;
        tables[m].data = source->description;
        fill_table(arena, &seen, wanted[m], module_main(network), &tables[m]);
    }
    observations_close(&seen);
    return true;
}

bool calibrate_ranges(Arena *arena, const Module *network, const PassContext *context, const SampleSource *source,
                      CalibrationMethod method, int threads, CalibrationTable *table) {
    return fill_tables(arena, network, context, source, 1, &method, threads, table);
}

bool calibrate_methods(Arena *arena, const Module *imported, const PassContext *context, const SampleSource *source,
                       Equalization equalization, int count, const CalibrationMethod *wanted, int threads, CalibrationTable *tables) {
    CalibrationTable factors = {0};
    const CalibrateOptions options = {wanted[0], equalization};
    if (!find_factors(arena, imported, context, source, &options, threads, &factors))
        return false;
    for (int m = 0; m < count; m++)
        tables[m] = factors;
    const Module *network = equalized(arena, imported, context, &factors);
    return network && fill_tables(arena, network, context, source, count, wanted, threads, tables);
}

bool calibrate(Arena *arena, const Module *imported, const PassContext *context, const SampleSource *source,
               const CalibrateOptions *options, int threads, CalibrationTable *table) {
    return calibrate_methods(arena, imported, context, source, options->equalization, 1, &options->method, threads, table);
}

const char *table_word(Arena *arena, const char *name) {
    if (*name && *name != '#' && !strpbrk(name, " \t\r\n\"") && strcmp(name, "equalize:") != 0)
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
        fprintf(out, "%s %s %s %s\n", table_word(arena, entry->name), float_text(arena, (float)entry->threshold),
                float_text(arena, (float)entry->min), float_text(arena, (float)entry->max));
    }
    for (int i = 0; i < table->equalized_count; i++) {
        const ChannelFactors *entry = &table->equalized[i];
        fprintf(out, "equalize: %s", table_word(arena, entry->name));
        for (int c = 0; c < entry->count; c++)
            fprintf(out, " %s", float_text(arena, entry->factors[c]));
        fputc('\n', out);
    }
}
