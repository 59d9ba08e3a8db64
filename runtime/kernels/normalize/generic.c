// (x - mean) / sqrt(variance + epsilon) along the middle of [outer, size, inner]. Where inner is 1, along memory, with
// 64 partial sums; else for 64 neighbours side by side. Two passes: the variance is of the centered values.
#include "runtime/float_math.h"
#include "runtime/kernel.h"

enum { QN_NORMALIZE_LANES = 64 };

// The sum of (x - mean)^power along memory.
QN_INLINE float qn_normalize_generic_sum(const float *in, int32_t size, float mean, int squared) {
    float part[QN_NORMALIZE_LANES] = {0};
    for (int32_t i = 0; i < size; i += QN_NORMALIZE_LANES) {
        const int32_t n = size - i < QN_NORMALIZE_LANES ? size - i : QN_NORMALIZE_LANES;
        for (int32_t j = 0; j < n; j++) {
            const float x = in[i + j] - mean;
            part[j] += squared ? x * x : x;
        }
    }
    for (int width = QN_NORMALIZE_LANES / 2; width > 0; width /= 2)
        for (int j = 0; j < width; j++) part[j] += part[j + width];
    return part[0];
}

QN_INLINE void qn_normalize_generic_row(const struct qn_normalize_args *a, const float *in, float *out) {
    float mean = 0.0f;
    if (a->center) {
        mean = qn_normalize_generic_sum(in, a->size, 0.0f, 0) / (float)a->size;
        mean += qn_normalize_generic_sum(in, a->size, mean, 0) / (float)a->size;
    }
    const float variance = qn_normalize_generic_sum(in, a->size, mean, 1) / (float)a->size;
    const float deviation = qn_sqrt(variance + a->epsilon);
    for (int32_t i = 0; i < a->size; i++) out[i] = (in[i] - mean) / deviation;
}

// Sums of 64 elements and then of those: the error of a long sum stays small.
QN_INLINE void qn_normalize_generic_sums(const float *in, int32_t size, int32_t stride, int32_t n, const float *mean,
                                         int squared, float *restrict total) {
    for (int32_t l = 0; l < n; l++) total[l] = 0.0f;
    for (int32_t i = 0; i < size; i += QN_NORMALIZE_LANES) {
        float part[QN_NORMALIZE_LANES] = {0};
        for (int32_t k = i; k < size && k < i + QN_NORMALIZE_LANES; k++)
            for (int32_t l = 0; l < n; l++) {
                const float x = in[(ptrdiff_t)k * stride + l] - mean[l];
                part[l] += squared ? x * x : x;
            }
        for (int32_t l = 0; l < n; l++) total[l] += part[l];
    }
    for (int32_t l = 0; l < n; l++) total[l] /= (float)size;
}

QN_INLINE void qn_normalize_generic_columns(const struct qn_normalize_args *a, const float *in, float *out, int32_t n) {
    float mean[QN_NORMALIZE_LANES] = {0}, more[QN_NORMALIZE_LANES], variance[QN_NORMALIZE_LANES];
    for (int pass = 0; a->center && pass < 2; pass++) {
        qn_normalize_generic_sums(in, a->size, a->inner, n, mean, 0, more);
        for (int32_t l = 0; l < n; l++) mean[l] += more[l];
    }
    qn_normalize_generic_sums(in, a->size, a->inner, n, mean, 1, variance);
    for (int32_t l = 0; l < n; l++) variance[l] = qn_sqrt(variance[l] + a->epsilon);
    for (int32_t i = 0; i < a->size; i++)
        for (int32_t l = 0; l < n; l++)
            out[(ptrdiff_t)i * a->inner + l] = (in[(ptrdiff_t)i * a->inner + l] - mean[l]) / variance[l];
}

QN_KERNEL qn_normalize_f32_f32__any__generic(const struct qn_normalize_args *a, const void *input, void *output,
                                             int32_t begin, int32_t end) {
    for (int32_t r = begin; r < end;) {
        const int32_t column = r % a->inner;
        const ptrdiff_t at = (ptrdiff_t)(r / a->inner) * a->size * a->inner + column;
        const float *in = (const float *)input + at;
        float *out = (float *)output + at;
        if (a->inner == 1) {
            qn_normalize_generic_row(a, in, out);
            r++;
            continue;
        }
        int32_t n = a->inner - column < end - r ? a->inner - column : end - r;
        if (n > QN_NORMALIZE_LANES) n = QN_NORMALIZE_LANES;
        qn_normalize_generic_columns(a, in, out, n);
        r += n;
    }
}
