// Weighted sums of elements along one dimension for AVX-512. Quantized: 64 neighbours at a time, or 16 where fewer are left, in
// single precision in the order of the taps.
#include <immintrin.h>

#include "runtime/kernel.h"

// What one row of outputs is made of.
struct resample_avx512 { const int32_t *index; const float *weight; ptrdiff_t in, out; };

QN_INLINE struct resample_avx512 resample_avx512_row(const struct qn_resample_args *a, const void *indices, const void *weights, int32_t r) {
    const ptrdiff_t tap = (ptrdiff_t)(r % a->count) * a->taps;
    const struct resample_avx512 row = {(const int32_t *)indices + tap, (const float *)weights + tap,
                                        (ptrdiff_t)(r / a->count) * a->size * a->inner, (ptrdiff_t)r * a->inner};
    return row;
}

// Where tap k begins.
QN_INLINE ptrdiff_t resample_avx512_at(const struct qn_resample_args *a, const struct resample_avx512 *row, int32_t k) {
    int32_t index = row->index[k];
    index = index < 0 ? 0 : index >= a->size ? a->size - 1 : index;
    return row->in + (ptrdiff_t)index * a->inner;
}

// Bytes as unsigned ones, whose zero point is 128 higher, and back.
QN_INLINE __m512i resample_avx512_unsigned(const struct qn_resample_args *a, __m512i bytes) {
    return a->flip ? bytes : _mm512_xor_si512(bytes, _mm512_set1_epi8((char)0x80));
}

// 16 rounded results without the zero point; NaN counts as 0. The minimum keeps the conversion in range; below, INT32_MIN
// saturates as it must.
QN_INLINE __m512i resample_avx512_round(const struct qn_resample_args *a, __m512 sum) {
    const __m512 y = _mm512_mul_ps(sum, _mm512_set1_ps(a->multiplier));
    return _mm512_maskz_cvtps_epi32(_mm512_cmp_ps_mask(y, y, _CMP_ORD_Q), _mm512_min_ps(y, _mm512_set1_ps(65536.0f)));
}
QN_INLINE __m512i resample_avx512_words(const struct qn_resample_args *a, __m512 low, __m512 high) {
    const __m512i words = _mm512_packs_epi32(resample_avx512_round(a, low), resample_avx512_round(a, high));
    return _mm512_adds_epi16(words, _mm512_set1_epi16((int16_t)(a->out_zp + 128)));
}
QN_INLINE __m512i resample_avx512_bytes(const struct qn_resample_args *a, __m512i low, __m512i high) {
    __m512i bytes = _mm512_packus_epi16(low, high);
    if (a->lo > -128) bytes = _mm512_max_epu8(bytes, _mm512_set1_epi8((char)(a->lo + 128)));
    if (a->hi < 127) bytes = _mm512_min_epu8(bytes, _mm512_set1_epi8((char)(a->hi + 128)));
    return resample_avx512_unsigned(a, bytes);
}

// Adds a tap of 16 words: with 2^23's upper half they are the bits of 2^23 + word.
QN_INLINE __m512 resample_avx512_add(__m512 sum, __m512i bits, __m512 zero, __m512 weight) {
    return _mm512_add_ps(sum, _mm512_mul_ps(weight, _mm512_sub_ps(_mm512_castsi512_ps(bits), zero)));
}

