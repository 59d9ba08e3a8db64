// Elementwise ops: binary, where, unary, tables, and the changes between precisions.
#include <math.h>
#include <string.h>

#include "ir/eval.h"
#include "passes/fixed_sum.h"
#include "passes/lower.h"
#include "runtime/rounding.h"

// A copy of `value` that is spread over the whole shape of a result: where a walk over operands that repeat along different
// dimensions has more of them than a kernel takes.
static Value *spread(Lower *lower, const Value *value, Value *buffer, const Type *result) {
    const Type *type = type_with_shape(lower->arena, value->type, result->rank, result->shape);
    Value *copy = buffer_alloc(lower, type, NULL, NULL);
    const Type *types[] = {buffer->type, copy->type};
    Walk walk = walk_new(type, 2, types);
    emit_copy(lower, &walk, elem_bits(copy->type->elem) / 8, 0, buffer, copy);
    return copy;
}

static int binary_code(const Op *op) {
    switch (op->kind) {
    case OP_add: return QN_ADD;
    case OP_sub: return QN_SUB;
    case OP_mul: return QN_MUL;
    case OP_div: return QN_DIV;
    case OP_min: return QN_MIN;
    case OP_max: return QN_MAX;
    case OP_pow: return QN_POW;
    case OP_mod: return as_mod(op).fmod ? QN_FMOD : QN_MOD;
    case OP_prelu: return QN_PRELU;
    case OP_equal: return QN_EQUAL;
    case OP_less: return QN_LESS;
    case OP_less_equal: return QN_LESS_EQUAL;
    case OP_and: return QN_AND;
    case OP_or: return QN_OR;
    case OP_xor: return QN_XOR;
    case OP_shift_left: return QN_SHIFT_LEFT;
    case OP_shift_right: return QN_SHIFT_RIGHT;
    default: BUG("%s has no binary kernel", op_info(op->kind)->full_name);
    }
}

static const char *binary_activation(const Op *op) {
    return op->kind == OP_add || op->kind == OP_sub || op->kind == OP_mul ? op_string(op, "activation") : "none";
}

bool is_quantized_binary(const Op *op) {
    switch (op->kind) {
    case OP_add: case OP_sub: case OP_mul: case OP_min: case OP_max: case OP_prelu: return op->results[0].type->quant;
    default: return false;
    }
}

// As nn.add with `fused`: the bytes themselves are multiplied, not their distances from the zero points.
static void fused_args(const Op *op, KernelArgs *args) {
    static const char *const zeros[] = {"a_zp", "b_zp", "out_zp"};
    int32_t origin;
    float start;
    if (!fused_sum_start(op, &origin, &start)) return;
    args_int(args, "op", QN_FUSED_ADD);
    args_float(args, "min", start);
    for (int i = 0; i < 3; i++) args_int(args, zeros[i], -origin);
}

void binary_i8_args(const Lower *lower, const Op *op, KernelArgs *args) {
    const Quant *out = op->results[0].type->quant;
    float s_a = scale_of(op_operand(op, 0)), s_b = scale_of(op_operand(op, 1)), s_y = out->scale[0];
    int32_t lo, hi;
    activation_range(binary_activation(op), out, &lo, &hi);
    args_int(args, "op", binary_code(op));
    args_int(args, "a_zp", zero_of(op_operand(op, 0)));
    args_int(args, "b_zp", zero_of(op_operand(op, 1)));
    args_int(args, "out_zp", out->zero_point[0]);
    args_int(args, "lo", lo);
    args_int(args, "hi", hi);
    args_int(args, "flip", flip_of(lower, op->results[0].type));
    args_float(args, "a_multiplier", op->kind == OP_mul ? product_multiplier(s_a, s_b, s_y) : rescale_multiplier(s_a, s_y));
    float product = product_multiplier(s_a, s_b, s_y);
    args_float(args, "b_multiplier", op->kind == OP_mul ? 0 : op->kind == OP_prelu ? product : rescale_multiplier(s_b, s_y));
    fused_args(op, args);
}

