// Winograd's convolution, int8, for AVX2 with a residual added to its sums in its store.
#include "runtime/kernels/winograd_avx2.h"

QN_KERNEL qn_winograd_add_s8s8_s8__6x16__avx2(const struct qn_winograd_add_args *a, const void *input, const void *weight, const void *bias,
                                       const void *multiplier, const void *residual, void *scratch, void *output, int32_t begin,
                                       int32_t end) {
    const struct qn_conv2d_add_args conv = winograd_add_conv2d_of(a);
    const struct qn_conv2d_args plain = gemm_conv2d_of(&conv);
    const struct qn_binary_args add = gemm_add_of(&conv);
    winograd_avx2_conv2d_of(&plain, a->block, &add, GEMM_UNROUNDED_ADD, input, weight, bias, multiplier, residual, scratch, output, begin, end);
}
