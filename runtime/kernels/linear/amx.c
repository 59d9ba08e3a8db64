// int8 fully connected layers for AMX: the tile and packing of convolutions; the rows of `a` are pixels.
#include "runtime/kernels/amx.h"

QN_KERNEL qn_linear_s8s8_s8__16x32c64__amx(const struct qn_linear_args *a, const void *input, const void *weight,
                                        const void *bias, const void *multiplier, void *output, int32_t begin,
                                        int32_t end) {
    amx_linear(a, GEMM_ROUNDED, input, weight, bias, multiplier, output, begin, end);
}

QN_KERNEL qn_linear_s8s8_i32__16x32c64__amx(const struct qn_linear_args *a, const void *input, const void *weight,
                                         const void *bias, const void *multiplier, void *output, int32_t begin,
                                         int32_t end) {
    amx_linear(a, GEMM_SUMS, input, weight, bias, multiplier, output, begin, end);
}

QN_KERNEL qn_linear_s8s8_f32__16x32c64__amx(const struct qn_linear_args *a, const void *input, const void *weight,
                                         const void *bias, const void *multiplier, void *output, int32_t begin,
                                         int32_t end) {
    amx_linear(a, GEMM_FLOATS, input, weight, bias, multiplier, output, begin, end);
}
