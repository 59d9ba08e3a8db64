// Functions of one float for AVX-512.
#include "runtime/kernels/math_avx512.h"
#include "runtime/strided.h"

QN_INLINE __m512 unary_avx512_value(const struct qn_unary_args *a, __m512 x) {
    switch (a->op) {
    case QN_EXP: return math_avx512_exp(x);
    case QN_SIGMOID: return math_avx512_sigmoid(x);
    case QN_SWISH: return math_avx512_swish(x);
    case QN_TANH: return math_avx512_tanh(x);
    case QN_ERF: return math_avx512_erf(x);
    }
    return _mm512_sqrt_ps(x); // QN_SQRT
}

QN_KERNEL qn_unary_f32_f32__16__avx512(const struct qn_unary_args *a, const void *input, void *output, int32_t begin, int32_t end) {
    const struct qn_walk walk = qn_walk_new(a->shape, 2, a->in, a->out, a->out);
    QN_NO_UNROLL for (int32_t r = begin; r < end; r++)
        QN_NO_UNROLL for (int32_t i = 0; i < walk.size[0]; i++)
            QN_NO_UNROLL for (int32_t j = 0; j < walk.size[1]; j++) {
                const float *in = (const float *)input + qn_row_offset(a->shape, a->in, r) + qn_run_offset(&walk, 0, i, j);
                float *out = (float *)output + qn_row_offset(a->shape, a->out, r) + qn_run_offset(&walk, 1, i, j);
                QN_NO_UNROLL for (int32_t k = 0; k < walk.size[2]; k += 16) {
                    const int32_t left = walk.size[2] - k;
                    const __mmask16 mask = left >= 16 ? 0xFFFF : (__mmask16)((1u << left) - 1);
                    _mm512_mask_storeu_ps(out + k, mask, unary_avx512_value(a, _mm512_maskz_loadu_ps(mask, in + k)));
                }
            }
}
