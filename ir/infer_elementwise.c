// Shape inference of elementwise ops, normalization, reductions and conversions.
#include "ir/infer.h"

#include <string.h>

static bool check_per_tensor(Diag *diag, const Op *op, Arena *arena, const Type *type) {
    if (!type->quant || type->quant->axis < 0) return true;
    return infer_fail(diag, op, arena, "an operand is quantized along axis %d, expected one scale", type->quant->axis);
}

// The shape that two shapes broadcast to, aligned at their last dimensions.
static bool broadcast_shapes(const Type *a, const Type *b, int *rank, int64_t *shape) {
    *rank = a->rank > b->rank ? a->rank : b->rank;
    for (int i = 0; i < *rank; i++) {
        int in_a = i - (*rank - a->rank), in_b = i - (*rank - b->rank);
        int64_t m = in_a < 0 ? 1 : a->shape[in_a], n = in_b < 0 ? 1 : b->shape[in_b];
        if (m != n && m != 1 && n != 1) return false;
        shape[i] = m == 1 ? n : m;
    }
    return true;
}

bool infer_broadcast(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    const Type *a = op_operand(op, 0)->type, *b = op_operand(op, 1)->type;
    if (!a->quant != !b->quant || elem_expressed(a) != elem_expressed(b))
        return infer_fail(diag, op, arena, "operands are %s and %s, expected one element type, or both quantized",
                          type_text(arena, a), type_text(arena, b));
    if (!check_per_tensor(diag, op, arena, a) || !check_per_tensor(diag, op, arena, b)) return false;
    if (op->kind != OP_div) {
        const char *name = op_string(op, "activation");
        if (strcmp(name, "none") && strcmp(name, "relu") && strcmp(name, "relu6"))
            return infer_fail(diag, op, arena, "'activation' is \"%s\", expected \"none\", \"relu\" or \"relu6\"", name);
    }
    int rank;
    int64_t shape[MAX_RANK];
    if (!broadcast_shapes(a, b, &rank, shape))
        return infer_fail(diag, op, arena, "shapes %s and %s do not broadcast", shape_text(arena, a),
                          shape_text(arena, b));
    return infer_computed(diag, op, arena, a, rank, shape, results);
}

bool infer_same(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    const Type *input = op_operand(op, 0)->type;
    if (!check_per_tensor(diag, op, arena, input)) return false;
    if (op->kind == OP_clip && !(op_float(op, "min") <= op_float(op, "max")))
        return infer_fail(diag, op, arena, "'min' is %g and 'max' is %g, expected min <= max", op_float(op, "min"),
                          op_float(op, "max"));
    return infer_computed(diag, op, arena, input, input->rank, input->shape, results);
}

static bool check_batch_norm(Diag *diag, const Op *op, Arena *arena) {
    const Type *input = op_operand(op, 0)->type;
    int64_t axis = op_int(op, "axis");
    if (axis == -1) axis = input->rank - 1;
    if (!infer_axis(diag, op, arena, "axis", axis, input->rank)) return false;
    for (int i = 1; i < op->operand_count; i++) {
        const Type *type = op_operand(op, i)->type;
        if (type->rank != 1 || type->shape[0] != input->shape[axis] || type->elem != input->elem)
            return infer_fail(diag, op, arena, "operand %d is %s, expected %lld elements of %s", i,
                              type_text(arena, type), (long long)input->shape[axis], elem_name(input->elem));
    }
    return true;
}

// batch_norm, softmax, fake_quant: the result is as the first operand.
bool infer_first(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    const Type *input = op_operand(op, 0)->type;
    if (input->quant || !elem_is_float(input->elem))
        return infer_fail(diag, op, arena, "input is %s, expected floats", type_text(arena, input));
    if (op->kind == OP_batch_norm && !check_batch_norm(diag, op, arena)) return false;
    if (op->kind == OP_softmax) {
        int64_t axis = op_int(op, "axis");
        if (axis == -1) axis = input->rank - 1;
        if (!infer_axis(diag, op, arena, "axis", axis, input->rank)) return false;
    }
    if (op->kind == OP_fake_quant) {
        const Type *as = as_fake_quant(op).as;
        if (!as || !as->quant)
            return infer_fail(diag, op, arena, "'as' is not a quantized type");
        const Quant *quant = as->quant;
        if (quant->axis >= 0 && (quant->axis >= input->rank || input->shape[quant->axis] != quant->count))
            return infer_fail(diag, op, arena, "'as' has %d scales along axis %d, input has shape %s", quant->count,
                              quant->axis, shape_text(arena, input));
    }
    return infer_computed(diag, op, arena, input, input->rank, input->shape, results);
}

bool infer_reduce(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    const Type *input = op_operand(op, 0)->type;
    IntList axes = op_ints(op, "axes");
    bool keep = op_bool(op, "keep_dims"), reduced[MAX_RANK] = {0};
    if (!check_per_tensor(diag, op, arena, input)) return false;
    for (int i = 0; i < axes.count; i++) {
        if (!infer_axis(diag, op, arena, "axes", axes.data[i], input->rank)) return false;
        if (i && axes.data[i] <= axes.data[i - 1])
            return infer_fail(diag, op, arena, "'axes' is %s, expected ascending", ints_text(arena, axes.count, axes.data));
        if (!input->shape[axes.data[i]])
            return infer_fail(diag, op, arena, "mean over axis %lld, which has no elements", (long long)axes.data[i]);
        reduced[axes.data[i]] = true;
    }
    int rank = 0;
    int64_t shape[MAX_RANK];
    for (int i = 0; i < input->rank; i++)
        if (!reduced[i] || keep) shape[rank++] = reduced[i] ? 1 : input->shape[i];
    return infer_computed(diag, op, arena, input, rank, shape, results);
}

bool infer_cast(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    const Type *input = op_operand(op, 0)->type, *to = as_cast(op).to;
    if (input->quant)
        return infer_fail(diag, op, arena, "input is %s; dequantize it instead", type_text(arena, input));
    if (!to || to->kind != TYPE_TENSOR || to->rank || to->quant)
        return infer_fail(diag, op, arena, "'to' is %s, expected a plain tensor type of rank 0",
                          to ? type_text(arena, to) : "missing");
    results[0] = type_tensor(arena, to->elem, input->rank, input->shape);
    return true;
}

bool infer_dequantize(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    const Type *input = op_operand(op, 0)->type;
    if (!input->quant)
        return infer_fail(diag, op, arena, "input is %s, expected a quantized tensor", type_text(arena, input));
    return infer_computed(diag, op, arena, input, input->rank, input->shape, results);
}
