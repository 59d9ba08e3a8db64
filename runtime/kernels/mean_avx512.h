// Averages of 64 stored bytes at a time for AVX-512: sums in words, of up to 256 bytes each, requantized as rounding.h does.
#ifndef QN_MEAN_AVX512_H
#define QN_MEAN_AVX512_H
#include <immintrin.h>

#include "runtime/kernel.h"

// The multiplier of a sum less its zero points; zero points and clamp of signed values.
struct mean_avx512 { float multiplier; int32_t in_zp, out_zp, lo, hi, flip; };

QN_INLINE __m512i mean_avx512_unsigned(const struct mean_avx512 *q, __m512i bytes) {
    return q->flip ? bytes : _mm512_xor_si512(bytes, _mm512_set1_epi8((char)0x80));
}

// Adds 64 bytes: within each 128 bits the lower 8 to `low`, the others to `high`.
QN_INLINE void mean_avx512_add(const struct mean_avx512 *q, __m512i bytes, __m512i *low, __m512i *high) {
    bytes = mean_avx512_unsigned(q, bytes);
    *low = _mm512_add_epi16(*low, _mm512_unpacklo_epi8(bytes, _mm512_setzero_si512()));
    *high = _mm512_add_epi16(*high, _mm512_unpackhi_epi8(bytes, _mm512_setzero_si512()));
}

// 16 rounded means. `bits`: those of 2^23 + sum. The minimum keeps the conversion in range; below, INT32_MIN saturates.
QN_INLINE __m512i mean_avx512_round(const struct mean_avx512 *q, __m512i bits, float zero) {
    const __m512 sum = _mm512_sub_ps(_mm512_castsi512_ps(bits), _mm512_set1_ps(8388608.0f + zero));
    const __m512 y = _mm512_mul_ps(sum, _mm512_set1_ps(q->multiplier));
    return _mm512_cvtps_epi32(_mm512_min_ps(y, _mm512_set1_ps(65536.0f)));
}
QN_INLINE __m512i mean_avx512_words(const struct mean_avx512 *q, __m512i sums, float zero) {
    const __m512i upper = _mm512_set1_epi16(0x4B00);
    const __m512i a = mean_avx512_round(q, _mm512_unpacklo_epi16(sums, upper), zero);
    const __m512i b = mean_avx512_round(q, _mm512_unpackhi_epi16(sums, upper), zero);
    return _mm512_adds_epi16(_mm512_packs_epi32(a, b), _mm512_set1_epi16((int16_t)(q->out_zp + 128)));
}

// The 64 means of `count` bytes each, to be stored.
QN_INLINE __m512i mean_avx512_bytes(const struct mean_avx512 *q, __m512i low, __m512i high, int32_t count) {
    const float zero = (float)(count * (128 + q->in_zp));
    __m512i bytes = _mm512_packus_epi16(mean_avx512_words(q, low, zero), mean_avx512_words(q, high, zero));
    if (q->lo > -128) bytes = _mm512_max_epu8(bytes, _mm512_set1_epi8((char)(q->lo + 128)));
    if (q->hi < 127) bytes = _mm512_min_epu8(bytes, _mm512_set1_epi8((char)(q->hi + 128)));
    return mean_avx512_unsigned(q, bytes);
}
#endif
