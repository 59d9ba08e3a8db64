// f32 fully connected layers for AVX-512: the tile and packing of convolutions; the rows of `a` are pixels.
#include "runtime/kernels/f32_avx512.h"
#include "runtime/kernels/madd_avx512.h"

QN_KERNEL qn_linear_f32f32_f32__14x32__avx512(const struct qn_linear_args *a, const void *input, const void *weight,
                                           const void *bias, const void *multiplier, void *output, int32_t begin,
                                           int32_t end) {
    f32_avx512_linear(a, GEMM_ROUNDED, input, weight, bias, multiplier, output, begin, end);
}

QN_KERNEL qn_linear_s8s8_s8__14x16c4__avx512(const struct qn_linear_args *a, const void *input, const void *weight, const void *bias,
                                             const void *multiplier, void *output, int32_t begin, int32_t end) {
    madd_avx512_linear_of(a, GEMM_ROUNDED, input, weight, bias, multiplier, output, begin, end);
}

QN_KERNEL qn_linear_s8s8_i32__14x16c4__avx512(const struct qn_linear_args *a, const void *input, const void *weight, const void *bias,
                                              const void *multiplier, void *output, int32_t begin, int32_t end) {
    madd_avx512_linear_of(a, GEMM_SUMS, input, weight, bias, multiplier, output, begin, end);
}

QN_KERNEL qn_linear_s8s8_f32__14x16c4__avx512(const struct qn_linear_args *a, const void *input, const void *weight, const void *bias,
                                              const void *multiplier, void *output, int32_t begin, int32_t end) {
    madd_avx512_linear_of(a, GEMM_FLOATS, input, weight, bias, multiplier, output, begin, end);
}

QN_KERNEL qn_linear_s16s8_s16__14x16c4__avx512(const struct qn_linear_args *a, const void *input, const void *weight, const void *bias,
                                      const void *multiplier, void *output, int32_t begin, int32_t end) {
    madd_avx512_linear(a, GEMM_WORDS, input, weight, bias, multiplier, output, begin, end);
}
