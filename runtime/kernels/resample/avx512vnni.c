// Images of bytes resampled for AVX-512 with VBMI and VNNI. Weights are three signed digits to base 256, whose sums are put together modulo
// 2^32, as those of the weights themselves; a dot product of bytes takes four taps of one digit.
//
// Along rows of pixels of a few bytes: blocks of up to 16 bytes of a result, for which indices and weights come as permutations and
// digits (`packed`, see passes/pack_resample.h); what four taps of a block need lies within 64 bytes. Across rows: 64 bytes at a time.
#include <immintrin.h>

#include "runtime/kernel.h"

QN_INLINE __mmask64 resample_vnni_mask(ptrdiff_t bytes) {
    return bytes >= 64 ? ~(__mmask64)0 : bytes <= 0 ? 0 : ((uint64_t)1 << bytes) - 1;
}

QN_INLINE __m512i resample_vnni_load(const uint8_t *bytes, ptrdiff_t left, int whole) {
    return whole ? _mm512_loadu_si512(bytes) : _mm512_maskz_loadu_epi8(resample_vnni_mask(left), bytes);
}

// ---- along rows

// header: first byte of the result, bytes, and for each group of four taps the first byte that it is made of. tables: for each group a
// permutation and three digits, 64 bytes each.
struct resample_block { const int32_t *header; const uint8_t *tables; };

// What stays the same from row to row, where there are few groups.
enum { RESAMPLE_KEPT = 2 };
struct resample_kept { ptrdiff_t base[RESAMPLE_KEPT]; __m512i table[RESAMPLE_KEPT][4]; };

QN_INLINE void resample_vnni_keep(const struct resample_block *b, int32_t groups, struct resample_kept *kept) {
    QN_UNROLL for (int32_t g = 0; g < groups; g++) {
        kept->base[g] = b->header[2 + g];
        QN_UNROLL for (int32_t d = 0; d < 4; d++) kept->table[g][d] = _mm512_loadu_si512(b->tables + g * 256 + d * 64);
    }
}

// The highest digit first: what is there is shifted when the next is added.
QN_INLINE __m512i resample_vnni_kept_row(const struct resample_kept *kept, const uint8_t *in, ptrdiff_t in_bytes, int32_t groups, int whole) {
    __m512i sum = _mm512_set1_epi32(1 << 5), x[RESAMPLE_KEPT];
    QN_UNROLL for (int32_t g = 0; g < groups; g++)
        x[g] = _mm512_permutexvar_epi8(kept->table[g][0], resample_vnni_load(in + kept->base[g], in_bytes - kept->base[g], whole));
    QN_UNROLL for (int32_t d = 3; d >= 1; d--) {
        if (d < 3) sum = _mm512_slli_epi32(sum, 8);
        QN_UNROLL for (int32_t g = 0; g < groups; g++) sum = _mm512_dpbusd_epi32(sum, x[g], kept->table[g][d]);
    }
    return _mm512_srai_epi32(sum, 22);
}

// Of more groups, `rows` rows at a time: each group's tables are read once for them.
QN_INLINE void resample_vnni_any_rows(const struct resample_block *b, const uint8_t *in, ptrdiff_t in_bytes, int32_t groups, int32_t rows, __m512i *sum) {
    __m512i s[4][3];
    QN_UNROLL for (int32_t k = 0; k < rows; k++)
        QN_UNROLL for (int32_t d = 0; d < 3; d++) s[k][d] = d ? _mm512_setzero_si512() : _mm512_set1_epi32(1 << 21);
    QN_NO_UNROLL for (int32_t g = 0; g < groups; g++) {
        const uint8_t *table = b->tables + (ptrdiff_t)g * 256;
        const ptrdiff_t base = b->header[2 + g];
        const __mmask64 mask = resample_vnni_mask(in_bytes - base);
        QN_UNROLL for (int32_t k = 0; k < rows; k++) {
            const __m512i x = _mm512_permutexvar_epi8(_mm512_loadu_si512(table), _mm512_maskz_loadu_epi8(mask, in + k * in_bytes + base));
            QN_UNROLL for (int32_t d = 0; d < 3; d++) s[k][d] = _mm512_dpbusd_epi32(s[k][d], x, _mm512_loadu_si512(table + 64 + 64 * d));
        }
    }
    QN_UNROLL for (int32_t k = 0; k < rows; k++)
        sum[k] = _mm512_srai_epi32(_mm512_add_epi32(s[k][0], _mm512_add_epi32(_mm512_slli_epi32(s[k][1], 8), _mm512_slli_epi32(s[k][2], 16))), 22);
}

