// Softmax, its logarithm and hardmax along the middle dimension of [outer, size, inner]. Softmax with inner 1: one row at a time, in lanes. Otherwise up to 16
// neighbouring columns at a time, so that the loads are dense.
#include "runtime/float_math.h"

enum { QN_SOFTMAX_LANES = 16 };

// A dense row; in place allowed, as each element is read before it is written.
QN_INLINE void qn_softmax_generic_row(const float *in, float *out, int32_t size) {
    float max[QN_SOFTMAX_LANES], sum[QN_SOFTMAX_LANES];
    for (int l = 0; l < QN_SOFTMAX_LANES; l++) max[l] = in[0], sum[l] = 0.0f;
    for (int32_t i = 0; i < size; i += QN_SOFTMAX_LANES) {
        int32_t n = size - i < QN_SOFTMAX_LANES ? size - i : QN_SOFTMAX_LANES;
        for (int32_t l = 0; l < n; l++) max[l] = max[l] < in[i + l] ? in[i + l] : max[l];
    }
    for (int l = 1; l < QN_SOFTMAX_LANES; l++) max[0] = max[0] < max[l] ? max[l] : max[0];
    const float top = max[0];
    for (int32_t i = 0; i < size; i += QN_SOFTMAX_LANES) {
        int32_t n = size - i < QN_SOFTMAX_LANES ? size - i : QN_SOFTMAX_LANES;
        float block[QN_SOFTMAX_LANES];
        for (int32_t l = 0; l < n; l++) block[l] = qn_exp(in[i + l] - top);
        for (int32_t l = 0; l < n; l++) sum[l] += block[l], out[i + l] = block[l];
    }
    for (int width = QN_SOFTMAX_LANES / 2; width > 0; width /= 2)
        for (int l = 0; l < width; l++) sum[l] += sum[l + width];
    const float scale = 1.0f / sum[0];
    for (int32_t i = 0; i < size; i++) out[i] = out[i] * scale;
}

// `n` columns side by side, elements `stride` apart.
QN_INLINE void qn_softmax_generic_columns(const float *in, float *out, int32_t size, int32_t stride, int32_t n) {
    float max[QN_SOFTMAX_LANES], sum[QN_SOFTMAX_LANES], block[QN_SOFTMAX_LANES];
    for (int32_t l = 0; l < n; l++) max[l] = in[l], sum[l] = 0.0f;
    for (int32_t i = 1; i < size; i++)
        for (int32_t l = 0; l < n; l++) {
            float x = in[(ptrdiff_t)i * stride + l];
            max[l] = max[l] < x ? x : max[l];
        }
    for (int32_t i = 0; i < size; i++) {
        for (int32_t l = 0; l < n; l++) block[l] = qn_exp(in[(ptrdiff_t)i * stride + l] - max[l]);
        for (int32_t l = 0; l < n; l++) sum[l] += block[l], out[(ptrdiff_t)i * stride + l] = block[l];
    }
    for (int32_t l = 0; l < n; l++) sum[l] = 1.0f / sum[l];
    for (int32_t i = 0; i < size; i++)
        for (int32_t l = 0; l < n; l++) out[(ptrdiff_t)i * stride + l] *= sum[l];
}

// x - max - log(sum(exp(x - max))), the sum in double; elements `stride` apart.
QN_INLINE void qn_softmax_generic_log(const float *in, float *out, int32_t size, int32_t stride) {
    float top = in[0];
    double sum = 0.0;
    for (int32_t i = 1; i < size; i++) top = top < in[(ptrdiff_t)i * stride] ? in[(ptrdiff_t)i * stride] : top;
    for (int32_t i = 0; i < size; i++) sum += qn_exp(in[(ptrdiff_t)i * stride] - top);
    const double log_sum = qn_log_f64(sum);
    for (int32_t i = 0; i < size; i++)
        out[(ptrdiff_t)i * stride] = (float)((double)in[(ptrdiff_t)i * stride] - top - log_sum);
}
QN_INLINE void qn_softmax_generic_hard(const float *in, float *out, int32_t size, int32_t stride) {
    int32_t best = 0;
    for (int32_t i = 1; i < size; i++)
        if (in[(ptrdiff_t)i * stride] > in[(ptrdiff_t)best * stride]) best = i;
    for (int32_t i = 0; i < size; i++) out[(ptrdiff_t)i * stride] = i == best ? 1.0f : 0.0f;
}

QN_KERNEL qn_softmax_f32_f32__any__generic(const struct qn_softmax_args *a, const void *input, void *output,
                                           int32_t begin, int32_t end) {
    for (int32_t r = begin; r < end;) {
        const int32_t column = r % a->inner;
        const ptrdiff_t at = (ptrdiff_t)(r / a->inner) * a->size * a->inner + column;
        const float *in = (const float *)input + at;
        float *out = (float *)output + at;
        if (a->op != QN_SOFTMAX) {
            if (a->op == QN_HARDMAX) qn_softmax_generic_hard(in, out, a->size, a->inner);
            else qn_softmax_generic_log(in, out, a->size, a->inner);
            r++;
            continue;
        }
        if (a->inner == 1) {
            qn_softmax_generic_row(in, out, a->size);
            r++;
            continue;
        }
        int32_t n = a->inner - column < end - r ? a->inner - column : end - r;
        if (n > QN_SOFTMAX_LANES) n = QN_SOFTMAX_LANES;
        qn_softmax_generic_columns(in, out, a->size, a->inner, n);
        r += n;
    }
}
