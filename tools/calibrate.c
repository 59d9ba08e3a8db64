// qanat calibrate: runs the float network over data and writes the calibration table.
#include "tools/prepare.h"

static const OptionId ids[] = {OPT_output,     OPT_data,   OPT_preprocess, OPT_method, OPT_equalize, OPT_limit, OPT_seed,
                               OPT_threads,    MODEL_OPTIONS, OPT_COUNT};

static bool write_table(Model *model, const char *path) {
    OutputFile output;
    if (!output_open(&output, path, model->diag))
        return false;
    calibration_write(output.file, model->arena, &model->calibration);
    return output_close(&output, true, model->diag);
}

int cmd_calibrate(int argc, char **argv) {
    Options options;
    Model model;
    int status;
    if (!cli_parse(argc, argv, ids, &options, &status))
        return status;
    if (!options.data)
        return usage_error("calibrate: --data DATA is missing: a folder or list of images or arrays");
    if ((status = model_open(&model, &options, 0)) == STATUS_DONE) {
        bool done = model_import(&model) && model_calibrate(&model) &&
                    write_table(&model, options.output ? options.output : "-");
        status = done ? STATUS_DONE : STATUS_INPUT;
    }
    model_close(&model);
    return status;
}
