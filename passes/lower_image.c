// Ops on images of bytes.
#include "ir/yuv.h"
#include "passes/lower.h"

static void yuv_planes_args(KernelArgs *args, const YuvPlanes *planes) {
    args_int(args, "frame_bytes", planes->frame_bytes);
    args_int(args, "luma", planes->luma);
    args_int(args, "luma_row", planes->luma_row);
    args_int(args, "luma_step", planes->luma_step);
    args_int(args, "u", planes->u);
    args_int(args, "v", planes->v);
    args_int(args, "chroma_row", planes->chroma_row);
    args_int(args, "chroma_step", planes->chroma_step);
    args_int(args, "chroma_shift", planes->chroma_shift);
}

void lower_yuv_to_rgb(Lower *lower, Op *op) {
    yuv_to_rgb_view view = as_yuv_to_rgb(op);
    const Type *out = view.output->type;
    YuvPlanes planes;
    int32_t matrix[YUV_MATRIX];
    int64_t factors[YUV_MATRIX];
    yuv_planes(view.layout, view.frame->type, &planes); // shape inference has made sure that it is one
    yuv_matrix(op, matrix);
    for (int i = 0; i < YUV_MATRIX; i++) factors[i] = matrix[i];
    KernelArgs args;
    args_begin(&args, "yuv");
    args_int(&args, "rows", out->shape[0] * out->shape[1]);
    args_int(&args, "out_h", out->shape[1]);
    args_int(&args, "out_w", out->shape[2]);
    args_int(&args, "top", view.top);
    args_int(&args, "left", view.left);
    yuv_planes_args(&args, &planes);
    args_ints(&args, "matrix", YUV_MATRIX, factors);
    Value *result = dense_result(lower, view.output), *buffers[] = {operand_dense(lower, view.frame), result};
    emit_kernel(lower, "u8", "u8", &args, 2, buffers);
    dense_result_done(lower, view.output, result);
}

void lower_bilinear_u8(Lower *lower, Op *op) {
    bilinear_u8_view view = as_bilinear_u8(op);
    const Type *in = view.input->type, *out = view.output->type;
    KernelArgs args;
    args_begin(&args, "bilinear");
    args_int(&args, "rows", out->shape[0] * out->shape[1]);
    args_int(&args, "in_h", in->shape[1]);
    args_int(&args, "in_w", in->shape[2]);
    args_int(&args, "out_h", out->shape[1]);
    args_int(&args, "out_w", out->shape[2]);
    args_int(&args, "channels", out->shape[3]);
    args_int(&args, "bits", view.bits);
    Value *result = dense_result(lower, view.output), *buffers[6];
    for (int i = 0; i < 5; i++) buffers[i] = operand_dense(lower, op_operand(op, i));
    buffers[5] = result;
    emit_kernel(lower, "u8", "u8", &args, 6, buffers);
    dense_result_done(lower, view.output, result);
}
