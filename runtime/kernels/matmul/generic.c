// Batched matrix product with any strides. Blocks of 64 columns: where b's columns are dense, each element of a's row
// meets a dense row of b; where b's k is dense (b transposed), dot products; else element by element.
#include "runtime/dot.h"
#include "runtime/kernels/matmul_batch.h"

QN_INLINE void qn_matmul_generic_axpy_s8(const uint8_t *b, ptrdiff_t stride, int32_t flip, int32_t b_zp, int32_t x,
                                         int32_t *restrict acc, int32_t count) {
    if (stride == 1)
        for (int32_t j = 0; j < count; j++) acc[j] += (int16_t)x * (int16_t)((int8_t)(b[j] ^ flip) - b_zp);
    else
        for (int32_t j = 0; j < count; j++) acc[j] += x * ((int8_t)(b[j * stride] ^ flip) - b_zp);
}
// Sums of products of row x and columns [0, count) of b.
QN_INLINE void qn_matmul_generic_s8(const struct qn_matmul_args *a, const uint8_t *x, const uint8_t *b,
                                    int32_t *restrict acc, int32_t count) {
    if (a->b_n != 1 && a->b_k == 1 && a->flip == 0) {
        int16_t row[QN_DOT_CHUNK];
        for (int32_t k = 0; k < a->k; k += QN_DOT_CHUNK) {
            int32_t n = a->k - k < QN_DOT_CHUNK ? a->k - k : QN_DOT_CHUNK;
            for (int32_t i = 0; i < n; i++) row[i] = (int16_t)((int8_t)x[(ptrdiff_t)(k + i) * a->a_k] - a->a_zp);
            qn_dots_s8(row, (const int8_t *)b + k, a->b_n, n, a->b_zp, acc, count);
        }
        return;
    }
    for (int32_t k = 0; k < a->k; k++)
        qn_matmul_generic_axpy_s8(b + (ptrdiff_t)k * a->b_k, a->b_n, a->flip, a->b_zp,
                                  (int8_t)(x[(ptrdiff_t)k * a->a_k] ^ a->flip) - a->a_zp, acc, count);
}

QN_KERNEL qn_matmul_s8s8_s8__any__generic(const struct qn_matmul_args *a, const void *input_a, const void *input_b,
                                          void *output, int32_t begin, int32_t end) {
    for (int32_t r = begin; r < end; r++) {
        const uint8_t *x = (const uint8_t *)input_a + qn_matmul_batch(a, a->a_batch, r / a->m) +
                           (ptrdiff_t)(r % a->m) * a->a_m;
        const uint8_t *b = (const uint8_t *)input_b + qn_matmul_batch(a, a->b_batch, r / a->m);
        uint8_t *out = (uint8_t *)output + (ptrdiff_t)r * a->n;
        for (int32_t o = 0; o < a->n; o += QN_DOT_OUTPUTS) {
            int32_t acc[QN_DOT_OUTPUTS] = {0};
            int32_t count = a->n - o < QN_DOT_OUTPUTS ? a->n - o : QN_DOT_OUTPUTS;
            qn_matmul_generic_s8(a, x, b + (ptrdiff_t)o * a->b_n, acc, count);
            for (int32_t j = 0; j < count; j++)
                out[o + j] = (uint8_t)(qn_requantize(acc[j], a->multiplier, a->out_zp, a->lo, a->hi) ^ a->flip);
        }
    }
}

QN_INLINE void qn_matmul_generic_axpy_f32(const float *b, ptrdiff_t stride, float x, float *restrict acc,
                                          int32_t count) {
    if (stride == 1)
        for (int32_t j = 0; j < count; j++) acc[j] += x * b[j];
    else
        for (int32_t j = 0; j < count; j++) acc[j] += x * b[j * stride];
}
QN_INLINE void qn_matmul_generic_f32(const struct qn_matmul_args *a, const float *x, const float *b,
                                     float *restrict acc, int32_t count) {
    if (a->b_n != 1 && a->b_k == 1 && a->a_k == 1) {
        qn_dots_f32(x, b, a->b_n, a->k, acc, count);
        return;
    }
    for (int32_t k = 0; k < a->k; k++)
        qn_matmul_generic_axpy_f32(b + (ptrdiff_t)k * a->b_k, a->b_n, x[(ptrdiff_t)k * a->a_k], acc, count);
}

QN_KERNEL qn_matmul_f32f32_f32__any__generic(const struct qn_matmul_args *a, const void *input_a, const void *input_b,
                                             void *output, int32_t begin, int32_t end) {
    for (int32_t r = begin; r < end; r++) {
        const float *x = (const float *)input_a + qn_matmul_batch(a, a->a_batch, r / a->m) +
                         (ptrdiff_t)(r % a->m) * a->a_m;
        const float *b = (const float *)input_b + qn_matmul_batch(a, a->b_batch, r / a->m);
        float *out = (float *)output + (ptrdiff_t)r * a->n;
        for (int32_t o = 0; o < a->n; o += QN_DOT_OUTPUTS) {
            float acc[QN_DOT_OUTPUTS] = {0};
            int32_t count = a->n - o < QN_DOT_OUTPUTS ? a->n - o : QN_DOT_OUTPUTS;
            qn_matmul_generic_f32(a, x, b + (ptrdiff_t)o * a->b_n, acc, count);
            for (int32_t j = 0; j < count; j++) out[o + j] = qn_clamp_f32(acc[j], a->min, a->max);
        }
    }
}

// ---- 16-bit activations: sums in 64 bits

QN_INLINE void qn_matmul_generic_axpy_s16(const int16_t *b, ptrdiff_t stride, int32_t b_zp, int32_t x, int64_t *restrict acc,
                                          int32_t count) {
    if (stride == 1)
        for (int32_t j = 0; j < count; j++) acc[j] += (int64_t)x * (b[j] - b_zp);
    else
        for (int32_t j = 0; j < count; j++) acc[j] += (int64_t)x * (b[j * stride] - b_zp);
}

QN_KERNEL qn_matmul_s16s16_s16__any__generic(const struct qn_matmul_args *a, const void *input_a, const void *input_b,
                                             void *output, int32_t begin, int32_t end) {
    for (int32_t r = begin; r < end; r++) {
        const int16_t *x = (const int16_t *)input_a + qn_matmul_batch(a, a->a_batch, r / a->m) + (ptrdiff_t)(r % a->m) * a->a_m;
        const int16_t *b = (const int16_t *)input_b + qn_matmul_batch(a, a->b_batch, r / a->m);
        int16_t *out = (int16_t *)output + (ptrdiff_t)r * a->n;
        for (int32_t o = 0; o < a->n; o += QN_DOT_OUTPUTS) {
            int64_t acc[QN_DOT_OUTPUTS] = {0};
            int32_t count = a->n - o < QN_DOT_OUTPUTS ? a->n - o : QN_DOT_OUTPUTS;
            for (int32_t k = 0; k < a->k; k++)
                qn_matmul_generic_axpy_s16(b + (ptrdiff_t)o * a->b_n + (ptrdiff_t)k * a->b_k, a->b_n, a->b_zp,
                                           x[(ptrdiff_t)k * a->a_k] - a->a_zp, acc, count);
            for (int32_t j = 0; j < count; j++)
                out[o + j] = (int16_t)qn_requantize_wide(acc[j], a->multiplier, a->out_zp, a->lo, a->hi);
        }
    }
}
