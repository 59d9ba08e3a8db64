// What the int8 kernels of AVX512-VNNI share: requantization of a register tile, and the matrix tile of convolutions and
// linear layers. Activations are stored unsigned (signed XOR 0x80), weights signed; the weights' packing has folded
// (128 + zero point) * sum of weights into the bias. Results are those of rounding.h to the bit.
#ifndef QN_VNNI_H
#define QN_VNNI_H
#include <immintrin.h>

#include "runtime/kernel.h"

// How accumulators become stored bytes. `lo`, `hi`: the clamp in stored (unsigned) bytes.
struct vnni_quant { int32_t zp, lo, hi, bounded; };
#define VNNI_QUANT(a) {(a)->out_zp + 128, (a)->lo + 128, (a)->hi + 128, (a)->bounded}

QN_INLINE __m512i vnni_broadcast(const uint8_t *p) {
    int32_t word;
    __builtin_memcpy(&word, p, 4);
    return _mm512_set1_epi32(word);
}

// rne(acc * m). The conversion gives INT32_MIN for what does not fit, which is wrong only above: hence the minimum,
// where the products are not known to be small.
QN_INLINE __m512i vnni_scale(__m512i acc, __m512 m, const struct vnni_quant *q) {
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
    else if (nv == 2) vnni_store_32(out, i ? _mm512_extracti64x4_epi64(bytes, 1) : _mm512_castsi512_si256(bytes), columns);
    else if (i == 0) vnni_store_16(out, _mm512_castsi512_si128(bytes), columns);
    else if (i == 1) vnni_store_16(out, _mm512_extracti32x4_epi32(bytes, 1), columns);
    else if (i == 2) vnni_store_16(out, _mm512_extracti32x4_epi32(bytes, 2), columns);
    else vnni_store_16(out, _mm512_extracti32x4_epi32(bytes, 3), columns);
}

// A product over windows of pixels. The window of a pixel is segments_h x segments_w runs of `steps` times 4 bytes,
// segment_row and segment_column bytes apart (what the last word of a run holds past its end meets zero weights).
// Pixels are in_row, in_column bytes apart, their outputs out_row, out_column.
struct vnni_gemm {
    int32_t segments_h, segments_w, steps;
    int64_t segment_row, segment_column, in_row, in_column, out_row, out_column;
    struct vnni_quant quant;
};

// The largest tile: VNNI_PIXELS pixels x 2 vectors of 16 channels.
#define VNNI_PIXELS 14
#define VNNI_PANEL 32

QN_INLINE void vnni_tile_store(const struct vnni_gemm *g, const __m512i *acc, const float *multiplier, uint8_t *out,
                               int th, int tw, int nv, int32_t columns) {
    const int pixels = th * tw, group = 4 / nv;
    __m512 m[4];
    QN_UNROLL for (int j = 0; j < nv; j++) m[j] = _mm512_loadu_ps(multiplier + j * 16);
    QN_UNROLL for (int p = 0; p < pixels; p += group) {
        __m512i v[4];
        QN_UNROLL for (int i = 0; i < 4; i++)
            v[i] = p + i / nv < pixels ? vnni_scale(acc[p * nv + i], m[i % nv], &g->quant) : _mm512_setzero_si512();
        __m512i bytes = vnni_pack(v, &g->quant);
        QN_UNROLL for (int i = 0; i < group; i++)
            if (p + i < pixels)
                vnni_store_part(out + (p + i) / tw * g->out_row + (p + i) % tw * g->out_column, bytes, i, nv, columns);
    }
}

// th x tw pixels times nv vectors of 16 channels; weight [segment][step][nv * 16][4].
QN_INLINE void vnni_tile(const struct vnni_gemm *g, const uint8_t *in, const int8_t *weight, const int32_t *bias,
                         const float *multiplier, uint8_t *out, int th, int tw, int nv, int32_t columns) {
    __m512i acc[VNNI_PIXELS * 2];
    const int pixels = th * tw;
    QN_UNROLL for (int i = 0; i < pixels; i++)
        QN_UNROLL for (int j = 0; j < nv; j++) acc[i * nv + j] = _mm512_loadu_si512(bias + j * 16);
    QN_NO_UNROLL for (int y = 0; y < g->segments_h; y++)
        QN_NO_UNROLL for (int x = 0; x < g->segments_w; x++) {
            const uint8_t *run = in + y * g->segment_row + x * g->segment_column;
            QN_NO_UNROLL for (int k = 0; k < g->steps; k++) {
                __m512i b[4];
                QN_UNROLL for (int j = 0; j < nv; j++) b[j] = _mm512_loadu_si512(weight + j * 64);
                weight += nv * 64;
                QN_UNROLL for (int i = 0; i < pixels; i++) {
                    __m512i v = vnni_broadcast(run + i / tw * g->in_row + i % tw * g->in_column);
                    QN_UNROLL for (int j = 0; j < nv; j++) acc[i * nv + j] = _mm512_dpbusd_epi32(acc[i * nv + j], v, b[j]);
                }
                run += 4;
            }
        }
    vnni_tile_store(g, acc, multiplier, out, th, tw, nv, columns);
}

