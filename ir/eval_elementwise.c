// The meaning of elementwise ops of one and two operands.
#include <math.h>
#include <string.h>

#include "ir/eval_common.h"

// ---- two operands, broadcast

// The rest of a / b, exactly; fmod is exact in IEEE arithmetic on every machine.
static double mod_f64(const Op *op, double a, double b) {
    double rest = fmod(a, b);
    if (op_bool(op, "fmod")) return rest;
    if (rest == 0) return copysign(0, b);
    return (rest < 0) != (b < 0) ? rest + b : rest;
}

static double binary_f64(const Op *op, double a, double b) {
    switch (op->kind) {
    case OP_add: return a + b;
    case OP_sub: return a - b;
    case OP_mul: return a * b;
    case OP_div: return a / b;
    case OP_min: return a < b || isnan(a) ? a : b;
    case OP_max: return a > b || isnan(a) ? a : b;
    case OP_pow: return qn_pow_f64(a, b);
    case OP_mod: return mod_f64(op, a, b);
    case OP_prelu: return a < 0 ? a * b : a;
    case OP_equal: return a == b;
    case OP_less: return a < b;
    case OP_less_equal: return a <= b;
    default: BUG("%s has no meaning on floats", op_info(op->kind)->full_name);
    }
}

// `large`: b is an unsigned integer of 64 bits, and so never negative.
static int64_t pow_i64(int64_t a, int64_t b, bool large) {
    if (b < 0 && !large) return a == 1 ? 1 : a == -1 ? (b % 2 ? -1 : 1) : 0;
    uint64_t power = (uint64_t)a, result = 1;
    for (uint64_t rest = (uint64_t)b; rest; rest >>= 1, power *= power)
        if (rest & 1) result *= power;
    return (int64_t)result;
}

// b is not 0. Unsigned 64-bit integers come as int64_t, and need their own comparison, quotient and rest.
static int64_t mod_i64(const Op *op, int64_t a, int64_t b) {
    int64_t rest = b == -1 ? 0 : a % b;
    return rest && !op_bool(op, "fmod") && (rest < 0) != (b < 0) ? rest + b : rest;
}

static int64_t shift_i64(const Op *op, int64_t a, int64_t b, int bits, bool is_signed) {
    bool all = b < 0 || b >= bits;
    if (op->kind == OP_shift_left) return all ? 0 : (int64_t)((uint64_t)a << b);
    if (is_signed) return a >> (all ? 63 : b);
    return all ? 0 : (int64_t)((uint64_t)a >> b);
}

// Integers wrap as two's complement does. `large`: unsigned 64 bits.
static int64_t binary_i64(const Op *op, int64_t a, int64_t b, Elem elem) {
    bool large = elem == ELEM_U64;
    uint64_t ua = (uint64_t)a, ub = (uint64_t)b;
    bool less = large ? ua < ub : a < b;
    switch (op->kind) {
    case OP_add: return (int64_t)(ua + ub);
    case OP_sub: return (int64_t)(ua - ub);
    case OP_mul: return (int64_t)(ua * ub);
    case OP_div: return large ? (int64_t)(ua / ub) : b == -1 ? (int64_t)(0 - ua) : a / b;
    case OP_min: return less ? a : b;
    case OP_max: return less ? b : a;
    case OP_pow: return pow_i64(a, b, large);
    case OP_mod: return large ? (int64_t)(ua % ub) : mod_i64(op, a, b);
    case OP_equal: return a == b;
    case OP_less: return less;
    case OP_less_equal: return less || a == b;
    case OP_and: return a & b;
    case OP_or: return a | b;
    case OP_xor: return a ^ b;
    case OP_shift_left: case OP_shift_right: return shift_i64(op, a, b, elem_bits(elem), elem_is_signed(elem));
    default: BUG("%s has no meaning on integers", op_info(op->kind)->full_name);
    }
}