// `rows` rows; kept: of up to RESAMPLE_KEPT groups; whole: 64 bytes can be read from wherever a group begins.
QN_INLINE void resample_vnni_rows(const struct resample_block *b, const struct resample_kept *kept, const uint8_t *in, ptrdiff_t in_bytes,
                                  int32_t groups, int whole, int32_t rows, __m512i *sum) {
    if (groups > RESAMPLE_KEPT) resample_vnni_any_rows(b, in, in_bytes, groups, rows, sum);
    else
        QN_UNROLL for (int32_t k = 0; k < rows; k++) sum[k] = resample_vnni_kept_row(kept, in + k * in_bytes, in_bytes, groups, whole);
}

// Rows [begin, end) of results are pixels of all rows of the image, one behind the other: of image row o the bytes of the block among them.
QN_INLINE __mmask16 resample_vnni_lanes(const struct qn_resample_args *a, const struct resample_block *b, int32_t o, int32_t begin, int32_t end) {
    const ptrdiff_t row = (ptrdiff_t)o * a->count * a->inner + b->header[0], lanes = b->header[1];
    ptrdiff_t low = (ptrdiff_t)begin * a->inner - row, high = (ptrdiff_t)end * a->inner - row;
    low = low < 0 ? 0 : low > 16 ? 16 : low;
    high = high > lanes ? lanes : high < low ? low : high;
    return (__mmask16)(((1u << high) - 1) & ~((1u << low) - 1));
}

// Four whole rows at a time: packing leaves four bytes of each row in every 128-bit lane.
QN_INLINE void resample_vnni_block(const struct qn_resample_args *a, const struct resample_block *b, const uint8_t *in, uint8_t *out,
                                   int32_t begin, int32_t end, int32_t groups, int whole) {
    const ptrdiff_t in_bytes = (ptrdiff_t)a->size * a->inner, out_bytes = (ptrdiff_t)a->count * a->inner;
    const __m512i rows = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const int32_t last = (end - 1) / a->count;
    const __mmask16 lanes = (__mmask16)((1u << b->header[1]) - 1);
    struct resample_kept kept;
    if (groups <= RESAMPLE_KEPT) resample_vnni_keep(b, groups, &kept);
    out += b->header[0];
    for (int32_t o = begin / a->count; o <= last;) {
        const uint8_t *from = in + o * in_bytes;
        uint8_t *to = out + o * out_bytes;
        if ((ptrdiff_t)o * a->count >= begin && ((ptrdiff_t)o + 4) * a->count <= end) {
            __m512i r[4];
            resample_vnni_rows(b, &kept, from, in_bytes, groups, whole, 4, r);
            const __m512i bytes = _mm512_permutexvar_epi32(rows, _mm512_packus_epi16(_mm512_packs_epi32(r[0], r[1]), _mm512_packs_epi32(r[2], r[3])));
            _mm_mask_storeu_epi8(to, lanes, _mm512_castsi512_si128(bytes));
            _mm_mask_storeu_epi8(to + out_bytes, lanes, _mm512_extracti32x4_epi32(bytes, 1));
            _mm_mask_storeu_epi8(to + 2 * out_bytes, lanes, _mm512_extracti32x4_epi32(bytes, 2));
            _mm_mask_storeu_epi8(to + 3 * out_bytes, lanes, _mm512_extracti32x4_epi32(bytes, 3));
            o += 4;
        } else {
            __m512i row;
            resample_vnni_rows(b, &kept, from, in_bytes, groups, 0, 1, &row);
            _mm_mask_storeu_epi8(to, resample_vnni_lanes(a, b, o, begin, end), _mm512_cvtusepi32_epi8(_mm512_max_epi32(row, _mm512_setzero_si512())));
            o++;
        }
    }
}

