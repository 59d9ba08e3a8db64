// int8 fully connected layers for AVX512-VNNI: the same register tile and packing as convolutions (vnni.h); the rows of
// `a` are its pixels.
#include "runtime/kernels/vnni.h"

// Rows [begin, end) against one panel of nv * 16 channels, `tile` at a time.
QN_INLINE void linear_vnni_panel(const struct vnni_gemm *g, const uint8_t *in, const int8_t *weight, const int32_t *bias,
                                 const float *m, uint8_t *out, int32_t begin, int32_t end, int tile, int nv,
                                 int32_t columns) {
    int32_t row = begin;
    QN_NO_UNROLL for (; row + tile <= end; row += tile)
        vnni_tile_any(g, in + row * g->in_column, weight, bias, m, out + row * g->out_column, 1, tile, nv, columns);
    if (tile == 1) return;
    QN_NO_UNROLL for (; row < end; row++)
        vnni_tile_any(g, in + row * g->in_column, weight, bias, m, out + row * g->out_column, 1, 1, nv, columns);
}

QN_KERNEL qn_linear_s8s8_s8__14x32c4__avx512vnni(const struct qn_linear_args *a, const void *input, const void *weight,
                                                 const void *bias, const void *multiplier, void *output, int32_t begin,
                                                 int32_t end) {
    const struct vnni_gemm g = {
        .segments_h = 1, .segments_w = 1, .steps = (a->k + 3) / 4,
        .in_column = a->a_row, .out_column = a->out_row, .quant = VNNI_QUANT(a),
    };
    const int32_t tiles = (a->rows + VNNI_PIXELS - 1) / VNNI_PIXELS, tile = (a->rows + tiles - 1) / tiles;
    const int32_t rest = a->n % VNNI_PANEL, full = a->n - rest;
    QN_NO_UNROLL for (int32_t c = 0; c < full; c += VNNI_PANEL)
        linear_vnni_panel(&g, input, (const int8_t *)weight + (int64_t)c * g.steps * 4, (const int32_t *)bias + c,
                          (const float *)multiplier + c, (uint8_t *)output + c, begin, end, tile, 2, VNNI_PANEL);
    if (rest)
        linear_vnni_panel(&g, input, (const int8_t *)weight + (int64_t)full * g.steps * 4, (const int32_t *)bias + full,
                          (const float *)multiplier + full, (uint8_t *)output + full, begin, end, tile,
                          (rest + 15) / 16, rest);
}
