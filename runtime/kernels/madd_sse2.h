// int8 convolutions and linear layers on any x86-64 (SSE2): register tiles of 6 pixels x 4 channels, depthwise ones in vectors of 8 channels.
// Results are those of rounding.h to the bit.
#ifndef QN_MADD_SSE2_H
#define QN_MADD_SSE2_H
#include <emmintrin.h>

#include "runtime/kernels/gemm.h"

QN_INLINE __m128i madd_sse2_pixel(const uint16_t *p) {
    const __m128i word = _mm_loadl_epi64((const __m128i *)p);
    return _mm_unpacklo_epi64(word, word);
}

// The low 8 bytes as 16 bits, with their sign.
QN_INLINE __m128i madd_sse2_signed(__m128i bytes) { return _mm_srai_epi16(_mm_unpacklo_epi8(bytes, bytes), 8); }
QN_INLINE __m128i madd_sse2_unsigned(const uint8_t *p) {
    return _mm_unpacklo_epi8(_mm_loadl_epi64((const __m128i *)p), _mm_setzero_si128());
}

QN_INLINE void madd_sse2_widen_16(uint16_t *to, const uint8_t *p) {
    const __m128i bytes = _mm_loadu_si128((const __m128i *)p), zero = _mm_setzero_si128();
    _mm_storeu_si128((__m128i *)to, _mm_unpacklo_epi8(bytes, zero));
    _mm_storeu_si128((__m128i *)to + 1, _mm_unpackhi_epi8(bytes, zero));
}

// rne(acc * m). The conversion gives INT32_MIN for what does not fit, which is wrong only above: hence the minimum, where the
// products are not known to be small.
QN_INLINE __m128i madd_sse2_round(__m128i acc, __m128i m, const struct gemm_quant *q) {
    __m128 y = _mm_mul_ps(_mm_cvtepi32_ps(acc), _mm_castsi128_ps(m));
    if (!q->bounded) y = _mm_min_ps(y, _mm_set1_ps(65536.0f));
    return _mm_cvtps_epi32(y);
}

// The sums of 4 channels from their pairs of lanes.
QN_INLINE __m128i madd_sse2_sums(__m128i low, __m128i high) {
    const __m128 a = _mm_castsi128_ps(low), b = _mm_castsi128_ps(high);
    return _mm_add_epi32(_mm_castps_si128(_mm_shuffle_ps(a, b, 0x88)), _mm_castps_si128(_mm_shuffle_ps(a, b, 0xDD)));
}

// rne of acc * m with a residual, 4 bytes, added (families.def: `unrounded`).
QN_INLINE __m128i madd_sse2_round_sum(const struct gemm *g, __m128i acc, __m128i m, uint32_t residual) {
    const struct qn_binary_args *add = g->add;
    const __m128i zero = _mm_setzero_si128(), bytes = _mm_cvtsi32_si128((int32_t)residual);
    const __m128i r = _mm_sub_epi32(_mm_unpacklo_epi16(_mm_unpacklo_epi8(bytes, zero), zero), _mm_set1_epi32(128 + add->b_zp));
    const __m128 b = _mm_mul_ps(_mm_cvtepi32_ps(r), _mm_set1_ps(add->b_multiplier));
    const __m128 y = _mm_mul_ps(_mm_cvtepi32_ps(acc), _mm_castsi128_ps(m));
    return _mm_cvtps_epi32(_mm_min_ps(_mm_add_ps(y, b), _mm_set1_ps(65536.0f)));
}

// 16 words to bytes. The saturating additions and packs cut off exactly what the clamp would.
QN_INLINE __m128i madd_sse2_pack(__m128i low, __m128i high, const struct gemm_quant *q) {
    const __m128i zp = _mm_set1_epi16((int16_t)q->zp);
    __m128i bytes = _mm_packus_epi16(_mm_adds_epi16(low, zp), _mm_adds_epi16(high, zp));
    if (q->lo > 0) bytes = _mm_max_epu8(bytes, _mm_set1_epi8((char)q->lo));
    if (q->hi < 255) bytes = _mm_min_epu8(bytes, _mm_set1_epi8((char)q->hi));
    return bytes;
}

