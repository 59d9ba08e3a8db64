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

static bool has_activation(const Op *op) {
    const OpInfo *info = op_info(op->kind);
    for (int i = 0; i < info->attr_count; i++)
        if (!strcmp(info->attrs[i].name, "activation")) return true;
    return false;
}

// Sums are added to, unrounded, one scale for each channel.
static bool check_scales(Diag *diag, const Op *op, Arena *arena, const Type *a, const Type *b) {
    const bool sums = type_is_sums(a) || type_is_sums(b);
    if (op->kind != OP_add || !sums) return check_per_tensor(diag, op, arena, a) && check_per_tensor(diag, op, arena, b);
    const Type *other = type_is_sums(a) ? b : a;
    if (!type_same_shape(a, b))
        return infer_fail(diag, op, arena, "sums of shape %s and an operand of shape %s, expected one shape",
                          shape_text(arena, other == a ? b : a), shape_text(arena, other));
    return check_per_tensor(diag, op, arena, other);
}

bool infer_broadcast(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    const Type *a = op_operand(op, 0)->type, *b = op_operand(op, 1)->type;
    if (!a->quant != !b->quant || elem_expressed(a) != elem_expressed(b))
        return infer_fail(diag, op, arena, "operands are %s and %s, expected one element type, or both quantized",
                          type_text(arena, a), type_text(arena, b));
    if (!check_scales(diag, op, arena, a, b)) return false;
    if (has_activation(op)) {
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

// shift_left, shift_right: of integers, which booleans are not.
bool infer_shift(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_broadcast(diag, op, arena, results)) return false;
    return results[0]->elem != ELEM_I1 || infer_fail(diag, op, arena, "operands are of i1, expected integers");
}

// equal, less, less_equal: of plain tensors, to i1.
bool infer_compare(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_broadcast(diag, op, arena, results)) return false;
    if (op_operand(op, 0)->type->quant) return infer_fail(diag, op, arena, "operands are quantized; dequantize them");
    results[0] = type_tensor(arena, ELEM_I1, results[0]->rank, results[0]->shape);
    return true;
}

// is_nan, is_inf: as the input, to i1.
bool infer_test(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    const Type *input = op_operand(op, 0)->type;
    results[0] = type_tensor(arena, ELEM_I1, input->rank, input->shape);
    return true;
}

bool infer_where(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    const Type *condition = op_operand(op, 0)->type, *a = op_operand(op, 1)->type, *b = op_operand(op, 2)->type;
    if (a->quant || b->quant || a->elem != b->elem)
        return infer_fail(diag, op, arena, "operands are %s and %s, expected one plain element type", type_text(arena, a),
                          type_text(arena, b));
    int rank;
    int64_t shape[MAX_RANK];
    if (!broadcast_shapes(a, b, &rank, shape) ||
        !broadcast_shapes(condition, type_tensor(arena, a->elem, rank, shape), &rank, shape))
        return infer_fail(diag, op, arena, "shapes %s, %s and %s do not broadcast", shape_text(arena, condition),
                          shape_text(arena, a), shape_text(arena, b));
    return infer_computed(diag, op, arena, a, rank, shape, results);
}

