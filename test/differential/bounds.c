// How far floats of two routes may lie apart: every op's operands' distances times how much it stretches them, and its own
// rounding, from the largest values that the interpreter saw. Quantized and integer values, and what is made of exact
// values by one correctly rounded operation, must not differ at all.
#include <math.h>
#include <string.h>

#include "test/differential/graph.h"

enum { MAX_TRACKED = 512 };
typedef struct { const Value *value; double largest, bound; } Track;
typedef struct { Track tracks[MAX_TRACKED]; int count; } Tracks;

static Track *track_of(Tracks *tracks, const Value *value) {
    for (int i = 0; i < tracks->count; i++)
        if (tracks->tracks[i].value == value) return &tracks->tracks[i];
    BUG_UNLESS(tracks->count < MAX_TRACKED, "more values than can be tracked");
    tracks->tracks[tracks->count] = (Track){value, 0, 0};
    return &tracks->tracks[tracks->count++];
}

static void take(Track *track, const float *data, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        if (isfinite(data[i])) track->largest = fmax(track->largest, fabs((double)data[i]));
}

static void measure(void *context, const Value *value, const Tensor *tensor) {
    Track *track = track_of(context, value);
    if (tensor->type->elem == ELEM_F32) take(track, tensor->data, type_elem_count(tensor->type));
}

static void measure_constants(Tracks *tracks, const Func *func) {
    FOR_EACH_OP(func, op)
        if (op->kind == OP_constant && op->results[0].type->elem == ELEM_F32) {
            const Dense *dense = as_constant(op).value;
            take(track_of(tracks, &op->results[0]), dense->data, (int64_t)dense->bytes / 4);
        }
}

// Sums of `taps` products.
static double product_bound(const Op *op, const Track *x, const Track *w, const Track *bias, double rounding) {
    const Type *type = w->value->type;
    int64_t taps = op->kind == OP_matmul ? type->shape[type->rank - 2]
                                         : type->shape[0] ? type_elem_count(type) / type->shape[0] : 0;
    double grown = x->bound * w->largest + w->bound * x->largest + x->bound * w->bound;
    double steps = fmax(4, (double)taps / 4); // many equal terms are rounded the same way
    return (double)taps * (grown + steps * rounding * x->largest * w->largest) + (bias ? bias->bound + (2 + (double)taps / 2) * rounding * bias->largest : 0);
}

static double mean_count(const Op *op) {
    const Type *in = op_operand(op, 0)->type;
    if (op->kind == OP_avg_pool2d) return (double)int_at(op_ints(op, "kernel"), 0) * (double)int_at(op_ints(op, "kernel"), 1);
    int64_t outs = type_elem_count(op->results[0].type);
    return outs ? (double)(type_elem_count(in) / outs) : 1;
}

static double op_bound(Tracks *tracks, const Op *op) {
    static const double rounding = 0x1p-23;
    const Track *a = track_of(tracks, op_operand(op, 0)), *out = track_of(tracks, &op->results[0]);
    const Track *b = op->operand_count > 1 ? track_of(tracks, op_operand(op, 1)) : a;
    double most = 0;
    for (int i = 0; i < op->operand_count; i++)
        if (op_operand(op, i)) most = fmax(most, track_of(tracks, op_operand(op, i))->bound);
    switch (op->kind) {
    case OP_conv2d: case OP_linear: case OP_matmul:
        return product_bound(op, a, b, op_operand(op, 2) ? track_of(tracks, op_operand(op, 2)) : NULL, rounding);
    case OP_avg_pool2d: case OP_reduce_mean: return a->bound + rounding * mean_count(op) * a->largest;
    case OP_add: case OP_sub: return most == 0 ? 0 : a->bound + b->bound + rounding * (a->largest + b->largest);
    case OP_mul: return most == 0 ? 0 : a->bound * b->largest + b->bound * a->largest + a->bound * b->bound + rounding * a->largest * b->largest;
    case OP_sigmoid: case OP_tanh: return a->bound + 4 * rounding;
    case OP_hard_sigmoid: return a->bound + 2 * rounding * (1 + a->largest);
    case OP_leaky_relu: return a->bound + rounding * a->largest;
    case OP_hard_swish: return 1.5 * a->bound + 4 * rounding * (1 + a->largest);
    case OP_exp: return expm1(a->bound) * out->largest + 8 * rounding * out->largest;
    case OP_softmax: return expm1(2 * a->bound) + 16 * rounding;
    default: return most; // moves
    }
}

void graph_bounds(Arena *arena, const Func *main, const Tensor *inputs, double *bounds) {
    Tracks *tracks = ARENA_NEW(arena, Tracks);
    Tensor *outputs = ARENA_ARRAY(arena, Tensor, main->last->operand_count);
    for (int i = 0; i < main->last->operand_count; i++) outputs[i] = tensor_new(arena, op_operand(main->last, i)->type);
    eval_func(diag_new(arena, NULL), arena, main, inputs, outputs, measure, tracks);
    measure_constants(tracks, main);
    FOR_EACH_OP(main, op)
        if (op->kind != OP_constant && op->kind != OP_return) {
            const Type *type = op->results[0].type;
            double bound = type->quant || type->elem != ELEM_F32 ? 0 : op_bound(tracks, op);
            track_of(tracks, &op->results[0])->bound = bound < 1e30 ? bound : INFINITY; // sums may have overflowed, or not
        }
    for (int i = 0; i < main->last->operand_count; i++) bounds[i] = track_of(tracks, op_operand(main->last, i))->bound;
}
