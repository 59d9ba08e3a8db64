// Packing: constants laid out as a kernel row wants them (column `packing` of kernels.def). pack.def lists the packings.
#pragma once
#include "ir/targets.h"

// What a convolution, depthwise or linear kernel row is packed from. Weights O KH KW I (linear: O 1 1 I), dense.
typedef struct {
    int64_t out_c, kernel_h, kernel_w, in_c; // in_c: per group
    const void *weight;      // int8_t or float
    const int32_t *bias_i32; // i8: bias at scale s_x * s_w; NULL: zeros
    const float *bias_f32;   // f32; NULL: zeros
    const float *multiplier; // i8: one an output channel
    const KernelArgs *args;  // in_zp, flip …: constant terms are folded into the bias
} PackSource;

// Results are allocated in the arena; `multiplier` NULL for f32. Padded channels hold zeros.
typedef struct {
    void *weight; size_t weight_bytes;
    void *bias; size_t bias_bytes;
    void *multiplier; size_t multiplier_bytes;
} Packed;

typedef void PackFn(Arena *arena, const PackSource *source, Packed *packed);
PackFn *pack_find(const char *packing); // NULL for an unknown one

// The layer's `bounded` (families.def), proven from its weights, biases and multipliers.
int pack_bounded(const PackSource *source, const KernelArgs *args);
int pack_bounded_words(const PackSource *source, const KernelArgs *args); // of 16-bit activations
