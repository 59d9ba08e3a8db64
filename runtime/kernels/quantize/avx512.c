// Between f32 and int8 for AVX-512: of elements side by side, of images with three planes (NCHW) to pixels (NHWC), and from
// pixels to planes. The quotient is that of a true division: with r the reciprocal rounded to nearest and q = x r,
// q + r (x - q s) is the correctly rounded x / s (Markstein), where nothing under- or overflows; x is cut off where its
// quotient is, and what underflows rounds to 0 in any case.
#include "runtime/kernels/transpose_avx512.h"

struct quantize_avx512 { __m512 scale, reciprocal, low, high; __m512i zp; };

// low / scale rounds to lo - out_zp, high / scale to hi - out_zp.
QN_INLINE struct quantize_avx512 quantize_avx512_new(const struct qn_quantize_args *a) {
    const struct quantize_avx512 q = {
        .scale = _mm512_set1_ps(a->scale), .reciprocal = _mm512_set1_ps(1.0f / a->scale),
        .low = _mm512_set1_ps((float)(a->lo - a->out_zp) * a->scale), .high = _mm512_set1_ps((float)(a->hi - a->out_zp) * a->scale),
        .zp = _mm512_set1_epi8((char)(a->out_zp + a->flip)),
    };
    return q;
}

// 16 quantized values less the zero point in 32 bits each. NaN passes through minimum and maximum, where it stands second,
// and is converted to INT32_MIN, whose low byte is 0.
QN_INLINE __m512i quantize_avx512_vector(const struct quantize_avx512 *q, __m512 x) {
    x = _mm512_min_ps(q->high, _mm512_max_ps(q->low, x));
    const __m512 y = _mm512_mul_ps(x, q->reciprocal);
    return _mm512_cvtps_epi32(_mm512_fmadd_ps(_mm512_fnmadd_ps(y, q->scale, x), q->reciprocal, y));
}

// The low bytes of four times 16 values, with the zero point; those of INT32_MIN stay 0 in words, too.
QN_INLINE __m512i quantize_avx512_bytes(const struct quantize_avx512 *q, const __m512i *v) {
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), byte = _mm512_set1_epi16(255);
    const __m512i low = _mm512_and_si512(_mm512_packs_epi32(v[0], v[1]), byte);
    const __m512i high = _mm512_and_si512(_mm512_packs_epi32(v[2], v[3]), byte);
    return _mm512_add_epi8(_mm512_permutexvar_epi32(order, _mm512_packus_epi16(low, high)), q->zp);
}

QN_INLINE __mmask16 quantize_avx512_mask(int32_t count) {
    return count >= 16 ? 0xFFFF : (__mmask16)((1u << count) - 1);
}

// `count` elements side by side, or every other one; nothing between the last of them and what follows is read.
QN_INLINE __m512 quantize_avx512_load(const float *in, int32_t step, int32_t count) {
    if (step == 1) return _mm512_maskz_loadu_ps(quantize_avx512_mask(count), in);
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const uint32_t mask = count >= 16 ? 0x7FFFFFFF : ((uint32_t)1 << (2 * count - 1)) - 1;
    const __m512 low = _mm512_maskz_loadu_ps((__mmask16)mask, in), high = _mm512_maskz_loadu_ps((__mmask16)(mask >> 16), in + 16);
    return _mm512_permutex2var_ps(low, even, high);
}

