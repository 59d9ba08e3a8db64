// Softmax of 8-bit integers for AVX512-VBMI, rows of contiguous elements. Exponentials are looked up a byte plane at a time, 64 of them, and
// summed by dot products with ones. Long rows: what each of the 256 differences from the maximum gives is computed once, and looked up.
#include "runtime/kernels/byte_rows_avx512.h"
#include "runtime/kernels/table_vnni.h"
#include "runtime/rounding.h"

// The first `left` of 64 bytes, in whole powers of two: behind a store under a mask the next row's load, where the two vectors overlap, would
// wait until it is in the cache.
QN_INLINE void softmax_table_store(uint8_t *out, int32_t left, __m512i x) {
    if (left >= 64) {
        _mm512_storeu_si512(out, x);
        return;
    }
    __m256i half = _mm512_castsi512_si256(x);
    if (left & 32) _mm256_storeu_si256((__m256i *)out, half), out += 32, half = _mm512_extracti64x4_epi64(x, 1);
    __m128i part = _mm256_castsi256_si128(half);
    if (left & 16) _mm_storeu_si128((__m128i *)out, part), out += 16, part = _mm256_extracti128_si256(half, 1);
    uint64_t word = (uint64_t)_mm_cvtsi128_si64(part);
    if (left & 8) __builtin_memcpy(out, &word, 8), out += 8, word = (uint64_t)_mm_extract_epi64(part, 1);
    if (left & 4) __builtin_memcpy(out, &word, 4), out += 4, word >>= 32;
    if (left & 2) __builtin_memcpy(out, &word, 2), out += 2, word >>= 16;
    if (left & 1) *out = (uint8_t)word;
}

enum { SOFTMAX_TABLE_PLANES = 3 };
struct softmax_table_planes { struct table_vnni part[SOFTMAX_TABLE_PLANES]; };

// Of 64 differences, the bytes of each exponential; 0 outside the mask.
QN_INLINE void softmax_table_bytes(const struct softmax_table_planes *planes, __mmask64 mask, __m512i x, __m512i bytes[SOFTMAX_TABLE_PLANES]) {
    QN_UNROLL for (int i = 0; i < SOFTMAX_TABLE_PLANES; i++) bytes[i] = _mm512_maskz_mov_epi8(mask, table_vnni_find(&planes->part[i], x));
}

// Of at most 2^22 elements: sums of bytes stay below 2^31.
QN_INLINE int64_t softmax_table_total(const __m512i sums[SOFTMAX_TABLE_PLANES]) {
    int64_t total = 0;
    QN_UNROLL for (int i = 0; i < SOFTMAX_TABLE_PLANES; i++) total += (int64_t)_mm512_reduce_add_epi32(sums[i]) << (8 * i);
    return total;
}

QN_INLINE int64_t softmax_table_sum(const uint8_t *in, int32_t size, __m512i order, __m512i max, const struct softmax_table_planes *planes) {
    __m512i sums[SOFTMAX_TABLE_PLANES], bytes[SOFTMAX_TABLE_PLANES];
    QN_UNROLL for (int k = 0; k < SOFTMAX_TABLE_PLANES; k++) sums[k] = _mm512_setzero_si512();
    QN_NO_UNROLL for (int32_t i = 0; i < size; i += 64) {
        const __mmask64 mask = byte_rows_mask(size - i);
        const __m512i x = _mm512_sub_epi8(max, byte_rows_load(in + i, mask, order));
        softmax_table_bytes(planes, mask, x, bytes);
        QN_UNROLL for (int k = 0; k < SOFTMAX_TABLE_PLANES; k++) sums[k] = _mm512_dpbusd_epi32(sums[k], bytes[k], _mm512_set1_epi8(1));
    }
    return softmax_table_total(sums);
}

// ---- short rows: each exponential is multiplied itself

enum { SOFTMAX_TABLE_SHORT = 256 };

// Exponentials of 64 elements as floats, in the order that packing takes back.
QN_INLINE void softmax_table_floats(const __m512i *bytes, float *out) {
    const __m512i low[2] = {_mm512_unpacklo_epi8(bytes[0], bytes[1]), _mm512_unpackhi_epi8(bytes[0], bytes[1])};
    const __m512i zero = _mm512_setzero_si512();
    const __m512i high[2] = {_mm512_unpacklo_epi8(bytes[2], zero), _mm512_unpackhi_epi8(bytes[2], zero)};
    QN_UNROLL for (int i = 0; i < 2; i++) {
        _mm512_storeu_ps(out + 32 * i, _mm512_cvtepi32_ps(_mm512_unpacklo_epi16(low[i], high[i])));
        _mm512_storeu_ps(out + 32 * i + 16, _mm512_cvtepi32_ps(_mm512_unpackhi_epi16(low[i], high[i])));
    }
}

