// int8 batched matrix product for AVX512-VNNI: both operands are activations. 64 columns of b are packed a piece of k at a
// time, signed and by four: one vpdpbusd sums four k of 16 columns. Vector j, lane l, element e holds column 16 l + 4 j + e,
// an order that the final packs undo. With unsigned elements u = x + 128 and zero points moved likewise,
//   sum (a - a_zp)(b - b_zp) = sum u_a b - u_zp sum b - b_zp sum u_a + k u_zp b_zp.
#include "runtime/kernels/matmul_batch.h"
#include "runtime/kernels/vnni.h"

enum { MATMUL_VNNI_STEPS = 64, MATMUL_VNNI_TILE = 6, MATMUL_VNNI_ROWS = 48 }; // steps are of 4 k

struct matmul_vnni {
    __m512i packed[MATMUL_VNNI_STEPS][4];
    __m512i acc[MATMUL_VNNI_ROWS][4];
    __m512i column[4]; // sum b
};

// Elements [at, at + 4) of a dense run of `size`, zero beyond.
QN_INLINE int32_t matmul_vnni_word(const uint8_t *run, int32_t at, int32_t size) {
    int32_t word = 0;
    if (at + 4 <= size) __builtin_memcpy(&word, run + at, 4);
    else
        QN_NO_UNROLL for (int32_t i = at; i < size; i++) word |= (int32_t)((uint32_t)run[i] << 8 * (i - at));
    return word;
}

// ---- packing b: rows [k, k + 4) of it; what lies beyond its size is zero

QN_INLINE __m512i matmul_vnni_row(const struct qn_matmul_args *a, const uint8_t *b, int32_t k, uint64_t columns) {
    if (k >= a->k) return _mm512_setzero_si512();
    const __m512i row = _mm512_maskz_loadu_epi8(columns, b + (int64_t)k * a->b_k);
    return _mm512_maskz_add_epi8(columns, row, _mm512_set1_epi8((char)0x80));
}

// Columns are dense.
QN_INLINE void matmul_vnni_interleave(const struct qn_matmul_args *a, const uint8_t *b, int32_t k, uint64_t columns,
                                      __m512i packed[4]) {
    const __m512i r0 = matmul_vnni_row(a, b, k, columns), r1 = matmul_vnni_row(a, b, k + 1, columns);
    const __m512i r2 = matmul_vnni_row(a, b, k + 2, columns), r3 = matmul_vnni_row(a, b, k + 3, columns);
    const __m512i e = _mm512_unpacklo_epi8(r0, r1), f = _mm512_unpackhi_epi8(r0, r1);
    const __m512i g = _mm512_unpacklo_epi8(r2, r3), h = _mm512_unpackhi_epi8(r2, r3);
    packed[0] = _mm512_unpacklo_epi16(e, g), packed[1] = _mm512_unpackhi_epi16(e, g);
    packed[2] = _mm512_unpacklo_epi16(f, h), packed[3] = _mm512_unpackhi_epi16(f, h);
}

// k is dense: a word of each column. The last one may be shorter.
QN_INLINE void matmul_vnni_gather(const struct qn_matmul_args *a, const uint8_t *b, int32_t k, int32_t columns,
                                  __m512i packed[4]) {
    const __m512i order = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 32, 33, 34, 35, 48, 49, 50, 51);
    const int32_t bytes = a->k - k < 4 ? a->k - k : 4;
    const __m512i flips = _mm512_set1_epi32((int32_t)(0x80808080u >> 8 * (4 - bytes)));
    QN_UNROLL for (int j = 0; j < 4; j++) {
        const __m512i column = _mm512_add_epi32(order, _mm512_set1_epi32(4 * j));
        const __mmask16 mask = _mm512_cmplt_epi32_mask(column, _mm512_set1_epi32(columns));
        const __m512i places = _mm512_mullo_epi32(column, _mm512_set1_epi32(a->b_n));
        __m512i words = _mm512_setzero_si512();
        if (bytes == 4) words = _mm512_mask_i32gather_epi32(words, mask, places, b + k, 1);
        else
            QN_NO_UNROLL for (int32_t i = 0; i < 16; i++) {
                const int32_t c = 16 * (i / 4) + 4 * j + i % 4;
                if (c < columns)
                    words = _mm512_mask_set1_epi32(words, (__mmask16)(1 << i), matmul_vnni_word(b + (int64_t)c * a->b_n, k, a->k));
            }
        packed[j] = _mm512_maskz_xor_epi32(mask, words, flips);
    }
}

