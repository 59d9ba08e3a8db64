// Fully connected layers for any x86-64 (SSE2), f32 and int8: the tiles and packings of convolutions; the rows of `a` are pixels.
#include "runtime/kernels/f32_sse2.h"
#include "runtime/kernels/madd_sse2.h"

QN_KERNEL qn_linear_f32f32_f32__6x8__sse2(const struct qn_linear_args *a, const void *input, const void *weight, const void *bias,
                                          const void *multiplier, void *output, int32_t begin, int32_t end) {
    f32_sse2_linear(a, GEMM_ROUNDED, input, weight, bias, multiplier, output, begin, end);
}

QN_KERNEL qn_linear_s8s8_s8__6x4c4__sse2(const struct qn_linear_args *a, const void *input, const void *weight, const void *bias,
                                         const void *multiplier, void *output, int32_t begin, int32_t end) {
    madd_sse2_linear_of(a, GEMM_ROUNDED, input, weight, bias, multiplier, output, begin, end);
}

QN_KERNEL qn_linear_s8s8_i32__6x4c4__sse2(const struct qn_linear_args *a, const void *input, const void *weight, const void *bias,
                                          const void *multiplier, void *output, int32_t begin, int32_t end) {
    madd_sse2_linear_of(a, GEMM_SUMS, input, weight, bias, multiplier, output, begin, end);
}

QN_KERNEL qn_linear_s8s8_f32__6x4c4__sse2(const struct qn_linear_args *a, const void *input, const void *weight, const void *bias,
                                          const void *multiplier, void *output, int32_t begin, int32_t end) {
    madd_sse2_linear_of(a, GEMM_FLOATS, input, weight, bias, multiplier, output, begin, end);
}

QN_KERNEL qn_linear_s16s8_s16__6x4c4__sse2(const struct qn_linear_args *a, const void *input, const void *weight, const void *bias,
                                      const void *multiplier, void *output, int32_t begin, int32_t end) {
    madd_sse2_linear(a, GEMM_WORDS, input, weight, bias, multiplier, output, begin, end);
}
