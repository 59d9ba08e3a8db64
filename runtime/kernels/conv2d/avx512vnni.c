// int8 convolution for AVX512-VNNI: 1x1, KxK with any stride and dilation, first layers of few channels. The input
// must have a halo (or need none), activations are stored unsigned, weights packed as `vnni32`. A kernel row of the
// window is one run of kernel_w * in_c contiguous bytes; with a dilation, each tap is a run.
#include "runtime/kernels/vnni.h"

QN_KERNEL qn_conv2d_s8s8_s8__14x32c4__avx512vnni(const struct qn_conv2d_args *a, const void *input, const void *weight,
                                                 const void *bias, const void *multiplier, void *output, int32_t begin,
                                                 int32_t end) {
    const int32_t taps = a->dilation_w == 1 ? a->kernel_w : 1;
    const struct vnni_gemm g = {
        .segments_h = a->kernel_h,
        .segments_w = a->kernel_w / taps,
        .steps = (taps * a->in_c + 3) / 4,
        .segment_row = (int64_t)a->dilation_h * a->in_row,
        .segment_column = (int64_t)a->dilation_w * a->in_c,
        .in_row = (int64_t)a->stride_h * a->in_row,
        .in_column = (int64_t)a->stride_w * a->in_c,
        .out_row = a->out_row,
        .out_column = a->out_c,
        .quant = VNNI_QUANT(a),
    };
    QN_NO_UNROLL for (int32_t row = begin; row < end;) {
        const int32_t image = row / a->out_h, y = row % a->out_h;
        const int32_t rows = a->out_h - y < end - row ? a->out_h - y : end - row;
        vnni_panels(&g, (const uint8_t *)input + (int64_t)image * a->in_image + y * g.in_row, weight, bias, multiplier,
                    (uint8_t *)output + (int64_t)image * a->out_image + y * g.out_row, rows, a->out_w, a->out_c);
        row += rows;
    }
}
