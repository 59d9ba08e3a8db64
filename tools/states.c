// Names of inputs and outputs to states of the module.
#include "tools/states.h"

#include <string.h>

#include "ir/state.h"
#include "tools/cli.h"

static int find_input(const Module *module, const char *name, size_t length) {
    const Func *main = module_main(module);
    for (int i = 0; i < module_input_count(module); i++)
        if (main->args[i].name && strlen(main->args[i].name) == length && !strncmp(main->args[i].name, name, length)) return i;
    return -1;
}

static int find_output(const Module *module, const char *name) {
    for (int i = 0; i < module_output_count(module); i++)
        if (value_is_called(op_operand(module_main(module)->last, i), name)) return i;
    return -1;
}

// Names may hold '=': the first place where both sides are names counts.
static bool find_pair(const Module *module, const char *text, int *input, int *output) {
    for (const char *equals = strchr(text, '='); equals; equals = strchr(equals + 1, '=')) {
        *input = find_input(module, text, (size_t)(equals - text));
        *output = find_output(module, equals + 1);
        if (*input >= 0 && *output >= 0) return true;
    }
    return false;
}

static bool tie(Model *model, Module *module, const char *text) {
    const Loc loc = loc_file(model->path);
    int input, output;
    if (!find_pair(module, text, &input, &output))
        return diag_error(model->diag, loc, "--state %s: expected INPUT=OUTPUT of this network; `qanat info` shows what it has", text);
    const Type *before = module_main(module)->args[input].type, *after = op_operand(module_main(module)->last, output)->type;
    if (!type_equal(before, after))
        return diag_error(model->diag, loc, "--state %s: the input has the type %s, the output %s; they must be the same", text,
                          type_text(model->arena, before), type_text(model->arena, after));
    module_tie(module, input, output);
    return true;
}

bool tie_states(Model *model, Module *module) {
    const TextList *list = &model->options->state;
    if (list->count && attr_find(module->attrs, "qanat.counted"))
        return diag_error(model->diag, loc_file(model->path), "--state does not go with outputs whose size depends on data");
    for (int i = 0; i < list->count; i++)
        if (!tie(model, module, list->items[i])) return false;
    if (!module_state_count(module) || !model->sizes.count) return true;
    return diag_error(model->diag, loc_file(model->path), "a network that keeps states takes sizes that are fixed: give --shape without `..`");
}