static bool binary_integers(Diag *diag, const Op *op, Walk *walk, const Tensor *a, const Tensor *b, Tensor *out,
                            const char *activation) {
    for (int64_t i = 0; i < walk->count; i++, walk_next(walk)) {
        int64_t x = tensor_i64(a, walk->offset[0]), y = tensor_i64(b, walk->offset[1]);
        if ((op->kind == OP_div || op->kind == OP_mod) && !y)
            return eval_fail(diag, op, "division of %lld by zero", (long long)x);
        int64_t z = binary_i64(op, x, y, a->type->elem);
        if (strcmp(activation, "none") && z < 0) z = 0;
        if (!strcmp(activation, "relu6") && z > 6) z = 6;
        tensor_set_i64(out, i, z);
    }
    return true;
}

static void binary_floats(const Op *op, Walk *walk, const Tensor *a, const Tensor *b, Tensor *out,
                          const Finish *finish) {
    for (int64_t i = 0; i < walk->count; i++, walk_next(walk)) {
        double y = binary_f64(op, tensor_f64(a, walk->offset[0]), tensor_f64(b, walk->offset[1]));
        tensor_set_f64(out, i, y < finish->min ? finish->min : y > finish->max ? finish->max : y);
    }
}

// Sums and a residual of the same shape: the sums' multipliers are those of their channels.
static void add_to_sums(const Tensor *sums, const Tensor *residual, Tensor *out, const Finish *f) {
    const Quant *own = sums->type->quant, *other = residual->type->quant, *to = out->type->quant;
    const float m = rescale_multiplier(other->scale[0], to->scale[0]);
    for (int64_t i = 0, count = type_elem_count(out->type); i < count; i++) {
        const int32_t x = (int32_t)tensor_i64(sums, i), y = (int32_t)tensor_i64(residual, i) - other->zero_point[0];
        const float own_m = rescale_multiplier(own->scale[i % own->count], to->scale[0]);
        tensor_set_i64(out, i, qn_add(x, own_m, y, m, f->zp, f->lo, f->hi));
    }
}

static void binary_quantized(const Op *op, Walk *walk, const Tensor *a, const Tensor *b, Tensor *out,
                             const Finish *f) {
    const Quant *in_a = a->type->quant, *in_b = b->type->quant, *to = out->type->quant;
    float a_m = rescale_multiplier(in_a->scale[0], to->scale[0]), b_m = rescale_multiplier(in_b->scale[0], to->scale[0]);
    float m = product_multiplier(in_a->scale[0], in_b->scale[0], to->scale[0]), start;
    int32_t origin;
    bool fused = fused_sum_start(op, &origin, &start);
    for (int64_t i = 0; i < walk->count; i++, walk_next(walk)) {
        int32_t x = (int32_t)tensor_i64(a, walk->offset[0]) - in_a->zero_point[0];
        int32_t y = (int32_t)tensor_i64(b, walk->offset[1]) - in_b->zero_point[0];
        int32_t q = 0;
        switch (op->kind) {
        case OP_add:
            if (fused) q = qn_fused_add(x + in_a->zero_point[0] + origin, a_m, y + in_b->zero_point[0] + origin, b_m, start, -origin, f->lo, f->hi);
            else q = qn_add(x, a_m, y, b_m, f->zp, f->lo, f->hi);
            break;
        case OP_sub: q = qn_sub(x, a_m, y, b_m, f->zp, f->lo, f->hi); break;
        case OP_mul: q = qn_mul_wide(x, y, m, f->zp, f->lo, f->hi); break;
        case OP_min: q = qn_lesser(x, a_m, y, b_m, f->zp, f->lo, f->hi); break;
        case OP_prelu: q = qn_prelu_wide(x, a_m, y, m, f->zp, f->lo, f->hi); break;
        case OP_max: q = qn_larger(x, a_m, y, b_m, f->zp, f->lo, f->hi); break;
        default: BUG("%s has no quantized form", op_info(op->kind)->full_name);
        }
        tensor_set_i64(out, i, q);
    }
}

