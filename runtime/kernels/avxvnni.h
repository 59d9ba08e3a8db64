// int8 convolutions and linear layers on AVX-VNNI, byte dot products of 32 bytes: register tiles of 6 pixels x 16 channels. Activations
// are stored unsigned, weights packed as `vnni32`. Results are those of rounding.h to the bit.
#ifndef QN_AVXVNNI_H
#define QN_AVXVNNI_H
#include <immintrin.h>

#include "runtime/kernels/madd_avx2.h"

enum { AVXVNNI_PIXELS = 6 };

// Four bytes, repeated.
QN_INLINE __m256i avxvnni_pixel(const uint8_t *p) {
    int32_t word;
    __builtin_memcpy(&word, p, 4);
    return _mm256_set1_epi32(word);
}

// ---- from sums to what is stored: 16 channels of a pixel in two vectors

// rne(acc * m), with the residual where there is one: that of what is stored at `out`.
QN_INLINE __m256i avxvnni_round(const struct gemm *g, __m256i acc, __m256 m, const uint8_t *out, int32_t columns) {
    const struct qn_binary_args *add = g->add;
    if (!add) return madd_avx2_round(acc, m, g->bounded);
    const int64_t bytes = columns > 0 ? madd_avx2_load_8(g->residual + (out - g->out), columns) : 0;
    const __m256i r = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(bytes));
    const __m256 b = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(r, _mm256_set1_epi32(128 + add->b_zp))), _mm256_set1_ps(add->b_multiplier));
    const __m256 y = _mm256_add_ps(_mm256_mul_ps(_mm256_cvtepi32_ps(acc), m), b);
    return _mm256_cvtps_epi32(_mm256_min_ps(y, _mm256_set1_ps(65536.0f)));
}

// Two pixels as bytes, each in its half. The saturating additions and packs cut off exactly what the clamp would.
QN_INLINE __m256i avxvnni_pack(const __m256i v[4], const struct gemm_quant *q) {
    const __m256i zp = _mm256_set1_epi16((int16_t)q->zp);
    const __m256i low = _mm256_adds_epi16(_mm256_packs_epi32(v[0], v[1]), zp), high = _mm256_adds_epi16(_mm256_packs_epi32(v[2], v[3]), zp);
    __m256i bytes = _mm256_packus_epi16(low, high);
    if (q->lo > 0) bytes = _mm256_max_epu8(bytes, _mm256_set1_epi8((char)q->lo));
    if (q->hi < 255) bytes = _mm256_min_epu8(bytes, _mm256_set1_epi8((char)q->hi));
    const __m128i first = _mm256_castsi256_si128(bytes), second = _mm256_extracti128_si256(bytes, 1);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_unpacklo_epi32(first, second)), _mm_unpackhi_epi32(first, second), 1);
}

QN_INLINE void avxvnni_store_bytes(const struct gemm *g, const __m256i *acc, const __m256 *m, uint8_t *out, int pixels, int tw, int32_t columns) {
    const struct gemm_quant quant = gemm_quant_of(g);
    QN_UNROLL for (int p = 0; p < pixels; p += 2) {
        __m256i v[4];
        QN_UNROLL for (int i = 0; i < 4; i++) {
            const int at = p + i / 2 < pixels ? p + i / 2 : p;
            if (i > 1 && at == p) v[i] = v[i - 2];
            else v[i] = avxvnni_round(g, acc[2 * at + i % 2], m[i % 2], out + madd_avx2_place(g, at, tw) + i % 2 * 8, columns - i % 2 * 8);
        }
        const __m256i bytes = avxvnni_pack(v, &quant);
        madd_avx2_store_16(out + madd_avx2_place(g, p, tw), _mm256_castsi256_si128(bytes), columns);
        if (p + 1 < pixels) madd_avx2_store_16(out + madd_avx2_place(g, p + 1, tw), _mm256_extracti128_si256(bytes, 1), columns);
    }
}

