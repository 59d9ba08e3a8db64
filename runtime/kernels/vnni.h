// What the int8 kernels of AVX512-VNNI share: requantization of a register tile, and the matrix tile of convolutions and
// linear layers. Activations are stored unsigned (signed XOR 0x80), weights signed; the weights' packing has folded
// (128 + zero point) * sum of weights into the bias. Results are those of rounding.h to the bit.
#ifndef QN_VNNI_H
#define QN_VNNI_H
#include <immintrin.h>

#include "runtime/kernels/gemm.h"

// How accumulators become stored bytes. `lo`, `hi`: the clamp in stored (unsigned) bytes.
struct vnni_quant { int32_t zp, lo, hi, bounded; };

QN_INLINE __m512i vnni_broadcast(const uint8_t *p) {
    int32_t word;
    __builtin_memcpy(&word, p, 4);
    return _mm512_set1_epi32(word);
}

// What accumulators start from: the bias, where `bounded` is 2 (families.def) with the bits of 2^23 added.
enum { VNNI_SHIFT = 0x4B000000 };
QN_INLINE __m512i vnni_start(const int32_t *bias, int32_t bounded) {
    const __m512i b = _mm512_loadu_si512(bias);
    return bounded == 2 ? _mm512_add_epi32(b, _mm512_set1_epi32(VNNI_SHIFT)) : b;
}

// rne(acc * m). The conversion gives INT32_MIN for what does not fit, which is wrong only above: hence the minimum,
// where the products are not known to be small.
QN_INLINE __m512i vnni_scale(__m512i acc, __m512 m, const struct vnni_quant *q) {
    if (q->bounded == 2) {
        const __m512 shift = _mm512_mul_ps(m, _mm512_set1_ps(-8388608.0f));
        return _mm512_cvtps_epi32(_mm512_fmadd_ps(_mm512_castsi512_ps(acc), m, shift));
    }
    __m512 y = _mm512_mul_ps(_mm512_cvtepi32_ps(acc), m);
    if (!q->bounded) y = _mm512_min_ps(y, _mm512_set1_ps(65536.0f));
    return _mm512_cvtps_epi32(y);
}

// Four rounded vectors to bytes: within each 128-bit lane, 4 bytes of each. The saturating additions and packs cut
// off exactly what the clamp would.
QN_INLINE __m512i vnni_pack_lanes(const __m512i v[4], const struct vnni_quant *q) {
    __m512i zp = _mm512_set1_epi16((int16_t)q->zp);
    __m512i low = _mm512_adds_epi16(_mm512_packs_epi32(v[0], v[1]), zp);
    __m512i high = _mm512_adds_epi16(_mm512_packs_epi32(v[2], v[3]), zp);
    __m512i bytes = _mm512_packus_epi16(low, high);
    if (q->lo > 0) bytes = _mm512_max_epu8(bytes, _mm512_set1_epi8((char)q->lo));
    if (q->hi < 255) bytes = _mm512_min_epu8(bytes, _mm512_set1_epi8((char)q->hi));
    return bytes;
}

// The same with the bytes in order: 16 of v[0], 16 of v[1], ...
QN_INLINE __m512i vnni_pack(const __m512i v[4], const struct vnni_quant *q) {
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_permutexvar_epi32(order, vnni_pack_lanes(v, q));
}

// Stores the first `columns` bytes of a vector.
QN_INLINE void vnni_store_64(uint8_t *out, __m512i bytes, int32_t columns) {
    if (columns >= 64) _mm512_storeu_si512(out, bytes);
    else _mm512_mask_storeu_epi8(out, ((uint64_t)1 << columns) - 1, bytes);
}
QN_INLINE void vnni_store_32(uint8_t *out, __m256i bytes, int32_t columns) {
    if (columns >= 32) _mm256_storeu_si256((__m256i *)out, bytes);
    else _mm256_mask_storeu_epi8(out, ((uint32_t)1 << columns) - 1, bytes);
}
QN_INLINE void vnni_store_16(uint8_t *out, __m128i bytes, int32_t columns) {
    if (columns >= 16) _mm_storeu_si128((__m128i *)out, bytes);
    else _mm_mask_storeu_epi8(out, (__mmask16)((1u << columns) - 1), bytes);
}

// Part `i` of 64 packed bytes, to the place of one pixel: with 64 / (16 nv) pixels a vector.
QN_INLINE void vnni_store_part(uint8_t *out, __m512i bytes, int i, int nv, int32_t columns) {
    if (nv == 4) vnni_store_64(out, bytes, columns);
    else if (nv == 2 && i == 0) vnni_store_32(out, _mm512_castsi512_si256(bytes), columns);
    else if (nv == 2) vnni_store_32(out, _mm512_extracti64x4_epi64(bytes, 1), columns);
    else if (i == 0) vnni_store_16(out, _mm512_castsi512_si128(bytes), columns);
    else if (i == 1) vnni_store_16(out, _mm512_extracti32x4_epi32(bytes, 1), columns);
    else if (i == 2) vnni_store_16(out, _mm512_extracti32x4_epi32(bytes, 2), columns);
    else vnni_store_16(out, _mm512_extracti32x4_epi32(bytes, 3), columns);
}

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
        QN_UNROLL for (int i = 0; i < group; i++)
            if (p + i < pixels)
                vnni_store_part(out + (p + i) / tw * g->out_row + (p + i) % tw * g->out_column, bytes, i, nv, columns);
    }
}

// th x tw pixels times nv vectors of 16 channels; weight [run][step][nv * 16][4].
QN_INLINE void vnni_tile(const struct gemm *g, const uint8_t *in, const int8_t *weight, const int32_t *bias,
                         const float *multiplier, uint8_t *out, int64_t ahead, int th, int tw, int nv, int32_t columns) {
    __m512i acc[28];
    const int pixels = th * tw;
    QN_UNROLL for (int i = 0; i < pixels; i++)
        QN_UNROLL for (int j = 0; j < nv; j++) acc[i * nv + j] = vnni_start(bias + j * 16, g->bounded);
    QN_NO_UNROLL for (int y = 0; y < g->segments_h; y++)
        QN_NO_UNROLL for (int x = 0; x < g->segments_w; x++) {
            const uint8_t *run = in + y * g->segment_row + x * g->segment_column;
            QN_NO_UNROLL for (int k = 0; k < g->steps; k++, run += 4, weight += nv * 64) {
                __m512i b[2];
                QN_UNROLL for (int j = 0; j < nv; j++) {
                    b[j] = _mm512_loadu_si512(weight + j * 64);
                    gemm_prefetch(g, weight + j * 64, ahead, nv, 64);
                }
                QN_UNROLL for (int i = 0; i < pixels; i++) {
                    const __m512i v = vnni_broadcast(run + i / tw * g->in_row + i % tw * g->in_column);
                    QN_UNROLL for (int j = 0; j < nv; j++)
                        acc[i * nv + j] = _mm512_dpbusd_epi32(acc[i * nv + j], v, b[j]);
                }
            }
        }
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
