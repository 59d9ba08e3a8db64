// Histograms join exactly: the table is that of one run over all samples. Of tables alone, ranges do; other thresholds don't.
#include "tools/merge.h"

#include <math.h>
#include <string.h>

static const char *input_at(const Model *model, int index) { return model->options->positional[index]; }

static Histograms *read_histograms(Model *model, int index) {
    size_t bytes;
    const char *data = read_file(model->arena, model->diag, input_at(model, index), &bytes);
    return data ? histograms_read(model->arena, model->diag, input_at(model, index), data, bytes) : NULL;
}

static bool join_histograms(Model *model, int count, const CalibrationMethod *methods, CalibrationTable *tables, Histograms **joined) {
    *joined = read_histograms(model, 0);
    bool good = *joined;
    for (int i = 1; good && i < model->options->positional_count; i++) {
        Histograms *next = read_histograms(model, i);
        good = next && histograms_join(model->arena, model->diag, input_at(model, i), *joined, next);
    }
    for (int m = 0; good && m < count; m++) {
        tables[m] = (CalibrationTable){.equalized_count = (*joined)->equalized_count, .equalized = (ChannelFactors *)(uintptr_t)(*joined)->equalized};
        tables[m].model_hash = *(*joined)->model_hash ? (*joined)->model_hash : NULL;
    }
    return good && histograms_tables(model->arena, model->diag, input_at(model, 0), *joined, &model->calibrate.thresholds, count, methods,
                                     model->threads, tables);
}

static bool is_mergeable(const Model *model, const char *path, const CalibrationTable *table) {
    if (table->format == TABLE_QANAT && table->method && !strcmp(table->method, "minmax")) return true;
    return diag_error(model->diag, loc_file(path), "only tables of `--method minmax` can be joined by themselves; run calibrate with --histograms FILE, "
                      "and merge these files");
}

static bool join_table(const Model *model, const char *path, CalibrationTable *into, const CalibrationTable *from) {
    if (into->count != from->count || (into->model_hash && from->model_hash && strcmp(into->model_hash, from->model_hash)))
        return diag_error(model->diag, loc_file(path), "is of another model than '%s'", input_at(model, 0));
    if (!factors_agree(into->equalized_count, into->equalized, from->equalized_count, from->equalized))
        return diag_error(model->diag, loc_file(path), "has other factors of channels (equalize) than '%s'; calibrate each with --equalize none",
                          input_at(model, 0));
    for (int i = 0; i < into->count; i++) {
        CalibrationEntry *entry = &into->entries[i];
        const CalibrationEntry *other = &from->entries[i];
        if (strcmp(entry->name, other->name))
            return diag_error(model->diag, other->loc, "found '%s', where '%s' has '%s'", other->name, input_at(model, 0), entry->name);
        entry->min = fmin(entry->min, other->min);
        entry->max = fmax(entry->max, other->max);
        entry->threshold = fmax(entry->threshold, other->threshold);
    }
    into->data = into->data && from->data ? arena_printf(model->arena, "%s + %s", into->data, from->data) : NULL;
    return true;
}

static bool join_tables(Model *model, CalibrationTable *table) {
    bool biases = false;
    for (int i = 0; i < model->options->positional_count; i++) {
        CalibrationTable next;
        const char *path = input_at(model, i);
        if (!parse_calibration_table(model->arena, model->diag, path, &next) || !is_mergeable(model, path, &next) ||
            (i && !join_table(model, path, table, &next)))
            return false;
        biases = biases || next.corrected_count;
        if (!i) *table = next;
    }
    if (biases) diag_warning(model->diag, loc_file(input_at(model, 0)), "corrections of biases (bias:) are of one run's thresholds, and are left out");
    table->corrected_count = 0;
    return true;
}

bool merge_runs(Model *model, int count, const CalibrationMethod *methods, CalibrationTable *tables, Histograms **joined) {
    const Options *options = model->options;
    int histograms = 0;
    *joined = NULL;
    for (int i = 0; i < options->positional_count; i++) histograms += is_histograms_file(input_at(model, i));
    if (histograms == options->positional_count) return join_histograms(model, count, methods, tables, joined);
    if (histograms)
        return diag_error(model->diag, loc_file(input_at(model, 0)), "tables and histograms can't be merged with one another");
    if (options->method || options->methods || options->percentile || options->histograms)
        return diag_error(model->diag, loc_file(input_at(model, 0)), "thresholds of a method need histograms; run calibrate with --histograms FILE, "
                          "and merge these files");
    return join_tables(model, &tables[0]);
}
