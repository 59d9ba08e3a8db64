// Ops on images of bytes.
#include "ir/yuv.h"
#include "passes/lower.h"
#include "passes/pack_resample.h"

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

// Constant columns as a kernel wants them that the target has, where the rows are constant too.
static bool packed_columns(Lower *lower, const bilinear_u8_view *view, KernelArgs *args, Value **buffers) {
    const Dense *rows = value_constant(view->row_weights), *columns = value_constant(view->columns), *weights = value_constant(view->column_weights);
    const Type *in = view->input->type, *out = view->output->type;
    PackedBlocks blocks;
    if (!rows || !columns || !weights || !bilinear_rows_fit((int)out->shape[1], (int)view->bits, rows->data)) return false;
    args_int(args, "packed", 1);
    if (!has_kernel(lower, "u8", "u8", args) || !pack_bilinear(lower->arena, (int)in->shape[2], (int)out->shape[2], (int)out->shape[3], (int)view->bits,
                                                               columns->data, weights->data, &blocks)) {
        args_int(args, "packed", 0);
        return false;
    }
    args_int(args, "packed", blocks.count);
    buffers[3] = buffer_weights(lower, ELEM_I32, blocks.headers, blocks.header_bytes, NULL);
    buffers[4] = buffer_weights(lower, ELEM_U8, blocks.tables, blocks.table_bytes, NULL);
    return true;
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
    const bool packed = packed_columns(lower, &view, &args, buffers);
    for (int i = 0; i < (packed ? 3 : 5); i++) buffers[i] = operand_dense(lower, op_operand(op, i));
    buffers[5] = result;
    emit_kernel(lower, "u8", "u8", &args, 6, buffers);
    dense_result_done(lower, view.output, result);
}
