// int8 convolution for any x86-64 (SSE2) with a residual added to its sums in its store: family conv2d's kernel.
#include "runtime/kernels/madd_sse2.h"

QN_KERNEL qn_conv2d_add_s8s8_s8__6x4c4__sse2(const struct qn_conv2d_add_args *a, const void *input, const void *weight, const void *bias,
                                             const void *multiplier, const void *residual, void *output, int32_t begin, int32_t end) {
    const struct qn_binary_args add = gemm_add_of(a);
    const struct qn_conv2d_args conv = gemm_conv2d_of(a);
    madd_sse2_conv2d_of(&conv, &add, GEMM_UNROUNDED_ADD, input, weight, bias, multiplier, residual, output, begin, end);
}
