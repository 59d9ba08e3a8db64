// int8 convolutions and linear layers on AVX2: register tiles of 6 pixels x 8 channels. Results are those of rounding.h to the
// bit.
#ifndef QN_MADD_AVX2_H
#define QN_MADD_AVX2_H
#include <immintrin.h>

#include "runtime/kernels/gemm.h"

// Four elements of 16 bits, repeated.
QN_INLINE __m256i madd_avx2_pixel(const uint16_t *p) {
    int64_t word;
    __builtin_memcpy(&word, p, 8);
    return _mm256_set1_epi64x(word);
}

// The sums of 8 channels in the order 0 1 4 5 | 2 3 6 7, from their pairs of lanes.
QN_INLINE __m256i madd_avx2_sums(__m256i low, __m256i high) {
    const __m256 a = _mm256_castsi256_ps(low), b = _mm256_castsi256_ps(high);
    return _mm256_add_epi32(_mm256_castps_si256(_mm256_shuffle_ps(a, b, 0x88)), _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0xDD)));
}

// In that order, or from it.
QN_INLINE __m256i madd_avx2_order(__m256i v) { return _mm256_permute4x64_epi64(v, 0xD8); }

// rne(acc * m). The conversion gives INT32_MIN for what does not fit, which is wrong only above: hence the minimum, where the products are not
// known to be small.
QN_INLINE __m256i madd_avx2_round(__m256i acc, __m256 m, int32_t bounded) {
    __m256 y = _mm256_mul_ps(_mm256_cvtepi32_ps(acc), m);
    if (!bounded) y = _mm256_min_ps(y, _mm256_set1_ps(65536.0f));
    return _mm256_cvtps_epi32(y);
}

// The same with a residual, 8 bytes, that is added before (families.def: `unrounded`).
QN_INLINE __m256i madd_avx2_round_sum(const struct gemm *g, __m256i acc, __m256 m, int64_t residual) {
    const struct qn_binary_args *add = g->add;
    const __m256i r = madd_avx2_order(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(residual)));
    const __m256 b = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(r, _mm256_set1_epi32(128 + add->b_zp))), _mm256_set1_ps(add->b_multiplier));
    const __m256 y = _mm256_mul_ps(_mm256_cvtepi32_ps(acc), m);
    return _mm256_cvtps_epi32(_mm256_min_ps(_mm256_add_ps(y, b), _mm256_set1_ps(65536.0f)));
}

// Four pixels of 8 channels as bytes, in order. The saturating additions and packs cut off exactly what the clamp would.
QN_INLINE __m256i madd_avx2_pack(const __m256i v[4], const struct gemm_quant *q) {
    const __m256i zp = _mm256_set1_epi16((int16_t)q->zp);
    const __m256i low = _mm256_adds_epi16(_mm256_packs_epi32(v[0], v[1]), zp), high = _mm256_adds_epi16(_mm256_packs_epi32(v[2], v[3]), zp);
    __m256i bytes = _mm256_packus_epi16(low, high);
    if (q->lo > 0) bytes = _mm256_max_epu8(bytes, _mm256_set1_epi8((char)q->lo));
    if (q->hi < 255) bytes = _mm256_min_epu8(bytes, _mm256_set1_epi8((char)q->hi));
    const __m128i first = _mm256_castsi256_si128(bytes), second = _mm256_extracti128_si256(bytes, 1);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_unpacklo_epi16(first, second)), _mm_unpackhi_epi16(first, second), 1);
}

// The first `columns` of 8 bytes.
QN_INLINE void madd_avx2_store_8(uint8_t *out, int64_t bytes, int32_t columns) {
    if (columns >= 8) {
        __builtin_memcpy(out, &bytes, 8);
        return;
    }
    if (columns & 4) __builtin_memcpy(out, &bytes, 4), out += 4, bytes >>= 32;
    if (columns & 2) __builtin_memcpy(out, &bytes, 2), out += 2, bytes >>= 16;
    if (columns & 1) *out = (uint8_t)bytes;
}

