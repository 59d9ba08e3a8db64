// Convolution, any shape, with a residual added.
#include "runtime/kernels/conv2d_generic.h"
#include "runtime/kernels/gemm.h"

QN_KERNEL qn_conv2d_add_s8s8_s8__any__generic(const struct qn_conv2d_add_args *a, const void *input, const void *weight,
                                              const void *bias, const void *multiplier, const void *residual,
                                              void *output, int32_t begin, int32_t end) {
    const struct qn_conv2d_args conv = gemm_conv2d_of(a);
    qn_conv2d_generic_rows_s8(&conv, a, GEMM_ROUNDED, input, weight, bias, multiplier, residual, output, begin, end);
}
