// What the int8 kernels of AVX512-VNNI and AMX make of their sums: bytes, with the residual of a fused sum, or results of 32 bits.
#ifndef QN_VNNI_SUMS_H
#define QN_VNNI_SUMS_H
#include "runtime/kernels/binary_vnni.h"
#include "runtime/kernels/vnni_store.h"

// One copy for all tiles where tiles are functions.
#ifdef QN_INLINE_KERNELS
#define VNNI_SHARED QN_INLINE
#else
#define VNNI_SHARED static __attribute__((noinline, unused))
#endif

// 64 packed bytes, 4 / nv pixels that go `to` their places, with the residual.
VNNI_SHARED __m512i vnni_with_residual(const struct gemm *g, uint8_t *const to[4], __m512i bytes, int nv, int32_t columns) {
    const uint8_t *from[4];
    QN_UNROLL for (int i = 0; i < 4; i++) from[i] = g->residual + (to[i] - g->out);
    const __m512i residual = vnni_load_pixels(from, nv, columns);
    return g->add->fixed_shift ? binary_vnni_block(g->add, bytes, residual) : binary_avx512_block(g->add, bytes, residual);
}

// Four vectors of sums, of 4 / nv pixels, times their multipliers, and the residual, rounded together (families.def: `unrounded`).
// The minimum keeps the conversion in range; below, its INT32_MIN saturates as it must.
VNNI_SHARED void vnni_round_with_residual(const struct gemm *g, const __m512i acc[4], const __m512 *m, uint8_t *const to[4], int nv,
                                          int32_t columns, __m512i v[4]) {
    const __m512i zp = _mm512_set1_epi32(128 + g->add->b_zp);
    const __m512 scale = _mm512_set1_ps(g->add->b_multiplier);
    QN_UNROLL for (int i = 0; i < 4; i++) {
        const uint8_t *from = g->residual + (to[i / nv] - g->out) + i % nv * 16;
        const __m512i bytes = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(vnni_lanes(i % nv, columns), from));
        const __m512 b = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(bytes, zp)), scale);
        const __m512 y = _mm512_add_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(acc[i]), m[i % nv]), b);
        v[i] = _mm512_cvtps_epi32(_mm512_min_ps(y, _mm512_set1_ps(65536.0f)));
    }
}

// Results of 32 bits.
VNNI_SHARED void vnni_store_wide(const struct gemm *g, const __m512i acc[4], const __m512 *m, uint8_t *const to[4], unsigned stored,
                                 int nv, int32_t columns) {
    QN_UNROLL for (int i = 0; i < 4; i++) {
        if (!(stored >> (i / nv) & 1)) continue;
        const __m512i product = _mm512_castps_si512(_mm512_mul_ps(_mm512_cvtepi32_ps(acc[i]), m[i % nv]));
        _mm512_mask_storeu_epi32(to[i / nv] + i % nv * 64, vnni_lanes(i % nv, columns), g->form == GEMM_SUMS ? acc[i] : product);
    }
}

// Four vectors of sums, of 4 / nv pixels that go `to` their places, to what is stored. Pixel i is stored where bit i of `stored` is set;
// the others' places are places of the output as well. m: of nv vectors of channels.
QN_INLINE void vnni_store_sums(const struct gemm *g, const __m512i acc[4], const __m512 *m, uint8_t *const to[4], unsigned stored, int nv,
                               int32_t columns) {
    const struct gemm_quant quant = {g->zp, g->lo, g->hi, g->bounded};
    __m512i v[4];
    if (g->form >= GEMM_SUMS) {
        vnni_store_wide(g, acc, m, to, stored, nv, columns);
        return;
    }
    if (g->form == GEMM_UNROUNDED_ADD) vnni_round_with_residual(g, acc, m, to, nv, columns, v);
    else QN_UNROLL for (int i = 0; i < 4; i++) v[i] = vnni_scale(acc[i], m[i % nv], &quant);
    __m512i bytes = vnni_pack(v, &quant);
    if (g->add && g->form == GEMM_ROUNDED) bytes = vnni_with_residual(g, to, bytes, nv, columns);
    QN_UNROLL for (int i = 0; i < 4 / nv; i++)
        if (stored >> i & 1) vnni_store_part(to[i], bytes, i, nv, columns);
}
#endif
