// Convolution, any shape, with a residual added: row by row.
#include "runtime/kernels/conv2d_generic.h"
#include "runtime/kernels/gemm.h"

QN_KERNEL qn_conv2d_add_s8s8_s8__any__generic(const struct qn_conv2d_add_args *a, const void *input, const void *weight,
                                              const void *bias, const void *multiplier, const void *residual,
                                              void *output, int32_t begin, int32_t end) {
    const struct qn_conv2d_args conv = gemm_conv2d_of(a);
    for (int32_t r = begin; r < end; r++) {
        const ptrdiff_t at = r / a->out_h * (ptrdiff_t)a->out_image + r % a->out_h * (ptrdiff_t)a->out_row;
        const uint8_t *from = (const uint8_t *)residual + at;
        uint8_t *to = (uint8_t *)output + at;
        qn_conv2d_generic_rows_s8(&conv, input, weight, bias, multiplier, output, r, r + 1);
        for (int32_t i = 0; i < a->out_w * a->out_c; i++) {
            const int32_t own = (int8_t)(to[i] ^ a->flip) - a->out_zp, other = (int8_t)(from[i] ^ a->flip) - a->residual_zp;
            const int32_t sum = qn_add(own, a->own_multiplier, other, a->residual_multiplier, a->sum_zp, a->sum_lo, a->sum_hi);
            to[i] = (uint8_t)(sum ^ a->flip);
        }
    }
}
