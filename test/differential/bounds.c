// How far floats of two routes may lie apart: every op's operands' distances times how much it stretches them, and its own
// rounding, from the largest values that the interpreter saw. Quantized and integer values, and what is made of exact
// values by one correctly rounded operation, must not differ at all. Products have a formula; how much any other op stretches
// is seen by running it again with operands moved by as much as they may differ.
#include <math.h>
#include <string.h>

#include "ir/map.h"
#include "test/differential/graph.h"

// Of one operation, in single precision; and what kernels may make 0 of.
static const double rounding = 0x1p-23, smallest = 0x1p-126;

// ---- what is known of ops

// own: rounding in units of the last place of the largest result; moved: units by which every operand may have been off to
// give the same result. Both 0: one correctly rounded operation, or none. takes_inexact: differences of operands only grow.
typedef struct { OpKind kind; bool takes_inexact; double own, moved; } FloatRule;

static const FloatRule rules[] = {
    {OP_relu, true, 0, 0},   {OP_clip, true, 0, 0},    {OP_abs, true, 0, 0},      {OP_neg, true, 0, 0},     {OP_min, true, 0, 0},
    {OP_max, true, 0, 0},    {OP_where, true, 0, 0},   {OP_lookup, true, 0, 0},   {OP_concat, true, 0, 0},   {OP_add, true, 1, 1},     {OP_sub, true, 1, 1},
    {OP_mul, true, 1, 1},    {OP_dequantize, true, 0, 0}, {OP_quantize, false, 0, 0}, {OP_fake_quant, false, 0, 0},
    {OP_cast, false, 0, 0},  {OP_floor, false, 0, 0},  {OP_ceil, false, 0, 0},    {OP_round, false, 0, 0},  {OP_sign, false, 0, 0},
    {OP_hardmax, false, 0, 0}, {OP_div, false, 0, 0},  {OP_reciprocal, false, 0, 0}, {OP_sqrt, false, 0, 0},
    {OP_thresholded_relu, false, 0, 0}, {OP_prelu, true, 1, 1}, {OP_leaky_relu, true, 1, 1},
    // of one number, in single precision or in double and rounded
    {OP_sigmoid, true, 4, 2}, {OP_tanh, true, 4, 2},   {OP_hard_sigmoid, true, 2, 4}, {OP_hard_swish, true, 4, 4}, {OP_exp, false, 8, 2},
    {OP_erf, true, 2, 2},    {OP_sin, true, 2, 2},     {OP_cos, true, 2, 2},      {OP_atan, true, 2, 2},    {OP_asinh, true, 2, 2},
    {OP_softplus, true, 2, 2}, {OP_softsign, true, 2, 2}, {OP_mish, true, 2, 2},  {OP_elu, true, 2, 2},     {OP_selu, true, 2, 2},
    {OP_celu, true, 2, 2},   {OP_gelu, true, 2, 2},    {OP_swish, true, 2, 2},
    // sums and products that kernels take in double
    {OP_reduce_sum, true, 2, 0x1p-20}, {OP_reduce_l1, true, 2, 0x1p-20}, {OP_reduce_l2, false, 2, 0x1p-20},
    {OP_reduce_sum_square, true, 2, 0x1p-20}, {OP_reduce_prod, false, 2, 0x1p-20}, {OP_cum_sum, true, 2, 0x1p-20},
    {OP_softmax, true, 16, 4}, {OP_log_softmax, true, 16, 4}, {OP_normalize, true, 16, 4}, {OP_batch_norm, true, 8, 4},
};

static const FloatRule *rule_of(OpKind kind) {
    static const FloatRule moves = {.takes_inexact = true}, unknown = {.own = 8, .moved = 8};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].kind == kind) return &rules[i];
    return op_info(kind)->traits & MOVES_DATA ? &moves : &unknown;
}

static bool is_product(OpKind kind) { return kind == OP_conv2d || kind == OP_linear || kind == OP_matmul; }

static bool is_mean(OpKind kind) { return kind == OP_avg_pool2d || kind == OP_reduce_mean; }

static bool is_float(const Value *value) { return value && !value->type->quant && value->type->elem == ELEM_F32; }

static bool has_float_results(const OpInfo *info) {
    bool has = info->result_count > 0;
    for (int i = 0; i < info->result_count; i++) has = has && strcmp(info->results[i].type, "INTEGER") && strcmp(info->results[i].type, "BOOL");
    return has;
}

bool float_stays_exact(const Op *op) {
    if (op->kind == OP_add || op->kind == OP_sub || op->kind == OP_mul) return true; // of exact operands: rounded once
    return !is_product(op->kind) && !is_mean(op->kind) && rule_of(op->kind)->own == 0;
}

