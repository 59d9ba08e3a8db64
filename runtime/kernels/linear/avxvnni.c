// int8 fully connected layers for AVX-VNNI: the tile and packing of convolutions; the rows of `a` are pixels.
#include "runtime/kernels/avxvnni.h"

QN_KERNEL qn_linear_s8s8_s8__6x16c4__avxvnni(const struct qn_linear_args *a, const void *input, const void *weight, const void *bias,
    const void *multiplier, void *output, int32_t begin, int32_t end) {
    avxvnni_linear(a, GEMM_ROUNDED, input, weight, bias, multiplier, output, begin, end);
}

QN_KERNEL qn_linear_s8s8_i32__6x16c4__avxvnni(const struct qn_linear_args *a, const void *input, const void *weight, const void *bias,
    const void *multiplier, void *output, int32_t begin, int32_t end) {
    avxvnni_linear(a, GEMM_SUMS, input, weight, bias, multiplier, output, begin, end);
}

QN_KERNEL qn_linear_s8s8_f32__6x16c4__avxvnni(const struct qn_linear_args *a, const void *input, const void *weight, const void *bias,
    const void *multiplier, void *output, int32_t begin, int32_t end) {
    avxvnni_linear(a, GEMM_FLOATS, input, weight, bias, multiplier, output, begin, end);
}
