// The meaning of elementwise ops of one and two operands.
#include <math.h>
#include <string.h>

#include "ir/eval_common.h"

// ---- two operands, broadcast

static double binary_f64(OpKind kind, double a, double b) {
    switch (kind) {
    case OP_add: return a + b;
    case OP_sub: return a - b;
    case OP_mul: return a * b;
    default: return a / b;
    }
}

// Integers wrap as two's complement does.
static int64_t binary_i64(OpKind kind, int64_t a, int64_t b) {
    switch (kind) {
    case OP_add: return (int64_t)((uint64_t)a + (uint64_t)b);
    case OP_sub: return (int64_t)((uint64_t)a - (uint64_t)b);
    case OP_mul: return (int64_t)((uint64_t)a * (uint64_t)b);
    default: return b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
    }
}

static bool binary_integers(Diag *diag, const Op *op, Walk *walk, const Tensor *a, const Tensor *b, Tensor *out,
                            const char *activation) {
    for (int64_t i = 0; i < walk->count; i++, walk_next(walk)) {
        int64_t x = tensor_i64(a, walk->offset[0]), y = tensor_i64(b, walk->offset[1]);
        if (op->kind == OP_div && !y) return eval_fail(diag, op, "division of %lld by zero", (long long)x);
        int64_t z = binary_i64(op->kind, x, y);
        if (strcmp(activation, "none") && z < 0) z = 0;
        if (!strcmp(activation, "relu6") && z > 6) z = 6;
        tensor_set_i64(out, i, z);
    }
    return true;
}

static void binary_floats(const Op *op, Walk *walk, const Tensor *a, const Tensor *b, Tensor *out,
                          const Finish *finish) {
    for (int64_t i = 0; i < walk->count; i++, walk_next(walk)) {
        double y = binary_f64(op->kind, tensor_f64(a, walk->offset[0]), tensor_f64(b, walk->offset[1]));
        tensor_set_f64(out, i, y < finish->min ? finish->min : y > finish->max ? finish->max : y);
    }
}

static void binary_quantized(const Op *op, Walk *walk, const Tensor *a, const Tensor *b, Tensor *out,
                             const Finish *f) {
    const Quant *in_a = a->type->quant, *in_b = b->type->quant, *to = out->type->quant;
    float a_m = rescale_multiplier(in_a->scale[0], to->scale[0]), b_m = rescale_multiplier(in_b->scale[0], to->scale[0]);
    float m = product_multiplier(in_a->scale[0], in_b->scale[0], to->scale[0]);
    for (int64_t i = 0; i < walk->count; i++, walk_next(walk)) {
        int32_t x = (int32_t)tensor_i64(a, walk->offset[0]) - in_a->zero_point[0];
        int32_t y = (int32_t)tensor_i64(b, walk->offset[1]) - in_b->zero_point[0];
        int32_t q = op->kind == OP_add   ? qn_add(x, a_m, y, b_m, f->zp, f->lo, f->hi)
                    : op->kind == OP_sub ? qn_sub(x, a_m, y, b_m, f->zp, f->lo, f->hi)
                                         : qn_mul(x, y, m, f->zp, f->lo, f->hi);
        tensor_set_i64(out, i, q);
    }
}

static bool eval_binary(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    const Tensor *a = operands[0], *b = operands[1];
    Tensor *out = results[0];
    const char *activation = op->kind == OP_div ? "none" : op_string(op, "activation");
    Finish finish = finish_new(op, out, activation);
    Walk walk;
    walk_begin(&walk, out->type->rank, out->type->shape);
    walk_add_broadcast(&walk, a->type);
    walk_add_broadcast(&walk, b->type);
    if (out->type->quant) {
        if (!b->type->quant) return eval_fail(diag, op, "one operand is quantized and the other is not");
        if (op->kind == OP_mul && elem_bits(a->type->elem) + elem_bits(b->type->elem) > 24)
            return eval_fail(diag, op, "products of %s and %s leave i32", elem_name(a->type->elem),
                             elem_name(b->type->elem));
        binary_quantized(op, &walk, a, b, out, &finish);
    } else if (elem_is_float(out->type->elem)) {
        binary_floats(op, &walk, a, b, out, &finish);
    } else
        return binary_integers(diag, op, &walk, a, b, out, activation);
    return true;
}

bool eval_add(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    return eval_binary(diag, op, operands, results);
}

bool eval_sub(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    return eval_binary(diag, op, operands, results);
}

bool eval_mul(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    return eval_binary(diag, op, operands, results);
}

bool eval_div(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    return eval_binary(diag, op, operands, results);
}

// ---- one operand: by table when quantized

static bool eval_unary(Diag *diag, const Op *op, const Tensor *input, Tensor *result) {
    int64_t count = type_elem_count(input->type);
    if (!result->type->quant) {
        for (int64_t i = 0; i < count; i++) tensor_set_f64(result, i, unary_f64(op, tensor_f64(input, i)));
        return true;
    }
    if (input->type->elem != ELEM_I8 || result->type->elem != ELEM_I8)
        return eval_fail(diag, op, "operand and result are stored as %s and %s, expected i8",
                         elem_name(input->type->elem), elem_name(result->type->elem));
    int8_t table[256];
    eval_table(op, table);
    for (int64_t i = 0; i < count; i++)
        ((int8_t *)result->data)[i] = table[((const uint8_t *)input->data)[i]];
    return true;
}

#define UNARY(code, name, value)                                                                                 \
    bool eval_##name(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {          \
        return eval_unary(diag, op, operands[0], results[0]);                                                    \
    }
#include "runtime/unary.def"
#undef UNARY
