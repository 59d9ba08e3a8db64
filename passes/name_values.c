// Gives every unnamed tensor a name, so that tables, messages and taps can speak of it: its node's in the model, or
// the one its operand has, with the op's name after it.
#include "passes/rewrite.h"

bool name_values(Module *module, const PassContext *context) {
    (void)context;
    for (Func *func = module->funcs; func; func = func->next)
        FOR_EACH_OP(func, op)
            for (int i = 0; i < op->result_count; i++) {
                if (op->results[i].name || op->kind == OP_constant) continue;
                const Value *operand = op_operand(op, 0);
                const char *base = op->loc.name ? op->loc.name : operand && operand->name ? operand->name : "value";
                value_set_name(&op->results[i], arena_printf(module->arena, "%s_%s", base, op_info(op->kind)->name));
            }
    return true;
}
