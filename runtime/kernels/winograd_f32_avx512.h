// Winograd's convolution in f32 on AVX-512: register tiles of 14 tiles x 32 channels.
#ifndef QN_WINOGRAD_F32_AVX512_H
#define QN_WINOGRAD_F32_AVX512_H
#include "runtime/kernels/f32_avx512.h"
#include "runtime/kernels/winograd.h"

#include "runtime/kernels/f32_avx512.def"
#define WINO(name) winograd_f32_avx512_##name
#define WINO_LANES 16
#define WINO_TILES 14
#define WINO_SIZES(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#include "runtime/kernels/winograd_f32.def"
#include "runtime/kernels/f32_end.def"
#endif
