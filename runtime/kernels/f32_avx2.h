// f32 vectors the matrix tile (6 pixels x 16 channels) and depthwise convolution for AVX2 with FMA.
#ifndef QN_F32_AVX2_H
#define QN_F32_AVX2_H
#include <immintrin.h>

#include "runtime/kernels/gemm.h"

// Ones for the first `count` elements.
QN_INLINE __m256i f32_avx2_mask(int32_t count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
QN_INLINE void f32_avx2_store(float *out, __m256 v, int32_t count) {
    if (count >= 8) _mm256_storeu_ps(out, v);
    else _mm256_maskstore_ps(out, f32_avx2_mask(count), v);
}

#include "runtime/kernels/f32_avx2.def"
#define GEMM(name) f32_avx2_##name
#define GEMM_PIXELS 6
#define GEMM_LANES 8
#define GEMM_SHAPES(X) X(1, 1) X(1, 2) X(1, 3) X(1, 4) X(1, 5) X(1, 6) X(6, 1) X(3, 2) X(2, 3)
#define GEMM_IN float
#define GEMM_WEIGHT float
#define GEMM_BIAS float
#define GEMM_OUT float
#define GEMM_STEP 1
#include "runtime/kernels/f32_tile.def"
#include "runtime/kernels/gemm_walk.def"
#define DEPTHWISE(name) depthwise_f32_avx2_##name
#define DEPTHWISE_LANES 8
#define DEPTHWISE_PIXELS 4
#define DEPTHWISE_VEC F32_VEC
#define DEPTHWISE_IN float
#define DEPTHWISE_OUT float
#define DEPTHWISE_CONSTANT float
#define DEPTHWISE_LOAD F32_LOAD
#define DEPTHWISE_WEIGHT F32_LOAD
#define DEPTHWISE_ACC F32_FMA
// NaN, as the second operand, passes both.
#define DEPTHWISE_STORE(d, acc, m, out, count) \
    F32_STORE(out, F32_MIN(F32_SET1((d)->max), F32_MAX(F32_SET1((d)->min), acc)), count)
#include "runtime/kernels/depthwise_lanes.def"
#include "runtime/kernels/f32_end.def"
#endif
