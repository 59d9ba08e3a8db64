// The matrix tile of int8 convolutions and linear layers on AVX512-VNNI, in registers.
#ifndef QN_VNNI_H
#define QN_VNNI_H
#include "runtime/kernels/vnni_sums.h"

QN_INLINE void vnni_tile_store(const struct gemm *g, const __m512i *acc, const float *multiplier, uint8_t *out, int tw,
                               int pixels, int nv, int32_t columns) {
    const int group = 4 / nv; // pixels that share a vector of packed bytes
    __m512 m[4];
    QN_UNROLL for (int j = 0; j < nv; j++) m[j] = _mm512_loadu_ps(multiplier + j * 16);
    QN_UNROLL for (int p = 0; p < pixels; p += group) {
        __m512i v[4];
        QN_UNROLL for (int i = 0; i < 4; i++)
            v[i] = p + i / nv < pixels ? acc[p * nv + i] : _mm512_setzero_si512();
        uint8_t *to[4];
        QN_UNROLL for (int i = 0; i < 4; i++) {
            const int at = i < group && p + i < pixels ? p + i : p;
            to[i] = out + at / tw * g->out_row + at % tw * g->out_column;
        }
        vnni_store_sums(g, v, m, to, (1u << (pixels - p < group ? pixels - p : group)) - 1, nv, columns);
    }
}

// What of a tile is left out: its first column or last one, and its first row or last one.
enum { VNNI_FIRST_COLUMN = 1, VNNI_LAST_COLUMN = 2, VNNI_FIRST_ROW = 4, VNNI_LAST_ROW = 8 };

// Some steps of all pixels of a tile but those `without`. Returns the weights behind.
QN_INLINE const int8_t *vnni_steps(const struct gemm *g, __m512i *acc, const uint8_t *run, const int8_t *weight, int32_t steps,
                                   struct gemm_coming *coming, int th, int tw, int nv, unsigned without) {
    QN_NO_UNROLL for (int32_t k = 0; k < steps; k++, run += 4, weight += nv * 64) {
        __m512i b[2];
        QN_UNROLL for (int j = 0; j < nv; j++) b[j] = _mm512_loadu_si512(weight + j * 64);
        gemm_prefetch(g, weight, coming, nv, 64);
        QN_UNROLL for (int i = 0; i < th * tw; i++) {
            const int y = i / tw, x = i % tw;
            if ((without & VNNI_FIRST_COLUMN && x == 0) || (without & VNNI_LAST_COLUMN && x == tw - 1)) continue;
            if ((without & VNNI_FIRST_ROW && y == 0) || (without & VNNI_LAST_ROW && y == th - 1)) continue;
            const __m512i v = vnni_broadcast(run + y * g->in_row + x * g->in_column);
            QN_UNROLL for (int j = 0; j < nv; j++) acc[i * nv + j] = _mm512_dpbusd_epi32(acc[i * nv + j], v, b[j]);
        }
    }
    return weight;
}

// Taps [from, to) of a row of the window.
QN_INLINE const int8_t *vnni_taps(const struct gemm *g, __m512i *acc, const uint8_t *row, const int8_t *weight, int32_t from, int32_t to,
                                  struct gemm_coming *coming, int th, int tw, int nv, unsigned without) {
    const int32_t runs = g->inner.taps > 1 ? from < to : to - from;
    const int32_t steps = to - from < g->inner.taps ? (to - from) * g->inner.tap_steps : g->steps;
    QN_NO_UNROLL for (int32_t i = 0; i < runs; i++)
        weight = vnni_steps(g, acc, row + (from + i) * g->inner.tap, weight, steps, coming, th, tw, nv, without);
    return weight;
}

// A row of the window. edges: whether the tile's first column is that of the output, and its last.
QN_INLINE const int8_t *vnni_window_row(const struct gemm *g, __m512i *acc, const uint8_t *row, const int8_t *weight,
                                        struct gemm_coming *coming, int th, int tw, int nv, unsigned edges, unsigned rows) {
    const int32_t taps = g->segments_w * g->inner.taps;
    const int32_t left = edges & VNNI_FIRST_COLUMN ? g->inner.left : 0, right = edges & VNNI_LAST_COLUMN ? g->inner.right : taps;
    if (edges & VNNI_FIRST_COLUMN) weight = vnni_taps(g, acc, row, weight, 0, left, coming, th, tw, nv, rows | VNNI_FIRST_COLUMN);
    weight = vnni_taps(g, acc, row, weight, left, right, coming, th, tw, nv, rows);
    if (edges & VNNI_LAST_COLUMN) weight = vnni_taps(g, acc, row, weight, right, taps, coming, th, tw, nv, rows | VNNI_LAST_COLUMN);
    return weight;
}

// th x tw pixels times nv vectors of 16 channels, from row y of the output on; weight [run][step][nv * 16][4].
QN_INLINE void vnni_tile(const struct gemm *g, const uint8_t *in, const int8_t *weight, const int32_t *bias,
                         const float *multiplier, uint8_t *out, struct gemm_coming *coming, int32_t y, int th, int tw, int nv,
                         unsigned edges, int32_t columns) {
    __m512i acc[28];
    const int pixels = th * tw;
    struct gemm_coming next = *coming;
    QN_UNROLL for (int i = 0; i < pixels; i++)
        QN_UNROLL for (int j = 0; j < nv; j++) acc[i * nv + j] = vnni_start(bias + j * 16, g->bounded);
    QN_NO_UNROLL for (int ky = 0; ky < g->segments_h; ky++) {
        const uint8_t *row = in + ky * g->segment_row;
        const int32_t first = y * g->inner.row_step + ky * g->inner.tap_step, last = first + (th - 1) * g->inner.row_step;
        const int known = g->inner.bottom > 0;
        if (known && (last < g->inner.top || first >= g->inner.bottom))
            weight += (int64_t)g->segments_w * g->steps * nv * 64;
        else if (known && th > 1 && first < g->inner.top)
            weight = vnni_window_row(g, acc, row, weight, &next, th, tw, nv, edges, VNNI_FIRST_ROW);
        else if (known && th > 1 && last >= g->inner.bottom)
            weight = vnni_window_row(g, acc, row, weight, &next, th, tw, nv, edges, VNNI_LAST_ROW);
        else weight = vnni_window_row(g, acc, row, weight, &next, th, tw, nv, edges, 0);
    }
    *coming = next;
    vnni_tile_store(g, acc, multiplier, out, tw, pixels, nv, columns);
}

#define GEMM(name) vnni_##name
#define GEMM_PIXELS 14
#define GEMM_LANES 16
#define GEMM_SHAPES(X)                                                                                                \
    X(1, 1) X(1, 2) X(1, 3) X(1, 4) X(1, 5) X(1, 6) X(1, 7) X(1, 8) X(1, 9) X(1, 10) X(1, 11) X(1, 12) X(1, 13) X(1, 14) \
    X(14, 1) X(7, 2) X(4, 3) X(3, 4) X(2, 5) X(2, 6) X(2, 7)
#define GEMM_IN uint8_t
#define GEMM_WEIGHT int8_t
#define GEMM_BIAS int32_t
#define GEMM_OUT uint8_t
#define GEMM_STEP 4
#include "runtime/kernels/gemm_walk.def"
#endif