// The first `columns` of 16 bytes.
QN_INLINE void madd_avx2_store_16(uint8_t *out, __m128i bytes, int32_t columns) {
    if (columns >= 16) {
        _mm_storeu_si128((__m128i *)out, bytes);
        return;
    }
    if (columns & 8) _mm_storel_epi64((__m128i *)out, bytes), out += 8, bytes = _mm_srli_si128(bytes, 8);
    if (columns & 7) madd_avx2_store_8(out, _mm_cvtsi128_si64(bytes), columns & 7);
}

QN_INLINE int64_t madd_avx2_load_8(const uint8_t *in, int32_t columns) {
    int64_t bytes = 0;
    if (columns >= 8) __builtin_memcpy(&bytes, in, 8);
    else
        QN_NO_UNROLL for (int32_t i = 0; i < columns; i++) bytes |= (int64_t)in[i] << 8 * i;
    return bytes;
}

// Where pixel `i` of a tile of rows of `tw` lies.
QN_INLINE int64_t madd_avx2_place(const struct gemm *g, int i, int tw) { return i / tw * g->out_row + i % tw * g->out_column; }

// Results of 32 bits. Sums are in madd_avx2_sums' order.
QN_INLINE void madd_avx2_store_wide(const struct gemm *g, const __m256i *sums, const float *multiplier, uint8_t *out, int pixels, int tw,
                                    int32_t columns) {
    const __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(columns), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    const __m256 m = _mm256_loadu_ps(multiplier);
    QN_UNROLL for (int i = 0; i < pixels; i++) {
        const __m256i ordered = madd_avx2_order(sums[i]);
        const __m256i floats = _mm256_castps_si256(_mm256_mul_ps(_mm256_cvtepi32_ps(ordered), m));
        _mm256_maskstore_epi32((int *)(void *)(out + madd_avx2_place(g, i, tw)), mask, g->form == GEMM_SUMS ? ordered : floats);
    }
}

// Sums in order, rounded to 16 bits and clamped.
QN_INLINE __m128i madd_avx2_words(__m256i sums, __m256 m, int32_t zp, int32_t lo, int32_t hi) {
    __m256 y = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), m);
    y = _mm256_min_ps(_mm256_max_ps(y, _mm256_set1_ps((float)(lo - zp))), _mm256_set1_ps((float)(hi - zp)));
    const __m256i q = _mm256_add_epi32(_mm256_cvtps_epi32(y), _mm256_set1_epi32(zp));
    return _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
}
QN_INLINE void madd_avx2_store_words(const struct gemm *g, const __m256i *sums, const float *multiplier, uint8_t *out, int pixels, int tw,
                                     int32_t columns) {
    const __m256 m = _mm256_loadu_ps(multiplier);
    QN_UNROLL for (int i = 0; i < pixels; i++) {
        const __m256i ordered = madd_avx2_order(sums[i]);
        madd_avx2_store_16(out + madd_avx2_place(g, i, tw), madd_avx2_words(ordered, m, g->zp, g->lo, g->hi), 2 * columns);
    }
}

// Pixels of 8 channels from their sums, in madd_avx2_sums' order.
QN_INLINE void madd_avx2_store_sums(const struct gemm *g, const __m256i *sums, const float *multiplier, uint8_t *out, int pixels, int tw,
                                    int32_t columns) {
    const __m256 m = _mm256_castsi256_ps(madd_avx2_order(_mm256_castps_si256(_mm256_loadu_ps(multiplier))));
    const struct gemm_quant quant = gemm_quant_of(g);
    if (g->form == GEMM_WORDS) {
        madd_avx2_store_words(g, sums, multiplier, out, pixels, tw, columns);
        return;
    }
    if (g->form >= GEMM_SUMS) {
        madd_avx2_store_wide(g, sums, multiplier, out, pixels, tw, columns);
        return;
    }
    QN_UNROLL for (int p = 0; p < pixels; p += 4) {
        __m256i v[4];
        int64_t bytes[4];
        QN_UNROLL for (int i = 0; i < 4; i++) {
            const int at = p + i < pixels ? p + i : p;
            if (i && at == p) v[i] = v[0];
            else if (g->add) v[i] = madd_avx2_round_sum(g, sums[at], m, madd_avx2_load_8(g->residual + (out - g->out) + madd_avx2_place(g, at, tw), columns));
            else v[i] = madd_avx2_round(sums[at], m, g->bounded);
        }
        _mm256_storeu_si256((__m256i *)bytes, madd_avx2_pack(v, &quant));
        QN_UNROLL for (int i = 0; i < 4; i++)
            if (p + i < pixels) madd_avx2_store_8(out + madd_avx2_place(g, p + i, tw), bytes[i], columns);
    }
}