void binary_fixed_args(KernelArgs *args) {
    struct qn_binary_args binary;
    memcpy(&binary, args->words, sizeof binary);
    fixed_sum_find(&binary);
    memcpy(args->words, &binary, sizeof binary);
}

void sums_args(const Lower *lower, const Op *op, int own, KernelArgs *args) {
    const Quant *out = op->results[0].type->quant;
    int32_t lo, hi;
    activation_range(binary_activation(op), out, &lo, &hi);
    args_int(args, "b_zp", zero_of(op_operand(op, !own)));
    args_int(args, "out_zp", out->zero_point[0]);
    args_int(args, "lo", lo);
    args_int(args, "hi", hi);
    args_int(args, "flip", lower->flip);
    args_float(args, "b_multiplier", rescale_multiplier(scale_of(op_operand(op, !own)), out->scale[0]));
}

// Sums that no kernel of their own stored as what they become: add, with the operand `own`, or dequantize (own 0).
static void lower_sums(Lower *lower, Op *op, int own) {
    static const char *const names[] = {"sums", "m", "b", "out"};
    Value *sums = op_operand(op, own), *out = result_buffer(lower, &op->results[0]), *buffers[4] = {operand_any(lower, sums)};
    const Quant *quant = sums->type->quant;
    const bool adds = op->kind == OP_add;
    buffers[1] = buffer_weights(lower, ELEM_F32, sum_multipliers(lower, op, sums), sizeof(float) * (size_t)quant->count, NULL);
    buffers[2] = adds ? operand_any(lower, op_operand(op, !own)) : NULL;
    buffers[3] = out;
    const Type *types[] = {buffers[0]->type, buffers[1]->type, adds ? buffers[2]->type : out->type, out->type};
    Walk walk = walk_new(op->results[0].type, 4, types);
    KernelArgs args;
    args_begin(&args, "sums");
    BUG_UNLESS(walk_args(&walk, &args, names), "a walk over buffers of one shape");
    if (adds) sums_args(lower, op, own, &args);
    emit_kernel(lower, adds ? "i32s8" : "i32", adds ? "s8" : "f32", &args, 4, buffers);
}

void lower_binary(Lower *lower, Op *op) {
    static const char *const names[] = {"a", "b", "out"};
    if (lower_conv2d_add(lower, op) || lower_as_table(lower, op)) return;
    for (int own = 0; own < 2; own++)
        if (type_is_sums(op_operand(op, own)->type)) {
            lower_sums(lower, op, own);
            return;
        }
    Value *a = operand_any(lower, op_operand(op, 0)), *b = operand_any(lower, op_operand(op, 1));
    Value *out = result_buffer(lower, &op->results[0]), *buffers[] = {a, b, out};
    const Type *types[] = {a->type, b->type, out->type}, *type = op->results[0].type;
    const Type *operand = op_operand(op, 0)->type;
    const char *elem = kernel_elem(operand), *activation = binary_activation(op);
    Walk walk = walk_new(type, 3, types);
    KernelArgs args;
    args_begin(&args, "binary");
    if (!walk_args(&walk, &args, names)) {
        for (int i = 0; i < 2; i++) types[i] = (buffers[i] = spread(lower, op_operand(op, i), buffers[i], type))->type;
        walk = walk_new(type, 3, types);
        BUG_UNLESS(walk_args(&walk, &args, names), "a walk over dense buffers of one shape");
    }
    args_int(&args, "op", binary_code(op));
    if (type->quant) {
        binary_i8_args(lower, op, &args);
        bool fused = args_get(&args, "op") == QN_FUSED_ADD;
        if (type->elem == ELEM_I8 && (fused || strcmp(choose_kernel(lower, "s8s8", "s8", &args)->isa, "generic"))) binary_fixed_args(&args);
    } else {
        float min, max;
        float_activation(activation, &min, &max);
        args_float(&args, "min", min);
        args_float(&args, "max", max);
    }
    const char *operands = arena_printf(lower->arena, "%s%s", elem, elem), *result = kernel_elem(type);
    bool clamps_integers = !operand->quant && !elem_is_float(operand->elem) && strcmp(activation, "none");
    if (!elem || !result || clamps_integers || !has_kernel(lower, operands, result, &args)) no_kernel(lower, op, operand);
    else emit_kernel(lower, operands, result, &args, 3, buffers);
}