// 64 results, stored bytes.
QN_INLINE __m512i softmax_table_scaled(const struct qn_softmax_table_args *a, const float *units, __m512 multiplier) {
    const __m512 low = _mm512_set1_ps((float)(a->lo - a->out_zp)), high = _mm512_set1_ps((float)(a->hi - a->out_zp));
    __m512i q[4];
    QN_UNROLL for (int i = 0; i < 4; i++) {
        const __m512 y = _mm512_mul_ps(_mm512_loadu_ps(units + 16 * i), multiplier);
        q[i] = _mm512_cvtps_epi32(_mm512_min_ps(_mm512_max_ps(y, low), high));
    }
    const __m512i zero = _mm512_set1_epi16((int16_t)a->out_zp);
    const __m512i left = _mm512_add_epi16(_mm512_packs_epi32(q[0], q[1]), zero), right = _mm512_add_epi16(_mm512_packs_epi32(q[2], q[3]), zero);
    return _mm512_xor_si512(_mm512_packs_epi16(left, right), _mm512_set1_epi8((char)a->flip));
}

QN_INLINE void softmax_table_short(const struct qn_softmax_table_args *a, const uint8_t *in, uint8_t *out, __m512i order, __m512i max,
                                   const struct softmax_table_planes *planes) {
    float units[SOFTMAX_TABLE_SHORT];
    __m512i sums[SOFTMAX_TABLE_PLANES], bytes[SOFTMAX_TABLE_PLANES];
    QN_UNROLL for (int k = 0; k < SOFTMAX_TABLE_PLANES; k++) sums[k] = _mm512_setzero_si512();
    QN_NO_UNROLL for (int32_t i = 0; i < a->size; i += 64) {
        const __mmask64 mask = byte_rows_mask(a->size - i);
        const __m512i x = _mm512_sub_epi8(max, byte_rows_load(in + i, mask, order));
        softmax_table_bytes(planes, mask, x, bytes);
        QN_UNROLL for (int k = 0; k < SOFTMAX_TABLE_PLANES; k++) sums[k] = _mm512_dpbusd_epi32(sums[k], bytes[k], _mm512_set1_epi8(1));
        softmax_table_floats(bytes, units + i);
    }
    // At most 256 times 2^23.
    const __m512i joined = _mm512_add_epi32(_mm512_add_epi32(sums[0], _mm512_slli_epi32(sums[1], 8)), _mm512_slli_epi32(sums[2], 16));
    const uint32_t sum = (uint32_t)_mm512_reduce_add_epi32(joined);
    const __m512 multiplier = _mm512_set1_ps(a->multiplier / (float)(int64_t)sum);
    QN_NO_UNROLL for (int32_t i = 0; i < a->size; i += 64)
        softmax_table_store(out + i, a->size - i, softmax_table_scaled(a, units + i, multiplier));
}

// ---- long rows

// What each difference gives, stored bytes.
QN_INLINE struct table_vnni softmax_table_results(const struct qn_softmax_table_args *a, const struct softmax_table_planes *planes, int64_t sum) {
    struct table_vnni t;
    float units[64];
    const __m512 multiplier = _mm512_set1_ps(a->multiplier / (float)sum);
    QN_UNROLL for (int i = 0; i < 4; i++) {
        const __m512i bytes[SOFTMAX_TABLE_PLANES] = {planes->part[0].part[i], planes->part[1].part[i], planes->part[2].part[i]};
        softmax_table_floats(bytes, units);
        t.part[i] = softmax_table_scaled(a, units, multiplier);
    }
    return t;
}

QN_INLINE void softmax_table_long(const struct qn_softmax_table_args *a, const uint8_t *in, uint8_t *out, __m512i order, __m512i max,
                                  const struct softmax_table_planes *planes) {
    const struct table_vnni t = softmax_table_results(a, planes, softmax_table_sum(in, a->size, order, max, planes));
    QN_NO_UNROLL for (int32_t i = 0; i < a->size; i += 64) {
        const __mmask64 mask = byte_rows_mask(a->size - i);
        const __m512i x = _mm512_sub_epi8(max, byte_rows_load(in + i, mask, order));
        softmax_table_store(out + i, a->size - i, table_vnni_find(&t, x));
    }
}

QN_KERNEL qn_softmax_table_s8_s8__64__avx512vnni(const struct qn_softmax_table_args *a, const void *input, const void *table,
                                                 void *output, int32_t begin, int32_t end) {
    const __m512i order = _mm512_set1_epi8((char)(a->flip ^ 0x80)); // stored bytes XOR this: unsigned, in the order of their values
    struct softmax_table_planes planes;
    QN_UNROLL for (int i = 0; i < SOFTMAX_TABLE_PLANES; i++) planes.part[i] = table_vnni_load((const uint8_t *)table + i * 256);
    QN_NO_UNROLL for (int32_t r = begin; r < end; r++) {
        const uint8_t *in = (const uint8_t *)input + (ptrdiff_t)r * a->size;
        uint8_t *out = (uint8_t *)output + (ptrdiff_t)r * a->size;
        const __m512i max = _mm512_set1_epi8((char)byte_rows_largest(in, a->size, order));
        if (a->size <= SOFTMAX_TABLE_SHORT) softmax_table_short(a, in, out, order, max, &planes);
        else softmax_table_long(a, in, out, order, max, &planes);
    }
}