// The first `columns` of 8 bytes.
QN_INLINE void madd_sse2_store_8(uint8_t *out, int64_t bytes, int32_t columns) {
    if (columns >= 8) {
        __builtin_memcpy(out, &bytes, 8);
        return;
    }
    if (columns & 4) __builtin_memcpy(out, &bytes, 4), out += 4, bytes >>= 32;
    if (columns & 2) __builtin_memcpy(out, &bytes, 2), out += 2, bytes >>= 16;
    if (columns & 1) *out = (uint8_t)bytes;
}

// Up to 4 bytes.
QN_INLINE uint32_t madd_sse2_load_4(const uint8_t *in, int32_t columns) {
    uint32_t bytes = 0;
    if (columns >= 4) __builtin_memcpy(&bytes, in, 4);
    else
        QN_NO_UNROLL for (int32_t i = 0; i < columns; i++) bytes |= (uint32_t)in[i] << 8 * i;
    return bytes;
}

// Where pixel `i` of a tile of rows of `tw` lies.
QN_INLINE int64_t madd_sse2_place(const struct gemm *g, int i, int tw) { return i / tw * g->out_row + i % tw * g->out_column; }

// Results of 32 bits.
QN_INLINE void madd_sse2_store_wide(const struct gemm *g, const __m128i *sums, const float *multiplier, uint8_t *out, int pixels, int tw,
                                    int32_t columns) {
    const __m128 m = _mm_loadu_ps(multiplier);
    QN_UNROLL for (int i = 0; i < pixels; i++) {
        const __m128i wide = g->form == GEMM_SUMS ? sums[i] : _mm_castps_si128(_mm_mul_ps(_mm_cvtepi32_ps(sums[i]), m));
        int32_t words[4];
        _mm_storeu_si128((__m128i *)words, wide);
        if (columns >= 4) __builtin_memcpy(out + madd_sse2_place(g, i, tw), words, 16);
        else
            QN_UNROLL for (int c = 0; c < 3; c++)
                if (c < columns) __builtin_memcpy(out + madd_sse2_place(g, i, tw) + 4 * c, words + c, 4);
    }
}

// Sums rounded to 16 bits and clamped, the low 8 bytes.
QN_INLINE __m128i madd_sse2_words(__m128i sums, __m128 m, int32_t zp, int32_t lo, int32_t hi) {
    __m128 y = _mm_mul_ps(_mm_cvtepi32_ps(sums), m);
    y = _mm_min_ps(_mm_max_ps(y, _mm_set1_ps((float)(lo - zp))), _mm_set1_ps((float)(hi - zp)));
    const __m128i q = _mm_add_epi32(_mm_cvtps_epi32(y), _mm_set1_epi32(zp));
    return _mm_packs_epi32(q, q);
}
QN_INLINE void madd_sse2_store_words(const struct gemm *g, const __m128i *sums, const float *multiplier, uint8_t *out, int pixels, int tw,
                                     int32_t columns) {
    const __m128 m = _mm_loadu_ps(multiplier);
    QN_UNROLL for (int i = 0; i < pixels; i++) {
        const __m128i words = madd_sse2_words(sums[i], m, g->zp, g->lo, g->hi);
        madd_sse2_store_8(out + madd_sse2_place(g, i, tw), _mm_cvtsi128_si64(words), 2 * columns);
    }
}

