// f32 depthwise convolution for AVX-512, any window, stride and dilation. The input has a halo (or needs none).
#include "runtime/kernels/f32_avx512.h"
#include "runtime/kernels/madd_avx512.h"
#include "runtime/kernels/words_avx512.h"

QN_KERNEL qn_depthwise_f32f32_f32__4x32__avx512(const struct qn_depthwise_args *a, const void *input, const void *weight,
                                              const void *bias, const void *multiplier, void *output, int32_t begin,
                                              int32_t end) {
    depthwise_f32_avx512_rows(a, input, weight, bias, multiplier, output, begin, end);
}

QN_KERNEL qn_depthwise_s8s8_s8__4x32__avx512(const struct qn_depthwise_args *a, const void *input, const void *weight, const void *bias,
                                             const void *multiplier, void *output, int32_t begin, int32_t end) {
    madd_avx512_depthwise_rows(a, input, weight, bias, multiplier, output, begin, end);
}

QN_KERNEL qn_depthwise_s16s8_s16__4x32__avx512(const struct qn_depthwise_args *a, const void *input, const void *weight, const void *bias,
                                         const void *multiplier, void *output, int32_t begin, int32_t end) {
    words_avx512_depthwise_rows(a, input, weight, bias, multiplier, output, begin, end);
}