QN_INLINE void quantize_avx512_run(const struct quantize_avx512 *q, const float *in, uint8_t *out, int32_t size, int32_t step) {
    int32_t i = 0;
    QN_NO_UNROLL for (; i + 64 <= size; i += 64) {
        __m512i v[4];
        QN_UNROLL for (int k = 0; k < 4; k++)
            v[k] = quantize_avx512_vector(q, quantize_avx512_load(in + (ptrdiff_t)(i + 16 * k) * step, step, 16));
        _mm512_storeu_si512(out + i, quantize_avx512_bytes(q, v));
    }
    QN_NO_UNROLL for (; i < size; i += 16) {
        const __m512i v = quantize_avx512_vector(q, quantize_avx512_load(in + (ptrdiff_t)i * step, step, size - i));
        const __m128i bytes = _mm_add_epi8(_mm512_cvtepi32_epi8(v), _mm512_castsi512_si128(q->zp));
        _mm_mask_storeu_epi8(out + i, quantize_avx512_mask(size - i), bytes);
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
                quantize_avx512_run(&q, in + qn_run_offset(&walk, 0, i, j), out + qn_run_offset(&walk, 1, i, j), walk.size[2],
                                    walk.stride[0][2]);
    }
}

// The bits of `mask` from a, the others from b.
QN_INLINE __m512i quantize_avx512_select(int32_t mask, __m512i a, __m512i b) {
    return _mm512_ternarylogic_epi32(_mm512_set1_epi32(mask), a, b, 0xCA);
}

// 48 bytes, and 16 that don't matter, from 16 pixels of three planes, `plane` elements apart.
QN_INLINE __m512i quantize_avx512_pixels(const struct quantize_avx512 *q, const float *in, ptrdiff_t plane, __mmask16 mask) {
    const __m512i order = _mm512_setr_epi32(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 15, 15, 15, 15);
    const __m512i squeeze = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
    __m512i v[3];
    QN_UNROLL for (int c = 0; c < 3; c++) v[c] = quantize_avx512_vector(q, _mm512_maskz_loadu_ps(mask, in + c * plane));
    __m512i pixels = quantize_avx512_select(0xFF, v[0], _mm512_slli_epi32(v[1], 8));
    pixels = quantize_avx512_select(0xFFFF, pixels, _mm512_slli_epi32(v[2], 16));
    return _mm512_permutexvar_epi32(order, _mm512_shuffle_epi8(_mm512_add_epi8(pixels, q->zp), squeeze));
}

// The next pixels write over the 16 bytes.
QN_INLINE void quantize_avx512_pixels3(const struct quantize_avx512 *q, const float *in, ptrdiff_t plane, uint8_t *out,
                                       int32_t width) {
    int32_t x = 0;
    QN_NO_UNROLL for (; x + 32 <= width; x += 16)
        _mm512_storeu_si512(out + x * 3, quantize_avx512_pixels(q, in + x, plane, 0xFFFF));
    QN_NO_UNROLL for (; x < width; x += 16) {
        const int32_t count = qn_min(width - x, 16);
        const __m512i pixels = quantize_avx512_pixels(q, in + x, plane, quantize_avx512_mask(count));
        _mm512_mask_storeu_epi8(out + x * 3, ((uint64_t)1 << (count * 3)) - 1, pixels);
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

QN_KERNEL qn_quantize_s8_f32__64x16__avx512(const struct qn_quantize_args *a, const void *input, void *output,
                                            int32_t begin, int32_t end) {
    const int along = transpose_avx512_along(a->shape, a->in);
    const int32_t planes = along == 3 ? 1 : a->shape[3];
    QN_NO_UNROLL for (int32_t r = begin, rows; r < end; r += rows) {
        rows = transpose_avx512_rows(a->shape, along, r, end);
        const uint8_t *in = (const uint8_t *)input + qn_row_offset(a->shape, a->in, r);
        float *out = (float *)output + qn_row_offset(a->shape, a->out, r);
        QN_NO_UNROLL for (int32_t i = 0; i < a->shape[2]; i++)
            QN_NO_UNROLL for (int32_t j = 0; j < planes; j++) {
                const ptrdiff_t from = (ptrdiff_t)i * a->in[2] + (ptrdiff_t)j * a->in[3], to = (ptrdiff_t)i * a->out[2] + (ptrdiff_t)j * a->out[3];
                quantize_avx512_planes(a, in + from, out + to, a->out[along], along == 3 ? a->shape[3] : rows, a->shape[4]);
            }
    }
}
