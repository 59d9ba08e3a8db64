// Folds into a convolution's or linear layer's constant weights and bias whatever follows it channel by channel:
// batch normalization, multiplication and addition by a constant. In double, rounded once.
//     y = g * (conv(x, w) + b) + h   =>   w' = g * w,  b' = g * b + h
// A batch normalization of images that follows nothing foldable becomes a depthwise convolution of one tap, which takes
// what follows in turn, and an activation; one of other tensors a multiplication and an addition; one whose parameters
// are computed the ops of its formula.
#include <math.h>

#include "passes/rewrite.h"

// y = gain[c] * x + offset[c] along the last axis, of `channels` elements.
typedef struct { int64_t channels; double *gain, *offset; } Affine;

static bool affine_of_batch_norm(const Op *op, Arena *scratch, Affine *affine) {
    batch_norm_view bn = as_batch_norm(op);
    const float *scale = constant_f32(scratch, bn.scale), *bias = constant_f32(scratch, bn.bias);
    const float *mean = constant_f32(scratch, bn.mean), *variance = constant_f32(scratch, bn.variance);
    if (!scale || !bias || !mean || !variance) return false;
    affine->channels = type_elem_count(bn.scale->type);
    affine->gain = ARENA_ARRAY(scratch, double, affine->channels);
    affine->offset = ARENA_ARRAY(scratch, double, affine->channels);
    for (int64_t c = 0; c < affine->channels; c++) {
        affine->gain[c] = scale[c] / sqrt((double)variance[c] + bn.epsilon);
        affine->offset[c] = bias[c] - mean[c] * affine->gain[c];
    }
    return true;
}

// A constant that varies along the last axis only (or not at all), over a value of `channels` channels.
static bool channel_constant(const Value *value, int64_t channels, int rank, Arena *scratch, double *out) {
    const float *data = constant_f32(scratch, value);
    if (!data || value->type->rank > rank) return false;
    int64_t count = type_elem_count(value->type), last = value->type->rank ? value->type->shape[value->type->rank - 1] : 1;
    if (count != 1 && (count != channels || last != channels)) return false;
    for (int64_t c = 0; c < channels; c++) out[c] = data[count == 1 ? 0 : c];
    return true;
}

// mul by, add or sub of, a channel constant; *operand is the other operand's index.
static bool affine_of_binary(const Op *op, Arena *scratch, Affine *affine, int *operand) {
    if (op->kind != OP_mul && op->kind != OP_add && op->kind != OP_sub) return false;
    if (is_activated(op)) return false;
    const Type *type = op->results[0].type;
    if (type->rank < 1 || type->elem != ELEM_F32 || type->quant) return false;
    affine->channels = type->shape[type->rank - 1];
    affine->gain = ARENA_ARRAY(scratch, double, affine->channels);
    affine->offset = ARENA_ARRAY(scratch, double, affine->channels);
    for (*operand = 0; *operand < 2; ++*operand) {
        const Value *x = op_operand(op, *operand), *constant = op_operand(op, 1 - *operand);
        if (!x->def || !type_same_shape(x->type, type) || (op->kind == OP_sub && *operand == 1)) continue;
        double *into = op->kind == OP_mul ? affine->gain : affine->offset;
        if (!channel_constant(constant, affine->channels, type->rank, scratch, into)) continue;
        for (int64_t c = 0; c < affine->channels; c++) {
            if (op->kind != OP_mul) affine->gain[c] = 1;
            if (op->kind == OP_sub) affine->offset[c] = -affine->offset[c];
        }
        return true;
    }
    return false;
}

// The convolution or linear op that makes `value`, when its weights can absorb what follows.
static Op *absorber(const Value *value, Arena *scratch) {
    Op *op = value_def(value, OP_conv2d);
    if (!op) op = value_def(value, OP_linear);
    if (!op || is_activated(op) || !value_has_one_use(value)) return NULL;
    if (!constant_f32(scratch, op_operand(op, 1))) return NULL;
    return !op_operand(op, 2) || constant_f32(scratch, op_operand(op, 2)) ? op : NULL;
}

static void absorb_affine(Op *op, const Affine *affine, Arena *scratch) {
    Value *weight = op_operand(op, 1), *bias = op_operand(op, 2);
    const float *w = constant_f32(scratch, weight), *b = bias ? constant_f32(scratch, bias) : NULL;
    int64_t channels = weight->type->shape[0], count = type_elem_count(weight->type), each = channels ? count / channels : 0;
    BUG_UNLESS(channels == affine->channels, "affine of %lld channels on %lld", (long long)affine->channels, (long long)channels);
    Arena *arena = op->func->module->arena;
    bool scaled = false;
    for (int64_t c = 0; c < channels; c++) scaled = scaled || affine->gain[c] != 1;
    float *new_w = ARENA_ARRAY(arena, float, scaled ? count : 0), *new_b = ARENA_ARRAY(arena, float, channels);
    for (int64_t c = 0; c < channels; c++) {
        for (int64_t i = 0; scaled && i < each; i++) new_w[c * each + i] = (float)(affine->gain[c] * w[c * each + i]);
        new_b[c] = (float)(affine->gain[c] * (b ? b[c] : 0) + affine->offset[c]);
    }
    if (scaled) op_set_operand(op, 1, new_constant_f32(op, weight->type->rank, weight->type->shape, new_w, weight->name));
    op_set_operand(op, 2, new_constant_f32(op, 1, &channels, new_b, bias ? bias->name : NULL));
}

static int64_t batch_norm_axis(const Op *op) {
    int64_t axis = as_batch_norm(op).axis;
    return axis < 0 ? axis + op->results[0].type->rank : axis;
}

