// Quantized sums of 64 bytes and 64 for AVX512-VNNI, in the integers of `fixed_*` (families.def): half the instructions of
// binary_avx512.h, the same bytes. Of the arguments, fixed_*, clamp and flip count. Bytes may stand in any order, the same
// in both operands; the result has it too.
#ifndef QN_BINARY_VNNI_H
#define QN_BINARY_VNNI_H
#include "runtime/kernels/binary_avx512.h"

// 16 results from words a, b, a, b, ...: products with the factors' 7 low bits and, of words times 128, their high parts.
// (Nothing saturates; LLVM takes the instruction that would not apart again into two.)
QN_INLINE __m512i binary_vnni_sums(const struct qn_binary_args *args, __m512i words) {
    const __m512i low = _mm512_set1_epi32((args->fixed_b & 127) << 16 | (args->fixed_a & 127));
    const __m512i high = _mm512_set1_epi32((int32_t)((uint32_t)(args->fixed_b >> 7) << 16 | (args->fixed_a >> 7 & 0xFFFF)));
    __m512i sum = _mm512_dpwssds_epi32(_mm512_set1_epi32(args->fixed_start), words, low);
    sum = _mm512_dpwssds_epi32(sum, _mm512_slli_epi16(words, 7), high);
    return _mm512_srav_epi32(sum, _mm512_set1_epi32(args->fixed_shift));
}

// 32 results from bytes a, b, a, b, ...
QN_INLINE __m512i binary_vnni_words(const struct qn_binary_args *args, __m512i bytes) {
    const __m512i zero = _mm512_setzero_si512();
    return _mm512_packs_epi32(binary_vnni_sums(args, _mm512_unpacklo_epi8(bytes, zero)),
                              binary_vnni_sums(args, _mm512_unpackhi_epi8(bytes, zero)));
}

// 64 bytes; for QN_ADD and QN_SUB where fixed_shift is not 0.
QN_INLINE __m512i binary_vnni_block(const struct qn_binary_args *args, __m512i a, __m512i b) {
    a = binary_avx512_unsigned(args, a);
    b = binary_avx512_unsigned(args, b);
    return binary_avx512_pack(args, binary_vnni_words(args, _mm512_unpacklo_epi8(a, b)),
                              binary_vnni_words(args, _mm512_unpackhi_epi8(a, b)));
}
#endif