QN_INLINE void resample_avx512_block64(const struct qn_resample_args *a, const struct resample_avx512 *row, const uint8_t *in, uint8_t *out,
                                       __mmask64 mask) {
    const __m512i none = _mm512_setzero_si512(), upper = _mm512_set1_epi16(0x4B00);
    const __m512 zero = _mm512_set1_ps((float)(0x800000 + 128 + a->in_zp));
    __m512 sum[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
    QN_NO_UNROLL for (int32_t k = 0; k < a->taps; k++) {
        const __m512 weight = _mm512_set1_ps(row->weight[k]);
        const __m512i x = resample_avx512_unsigned(a, _mm512_maskz_loadu_epi8(mask, in + resample_avx512_at(a, row, k)));
        const __m512i low = _mm512_unpacklo_epi8(x, none), high = _mm512_unpackhi_epi8(x, none);
        sum[0] = resample_avx512_add(sum[0], _mm512_unpacklo_epi16(low, upper), zero, weight);
        sum[1] = resample_avx512_add(sum[1], _mm512_unpackhi_epi16(low, upper), zero, weight);
        sum[2] = resample_avx512_add(sum[2], _mm512_unpacklo_epi16(high, upper), zero, weight);
        sum[3] = resample_avx512_add(sum[3], _mm512_unpackhi_epi16(high, upper), zero, weight);
    }
    const __m512i bytes = resample_avx512_bytes(a, resample_avx512_words(a, sum[0], sum[1]), resample_avx512_words(a, sum[2], sum[3]));
    _mm512_mask_storeu_epi8(out, mask, bytes);
}

QN_INLINE void resample_avx512_block16(const struct qn_resample_args *a, const struct resample_avx512 *row, const uint8_t *in, uint8_t *out,
                                       __mmask16 mask) {
    const __m128i flip = _mm_set1_epi8((char)(a->flip ^ 0x80));
    const __m512 zero = _mm512_set1_ps((float)(128 + a->in_zp));
    __m512 sum = _mm512_setzero_ps();
    QN_NO_UNROLL for (int32_t k = 0; k < a->taps; k++) {
        const __m128i x = _mm_xor_si128(_mm_maskz_loadu_epi8(mask, in + resample_avx512_at(a, row, k)), flip);
        const __m512 value = _mm512_sub_ps(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(x)), zero);
        sum = _mm512_add_ps(sum, _mm512_mul_ps(_mm512_set1_ps(row->weight[k]), value));
    }
    __m512i q = _mm512_max_epi32(resample_avx512_round(a, sum), _mm512_set1_epi32(a->lo - a->out_zp));
    q = _mm512_add_epi32(_mm512_min_epi32(q, _mm512_set1_epi32(a->hi - a->out_zp)), _mm512_set1_epi32(a->out_zp + a->flip));
    _mm_mask_storeu_epi8(out, mask, _mm512_cvtepi32_epi8(q));
}

// ---- two taps whose weights are 64ths, as those of enlarging by whole numbers often are: the sums are whole numbers

QN_INLINE int resample_avx512_is_64th(float weight) {
    return weight >= 0.0f && weight <= 1.0f && weight * 64.0f == (float)(int32_t)(weight * 64.0f);
}

struct resample_avx512_pair { const uint8_t *first, *second; __m512i weights; __m512 zero, multiplier; };

// Sums of single precision would be exact, too, so that a 64th of the multiplier gives what these times the multiplier do.
QN_INLINE struct resample_avx512_pair resample_avx512_pair_new(const struct qn_resample_args *a, const struct resample_avx512 *row,
                                                               const uint8_t *in) {
    const int32_t w0 = (int32_t)(row->weight[0] * 64.0f), w1 = (int32_t)(row->weight[1] * 64.0f);
    const struct resample_avx512_pair pair = {
        .first = in + resample_avx512_at(a, row, 0), .second = in + resample_avx512_at(a, row, 1),
        .weights = _mm512_set1_epi16((int16_t)(w0 | w1 << 8)), .zero = _mm512_set1_ps((float)(0x800000 + (128 + a->in_zp) * (w0 + w1))),
        .multiplier = _mm512_set1_ps(a->multiplier * 0.015625f),
    };
    return pair;
}

QN_INLINE __m512i resample_avx512_pair_words(const struct qn_resample_args *a, const struct resample_avx512_pair *pair, __m512i bytes) {
    const __m512i sums = _mm512_maddubs_epi16(bytes, pair->weights), upper = _mm512_set1_epi16(0x4B00);
    const __m512 low = _mm512_castsi512_ps(_mm512_unpacklo_epi16(sums, upper)), high = _mm512_castsi512_ps(_mm512_unpackhi_epi16(sums, upper));
    const __m512i q0 = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_sub_ps(low, pair->zero), pair->multiplier));
    const __m512i q1 = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_sub_ps(high, pair->zero), pair->multiplier));
    return _mm512_adds_epi16(_mm512_packs_epi32(q0, q1), _mm512_set1_epi16((int16_t)(a->out_zp + 128)));
}

