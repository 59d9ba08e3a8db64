// Depthwise convolutions of 16-bit activations on AVX2, in vectors of 8 channels. A lane holds an activation with its sign above it, and
// a weight with nothing above it: pairs of products are one product.
#ifndef QN_WORDS_AVX2_H
#define QN_WORDS_AVX2_H
#include "runtime/kernels/madd_avx2.h"

QN_INLINE void words_avx2_store(int32_t zp, int32_t lo, int32_t hi, __m256i sums, const float *m, int16_t *out, int32_t count) {
    if (count > 0) madd_avx2_store_16((uint8_t *)out, madd_avx2_words(sums, _mm256_loadu_ps(m), zp, lo, hi), 2 * count);
}

#define DEPTHWISE(name) words_avx2_depthwise_##name
#define DEPTHWISE_LANES 8
#define DEPTHWISE_PIXELS 4
#define DEPTHWISE_VEC __m256i
#define DEPTHWISE_IN int16_t
#define DEPTHWISE_OUT int16_t
#define DEPTHWISE_CONSTANT int32_t
#define DEPTHWISE_LOAD(p) _mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)(p)))
#define DEPTHWISE_WEIGHT(p) _mm256_loadu_si256((const __m256i *)(p))
#define DEPTHWISE_ACC(x, w, acc) _mm256_add_epi32(acc, _mm256_madd_epi16(x, w))
#define DEPTHWISE_STORE(d, acc, m, out, count) words_avx2_store((d)->zp, (d)->lo, (d)->hi, acc, m, out, count)
#include "runtime/kernels/depthwise_lanes.def"
#endif
