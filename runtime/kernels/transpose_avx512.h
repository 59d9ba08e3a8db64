// Transposing walks for AVX-512, of elements of 1, 2 or 4 bytes: the input is dense along one dimension, the output along
// another (TRANSPOSED of kernels.def). Tiles of 64 bytes of input by 16 bytes of output: in each lane of 128 bits a square of
// n x n elements, transposed by log2(n) perfect shuffles of the n vectors. What becomes of 16 bytes that lie side by side in the
// output is the kernel's.
#ifndef QN_TRANSPOSE_AVX512_H
#define QN_TRANSPOSE_AVX512_H
#include <immintrin.h>

#include "runtime/strided.h"

// Stores what `bytes` become, as far as their mask says.
typedef void transpose_avx512_store(const void *user, uint8_t *out, __m128i bytes, __mmask16 mask);

// An elementwise walk; bytes of an element in each tensor; in_step, out_step: distances in bytes between what stands side by
// side in the other tensor.
struct transpose_avx512 {
    const int32_t *shape, *in, *out;
    int32_t in_bytes, out_bytes, flip;
    ptrdiff_t in_step, out_step;
    const void *user;
};

QN_INLINE __m512i transpose_avx512_low(int elem_bytes, __m512i a, __m512i b) {
    return elem_bytes == 1 ? _mm512_unpacklo_epi8(a, b) : elem_bytes == 2 ? _mm512_unpacklo_epi16(a, b) : _mm512_unpacklo_epi32(a, b);
}
QN_INLINE __m512i transpose_avx512_high(int elem_bytes, __m512i a, __m512i b) {
    return elem_bytes == 1 ? _mm512_unpackhi_epi8(a, b) : elem_bytes == 2 ? _mm512_unpackhi_epi16(a, b) : _mm512_unpackhi_epi32(a, b);
}

QN_INLINE __m128i transpose_avx512_lane(__m512i v, int lane) {
    return lane == 0   ? _mm512_castsi512_si128(v)
           : lane == 1 ? _mm512_extracti32x4_epi32(v, 1)
           : lane == 2 ? _mm512_extracti32x4_epi32(v, 2)
                       : _mm512_extracti32x4_epi32(v, 3);
}

// `count` elements (up to 64 bytes) of each of `columns` (up to 16 bytes) input runs.
QN_INLINE void transpose_avx512_tile(const struct transpose_avx512 *t, const uint8_t *in, uint8_t *out, int32_t count,
                                     int32_t columns, int elem_bytes, transpose_avx512_store *store) {
    const int n = 16 / elem_bytes;
    const __mmask64 mask = count * elem_bytes >= 64 ? ~(__mmask64)0 : ((uint64_t)1 << (count * elem_bytes)) - 1;
    const __mmask16 run = (__mmask16)((1u << (columns * elem_bytes)) - 1);
    __m512i v[16], w[16];
    QN_UNROLL for (int j = 0; j < n; j++) {
        v[j] = j < columns ? _mm512_maskz_loadu_epi8(mask, in + j * t->in_step) : _mm512_setzero_si512();
        if (t->flip) v[j] = _mm512_xor_si512(v[j], _mm512_set1_epi8((char)t->flip));
    }
    QN_UNROLL for (int width = n; width > 1; width /= 2) {
        QN_UNROLL for (int k = 0; k < n / 2; k++) {
            w[2 * k] = transpose_avx512_low(elem_bytes, v[k], v[k + n / 2]);
            w[2 * k + 1] = transpose_avx512_high(elem_bytes, v[k], v[k + n / 2]);
        }
        QN_UNROLL for (int k = 0; k < n; k++) v[k] = w[k];
    }
    QN_UNROLL for (int lane = 0; lane < 4; lane++)
        QN_UNROLL for (int k = 0; k < n; k++)
            if (lane * n + k < count) store(t->user, out + (lane * n + k) * t->out_step, transpose_avx512_lane(v[k], lane), run);
}

// A plane: `count` elements of each of `columns` input runs.
QN_INLINE void transpose_avx512_plane(const struct transpose_avx512 *t, const uint8_t *in, uint8_t *out, int32_t count,
                                      int32_t columns, int elem_bytes, transpose_avx512_store *store) {
    const int32_t side = 64 / elem_bytes, n = 16 / elem_bytes;
    QN_NO_UNROLL for (int32_t i = 0; i < count; i += side)
        QN_NO_UNROLL for (int32_t j = 0; j < columns; j += n) {
            const uint8_t *from = in + (ptrdiff_t)i * elem_bytes + j * t->in_step;
            uint8_t *to = out + i * t->out_step + (ptrdiff_t)j * t->out_bytes;
            if (count - i >= side && columns - j >= n) transpose_avx512_tile(t, from, to, side, n, elem_bytes, store);
            else transpose_avx512_tile(t, from, to, qn_min(count - i, side), qn_min(columns - j, n), elem_bytes, store);
        }
}
QN_INLINE void transpose_avx512_any(const struct transpose_avx512 *t, const uint8_t *in, uint8_t *out, int32_t count, int32_t columns,
                                    transpose_avx512_store *store) {
    if (t->in_bytes == 1) transpose_avx512_plane(t, in, out, count, columns, 1, store);
    else if (t->in_bytes == 2) transpose_avx512_plane(t, in, out, count, columns, 2, store);
    else transpose_avx512_plane(t, in, out, count, columns, 4, store);
}

// The dimension that the input is dense along: the fourth, or the second, the rows.
QN_INLINE int transpose_avx512_along(const int32_t *shape, const int32_t *in) { return shape[3] > 1 && in[3] == 1 ? 3 : 1; }

// How many rows from row r on are one plane's, if rows are what the input is dense along.
QN_INLINE int32_t transpose_avx512_rows(const int32_t *shape, int along, int32_t r, int32_t end) {
    return along == 3 ? 1 : qn_min(end - r, shape[1] - r % shape[1]);
}

QN_INLINE void transpose_avx512(struct transpose_avx512 t, const void *input, void *output, int32_t begin, int32_t end,
                                transpose_avx512_store *store) {
    const int along = transpose_avx512_along(t.shape, t.in);
    const int32_t planes = along == 3 ? 1 : t.shape[3];
    t.in_step = (ptrdiff_t)t.in[4] * t.in_bytes, t.out_step = (ptrdiff_t)t.out[along] * t.out_bytes;
    QN_NO_UNROLL for (int32_t r = begin, rows; r < end; r += rows) {
        rows = transpose_avx512_rows(t.shape, along, r, end);
        const uint8_t *in = (const uint8_t *)input + qn_row_offset(t.shape, t.in, r) * t.in_bytes;
        uint8_t *out = (uint8_t *)output + qn_row_offset(t.shape, t.out, r) * t.out_bytes;
        QN_NO_UNROLL for (int32_t i = 0; i < t.shape[2]; i++)
            QN_NO_UNROLL for (int32_t j = 0; j < planes; j++) {
                const ptrdiff_t from = (ptrdiff_t)i * t.in[2] + (ptrdiff_t)j * t.in[3], to = (ptrdiff_t)i * t.out[2] + (ptrdiff_t)j * t.out[3];
                transpose_avx512_any(&t, in + from * t.in_bytes, out + to * t.out_bytes, along == 3 ? t.shape[3] : rows, t.shape[4], store);
            }
    }
}
#endif