void lower_where(Lower *lower, Op *op) {
    static const char *const names[] = {"condition", "a", "b", "out"};
    Value *buffers[4];
    const Type *types[4], *type = op->results[0].type;
    for (int i = 0; i < 3; i++) buffers[i] = operand_any(lower, op_operand(op, i));
    buffers[3] = result_buffer(lower, &op->results[0]);
    for (int i = 0; i < 4; i++) types[i] = buffers[i]->type;
    Walk walk = walk_new(type, 4, types);
    KernelArgs args;
    args_begin(&args, "where");
    if (elem_bits(type->elem) < 8) {
        no_kernel(lower, op, type);
        return;
    }
    if (!walk_args(&walk, &args, names)) {
        for (int i = 0; i < 3; i++) types[i] = (buffers[i] = spread(lower, op_operand(op, i), buffers[i], type))->type;
        walk = walk_new(type, 4, types);
        BUG_UNLESS(walk_args(&walk, &args, names), "a walk over dense buffers of one shape");
    }
    args_int(&args, "elem_bytes", elem_bits(type->elem) / 8);
    emit_kernel(lower, "any", "any", &args, 4, buffers);
}

// ---- one operand

static int unary_code(const Op *op) {
    switch (op->kind) {
#define UNARY(code, op, value) \
    case OP_##op: return QN_##code;
#include "runtime/unary.def"
#undef UNARY
    case OP_not: return QN_NOT;
    case OP_is_nan: return QN_IS_NAN;
    case OP_is_inf: return QN_IS_INF;
    default: BUG("%s has no unary kernel", op_info(op->kind)->full_name);
    }
}

static void unary_op(const Op *op, KernelArgs *args) {
    float alpha = 0, beta = 0;
    switch (op->kind) { // the attributes of those that have any
    case OP_clip: alpha = (float)as_clip(op).min; beta = (float)as_clip(op).max; break;
    case OP_leaky_relu: alpha = (float)as_leaky_relu(op).alpha; break;
    case OP_hard_sigmoid: alpha = (float)as_hard_sigmoid(op).alpha; beta = (float)as_hard_sigmoid(op).beta; break;
    case OP_elu: alpha = (float)as_elu(op).alpha; break;
    case OP_selu: alpha = (float)as_selu(op).alpha; beta = (float)as_selu(op).gamma; break;
    case OP_celu: alpha = (float)as_celu(op).alpha; break;
    case OP_gelu: alpha = *as_gelu(op).approximate == 't'; break;
    case OP_swish: alpha = (float)as_swish(op).alpha; break;
    case OP_thresholded_relu: alpha = (float)as_thresholded_relu(op).alpha; break;
    case OP_shrink: alpha = (float)as_shrink(op).lambda; beta = (float)as_shrink(op).bias; break;
    case OP_is_inf: alpha = as_is_inf(op).negative; beta = as_is_inf(op).positive; break;
    default: break;
    }
    args_int(args, "op", unary_code(op));
    args_float(args, "alpha", alpha);
    args_float(args, "beta", beta);
}

// Plain integers have few of the functions.
static bool has_unary_kernel(const Op *op, const Type *in) {
    if (elem_is_float(in->elem)) return in->elem == ELEM_F32;
    if (op->kind == OP_not) return kernel_elem(in) != NULL;
    return kernel_elem(in) && in->elem != ELEM_I1 && (op->kind == OP_abs || op->kind == OP_neg || op->kind == OP_sign);
}

