// Weighted sums of elements along one dimension, in blocks of 64 neighbours. Quantized sums are taken in single
// precision in the order of the taps: the same on every machine.
#include "runtime/kernel.h"

enum { QN_RESAMPLE_BLOCK = 64 };

QN_INLINE ptrdiff_t qn_resample_generic_index(const struct qn_resample_args *a, int32_t index) {
    index = index < 0 ? 0 : index >= a->size ? a->size - 1 : index;
    return (ptrdiff_t)index * a->inner;
}

QN_KERNEL qn_resample_f32_f32__any__generic(const struct qn_resample_args *a, const void *input, const void *indices,
                                            const void *weights, void *output, int32_t begin, int32_t end) {
    for (int32_t r = begin; r < end; r++) {
        const int32_t row = r % a->count;
        const float *in = (const float *)input + (ptrdiff_t)(r / a->count) * a->size * a->inner;
        const int32_t *index = (const int32_t *)indices + (ptrdiff_t)row * a->taps;
        const float *weight = (const float *)weights + (ptrdiff_t)row * a->taps;
        float *out = (float *)output + (ptrdiff_t)r * a->inner;
        for (int32_t i = 0; i < a->inner; i += QN_RESAMPLE_BLOCK) {
            const int32_t n = a->inner - i < QN_RESAMPLE_BLOCK ? a->inner - i : QN_RESAMPLE_BLOCK;
            float sum[QN_RESAMPLE_BLOCK] = {0};
            for (int32_t k = 0; k < a->taps; k++) {
                const float *p = in + qn_resample_generic_index(a, index[k]) + i;
                for (int32_t j = 0; j < n; j++) sum[j] += weight[k] * p[j];
            }
            for (int32_t j = 0; j < n; j++) out[i + j] = sum[j];
        }
    }
}

// Quantized: `value` of element p[j], less the zero point; `stored`: what is stored of q.
#define QN_RESAMPLE_QUANTIZED(name, type, value, stored)                                                              \
    QN_KERNEL qn_resample_##name##_##name##__any__generic(const struct qn_resample_args *a, const void *input,        \
                                                          const void *indices, const void *weights, void *output,     \
                                                          int32_t begin, int32_t end) {                               \
        for (int32_t r = begin; r < end; r++) {                                                                       \
            const int32_t row = r % a->count;                                                                         \
            const type *in = (const type *)input + (ptrdiff_t)(r / a->count) * a->size * a->inner;                    \
            const int32_t *index = (const int32_t *)indices + (ptrdiff_t)row * a->taps;                               \
            const float *weight = (const float *)weights + (ptrdiff_t)row * a->taps;                                  \
            type *out = (type *)output + (ptrdiff_t)r * a->inner;                                                     \
            for (int32_t i = 0; i < a->inner; i += QN_RESAMPLE_BLOCK) {                                               \
                const int32_t n = a->inner - i < QN_RESAMPLE_BLOCK ? a->inner - i : QN_RESAMPLE_BLOCK;                \
                float sum[QN_RESAMPLE_BLOCK] = {0};                                                                   \
                for (int32_t k = 0; k < a->taps; k++) {                                                               \
                    const type *p = in + qn_resample_generic_index(a, index[k]) + i;                                  \
                    for (int32_t j = 0; j < n; j++) {                                                                 \
                        float product = weight[k] * (float)((value) - a->in_zp);                                      \
                        sum[j] = sum[j] + product;                                                                    \
                    }                                                                                                 \
                }                                                                                                     \
                for (int32_t j = 0; j < n; j++) {                                                                     \
                    const int32_t q = qn_clamp_round(sum[j] * a->multiplier, a->out_zp, a->lo, a->hi);                \
                    out[i + j] = (type)(stored);                                                                      \
                }                                                                                                     \
            }                                                                                                         \
        }                                                                                                             \
    }
QN_RESAMPLE_QUANTIZED(s8, uint8_t, (int8_t)(p[j] ^ a->flip), q ^ a->flip)
QN_RESAMPLE_QUANTIZED(s16, int16_t, p[j], q)
#undef QN_RESAMPLE_QUANTIZED

QN_INLINE uint8_t qn_resample_generic_byte(uint32_t sum) {
    const int32_t value = (int32_t)sum >> 22;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

QN_KERNEL qn_resample_u8_u8__any__generic(const struct qn_resample_args *a, const void *input, const void *indices,
                                          const void *weights, void *output, int32_t begin, int32_t end) {
    for (int32_t r = begin; r < end; r++) {
        const int32_t row = r % a->count;
        const uint8_t *in = (const uint8_t *)input + (ptrdiff_t)(r / a->count) * a->size * a->inner;
        const int32_t *index = (const int32_t *)indices + (ptrdiff_t)row * a->taps;
        const uint32_t *weight = (const uint32_t *)weights + (ptrdiff_t)row * a->taps;
        uint8_t *out = (uint8_t *)output + (ptrdiff_t)r * a->inner;
        for (int32_t i = 0; i < a->inner; i += QN_RESAMPLE_BLOCK) {
            const int32_t n = a->inner - i < QN_RESAMPLE_BLOCK ? a->inner - i : QN_RESAMPLE_BLOCK;
            uint32_t sum[QN_RESAMPLE_BLOCK] = {0};
            for (int32_t k = 0; k < a->taps; k++) {
                const uint8_t *p = in + qn_resample_generic_index(a, index[k]) + i;
                for (int32_t j = 0; j < n; j++) sum[j] += weight[k] * p[j];
            }
            for (int32_t j = 0; j < n; j++) out[i + j] = qn_resample_generic_byte(sum[j] + (1u << 21));
        }
    }
}
