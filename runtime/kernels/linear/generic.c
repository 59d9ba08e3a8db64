// Fully connected: rows of the input times rows of the weights, 64 outputs at a time; 8-bit inputs are widened in chunks.
#include "runtime/dot.h"
#include "runtime/kernels/gemm.h"

QN_INLINE void qn_linear_generic_sums(const struct qn_linear_args *a, const uint8_t *in, const int8_t *weight,
                                      const int32_t *bias, int32_t *acc, int32_t o, int32_t count) {
    int16_t row[QN_DOT_CHUNK];
    for (int32_t j = 0; j < count; j++) acc[j] = bias[o + j];
    for (int32_t k = 0; k < a->k; k += QN_DOT_CHUNK) {
        int32_t n = a->k - k < QN_DOT_CHUNK ? a->k - k : QN_DOT_CHUNK;
        for (int32_t i = 0; i < n; i++) row[i] = (int16_t)((int8_t)(in[k + i] ^ a->flip) - a->in_zp);
        qn_dots_s8(row, weight + (ptrdiff_t)o * a->k + k, a->k, n, a->weight_zp, acc, count);
    }
}

// What is stored `form` says (gemm.h).
QN_INLINE void qn_linear_generic_rows_s8(const struct qn_linear_args *a, int32_t form, const void *input, const void *weight,
                                         const void *bias, const float *multiplier, void *output, int32_t begin, int32_t end) {
    for (int32_t r = begin; r < end; r++)
        for (int32_t o = 0; o < a->n; o += QN_DOT_OUTPUTS) {
            int32_t acc[QN_DOT_OUTPUTS], count = a->n - o < QN_DOT_OUTPUTS ? a->n - o : QN_DOT_OUTPUTS;
            qn_linear_generic_sums(a, (const uint8_t *)input + (ptrdiff_t)r * a->a_row, weight, bias, acc, o, count);
            gemm_store_plain(form, acc, multiplier + o, (struct gemm_rounding){a->out_zp, a->lo, a->hi, a->flip}, output,
                             (ptrdiff_t)r * a->out_row + o, count);
        }
}

QN_KERNEL qn_linear_s8s8_s8__any__generic(const struct qn_linear_args *a, const void *input, const void *weight,
                                          const void *bias, const void *multiplier, void *output, int32_t begin,
                                          int32_t end) {
    qn_linear_generic_rows_s8(a, GEMM_ROUNDED, input, weight, bias, multiplier, output, begin, end);
}

QN_KERNEL qn_linear_s8s8_i32__any__generic(const struct qn_linear_args *a, const void *input, const void *weight,
                                           const void *bias, const void *multiplier, void *output, int32_t begin,
                                           int32_t end) {
    qn_linear_generic_rows_s8(a, GEMM_SUMS, input, weight, bias, multiplier, output, begin, end);
}

QN_KERNEL qn_linear_s8s8_f32__any__generic(const struct qn_linear_args *a, const void *input, const void *weight,
                                           const void *bias, const void *multiplier, void *output, int32_t begin,
                                           int32_t end) {
    qn_linear_generic_rows_s8(a, GEMM_FLOATS, input, weight, bias, multiplier, output, begin, end);
}

QN_INLINE void qn_linear_generic_f32(const struct qn_linear_args *a, const float *in, const float *weight,
                                     const float *bias, float *out, int32_t o, int32_t count) {
    float acc[QN_DOT_OUTPUTS];
    for (int32_t j = 0; j < count; j++) acc[j] = bias[o + j];
    for (int32_t k = 0; k < a->k; k += QN_DOT_CHUNK) {
        int32_t n = a->k - k < QN_DOT_CHUNK ? a->k - k : QN_DOT_CHUNK;
        qn_dots_f32(in + k, weight + (ptrdiff_t)o * a->k + k, a->k, n, acc, count);
    }
    for (int32_t j = 0; j < count; j++) out[o + j] = qn_clamp_f32(acc[j], a->min, a->max);
}

QN_KERNEL qn_linear_f32f32_f32__any__generic(const struct qn_linear_args *a, const void *input, const void *weight,
                                             const void *bias, const void *multiplier, void *output, int32_t begin,
                                             int32_t end) {
    (void)multiplier;
    for (int32_t r = begin; r < end; r++)
        for (int32_t o = 0; o < a->n; o += QN_DOT_OUTPUTS) {
            int32_t count = a->n - o < QN_DOT_OUTPUTS ? a->n - o : QN_DOT_OUTPUTS;
            qn_linear_generic_f32(a, (const float *)input + (ptrdiff_t)r * a->a_row, weight, bias,
                                  (float *)output + (ptrdiff_t)r * a->out_row, o, count);
        }
}

// ---- 16-bit activations: sums in 64 bits

QN_INLINE void qn_linear_generic_s16(const struct qn_linear_args *a, const int16_t *in, const int8_t *weight, const int32_t *bias,
                                     const float *multiplier, int16_t *out, int32_t o, int32_t count) {
    int32_t row[QN_DOT_WORDS];
    int64_t acc[QN_DOT_OUTPUTS];
    for (int32_t j = 0; j < count; j++) acc[j] = bias[o + j];
    for (int32_t k = 0; k < a->k; k += QN_DOT_WORDS) {
        int32_t n = a->k - k < QN_DOT_WORDS ? a->k - k : QN_DOT_WORDS;
        for (int32_t i = 0; i < n; i++) row[i] = in[k + i] - a->in_zp;
        qn_dots_s16(row, weight + (ptrdiff_t)o * a->k + k, a->k, n, a->weight_zp, acc, count);
    }
    gemm_store_words(acc, multiplier + o, (struct gemm_rounding){a->out_zp, a->lo, a->hi, 0}, out + o, count);
}

QN_KERNEL qn_linear_s16s8_s16__any__generic(const struct qn_linear_args *a, const void *input, const void *weight,
                                            const void *bias, const void *multiplier, void *output, int32_t begin,
                                            int32_t end) {
    for (int32_t r = begin; r < end; r++)
        for (int32_t o = 0; o < a->n; o += QN_DOT_OUTPUTS) {
            int32_t count = a->n - o < QN_DOT_OUTPUTS ? a->n - o : QN_DOT_OUTPUTS;
            qn_linear_generic_s16(a, (const int16_t *)input + (ptrdiff_t)r * a->a_row, weight, bias, multiplier,
                                  (int16_t *)output + (ptrdiff_t)r * a->out_row, o, count);
        }
}