static Value *affine_constant(Op *op, const double *values, int64_t channels, int64_t axis) {
    int rank = op->results[0].type->rank;
    int64_t shape[MAX_RANK];
    for (int i = 0; i < rank; i++) shape[i] = i == axis ? channels : 1;
    float *data = ARENA_ARRAY(op->func->module->arena, float, channels);
    for (int64_t c = 0; c < channels; c++) data[c] = (float)values[c];
    return new_constant_f32(op, rank, shape, data, NULL);
}

static void expand_batch_norm(Op *op, const Affine *affine) {
    int64_t axis = batch_norm_axis(op);
    Builder builder = builder_before(op);
    Value *scaled[] = {op_operand(op, 0), affine_constant(op, affine->gain, affine->channels, axis)};
    Op *product = op_new(&builder, OP_mul, 2, scaled, 1, NULL, NULL);
    Value *terms[] = {&product->results[0], affine_constant(op, affine->offset, affine->channels, axis)};
    Op *sum = op_new(&builder, OP_add, 2, terms, 1, NULL, NULL);
    absorb(op, &sum->results[0]);
}

static bool fits_f32(const double *values, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        if (!isfinite((float)values[i])) return false;
    return true;
}

// Channels last, so that it is a convolution. Of no elements, or with weights that no quantization could take: not.
static bool can_be_depthwise(const Op *op, const Affine *affine) {
    const Type *type = op->results[0].type;
    if (type->rank != 4 || batch_norm_axis(op) != 3 || !type_elem_count(type)) return false;
    return fits_f32(affine->gain, affine->channels) && fits_f32(affine->offset, affine->channels);
}

static void make_depthwise(Op *op, const Affine *affine) {
    Arena *arena = op->func->module->arena;
    const int64_t channels = affine->channels, shape[] = {channels, 1, 1, 1}, ones[] = {1, 1}, pads[4] = {0};
    float *weight = ARENA_ARRAY(arena, float, channels), *bias = ARENA_ARRAY(arena, float, channels);
    for (int64_t c = 0; c < channels; c++) weight[c] = (float)affine->gain[c], bias[c] = (float)affine->offset[c];
    Value *operands[] = {op_operand(op, 0), new_constant_f32(op, 4, shape, weight, as_batch_norm(op).scale->name),
                         new_constant_f32(op, 1, &channels, bias, as_batch_norm(op).bias->name)};
    Attr *attrs = attr_ints(arena, attr_ints(arena, NULL, "strides", 2, ones), "pads", 4, pads);
    attrs = attr_int(arena, attr_ints(arena, attrs, "dilations", 2, ones), "group", channels);
    Builder builder = builder_before(op);
    absorb(op, &op_new(&builder, OP_conv2d, 3, operands, 1, NULL, attrs)->results[0]);
}

// ---- parameters that are computed

static Value *new_binary(Builder *builder, OpKind kind, Value *a, Value *b) {
    return &op_new(builder, kind, 2, (Value *[]){a, b}, 1, NULL, NULL)->results[0];
}

// One value a channel, as it broadcasts along the axis.
static Value *along_axis(Builder *builder, Arena *arena, const Op *op, Value *channels) {
    int rank = op->results[0].type->rank;
    int64_t shape[MAX_RANK], axis = batch_norm_axis(op);
    for (int i = 0; i < rank; i++) shape[i] = i == axis ? type_elem_count(channels->type) : 1;
    const Type *type = type_with_shape(arena, channels->type, rank, shape);
    return &op_new(builder, OP_reshape, 1, &channels, 1, &type, attr_ints(arena, NULL, "shape", rank, shape))->results[0];
}

// (x - mean) * (scale / sqrt(variance + epsilon)) + bias
static void compute_batch_norm(Op *op) {
    Builder builder = builder_before(op);
    batch_norm_view bn = as_batch_norm(op);
    Arena *arena = op->func->module->arena;
    float *number = ARENA_NEW(arena, float);
    *number = (float)bn.epsilon;
    Value *epsilon = new_constant_f32(op, 0, NULL, number, NULL);
    Value *variance = new_binary(&builder, OP_add, (Value *)bn.variance, epsilon);
    Value *deviation = &op_new(&builder, OP_sqrt, 1, &variance, 1, NULL, NULL)->results[0];
    Value *gain = new_binary(&builder, OP_div, (Value *)bn.scale, deviation);
    Value *centered = new_binary(&builder, OP_sub, (Value *)bn.input, along_axis(&builder, arena, op, (Value *)bn.mean));
    Value *scaled = new_binary(&builder, OP_mul, centered, along_axis(&builder, arena, op, gain));
    absorb(op, new_binary(&builder, OP_add, scaled, along_axis(&builder, arena, op, (Value *)bn.bias)));
}

bool fold_batch_norm(Module *module, const PassContext *context) {
    Arena *scratch = context->scratch;
    for (Func *func = module->funcs; func; func = func->next)
        FOR_EACH_OP(func, op) {
            Affine affine;
            int operand = 0;
            if (op->kind == OP_batch_norm) {
                if (!affine_of_batch_norm(op, scratch, &affine)) {
                    compute_batch_norm(op);
                    continue;
                }
                bool last = batch_norm_axis(op) == op->results[0].type->rank - 1;
                if (!last || !absorber(op_operand(op, 0), scratch)) {
                    if (can_be_depthwise(op, &affine)) make_depthwise(op, &affine);
                    else expand_batch_norm(op, &affine);
                    continue;
                }
            } else if (!affine_of_binary(op, scratch, &affine, &operand)) continue;
            Op *producer = absorber(op_operand(op, operand), scratch);
            if (!producer || producer->results[0].type->rank != op->results[0].type->rank) continue;
            absorb_affine(producer, &affine, scratch);
            absorb(op, &producer->results[0]);
        }
    return true;
}