// The shapes of tiles that vnni_rows asks for: 1 x 1 .. 14, and 14 / w rows of w <= 7 pixels.
#define VNNI_SHAPES(X) \
    X(1, 1) X(1, 2) X(1, 3) X(1, 4) X(1, 5) X(1, 6) X(1, 7) X(1, 8) X(1, 9) X(1, 10) X(1, 11) X(1, 12) X(1, 13) \
    X(1, 14) X(14, 1) X(7, 2) X(4, 3) X(3, 4) X(2, 5) X(2, 6) X(2, 7)

#ifdef QN_INLINE_KERNELS
// Sizes are constants here, once this is inlined.
QN_INLINE void vnni_tile_any(const struct vnni_gemm *g, const uint8_t *in, const int8_t *weight, const int32_t *bias,
                             const float *multiplier, uint8_t *out, int th, int tw, int nv, int32_t columns) {
    vnni_tile(g, in, weight, bias, multiplier, out, th, tw, nv, columns);
}
#else
static void vnni_tile_any(const struct vnni_gemm *g, const uint8_t *in, const int8_t *weight, const int32_t *bias,
                          const float *multiplier, uint8_t *out, int th, int tw, int nv, int32_t columns) {
    switch (th * 256 + tw * 16 + nv) {
#define VNNI_CASE(h, w)                                                                                     \
    case h * 256 + w * 16 + 1: vnni_tile(g, in, weight, bias, multiplier, out, h, w, 1, columns); break;    \
    case h * 256 + w * 16 + 2: vnni_tile(g, in, weight, bias, multiplier, out, h, w, 2, columns); break;
        VNNI_SHAPES(VNNI_CASE)
#undef VNNI_CASE
    }
}
#endif

// One row of tiles: `width` pixels are split evenly, into tiles of n and n - 1 pixels.
QN_INLINE void vnni_row(const struct vnni_gemm *g, const uint8_t *in, const int8_t *weight, const int32_t *bias,
                        const float *multiplier, uint8_t *out, int32_t width, int th, int nv, int32_t columns) {
    const int32_t tiles = (width + VNNI_PIXELS - 1) / VNNI_PIXELS, size = width / tiles, larger = width % tiles;
    QN_NO_UNROLL for (int32_t i = 0; i < larger; i++) {
        vnni_tile_any(g, in, weight, bias, multiplier, out, th, size + 1, nv, columns);
        in += (size + 1) * g->in_column;
        out += (size + 1) * g->out_column;
    }
    QN_NO_UNROLL for (int32_t i = larger; i < tiles; i++) {
        vnni_tile_any(g, in, weight, bias, multiplier, out, th, size, nv, columns);
        in += size * g->in_column;
        out += size * g->out_column;
    }
}

// `rows` rows of `width` pixels, for one panel of nv * 16 channels. Narrow rows are taken several at a time.
QN_INLINE void vnni_rows(const struct vnni_gemm *g, const uint8_t *in, const int8_t *weight, const int32_t *bias,
                         const float *multiplier, uint8_t *out, int32_t rows, int32_t width, int nv, int32_t columns) {
    const int th = width <= VNNI_PIXELS / 2 ? VNNI_PIXELS / width : 1;
    int32_t y = 0;
    QN_NO_UNROLL for (; y + th <= rows; y += th)
        vnni_row(g, in + y * g->in_row, weight, bias, multiplier, out + y * g->out_row, width, th, nv, columns);
    if (th == 1) return;
    QN_NO_UNROLL for (; y < rows; y++)
        vnni_row(g, in + y * g->in_row, weight, bias, multiplier, out + y * g->out_row, width, 1, nv, columns);
}

// All panels: out_c channels in panels of VNNI_PANEL, the last one of 16 where that holds the rest.
QN_INLINE void vnni_panels(const struct vnni_gemm *g, const uint8_t *in, const int8_t *weight, const int32_t *bias,
                           const float *multiplier, uint8_t *out, int32_t rows, int32_t width, int32_t out_c) {
    const int64_t steps = (int64_t)g->segments_h * g->segments_w * g->steps;
    int32_t c = 0;
    QN_NO_UNROLL for (; c + VNNI_PANEL <= out_c; c += VNNI_PANEL)
        vnni_rows(g, in, weight + c * steps * 4, bias + c, multiplier + c, out + c, rows, width, 2, VNNI_PANEL);
    const int32_t rest = out_c % VNNI_PANEL;
    if (rest)
        vnni_rows(g, in, weight + c * steps * 4, bias + c, multiplier + c, out + c, rows, width, (rest + 15) / 16, rest);
}
#endif
