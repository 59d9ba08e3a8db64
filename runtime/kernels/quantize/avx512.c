// Between f32 and int8 for AVX-512: of elements side by side, of images with three planes (NCHW) to pixels (NHWC), and from
// pixels to planes. The
// quotient is that of a true division: with r the reciprocal rounded to nearest and q = x r, q + r (x - q s) is the
// correctly rounded x / s (Markstein), where nothing under- or overflows; x is cut off far outside the int8 range, and
// what underflows rounds to 0 in any case.
#include "runtime/kernels/transpose_avx512.h"

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

// ---- int8 to f32

QN_INLINE __m512 quantize_avx512_real(const struct qn_quantize_args *a, __m128i bytes) {
    const __m128i sign = _mm_set1_epi8((char)(a->flip ^ 0x80)); // to unsigned bytes, whose zero point is 128 higher
    const __m512 x = _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_xor_si128(bytes, sign)));
    return _mm512_mul_ps(_mm512_sub_ps(x, _mm512_set1_ps((float)(128 + a->in_zp))), _mm512_set1_ps(a->scale));
}

QN_INLINE void quantize_avx512_real_run(const struct qn_quantize_args *a, const uint8_t *in, float *out, int32_t size) {
    int32_t i = 0;
    QN_NO_UNROLL for (; i + 64 <= size; i += 64)
        QN_UNROLL for (int k = 0; k < 64; k += 16)
            _mm512_storeu_ps(out + i + k, quantize_avx512_real(a, _mm_loadu_si128((const __m128i *)(in + i + k))));
    QN_NO_UNROLL for (; i < size; i += 16) {
        const __mmask16 mask = quantize_avx512_mask(size - i);
        _mm512_mask_storeu_ps(out + i, mask, quantize_avx512_real(a, _mm_maskz_loadu_epi8(mask, in + i)));
    }
}

QN_KERNEL qn_quantize_s8_f32__16__avx512(const struct qn_quantize_args *a, const void *input, void *output,
                                         int32_t begin, int32_t end) {
    const struct qn_walk walk = qn_walk_new(a->shape, 2, a->in, a->out, a->out);
    QN_NO_UNROLL for (int32_t r = begin; r < end; r++) {
        const uint8_t *in = (const uint8_t *)input + qn_row_offset(a->shape, a->in, r);
        float *out = (float *)output + qn_row_offset(a->shape, a->out, r);
        QN_NO_UNROLL for (int32_t i = 0; i < walk.size[0]; i++)
            QN_NO_UNROLL for (int32_t j = 0; j < walk.size[1]; j++)
                quantize_avx512_real_run(a, in + qn_run_offset(&walk, 0, i, j), out + qn_run_offset(&walk, 1, i, j), walk.size[2]);
    }
}

// Bytes are transposed in a block, so that planes are written in long runs.
enum { QUANTIZE_AVX512_RUN = 256, QUANTIZE_AVX512_RUNS = 64 };

QN_INLINE void quantize_avx512_block_store(const void *user, uint8_t *out, __m128i bytes, __mmask16 mask) {
    (void)user, (void)mask; // the block has room
    _mm_storeu_si128((__m128i *)out, bytes);
}

QN_INLINE void quantize_avx512_planes(const struct qn_quantize_args *a, const uint8_t *in, float *out, ptrdiff_t out_step, int32_t count,
                                      int32_t columns) {
    uint8_t block[QUANTIZE_AVX512_RUNS * QUANTIZE_AVX512_RUN];
    const struct transpose_avx512 t = {.in_bytes = 1, .out_bytes = 1, .in_step = a->in[4], .out_step = QUANTIZE_AVX512_RUN};
    QN_NO_UNROLL for (int32_t i = 0; i < count; i += QUANTIZE_AVX512_RUNS)
        QN_NO_UNROLL for (int32_t j = 0; j < columns; j += QUANTIZE_AVX512_RUN) {
            const int32_t runs = qn_min(count - i, QUANTIZE_AVX512_RUNS), size = qn_min(columns - j, QUANTIZE_AVX512_RUN);
            transpose_avx512_any(&t, in + i + (ptrdiff_t)j * a->in[4], block, runs, size, quantize_avx512_block_store);
            QN_NO_UNROLL for (int32_t k = 0; k < runs; k++)
                quantize_avx512_real_run(a, block + k * QUANTIZE_AVX512_RUN, out + (i + k) * out_step + j, size);
        }
}

// The input is dense along dimension 3, or, where rows are single runs, from row to row.
QN_KERNEL qn_quantize_s8_f32__64x16__avx512(const struct qn_quantize_args *a, const void *input, void *output,
                                            int32_t begin, int32_t end) {
    const int along = a->shape[3] == 1 ? 1 : 3;
    QN_NO_UNROLL for (int32_t r = begin, rows = 1; r < end; r += rows) {
        if (along == 1) rows = qn_min(end - r, a->shape[1] - r % a->shape[1]);
        const uint8_t *in = (const uint8_t *)input + qn_row_offset(a->shape, a->in, r);
        float *out = (float *)output + qn_row_offset(a->shape, a->out, r);
        QN_NO_UNROLL for (int32_t i = 0; i < a->shape[2]; i++)
            quantize_avx512_planes(a, in + (ptrdiff_t)i * a->in[2], out + (ptrdiff_t)i * a->out[2], a->out[along],
                                   along == 1 ? rows : a->shape[3], a->shape[4]);
    }
}
