// Ops that choose elements by their values.
#include "passes/lower.h"

void lower_true_indices(Lower *lower, Op *op) {
    true_indices_view view = as_true_indices(op);
    KernelArgs args;
    args_begin(&args, "true_indices");
    args_int(&args, "rows", 1);
    args_int(&args, "count", type_elem_count(view.input->type));
    args_int(&args, "rest", view.rest);
    Value *buffers[] = {operand_dense(lower, view.input), result_buffer(lower, view.output)};
    emit_kernel(lower, "i1", "i64", &args, 2, buffers);
}

void lower_arg_sort(Lower *lower, Op *op) {
    arg_sort_view view = as_arg_sort(op);
    const int64_t *shape = view.input->type->shape;
    const char *elem = kernel_elem(view.input->type);
    KernelArgs args;
    args_begin(&args, "arg_sort");
    args_int(&args, "rows", shape[0]);
    args_int(&args, "count", shape[1]);
    args_int(&args, "width", shape[2]);
    args_int(&args, "descending", view.descending);
    if (!elem || !has_kernel(lower, elem, "i64", &args)) {
        no_kernel(lower, op, view.input->type);
        return;
    }
    Value *buffers[] = {operand_dense(lower, view.input), result_buffer(lower, view.output)};
    emit_kernel(lower, elem, "i64", &args, 2, buffers);
}

void lower_non_max_suppression(Lower *lower, Op *op) {
    non_max_suppression_view nms = as_non_max_suppression(op);
    const int64_t *shape = nms.scores->type->shape;
    KernelArgs args;
    args_begin(&args, "non_max_suppression");
    args_int(&args, "rows", shape[0] * shape[1]);
    args_int(&args, "classes", shape[1]);
    args_int(&args, "boxes", shape[2]);
    args_int(&args, "most", nms.most);
    args_int(&args, "center", nms.center);
    args_float(&args, "iou_threshold", (float)nms.iou_threshold);
    args_float(&args, "score_threshold", (float)nms.score_threshold);
    Value *buffers[] = {operand_dense(lower, nms.boxes), operand_dense(lower, nms.scores), operand_dense(lower, nms.order),
                        result_buffer(lower, nms.output)};
    emit_kernel(lower, "f32", "i64", &args, 4, buffers);
}