QN_KERNEL qn_resample_u8_u8__pixels16__avx512vnni(const struct qn_resample_args *a, const void *input, const void *indices,
                                                  const void *weights, void *output, int32_t begin, int32_t end) {
    const int32_t groups = (a->taps + 3) / 4;
    const ptrdiff_t in_bytes = (ptrdiff_t)a->size * a->inner;
    if (begin >= end) return;
    for (int32_t i = 0; i < a->packed; i++) {
        const struct resample_block block = {(const int32_t *)indices + (ptrdiff_t)i * (2 + groups), (const uint8_t *)weights + (ptrdiff_t)i * groups * 256};
        int32_t most = 0;
        for (int32_t g = 0; g < groups; g++) most = block.header[2 + g] > most ? block.header[2 + g] : most;
        if (groups > 2) resample_vnni_block(a, &block, input, output, begin, end, groups, 0);
        else if (groups == 2 && (ptrdiff_t)most + 64 <= in_bytes) resample_vnni_block(a, &block, input, output, begin, end, 2, 1);
        else if (groups == 2) resample_vnni_block(a, &block, input, output, begin, end, 2, 0);
        else resample_vnni_block(a, &block, input, output, begin, end, 1, 0);
    }
}

// ---- across rows

struct resample_taps { const uint8_t *row[4]; __m512i digit[3]; };

// Four taps of a row of the result, those behind the last with weight 0. False: a weight has more than three digits.
QN_INLINE int resample_vnni_taps(const struct qn_resample_args *a, const uint8_t *in, const int32_t *indices, const int32_t *weights, int32_t first,
                                 struct resample_taps *t) {
    uint32_t digits[3] = {0};
    for (int32_t k = 0; k < 4; k++) {
        const int32_t at = first + k < a->taps ? first + k : first, w = first + k < a->taps ? weights[at] : 0;
        const int32_t index = indices[at] < 0 ? 0 : indices[at] >= a->size ? a->size - 1 : indices[at];
        if (w < -0x7F0000 || w > 0x7F0000) return 0;
        const int32_t d0 = (int8_t)w, d1 = (int8_t)((w - d0) >> 8), d2 = (((w - d0) >> 8) - d1) >> 8;
        t->row[k] = in + (ptrdiff_t)index * a->inner;
        digits[0] |= (uint32_t)(uint8_t)d0 << 8 * k;
        digits[1] |= (uint32_t)(uint8_t)d1 << 8 * k;
        digits[2] |= (uint32_t)(uint8_t)d2 << 8 * k;
    }
    QN_UNROLL for (int32_t d = 0; d < 3; d++) t->digit[d] = _mm512_set1_epi32((int32_t)digits[d]);
    return 1;
}

// Bytes x and so on of four rows, side by side.
struct resample_quads { __m512i q[4]; };
QN_INLINE struct resample_quads resample_vnni_quads(const struct resample_taps *t, int32_t x, int32_t left, int whole) {
    __m512i row[4];
    struct resample_quads quads;
    QN_UNROLL for (int32_t k = 0; k < 4; k++) row[k] = resample_vnni_load(t->row[k] + x, left, whole);
    const __m512i low01 = _mm512_unpacklo_epi8(row[0], row[1]), high01 = _mm512_unpackhi_epi8(row[0], row[1]);
    const __m512i low23 = _mm512_unpacklo_epi8(row[2], row[3]), high23 = _mm512_unpackhi_epi8(row[2], row[3]);
    quads.q[0] = _mm512_unpacklo_epi16(low01, low23), quads.q[1] = _mm512_unpackhi_epi16(low01, low23);
    quads.q[2] = _mm512_unpacklo_epi16(high01, high23), quads.q[3] = _mm512_unpackhi_epi16(high01, high23);
    return quads;
}

