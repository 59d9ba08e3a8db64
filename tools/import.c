// qanat import: a model file to IR, as read, before any pass: binary into a file, text on standard output, or as asked.
#include <string.h>

#include "ir/print.h"
#include "tools/states.h"

static const OptionId ids[] = {OPT_output, OPT_format, OPT_shape, OPT_constant, OPT_state, OPT_custom, OPT_preprocess, OPT_frame, OPT_postprocess, OPT_COUNT};

// Plain import: the passes are `qanat opt`'s and `compile`'s.
static bool import_plain(Model *model, Module **module) {
    *module = import_model(model->arena, model->diag, model->path, &model->import);
    if (!*module || !tie_states(model, *module))
        return false;
    if (model->preprocess)
        (*module)->attrs = attr_string(model->arena, (*module)->attrs, "qanat.preprocess", model->preprocess);
    if (model->frame)
        (*module)->attrs = attr_string(model->arena, (*module)->attrs, "qanat.frame", model->frame);
    if (model->options->postprocess)
        (*module)->attrs = attr_string(model->arena, (*module)->attrs, "qanat.postprocess", model->options->postprocess);
    return true;
}

static bool write_module(Model *model, const Module *module, const char *path, const char *format) {
    bool binary = format ? !strcmp(format, "binary") : strcmp(path, "-") != 0;
    OutputFile output;
    if (!output_open(&output, path, model->diag))
        return false;
    PrintOptions print = {.locations = true};
    if (binary) module_write_binary(output.file, module, print); // output_close reports what failed
    else module_print(output.file, module, print);
    return output_close(&output, true, model->diag);
}

int cmd_import(int argc, char **argv) {
    Options options;
    Model model;
    Module *module;
    int status;
    if (!cli_parse(argc, argv, ids, &options, &status))
        return status;
    if ((status = model_open(&model, &options, 1)) == STATUS_DONE) {
        bool done = import_plain(&model, &module) &&
                    write_module(&model, module, options.output ? options.output : "-", options.format);
        status = done ? STATUS_DONE : STATUS_INPUT;
    }
    model_close(&model);
    return status;
}
