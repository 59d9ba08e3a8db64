// From accumulators to stored bytes, for the int8 kernels of all of AVX512. Activations are stored unsigned (signed XOR 0x80),
// weights signed; the weights' packing has folded (128 + zero point) * sum of weights into the bias. Results are those of
// rounding.h to the bit.
#ifndef QN_VNNI_STORE_H
#define QN_VNNI_STORE_H
#include <immintrin.h>

#include "runtime/kernels/gemm.h"

QN_INLINE __m512i vnni_broadcast(const uint8_t *p) {
    int32_t word;
    __builtin_memcpy(&word, p, 4);
    return _mm512_set1_epi32(word);
}

// What accumulators start from: the bias, where `bounded` is 2 (families.def) with the bits of 2^23 added.
enum { VNNI_SHIFT = 0x4B000000 };
QN_INLINE __m512i vnni_start(const int32_t *bias, int32_t bounded) {
    const __m512i b = _mm512_loadu_si512(bias);
    return bounded == 2 ? _mm512_add_epi32(b, _mm512_set1_epi32(VNNI_SHIFT)) : b;
}

// rne(acc * m). The conversion gives INT32_MIN for what does not fit, which is wrong only above: hence the minimum,
// where the products are not known to be small.
QN_INLINE __m512i vnni_scale(__m512i acc, __m512 m, const struct gemm_quant *q) {
    if (q->bounded == 2) {
        const __m512 shift = _mm512_mul_ps(m, _mm512_set1_ps(-8388608.0f));
        return _mm512_cvtps_epi32(_mm512_fmadd_ps(_mm512_castsi512_ps(acc), m, shift));
    }
    __m512 y = _mm512_mul_ps(_mm512_cvtepi32_ps(acc), m);
    if (!q->bounded) y = _mm512_min_ps(y, _mm512_set1_ps(65536.0f));
    return _mm512_cvtps_epi32(y);
}

// Four rounded vectors to bytes: within each 128-bit lane, 4 bytes of each. The saturating additions and packs cut
// off exactly what the clamp would.
QN_INLINE __m512i vnni_pack_lanes(const __m512i v[4], const struct gemm_quant *q) {
    __m512i zp = _mm512_set1_epi16((int16_t)q->zp);
    __m512i low = _mm512_adds_epi16(_mm512_packs_epi32(v[0], v[1]), zp);
    __m512i high = _mm512_adds_epi16(_mm512_packs_epi32(v[2], v[3]), zp);
    __m512i bytes = _mm512_packus_epi16(low, high);
    if (q->lo > 0) bytes = _mm512_max_epu8(bytes, _mm512_set1_epi8((char)q->lo));
    if (q->hi < 255) bytes = _mm512_min_epu8(bytes, _mm512_set1_epi8((char)q->hi));
    return bytes;
}

// The same with the bytes in order: 16 of v[0], 16 of v[1], ...
QN_INLINE __m512i vnni_pack(const __m512i v[4], const struct gemm_quant *q) {
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_permutexvar_epi32(order, vnni_pack_lanes(v, q));
}

// Stores the first `columns` bytes of a vector.
QN_INLINE void vnni_store_64(uint8_t *out, __m512i bytes, int32_t columns) {
    if (columns >= 64) _mm512_storeu_si512(out, bytes);
    else _mm512_mask_storeu_epi8(out, ((uint64_t)1 << columns) - 1, bytes);
}
QN_INLINE void vnni_store_32(uint8_t *out, __m256i bytes, int32_t columns) {
    if (columns >= 32) _mm256_storeu_si256((__m256i *)out, bytes);
    else _mm256_mask_storeu_epi8(out, ((uint32_t)1 << columns) - 1, bytes);
}
QN_INLINE void vnni_store_16(uint8_t *out, __m128i bytes, int32_t columns) {
    if (columns >= 16) _mm_storeu_si128((__m128i *)out, bytes);
    else _mm_mask_storeu_epi8(out, (__mmask16)((1u << columns) - 1), bytes);
}

// Part `i` of 64 packed bytes, to the place of one pixel: with 64 / (16 nv) pixels a vector.
QN_INLINE void vnni_store_part(uint8_t *out, __m512i bytes, int i, int nv, int32_t columns) {
    if (nv == 4) vnni_store_64(out, bytes, columns);
    else if (nv == 2 && i == 0) vnni_store_32(out, _mm512_castsi512_si256(bytes), columns);
    else if (nv == 2) vnni_store_32(out, _mm512_extracti64x4_epi64(bytes, 1), columns);
    else if (i == 0) vnni_store_16(out, _mm512_castsi512_si128(bytes), columns);
    else if (i == 1) vnni_store_16(out, _mm512_extracti32x4_epi32(bytes, 1), columns);
    else if (i == 2) vnni_store_16(out, _mm512_extracti32x4_epi32(bytes, 2), columns);
    else vnni_store_16(out, _mm512_extracti32x4_epi32(bytes, 3), columns);
}

// The other way: the bytes of 4 / nv pixels.
QN_INLINE __m512i vnni_load_pixels(const uint8_t *const from[4], int nv, int32_t columns) {
    const __mmask64 mask = columns >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << columns) - 1;
    if (nv == 4) return _mm512_maskz_loadu_epi8(mask, from[0]);
    if (nv == 2) {
        const __m256i low = _mm256_maskz_loadu_epi8((__mmask32)mask, from[0]), high = _mm256_maskz_loadu_epi8((__mmask32)mask, from[1]);
        return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    }
    __m512i bytes = _mm512_castsi128_si512(_mm_maskz_loadu_epi8((__mmask16)mask, from[0]));
    bytes = _mm512_inserti32x4(bytes, _mm_maskz_loadu_epi8((__mmask16)mask, from[1]), 1);
    bytes = _mm512_inserti32x4(bytes, _mm_maskz_loadu_epi8((__mmask16)mask, from[2]), 2);
    return _mm512_inserti32x4(bytes, _mm_maskz_loadu_epi8((__mmask16)mask, from[3]), 3);
}

// The lanes of vector j of nv that are of the first `columns` channels.
QN_INLINE __mmask16 vnni_lanes(int j, int32_t columns) {
    return columns >= 16 * (j + 1) ? 0xFFFF : columns > 16 * j ? (__mmask16)((1u << (columns - 16 * j)) - 1) : 0;
}
#endif