QN_INLINE void resample_avx512_pair_row(const struct qn_resample_args *a, const struct resample_avx512_pair *pair, uint8_t *out) {
    QN_NO_UNROLL for (int32_t i = 0; i < a->inner; i += 64) {
        const __mmask64 mask = a->inner - i >= 64 ? ~(__mmask64)0 : ((uint64_t)1 << (a->inner - i)) - 1;
        const __m512i x = resample_avx512_unsigned(a, _mm512_maskz_loadu_epi8(mask, pair->first + i));
        const __m512i y = resample_avx512_unsigned(a, _mm512_maskz_loadu_epi8(mask, pair->second + i));
        const __m512i low = resample_avx512_pair_words(a, pair, _mm512_unpacklo_epi8(x, y));
        const __m512i high = resample_avx512_pair_words(a, pair, _mm512_unpackhi_epi8(x, y));
        _mm512_mask_storeu_epi8(out + i, mask, resample_avx512_bytes(a, low, high));
    }
}

QN_KERNEL qn_resample_s8_s8__64__avx512(const struct qn_resample_args *a, const void *input, const void *indices,
                                        const void *weights, void *output, int32_t begin, int32_t end) {
    QN_NO_UNROLL for (int32_t r = begin; r < end; r++) {
        const struct resample_avx512 row = resample_avx512_row(a, indices, weights, r);
        const uint8_t *in = (const uint8_t *)input;
        uint8_t *out = (uint8_t *)output + row.out;
        if (a->taps == 2 && a->multiplier < 1e6f && resample_avx512_is_64th(row.weight[0]) && resample_avx512_is_64th(row.weight[1])) {
            const struct resample_avx512_pair pair = resample_avx512_pair_new(a, &row, in);
            resample_avx512_pair_row(a, &pair, out);
            continue;
        }
        int32_t i = 0;
        QN_NO_UNROLL for (; i + 64 <= a->inner; i += 64) resample_avx512_block64(a, &row, in + i, out + i, ~(__mmask64)0);
        if (a->inner - i > 32) {
            resample_avx512_block64(a, &row, in + i, out + i, ((uint64_t)1 << (a->inner - i)) - 1);
            continue;
        }
        QN_NO_UNROLL for (; i < a->inner; i += 16)
            resample_avx512_block16(a, &row, in + i, out + i, a->inner - i >= 16 ? 0xFFFF : (__mmask16)((1u << (a->inner - i)) - 1));
    }
}

QN_KERNEL qn_resample_f32_f32__16__avx512(const struct qn_resample_args *a, const void *input, const void *indices,
                                          const void *weights, void *output, int32_t begin, int32_t end) {
    QN_NO_UNROLL for (int32_t r = begin; r < end; r++) {
        const struct resample_avx512 row = resample_avx512_row(a, indices, weights, r);
        const float *in = (const float *)input;
        float *out = (float *)output + row.out;
        QN_NO_UNROLL for (int32_t i = 0; i < a->inner; i += 16) {
            const __mmask16 mask = a->inner - i >= 16 ? 0xFFFF : (__mmask16)((1u << (a->inner - i)) - 1);
            __m512 sum = _mm512_setzero_ps();
            QN_NO_UNROLL for (int32_t k = 0; k < a->taps; k++) {
                const __m512 x = _mm512_maskz_loadu_ps(mask, in + i + resample_avx512_at(a, &row, k));
                sum = _mm512_fmadd_ps(_mm512_set1_ps(row.weight[k]), x, sum);
            }
            _mm512_mask_storeu_ps(out + i, mask, sum);
        }
    }
}
