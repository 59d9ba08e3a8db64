// qanat calibrate: runs the float network over data and writes the calibration table, or a table for each of several methods; writes
// a table anew, in another form or with what it lacks.
#include <string.h>

#include "tools/methods.h"
#include "tools/tables.h"

static const OptionId ids[] = {OPT_output, OPT_data, OPT_preprocess, OPT_method, OPT_methods, OPT_percentile, OPT_equalize, OPT_table_format,
                               OPT_calibration, OPT_qtable, OPT_limit, OPT_seed, OPT_threads, MODEL_OPTIONS, OPT_COUNT};

static bool write_table(Model *model, const CalibrationTable *table, const char *path) {
    OutputFile output;
    if (!output_open(&output, path ? path : "-", model->diag))
        return false;
    bool done = write_calibration(model, table, output.file);
    return output_close(&output, done, model->diag) && done;
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

// PREFIX.METHOD.table for each.
static bool calibrate_several(Model *model, int count, const CalibrationMethod *methods) {
    CalibrationTable tables[METHOD_COUNT];
    if (!model_calibrate_methods(model, count, methods, tables))
        return false;
    for (int m = 0; m < count; m++)
        if (!write_table(model, &tables[m], arena_printf(model->arena, "%s.%s.table", model->options->output, calibration_method_name(methods[m]))))
            return false;
    return true;
}

static bool calibrate_one(Model *model) {
    CalibrationTable *table = &model->calibration;
    if (model->options->calibration && model->options->data && !model_calibrate_missing(model, table))
        return false;
    return model_calibrate(model) && write_table(model, table, model->options->output);
}

static int check_options(const Options *options, int *count, CalibrationMethod *methods) {
    if (!options->data && !options->calibration && !options->qtable)
        return usage_error("calibrate: --data DATA is missing: a folder or list of images or arrays");
    if (options->qtable && (options->data || options->calibration))
        return usage_error("calibrate: --qtable is written anew by itself; leave out %s", options->data ? "--data" : "--calibration");
    if (options->qtable && options->table_format && !strcmp(options->table_format, "ncnn"))
        return usage_error("calibrate: ncnn has no quantization tables");
    if (!options->methods)
        return STATUS_DONE;
    if (!options->output || !strcmp(options->output, "-"))
        return usage_error("calibrate: --methods writes files PREFIX.METHOD.table; name PREFIX with -o");
    return parse_methods(options->methods, count, methods);
}

int cmd_calibrate(int argc, char **argv) {
    Options options;
    Model model;
    int status, count = 0;
    CalibrationMethod methods[METHOD_COUNT];
    if (!cli_parse(argc, argv, ids, &options, &status))
        return status;
    if (check_options(&options, &count, methods))
        return STATUS_USAGE;
    const char *qtable = options.qtable; // of no use to the network here
    options.qtable = NULL;
    if ((status = model_open(&model, &options, 0)) == STATUS_DONE) {
        model.rewrites_tables = true;
        bool done = model_import(&model) && (qtable ? rewrite_qtable(&model, qtable) : count ? calibrate_several(&model, count, methods) : calibrate_one(&model));
        status = done ? STATUS_DONE : STATUS_INPUT;
    }
    model_close(&model);
    return status;
}
