// f32 vectors the matrix tile (14 pixels x 32 channels) and depthwise convolution for AVX-512.
#ifndef QN_F32_AVX512_H
#define QN_F32_AVX512_H
#include <immintrin.h>

#include "runtime/kernels/gemm.h"

// The first `count` elements; none for a negative count.
QN_INLINE __mmask16 f32_avx512_mask(int32_t count) {
    return count >= 16 ? 0xFFFF : count <= 0 ? 0 : (__mmask16)((1u << count) - 1);
}
QN_INLINE void f32_avx512_store(float *out, __m512 v, int32_t count) {
    if (count >= 16) _mm512_storeu_ps(out, v);
    else _mm512_mask_storeu_ps(out, f32_avx512_mask(count), v);
}

#include "runtime/kernels/f32_avx512.def"
#define GEMM(name) f32_avx512_##name
#define GEMM_PIXELS 14
#define GEMM_LANES 16
#define GEMM_SHAPES(X)                                                                                                \
    X(1, 1) X(1, 2) X(1, 3) X(1, 4) X(1, 5) X(1, 6) X(1, 7) X(1, 8) X(1, 9) X(1, 10) X(1, 11) X(1, 12) X(1, 13) X(1, 14) \
    X(14, 1) X(7, 2) X(4, 3) X(3, 4) X(2, 5) X(2, 6) X(2, 7)
#define GEMM_IN float
#define GEMM_WEIGHT float
#define GEMM_BIAS float
#define GEMM_OUT float
#define GEMM_STEP 1
#include "runtime/kernels/f32_tile.def"
#include "runtime/kernels/gemm_walk.def"
#define DEPTHWISE(name) depthwise_f32_avx512_##name
#define DEPTHWISE_LANES 16
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