QN_INLINE void madd_avx2_store(const struct gemm *g, const __m256i *acc, const float *multiplier, uint8_t *out, int pixels, int tw,
                               int32_t columns) {
    __m256i sums[6];
    QN_UNROLL for (int i = 0; i < pixels; i++) sums[i] = madd_avx2_sums(acc[2 * i], acc[2 * i + 1]);
    madd_avx2_store_sums(g, sums, multiplier, out, pixels, tw, columns);
}

#define MADD(name) madd_avx2_##name
#define MADD_VEC __m256i
#define MADD_LANES 8
#define MADD_PIXELS 6
#define MADD_SHAPES(X) X(1, 1) X(1, 2) X(1, 3) X(1, 4) X(1, 5) X(1, 6) X(6, 1) X(3, 2) X(2, 3)
#define MADD_START(bias) _mm256_cvtepu32_epi64(_mm_loadu_si128((const __m128i *)(bias)))
#define MADD_PIXEL madd_avx2_pixel
#define MADD_WEIGHT(p) _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(p)))
#define MADD_ACC(acc, x, w) _mm256_add_epi32(acc, _mm256_madd_epi16(x, w))
#define MADD_WIDEN(to, p) _mm256_storeu_si256((__m256i *)(to), _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(p))))
#include "runtime/kernels/madd.def"

// ---- depthwise

// Vectors of 16 bits of 4 channels and 4 rows: rows 0 and 1 of the channels in one half, 2 and 3 in the other.
QN_INLINE __m256i madd_avx2_rows_apart(const int8_t *w) {
    return _mm256_permutevar8x32_epi32(_mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)w)), _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
}

QN_INLINE void madd_avx2_depthwise_weights(const int8_t *w, int32_t quarter, __m256i *to) {
    const __m256i a = madd_avx2_rows_apart(w), b = madd_avx2_rows_apart(w + quarter);
    const __m256i c = madd_avx2_rows_apart(w + 2 * quarter), d = madd_avx2_rows_apart(w + 3 * quarter);
    to[0] = _mm256_permute2x128_si256(a, c, 0x20), to[1] = _mm256_permute2x128_si256(b, d, 0x20);
    to[2] = _mm256_permute2x128_si256(a, c, 0x31), to[3] = _mm256_permute2x128_si256(b, d, 0x31);
}

QN_INLINE __m256i madd_avx2_depthwise_constant(const void *constants, int32_t quarter, int high) {
    const __m128i *p = (const __m128i *)((const int32_t *)constants + (high ? quarter : 0));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(p)), _mm_loadu_si128((const __m128i *)((const int32_t *)p + 2 * quarter)), 1);
}

QN_INLINE void madd_avx2_depthwise_put(uint8_t *out, __m256i words, const struct gemm_quant *q, int32_t channels) {
    words = _mm256_adds_epi16(words, _mm256_set1_epi16((int16_t)q->zp));
    __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    if (q->lo > 0) bytes = _mm_max_epu8(bytes, _mm_set1_epi8((char)q->lo));
    if (q->hi < 255) bytes = _mm_min_epu8(bytes, _mm_set1_epi8((char)q->hi));
    madd_avx2_store_16(out, bytes, channels);
}

#define madd_avx2_depthwise_store(d, low, high, m_low, m_high, out, channels)                                   \
    madd_avx2_depthwise_put(out, _mm256_packs_epi32(madd_avx2_round(low, _mm256_castsi256_ps(m_low), (d)->quant.bounded),                   \
                                                    madd_avx2_round(high, _mm256_castsi256_ps(m_high), (d)->quant.bounded)), &(d)->quant, channels)
#define MADD_WIDE(p) _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(p)))
#define MADD_LOW _mm256_unpacklo_epi16
#define MADD_HIGH _mm256_unpackhi_epi16
#define MADD_MADD _mm256_madd_epi16
#define MADD_ADD _mm256_add_epi32
#include "runtime/kernels/madd_depthwise.def"
#endif
