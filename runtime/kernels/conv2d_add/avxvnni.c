// int8 convolution for AVX-VNNI with a residual added to its sums in its store: family conv2d's kernel.
#include "runtime/kernels/avxvnni.h"

QN_KERNEL qn_conv2d_add_s8s8_s8__6x16c4__avxvnni(const struct qn_conv2d_add_args *a, const void *input, const void *weight, const void *bias,
    const void *multiplier, const void *residual, void *output, int32_t begin, int32_t end) {
    const struct qn_binary_args add = gemm_add_of(a);
    const struct qn_conv2d_args conv = gemm_conv2d_of(a);
    avxvnni_conv2d(&conv, &add, GEMM_UNROUNDED_ADD, input, weight, bias, multiplier, residual, output, begin, end);
}
