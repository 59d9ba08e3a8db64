// int8 addition and subtraction for AVX-512, of operands that lie side by side (or repeat in outer dimensions): the
// residual add. Exact to qn_add and qn_sub; products are rounded before their sum.
#include <immintrin.h>

#include "runtime/strided.h"

// 16 values less their zero point, times the multiplier. Bytes as stored: `zp` has the flip added.
QN_INLINE __m512 binary_avx512_term(__m128i bytes, int32_t zp, float m, int32_t flip) {
    const __m512i wide = flip ? _mm512_cvtepu8_epi32(bytes) : _mm512_cvtepi8_epi32(bytes);
    return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(wide, _mm512_set1_epi32(zp))), _mm512_set1_ps(m));
}

// Sums of 16, rounded. The minimum keeps the conversion in range; below, its INT32_MIN saturates as it must.
QN_INLINE __m512i binary_avx512_sum(const struct qn_binary_args *args, __m128i a, __m128i b) {
    const int32_t offset = args->flip ? 128 : 0;
    const __m512 x = binary_avx512_term(a, args->a_zp + offset, args->a_multiplier, args->flip);
    const __m512 y = binary_avx512_term(b, args->b_zp + offset, args->b_multiplier, args->flip);
    __m512 sum = args->op == QN_ADD ? _mm512_add_ps(x, y) : _mm512_sub_ps(x, y);
    if (!(args->a_multiplier < 1e6f && args->b_multiplier < 1e6f)) sum = _mm512_min_ps(sum, _mm512_set1_ps(65536.0f));
    return _mm512_cvtps_epi32(sum);
}

// 64 bytes.
QN_INLINE __m512i binary_avx512_block(const struct qn_binary_args *args, __m512i a, __m512i b) {
    const int32_t offset = args->flip ? 128 : 0;
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i zp = _mm512_set1_epi16((int16_t)(args->out_zp + offset));
    const __m512i v0 = binary_avx512_sum(args, _mm512_castsi512_si128(a), _mm512_castsi512_si128(b));
    const __m512i v1 = binary_avx512_sum(args, _mm512_extracti32x4_epi32(a, 1), _mm512_extracti32x4_epi32(b, 1));
    const __m512i v2 = binary_avx512_sum(args, _mm512_extracti32x4_epi32(a, 2), _mm512_extracti32x4_epi32(b, 2));
    const __m512i v3 = binary_avx512_sum(args, _mm512_extracti32x4_epi32(a, 3), _mm512_extracti32x4_epi32(b, 3));
    const __m512i low = _mm512_adds_epi16(_mm512_packs_epi32(v0, v1), zp);
    const __m512i high = _mm512_adds_epi16(_mm512_packs_epi32(v2, v3), zp);
    const __m512i lo = _mm512_set1_epi8((char)(args->lo + offset)), hi = _mm512_set1_epi8((char)(args->hi + offset));
    const __m512i bytes = args->flip ? _mm512_min_epu8(_mm512_max_epu8(_mm512_packus_epi16(low, high), lo), hi)
                                     : _mm512_min_epi8(_mm512_max_epi8(_mm512_packs_epi16(low, high), lo), hi);
    return _mm512_permutexvar_epi32(order, bytes);
}

QN_INLINE void binary_avx512_run(const struct qn_binary_args *args, const uint8_t *a, const uint8_t *b, uint8_t *out,
                                 int32_t size) {
    int32_t i = 0;
    QN_NO_UNROLL for (; i + 64 <= size; i += 64)
        _mm512_storeu_si512(out + i, binary_avx512_block(args, _mm512_loadu_si512(a + i), _mm512_loadu_si512(b + i)));
    if (i == size) return;
    const __mmask64 mask = ((uint64_t)1 << (size - i)) - 1;
    const __m512i x = _mm512_maskz_loadu_epi8(mask, a + i), y = _mm512_maskz_loadu_epi8(mask, b + i);
    _mm512_mask_storeu_epi8(out + i, mask, binary_avx512_block(args, x, y));
}

QN_KERNEL qn_binary_s8s8_s8__64__avx512(const struct qn_binary_args *args, const void *a, const void *b, void *output,
                                        int32_t begin, int32_t end) {
    const struct qn_walk walk = qn_walk_new(args->shape, 3, args->a, args->b, args->out);
    QN_NO_UNROLL for (int32_t r = begin; r < end; r++) {
        const uint8_t *pa = (const uint8_t *)a + qn_row_offset(args->shape, args->a, r);
        const uint8_t *pb = (const uint8_t *)b + qn_row_offset(args->shape, args->b, r);
        uint8_t *out = (uint8_t *)output + qn_row_offset(args->shape, args->out, r);
        QN_NO_UNROLL for (int32_t i = 0; i < walk.size[0]; i++)
            QN_NO_UNROLL for (int32_t j = 0; j < walk.size[1]; j++)
                binary_avx512_run(args, pa + qn_run_offset(&walk, 0, i, j), pb + qn_run_offset(&walk, 1, i, j),
                                  out + qn_run_offset(&walk, 2, i, j), walk.size[2]);
    }
}
