// Winograd's convolution as a plain one, with a residual added.
#include "runtime/kernels/conv2d_generic.h"
#include "runtime/kernels/winograd.h"

QN_KERNEL qn_winograd_add_s8s8_s8__any__generic(const struct qn_winograd_add_args *a, const void *input, const void *weight, const void *bias,
                                                const void *multiplier, const void *residual, void *scratch, void *output,
                                                int32_t begin, int32_t end) {
    const struct qn_conv2d_add_args add = winograd_add_conv2d_of(a);
    const struct qn_conv2d_args conv = gemm_conv2d_of(&add);
    (void)scratch;
    qn_conv2d_generic_rows_s8(&conv, &add, GEMM_ROUNDED, input, weight, bias, multiplier, residual, output,
                              winograd_first_row(a->out_h, a->tile, begin), winograd_first_row(a->out_h, a->tile, end));
}
