// qanat calibrate: runs the float network over data and writes the calibration table, or a table for each of several methods; writes
// a table anew, in another form or with what it lacks; joins the tables of several runs.
#include <string.h>

#include "tools/merge.h"
#include "tools/methods.h"
#include "tools/tables.h"

static const OptionId ids[] = {OPT_output, OPT_data, OPT_preprocess, OPT_method, OPT_methods, OPT_percentile, OPT_equalize, OPT_bias_correction, OPT_histograms, OPT_merge,
                               OPT_table_format, OPT_calibration, OPT_qtable, OPT_limit, OPT_seed, OPT_threads, OPT_keep_state, MODEL_OPTIONS, OPT_COUNT};

typedef struct {
    Model *model;
    int count;                     // of --methods
    CalibrationMethod methods[METHOD_COUNT];
    OutputFile histograms;         // --histograms, while it is written
} Calibrate;

// Of --methods the table PREFIX.METHOD.table, or the one table.
static const char *output_of(const Calibrate *run, int method) {
    const Model *model = run->model;
    if (!run->count)
        return model->options->output ? model->options->output : "-";
    return arena_printf(model->arena, "%s.%s.table", model->options->output, calibration_method_name(run->methods[method]));
}

// All or none, and so with the file of histograms; none where not everything before was `done`.
static bool write_tables(const Calibrate *run, const CalibrationTable *tables, bool done) {
    Model *model = run->model;
    OutputFile outputs[1 + METHOD_COUNT];
    int opened = 0;
    if (run->histograms.file)
        outputs[opened++] = run->histograms;
    for (int m = 0; done && m < (run->count ? run->count : 1); m++) {
        done = output_open(&outputs[opened], output_of(run, m), model->diag);
        if (done)
            done = write_calibration(model, &tables[m], outputs[opened++].file);
    }
    return outputs_close(outputs, opened, done, model->diag) && done;
}

static bool rewrite_qtable(Model *model, const char *from) {
    OutputFile output;
    Qtable table;
    const char *path = model->options->output;
    if (!parse_qtable(model->arena, model->diag, from, &table))
        return false;
    resolve_qtable(model->imported, &table);
    if (!output_open(&output, path ? path : "-", model->diag))
        return false;
    write_qtable(model, &table, output.file);
    return output_close(&output, true, model->diag);
}

static void keep_histograms(void *keeper, Histograms *histograms) {
    Calibrate *run = keeper;
    histograms->model_hash = model_hash(run->model);
    histograms_write(run->histograms.file, histograms);
}

static bool measure_tables(Calibrate *run) {
    Model *model = run->model;
    CalibrationTable tables[METHOD_COUNT];
    const char *path = model->options->histograms;
    if (path && !output_open(&run->histograms, path, model->diag))
        return false;
    if (path)
        model->calibrate.keep = keep_histograms, model->calibrate.keeper = run;
    const bool done = model_calibrate_methods(model, run->count ? run->count : 1, run->count ? run->methods : &model->calibrate.method, tables);
    return write_tables(run, tables, done);
}

static bool rewrite_table(const Calibrate *run) {
    Model *model = run->model;
    CalibrationTable *table = &model->calibration;
    return (!model->options->data || model_calibrate_missing(model, table)) && write_tables(run, table, true);
}

static bool merge_tables(Calibrate *run) {
    Model *model = run->model;
    CalibrationTable tables[METHOD_COUNT];
    Histograms *joined;
    bool done = merge_runs(model, run->count ? run->count : 1, run->count ? run->methods : &model->calibrate.method, tables, &joined);
    const char *path = done ? model->options->histograms : NULL;
    if (path && (done = output_open(&run->histograms, path, model->diag)))
        histograms_write(run->histograms.file, joined);
    return write_tables(run, tables, done);
}

// ---- options

static bool has_method(const Calibrate *run, CalibrationMethod method) {
    bool has = !run->count && run->model->calibrate.method == method;
    for (int m = 0; m < run->count; m++)
        has = has || run->methods[m] == method;
    return has;
}

static int check_histograms(const Calibrate *run) {
    const char *path = run->model->options->histograms;
    for (int m = 0; path && m < (run->count ? run->count : 1); m++)
        if (same_place(path, output_of(run, m)))
            return usage_error("calibrate: '%s' can't hold both the table and the histograms; name another file with --histograms", path);
    return STATUS_DONE;
}

static int check_merge(const Calibrate *run, const Options *options) {
    if (has_method(run, METHOD_EMA))
        return usage_error("calibrate: ema is about the order of samples, which histograms don't keep; it can't be merged");
    if (has_method(run, METHOD_AUTO))
        return usage_error("calibrate: auto looks at the network again, which --merge does not have; name another method");
    for (int i = 0; i < options->positional_count; i++)
        if ((options->output && same_file(options->output, options->positional[i])) || (options->histograms && same_file(options->histograms, options->positional[i])))
            return usage_error("the output would replace the input '%s'; name another with -o", options->positional[i]);
    return STATUS_DONE;
}

static int check_options(Calibrate *run, const Options *options) {
    if (!options->merge && options->positional_count > 1)
        return usage_error("calibrate: unexpected argument '%s'; several tables are joined by --merge", options->positional[1]);
    if (!options->merge && !options->data && !options->calibration && !options->qtable)
        return usage_error("calibrate: --data DATA is missing: a folder or list of images or arrays");
    if (options->qtable && (options->data || options->calibration))
        return usage_error("calibrate: --qtable is written anew by itself; leave out %s", options->data ? "--data" : "--calibration");
    if (options->qtable && options->table_format && !strcmp(options->table_format, "ncnn"))
        return usage_error("calibrate: ncnn has no quantization tables");
    if (!options->methods)
        return STATUS_DONE;
    if (!options->output || !strcmp(options->output, "-"))
        return usage_error("calibrate: --methods writes files PREFIX.METHOD.table; name PREFIX with -o");
    return parse_methods(options->methods, &run->count, run->methods);
}

static bool calibrate_model(Calibrate *run, const char *qtable) {
    const Options *options = run->model->options;
    if (options->merge) return merge_tables(run);
    run->model->rewrites_tables = true;
    if (!model_import(run->model)) return false;
    return qtable ? rewrite_qtable(run->model, qtable) : options->calibration ? rewrite_table(run) : measure_tables(run);
}

int cmd_calibrate(int argc, char **argv) {
    Options options;
    Model model;
    Calibrate run = {.model = &model};
    int status;
    if (!cli_parse(argc, argv, ids, &options, &status))
        return status;
    if (check_options(&run, &options))
        return STATUS_USAGE;
    const char *qtable = options.qtable; // of no use to the network here
    options.qtable = NULL;
    status = model_open(&model, &options, 0);
    if (!status)
        status = check_histograms(&run);
    if (!status && options.merge)
        status = check_merge(&run, &options);
    if (!status)
        status = calibrate_model(&run, qtable) ? STATUS_DONE : STATUS_INPUT;
    model_close(&model);
    return status;
}
