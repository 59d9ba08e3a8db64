// int8 convolutions and linear layers on AVX-512 without VNNI: register tiles of 14 pixels x 16 channels, depthwise ones in vectors of 32
// channels. Results are those of rounding.h to the bit.
#ifndef QN_MADD_AVX512_H
#define QN_MADD_AVX512_H
#include "runtime/kernels/vnni_store.h"

QN_INLINE __m512i madd_avx512_pixel(const uint16_t *p) {
    int64_t word;
    __builtin_memcpy(&word, p, 8);
    return _mm512_set1_epi64(word);
}

// The sums of 16 channels from their pairs of lanes.
QN_INLINE __m512i madd_avx512_sums(__m512i low, __m512i high) {
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    return _mm512_add_epi32(_mm512_permutex2var_epi32(low, even, high), _mm512_permutex2var_epi32(low, odd, high));
}

// rne of acc * m with a residual added (families.def: `unrounded`), of which `columns` bytes are read.
QN_INLINE __m512i madd_avx512_round_sum(const struct gemm *g, __m512i acc, __m512 m, const uint8_t *residual, int32_t columns) {
    const struct qn_binary_args *add = g->add;
    const __m512i r = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(vnni_lanes(0, columns), residual));
    const __m512 b = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(r, _mm512_set1_epi32(128 + add->b_zp))), _mm512_set1_ps(add->b_multiplier));
    const __m512 y = _mm512_mul_ps(_mm512_cvtepi32_ps(acc), m);
    return _mm512_cvtps_epi32(_mm512_min_ps(_mm512_add_ps(y, b), _mm512_set1_ps(65536.0f)));
}

// Where pixel `i` of a tile of rows of `tw` lies.
QN_INLINE int64_t madd_avx512_place(const struct gemm *g, int i, int tw) { return i / tw * g->out_row + i % tw * g->out_column; }

// Results of 32 bits.
QN_INLINE void madd_avx512_store_wide(const struct gemm *g, const __m512i *sums, __m512 m, uint8_t *out, int pixels, int tw, int32_t columns) {
    QN_UNROLL for (int i = 0; i < pixels; i++) {
        const __m512i floats = _mm512_castps_si512(_mm512_mul_ps(_mm512_cvtepi32_ps(sums[i]), m));
        _mm512_mask_storeu_epi32(out + madd_avx512_place(g, i, tw), vnni_lanes(0, columns), g->form == GEMM_SUMS ? sums[i] : floats);
    }
}

// Sums rounded to 16 bits and clamped.
QN_INLINE __m256i madd_avx512_words(__m512i sums, __m512 m, int32_t zp, int32_t lo, int32_t hi) {
    __m512 y = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), m);
    y = _mm512_min_ps(_mm512_max_ps(y, _mm512_set1_ps((float)(lo - zp))), _mm512_set1_ps((float)(hi - zp)));
    return _mm512_cvtepi32_epi16(_mm512_add_epi32(_mm512_cvtps_epi32(y), _mm512_set1_epi32(zp)));
}
QN_INLINE void madd_avx512_store_words(const struct gemm *g, const __m512i *sums, const float *multiplier, uint8_t *out, int pixels, int tw,
                                       int32_t columns) {
    const __m512 m = _mm512_loadu_ps(multiplier);
    QN_UNROLL for (int i = 0; i < pixels; i++) {
        const __m256i words = madd_avx512_words(sums[i], m, g->zp, g->lo, g->hi);
        _mm256_mask_storeu_epi16(out + madd_avx512_place(g, i, tw), vnni_lanes(0, columns), words);
    }
}

// Pixels of 16 channels from their sums.
QN_INLINE void madd_avx512_store_sums(const struct gemm *g, const __m512i *sums, const float *multiplier, uint8_t *out, int pixels, int tw,
                                      int32_t columns) {
    struct gemm_quant quant = gemm_quant_of(g);
    if (quant.bounded) quant.bounded = 1; // sums do not begin with VNNI_SHIFT
    const __m512 m = _mm512_loadu_ps(multiplier);
    if (g->form == GEMM_WORDS) {
        madd_avx512_store_words(g, sums, multiplier, out, pixels, tw, columns);
        return;
    }
    if (g->form >= GEMM_SUMS) {
        madd_avx512_store_wide(g, sums, m, out, pixels, tw, columns);
        return;
    }
    QN_UNROLL for (int p = 0; p < pixels; p += 4) {
        __m512i v[4];
        QN_UNROLL for (int i = 0; i < 4; i++) {
            const int at = p + i < pixels ? p + i : p;
            if (i && at == p) v[i] = v[0];
            else if (g->add) v[i] = madd_avx512_round_sum(g, sums[at], m, g->residual + (out - g->out) + madd_avx512_place(g, at, tw), columns);
            else v[i] = vnni_scale(sums[at], m, &quant);
        }
        const __m512i bytes = vnni_pack(v, &quant);
        QN_UNROLL for (int i = 0; i < 4; i++)
            if (p + i < pixels) vnni_store_part(out + madd_avx512_place(g, p + i, tw), bytes, i, 1, columns);
    }
}