// Results of 32 bits.
QN_INLINE void avxvnni_store_wide(const struct gemm *g, const __m256i *acc, const __m256 *m, uint8_t *out, int pixels, int tw, int32_t columns) {
    QN_UNROLL for (int i = 0; i < 2 * pixels; i++) {
        const __m256i floats = _mm256_castps_si256(_mm256_mul_ps(_mm256_cvtepi32_ps(acc[i]), m[i % 2]));
        const __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(columns - i % 2 * 8), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
        _mm256_maskstore_epi32((int *)(void *)(out + madd_avx2_place(g, i / 2, tw) + i % 2 * 32), mask, g->form == GEMM_SUMS ? acc[i] : floats);
    }
}

// ---- tiles

// A run of depth for `blocks` times 16 channels. Returns the weights behind.
QN_INLINE const int8_t *avxvnni_steps(const struct gemm *g, __m256i *acc, const uint8_t *run, const int8_t *w, int pixels, int tw, int nv, int blocks) {
    QN_NO_UNROLL for (int32_t k = 0; k < g->steps; k++, run += 4, w += nv * 64)
        QN_UNROLL for (int b = 0; b < blocks; b++) {
            const __m256i w0 = _mm256_loadu_si256((const __m256i *)(w + b * 64)), w1 = _mm256_loadu_si256((const __m256i *)(w + b * 64 + 32));
            QN_UNROLL for (int i = 0; i < pixels; i++) {
                const __m256i x = avxvnni_pixel(run + i / tw * g->in_row + i % tw * g->in_column);
                __m256i *to = acc + 2 * (b * pixels + i);
                to[0] = _mm256_dpbusd_avx_epi32(to[0], x, w0), to[1] = _mm256_dpbusd_avx_epi32(to[1], x, w1);
            }
        }
    return w;
}

// th x tw pixels times nv times 16 channels, both at once where there are registers for them. Taps in padding are not left out.
QN_INLINE void avxvnni_tile(const struct gemm *g, const uint8_t *in, const int8_t *weight, const int32_t *bias, const float *multiplier,
                            uint8_t *out, struct gemm_coming *coming, int32_t y_out, int th, int tw, int nv, unsigned edges, int32_t columns) {
    const int pixels = th * tw, blocks = nv == 2 && 2 * pixels <= AVXVNNI_PIXELS ? 2 : 1;
    (void)coming, (void)y_out, (void)edges;
    QN_NO_UNROLL for (int32_t c = 0; c < columns; c += blocks * 16) {
        __m256i acc[2 * AVXVNNI_PIXELS];
        const int8_t *w = weight + c * 4;
        QN_UNROLL for (int i = 0; i < 2 * blocks * pixels; i++)
            acc[i] = _mm256_loadu_si256((const __m256i *)(bias + c + i / (2 * pixels) * 16 + i % 2 * 8));
        QN_NO_UNROLL for (int ky = 0; ky < g->segments_h; ky++)
            QN_NO_UNROLL for (int kx = 0; kx < g->segments_w; kx++)
                w = avxvnni_steps(g, acc, in + ky * g->segment_row + kx * g->segment_column, w, pixels, tw, nv, blocks);
        QN_UNROLL for (int b = 0; b < blocks; b++) {
            const int32_t from = c + b * 16;
            if (from >= columns) continue;
            const __m256 m[2] = {_mm256_loadu_ps(multiplier + from), _mm256_loadu_ps(multiplier + from + 8)};
            uint8_t *to = out + from * g->out_step;
            if (g->form >= GEMM_SUMS) avxvnni_store_wide(g, acc + 2 * b * pixels, m, to, pixels, tw, columns - from);
            else avxvnni_store_bytes(g, acc + 2 * b * pixels, m, to, pixels, tw, columns - from);
        }
    }
}

#define GEMM(name) avxvnni_##name
#define GEMM_PIXELS AVXVNNI_PIXELS
#define GEMM_LANES 16
#define GEMM_SHAPES(X) X(1, 1) X(1, 2) X(1, 3) X(1, 4) X(1, 5) X(1, 6) X(6, 1) X(3, 2) X(2, 3)
#define GEMM_IN uint8_t
#define GEMM_WEIGHT int8_t
#define GEMM_BIAS int32_t
#define GEMM_OUT uint8_t
#define GEMM_STEP 4
#include "runtime/kernels/gemm_walk.def"
#endif
