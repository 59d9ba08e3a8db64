// The matrix tile of int8 convolutions and linear layers on AVX512-VNNI, in registers.
#ifndef QN_VNNI_H
#define QN_VNNI_H
#include "runtime/kernels/vnni_store.h"

QN_INLINE void vnni_tile_store(const struct gemm *g, const __m512i *acc, const float *multiplier, uint8_t *out, int tw,
                               int pixels, int nv, int32_t columns) {
    const struct vnni_quant quant = {g->zp, g->lo, g->hi, g->bounded};
    const int group = 4 / nv; // pixels that share a vector of packed bytes
    __m512 m[4];
    QN_UNROLL for (int j = 0; j < nv; j++) m[j] = _mm512_loadu_ps(multiplier + j * 16);
    QN_UNROLL for (int p = 0; p < pixels; p += group) {
        __m512i v[4];
        QN_UNROLL for (int i = 0; i < 4; i++)
            v[i] = p + i / nv < pixels ? vnni_scale(acc[p * nv + i], m[i % nv], &quant) : _mm512_setzero_si512();
        const __m512i bytes = vnni_pack(v, &quant);
        uint8_t *to[4];
        QN_UNROLL for (int i = 0; i < 4; i++) {
            const int at = i < group && p + i < pixels ? p + i : p;
            to[i] = out + at / tw * g->out_row + at % tw * g->out_column;
        }
        vnni_store_pixels(g, to, (1u << (pixels - p < group ? pixels - p : group)) - 1, bytes, nv, columns);
    }
}

// th x tw pixels times nv vectors of 16 channels; weight [run][step][nv * 16][4].
QN_INLINE void vnni_tile(const struct gemm *g, const uint8_t *in, const int8_t *weight, const int32_t *bias,
                         const float *multiplier, uint8_t *out, struct gemm_coming *coming, int th, int tw, int nv, int32_t columns) {
    __m512i acc[28];
    const int pixels = th * tw;
    struct gemm_coming next = *coming;
    QN_UNROLL for (int i = 0; i < pixels; i++)
        QN_UNROLL for (int j = 0; j < nv; j++) acc[i * nv + j] = vnni_start(bias + j * 16, g->bounded);
    QN_NO_UNROLL for (int y = 0; y < g->segments_h; y++)
        QN_NO_UNROLL for (int x = 0; x < g->segments_w; x++) {
            const uint8_t *run = in + y * g->segment_row + x * g->segment_column;
            QN_NO_UNROLL for (int k = 0; k < g->steps; k++, run += 4, weight += nv * 64) {
                __m512i b[2];
                QN_UNROLL for (int j = 0; j < nv; j++) b[j] = _mm512_loadu_si512(weight + j * 64);
                gemm_prefetch(g, weight, &next, nv, 64);
                QN_UNROLL for (int i = 0; i < pixels; i++) {
                    const __m512i v = vnni_broadcast(run + i / tw * g->in_row + i % tw * g->in_column);
                    QN_UNROLL for (int j = 0; j < nv; j++)
                        acc[i * nv + j] = _mm512_dpbusd_epi32(acc[i * nv + j], v, b[j]);
                }
            }
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
