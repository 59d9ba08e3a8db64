// qanat calibrate: runs the float network over data and writes the calibration table, or a table for each of several methods.
#include <string.h>

#include "tools/methods.h"

static const OptionId ids[] = {OPT_output,     OPT_data,   OPT_preprocess, OPT_method, OPT_methods, OPT_percentile, OPT_equalize, OPT_limit, OPT_seed,
                               OPT_threads,    MODEL_OPTIONS, OPT_COUNT};

static bool write_table(Model *model, const CalibrationTable *table, const char *path) {
    OutputFile output;
    if (!output_open(&output, path, model->diag))
        return false;
    calibration_write(output.file, model->arena, table);
    return output_close(&output, true, model->diag);
}

static bool calibrate_one(Model *model) {
    const char *path = model->options->output;
    return model_calibrate(model) && write_table(model, &model->calibration, path ? path : "-");
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

int cmd_calibrate(int argc, char **argv) {
    Options options;
    Model model;
    int status, count = 0;
    CalibrationMethod methods[METHOD_COUNT];
    if (!cli_parse(argc, argv, ids, &options, &status))
        return status;
    if (!options.data)
        return usage_error("calibrate: --data DATA is missing: a folder or list of images or arrays");
    if (options.methods && (!options.output || !strcmp(options.output, "-")))
        return usage_error("calibrate: --methods writes files PREFIX.METHOD.table; name PREFIX with -o");
    if (options.methods && parse_methods(options.methods, &count, methods))
        return STATUS_USAGE;
    if ((status = model_open(&model, &options, 0)) == STATUS_DONE)
        status = model_import(&model) && (count ? calibrate_several(&model, count, methods) : calibrate_one(&model)) ? STATUS_DONE : STATUS_INPUT;
    model_close(&model);
    return status;
}
