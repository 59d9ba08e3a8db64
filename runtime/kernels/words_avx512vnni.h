// Products of 16-bit activations and 8-bit weights on AVX512-VNNI: those of madd_avx512.h and words_avx512.h, whose products and sums are one
// instruction here.
#ifndef QN_WORDS_AVX512VNNI_H
#define QN_WORDS_AVX512VNNI_H
#include "runtime/kernels/words_avx512.h"

#define MADD(name) words_vnni_##name
#define MADD_VEC __m512i
#define MADD_LANES 16
#define MADD_PIXELS 14
#define MADD_SHAPES(X)                                                                                                \
    X(1, 1) X(1, 2) X(1, 3) X(1, 4) X(1, 5) X(1, 6) X(1, 7) X(1, 8) X(1, 9) X(1, 10) X(1, 11) X(1, 12) X(1, 13) X(1, 14) \
    X(14, 1) X(7, 2) X(4, 3) X(3, 4) X(2, 5) X(2, 6) X(2, 7)
#define MADD_START(bias) _mm512_cvtepu32_epi64(_mm256_loadu_si256((const __m256i *)(bias)))
#define MADD_PIXEL madd_avx512_pixel
#define MADD_WEIGHT(p) _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(p)))
#define MADD_ACC(acc, x, w) _mm512_dpwssd_epi32(acc, x, w)
#define MADD_WIDEN(to, p) _mm256_storeu_si256((__m256i *)(to), _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(p))))
#define words_vnni_store madd_avx512_store
#include "runtime/kernels/madd.def"
#undef MADD
#undef MADD_VEC
#undef MADD_LANES
#undef MADD_PIXELS
#undef MADD_SHAPES
#undef MADD_START
#undef MADD_PIXEL
#undef MADD_WEIGHT
#undef MADD_ACC
#undef MADD_WIDEN

#define DEPTHWISE(name) words_vnni_depthwise_##name
#define DEPTHWISE_LANES 16
#define DEPTHWISE_PIXELS 4
#define DEPTHWISE_VEC __m512i
#define DEPTHWISE_IN int16_t
#define DEPTHWISE_OUT int16_t
#define DEPTHWISE_CONSTANT int32_t
#define DEPTHWISE_LOAD(p) _mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i *)(p)))
#define DEPTHWISE_WEIGHT(p) _mm512_loadu_si512(p)
#define DEPTHWISE_ACC(x, w, acc) _mm512_dpwssd_epi32(acc, x, w)
#define DEPTHWISE_STORE(d, acc, m, out, count) words_avx512_store((d)->zp, (d)->lo, (d)->hi, acc, m, out, count)
#include "runtime/kernels/depthwise_lanes.def"
#endif