// As in resample_vnni_kept_row, the highest digit first; of more groups each adds to three sums.
QN_INLINE void resample_vnni_sums(const struct resample_taps *taps, int32_t groups, int32_t x, int32_t left, int whole, __m512i word[4]) {
    if (groups <= 2) {
        struct resample_quads quads[2];
        for (int32_t g = 0; g < groups; g++) quads[g] = resample_vnni_quads(&taps[g], x, left, whole);
        QN_UNROLL for (int32_t q = 0; q < 4; q++) {
            __m512i sum = _mm512_set1_epi32(1 << 5);
            QN_UNROLL for (int32_t d = 2; d >= 0; d--) {
                if (d < 2) sum = _mm512_slli_epi32(sum, 8);
                for (int32_t g = 0; g < groups; g++) sum = _mm512_dpbusd_epi32(sum, quads[g].q[q], taps[g].digit[d]);
            }
            word[q] = sum;
        }
        return;
    }
    __m512i sums[4][3];
    QN_UNROLL for (int32_t q = 0; q < 4; q++)
        QN_UNROLL for (int32_t d = 0; d < 3; d++) sums[q][d] = d ? _mm512_setzero_si512() : _mm512_set1_epi32(1 << 21);
    QN_NO_UNROLL for (int32_t g = 0; g < groups; g++) {
        const struct resample_quads quads = resample_vnni_quads(&taps[g], x, left, whole);
        QN_UNROLL for (int32_t q = 0; q < 4; q++)
            QN_UNROLL for (int32_t d = 0; d < 3; d++) sums[q][d] = _mm512_dpbusd_epi32(sums[q][d], quads.q[q], taps[g].digit[d]);
    }
    QN_UNROLL for (int32_t q = 0; q < 4; q++)
        word[q] = _mm512_add_epi32(sums[q][0], _mm512_add_epi32(_mm512_slli_epi32(sums[q][1], 8), _mm512_slli_epi32(sums[q][2], 16)));
}

QN_INLINE __m512i resample_vnni_across64(const struct resample_taps *taps, int32_t groups, int32_t x, int32_t left, int whole) {
    __m512i word[4];
    resample_vnni_sums(taps, groups, x, left, whole, word);
    QN_UNROLL for (int32_t q = 0; q < 4; q++) word[q] = _mm512_srai_epi32(word[q], 22);
    return _mm512_packus_epi16(_mm512_packs_epi32(word[0], word[1]), _mm512_packs_epi32(word[2], word[3]));
}

// One row of the result of taps that are known to have three digits.
QN_INLINE void resample_vnni_across(const struct qn_resample_args *a, const struct resample_taps *taps, int32_t groups, uint8_t *out) {
    int32_t x = 0;
    QN_NO_UNROLL for (; x + 64 <= a->inner; x += 64) _mm512_storeu_si512(out + x, resample_vnni_across64(taps, groups, x, 64, 1));
    if (x < a->inner) _mm512_mask_storeu_epi8(out + x, resample_vnni_mask(a->inner - x), resample_vnni_across64(taps, groups, x, a->inner - x, 0));
}

QN_INLINE void resample_vnni_bytes(const struct qn_resample_args *a, const uint8_t *in, const int32_t *indices, const int32_t *weights, uint8_t *out) {
    QN_NO_UNROLL for (int32_t i = 0; i < a->inner; i++) {
        uint32_t sum = 1u << 21;
        QN_NO_UNROLL for (int32_t k = 0; k < a->taps; k++) {
            const int32_t index = indices[k] < 0 ? 0 : indices[k] >= a->size ? a->size - 1 : indices[k];
            sum += (uint32_t)weights[k] * in[(ptrdiff_t)index * a->inner + i];
        }
        const int32_t value = (int32_t)sum >> 22;
        out[i] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
    }
}

QN_KERNEL qn_resample_u8_u8__rows64__avx512vnni(const struct qn_resample_args *a, const void *input, const void *indices,
                                                const void *weights, void *output, int32_t begin, int32_t end) {
    QN_NO_UNROLL for (int32_t r = begin; r < end; r++) {
        const uint8_t *in = (const uint8_t *)input + (ptrdiff_t)(r / a->count) * a->size * a->inner;
        const int32_t *index = (const int32_t *)indices + (ptrdiff_t)(r % a->count) * a->taps, *weight = (const int32_t *)weights + (ptrdiff_t)(r % a->count) * a->taps;
        uint8_t *out = (uint8_t *)output + (ptrdiff_t)r * a->inner;
        struct resample_taps taps[8];
        int32_t groups = 0, fits = 1;
        for (; groups * 4 < a->taps && fits; groups++) fits = resample_vnni_taps(a, in, index, weight, groups * 4, &taps[groups]);
        if (!fits) resample_vnni_bytes(a, in, index, weight, out);
        else if (groups == 1) resample_vnni_across(a, taps, 1, out);
        else if (groups == 2) resample_vnni_across(a, taps, 2, out);
        else resample_vnni_across(a, taps, groups, out);
    }
}