// Steps [0, steps) from k on; `columns` of the 64 are in b.
QN_INLINE void matmul_vnni_pack(const struct qn_matmul_args *a, const uint8_t *b, int32_t k, int32_t steps,
                                int32_t columns, struct matmul_vnni *s) {
    const uint64_t mask = columns < 64 ? ((uint64_t)1 << columns) - 1 : ~(uint64_t)0;
    __m512i sum[4];
    QN_UNROLL for (int j = 0; j < 4; j++) sum[j] = s->column[j];
    QN_NO_UNROLL for (int32_t i = 0; i < steps; i++) {
        if (a->b_n == 1) matmul_vnni_interleave(a, b, k + 4 * i, mask, s->packed[i]);
        else matmul_vnni_gather(a, b, k + 4 * i, columns, s->packed[i]);
        QN_UNROLL for (int j = 0; j < 4; j++) sum[j] = _mm512_dpbusd_epi32(sum[j], _mm512_set1_epi8(1), s->packed[i][j]);
    }
    QN_UNROLL for (int j = 0; j < 4; j++) s->column[j] = sum[j];
}

// ---- products

// One step of a tile: a word of each row.
QN_INLINE void matmul_vnni_step(const __m512i packed[4], const int32_t words[MATMUL_VNNI_TILE],
                                __m512i acc[MATMUL_VNNI_TILE][4]) {
    QN_UNROLL for (int r = 0; r < MATMUL_VNNI_TILE; r++) {
        const __m512i v = _mm512_set1_epi32(words[r]);
        QN_UNROLL for (int j = 0; j < 4; j++) acc[r][j] = _mm512_dpbusd_epi32(acc[r][j], v, packed[j]);
    }
}

// Rows [0, count) of a, up to a tile of them, against what is packed. Rows beyond repeat the last one; their sums are not used.
QN_INLINE void matmul_vnni_tile(const struct qn_matmul_args *a, const uint8_t *x, int32_t count, int32_t k, int32_t steps,
                                const struct matmul_vnni *s, __m512i out[MATMUL_VNNI_TILE][4]) {
    const uint8_t *row[MATMUL_VNNI_TILE];
    __m512i acc[MATMUL_VNNI_TILE][4];
    int32_t words[MATMUL_VNNI_TILE];
    const int32_t whole = k + 4 * steps <= a->k ? steps : steps - 1;
    QN_UNROLL for (int r = 0; r < MATMUL_VNNI_TILE; r++) {
        row[r] = x + (int64_t)(r < count ? r : count - 1) * a->a_m + k;
        QN_UNROLL for (int j = 0; j < 4; j++) acc[r][j] = out[r][j];
    }
    QN_NO_UNROLL for (int32_t i = 0; i < whole; i++) {
        QN_UNROLL for (int r = 0; r < MATMUL_VNNI_TILE; r++) __builtin_memcpy(&words[r], row[r] + 4 * i, 4);
        matmul_vnni_step(s->packed[i], words, acc);
    }
    if (whole < steps) {
        QN_UNROLL for (int r = 0; r < MATMUL_VNNI_TILE; r++) words[r] = matmul_vnni_word(row[r] - k, k + 4 * whole, a->k);
        matmul_vnni_step(s->packed[whole], words, acc);
    }
    QN_UNROLL for (int r = 0; r < MATMUL_VNNI_TILE; r++)
        QN_UNROLL for (int j = 0; j < 4; j++) out[r][j] = acc[r][j];
}

// sum u_a of a row.
QN_INLINE int32_t matmul_vnni_row_sum(const uint8_t *x, int32_t k) {
    __m512i sum = _mm512_setzero_si512();
    QN_NO_UNROLL for (int32_t i = 0; i < k; i += 64) {
        const uint64_t mask = k - i < 64 ? ((uint64_t)1 << (k - i)) - 1 : ~(uint64_t)0;
        sum = _mm512_dpbusd_epi32(sum, _mm512_maskz_loadu_epi8(mask, x + i), _mm512_set1_epi8(1));
    }
    return _mm512_reduce_add_epi32(sum);
}

