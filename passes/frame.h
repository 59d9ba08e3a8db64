// A camera's frame as a network's input: what frame_input puts before the network, all sizes known.
#pragma once
#include "ir/type.h"
#include "passes/resize_filter.h"

typedef struct {
    const Type *type;      // of the frame: u8, 1 H W C, or as nn.yuv_to_rgb takes it
    const char *yuv;       // layout of luma and chroma; NULL: pixels
    IntList matrix;        // of nn.yuv_to_rgb; empty: its default
    int frame_height, frame_width; // rows may be longer
    const int *colors;     // the frame's channels that are red, green and blue; of a gray frame thrice 0
    int turns;             // quarter turns clockwise, first of all
    bool mirrored, upended; // then left and right, top and bottom change places
    ResizeKind kind;
    int width, height;     // after resizing; those of the turned frame where it is not resized
    int left, top, crop_width, crop_height; // what is kept of that
    bool bgr, gray;        // of the network's input: its channels are blue, green, red; it has one
    bool nchw;             // its layout; else N H W C
    const void *table;     // what becomes of the 256 values of each of its channels, elements of the input's type
} FrameInput;
