// Convolution for any x86-64 (SSE2), f32 and int8: 1x1, KxK with any stride and dilation, first layers. The input has a halo (or
// needs none), weights are packed in panels.
#include "runtime/kernels/f32_sse2.h"
#include "runtime/kernels/madd_sse2.h"

QN_KERNEL qn_conv2d_f32f32_f32__6x8__sse2(const struct qn_conv2d_args *a, const void *input, const void *weight, const void *bias,
                                          const void *multiplier, void *output, int32_t begin, int32_t end) {
    f32_sse2_conv2d(a, NULL, GEMM_ROUNDED, input, weight, bias, multiplier, NULL, output, begin, end);
}

QN_KERNEL qn_conv2d_f32f32_f32__grouped__sse2(const struct qn_conv2d_args *a, const void *input, const void *weight, const void *bias,
                                                 const void *multiplier, void *output, int32_t begin, int32_t end) {
    f32_sse2_grouped(a, input, weight, bias, multiplier, output, begin, end);
}

QN_KERNEL qn_conv2d_s8s8_s8__6x4c4__sse2(const struct qn_conv2d_args *a, const void *input, const void *weight, const void *bias,
                                         const void *multiplier, void *output, int32_t begin, int32_t end) {
    madd_sse2_conv2d_of(a, NULL, GEMM_ROUNDED, input, weight, bias, multiplier, NULL, output, begin, end);
}

QN_KERNEL qn_conv2d_s8s8_i32__6x4c4__sse2(const struct qn_conv2d_args *a, const void *input, const void *weight, const void *bias,
                                          const void *multiplier, void *output, int32_t begin, int32_t end) {
    madd_sse2_conv2d_of(a, NULL, GEMM_SUMS, input, weight, bias, multiplier, NULL, output, begin, end);
}

QN_KERNEL qn_conv2d_s8s8_f32__6x4c4__sse2(const struct qn_conv2d_args *a, const void *input, const void *weight, const void *bias,
                                          const void *multiplier, void *output, int32_t begin, int32_t end) {
    madd_sse2_conv2d_of(a, NULL, GEMM_FLOATS, input, weight, bias, multiplier, NULL, output, begin, end);
}

QN_KERNEL qn_conv2d_s16s8_s16__6x4c4__sse2(const struct qn_conv2d_args *a, const void *input, const void *weight, const void *bias,
                                      const void *multiplier, void *output, int32_t begin, int32_t end) {
    madd_sse2_conv2d(a, NULL, GEMM_WORDS, input, weight, bias, multiplier, NULL, output, begin, end);
}
