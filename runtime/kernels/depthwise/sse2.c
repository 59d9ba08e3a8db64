// Depthwise convolution for any x86-64 (SSE2), f32 and int8, any stride and dilation. The input has a halo (or needs none).
#include "runtime/kernels/f32_sse2.h"
#include "runtime/kernels/madd_sse2.h"
#include "runtime/kernels/words_sse2.h"

QN_KERNEL qn_depthwise_f32f32_f32__4x8__sse2(const struct qn_depthwise_args *a, const void *input, const void *weight, const void *bias,
                                             const void *multiplier, void *output, int32_t begin, int32_t end) {
    depthwise_f32_sse2_rows(a, input, weight, bias, multiplier, output, begin, end);
}

QN_KERNEL qn_depthwise_s8s8_s8__4x8__sse2(const struct qn_depthwise_args *a, const void *input, const void *weight, const void *bias,
                                          const void *multiplier, void *output, int32_t begin, int32_t end) {
    madd_sse2_depthwise_rows(a, input, weight, bias, multiplier, output, begin, end);
}

QN_KERNEL qn_depthwise_s16s8_s16__4x8__sse2(const struct qn_depthwise_args *a, const void *input, const void *weight, const void *bias,
                                         const void *multiplier, void *output, int32_t begin, int32_t end) {
    words_sse2_depthwise_rows(a, input, weight, bias, multiplier, output, begin, end);
}
