// Rows of contiguous bytes, 64 at a time, for AVX512BW.
#ifndef QN_BYTE_ROWS_AVX512_H
#define QN_BYTE_ROWS_AVX512_H
#include <immintrin.h>

#include "runtime/kernel.h"

QN_INLINE __mmask64 byte_rows_mask(int32_t left) {
    return left >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << left) - 1;
}

// Those of the mask, XOR `order`.
QN_INLINE __m512i byte_rows_load(const uint8_t *in, __mmask64 mask, __m512i order) {
    return _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, in), order);
}

// The largest, as unsigned numbers after XOR `order`.
QN_INLINE uint8_t byte_rows_largest(const uint8_t *in, int32_t size, __m512i order) {
    __m512i most = _mm512_setzero_si512();
    QN_NO_UNROLL for (int32_t i = 0; i < size; i += 64) {
        const __mmask64 mask = byte_rows_mask(size - i);
        most = _mm512_mask_max_epu8(most, mask, most, byte_rows_load(in + i, mask, order));
    }
    const __m256i half = _mm256_max_epu8(_mm512_castsi512_si256(most), _mm512_extracti64x4_epi64(most, 1));
    __m128i part = _mm_max_epu8(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    // The least of 8 words of 16 bits is one instruction: of 255 - x, the lesser byte of each two.
    part = _mm_xor_si128(part, _mm_set1_epi8(-1));
    part = _mm_minpos_epu16(_mm_min_epu8(part, _mm_srli_epi16(part, 8)));
    return (uint8_t)~_mm_cvtsi128_si32(part);
}
#endif
