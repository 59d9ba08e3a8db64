// Transposing copies for AVX-512, of elements of 1, 2 or 4 bytes: the input is dense along one dimension, the output along
// another. Tiles of 64 bytes of input by 16 bytes of output: in each lane of 128 bits a square of n x n elements, transposed
// by log2(n) perfect shuffles of the n vectors.
#include <immintrin.h>

#include "runtime/strided.h"

// Of a tile and its plane: distances in bytes between what stands side by side in the other tensor.
struct copy_avx512 { ptrdiff_t in_step, out_step; int32_t elem_bytes, flip; };

QN_INLINE __m512i copy_avx512_low(int elem_bytes, __m512i a, __m512i b) {
    return elem_bytes == 1 ? _mm512_unpacklo_epi8(a, b) : elem_bytes == 2 ? _mm512_unpacklo_epi16(a, b) : _mm512_unpacklo_epi32(a, b);
}
QN_INLINE __m512i copy_avx512_high(int elem_bytes, __m512i a, __m512i b) {
    return elem_bytes == 1 ? _mm512_unpackhi_epi8(a, b) : elem_bytes == 2 ? _mm512_unpackhi_epi16(a, b) : _mm512_unpackhi_epi32(a, b);
}

QN_INLINE __m128i copy_avx512_lane(__m512i v, int lane) {
    return lane == 0   ? _mm512_castsi512_si128(v)
           : lane == 1 ? _mm512_extracti32x4_epi32(v, 1)
           : lane == 2 ? _mm512_extracti32x4_epi32(v, 2)
                       : _mm512_extracti32x4_epi32(v, 3);
}

// `count` elements (up to 64 bytes) of each of `columns` (up to 16 bytes) input runs.
QN_INLINE void copy_avx512_tile(const struct copy_avx512 *c, const uint8_t *in, uint8_t *out, int32_t count, int32_t columns,
                                int elem_bytes) {
    const int n = 16 / elem_bytes;
    const __mmask64 mask = count * elem_bytes >= 64 ? ~(__mmask64)0 : ((uint64_t)1 << (count * elem_bytes)) - 1;
    const __mmask16 run = (__mmask16)((1u << (columns * elem_bytes)) - 1);
    __m512i v[16], w[16];
    QN_UNROLL for (int j = 0; j < n; j++) {
        v[j] = j < columns ? _mm512_maskz_loadu_epi8(mask, in + j * c->in_step) : _mm512_setzero_si512();
        if (c->flip) v[j] = _mm512_xor_si512(v[j], _mm512_set1_epi8((char)c->flip));
    }
    QN_UNROLL for (int width = n; width > 1; width /= 2) {
        QN_UNROLL for (int k = 0; k < n / 2; k++) {
            w[2 * k] = copy_avx512_low(elem_bytes, v[k], v[k + n / 2]);
            w[2 * k + 1] = copy_avx512_high(elem_bytes, v[k], v[k + n / 2]);
        }
        QN_UNROLL for (int k = 0; k < n; k++) v[k] = w[k];
    }
    QN_UNROLL for (int lane = 0; lane < 4; lane++)
        QN_UNROLL for (int k = 0; k < n; k++)
            if (lane * n + k < count) _mm_mask_storeu_epi8(out + (lane * n + k) * c->out_step, run, copy_avx512_lane(v[k], lane));
}

// A plane: `count` elements of each of `columns` input runs.
QN_INLINE void copy_avx512_plane(const struct copy_avx512 *c, const uint8_t *in, uint8_t *out, int32_t count, int32_t columns,
                                 int elem_bytes) {
    const int32_t side = 64 / elem_bytes, n = 16 / elem_bytes;
    QN_NO_UNROLL for (int32_t i = 0; i < count; i += side)
        QN_NO_UNROLL for (int32_t j = 0; j < columns; j += n) {
            const uint8_t *from = in + (ptrdiff_t)i * elem_bytes + j * c->in_step;
            uint8_t *to = out + i * c->out_step + (ptrdiff_t)j * elem_bytes;
            if (count - i >= side && columns - j >= n) copy_avx512_tile(c, from, to, side, n, elem_bytes);
            else copy_avx512_tile(c, from, to, qn_min(count - i, side), qn_min(columns - j, n), elem_bytes);
        }
}
QN_INLINE void copy_avx512_any(const struct copy_avx512 *c, const uint8_t *in, uint8_t *out, int32_t count, int32_t columns) {
    if (c->elem_bytes == 1) copy_avx512_plane(c, in, out, count, columns, 1);
    else if (c->elem_bytes == 2) copy_avx512_plane(c, in, out, count, columns, 2);
    else copy_avx512_plane(c, in, out, count, columns, 4);
}

// The input is dense along dimension 3, or, where rows are single runs, from row to row.
QN_KERNEL qn_copy_any_any__64x16__avx512(const struct qn_copy_args *a, const void *input, void *output, int32_t begin,
                                         int32_t end) {
    const int along = a->shape[3] == 1 ? 1 : 3;
    const ptrdiff_t bytes = a->elem_bytes;
    const struct copy_avx512 c = {a->in[4] * bytes, a->out[along] * bytes, a->elem_bytes, a->flip};
    QN_NO_UNROLL for (int32_t r = begin, rows = 1; r < end; r += rows) {
        if (along == 1) rows = qn_min(end - r, a->shape[1] - r % a->shape[1]);
        const uint8_t *in = (const uint8_t *)input + qn_row_offset(a->shape, a->in, r) * bytes;
        uint8_t *out = (uint8_t *)output + qn_row_offset(a->shape, a->out, r) * bytes;
        QN_NO_UNROLL for (int32_t i = 0; i < a->shape[2]; i++)
            copy_avx512_any(&c, in + i * a->in[2] * bytes, out + i * a->out[2] * bytes, along == 1 ? rows : a->shape[3], a->shape[4]);
    }
}
