// Depthwise convolutions of 16-bit activations on any x86-64 (SSE2), in vectors of 4 channels. A lane holds an activation with its sign above it, and
// a weight with nothing above it: pairs of products are one product.
#ifndef QN_WORDS_SSE2_H
#define QN_WORDS_SSE2_H
#include "runtime/kernels/madd_sse2.h"

QN_INLINE __m128i words_sse2_load(const int16_t *p) {
    const __m128i words = _mm_loadl_epi64((const __m128i *)p);
    return _mm_srai_epi32(_mm_unpacklo_epi16(words, words), 16);
}
QN_INLINE void words_sse2_store(int32_t zp, int32_t lo, int32_t hi, __m128i sums, const float *m, int16_t *out, int32_t count) {
    if (count > 0) madd_sse2_store_8((uint8_t *)out, _mm_cvtsi128_si64(madd_sse2_words(sums, _mm_loadu_ps(m), zp, lo, hi)), 2 * count);
}

#define DEPTHWISE(name) words_sse2_depthwise_##name
#define DEPTHWISE_LANES 4
#define DEPTHWISE_PIXELS 4
#define DEPTHWISE_VEC __m128i
#define DEPTHWISE_IN int16_t
#define DEPTHWISE_OUT int16_t
#define DEPTHWISE_CONSTANT int32_t
#define DEPTHWISE_LOAD(p) words_sse2_load(p)
#define DEPTHWISE_WEIGHT(p) _mm_loadu_si128((const __m128i *)(p))
#define DEPTHWISE_ACC(x, w, acc) _mm_add_epi32(acc, _mm_madd_epi16(x, w))
#define DEPTHWISE_STORE(d, acc, m, out, count) words_sse2_store((d)->zp, (d)->lo, (d)->hi, acc, m, out, count)
#include "runtime/kernels/depthwise_lanes.def"
#endif
