// Shape inference of normalizations over several axes.
#include "ir/infer.h"

bool infer_normalize(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    const Type *input = op_operand(op, 0)->type;
    IntList axes = as_normalize(op).axes;
    for (int i = 0; i < axes.count; i++) {
        if (!infer_axis(diag, op, arena, "axes", axes.data[i], input->rank)) return false;
        if (i && axes.data[i] <= axes.data[i - 1])
            return infer_fail(diag, op, arena, "'axes' is %s, expected ascending", ints_text(arena, axes.count, axes.data));
        if (!input->shape[axes.data[i]])
            return infer_fail(diag, op, arena, "axis %lld has no elements", (long long)axes.data[i]);
    }
    if (!axes.count) return infer_fail(diag, op, arena, "'axes' is empty, expected at least one axis");
    return infer_computed(diag, op, arena, input, input->rank, input->shape, results);
}