bool float_takes_inexact(const Op *op) {
    bool takes = is_product(op->kind) || is_mean(op->kind) || rule_of(op->kind)->takes_inexact;
    return takes && has_float_results(op_info(op->kind));
}

bool floats_are_sound(const Func *main) {
    Map *inexact = map_new_pointers(main->module->arena);
    FOR_EACH_OP(main, op) {
        bool exact = true;
        if (op->kind == OP_constant || op->kind == OP_return) continue;
        for (int i = 0; i < op->operand_count; i++) exact = exact && !(op_operand(op, i) && map_find(inexact, op_operand(op, i)));
        if (!exact && !float_takes_inexact(op)) return false;
        for (int i = 0; i < op->result_count; i++)
            if (is_float(&op->results[i]) && !(exact && float_stays_exact(op))) *map_get(inexact, &op->results[i]) = inexact;
    }
    return true;
}

// ---- what the interpreter saw

enum { MAX_TRACKED = 512 };
typedef struct { const Value *value; double largest, bound; bool has_infinite; Tensor tensor; } Track; // or NaN
typedef struct { Arena *arena; Graph random; Track tracks[MAX_TRACKED]; int count; } Tracks;

static Track *track_of(Tracks *tracks, const Value *value) {
    for (int i = 0; i < tracks->count; i++)
        if (tracks->tracks[i].value == value) return &tracks->tracks[i];
    BUG_UNLESS(tracks->count < MAX_TRACKED, "more values than can be tracked");
    tracks->tracks[tracks->count] = (Track){.value = value};
    return &tracks->tracks[tracks->count++];
}

static void measure(void *context, const Value *value, const Tensor *tensor) {
    Tracks *tracks = context;
    Track *track = track_of(tracks, value);
    int64_t count = type_elem_count(tensor->type);
    track->tensor = (Tensor){tensor->type, arena_copy(tracks->arena, tensor->data, type_bytes(tensor->type) + !count)};
    for (int64_t i = 0; tensor->type->elem == ELEM_F32 && i < count; i++) {
        double size = fabs(tensor_f64(tensor, i));
        if (isfinite(size)) track->largest = fmax(track->largest, size);
        else track->has_infinite = true;
    }
}

static void measure_constants(Tracks *tracks, const Func *func) {
    FOR_EACH_OP(func, op)
        if (op->kind == OP_constant) {
            const Dense *dense = as_constant(op).value;
            Tensor tensor = tensor_new(tracks->arena, op->results[0].type);
            size_t bytes = type_bytes(tensor.type);
            for (size_t at = 0; at + dense->bytes <= bytes && dense->bytes; at += dense->bytes) memcpy((char *)tensor.data + at, dense->data, dense->bytes);
            measure(tracks, &op->results[0], &tensor);
        }
}

// ---- one op


// By how much a result moves when float operands move by their bounds and by `units` last places: up, down, and at random.
static double moved_by(Tracks *tracks, const Op *op, int result, double units) {
    enum { MAX_OPERANDS = 16, WAYS = 6 };
    Arena *arena = arena_new();
    const Tensor *operands[MAX_OPERANDS] = {0}, *base = &track_of(tracks, &op->results[result])->tensor;
    Tensor *results[MAX_RANK], moved[MAX_OPERANDS], outs[MAX_RANK];
    double most = 0;
    for (int way = 0; way < WAYS && op->operand_count <= MAX_OPERANDS; way++) {
        for (int i = 0; i < op->operand_count; i++) {
            const Value *value = op_operand(op, i);
            if (!value) continue;
            const Track *track = track_of(tracks, value);
            operands[i] = &track->tensor;
            if (!is_float(value)) continue;
            int64_t count = type_elem_count(value->type);
            moved[i] = tensor_new(arena, value->type);
            operands[i] = &moved[i];
            for (int64_t k = 0; k < count; k++) {
                double x = tensor_f64(&track->tensor, k), sign = way == 0 ? 1 : way == 1 || random_chance(&tracks->random, 50) ? -1 : 1;
                ((float *)moved[i].data)[k] = (float)(x + sign * (track->bound + units * rounding * fabs(x)));
            }
        }
        for (int i = 0; i < op->result_count; i++) outs[i] = tensor_new(arena, op->results[i].type), results[i] = &outs[i];
        if (!eval_op(diag_new(arena, NULL), op, operands, results)) continue;
        for (int64_t k = 0; k < type_elem_count(base->type); k++) {
            double difference = fabs(tensor_f64(&outs[result], k) - tensor_f64(base, k));
            if (!isnan(difference)) most = fmax(most, difference); // infinite: what is close to overflowing may do so, or not
        }
    }
    arena_free(arena);
    return 2 * most;
}

