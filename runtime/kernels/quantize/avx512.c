// f32 to int8 for AVX-512: of elements side by side, and of images with three planes (NCHW) to pixels (NHWC). The
// quotient is that of a true division: with r the reciprocal rounded to nearest and q = x r, q + r (x - q s) is the
// correctly rounded x / s (Markstein), where nothing under- or overflows; x is cut off far outside the int8 range, and
// what underflows rounds to 0 in any case.
#include <immintrin.h>

#include "runtime/strided.h"

struct quantize_avx512 { __m512 scale, reciprocal, reach, low, high; __m512i zp; };

QN_INLINE struct quantize_avx512 quantize_avx512_new(const struct qn_quantize_args *a) {
    const struct quantize_avx512 q = {
        .scale = _mm512_set1_ps(a->scale), .reciprocal = _mm512_set1_ps(1.0f / a->scale),
        .reach = _mm512_set1_ps(a->scale * 1024.0f),
        .low = _mm512_set1_ps((float)(a->lo - a->out_zp)), .high = _mm512_set1_ps((float)(a->hi - a->out_zp)),
        .zp = _mm512_set1_epi32(a->out_zp + a->flip),
    };
    return q;
}

// 16 quantized values in 32 bits each; the low byte is what is stored. NaN counts as 0.
QN_INLINE __m512i quantize_avx512_vector(const struct quantize_avx512 *q, __m512 x) {
    const __m512 floor = _mm512_sub_ps(_mm512_setzero_ps(), q->reach);
    x = _mm512_maskz_min_ps(_mm512_cmp_ps_mask(x, x, _CMP_ORD_Q), x, q->reach);
    x = _mm512_max_ps(x, floor);
    __m512 y = _mm512_mul_ps(x, q->reciprocal);
    y = _mm512_fmadd_ps(_mm512_fnmadd_ps(y, q->scale, x), q->reciprocal, y);
    y = _mm512_min_ps(_mm512_max_ps(y, q->low), q->high);
    return _mm512_add_epi32(_mm512_cvtps_epi32(y), q->zp);
}

QN_INLINE __mmask16 quantize_avx512_mask(int32_t count) {
    return count >= 16 ? 0xFFFF : (__mmask16)((1u << count) - 1);
}

QN_INLINE void quantize_avx512_run(const struct quantize_avx512 *q, const float *in, uint8_t *out, int32_t size) {
    QN_NO_UNROLL for (int32_t i = 0; i < size; i += 16) {
        const __mmask16 mask = quantize_avx512_mask(size - i);
        const __m512i v = quantize_avx512_vector(q, _mm512_maskz_loadu_ps(mask, in + i));
        _mm_mask_storeu_epi8(out + i, mask, _mm512_cvtepi32_epi8(v));
    }
}

QN_KERNEL qn_quantize_f32_s8__16__avx512(const struct qn_quantize_args *a, const void *input, void *output,
                                         int32_t begin, int32_t end) {
    const struct quantize_avx512 q = quantize_avx512_new(a);
    const struct qn_walk walk = qn_walk_new(a->shape, 2, a->in, a->out, a->out);
    QN_NO_UNROLL for (int32_t r = begin; r < end; r++) {
        const float *in = (const float *)input + qn_row_offset(a->shape, a->in, r);
        uint8_t *out = (uint8_t *)output + qn_row_offset(a->shape, a->out, r);
        QN_NO_UNROLL for (int32_t i = 0; i < walk.size[0]; i++)
            QN_NO_UNROLL for (int32_t j = 0; j < walk.size[1]; j++)
                quantize_avx512_run(&q, in + qn_run_offset(&walk, 0, i, j), out + qn_run_offset(&walk, 1, i, j),
                                    walk.size[2]);
    }
}

// Pixels of three planes, `plane` elements apart: 48 bytes from 16 pixels.
QN_INLINE void quantize_avx512_pixels3(const struct quantize_avx512 *q, const float *in, ptrdiff_t plane, uint8_t *out,
                                       int32_t width) {
    const __m512i byte = _mm512_set1_epi32(255);
    const __m512i order = _mm512_setr_epi32(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 15, 15, 15, 15);
    const __m512i squeeze = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
    QN_NO_UNROLL for (int32_t x = 0; x < width; x += 16) {
        const int32_t count = width - x < 16 ? width - x : 16;
        const __mmask16 mask = quantize_avx512_mask(count);
        __m512i v[3];
        QN_UNROLL for (int c = 0; c < 3; c++)
            v[c] = _mm512_and_si512(quantize_avx512_vector(q, _mm512_maskz_loadu_ps(mask, in + x + c * plane)), byte);
        __m512i pixels = _mm512_or_si512(v[0], _mm512_slli_epi32(v[1], 8));
        pixels = _mm512_shuffle_epi8(_mm512_or_si512(pixels, _mm512_slli_epi32(v[2], 16)), squeeze);
        _mm512_mask_storeu_epi8(out + x * 3, ((uint64_t)1 << (count * 3)) - 1, _mm512_permutexvar_epi32(order, pixels));
    }
}

// Pixels are the fourth dimension, or the rows where that is 1.
QN_KERNEL qn_quantize_f32_s8__16x3__avx512(const struct qn_quantize_args *a, const void *input, void *output,
                                           int32_t begin, int32_t end) {
    const struct quantize_avx512 q = quantize_avx512_new(a);
    if (a->shape[3] == 1) {
        quantize_avx512_pixels3(&q, (const float *)input + begin, a->in[4], (uint8_t *)output + begin * 3, end - begin);
        return;
    }
    QN_NO_UNROLL for (int32_t r = begin; r < end; r++)
        QN_NO_UNROLL for (int32_t i = 0; i < a->shape[2]; i++) {
            const ptrdiff_t from = qn_row_offset(a->shape, a->in, r) + (ptrdiff_t)i * a->in[2];
            const ptrdiff_t to = qn_row_offset(a->shape, a->out, r) + (ptrdiff_t)i * a->out[2];
            quantize_avx512_pixels3(&q, (const float *)input + from, a->in[4], (uint8_t *)output + to, a->shape[3]);
        }
}
