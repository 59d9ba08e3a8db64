// int8 convolution for AVX-512 without VNNI with a residual added to its sums in its store: family conv2d's kernel.
#include "runtime/kernels/madd_avx512.h"

QN_KERNEL qn_conv2d_add_s8s8_s8__14x16c4__avx512(const struct qn_conv2d_add_args *a, const void *input, const void *weight, const void *bias,
                                                 const void *multiplier, const void *residual, void *output, int32_t begin, int32_t end) {
    const struct qn_binary_args add = gemm_add_of(a);
    const struct qn_conv2d_args conv = gemm_conv2d_of(a);
    madd_avx512_conv2d_of(&conv, &add, GEMM_UNROUNDED_ADD, input, weight, bias, multiplier, residual, output, begin, end);
}
