// Winograd's convolution in int8 on AVX-512 without VNNI: register tiles of 14 tiles x 32 channels.
#ifndef QN_WINOGRAD_AVX512_H
#define QN_WINOGRAD_AVX512_H
#include "runtime/kernels/madd_avx512.h"
#include "runtime/kernels/winograd.h"

QN_INLINE __m512i winograd_avx512_pair(const int16_t *p) {
    int32_t pair;
    __builtin_memcpy(&pair, p, 4);
    return _mm512_set1_epi32(pair);
}

#define WINO(name) winograd_avx512_##name
#define WINO_LANES 16
#define WINO_TILES 14
#define WINO_SIZES(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#define WINO_VEC __m512i
#define WINO_ZERO _mm512_setzero_si512()
#define WINO_LOAD(p) _mm512_loadu_si512(p)
#define WINO_STORE(p, v) _mm512_storeu_si512(p, v)
#define WINO_WIDE(p) _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)(p)))
#define WINO_ADD16 _mm512_add_epi16
#define WINO_SUB16 _mm512_sub_epi16
#define WINO_ADD32 _mm512_add_epi32
#define WINO_SUB32 _mm512_sub_epi32
#define WINO_QUARTER(v) _mm512_srai_epi32(v, 2)
#define WINO_PIXEL winograd_avx512_pair
#define WINO_ACC(acc, x, w) _mm512_add_epi32(acc, _mm512_madd_epi16(x, w))
#define WINO_FINISH madd_avx512_store_sums
#include "runtime/kernels/winograd_madd.def"
#endif
