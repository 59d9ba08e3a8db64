// The meaning of conversions: between real and quantized, between scales, between element types.
#include <math.h>

#include "ir/eval_common.h"

bool eval_quantize(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag, (void)op;
    const Quant *to = results[0]->type->quant;
    int64_t count = type_elem_count(results[0]->type), inner = quant_inner(results[0]->type);
    for (int64_t i = 0; i < count; i++) {
        int64_t c = i / inner % to->count;
        float x = (float)tensor_f64(operands[0], i);
        tensor_set_i64(results[0], i, quantize_value(x, to->scale[c], to->zero_point[c], to->storage_min, to->storage_max));
    }
    return true;
}

// As qn_dequantize; zero points are subtracted where they can't overflow, for i32 storage.
static float dequantize_value(const Tensor *tensor, int64_t index, int64_t c) {
    const Quant *quant = tensor->type->quant;
    return (float)(tensor_i64(tensor, index) - quant->zero_point[c]) * quant->scale[c];
}

bool eval_dequantize(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag, (void)op;
    const Type *type = operands[0]->type;
    int64_t count = type_elem_count(type), inner = quant_inner(type);
    for (int64_t i = 0; i < count; i++)
        tensor_set_f64(results[0], i, dequantize_value(operands[0], i, i / inner % type->quant->count));
    return true;
}

bool eval_requantize(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    const Quant *from = operands[0]->type->quant, *to = results[0]->type->quant;
    if (from->axis >= 0 || to->axis >= 0 || elem_bits(from->storage) > 16 || elem_bits(to->storage) > 16)
        return eval_fail(diag, op, "expected one scale and storage of at most 16 bits");
    float m = rescale_multiplier(from->scale[0], to->scale[0]);
    int64_t count = type_elem_count(operands[0]->type);
    for (int64_t i = 0; i < count; i++) {
        int32_t x = (int32_t)tensor_i64(operands[0], i) - from->zero_point[0];
        tensor_set_i64(results[0], i, qn_requantize(x, m, to->zero_point[0], to->storage_min, to->storage_max));
    }
    return true;
}

bool eval_fake_quant(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag;
    const Quant *quant = as_fake_quant(op).as->quant;
    Type as = *operands[0]->type;
    as.quant = quant;
    int64_t count = type_elem_count(&as), inner = quant_inner(&as);
    for (int64_t i = 0; i < count; i++) {
        int64_t c = i / inner % quant->count;
        int32_t zp = quant->zero_point[c];
        float x = (float)tensor_f64(operands[0], i);
        int64_t q = quantize_value(x, quant->scale[c], zp, quant->storage_min, quant->storage_max);
        tensor_set_f64(results[0], i, (float)(q - zp) * quant->scale[c]);
    }
    return true;
}

// An integer to a float, rounded once. A double holds 53 bits; of what lies beyond, only whether it is 0 matters to
// narrower floats.
static void set_rounded(Tensor *tensor, int64_t index, int64_t value, bool is_unsigned) {
    bool negative = !is_unsigned && value < 0, wide = tensor->type->elem == ELEM_F64;
    uint64_t size = negative ? 0 - (uint64_t)value : (uint64_t)value;
    if (size >> 53 && !wide) size = (size >> 11 | ((size & 2047) != 0)) << 11;
    double real = (double)size;
    tensor_set_f64(tensor, index, negative ? -real : real);
}

bool eval_cast(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag, (void)op;
    bool from_float = elem_is_float(operands[0]->type->elem), to_float = elem_is_float(results[0]->type->elem);
    bool to_bool = results[0]->type->elem == ELEM_I1;
    int64_t count = type_elem_count(operands[0]->type);
    for (int64_t i = 0; i < count; i++) {
        double x = from_float ? tensor_f64(operands[0], i) : 0;
        if (!from_float && to_float) set_rounded(results[0], i, tensor_i64(operands[0], i), operands[0]->type->elem == ELEM_U64);
        else if (!from_float) tensor_set_i64(results[0], i, tensor_i64(operands[0], i));
        else if (to_bool) tensor_set_i64(results[0], i, x != 0);
        else tensor_set_f64(results[0], i, to_float ? x : trunc(x));
    }
    return true;
}
