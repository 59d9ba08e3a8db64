// Winograd's convolution for any x86-64 (SSE2): see winograd_madd.def and winograd_f32.def.
#include "runtime/kernels/winograd_sse2.h"
#include "runtime/kernels/winograd_f32_sse2.h"

QN_KERNEL qn_winograd_s8s8_s8__6x8__sse2(const struct qn_winograd_args *a, const void *input, const void *weight, const void *bias,
                                        const void *multiplier, void *scratch, void *output, int32_t begin, int32_t end) {
    const struct qn_conv2d_args conv = winograd_conv2d_of(a);
    winograd_sse2_conv2d_of(&conv, a->block, NULL, GEMM_ROUNDED, input, weight, bias, multiplier, NULL, scratch, output, begin, end);
}

QN_KERNEL qn_winograd_s8s8_i32__6x8__sse2(const struct qn_winograd_args *a, const void *input, const void *weight, const void *bias,
                                        const void *multiplier, void *scratch, void *output, int32_t begin, int32_t end) {
    const struct qn_conv2d_args conv = winograd_conv2d_of(a);
    winograd_sse2_conv2d_of(&conv, a->block, NULL, GEMM_SUMS, input, weight, bias, multiplier, NULL, scratch, output, begin, end);
}

QN_KERNEL qn_winograd_s8s8_f32__6x8__sse2(const struct qn_winograd_args *a, const void *input, const void *weight, const void *bias,
                                        const void *multiplier, void *scratch, void *output, int32_t begin, int32_t end) {
    const struct qn_conv2d_args conv = winograd_conv2d_of(a);
    winograd_sse2_conv2d_of(&conv, a->block, NULL, GEMM_FLOATS, input, weight, bias, multiplier, NULL, scratch, output, begin, end);
}

QN_KERNEL qn_winograd_f32f32_f32__6x8__sse2(const struct qn_winograd_args *a, const void *input, const void *weight, const void *bias,
                                             const void *multiplier, void *scratch, void *output, int32_t begin, int32_t end) {
    (void)multiplier;
    winograd_f32_sse2_conv2d(a, input, weight, bias, scratch, output, begin, end);
}
