// What the verifier asks of quantized ops: all or none of the operands quantized, and for conv2d and linear with
// constant weights the proof that no sum leaves i32: per output channel, |b| + sum |w - z_w| * max|x - z_x| < 2^31.
#include <stdlib.h>

#include "ir/verify.h"

static int64_t largest_distance(const Quant *quant) {
    int64_t below = (int64_t)quant->zero_point[0] - quant->storage_min;
    int64_t above = (int64_t)quant->storage_max - quant->zero_point[0];
    return below > above ? below : above;
}

static bool bias_verify(const Op *op, const Value *bias, int64_t channels, Diag *diag) {
    const char *name = op_info(op->kind)->full_name;
    if (bias->type->elem != ELEM_I32)
        return diag_error(diag, op->loc, "%s: the bias of a quantized op is i32, found %s", name, elem_name(bias->type->elem));
    for (int i = 0; bias->type->quant && i < bias->type->quant->count; i++)
        if (bias->type->quant->zero_point[i])
            return diag_error(diag, op->loc, "%s: the bias has zero point %d, expected 0", name, bias->type->quant->zero_point[i]);
    if (type_elem_count(bias->type) != channels)
        return diag_error(diag, op->loc, "%s: %lld biases for %lld channels", name, (long long)type_elem_count(bias->type),
                          (long long)channels);
    return true;
}

// Weights O …, a row an output channel.
static bool bound_verify(const Op *op, const Value *input, const Value *weight, const Value *bias, Diag *diag) {
    const Dense *weights = value_constant(weight), *biases = value_constant(bias);
    if (!weights || !weights->data) return true;
    const Quant *quant = weight->type->quant;
    int64_t channels = weight->type->shape[0], reach = largest_distance(input->type->quant);
    int64_t per_channel = channels ? type_elem_count(weight->type) / channels : 0;
    for (int64_t c = 0; c < channels; c++) {
        int64_t sum = 0, zero = quant->zero_point[quant->axis == 0 ? c : 0];
        for (int64_t i = 0; i < per_channel; i++) sum += llabs(dense_i64(weights, c * per_channel + i) - zero);
        int64_t total = (biases && biases->data ? llabs(dense_i64(biases, c)) : 0);
        if (__builtin_mul_overflow(sum, reach, &sum) || __builtin_add_overflow(total, sum, &total) || total >= (int64_t)1 << 31)
            return diag_error(diag, op->loc,
                              "%s: sums of output channel %lld may leave 32 bits (|b| + sum |w - z_w| * max|x - z_x| = %lld)",
                              op_info(op->kind)->full_name, (long long)c, (long long)total);
    }
    return true;
}

// Operands that must be quantized together, by the row: those of type FLOAT.
static bool mixture_verify(const Op *op, Diag *diag) {
    const OpInfo *info = op_info(op->kind);
    const Value *first = op_operand(op, 0);
    bool quantized = first && first->type->quant;
    for (int i = 0; i < op->operand_count && i < info->operand_count; i++) {
        const Value *value = op->operands[i].value;
        if (!value || info->operands[i].type[0] != 'F' || info->operands[i].type[1] != 'L') continue;
        if ((value->type->quant != NULL) != quantized)
            return diag_error(diag, op->loc, "%s: operand '%s' is %s, but '%s' is %s", info->full_name, info->operands[i].name,
                              value->type->quant ? "quantized" : "not quantized", info->operands[0].name,
                              quantized ? "quantized" : "not");
    }
    if (quantized && !(info->traits & INT8))
        return diag_error(diag, op->loc, "%s has no integer form, but its operands are quantized", info->full_name);
    return true;
}

bool op_verify_quantized(const Op *op, Diag *diag) {
    if (op_info(op->kind)->dialect[0] != 'n' || op->kind == OP_fake_quant) return true; // nn only
    if (!mixture_verify(op, diag)) return false;
    bool weighted = op->kind == OP_conv2d || op->kind == OP_linear;
    if (!weighted) return true;
    const Value *input = op_operand(op, 0), *weight = op_operand(op, 1), *bias = op_operand(op, 2);
    if (!input->type->quant) return true;
    if (input->type->quant->axis >= 0)
        return diag_error(diag, op->loc, "%s: the input is quantized per axis, expected per tensor", op_info(op->kind)->full_name);
    if (bias && !bias_verify(op, bias, weight->type->shape[0], diag)) return false;
    return bound_verify(op, input, weight, bias, diag);
}