QN_INLINE void matmul_vnni_store(const struct qn_matmul_args *a, const uint8_t *x, int32_t rows, int32_t columns,
                                 const struct matmul_vnni *s, uint8_t *out) {
    const struct gemm_quant quant = {a->out_zp + 128, a->lo + 128, a->hi + 128, 0};
    const uint32_t u_zp = (uint32_t)(a->a_zp + 128), b_zp = (uint32_t)a->b_zp; // sums wrap, modulo 2^32
    __m512i column[4];
    QN_UNROLL for (int j = 0; j < 4; j++)
        column[j] = _mm512_mullo_epi32(s->column[j], _mm512_set1_epi32((int32_t)u_zp));
    QN_NO_UNROLL for (int32_t r = 0; r < rows; r++) {
        const uint32_t sum = b_zp ? (uint32_t)matmul_vnni_row_sum(x + (int64_t)r * a->a_m, a->k) : 0;
        const __m512i row = _mm512_set1_epi32((int32_t)(b_zp * ((uint32_t)a->k * u_zp - sum)));
        __m512i v[4];
        QN_UNROLL for (int j = 0; j < 4; j++) {
            const __m512i acc = _mm512_add_epi32(_mm512_sub_epi32(s->acc[r][j], column[j]), row);
            v[j] = vnni_scale(acc, _mm512_set1_ps(a->multiplier), &quant);
        }
        vnni_store_64(out + (int64_t)r * a->n, vnni_pack_lanes(v, &quant), columns);
    }
}

// Rows [0, rows) of a, at most MATMUL_VNNI_ROWS, times 64 columns of b or the last few.
QN_INLINE void matmul_vnni_block(const struct qn_matmul_args *a, const uint8_t *x, const uint8_t *b, int32_t rows,
                                 int32_t columns, struct matmul_vnni *s, uint8_t *out) {
    QN_UNROLL for (int j = 0; j < 4; j++) s->column[j] = _mm512_setzero_si512();
    QN_NO_UNROLL for (int32_t r = 0; r < MATMUL_VNNI_ROWS; r++)
        QN_UNROLL for (int j = 0; j < 4; j++) s->acc[r][j] = _mm512_setzero_si512();
    QN_NO_UNROLL for (int32_t k = 0; k < a->k; k += 4 * MATMUL_VNNI_STEPS) {
        const int32_t left = (a->k - k + 3) / 4, steps = left < MATMUL_VNNI_STEPS ? left : MATMUL_VNNI_STEPS;
        matmul_vnni_pack(a, b, k, steps, columns, s);
        QN_NO_UNROLL for (int32_t r = 0; r < rows; r += MATMUL_VNNI_TILE)
            matmul_vnni_tile(a, x + (int64_t)r * a->a_m, rows - r, k, steps, s, s->acc + r);
    }
    matmul_vnni_store(a, x, rows, columns, s, out);
}

QN_KERNEL qn_matmul_s8s8_s8__6x64__avx512vnni(const struct qn_matmul_args *a, const void *input_a, const void *input_b,
                                              void *output, int32_t begin, int32_t end) {
    struct matmul_vnni scratch;
    QN_NO_UNROLL for (int32_t row = begin; row < end;) {
        const int32_t left = a->m - row % a->m < end - row ? a->m - row % a->m : end - row;
        const int32_t rows = left < MATMUL_VNNI_ROWS ? left : MATMUL_VNNI_ROWS;
        const uint8_t *x = (const uint8_t *)input_a + qn_matmul_batch(a, a->a_batch, row / a->m) +
                           (int64_t)(row % a->m) * a->a_m;
        const uint8_t *b = (const uint8_t *)input_b + qn_matmul_batch(a, a->b_batch, row / a->m);
        QN_NO_UNROLL for (int32_t c = 0; c < a->n; c += 64)
            matmul_vnni_block(a, x, b + (int64_t)c * a->b_n, rows, a->n - c, &scratch,
                              (uint8_t *)output + (int64_t)row * a->n + c);
        row += rows;
    }
}