// Pixels of 4 channels from their sums.
QN_INLINE void madd_sse2_store_sums(const struct gemm *g, const __m128i *sums, const float *multiplier, uint8_t *out, int pixels, int tw,
                                    int32_t columns) {
    const struct gemm_quant quant = gemm_quant_of(g);
    const __m128i m = _mm_loadu_si128((const __m128i *)multiplier);
    if (g->form == GEMM_WORDS) {
        madd_sse2_store_words(g, sums, multiplier, out, pixels, tw, columns);
        return;
    }
    if (g->form >= GEMM_SUMS) {
        madd_sse2_store_wide(g, sums, multiplier, out, pixels, tw, columns);
        return;
    }
    QN_UNROLL for (int p = 0; p < pixels; p += 4) {
        __m128i v[4];
        uint32_t bytes[4];
        QN_UNROLL for (int i = 0; i < 4; i++) {
            const int at = p + i < pixels ? p + i : p;
            if (i && at == p) v[i] = v[0];
            else if (g->add) v[i] = madd_sse2_round_sum(g, sums[at], m, madd_sse2_load_4(g->residual + (out - g->out) + madd_sse2_place(g, at, tw), columns));
            else v[i] = madd_sse2_round(sums[at], m, &quant);
        }
        _mm_storeu_si128((__m128i *)bytes, madd_sse2_pack(_mm_packs_epi32(v[0], v[1]), _mm_packs_epi32(v[2], v[3]), &quant));
        QN_UNROLL for (int i = 0; i < 4; i++)
            if (p + i < pixels) madd_sse2_store_8(out + madd_sse2_place(g, p + i, tw), bytes[i], columns < 4 ? columns : 4);
    }
}

QN_INLINE void madd_sse2_store(const struct gemm *g, const __m128i *acc, const float *multiplier, uint8_t *out, int pixels, int tw,
                               int32_t columns) {
    __m128i sums[6];
    QN_UNROLL for (int i = 0; i < pixels; i++) sums[i] = madd_sse2_sums(acc[2 * i], acc[2 * i + 1]);
    madd_sse2_store_sums(g, sums, multiplier, out, pixels, tw, columns);
}

#define MADD(name) madd_sse2_##name
#define MADD_VEC __m128i
#define MADD_LANES 4
#define MADD_PIXELS 6
#define MADD_SHAPES(X) X(1, 1) X(1, 2) X(1, 3) X(1, 4) X(1, 5) X(1, 6) X(6, 1) X(3, 2) X(2, 3)
#define MADD_START(bias) _mm_unpacklo_epi32(_mm_loadl_epi64((const __m128i *)(bias)), _mm_setzero_si128())
#define MADD_PIXEL madd_sse2_pixel
#define MADD_WEIGHT(p) madd_sse2_signed(_mm_loadl_epi64((const __m128i *)(p)))
#define MADD_ACC(acc, x, w) _mm_add_epi32(acc, _mm_madd_epi16(x, w))
#define MADD_WIDEN madd_sse2_widen_16
#include "runtime/kernels/madd.def"

// ---- depthwise

QN_INLINE void madd_sse2_depthwise_weights(const int8_t *w, int32_t quarter, __m128i *to) {
    QN_UNROLL for (int high = 0; high < 2; high++, w += quarter) {
        const __m128i bytes = _mm_loadu_si128((const __m128i *)w);
        const __m128 a = _mm_castsi128_ps(madd_sse2_signed(bytes)), b = _mm_castsi128_ps(madd_sse2_signed(_mm_srli_si128(bytes, 8)));
        to[high] = _mm_castps_si128(_mm_shuffle_ps(a, b, 0x88)), to[2 + high] = _mm_castps_si128(_mm_shuffle_ps(a, b, 0xDD));
    }
}

QN_INLINE __m128i madd_sse2_depthwise_constant(const void *constants, int32_t quarter, int high) {
    return _mm_loadu_si128((const __m128i *)((const int32_t *)constants + (high ? quarter : 0)));
}

QN_INLINE void madd_sse2_depthwise_put(uint8_t *out, __m128i words, const struct gemm_quant *q, int32_t channels) {
    madd_sse2_store_8(out, _mm_cvtsi128_si64(madd_sse2_pack(words, words, q)), channels);
}

#define madd_sse2_depthwise_store(d, low, high, m_low, m_high, out, channels)                                   \
    madd_sse2_depthwise_put(out, _mm_packs_epi32(madd_sse2_round(low, m_low, &(d)->quant),                      \
                                                 madd_sse2_round(high, m_high, &(d)->quant)), &(d)->quant, channels)
#define MADD_WIDE madd_sse2_unsigned
#define MADD_LOW _mm_unpacklo_epi16
#define MADD_HIGH _mm_unpackhi_epi16
#define MADD_MADD _mm_madd_epi16
#define MADD_ADD _mm_add_epi32
#include "runtime/kernels/madd_depthwise.def"
#endif
