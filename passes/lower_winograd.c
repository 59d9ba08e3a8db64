// 3x3 convolutions that are faster by Winograd's method: input transform, matrix products, output transform (runtime/kernels/winograd.h). The
// pass writes the attribute `winograd`, the tiles' size, where the target's kernels are estimated to take less time so (ir/cost.h), where
// --winograd asks for it, and where the quantization table does. In int8 the bytes are those of any other kernel: tiles of 2 are exact in 16 and 32 bits where
// weights are proven small enough; others are refused, and --explain says so.
#include <string.h>

#include "passes/explain.h"
#include "passes/lower.h"
#include "passes/winograd.h"

bool winograd_never(const Op *op) {
    const conv2d_view conv = as_conv2d(op);
    const int64_t *w = conv.weight->type->shape;
    if (w[1] != 3 || w[2] != 3 || conv.group != 1 || !conv.weight->type->shape[3]) return true;
    for (int d = 0; d < 2; d++)
        if (int_at(conv.strides, d) != 1 || int_at(conv.dilations, d) != 1) return true;
    return !value_constant(conv.weight) || (conv.bias && !value_constant(conv.bias));
}

// Of inputs from 0 to 255, each output channel's sum stays below 2^29, so that four times it does below 2^31: arithmetic modulo 2^32
// gives it whatever comes between. The transforms themselves can't leave 16 bits (runtime/kernels/winograd_madd.def).
static bool sums_fit(const Value *weight) {
    const Dense *dense = value_constant(weight);
    const int64_t channels = weight->type->shape[0], taps = channels ? type_elem_count(weight->type) / channels : 0;
    const int8_t *w = dense->data;
    for (int64_t o = 0; o < channels; o++) {
        int64_t above = 0, below = 0;
        for (int64_t i = 0; i < taps; i++) {
            const int value = w[dense->splat ? 0 : o * taps + i];
            if (value < 0) below -= value;
            else above += value;
        }
        if (255 * (above > below ? above : below) >= 1 << 29) return false;
    }
    return true;
}

const char *winograd_refusal(const Op *op, int64_t tile) {
    const Quant *quant = as_conv2d(op).weight->type->quant;
    if (winograd_never(op)) return "it has no 3x3 windows side by side, or no constant weights";
    if (!quant) return NULL;
    if (tile != 2) return "in int8 only tiles of 2 are exact";
    for (int c = 0; c < quant->count; c++)
        if (quant->zero_point[c]) return "its weights have a zero point";
    return sums_fit(as_conv2d(op).weight) ? NULL : "its weights are so large that four times a sum may leave 32 bits";
}

static void set_tile(Op *op, int64_t tile) { op_set_attr(op, attr_int(op->func->module->arena, NULL, "winograd", tile)); }

// The fastest of the tiles that `auto` may take; 0: none. In f32, tiles of 6 lose too many bits to be taken unasked.
static int64_t fastest_tile(const Lower *lower, Op *op) {
    static const int tiles[] = {2, 4};
    bool by_winograd;
    set_tile(op, 0);
    const double direct = conv2d_estimate(lower, op, &by_winograd);
    double best = direct, seen = 0;
    int64_t fastest = 0;
    for (size_t i = 0; i < sizeof tiles / sizeof *tiles; i++) {
        set_tile(op, tiles[i]);
        const double ns = conv2d_estimate(lower, op, &by_winograd);
        if (!by_winograd) continue;
        seen = !seen || ns < seen ? ns : seen;
        if (ns < best) best = ns, fastest = tiles[i];
    }
    if (fastest || seen) explain_winograd(lower->context, op, fastest, fastest ? best : seen, direct);
    return fastest;
}

// As asked for, if it can be.
static int64_t asked_tile(const Lower *lower, Op *op, int64_t tile) {
    bool by_winograd;
    const char *why = winograd_refusal(op, tile);
    set_tile(op, tile);
    if (!why) conv2d_estimate(lower, op, &by_winograd);
    if (!why && !by_winograd) why = "the target has no kernel for it";
    if (why) explain_no_winograd(lower->context, op, tile, why);
    return why ? 0 : tile;
}

static void choose(const Lower *lower, Op *op) {
    const PassContext *context = lower->context;
    if (context->winograd == WINOGRAD_OFF || as_conv2d(op).winograd || winograd_never(op)) return;
    if (context->winograd != WINOGRAD_AUTO) {
        set_tile(op, asked_tile(lower, op, context->winograd));
        return;
    }
    if (!op->results[0].type->quant) return; // asked for only: not to the same numbers
    const char *why = winograd_refusal(op, 2);
    if (why) explain_no_winograd(context, op, 2, why);
    set_tile(op, why ? 0 : fastest_tile(lower, op));
}

bool lower_winograd(Module *module, const PassContext *context) {
    Func *func = module_main(module);
    BUG_UNLESS(context->target, "lowering needs a target");
    if (!func) return diag_error(context->diag, loc_file(module->file), "the module has no function @main");
    if (context->bounded || context->watched) return true; // sizes vary; what is calibrated is as exact as it can be
    const Lower lower = {.context = context, .arena = context->scratch, .from = func,
                         .flip = context->target->activations == ELEM_U8 ? 0x80 : 0};
    FOR_EACH_OP(func, op)
        if (op->kind == OP_conv2d) choose(&lower, op);
    return true;
}
