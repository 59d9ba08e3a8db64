// Winograd's convolution as a plain one.
#include "runtime/kernels/conv2d_generic.h"
#include "runtime/kernels/winograd.h"

QN_INLINE void winograd_generic_s8(const struct qn_winograd_args *a, int32_t form, const void *input, const void *weight, const void *bias,
                                   const void *multiplier, void *output, int32_t begin, int32_t end) {
    const struct qn_conv2d_args conv = winograd_conv2d_of(a);
    qn_conv2d_generic_rows_s8(&conv, NULL, form, input, weight, bias, multiplier, NULL, output, winograd_first_row(a->out_h, a->tile, begin),
                              winograd_first_row(a->out_h, a->tile, end));
}

QN_KERNEL qn_winograd_s8s8_s8__any__generic(const struct qn_winograd_args *a, const void *input, const void *weight, const void *bias,
                                            const void *multiplier, void *scratch, void *output, int32_t begin, int32_t end) {
    (void)scratch;
    winograd_generic_s8(a, GEMM_ROUNDED, input, weight, bias, multiplier, output, begin, end);
}

QN_KERNEL qn_winograd_s8s8_i32__any__generic(const struct qn_winograd_args *a, const void *input, const void *weight, const void *bias,
                                             const void *multiplier, void *scratch, void *output, int32_t begin, int32_t end) {
    (void)scratch;
    winograd_generic_s8(a, GEMM_SUMS, input, weight, bias, multiplier, output, begin, end);
}

QN_KERNEL qn_winograd_s8s8_f32__any__generic(const struct qn_winograd_args *a, const void *input, const void *weight, const void *bias,
                                             const void *multiplier, void *scratch, void *output, int32_t begin, int32_t end) {
    (void)scratch;
    winograd_generic_s8(a, GEMM_FLOATS, input, weight, bias, multiplier, output, begin, end);
}

QN_KERNEL qn_winograd_f32f32_f32__any__generic(const struct qn_winograd_args *a, const void *input, const void *weight, const void *bias,
                                               const void *multiplier, void *scratch, void *output, int32_t begin, int32_t end) {
    const struct qn_conv2d_args conv = winograd_conv2d_of(a);
    (void)multiplier, (void)scratch;
    qn_conv2d_generic_rows_f32(&conv, input, weight, bias, output, winograd_first_row(a->out_h, a->tile, begin),
                               winograd_first_row(a->out_h, a->tile, end));
}