static bool eval_binary(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    const Tensor *a = operands[0], *b = operands[1];
    Tensor *out = results[0];
    bool arithmetic = op->kind == OP_add || op->kind == OP_sub || op->kind == OP_mul;
    const char *activation = arithmetic ? op_string(op, "activation") : "none";
    Finish finish = finish_new(op, out, activation);
    Walk walk;
    walk_begin(&walk, out->type->rank, out->type->shape);
    walk_add_broadcast(&walk, a->type);
    walk_add_broadcast(&walk, b->type);
    if (out->type->quant) {
        if (!b->type->quant) return eval_fail(diag, op, "one operand is quantized and the other is not");
        if (type_is_sums(a->type)) add_to_sums(a, b, out, &finish);
        else if (type_is_sums(b->type)) add_to_sums(b, a, out, &finish);
        else binary_quantized(op, &walk, a, b, out, &finish);
    } else if (elem_is_float(a->type->elem)) {
        binary_floats(op, &walk, a, b, out, &finish);
    } else
        return binary_integers(diag, op, &walk, a, b, out, activation);
    return true;
}

#define BINARY(name)                                                                                             \
    bool eval_##name(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {          \
        return eval_binary(diag, op, operands, results);                                                         \
    }
BINARY(add)
BINARY(sub)
BINARY(mul)
BINARY(div)
BINARY(min)
BINARY(max)
BINARY(pow)
BINARY(mod)
BINARY(prelu)
BINARY(equal)
BINARY(less)
BINARY(less_equal)
BINARY(and)
BINARY(or)
BINARY(xor)
BINARY(shift_left)
BINARY(shift_right)

bool eval_where(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag, (void)op;
    const Type *out = results[0]->type;
    Walk walk;
    walk_begin(&walk, out->rank, out->shape);
    for (int i = 0; i < 3; i++) walk_add_broadcast(&walk, operands[i]->type);
    for (int64_t i = 0; i < walk.count; i++, walk_next(&walk)) {
        int chosen = tensor_i64(operands[0], walk.offset[0]) ? 1 : 2;
        copy_elems(results[0], i, operands[chosen], walk.offset[chosen], 1);
    }
    return true;
}

// ---- one operand: by table when quantized

static int64_t unary_i64(const Op *op, int64_t x, Elem elem) {
    bool negative = x < 0 && elem != ELEM_U64;
    switch (op->kind) {
    case OP_abs: return negative ? (int64_t)(0 - (uint64_t)x) : x;
    case OP_neg: return (int64_t)(0 - (uint64_t)x);
    case OP_sign: return negative ? -1 : x != 0;
    case OP_not: return elem == ELEM_I1 ? !x : ~x;
    default: BUG("%s has no meaning on integers", op_info(op->kind)->full_name);
    }
}

static bool eval_unary(Diag *diag, const Op *op, const Tensor *input, Tensor *result) {
    int64_t count = type_elem_count(input->type);
    if (!input->type->quant && !elem_is_float(input->type->elem)) {
        for (int64_t i = 0; i < count; i++) tensor_set_i64(result, i, unary_i64(op, tensor_i64(input, i), input->type->elem));
        return true;
    }
    if (!result->type->quant) {
        for (int64_t i = 0; i < count; i++) tensor_set_f64(result, i, unary_f64(op, tensor_f64(input, i)));
        return true;
    }
    const Elem elem = input->type->elem;
    if ((elem != ELEM_I8 && elem != ELEM_I16) || result->type->elem != elem)
        return eval_fail(diag, op, "operand and result are stored as %s and %s, expected i8 or i16 for both",
                         elem_name(elem), elem_name(result->type->elem));
    int8_t bytes[256];
    if (elem == ELEM_I8) eval_table(op, bytes);
    for (int64_t i = 0; i < count; i++)
        if (elem == ELEM_I8) ((int8_t *)result->data)[i] = bytes[((const uint8_t *)input->data)[i]];
        else ((int16_t *)result->data)[i] = (int16_t)eval_table_entry(op, ((const int16_t *)input->data)[i]);
    return true;
}

#define UNARY(code, name, value)                                                                                 \
    bool eval_##name(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {          \
        return eval_unary(diag, op, operands[0], results[0]);                                                    \
    }
#include "runtime/unary.def"
UNARY(NOT, not, )
UNARY(IS_NAN, is_nan, )
UNARY(IS_INF, is_inf, )
#undef UNARY