bool infer_same(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    const Type *input = op_operand(op, 0)->type;
    if (!check_per_tensor(diag, op, arena, input)) return false;
    if (op->kind == OP_clip && !(op_float(op, "min") <= op_float(op, "max")))
        return infer_fail(diag, op, arena, "'min' is %g and 'max' is %g, expected min <= max", op_float(op, "min"),
                          op_float(op, "max"));
    if (op->kind == OP_gelu && strcmp(op_string(op, "approximate"), "none") && strcmp(op_string(op, "approximate"), "tanh"))
        return infer_fail(diag, op, arena, "'approximate' is \"%s\", expected \"none\" or \"tanh\"", op_string(op, "approximate"));
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

// 'axis', where -1 is the last.
static bool check_along(Diag *diag, const Op *op, Arena *arena, const Type *input) {
    int64_t axis = op_int(op, "axis");
    return infer_axis(diag, op, arena, "axis", axis == -1 ? input->rank - 1 : axis, input->rank);
}

bool infer_softmax(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    const Type *input = op_operand(op, 0)->type;
    if (!check_per_tensor(diag, op, arena, input) || !check_along(diag, op, arena, input)) return false;
    return infer_computed(diag, op, arena, input, input->rank, input->shape, results);
}

// batch_norm, log_softmax, hardmax, fake_quant: the result is as the first operand.
bool infer_first(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    const Type *input = op_operand(op, 0)->type;
    if (input->quant || !elem_is_float(input->elem))
        return infer_fail(diag, op, arena, "input is %s, expected floats", type_text(arena, input));
    if (op->kind == OP_batch_norm && !check_batch_norm(diag, op, arena)) return false;
    if ((op->kind == OP_log_softmax || op->kind == OP_hardmax) && !check_along(diag, op, arena, input)) return false;
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
        if (op->kind == OP_reduce_mean && !input->shape[axes.data[i]])
            return infer_fail(diag, op, arena, "mean over axis %lld, which has no elements", (long long)axes.data[i]);
        reduced[axes.data[i]] = true;
    }
    int rank = 0;
    int64_t shape[MAX_RANK];
    for (int i = 0; i < input->rank; i++)
        if (!reduced[i] || keep) shape[rank++] = reduced[i] ? 1 : input->shape[i];
    if (op_has(op, MOVES_DATA)) return infer_moved(diag, op, arena, input, rank, shape, -1, results);
    return infer_computed(diag, op, arena, input, rank, shape, results);
}

// cum_sum, cum_prod: as the input, which is not quantized.
bool infer_along(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    const Type *input = op_operand(op, 0)->type;
    if (input->quant) return infer_fail(diag, op, arena, "input is %s; dequantize it", type_text(arena, input));
    return check_along(diag, op, arena, input) && infer_computed(diag, op, arena, input, input->rank, input->shape, results);
}

// arg_max, arg_min
bool infer_arg(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_along(diag, op, arena, results)) return false;
    const Type *input = op_operand(op, 0)->type;
    int64_t axis = op_int(op, "axis"), shape[MAX_RANK];
    if (axis == -1) axis = input->rank - 1;
    if (!input->shape[axis]) return infer_fail(diag, op, arena, "axis %lld has no elements", (long long)axis);
    int rank = 0;
    for (int i = 0; i < input->rank; i++)
        if (i != axis || op_bool(op, "keep_dims")) shape[rank++] = i == axis ? 1 : input->shape[i];
    results[0] = type_tensor(arena, ELEM_I64, rank, shape);
    return true;
}

bool infer_top_k(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_along(diag, op, arena, results)) return false;
    top_k_view top = as_top_k(op);
    const Type *input = top.input->type;
    int64_t axis = top.axis == -1 ? input->rank - 1 : top.axis, shape[MAX_RANK];
    if (top.k < 0 || top.k > input->shape[axis])
        return infer_fail(diag, op, arena, "'k' is %lld, expected 0 to the %lld elements of axis %lld", (long long)top.k,
                          (long long)input->shape[axis], (long long)axis);
    memcpy(shape, input->shape, sizeof(int64_t) * (size_t)input->rank);
    shape[axis] = top.k;
    results[0] = type_tensor(arena, ELEM_I64, input->rank, shape);
    return true;
}

// Booleans are 0 or 1 in memory, which the bits of other types need not be.
bool infer_bit_cast(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    const Type *input = op_operand(op, 0)->type, *to = as_bit_cast(op).to;
    if (!to || to->kind != TYPE_TENSOR || to->rank || to->quant || to->elem == ELEM_I1 || input->quant ||
        elem_bits(to->elem) != elem_bits(input->elem))
        return infer_fail(diag, op, arena, "input is %s and 'to' is %s, expected plain elements of as many bits, and no booleans",
                          type_text(arena, input), to ? type_text(arena, to) : "missing");
    results[0] = type_tensor(arena, to->elem, input->rank, input->shape);
    return true;
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
