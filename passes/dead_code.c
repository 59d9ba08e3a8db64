// Erases pure ops whose results have no use, last first, so that whole chains go in one walk.
#include "passes/pass.h"

static bool is_dead(const Op *op) {
    if (!op_has(op, PURE)) return false;
    for (int i = 0; i < op->result_count; i++)
        if (op->results[i].uses) return false;
    return true;
}

bool dead_code(Module *module, const PassContext *context) {
    (void)context;
    for (Func *func = module->funcs; func; func = func->next)
        for (Op *op = func->last, *prev; op; op = prev) {
            prev = op->prev;
            if (is_dead(op)) op_erase(op);
        }
    return true;
}
