// What Winograd's convolutions (minimal filtering, Winograd, 1980; Lavin and Gray, 2015) share: 3x3 windows side by side, the image
// cut into tiles of `tile` x `tile` outputs, made from side x side inputs, side = tile + 2. Input and weights are transformed to
// side^2 numbers for each pair of channels, which are multiplied point by point, so each point is a matrix product of tiles and
// channels; the products' sums are transformed to outputs. `block` tiles are done at once: of them V [point][tile][depth] and, for a panel of output
// channels, M [point][tile][channel] lie in the scratch.
#ifndef QN_WINOGRAD_H
#define QN_WINOGRAD_H
#include "runtime/kernel.h"

// Wide enough for every instruction set: rooms don't depend on which is taken. Between points some bytes stand empty, so that
// points don't meet in one set of a cache.
enum { WINOGRAD_MAX_PANEL = 32, WINOGRAD_DEPTH_STEP = 32, WINOGRAD_GAP = 32, WINOGRAD_MAX_BLOCK = 512 };

QN_INLINE int32_t winograd_points(int32_t tile) { return (tile + 2) * (tile + 2); }
QN_INLINE int32_t winograd_depth(int32_t in_c) { return (in_c + WINOGRAD_DEPTH_STEP - 1) / WINOGRAD_DEPTH_STEP * WINOGRAD_DEPTH_STEP; }
// Elements from one point to the next: of V, of M. Tiles are computed in even numbers.
QN_INLINE int32_t winograd_v_step(int32_t block, int32_t in_c) { return (block + 1) / 2 * 2 * winograd_depth(in_c) + WINOGRAD_GAP; }
QN_INLINE int32_t winograd_m_step(int32_t block, int32_t panel) { return (block + 1) / 2 * 2 * panel + WINOGRAD_GAP; }
// elem_bytes: of V, 2 in int8 and 4 in f32.
QN_INLINE int64_t winograd_scratch_bytes(int32_t tile, int32_t block, int32_t in_c, int32_t elem_bytes) {
    const int64_t v = (int64_t)winograd_v_step(block, in_c) * elem_bytes, m = (int64_t)winograd_m_step(block, WINOGRAD_MAX_PANEL) * 4;
    return winograd_points(tile) * (v + m);
}
// Rows and columns of tiles.
QN_INLINE int32_t winograd_tiles(int32_t outputs, int32_t tile) { return (outputs + tile - 1) / tile; }

// The convolutions, whose fields begin alike.
QN_INLINE struct qn_conv2d_args winograd_conv2d_of(const struct qn_winograd_args *a) {
    struct qn_conv2d_args conv;
    __builtin_memcpy(&conv, a, sizeof conv);
    return conv;
}
QN_INLINE struct qn_conv2d_add_args winograd_add_conv2d_of(const struct qn_winograd_add_args *a) {
    struct qn_conv2d_add_args conv;
    __builtin_memcpy(&conv, a, sizeof conv);
    return conv;
}

// The first row of outputs of a row of tiles.
QN_INLINE int32_t winograd_first_row(int32_t out_h, int32_t tile, int32_t row) {
    const int32_t rows = winograd_tiles(out_h, tile);
    return row / rows * out_h + row % rows * tile;
}

// One copy of register tiles where tiles are functions.
#ifdef QN_INLINE_KERNELS
#define WINO_SHARED QN_INLINE
#else
#define WINO_SHARED static __attribute__((noinline, unused))
#endif
#endif
