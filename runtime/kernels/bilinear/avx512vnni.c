// As generic.c, for AVX-512 with VBMI: up to 16 bytes of the result at a time, whose columns lie within 64 bytes of a row and come as
// permutations and pairs of weights (`packed`, see passes/pack_resample.h). Sums are those of weights that add up to 1.
#include <immintrin.h>

#include "runtime/kernel.h"

QN_INLINE ptrdiff_t bilinear_vnni_at(int32_t index, int32_t size) { return index < 0 ? 0 : index >= size ? size - 1 : index; }

// Near and far of 16 bytes, summed up along the row.
QN_INLINE __m512i bilinear_vnni_columns(const uint8_t *in, ptrdiff_t left, __m512i at, __m512i weights) {
    const __m512i bytes = left >= 64 ? _mm512_loadu_si512(in) : _mm512_maskz_loadu_epi8(((uint64_t)1 << left) - 1, in);
    const __m512i words = _mm512_maskz_permutexvar_epi8(0x5555555555555555u, at, bytes);
    return _mm512_madd_epi16(words, weights);
}

// Two roundings of the sums' upper parts, which have 15 bits.
QN_INLINE __m512i bilinear_vnni_11(__m512i upper, __m512i lower, __m512i near, __m512i far) {
    upper = _mm512_mulhi_epi16(_mm512_srai_epi32(upper, 4), near);
    lower = _mm512_mulhi_epi16(_mm512_srai_epi32(lower, 4), far);
    return _mm512_srai_epi32(_mm512_add_epi32(_mm512_add_epi32(upper, lower), _mm512_set1_epi32(2)), 2);
}

// Sums of 16 bits less 2^15, in pairs; weights add up to 2^8.
QN_INLINE __m512i bilinear_vnni_8(__m512i upper, __m512i lower, __m512i weights) {
    const __m512i pairs = _mm512_xor_si512(_mm512_or_si512(upper, _mm512_slli_epi32(lower, 16)), _mm512_set1_epi32((int32_t)0x80008000u));
    return _mm512_srai_epi32(_mm512_add_epi32(_mm512_madd_epi16(pairs, weights), _mm512_set1_epi32((1 << 23) + (1 << 15))), 16);
}

QN_INLINE void bilinear_vnni_row(const struct qn_bilinear_args *a, const uint8_t *upper, const uint8_t *lower, const int32_t *w,
                                 const int32_t *blocks, const uint8_t *tables, uint8_t *out, int32_t bits) {
    const ptrdiff_t in_bytes = (ptrdiff_t)a->in_w * a->channels;
    const __m512i near = _mm512_set1_epi32(w[0]), far = _mm512_set1_epi32(w[1]), pair = _mm512_or_si512(near, _mm512_slli_epi32(far, 16));
    QN_NO_UNROLL for (int32_t i = 0; i < a->packed; i++) {
        const int32_t *block = blocks + (ptrdiff_t)i * 3;
        const ptrdiff_t left = in_bytes - block[2];
        const __m512i at = _mm512_loadu_si512(tables + (ptrdiff_t)i * 128), weights = _mm512_loadu_si512(tables + (ptrdiff_t)i * 128 + 64);
        const __m512i u = bilinear_vnni_columns(upper + block[2], left, at, weights), l = bilinear_vnni_columns(lower + block[2], left, at, weights);
        const __m512i sums = bits == 11 ? bilinear_vnni_11(u, l, near, far) : bilinear_vnni_8(u, l, pair);
        _mm_mask_storeu_epi8(out + block[0], (__mmask16)((1u << block[1]) - 1), _mm512_cvtepi32_epi8(sums));
    }
}

QN_KERNEL qn_bilinear_u8_u8__pixels16__avx512vnni(const struct qn_bilinear_args *a, const void *input, const void *rows, const void *row_weights,
                                                  const void *columns, const void *column_weights, void *output, int32_t begin, int32_t end) {
    QN_NO_UNROLL for (int32_t r = begin; r < end; r++) {
        const int32_t y = r % a->out_h, *at = (const int32_t *)rows + 2 * (ptrdiff_t)y, *w = (const int32_t *)row_weights + 2 * (ptrdiff_t)y;
        const ptrdiff_t row = (ptrdiff_t)a->in_w * a->channels;
        const uint8_t *image = (const uint8_t *)input + (ptrdiff_t)(r / a->out_h) * a->in_h * row;
        const uint8_t *upper = image + bilinear_vnni_at(at[0], a->in_h) * row, *lower = image + bilinear_vnni_at(at[1], a->in_h) * row;
        uint8_t *out = (uint8_t *)output + (ptrdiff_t)r * a->out_w * a->channels;
        if (a->bits == 11) bilinear_vnni_row(a, upper, lower, w, columns, column_weights, out, 11);
        else bilinear_vnni_row(a, upper, lower, w, columns, column_weights, out, 8);
    }
}