void lower_unary(Lower *lower, Op *op) {
    static const char *const names[] = {"in", "out"};
    if (lower_as_table(lower, op) || lower_word_table(lower, op)) return;
    Value *in = operand_any(lower, op_operand(op, 0)), *out = result_buffer(lower, &op->results[0]);
    const Type *types[] = {in->type, out->type}, *type = op->results[0].type;
    Walk walk = walk_new(type, 2, types);
    KernelArgs args;
    args_begin(&args, "unary");
    BUG_UNLESS(walk_args(&walk, &args, names), "a walk over buffers of one shape");
    const Type *operand = op_operand(op, 0)->type;
    if (!has_unary_kernel(op, operand)) {
        no_kernel(lower, op, operand);
        return;
    }
    unary_op(op, &args);
    Value *buffers[] = {in, out};
    emit_kernel(lower, kernel_elem(operand), kernel_elem(type), &args, 2, buffers);
}

// ---- precisions

// 8 bits to 8 bits by table, where a kernel does many bytes at once.
static bool requantize_by_table(Lower *lower, const Walk *walk, const Quant *from, const Quant *to, Value *in, Value *out) {
    static const char *const names[] = {"in", "out"};
    KernelArgs args;
    args_begin(&args, "table");
    if (!walk_args(walk, &args, names)) return false;
    const KernelInfo *kernel = choose_kernel(lower, "s8", "s8", &args);
    if (!strcmp(kernel->isa, "generic")) return false;
    uint8_t *table = arena_alloc(lower->arena, 256);
    float m = rescale_multiplier(from->scale[0], to->scale[0]);
    for (int q = -128; q < 128; q++) {
        int32_t y = qn_requantize(q - from->zero_point[0], m, to->zero_point[0], to->storage_min, to->storage_max);
        table[(q & 255) ^ lower->flip] = (uint8_t)(y ^ lower->flip);
    }
    Value *buffers[] = {in, buffer_weights(lower, ELEM_U8, table, 256, NULL), out};
    emit_call(lower, kernel, &args, 3, buffers);
    return true;
}

static const char *quant_text(const Quant *quant) { return !quant ? "f32" : quant->storage == ELEM_I16 ? "s16" : "s8"; }

// walk's first strides are the input's.
static void emit_quantize(Lower *lower, const Walk *walk, const Quant *from, const Quant *to, Value *in, Value *out) {
    static const char *const names[] = {"in", "out"};
    KernelArgs args;
    args_begin(&args, "quantize");
    BUG_UNLESS(walk_args(walk, &args, names), "a walk over more than 5 dimensions");
    const bool bytes = from && to && elem_bits(from->storage) == 8 && elem_bits(to->storage) == 8;
    if (bytes && requantize_by_table(lower, walk, from, to, in, out)) return;
    float scale = from && to ? rescale_multiplier(from->scale[0], to->scale[0]) : from ? from->scale[0] : to->scale[0];
    args_float(&args, "scale", scale);
    if (from) args_int(&args, "in_zp", from->zero_point[0]);
    if (to) {
        args_int(&args, "out_zp", to->zero_point[0]);
        args_int(&args, "lo", to->storage_min);
        args_int(&args, "hi", to->storage_max);
    }
    args_int(&args, "flip", lower->flip);
    Value *buffers[] = {in, out};
    emit_kernel(lower, quant_text(from), quant_text(to), &args, 2, buffers);
}

// What reads a transpose's or slice's result reads its operand in that order: one kernel, no copy.
static bool through_move(Lower *lower, Op *op, Walk *walk, Value **in) {
    const Value *moved = op_operand(op, 0);
    if (op->kind == OP_requantize || !is_read_through(lower, moved) || lowered_get(lower, moved)->buffer) return false;
    Walk merged = *walk;
    *in = moved_operand(lower, moved->def, &merged);
    *walk = merged;
    walk_merge(&merged);
    if (merged.rank <= 5) return true;
    copy_moved(lower, moved->def);
    return false;
}

// u8 and i8 with zero points 128 apart: the same bytes but for the top bit, which is how some targets store i8.
static bool moves_storage(const Op *op) {
    const Type *from = op_operand(op, 0)->type, *to = op->results[0].type;
    return op->kind == OP_requantize && from->quant && to->quant && from->elem != to->elem && elem_bits(from->elem) == elem_bits(to->elem);
}

