// f32 batched matrix product for AVX-512: 64 columns of b are packed a piece of k at a time, whatever their strides, and
// meet tiles of 6 rows. The products of a piece are summed by themselves: long sums are sums of partial sums.
#include <immintrin.h>

#include "runtime/kernels/matmul_batch.h"

enum { MATMUL_F32_STEPS = 128, MATMUL_F32_TILE = 6, MATMUL_F32_ROWS = 48 };

struct matmul_f32 {
    __m512 packed[MATMUL_F32_STEPS][4];
    __m512 sum[MATMUL_F32_ROWS][4];
};

QN_INLINE __mmask16 matmul_f32_mask(int32_t columns, int vector) {
    const int32_t count = columns - 16 * vector;
    return count >= 16 ? 0xFFFF : count <= 0 ? 0 : (__mmask16)((1u << count) - 1);
}

// Rows [k, k + steps) of b; zero in columns that it lacks.
QN_INLINE void matmul_f32_pack(const struct qn_matmul_args *a, const float *b, int32_t k, int32_t steps, int32_t columns,
                               struct matmul_f32 *s) {
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i places = _mm512_mullo_epi32(lanes, _mm512_set1_epi32(a->b_n));
    QN_NO_UNROLL for (int32_t i = 0; i < steps; i++)
        QN_UNROLL for (int j = 0; j < 4; j++) {
            const __mmask16 mask = matmul_f32_mask(columns, j);
            const float *row = b + (int64_t)(k + i) * a->b_k + (mask ? (int64_t)j * 16 * a->b_n : 0);
            s->packed[i][j] = a->b_n == 1 ? _mm512_maskz_loadu_ps(mask, row)
                                          : _mm512_mask_i32gather_ps(_mm512_setzero_ps(), mask, places, row, 4);
        }
}

// Rows [0, count) of a, up to a tile of them, against what is packed. Rows beyond repeat the last one; their sums are not used.
QN_INLINE void matmul_f32_tile(const struct qn_matmul_args *a, const float *x, int32_t count, int32_t k, int32_t steps,
                               const struct matmul_f32 *s, __m512 sum[MATMUL_F32_TILE][4]) {
    const float *row[MATMUL_F32_TILE];
    __m512 acc[MATMUL_F32_TILE][4];
    QN_UNROLL for (int r = 0; r < MATMUL_F32_TILE; r++) {
        row[r] = x + (int64_t)(r < count ? r : count - 1) * a->a_m + (int64_t)k * a->a_k;
        QN_UNROLL for (int j = 0; j < 4; j++) acc[r][j] = _mm512_setzero_ps();
    }
    QN_NO_UNROLL for (int32_t i = 0; i < steps; i++) {
        __m512 b[4];
        QN_UNROLL for (int j = 0; j < 4; j++) b[j] = s->packed[i][j];
        QN_UNROLL for (int r = 0; r < MATMUL_F32_TILE; r++) {
            const __m512 v = _mm512_set1_ps(row[r][(int64_t)i * a->a_k]);
            QN_UNROLL for (int j = 0; j < 4; j++) acc[r][j] = _mm512_fmadd_ps(v, b[j], acc[r][j]);
        }
    }
    QN_UNROLL for (int r = 0; r < MATMUL_F32_TILE; r++)
        QN_UNROLL for (int j = 0; j < 4; j++) sum[r][j] = _mm512_add_ps(sum[r][j], acc[r][j]);
}

// Rows [0, rows) of a, at most MATMUL_F32_ROWS, times 64 columns of b or the last few.
QN_INLINE void matmul_f32_block(const struct qn_matmul_args *a, const float *x, const float *b, int32_t rows,
                                int32_t columns, struct matmul_f32 *s, float *out) {
    const __m512 min = _mm512_set1_ps(a->min), max = _mm512_set1_ps(a->max);
    QN_NO_UNROLL for (int32_t r = 0; r < MATMUL_F32_ROWS; r++)
        QN_UNROLL for (int j = 0; j < 4; j++) s->sum[r][j] = _mm512_setzero_ps();
    QN_NO_UNROLL for (int32_t k = 0; k < a->k; k += MATMUL_F32_STEPS) {
        const int32_t steps = a->k - k < MATMUL_F32_STEPS ? a->k - k : MATMUL_F32_STEPS;
        matmul_f32_pack(a, b, k, steps, columns, s);
        QN_NO_UNROLL for (int32_t r = 0; r < rows; r += MATMUL_F32_TILE)
            matmul_f32_tile(a, x + (int64_t)r * a->a_m, rows - r, k, steps, s, s->sum + r);
    }
    QN_NO_UNROLL for (int32_t r = 0; r < rows; r++)
        QN_UNROLL for (int j = 0; j < 4; j++) {
            const __m512 v = _mm512_min_ps(max, _mm512_max_ps(min, s->sum[r][j])); // NaN passes
            const __mmask16 mask = matmul_f32_mask(columns, j);
            if (mask) _mm512_mask_storeu_ps(out + (int64_t)r * a->n + 16 * j, mask, v);
        }
}

QN_KERNEL qn_matmul_f32f32_f32__6x64__avx512(const struct qn_matmul_args *a, const void *input_a, const void *input_b,
                                             void *output, int32_t begin, int32_t end) {
    struct matmul_f32 scratch;
    QN_NO_UNROLL for (int32_t row = begin; row < end;) {
        const int32_t left = a->m - row % a->m < end - row ? a->m - row % a->m : end - row;
        const int32_t rows = left < MATMUL_F32_ROWS ? left : MATMUL_F32_ROWS;
        const float *x = (const float *)input_a + qn_matmul_batch(a, a->a_batch, row / a->m) +
                         (ptrdiff_t)(row % a->m) * a->a_m;
        const float *b = (const float *)input_b + qn_matmul_batch(a, a->b_batch, row / a->m);
        QN_NO_UNROLL for (int32_t c = 0; c < a->n; c += 64)
            matmul_f32_block(a, x, b + (ptrdiff_t)c * a->b_n, rows, a->n - c, &scratch,
                             (float *)output + (ptrdiff_t)row * a->n + c);
        row += rows;
    }
}
