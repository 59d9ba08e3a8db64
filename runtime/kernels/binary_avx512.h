// 64 results of a quantized function of two numbers (family binary), from 64 stored bytes of each: for AVX-512, exact to
// rounding.h. Bytes may stand in any order, the same in both operands; the result has it too. Of the arguments: op, zero
// points, clamp, flip and multipliers count.
#ifndef QN_BINARY_AVX512_H
#define QN_BINARY_AVX512_H
#include <immintrin.h>

#include "runtime/kernel.h"

// Bytes as unsigned ones, whose zero points are 128 higher: they widen by unpacking.
QN_INLINE __m512i binary_avx512_unsigned(const struct qn_binary_args *args, __m512i bytes) {
    return args->flip ? bytes : _mm512_xor_si512(bytes, _mm512_set1_epi8((char)0x80));
}

// 16 words, every other of a vector's half lanes, less their zero point: unpacked with 2^23's upper half they are the
// bits of 2^23 + word.
QN_INLINE __m512 binary_avx512_less_zp(__m512i words, int32_t zp, int half) {
    const __m512i high = _mm512_set1_epi16(0x4B00);
    const __m512i bits = half ? _mm512_unpackhi_epi16(words, high) : _mm512_unpacklo_epi16(words, high);
    return _mm512_sub_ps(_mm512_castsi512_ps(bits), _mm512_set1_ps((float)(0x800000 + 128 + zp)));
}

// The function of 16 numbers less their zero points, before rounding. Products of both are exact.
QN_INLINE __m512 binary_avx512_value(const struct qn_binary_args *args, __m512 a, __m512 b) {
    const __m512 ma = _mm512_set1_ps(args->a_multiplier), mb = _mm512_set1_ps(args->b_multiplier);
    switch (args->op) {
    case QN_ADD: return _mm512_add_ps(_mm512_mul_ps(a, ma), _mm512_mul_ps(b, mb));
    case QN_SUB: return _mm512_sub_ps(_mm512_mul_ps(a, ma), _mm512_mul_ps(b, mb));
    case QN_MUL: return _mm512_mul_ps(_mm512_mul_ps(a, b), ma);
    case QN_MIN: return _mm512_min_ps(_mm512_mul_ps(a, ma), _mm512_mul_ps(b, mb));
    case QN_FUSED_ADD: return _mm512_fmadd_ps(a, ma, _mm512_fmadd_ps(b, mb, _mm512_set1_ps(args->min)));
    case QN_MAX: return _mm512_max_ps(_mm512_mul_ps(a, ma), _mm512_mul_ps(b, mb));
    }
    const __mmask16 below = _mm512_cmp_ps_mask(a, _mm512_setzero_ps(), _CMP_LT_OQ); // QN_PRELU
    return _mm512_mask_mul_ps(_mm512_mul_ps(a, ma), below, _mm512_mul_ps(a, b), mb);
}

// 16 results in 32 bits without the zero point. The minimum keeps the conversion in range, where multipliers could lead
// out of it; below, its INT32_MIN saturates as it must.
QN_INLINE __m512i binary_avx512_round(const struct qn_binary_args *args, __m512i a, __m512i b, int half) {
    __m512 y = binary_avx512_value(args, binary_avx512_less_zp(a, args->a_zp, half), binary_avx512_less_zp(b, args->b_zp, half));
    if (!(args->a_multiplier < 1e4f && args->b_multiplier < 1e4f)) y = _mm512_min_ps(y, _mm512_set1_ps(65536.0f));
    return _mm512_cvtps_epi32(y);
}

// 32 words of each operand to 32 results with the zero point of unsigned bytes.
QN_INLINE __m512i binary_avx512_words(const struct qn_binary_args *args, __m512i a, __m512i b) {
    const __m512i low = binary_avx512_round(args, a, b, 0), high = binary_avx512_round(args, a, b, 1);
    return _mm512_adds_epi16(_mm512_packs_epi32(low, high), _mm512_set1_epi16((int16_t)(args->out_zp + 128)));
}

// Two times 32 results in words to bytes, clamped.
QN_INLINE __m512i binary_avx512_pack(const struct qn_binary_args *args, __m512i low, __m512i high) {
    __m512i bytes = _mm512_packus_epi16(low, high);
    if (args->lo > -128) bytes = _mm512_max_epu8(bytes, _mm512_set1_epi8((char)(args->lo + 128)));
    if (args->hi < 127) bytes = _mm512_min_epu8(bytes, _mm512_set1_epi8((char)(args->hi + 128)));
    return binary_avx512_unsigned(args, bytes);
}

// 64 bytes.
QN_INLINE __m512i binary_avx512_block(const struct qn_binary_args *args, __m512i a, __m512i b) {
    const __m512i zero = _mm512_setzero_si512();
    a = binary_avx512_unsigned(args, a);
    b = binary_avx512_unsigned(args, b);
    const __m512i low = binary_avx512_words(args, _mm512_unpacklo_epi8(a, zero), _mm512_unpacklo_epi8(b, zero));
    const __m512i high = binary_avx512_words(args, _mm512_unpackhi_epi8(a, zero), _mm512_unpackhi_epi8(b, zero));
    return binary_avx512_pack(args, low, high);
}
#endif
