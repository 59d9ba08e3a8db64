// Shape inference of ops on images of bytes.
#include "ir/infer.h"
#include "ir/yuv.h"

static bool infer_yuv_matrix(Diag *diag, const Op *op, Arena *arena, IntList matrix) {
    bool fits = !matrix.count || matrix.count == YUV_MATRIX;
    for (int i = 0; fits && i < matrix.count; i++)
        fits = i == YUV_BLACK ? matrix.data[i] >= 0 && matrix.data[i] <= 255 : matrix.data[i] > -YUV_MOST && matrix.data[i] < YUV_MOST;
    return fits || infer_fail(diag, op, arena, "'matrix' is %s, expected nothing, or five factors of less than %d and the luma of black",
                              ints_text(arena, matrix.count, matrix.data), YUV_MOST);
}

bool infer_yuv_to_rgb(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    yuv_to_rgb_view view = as_yuv_to_rgb(op);
    const Type *frame = view.frame->type;
    YuvPlanes planes;
    if (frame->quant || frame->elem != ELEM_U8 || !yuv_planes(view.layout, frame, &planes))
        return infer_fail(diag, op, arena, "frame is %s, expected u8 of images x rows x bytes x 1, of layout nv12, nv21, i420 or yv12 with a multiple of 3 "
                          "rows of even bytes, or of yuyv or uyvy with a multiple of 4 bytes; it is '%s'", type_text(arena, frame), view.layout);
    const bool begins = view.top >= 0 && view.left >= 0;
    const int64_t height = view.height || !begins ? view.height : planes.height - view.top;
    const int64_t width = view.width || !begins ? view.width : planes.width - view.left;
    if (!begins || height < 0 || width < 0 || view.top > planes.height - height || view.left > planes.width - width)
        return infer_fail(diag, op, arena, "%lld x %lld pixels at [%lld, %lld] are not within %lld x %lld", (long long)height, (long long)width,
                          (long long)view.top, (long long)view.left, (long long)planes.height, (long long)planes.width);
    if (!infer_yuv_matrix(diag, op, arena, view.matrix)) return false;
    return infer_computed(diag, op, arena, frame, 4, (int64_t[]){frame->shape[0], height, width, 3}, results);
}

// Two indices and two weights for each row, or column, of the result.
static bool infer_pairs(Diag *diag, const Op *op, Arena *arena, int first, int axis) {
    const Type *indices = op_operand(op, first)->type, *weights = op_operand(op, first + 1)->type;
    const int64_t size = op_operand(op, 0)->type->shape[axis];
    if (indices->quant || weights->quant || indices->elem != ELEM_I32 || weights->elem != ELEM_I32 || indices->rank != 2 || indices->shape[1] != 2 ||
        !type_same_shape(indices, weights))
        return infer_fail(diag, op, arena, "indices of dimension %d are %s and weights %s, expected i32 of outputs x 2", axis, type_text(arena, indices),
                          type_text(arena, weights));
    if (!size && indices->shape[0]) return infer_fail(diag, op, arena, "dimension %d of the input has no elements to take", axis);
    return infer_in_range(diag, op, arena, op_operand(op, first), axis, size);
}

bool infer_bilinear_u8(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    bilinear_u8_view view = as_bilinear_u8(op);
    const Type *input = view.input->type;
    if (input->quant || input->elem != ELEM_U8 || input->rank != 4)
        return infer_fail(diag, op, arena, "input is %s, expected u8 of 4 dimensions", type_text(arena, input));
    if (view.bits != 11 && view.bits != 8) return infer_fail(diag, op, arena, "'bits' is %lld, expected 11 or 8", (long long)view.bits);
    if (!infer_pairs(diag, op, arena, 1, 1) || !infer_pairs(diag, op, arena, 3, 2)) return false;
    const int64_t shape[] = {input->shape[0], view.rows->type->shape[0], view.columns->type->shape[0], input->shape[3]};
    return infer_computed(diag, op, arena, input, 4, shape, results);
}
