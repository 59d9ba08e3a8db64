// How an image is resized along one axis: each output is a sum of inputs with whole weights, as Pillow or OpenCV takes it. The host's
// preprocessing and that in the model take the same filters.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "ir/arena.h"

// Weights of 22 fractional bits, for nn.resample_u8, one axis after the other: Pillow's BILINEAR (antialias), the same not stretched when
// shrinking (linear), NEAREST, BOX, HAMMING, BICUBIC and LANCZOS, and OpenCV's INTER_NEAREST. Of two taps and 11 or 8 fractional bits,
// both axes at once, for nn.bilinear_u8: OpenCV's INTER_LINEAR and INTER_LINEAR_EXACT.
typedef enum {
    RESIZE_ANTIALIAS, RESIZE_LINEAR, RESIZE_NEAREST, RESIZE_BOX, RESIZE_HAMMING, RESIZE_BICUBIC, RESIZE_LANCZOS, RESIZE_OPENCV_NEAREST,
    RESIZE_OPENCV_LINEAR, RESIZE_OPENCV_EXACT, RESIZE_KINDS
} ResizeKind;
enum { RESIZE_FRACTION_BITS = 32 - 8 - 2 }; // room for a sum of 8-bit samples and a sign

static inline bool resize_is_bilinear(ResizeKind kind) { return kind == RESIZE_OPENCV_LINEAR || kind == RESIZE_OPENCV_EXACT; }
static inline int resize_bilinear_bits(ResizeKind kind) { return kind == RESIZE_OPENCV_LINEAR ? 11 : 8; }

// Output i is the sum over k < taps of weights[i][k] * input[indices[i][k]]; the first count[i] of them count, what is behind has
// weight 0 and an index in range.
typedef struct {
    int outputs, taps;
    int32_t *count, *indices, *weights;
} ResizeFilter;

// vertical: of rows; OpenCV weighs the first and the last ones otherwise than columns.
ResizeFilter resize_filter(Arena *arena, ResizeKind kind, int in_size, int out_size, bool vertical);