static void lower_moved_storage(Lower *lower, Op *op) {
    Value *result = &op->results[0], *in = operand_dense(lower, op_operand(op, 0));
    const Type *type = type_buffer(lower->arena, result->type, stored_elem(lower, result->type), NULL);
    static const int32_t none[4];
    const Lowered *placed = lowered_get(lower, result);
    bool anywhere = !placed->buffer && !placed->whole && !memcmp(placed->halo, none, sizeof none);
    if (anywhere && in->type->elem == type->elem) {
        result_is(lower, result, buffer_view(lower, in, type, 0));
        return;
    }
    Value *out = result_buffer(lower, result);
    const Type *types[] = {in->type, out->type};
    Walk walk = walk_new(result->type, 2, types);
    emit_copy(lower, &walk, 1, in->type->elem == out->type->elem ? 0 : 0x80, in, out);
}

void lower_quantize(Lower *lower, Op *op) {
    if (is_read_by_order(lower, &op->results[0])) return;
    if (type_is_sums(op_operand(op, 0)->type)) {
        if (lowered_get(lower, op_operand(op, 0))->buffer) lower_sums(lower, op, 0); // else their kernel stored floats
        return;
    }
    if (moves_storage(op)) {
        lower_moved_storage(lower, op);
        return;
    }
    Value *out = result_buffer(lower, &op->results[0]), *in = out;
    const Type *from = op_operand(op, 0)->type, *to = op->results[0].type;
    const Type *types[] = {out->type, out->type};
    Walk walk = walk_new(to, 2, types);
    if (!through_move(lower, op, &walk, &in)) {
        in = operand_any(lower, op_operand(op, 0));
        types[0] = in->type;
        walk = walk_new(to, 2, types);
    }
    emit_quantize(lower, &walk, from->quant, to->quant, in, out);
}

void lower_fake_quant(Lower *lower, Op *op) {
    fake_quant_view fake = as_fake_quant(op);
    Value *in = operand_any(lower, fake.input), *out = result_buffer(lower, fake.output);
    Quant *quant = arena_copy(lower->arena, fake.as->quant, sizeof *quant);
    quant->storage = ELEM_I8; // narrower storage is a narrower range of it
    const Type *type = type_quantized(lower->arena, quant, fake.output->type->rank, fake.output->type->shape);
    Value *middle = buffer_alloc(lower, type, NULL, NULL);
    const Type *first[] = {in->type, middle->type}, *second[] = {middle->type, out->type};
    Walk walk = walk_new(type, 2, first);
    emit_quantize(lower, &walk, NULL, quant, in, middle);
    walk = walk_new(type, 2, second);
    emit_quantize(lower, &walk, quant, NULL, middle, out);
}

static bool is_in_place(Lower *lower, const Value *value, const Value *whole, int64_t axis, int64_t from) {
    const Lowered *lowered = lowered_get(lower, value);
    return lowered->whole == whole && lowered->axis == axis && lowered->from == from;
}

void lower_concat(Lower *lower, Op *op) {
    concat_view concat = as_concat(op);
    Value *out = result_buffer(lower, concat.output);
    const Type *type = concat.output->type;
    int64_t axis = concat.axis < 0 ? concat.axis + type->rank : concat.axis, strides[MAX_RANK], at = 0;
    buffer_strides(out->type, strides);
    int bytes = elem_bits(out->type->elem) / 8;
    for (int i = 0; i < concat.inputs.count; i++) {
        Value *input = concat.inputs.uses[i].value, *in = operand_any(lower, input);
        const int64_t from = at;
        at += input->type->shape[axis];
        if (!type_elem_count(input->type) || is_in_place(lower, input, concat.output, axis, from)) continue;
        const Type *types[] = {in->type, out->type};
        Walk walk = walk_new(input->type, 2, types);
        memcpy(walk.strides[1], strides, sizeof strides);
        Value *place = buffer_view(lower, out, out->type, from * strides[axis] * bytes);
        if (type->quant && !quant_equal(type->quant, input->type->quant))
            emit_quantize(lower, &walk, input->type->quant, type->quant, in, place);
        else emit_copy(lower, &walk, bytes, 0, in, place);
    }
}
