// Winograd's convolution in int8 on any x86-64 (SSE2): register tiles of 6 tiles x 8 channels.
#ifndef QN_WINOGRAD_SSE2_H
#define QN_WINOGRAD_SSE2_H
#include "runtime/kernels/madd_sse2.h"
#include "runtime/kernels/winograd.h"

QN_INLINE __m128i winograd_sse2_pair(const int16_t *p) {
    int32_t pair;
    __builtin_memcpy(&pair, p, 4);
    return _mm_set1_epi32(pair);
}

#define WINO(name) winograd_sse2_##name
#define WINO_LANES 4
#define WINO_TILES 6
#define WINO_SIZES(X) X(1) X(2) X(3) X(4) X(5) X(6)
#define WINO_VEC __m128i
#define WINO_ZERO _mm_setzero_si128()
#define WINO_LOAD(p) _mm_loadu_si128((const __m128i *)(const void *)(p))
#define WINO_STORE(p, v) _mm_storeu_si128((__m128i *)(void *)(p), v)
#define WINO_WIDE(p) madd_sse2_unsigned(p)
#define WINO_ADD16 _mm_add_epi16
#define WINO_SUB16 _mm_sub_epi16
#define WINO_ADD32 _mm_add_epi32
#define WINO_SUB32 _mm_sub_epi32
#define WINO_QUARTER(v) _mm_srai_epi32(v, 2)
#define WINO_PIXEL winograd_sse2_pair
#define WINO_ACC(acc, x, w) _mm_add_epi32(acc, _mm_madd_epi16(x, w))
#define WINO_FINISH madd_sse2_store_sums
#include "runtime/kernels/winograd_madd.def"
#endif
