// Between f32 and int8 for AVX2, of elements side by side, and of images with three planes (NCHW) to pixels (NHWC). Quotients are
// those of a true division, by way of the reciprocal: see avx512.c.
#include <immintrin.h>

#include "runtime/strided.h"

struct quantize_avx2 { __m256 scale, reciprocal, low, high; __m256i zp; };

QN_INLINE struct quantize_avx2 quantize_avx2_new(const struct qn_quantize_args *a) {
    const struct quantize_avx2 q = {
        .scale = _mm256_set1_ps(a->scale), .reciprocal = _mm256_set1_ps(1.0f / a->scale),
        .low = _mm256_set1_ps((float)(a->lo - a->out_zp) * a->scale), .high = _mm256_set1_ps((float)(a->hi - a->out_zp) * a->scale),
        .zp = _mm256_set1_epi8((char)(a->out_zp + a->flip)),
    };
    return q;
}

// 8 quantized values less the zero point. NaN passes through minimum and maximum, where it stands second, and is converted to
// INT32_MIN, whose low byte is 0.
QN_INLINE __m256i quantize_avx2_vector(const struct quantize_avx2 *q, __m256 x) {
    x = _mm256_min_ps(q->high, _mm256_max_ps(q->low, x));
    const __m256 y = _mm256_mul_ps(x, q->reciprocal);
    return _mm256_cvtps_epi32(_mm256_fmadd_ps(_mm256_fnmadd_ps(y, q->scale, x), q->reciprocal, y));
}

// The low bytes of four times 8 values, with the zero point; those of INT32_MIN stay 0 in words, too.
QN_INLINE __m256i quantize_avx2_bytes(const struct quantize_avx2 *q, const __m256i *v) {
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7), byte = _mm256_set1_epi16(255);
    const __m256i low = _mm256_and_si256(_mm256_packs_epi32(v[0], v[1]), byte), high = _mm256_and_si256(_mm256_packs_epi32(v[2], v[3]), byte);
    return _mm256_add_epi8(_mm256_permutevar8x32_epi32(_mm256_packus_epi16(low, high), order), q->zp);
}

QN_INLINE uint8_t quantize_avx2_one(const struct qn_quantize_args *a, float x) {
    return (uint8_t)(qn_quantize(x, a->scale, a->out_zp, a->lo, a->hi) ^ a->flip);
}

QN_INLINE void quantize_avx2_run(const struct qn_quantize_args *a, const struct quantize_avx2 *q, const float *in, uint8_t *out, int32_t size) {
    int32_t i = 0;
    QN_NO_UNROLL for (; i + 32 <= size; i += 32) {
        __m256i v[4];
        QN_UNROLL for (int k = 0; k < 4; k++) v[k] = quantize_avx2_vector(q, _mm256_loadu_ps(in + i + 8 * k));
        _mm256_storeu_si256((__m256i *)(out + i), quantize_avx2_bytes(q, v));
    }
    QN_NO_UNROLL for (; i + 8 <= size; i += 8) {
        const __m256i one = quantize_avx2_vector(q, _mm256_loadu_ps(in + i)), v[4] = {one, one, one, one};
        _mm_storel_epi64((__m128i *)(out + i), _mm256_castsi256_si128(quantize_avx2_bytes(q, v)));
    }
    QN_NO_UNROLL for (; i < size; i++) out[i] = quantize_avx2_one(a, in[i]);
}

QN_KERNEL qn_quantize_f32_s8__8__avx2(const struct qn_quantize_args *a, const void *input, void *output, int32_t begin, int32_t end) {
    const struct quantize_avx2 q = quantize_avx2_new(a);
    const struct qn_walk walk = qn_walk_new(a->shape, 2, a->in, a->out, a->out);
    QN_NO_UNROLL for (int32_t r = begin; r < end; r++) {
        const float *in = (const float *)input + qn_row_offset(a->shape, a->in, r);
        uint8_t *out = (uint8_t *)output + qn_row_offset(a->shape, a->out, r);
        QN_NO_UNROLL for (int32_t i = 0; i < walk.size[0]; i++)
            QN_NO_UNROLL for (int32_t j = 0; j < walk.size[1]; j++)
                quantize_avx2_run(a, &q, in + qn_run_offset(&walk, 0, i, j), out + qn_run_offset(&walk, 1, i, j), walk.size[2]);
    }
}

// ---- planes to pixels

