// Mean over two dimensions of a 4-D view. Where many elements lie side by side they are summed in blocks of 64; where
// the inner size is 1, along the reduced dimension itself.
#include "runtime/kernel.h"

enum { QN_MEAN_BLOCK = 64 };

// Sums of `n` side by side.
QN_INLINE void qn_reduce_mean_generic_sums_s8(const struct qn_reduce_mean_args *a, const uint8_t *in,
                                              int32_t *restrict acc, int32_t n) {
    for (int32_t r = 0; r < a->size_r; r++)
        for (int32_t s = 0; s < a->size_s; s++) {
            const uint8_t *p = in + (ptrdiff_t)r * a->in_r + (ptrdiff_t)s * a->in_s;
            for (int32_t j = 0; j < n; j++) acc[j] += (int8_t)(p[j] ^ a->flip) - a->in_zp;
        }
}
QN_INLINE int32_t qn_reduce_mean_generic_sum_s8(const struct qn_reduce_mean_args *a, const uint8_t *in) {
    int32_t sum = 0;
    for (int32_t r = 0; r < a->size_r; r++) {
        const uint8_t *p = in + (ptrdiff_t)r * a->in_r;
        if (a->in_s == 1)
            for (int32_t s = 0; s < a->size_s; s++) sum += (int8_t)(p[s] ^ a->flip) - a->in_zp;
        else
            for (int32_t s = 0; s < a->size_s; s++) sum += (int8_t)(p[(ptrdiff_t)s * a->in_s] ^ a->flip) - a->in_zp;
    }
    return sum;
}

QN_KERNEL qn_reduce_mean_s8_s8__any__generic(const struct qn_reduce_mean_args *a, const void *input, void *output,
                                             int32_t begin, int32_t end) {
    const float multiplier = (float)((double)a->in_scale / ((double)a->out_scale * (double)a->count));
    for (int32_t o = begin; o < end; o++) {
        const uint8_t *in = (const uint8_t *)input + (ptrdiff_t)o * a->in_outer;
        uint8_t *out = (uint8_t *)output + (ptrdiff_t)o * a->out_outer;
        for (int32_t c = 0; c < a->inner; c += QN_MEAN_BLOCK) {
            int32_t n = a->inner - c < QN_MEAN_BLOCK ? a->inner - c : QN_MEAN_BLOCK;
            int32_t acc[QN_MEAN_BLOCK] = {0};
            if (a->inner == 1) acc[0] = qn_reduce_mean_generic_sum_s8(a, in);
            else qn_reduce_mean_generic_sums_s8(a, in + c, acc, n);
            for (int32_t j = 0; j < n; j++)
                out[c + j] = (uint8_t)(qn_requantize(acc[j], multiplier, a->out_zp, a->lo, a->hi) ^ a->flip);
        }
    }
}

// Partial sums, one for each s modulo 64 where inner is 1, keep the error of long float sums small.
QN_INLINE float qn_reduce_mean_generic_sum_f32(const struct qn_reduce_mean_args *a, const float *in) {
    float part[QN_MEAN_BLOCK] = {0};
    for (int32_t r = 0; r < a->size_r; r++) {
        const float *p = in + (ptrdiff_t)r * a->in_r;
        for (int32_t s = 0; s < a->size_s; s += QN_MEAN_BLOCK) {
            int32_t n = a->size_s - s < QN_MEAN_BLOCK ? a->size_s - s : QN_MEAN_BLOCK;
            for (int32_t j = 0; j < n; j++) part[j] += p[(ptrdiff_t)(s + j) * a->in_s];
        }
    }
    for (int width = QN_MEAN_BLOCK / 2; width > 0; width /= 2)
        for (int j = 0; j < width; j++) part[j] += part[j + width];
    return part[0];
}
// One sum for each r, then their sum: the same for sums side by side.
QN_INLINE void qn_reduce_mean_generic_sums_f32(const struct qn_reduce_mean_args *a, const float *in,
                                               float *restrict acc, int32_t n) {
    for (int32_t r = 0; r < a->size_r; r++) {
        float line[QN_MEAN_BLOCK] = {0};
        for (int32_t s = 0; s < a->size_s; s++) {
            const float *p = in + (ptrdiff_t)r * a->in_r + (ptrdiff_t)s * a->in_s;
            for (int32_t j = 0; j < n; j++) line[j] += p[j];
        }
        for (int32_t j = 0; j < n; j++) acc[j] += line[j];
    }
}

QN_KERNEL qn_reduce_mean_f32_f32__any__generic(const struct qn_reduce_mean_args *a, const void *input, void *output,
                                               int32_t begin, int32_t end) {
    const float count = (float)a->size_r * (float)a->size_s;
    for (int32_t o = begin; o < end; o++) {
        const float *in = (const float *)input + (ptrdiff_t)o * a->in_outer;
        float *out = (float *)output + (ptrdiff_t)o * a->out_outer;
        for (int32_t c = 0; c < a->inner; c += QN_MEAN_BLOCK) {
            int32_t n = a->inner - c < QN_MEAN_BLOCK ? a->inner - c : QN_MEAN_BLOCK;
            float acc[QN_MEAN_BLOCK] = {0};
            if (a->inner == 1) acc[0] = qn_reduce_mean_generic_sum_f32(a, in);
            else qn_reduce_mean_generic_sums_f32(a, in + c, acc, n);
            for (int32_t j = 0; j < n; j++) out[c + j] = acc[j] / count;
        }
    }
}

// ---- 16-bit activations: sums in 64 bits

QN_KERNEL qn_reduce_mean_s16_s16__any__generic(const struct qn_reduce_mean_args *a, const void *input, void *output,
                                               int32_t begin, int32_t end) {
    const float multiplier = (float)((double)a->in_scale / ((double)a->out_scale * (double)a->count));
    for (int32_t o = begin; o < end; o++) {
        const int16_t *in = (const int16_t *)input + (ptrdiff_t)o * a->in_outer;
        int16_t *out = (int16_t *)output + (ptrdiff_t)o * a->out_outer;
        for (int32_t c = 0; c < a->inner; c += QN_MEAN_BLOCK) {
            int32_t n = a->inner - c < QN_MEAN_BLOCK ? a->inner - c : QN_MEAN_BLOCK;
            int64_t acc[QN_MEAN_BLOCK] = {0};
            for (int32_t r = 0; r < a->size_r; r++)
                for (int32_t s = 0; s < a->size_s; s++) {
                    const int16_t *p = in + c + (ptrdiff_t)r * a->in_r + (ptrdiff_t)s * a->in_s;
                    for (int32_t j = 0; j < n; j++) acc[j] += p[j] - a->in_zp;
                }
            for (int32_t j = 0; j < n; j++)
                out[c + j] = (int16_t)qn_requantize_wide(acc[j], multiplier, a->out_zp, a->lo, a->hi);
        }
    }
}
