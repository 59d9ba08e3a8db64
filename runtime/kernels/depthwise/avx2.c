// f32 depthwise convolution for AVX2 with FMA, any window, stride and dilation. The input has a halo (or needs none).
#include "runtime/kernels/f32_avx2.h"
#include "runtime/kernels/madd_avx2.h"
#include "runtime/kernels/words_avx2.h"

QN_KERNEL qn_depthwise_f32f32_f32__4x16__avx2(const struct qn_depthwise_args *a, const void *input, const void *weight,
                                              const void *bias, const void *multiplier, void *output, int32_t begin,
                                              int32_t end) {
    depthwise_f32_avx2_rows(a, input, weight, bias, multiplier, output, begin, end);
}

QN_KERNEL qn_depthwise_s8s8_s8__4x16__avx2(const struct qn_depthwise_args *a, const void *input, const void *weight, const void *bias,
                                           const void *multiplier, void *output, int32_t begin, int32_t end) {
    madd_avx2_depthwise_rows(a, input, weight, bias, multiplier, output, begin, end);
}

QN_KERNEL qn_depthwise_s16s8_s16__4x16__avx2(const struct qn_depthwise_args *a, const void *input, const void *weight, const void *bias,
                                         const void *multiplier, void *output, int32_t begin, int32_t end) {
    words_avx2_depthwise_rows(a, input, weight, bias, multiplier, output, begin, end);
}
