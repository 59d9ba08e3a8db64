// What the verifier asks of quantized ops: quantized results from quantized operands, and for conv2d and linear with
// constant weights the proof that no sum leaves i32: per output channel, |b| + sum |w - z_w| * max|x - z_x| < 2^31; of 16-bit inputs
// 48 bits, < 2^47; likewise of matmul of 16 bits, whatever its operands hold.
#include <stdlib.h>
#include <string.h>

#include "ir/verify.h"

static int64_t largest_distance(const Quant *quant) {
    int64_t below = (int64_t)quant->zero_point[0] - quant->storage_min;
    int64_t above = (int64_t)quant->storage_max - quant->zero_point[0];
    return below > above ? below : above;
}

// Weights O …, a row an output channel.
static bool bound_verify(const Op *op, const Value *input, const Value *weight, const Value *bias, Diag *diag) {
    const Dense *weights = value_constant(weight), *biases = value_constant(bias);
    if (!weights || !weights->data) return true;
    const Quant *quant = weight->type->quant;
    int64_t channels = weight->type->shape[0], reach = largest_distance(input->type->quant);
    const int bits = input->type->elem == ELEM_I16 ? 48 : 32;
    int64_t per_channel = channels ? type_elem_count(weight->type) / channels : 0;
    for (int64_t c = 0; c < channels; c++) {
        int64_t sum = 0, zero = quant->zero_point[quant->axis == 0 ? c : 0];
        for (int64_t i = 0; i < per_channel; i++) sum += llabs(dense_i64(weights, c * per_channel + i) - zero);
        int64_t total = (biases && biases->data ? llabs(dense_i64(biases, c)) : 0);
        if (__builtin_mul_overflow(sum, reach, &sum) || __builtin_add_overflow(total, sum, &total) || total >= (int64_t)1 << (bits - 1))
            return diag_error(diag, op->loc,
                              "%s: sums of output channel %lld may leave %d bits (|b| + sum |w - z_w| * max|x - z_x| = %lld)",
                              op_info(op->kind)->full_name, (long long)c, bits, (long long)total);
    }
    return true;
}

// A result that is sums: without an activation, and with the scales that follow from the operands'.
static bool sums_verify(const Op *op, const Type *result, Diag *diag) {
    const char *name = op_info(op->kind)->full_name;
    if (strcmp(op_string(op, "activation"), "none"))
        return diag_error(diag, op->loc, "%s: the result is its sums, expected no activation", name);
    if (op_operand(op, 0)->type->elem == ELEM_I16) return diag_error(diag, op->loc, "%s: the result is its sums, expected an input of 8 bits", name);
    const Quant *quant = result->quant, *input = op_operand(op, 0)->type->quant, *weight = op_operand(op, 1)->type->quant;
    Arena *scratch = arena_new();
    const Quant *expected = quant_sums(scratch, input, weight, quant->axis, quant->count);
    bool good = true;
    for (int c = 0; good && c < quant->count; c++)
        if (quant->scale[c] != expected->scale[c] || quant->zero_point[c])
            good = diag_error(diag, op->loc, "%s: the result is its sums, but channel %d has scale %s and zero point %d, expected %s and 0", name, c,
                              float_text(scratch, quant->scale[c]), quant->zero_point[c], float_text(scratch, expected->scale[c]));
    arena_free(scratch);
    return good;
}

// Quantized operands give a quantized result, others none; types of operands against each other are inference's matter.
static bool result_verify(const Op *op, Diag *diag) {
    const OpInfo *info = op_info(op->kind);
    const Value *first = op_operand(op, 0);
    if (op->kind == OP_quantize || op->kind == OP_dequantize || !first || !op->result_count) return true;
    if (op->kind == OP_lookup) return true; // the result is of the table's type
    const Type *result = op->results[0].type;
    if (first->type->quant && !(info->traits & INT8))
        return diag_error(diag, op->loc, "%s has no integer form, but its operands are quantized", info->full_name);
    if (!first->type->quant != !result->quant)
        return diag_error(diag, op->loc, "%s: the operands are %squantized, but the result is%s", info->full_name,
                          first->type->quant ? "" : "not ", result->quant ? "" : " not");
    if ((op->kind == OP_conv2d || op->kind == OP_linear) && type_is_sums(result)) return sums_verify(op, result, diag);
    if (first->type->elem == ELEM_I16 && first->type->quant && !op_computes_in(op->kind, ELEM_I16))
        return diag_error(diag, op->loc, "%s has no form on 16 bits, but its operands are; dequantize them", info->full_name);
    bool computed = !(info->traits & MOVES_DATA) && op->kind != OP_requantize;
    if (computed && result->quant && result->quant->axis >= 0)
        return diag_error(diag, op->loc, "%s: the result is quantized per axis, expected one scale", info->full_name);
    return true;
}

// Products of two tensors of 16 bits, of any values.
static bool words_product_verify(const Op *op, Diag *diag) {
    const Type *a = op_operand(op, 0)->type, *b = op_operand(op, 1)->type;
    if (a->elem != ELEM_I16 || !a->quant || !b->quant) return true;
    int64_t largest, terms = a->shape[a->rank - 1];
    if (!__builtin_mul_overflow(largest_distance(a->quant) * largest_distance(b->quant), terms, &largest) && largest < (int64_t)1 << 47) return true;
    return diag_error(diag, op->loc, "%s: sums of %lld products may leave 48 bits", op_info(op->kind)->full_name, (long long)terms);
}

bool op_verify_quantized(const Op *op, Diag *diag) {
    if (strcmp(op_info(op->kind)->dialect, "nn")) return true;
    if (!result_verify(op, diag)) return false;
    if (op->kind == OP_matmul) return words_product_verify(op, diag);
    if (op->kind != OP_conv2d && op->kind != OP_linear) return true;
    const Value *input = op_operand(op, 0), *weight = op_operand(op, 1), *bias = op_operand(op, 2);
    if (!input->type->quant) return true;
    const Quant *quant = bias ? bias->type->quant : NULL;
    for (int i = 0; quant && i < quant->count; i++)
        if (quant->zero_point[i])
            return diag_error(diag, op->loc, "%s: the bias has zero point %d, expected 0", op_info(op->kind)->full_name,
                              quant->zero_point[i]);
    return bound_verify(op, input, weight, bias, diag);
}
