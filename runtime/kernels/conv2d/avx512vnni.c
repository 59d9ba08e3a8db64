// int8 convolution for AVX512-VNNI: 1x1, KxK with any stride and dilation, first layers of few channels. The input
// has a halo (or needs none), activations are stored unsigned, weights packed as `vnni32`.
#include "runtime/kernels/vnni.h"
#include "runtime/kernels/words_avx512vnni.h"

QN_KERNEL qn_conv2d_s8s8_s8__14x32c4__avx512vnni(const struct qn_conv2d_args *a, const void *input, const void *weight,
                                                 const void *bias, const void *multiplier, void *output, int32_t begin,
                                                 int32_t end) {
    vnni_conv2d(a, NULL, GEMM_ROUNDED, input, weight, bias, multiplier, NULL, output, begin, end);
}

QN_KERNEL qn_conv2d_s8s8_i32__14x32c4__avx512vnni(const struct qn_conv2d_args *a, const void *input, const void *weight,
                                                  const void *bias, const void *multiplier, void *output, int32_t begin,
                                                  int32_t end) {
    vnni_conv2d(a, NULL, GEMM_SUMS, input, weight, bias, multiplier, NULL, output, begin, end);
}

QN_KERNEL qn_conv2d_s8s8_f32__14x32c4__avx512vnni(const struct qn_conv2d_args *a, const void *input, const void *weight,
                                                  const void *bias, const void *multiplier, void *output, int32_t begin,
                                                  int32_t end) {
    vnni_conv2d(a, NULL, GEMM_FLOATS, input, weight, bias, multiplier, NULL, output, begin, end);
}

QN_KERNEL qn_conv2d_s8s8_s8__grouped__avx512vnni(const struct qn_conv2d_args *a, const void *input, const void *weight,
                                                 const void *bias, const void *multiplier, void *output, int32_t begin,
                                                 int32_t end) {
    vnni_grouped(a, input, weight, bias, multiplier, output, begin, end);
}

QN_KERNEL qn_conv2d_s16s8_s16__14x16c4__avx512vnni(const struct qn_conv2d_args *a, const void *input, const void *weight, const void *bias,
                                      const void *multiplier, void *output, int32_t begin, int32_t end) {
    words_vnni_conv2d(a, NULL, GEMM_WORDS, input, weight, bias, multiplier, NULL, output, begin, end);
}
