// Winograd's convolution in int8 on AVX2: register tiles of 6 tiles x 16 channels.
#ifndef QN_WINOGRAD_AVX2_H
#define QN_WINOGRAD_AVX2_H
#include "runtime/kernels/madd_avx2.h"
#include "runtime/kernels/winograd.h"

QN_INLINE __m256i winograd_avx2_pair(const int16_t *p) {
    int32_t pair;
    __builtin_memcpy(&pair, p, 4);
    return _mm256_set1_epi32(pair);
}

QN_INLINE void winograd_avx2_finish(const struct gemm *g, const __m256i *sums, const float *multiplier, uint8_t *out, int pixels, int tw,
                                    int32_t columns) {
    __m256i ordered[4];
    QN_UNROLL for (int i = 0; i < pixels; i++) ordered[i] = madd_avx2_order(sums[i]);
    madd_avx2_store_sums(g, ordered, multiplier, out, pixels, tw, columns);
}

#define WINO(name) winograd_avx2_##name
#define WINO_LANES 8
#define WINO_TILES 6
#define WINO_SIZES(X) X(1) X(2) X(3) X(4) X(5) X(6)
#define WINO_VEC __m256i
#define WINO_ZERO _mm256_setzero_si256()
#define WINO_LOAD(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define WINO_STORE(p, v) _mm256_storeu_si256((__m256i *)(void *)(p), v)
#define WINO_WIDE(p) _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(p)))
#define WINO_ADD16 _mm256_add_epi16
#define WINO_SUB16 _mm256_sub_epi16
#define WINO_ADD32 _mm256_add_epi32
#define WINO_SUB32 _mm256_sub_epi32
#define WINO_QUARTER(v) _mm256_srai_epi32(v, 2)
#define WINO_PIXEL winograd_avx2_pair
#define WINO_ACC(acc, x, w) _mm256_add_epi32(acc, _mm256_madd_epi16(x, w))
#define WINO_FINISH winograd_avx2_finish
#include "runtime/kernels/winograd_madd.def"
#endif