// By how much Winograd's transforms of tiles of 2, 4 and 6 magnify roundings of inputs and weights (docs/numerics.md), for each of 9 taps, and
// how many of their own they make; direct kernels: 1 and 0.
static void winograd_rounding(const Op *op, double *magnified, double *own) {
    const int64_t tile = op->kind == OP_conv2d ? op_int(op, "winograd") : 0;
    *magnified = tile == 6 ? 4579 / 9.0 : tile == 4 ? 2304 / 9.0 : tile == 2 ? 64 / 9.0 : 1;
    *own = tile ? 20 : 0;
}

// Sums of `taps` products.
static double product_bound(Tracks *tracks, const Op *op) {
    const Track *x = track_of(tracks, op_operand(op, 0)), *w = track_of(tracks, op_operand(op, 1));
    const Track *bias = op_operand(op, 2) ? track_of(tracks, op_operand(op, 2)) : NULL;
    const Type *type = w->value->type;
    int64_t taps = op->kind == OP_matmul ? type->shape[type->rank - 2] : type->shape[0] ? type_elem_count(type) / type->shape[0] : 0;
    double grown = x->bound * w->largest + w->bound * x->largest + x->bound * w->bound;
    double steps = fmax(4, (double)taps / 4); // many equal terms are rounded the same way
    double magnified, own;
    winograd_rounding(op, &magnified, &own);
    if (own > 0 && (x->has_infinite || w->has_infinite)) return INFINITY; // all outputs of a tile are not numbers then
    double added = bias ? bias->bound + (2 + (double)taps / 2) * rounding * bias->largest : 0;
    return (double)taps * (grown + magnified * (steps + own) * rounding * x->largest * w->largest + magnified * 0x1p-149) + added;
}

static double mean_count(const Op *op) {
    const Type *in = op_operand(op, 0)->type;
    if (op->kind == OP_avg_pool2d) return (double)int_at(op_ints(op, "kernel"), 0) * (double)int_at(op_ints(op, "kernel"), 1);
    int64_t outs = type_elem_count(op->results[0].type);
    return outs ? (double)(type_elem_count(in) / outs) : 1;
}

// Operands of so many elements for each result: how many roundings a sum over them may take.
static double taps_of(const Op *op) {
    int64_t most = 0, outs = type_elem_count(op->results[0].type);
    for (int i = 0; i < op->operand_count; i++)
        if (op_operand(op, i) && type_elem_count(op_operand(op, i)->type) > most) most = type_elem_count(op_operand(op, i)->type);
    return outs ? 1 + (double)most / (double)outs : 1;
}

static double op_bound(Tracks *tracks, const Op *op, int result) {
    const FloatRule *rule = rule_of(op->kind);
    double most = 0, largest = 0;
    for (int i = 0; i < op->operand_count; i++)
        if (op_operand(op, i)) {
            most = fmax(most, track_of(tracks, op_operand(op, i))->bound);
            largest = fmax(largest, track_of(tracks, op_operand(op, i))->largest);
        }
    if (is_product(op->kind)) return product_bound(tracks, op);
    const Track *a = track_of(tracks, op_operand(op, 0)), *out = track_of(tracks, &op->results[result]);
    if (is_mean(op->kind)) return a->bound + rounding * mean_count(op) * a->largest + smallest;
    if (most == 0 && float_stays_exact(op)) return 0;
    if (rule->moved == 0 || isinf(most)) return most; // moves, or what may be anything, no number among it
    if (rule->own >= 8 && largest * largest > 0x1p120) return INFINITY; // squares may leave single precision on the way, or not
    return moved_by(tracks, op, result, rule->moved * taps_of(op)) + rule->own * rounding * out->largest + smallest;
}

void graph_bounds(Arena *arena, const Func *main, const Tensor *inputs, double *bounds) {
    Tracks *tracks = ARENA_NEW(arena, Tracks);
    *tracks = (Tracks){.arena = arena};
    Tensor *outputs = ARENA_ARRAY(arena, Tensor, main->last->operand_count);
    for (int i = 0; i < main->last->operand_count; i++) outputs[i] = tensor_new(arena, op_operand(main->last, i)->type);
    eval_func(diag_new(arena, NULL), arena, main, inputs, outputs, measure, tracks);
    measure_constants(tracks, main);
    FOR_EACH_OP(main, op)
        for (int i = 0; op->kind != OP_constant && i < op->result_count; i++) {
            double bound = is_float(&op->results[i]) ? op_bound(tracks, op, i) : 0;
            track_of(tracks, &op->results[i])->bound = bound < 1e30 ? bound : INFINITY; // sums may have overflowed, or not
        }
    for (int i = 0; i < main->last->operand_count; i++) bounds[i] = track_of(tracks, op_operand(main->last, i))->bound;
}
