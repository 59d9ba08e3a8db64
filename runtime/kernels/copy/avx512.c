// Transposing copies for AVX-512.
#include "runtime/kernels/transpose_avx512.h"

QN_INLINE void copy_avx512_store(const void *user, uint8_t *out, __m128i bytes, __mmask16 mask) {
    (void)user;
    _mm_mask_storeu_epi8(out, mask, bytes);
}

// ---- bytes of up to four runs, one by one in turn, and nothing between them in the output

struct copy_avx512 { int32_t runs, flip; ptrdiff_t in_step; __m512i order; __mmask16 kept; };

// In each lane stand four bytes of each run; byte p is of run p % runs. `kept`: the dwords that these fill.
QN_INLINE struct copy_avx512 copy_avx512_new(const struct qn_copy_args *a) {
    struct copy_avx512 c = {.runs = a->shape[4], .flip = a->flip, .in_step = a->in[4]};
    uint8_t order[16];
    for (int p = 0; p < 16; p++) order[p] = p < 4 * c.runs ? (uint8_t)(p % c.runs * 4 + p / c.runs) : 0;
    c.order = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)order));
    c.kept = (__mmask16)((0xF >> (4 - c.runs)) * 0x1111);
    return c;
}

QN_INLINE __m512i copy_avx512_mixed(const struct copy_avx512 *c, const uint8_t *in, __mmask16 mask) {
    const __m512i by_four = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512i v = _mm512_castsi128_si512(_mm_maskz_loadu_epi8(mask, in));
    if (c->runs > 1) v = _mm512_inserti32x4(v, _mm_maskz_loadu_epi8(mask, in + c->in_step), 1);
    if (c->runs > 2) v = _mm512_inserti32x4(v, _mm_maskz_loadu_epi8(mask, in + 2 * c->in_step), 2);
    if (c->runs > 3) v = _mm512_inserti32x4(v, _mm_maskz_loadu_epi8(mask, in + 3 * c->in_step), 3);
    v = _mm512_shuffle_epi8(_mm512_permutexvar_epi32(by_four, v), c->order);
    if (c->runs < 4) v = _mm512_maskz_compress_epi32(c->kept, v);
    return c->flip ? _mm512_xor_si512(v, _mm512_set1_epi8((char)c->flip)) : v;
}

QN_INLINE void copy_avx512_some(const struct copy_avx512 *c, const uint8_t *in, uint8_t *out, int32_t count) {
    const __mmask64 mask = count * c->runs == 64 ? ~(__mmask64)0 : ((uint64_t)1 << (count * c->runs)) - 1;
    _mm512_mask_storeu_epi8(out, mask, copy_avx512_mixed(c, in, (__mmask16)((1u << count) - 1)));
}

// The last 16 overlap those before them.
QN_INLINE void copy_avx512_mix(const struct copy_avx512 *c, const uint8_t *in, uint8_t *out, int32_t count) {
    if (count < 16) {
        copy_avx512_some(c, in, out, count);
        return;
    }
    QN_NO_UNROLL for (int32_t i = 0; i < count; i += 16) {
        const int32_t at = qn_min(i, count - 16);
        copy_avx512_some(c, in + at, out + (ptrdiff_t)at * c->runs, 16);
    }
}

QN_INLINE void copy_avx512_in_turn(const struct qn_copy_args *a, int along, const void *input, void *output, int32_t begin,
                                   int32_t end) {
    const struct copy_avx512 c = copy_avx512_new(a);
    const int32_t planes = along == 3 ? 1 : a->shape[3];
    QN_NO_UNROLL for (int32_t r = begin, rows; r < end; r += rows) {
        rows = transpose_avx512_rows(a->shape, along, r, end);
        const uint8_t *in = (const uint8_t *)input + qn_row_offset(a->shape, a->in, r);
        uint8_t *out = (uint8_t *)output + qn_row_offset(a->shape, a->out, r);
        QN_NO_UNROLL for (int32_t i = 0; i < a->shape[2]; i++)
            QN_NO_UNROLL for (int32_t j = 0; j < planes; j++)
                copy_avx512_mix(&c, in + (ptrdiff_t)i * a->in[2] + (ptrdiff_t)j * a->in[3],
                                out + (ptrdiff_t)i * a->out[2] + (ptrdiff_t)j * a->out[3], along == 3 ? a->shape[3] : rows);
    }
}

QN_KERNEL qn_copy_any_any__64x16__avx512(const struct qn_copy_args *a, const void *input, void *output, int32_t begin,
                                         int32_t end) {
    const int along = transpose_avx512_along(a->shape, a->in);
    if (a->elem_bytes == 1 && a->shape[4] <= 4 && a->out[along] == a->shape[4]) {
        copy_avx512_in_turn(a, along, input, output, begin, end);
        return;
    }
    const struct transpose_avx512 t = {.shape = a->shape, .in = a->in, .out = a->out, .in_bytes = a->elem_bytes,
                                       .out_bytes = a->elem_bytes, .flip = a->flip};
    transpose_avx512(t, input, output, begin, end, copy_avx512_store);
}
