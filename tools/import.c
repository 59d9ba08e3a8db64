// qanat import: a model file to textual IR, as read, before any pass.
#include "ir/print.h"
#include "tools/prepare.h"

static const OptionId ids[] = {OPT_output, OPT_shape, OPT_preprocess, OPT_COUNT};

// Plain import: the passes are `qanat opt`'s and `compile`'s.
static bool import_plain(Model *model, Module **module) {
    *module = import_model(model->arena, model->diag, model->path, &model->import);
    if (!*module)
        return false;
    if (model->preprocess)
        (*module)->attrs = attr_string(model->arena, (*module)->attrs, "qanat.preprocess", model->preprocess);
    return true;
}

static bool write_module(Model *model, const Module *module, const char *path) {
    OutputFile output;
    if (!output_open(&output, path, model->diag))
        return false;
    module_print(output.file, module, (PrintOptions){.locations = true});
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
                    write_module(&model, module, options.output ? options.output : "-");
        status = done ? STATUS_DONE : STATUS_INPUT;
    }
    model_close(&model);
    return status;
}
