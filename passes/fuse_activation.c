// conv2d, linear, add, sub, mul followed by relu or clip to [0, 6] or [0, inf): the producer clamps while it stores.
// The producer's plain result must have no other use. Runs on the float network, before calibration.
#include <math.h>

#include "passes/rewrite.h"

static const char *activation_kind(const Op *op) {
    if (op->kind == OP_relu) return "relu";
    if (op->kind != OP_clip) return NULL;
    clip_view clip = as_clip(op);
    if (clip.min != 0) return NULL;
    return clip.max == 6 ? "relu6" : isinf(clip.max) ? "relu" : NULL;
}

static bool takes_activation(const Op *op) {
    switch (op->kind) {
    case OP_conv2d: case OP_linear: case OP_add: case OP_sub: case OP_mul: return true;
    default: return false;
    }
}

// relu of what is already clamped at 0 changes nothing; relu6 of relu is relu6.
static bool combines(const char *inner, const char *outer) {
    return !strcmp(inner, "none") || !strcmp(inner, outer) || !strcmp(outer, "relu") || !strcmp(inner, "relu");
}

bool fuse_activation(Module *module, const PassContext *context) {
    (void)context;
    for (Func *func = module->funcs; func; func = func->next)
        FOR_EACH_OP(func, op) {
            const char *kind = activation_kind(op);
            Value *value = op_operand(op, 0);
            if (!kind || !value->def || !takes_activation(value->def) || !value_has_one_use(value)) continue;
            if (!elem_is_float(value->type->elem)) continue;
            const char *inner = activation_of(value->def);
            if (!combines(inner, kind)) continue;
            const char *both = !strcmp(inner, "relu6") ? inner : kind;
            op_set_attr(value->def, attr_string(module->arena, NULL, "activation", both));
            absorb(op, value);
        }
    return true;
}
