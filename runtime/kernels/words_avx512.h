// Depthwise convolutions of 16-bit activations on AVX-512, in vectors of 16 channels. A lane holds an activation with its sign above it, and
// a weight with nothing above it: pairs of products are one product.
#ifndef QN_WORDS_AVX512_H
#define QN_WORDS_AVX512_H
#include "runtime/kernels/madd_avx512.h"

QN_INLINE void words_avx512_store(int32_t zp, int32_t lo, int32_t hi, __m512i sums, const float *m, int16_t *out, int32_t count) {
    if (count > 0) _mm256_mask_storeu_epi16(out, vnni_lanes(0, count), madd_avx512_words(sums, _mm512_loadu_ps(m), zp, lo, hi));
}

#define DEPTHWISE(name) words_avx512_depthwise_##name
#define DEPTHWISE_LANES 16
#define DEPTHWISE_PIXELS 4
#define DEPTHWISE_VEC __m512i
#define DEPTHWISE_IN int16_t
#define DEPTHWISE_OUT int16_t
#define DEPTHWISE_CONSTANT int32_t
#define DEPTHWISE_LOAD(p) _mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i *)(p)))
#define DEPTHWISE_WEIGHT(p) _mm512_loadu_si512(p)
#define DEPTHWISE_ACC(x, w, acc) _mm512_add_epi32(acc, _mm512_madd_epi16(x, w))
#define DEPTHWISE_STORE(d, acc, m, out, count) words_avx512_store((d)->zp, (d)->lo, (d)->hi, acc, m, out, count)
#include "runtime/kernels/depthwise_lanes.def"
#endif
