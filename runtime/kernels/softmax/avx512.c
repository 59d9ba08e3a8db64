// Softmax in f32 for AVX-512: 16 neighbours of a dense row, whole rows of 2, 4 or 8 elements side by side, or 16 columns.
#include "runtime/kernels/math_avx512.h"

QN_INLINE __mmask16 softmax_avx512_mask(ptrdiff_t count) { return count >= 16 ? 0xFFFF : (__mmask16)((1u << count) - 1); }

QN_INLINE void softmax_avx512_row(const float *in, float *out, int32_t size) {
    __m512 top = _mm512_set1_ps(in[0]), sum = _mm512_setzero_ps();
    QN_NO_UNROLL for (int32_t i = 0; i < size; i += 16)
        top = _mm512_mask_max_ps(top, softmax_avx512_mask(size - i), _mm512_maskz_loadu_ps(softmax_avx512_mask(size - i), in + i), top);
    top = _mm512_set1_ps(_mm512_reduce_max_ps(top));
    QN_NO_UNROLL for (int32_t i = 0; i < size; i += 16) {
        const __mmask16 mask = softmax_avx512_mask(size - i);
        const __m512 y = math_avx512_exp(_mm512_sub_ps(_mm512_maskz_loadu_ps(mask, in + i), top));
        sum = _mm512_mask_add_ps(sum, mask, sum, y);
        _mm512_mask_storeu_ps(out + i, mask, y);
    }
    const __m512 scale = _mm512_set1_ps(1.0f / _mm512_reduce_add_ps(sum));
    QN_NO_UNROLL for (int32_t i = 0; i < size; i += 16) {
        const __mmask16 mask = softmax_avx512_mask(size - i);
        _mm512_mask_storeu_ps(out + i, mask, _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, out + i), scale));
    }
}

// Each element's partner `distance` away, the other way round in the other half.
QN_INLINE __m512 softmax_avx512_partner(__m512 x, int32_t distance) {
    return distance == 1 ? _mm512_permute_ps(x, 0xB1) : distance == 2 ? _mm512_permute_ps(x, 0x4E) : _mm512_shuffle_f32x4(x, x, 0xB1);
}

// `count` elements, rows of `size`: extremes and sums of a row come about in all of its elements.
QN_INLINE void softmax_avx512_rows(const float *in, float *out, ptrdiff_t count, int32_t size) {
    QN_NO_UNROLL for (ptrdiff_t i = 0; i < count; i += 16) {
        const __mmask16 mask = softmax_avx512_mask(count - i);
        const __m512 x = _mm512_maskz_loadu_ps(mask, in + i);
        __m512 top = x;
        QN_UNROLL for (int32_t d = 1; d < 8; d *= 2)
            if (d < size) top = _mm512_max_ps(top, softmax_avx512_partner(top, d));
        const __m512 y = math_avx512_exp(_mm512_sub_ps(x, top));
        __m512 sum = y;
        QN_UNROLL for (int32_t d = 1; d < 8; d *= 2)
            if (d < size) sum = _mm512_add_ps(sum, softmax_avx512_partner(sum, d));
        _mm512_mask_storeu_ps(out + i, mask, _mm512_mul_ps(y, _mm512_div_ps(_mm512_set1_ps(1.0f), sum)));
    }
}

// Up to 16 columns side by side, elements `stride` apart.
QN_INLINE void softmax_avx512_columns(const float *in, float *out, int32_t size, ptrdiff_t stride, __mmask16 mask) {
    __m512 top = _mm512_maskz_loadu_ps(mask, in), sum = _mm512_setzero_ps();
    QN_NO_UNROLL for (int32_t i = 1; i < size; i++) top = _mm512_max_ps(_mm512_maskz_loadu_ps(mask, in + i * stride), top);
    QN_NO_UNROLL for (int32_t i = 0; i < size; i++) {
        const __m512 y = math_avx512_exp(_mm512_sub_ps(_mm512_maskz_loadu_ps(mask, in + i * stride), top));
        sum = _mm512_add_ps(sum, y);
        _mm512_mask_storeu_ps(out + i * stride, mask, y);
    }
    const __m512 scale = _mm512_div_ps(_mm512_set1_ps(1.0f), sum);
    QN_NO_UNROLL for (int32_t i = 0; i < size; i++)
        _mm512_mask_storeu_ps(out + i * stride, mask, _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, out + i * stride), scale));
}

QN_KERNEL qn_softmax_f32_f32__16__avx512(const struct qn_softmax_args *a, const void *input, void *output, int32_t begin,
                                         int32_t end) {
    const float *in = (const float *)input;
    float *out = (float *)output;
    if (a->inner == 1 && (a->size == 2 || a->size == 4 || a->size == 8)) {
        softmax_avx512_rows(in + (ptrdiff_t)begin * a->size, out + (ptrdiff_t)begin * a->size, (ptrdiff_t)(end - begin) * a->size, a->size);
        return;
    }
    QN_NO_UNROLL for (int32_t r = begin, columns = 1; r < end; r += columns) {
        const int32_t column = r % a->inner, left = a->inner - column < end - r ? a->inner - column : end - r;
        const ptrdiff_t at = (ptrdiff_t)(r / a->inner) * a->size * a->inner + column;
        if (a->inner == 1) {
            softmax_avx512_row(in + at, out + at, a->size);
            continue;
        }
        columns = left < 16 ? left : 16;
        softmax_avx512_columns(in + at, out + at, a->size, a->inner, softmax_avx512_mask(columns));
    }
}
