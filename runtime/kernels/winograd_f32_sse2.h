// Winograd's convolution in f32 on any x86-64 (SSE2): register tiles of 6 tiles x 8 channels.
#ifndef QN_WINOGRAD_F32_SSE2_H
#define QN_WINOGRAD_F32_SSE2_H
#include "runtime/kernels/f32_sse2.h"
#include "runtime/kernels/winograd.h"

#include "runtime/kernels/f32_sse2.def"
#define WINO(name) winograd_f32_sse2_##name
#define WINO_LANES 4
#define WINO_TILES 6
#define WINO_SIZES(X) X(1) X(2) X(3) X(4) X(5) X(6)
#include "runtime/kernels/winograd_f32.def"
#include "runtime/kernels/f32_end.def"
#endif
