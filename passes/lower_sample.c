// Ops that read signals and images at places or frequencies of their own.
#include <string.h>

#include "passes/lower.h"

void lower_dft(Lower *lower, Op *op) {
    dft_view dft = as_dft(op);
    const int64_t *shape = dft.output->type->shape;
    KernelArgs args;
    args_begin(&args, "dft");
    args_int(&args, "rows", shape[0] * shape[1]);
    args_int(&args, "length", dft.input->type->shape[1]);
    args_int(&args, "parts", dft.input->type->shape[2]);
    args_int(&args, "bins", shape[1]);
    Value *buffers[] = {operand_dense(lower, dft.input), operand_dense(lower, dft.roots), result_buffer(lower, dft.output)};
    emit_kernel(lower, "f32", "f32", &args, 3, buffers);
}

static int word_index(const char *text, const char *const *words) {
    int i = 0;
    while (strcmp(words[i], text)) i++;
    return i;
}

void lower_sample(Lower *lower, Op *op) {
    static const char *const modes[] = {"nearest", "linear", "cubic"}, *const paddings[] = {"zeros", "border", "reflection"};
    sample_view sample = as_sample(op);
    const Type *input = sample.input->type;
    int spatial = input->rank - 2;
    int64_t size[3] = {1, 1, 1}, places = type_elem_count(sample.places->type) / spatial;
    memcpy(size + 3 - spatial, input->shape + 1, sizeof *size * (size_t)spatial);
    KernelArgs args;
    args_begin(&args, "sample");
    args_int(&args, "rows", places);
    args_ints(&args, "size", 3, size);
    args_int(&args, "spatial", spatial);
    args_int(&args, "channels", input->shape[input->rank - 1]);
    args_int(&args, "places", places / input->shape[0]);
    args_int(&args, "mode", word_index(sample.mode, modes));
    args_int(&args, "padding", word_index(sample.padding, paddings));
    args_int(&args, "align_corners", sample.align_corners);
    Value *buffers[] = {operand_dense(lower, sample.input), operand_dense(lower, sample.places), result_buffer(lower, sample.output)};
    emit_kernel(lower, "f32", "f32", &args, 3, buffers);
}

void lower_roi_align(Lower *lower, Op *op) {
    roi_align_view roi = as_roi_align(op);
    const int64_t *in = roi.input->type->shape, *out = roi.output->type->shape;
    KernelArgs args;
    args_begin(&args, "roi_align");
    args_int(&args, "rows", out[0] * out[1] * out[2]);
    args_int(&args, "images", in[0]);
    args_int(&args, "in_h", in[1]);
    args_int(&args, "in_w", in[2]);
    args_int(&args, "channels", in[3]);
    args_int(&args, "out_h", out[1]);
    args_int(&args, "out_w", out[2]);
    args_int(&args, "sampling_ratio", roi.sampling_ratio);
    args_int(&args, "half_pixel", roi.half_pixel);
    args_int(&args, "max", roi.max);
    args_float(&args, "spatial_scale", (float)roi.spatial_scale);
    Value *buffers[] = {operand_dense(lower, roi.input), operand_dense(lower, roi.rois), operand_dense(lower, roi.images), result_buffer(lower, roi.output)};
    emit_kernel(lower, "f32", "f32", &args, 4, buffers);
}

static void ints_arg(KernelArgs *args, const char *name, IntList list) {
    args_ints(args, name, 3, (int64_t[]){int_at(list, 0), int_at(list, 1), int_at(list, 2)});
}

void lower_max_pool_index(Lower *lower, Op *op) {
    max_pool_index_view pool = as_max_pool_index(op);
    const int64_t *in = pool.input->type->shape, *out = pool.output->type->shape;
    KernelArgs args;
    args_begin(&args, "max_pool_index");
    args_int(&args, "rows", out[0] * out[1] * out[2] * out[3]);
    args_ints(&args, "in", 3, in + 1);
    args_ints(&args, "out", 3, out + 1);
    args_int(&args, "channels", in[4]);
    ints_arg(&args, "window", pool.kernel);
    ints_arg(&args, "stride", pool.strides);
    ints_arg(&args, "dilation", pool.dilations);
    ints_arg(&args, "pad", pool.pads);
    Value *buffers[] = {operand_dense(lower, pool.input), result_buffer(lower, pool.output)};
    emit_kernel(lower, "f32", "i64", &args, 2, buffers);
}

void lower_eliminate(Lower *lower, Op *op) {
    eliminate_view view = as_eliminate(op);
    const Type *type = view.input->type;
    int64_t n = type->shape[type->rank - 1];
    KernelArgs args;
    args_begin(&args, "eliminate");
    args_int(&args, "rows", type_elem_count(type) / (n * n));
    args_int(&args, "n", n);
    Value *buffers[] = {operand_dense(lower, view.input), result_buffer(lower, view.output)};
    emit_kernel(lower, "f32", "f32", &args, 2, buffers);
}
