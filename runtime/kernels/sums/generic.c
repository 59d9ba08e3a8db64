// Sums of convolutions and linear layers that no kernel of theirs stored as what they become: with a residual, rounded together,
// and as floats.
#include "runtime/strided.h"

QN_KERNEL qn_sums_i32s8_s8__any__generic(const struct qn_sums_args *a, const void *sums, const void *multipliers, const void *b,
                                         void *output, int32_t begin, int32_t end) {
    const struct qn_walk walk = qn_walk_new4(a->shape, 4, a->sums, a->m, a->b, a->out);
    for (int32_t r = begin; r < end; r++)
        for (int32_t i = 0; i < walk.size[0]; i++)
            for (int32_t j = 0; j < walk.size[1]; j++) {
                const int32_t *x = (const int32_t *)sums + qn_row_offset(a->shape, a->sums, r) + qn_run_offset(&walk, 0, i, j);
                const float *m = (const float *)multipliers + qn_row_offset(a->shape, a->m, r) + qn_run_offset(&walk, 1, i, j);
                const uint8_t *y = (const uint8_t *)b + qn_row_offset(a->shape, a->b, r) + qn_run_offset(&walk, 2, i, j);
                uint8_t *out = (uint8_t *)output + qn_row_offset(a->shape, a->out, r) + qn_run_offset(&walk, 3, i, j);
                for (int32_t k = 0; k < walk.size[2]; k++) {
                    const int32_t own = qn_load8(y + k * walk.stride[2][2], a->flip) - a->b_zp;
                    const int32_t q = qn_add(x[k * walk.stride[0][2]], m[k * walk.stride[1][2]], own, a->b_multiplier, a->out_zp, a->lo, a->hi);
                    out[k * walk.stride[3][2]] = (uint8_t)(q ^ a->flip);
                }
            }
}

QN_KERNEL qn_sums_i32_f32__any__generic(const struct qn_sums_args *a, const void *sums, const void *multipliers, const void *b,
                                        void *output, int32_t begin, int32_t end) {
    const struct qn_walk walk = qn_walk_new(a->shape, 3, a->sums, a->m, a->out);
    (void)b;
    for (int32_t r = begin; r < end; r++)
        for (int32_t i = 0; i < walk.size[0]; i++)
            for (int32_t j = 0; j < walk.size[1]; j++) {
                const int32_t *x = (const int32_t *)sums + qn_row_offset(a->shape, a->sums, r) + qn_run_offset(&walk, 0, i, j);
                const float *m = (const float *)multipliers + qn_row_offset(a->shape, a->m, r) + qn_run_offset(&walk, 1, i, j);
                float *out = (float *)output + qn_row_offset(a->shape, a->out, r) + qn_run_offset(&walk, 2, i, j);
                for (int32_t k = 0; k < walk.size[2]; k++)
                    out[k * walk.stride[2][2]] = qn_dequantize(x[k * walk.stride[0][2]], 0, m[k * walk.stride[1][2]]);
            }
}
