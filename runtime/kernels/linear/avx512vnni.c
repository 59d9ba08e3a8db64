// int8 fully connected layers for AVX512-VNNI: the tile and packing of convolutions; the rows of `a` are pixels.
#include "runtime/kernels/vnni.h"
#include "runtime/kernels/words_avx512vnni.h"

QN_KERNEL qn_linear_s8s8_s8__14x32c4__avx512vnni(const struct qn_linear_args *a, const void *input, const void *weight,
                                                 const void *bias, const void *multiplier, void *output, int32_t begin,
                                                 int32_t end) {
    vnni_linear(a, GEMM_ROUNDED, input, weight, bias, multiplier, output, begin, end);
}

QN_KERNEL qn_linear_s8s8_i32__14x32c4__avx512vnni(const struct qn_linear_args *a, const void *input, const void *weight,
                                                  const void *bias, const void *multiplier, void *output, int32_t begin,
                                                  int32_t end) {
    vnni_linear(a, GEMM_SUMS, input, weight, bias, multiplier, output, begin, end);
}

QN_KERNEL qn_linear_s8s8_f32__14x32c4__avx512vnni(const struct qn_linear_args *a, const void *input, const void *weight,
                                                  const void *bias, const void *multiplier, void *output, int32_t begin,
                                                  int32_t end) {
    vnni_linear(a, GEMM_FLOATS, input, weight, bias, multiplier, output, begin, end);
}

QN_KERNEL qn_linear_s16s8_s16__14x16c4__avx512vnni(const struct qn_linear_args *a, const void *input, const void *weight, const void *bias,
                                      const void *multiplier, void *output, int32_t begin, int32_t end) {
    words_vnni_linear(a, GEMM_WORDS, input, weight, bias, multiplier, output, begin, end);
}