QN_INLINE void madd_avx512_store(const struct gemm *g, const __m512i *acc, const float *multiplier, uint8_t *out, int pixels, int tw,
                                 int32_t columns) {
    __m512i sums[14];
    QN_UNROLL for (int i = 0; i < pixels; i++) sums[i] = madd_avx512_sums(acc[2 * i], acc[2 * i + 1]);
    madd_avx512_store_sums(g, sums, multiplier, out, pixels, tw, columns);
}

#define MADD(name) madd_avx512_##name
#define MADD_VEC __m512i
#define MADD_LANES 16
#define MADD_PIXELS 14
#define MADD_SHAPES(X)                                                                                                \
    X(1, 1) X(1, 2) X(1, 3) X(1, 4) X(1, 5) X(1, 6) X(1, 7) X(1, 8) X(1, 9) X(1, 10) X(1, 11) X(1, 12) X(1, 13) X(1, 14) \
    X(14, 1) X(7, 2) X(4, 3) X(3, 4) X(2, 5) X(2, 6) X(2, 7)
#define MADD_START(bias) _mm512_cvtepu32_epi64(_mm256_loadu_si256((const __m256i *)(bias)))
#define MADD_PIXEL madd_avx512_pixel
#define MADD_WEIGHT(p) _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(p)))
#define MADD_ACC(acc, x, w) _mm512_add_epi32(acc, _mm512_madd_epi16(x, w))
#define MADD_WIDEN(to, p) _mm256_storeu_si256((__m256i *)(to), _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(p))))
#include "runtime/kernels/madd.def"

// ---- depthwise

// 4 channels and 4 rows, from 16 channels on once more: rows 0 and 1 of the channels in the first half of each 256 bits, 2 and 3 in the second.
QN_INLINE __m512i madd_avx512_rows_apart(const int8_t *w) {
    const __m256i bytes = _mm256_loadu_si256((const __m256i *)w);
    return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15), _mm512_cvtepi8_epi16(bytes));
}

// Channels 0-3, 8-11, 16-19, 24-27 of 32 stand in four lanes of 128 bits, as unpacking orders them.
QN_INLINE void madd_avx512_depthwise_weights(const int8_t *w, int32_t quarter, __m512i *to) {
    const __m512i low = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), high = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    const __m512i a = madd_avx512_rows_apart(w), b = madd_avx512_rows_apart(w + quarter);
    const __m512i c = madd_avx512_rows_apart(w + 2 * quarter), d = madd_avx512_rows_apart(w + 3 * quarter);
    to[0] = _mm512_permutex2var_epi64(a, low, c), to[1] = _mm512_permutex2var_epi64(b, low, d);
    to[2] = _mm512_permutex2var_epi64(a, high, c), to[3] = _mm512_permutex2var_epi64(b, high, d);
}

QN_INLINE __m512i madd_avx512_depthwise_constant(const void *constants, int32_t quarter, int high) {
    const int32_t *p = (const int32_t *)constants + (high ? quarter : 0);
    const __m512i first = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)p));
    const __m512i second = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(p + 2 * quarter)));
    return _mm512_permutex2var_epi64(first, _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), second);
}

QN_INLINE void madd_avx512_depthwise_put(uint8_t *out, __m512i words, const struct gemm_quant *q, int32_t channels) {
    words = _mm512_adds_epi16(words, _mm512_set1_epi16((int16_t)q->zp));
    __m256i bytes = _mm512_cvtusepi16_epi8(_mm512_max_epi16(words, _mm512_setzero_si512()));
    if (q->lo > 0) bytes = _mm256_max_epu8(bytes, _mm256_set1_epi8((char)q->lo));
    if (q->hi < 255) bytes = _mm256_min_epu8(bytes, _mm256_set1_epi8((char)q->hi));
    vnni_store_32(out, bytes, channels);
}

#define madd_avx512_depthwise_store(d, low, high, m_low, m_high, out, channels)                                       \
    madd_avx512_depthwise_put(out, _mm512_packs_epi32(vnni_scale(low, _mm512_castsi512_ps(m_low), &(d)->quant),       \
                                                      vnni_scale(high, _mm512_castsi512_ps(m_high), &(d)->quant)),    \
                              &(d)->quant, channels)
#define MADD_WIDE(p) _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)(p)))
#define MADD_LOW _mm512_unpacklo_epi16
#define MADD_HIGH _mm512_unpackhi_epi16
#define MADD_MADD _mm512_madd_epi16
#define MADD_ADD _mm512_add_epi32
#include "runtime/kernels/madd_depthwise.def"
#endif
