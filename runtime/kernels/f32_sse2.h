// f32 vectors, the matrix tile (6 pixels x 8 channels) and depthwise convolution for any x86-64 (SSE2).
#ifndef QN_F32_SSE2_H
#define QN_F32_SSE2_H
#include <emmintrin.h>

#include "runtime/kernels/gemm.h"

QN_INLINE void f32_sse2_store(float *out, __m128 v, int32_t count) {
    if (count >= 4) {
        _mm_storeu_ps(out, v);
        return;
    }
    if (count <= 0) return;
    if (count & 2) _mm_storel_pi((__m64 *)(void *)out, v), out += 2, v = _mm_movehl_ps(v, v);
    if (count & 1) _mm_store_ss(out, v);
}

#include "runtime/kernels/f32_sse2.def"
#define GEMM(name) f32_sse2_##name
#define GEMM_PIXELS 6
#define GEMM_LANES 4
#define GEMM_SHAPES(X) X(1, 1) X(1, 2) X(1, 3) X(1, 4) X(1, 5) X(1, 6) X(6, 1) X(3, 2) X(2, 3)
#define GEMM_IN float
#define GEMM_WEIGHT float
#define GEMM_BIAS float
#define GEMM_OUT float
#define GEMM_STEP 1
#include "runtime/kernels/f32_tile.def"
#include "runtime/kernels/gemm_walk.def"
#define DEPTHWISE(name) depthwise_f32_sse2_##name
#define DEPTHWISE_LANES 4
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
