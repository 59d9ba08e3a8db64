// How an image is resized along one axis, in Pillow's arithmetic: each output is a sum of inputs with weights of 22 fractional
// bits, which nn.resample_u8 computes. The host's preprocessing and that in the model take the same filters.
#pragma once
#include <stdint.h>

#include "ir/arena.h"

// antialias: a triangle, stretched when shrinking (Pillow's BILINEAR); linear: the same, not stretched, two neighbours;
// nearest: one of them (Pillow's NEAREST).
typedef enum { RESIZE_ANTIALIAS, RESIZE_LINEAR, RESIZE_NEAREST } ResizeKind;
enum { RESIZE_FRACTION_BITS = 32 - 8 - 2 }; // room for a sum of 8-bit samples and a sign

// Output i is the sum over k < taps of weights[i][k] * input[indices[i][k]]; the first count[i] of them count, what is behind has
// weight 0 and an index in range.
typedef struct {
    int outputs, taps;
    int32_t *count, *indices, *weights;
} ResizeFilter;

ResizeFilter resize_filter(Arena *arena, ResizeKind kind, int in_size, int out_size);
