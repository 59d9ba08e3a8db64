// Shape inference of ops that choose elements by their values: the results are as large as they may have to be.
#include "ir/infer.h"

bool infer_true_indices(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    int64_t count = type_elem_count(op_operand(op, 0)->type), rest = as_true_indices(op).rest;
    if (op_operand(op, 0)->type->elem != ELEM_I1)
        return infer_fail(diag, op, arena, "input is %s, expected i1", type_text(arena, op_operand(op, 0)->type));
    if (rest < INT32_MIN || rest > INT32_MAX)
        return infer_fail(diag, op, arena, "'rest' is %lld, expected 32 bits", (long long)rest);
    if (!infer_shape(diag, op, arena, 1, &count)) return false;
    results[0] = type_tensor(arena, ELEM_I64, 1, &count);
    return true;
}

bool infer_arg_sort(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    const Type *input = op_operand(op, 0)->type;
    if (!infer_rank(diag, op, arena, "input", input, 3)) return false;
    if (input->quant) return infer_fail(diag, op, arena, "input is quantized; dequantize first");
    results[0] = type_tensor(arena, ELEM_I64, 2, input->shape);
    return true;
}

bool infer_non_max_suppression(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    non_max_suppression_view nms = as_non_max_suppression(op);
    const Type *boxes = nms.boxes->type, *scores = nms.scores->type, *order = nms.order->type;
    if (!infer_rank(diag, op, arena, "boxes", boxes, 3) || !infer_rank(diag, op, arena, "scores", scores, 3)) return false;
    if (boxes->elem != ELEM_F32 || scores->elem != ELEM_F32 || order->elem != ELEM_I64 || !type_same_shape(order, scores))
        return infer_fail(diag, op, arena, "boxes are %s, scores %s and order %s, expected f32 and i64 of the scores' shape",
                          type_text(arena, boxes), type_text(arena, scores), type_text(arena, order));
    if (boxes->shape[2] != 4 || boxes->shape[0] != scores->shape[0] || boxes->shape[1] != scores->shape[2])
        return infer_fail(diag, op, arena, "boxes of shape %s do not fit scores of shape %s", shape_text(arena, boxes),
                          shape_text(arena, scores));
    if (nms.most < 0 || nms.most > scores->shape[2])
        return infer_fail(diag, op, arena, "'most' is %lld, expected 0 to %lld", (long long)nms.most, (long long)scores->shape[2]);
    int64_t shape[3] = {scores->shape[0], scores->shape[1], nms.most};
    if (!infer_shape(diag, op, arena, 3, shape)) return false;
    results[0] = type_tensor(arena, ELEM_I64, 3, shape);
    return true;
}