// 24 bytes, and 8 that don't matter, from 8 pixels of three planes, `plane` elements apart.
QN_INLINE __m256i quantize_avx2_pixels(const struct quantize_avx2 *q, const float *in, ptrdiff_t plane) {
    const __m256i order = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 7, 7);
    const __m256i squeeze = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
    const __m256i byte = _mm256_set1_epi32(255);
    __m256i pixels = _mm256_setzero_si256();
    QN_UNROLL for (int c = 0; c < 3; c++) {
        const __m256i v = _mm256_and_si256(quantize_avx2_vector(q, _mm256_loadu_ps(in + c * plane)), byte);
        pixels = _mm256_or_si256(pixels, _mm256_slli_epi32(v, 8 * c));
    }
    return _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(_mm256_add_epi8(pixels, q->zp), squeeze), order);
}

// The next pixels write over the 8 bytes.
QN_INLINE void quantize_avx2_pixels3(const struct qn_quantize_args *a, const struct quantize_avx2 *q, const float *in, uint8_t *out, int32_t width) {
    const ptrdiff_t plane = a->in[4];
    int32_t x = 0;
    QN_NO_UNROLL for (; x + 16 <= width; x += 8) _mm256_storeu_si256((__m256i *)(out + x * 3), quantize_avx2_pixels(q, in + x, plane));
    QN_NO_UNROLL for (; x < width; x++)
        QN_UNROLL for (int c = 0; c < 3; c++) out[x * 3 + c] = quantize_avx2_one(a, in[x + c * plane]);
}

// Pixels are the fourth dimension, or the rows where that is 1.
QN_KERNEL qn_quantize_f32_s8__8x3__avx2(const struct qn_quantize_args *a, const void *input, void *output, int32_t begin, int32_t end) {
    const struct quantize_avx2 q = quantize_avx2_new(a);
    if (a->shape[3] == 1) {
        quantize_avx2_pixels3(a, &q, (const float *)input + begin, (uint8_t *)output + begin * 3, end - begin);
        return;
    }
    QN_NO_UNROLL for (int32_t r = begin; r < end; r++)
        QN_NO_UNROLL for (int32_t i = 0; i < a->shape[2]; i++) {
            const ptrdiff_t from = qn_row_offset(a->shape, a->in, r) + (ptrdiff_t)i * a->in[2];
            const ptrdiff_t to = qn_row_offset(a->shape, a->out, r) + (ptrdiff_t)i * a->out[2];
            quantize_avx2_pixels3(a, &q, (const float *)input + from, (uint8_t *)output + to, a->shape[3]);
        }
}

// ---- int8 to f32

QN_INLINE void quantize_avx2_real_run(const struct qn_quantize_args *a, const uint8_t *in, float *out, int32_t size) {
    const __m128i sign = _mm_set1_epi8((char)(a->flip ^ 0x80)); // to unsigned bytes, whose zero point is 128 higher
    const __m256 zp = _mm256_set1_ps((float)(128 + a->in_zp)), scale = _mm256_set1_ps(a->scale);
    int32_t i = 0;
    QN_NO_UNROLL for (; i + 8 <= size; i += 8) {
        const __m128i bytes = _mm_xor_si128(_mm_loadl_epi64((const __m128i *)(in + i)), sign);
        _mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_sub_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)), zp), scale));
    }
    QN_NO_UNROLL for (; i < size; i++) out[i] = qn_dequantize(qn_load8(in + i, a->flip), a->in_zp, a->scale);
}

QN_KERNEL qn_quantize_s8_f32__8__avx2(const struct qn_quantize_args *a, const void *input, void *output, int32_t begin, int32_t end) {
    const struct qn_walk walk = qn_walk_new(a->shape, 2, a->in, a->out, a->out);
    QN_NO_UNROLL for (int32_t r = begin; r < end; r++) {
        const uint8_t *in = (const uint8_t *)input + qn_row_offset(a->shape, a->in, r);
        float *out = (float *)output + qn_row_offset(a->shape, a->out, r);
        QN_NO_UNROLL for (int32_t i = 0; i < walk.size[0]; i++)
            QN_NO_UNROLL for (int32_t j = 0; j < walk.size[1]; j++)
                quantize_avx2_real_run(a, in + qn_run_offset(&walk, 0, i, j), out + qn_run_offset(&walk, 1, i, j), walk.size[2]);
    }
}
