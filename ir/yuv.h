// How a camera's frame of luma and chroma lies in memory: what nn.yuv_to_rgb reads, where.
#pragma once
#include "ir/ir.h"

// Pixel [y, x] has its luma at byte y * luma_row + x * luma_step of its frame, and its chroma, which it shares with its right neighbour
// and, where chroma_shift is 1, with the one below, at u or v + (y >> chroma_shift) * chroma_row + (x >> 1) * chroma_step.
typedef struct {
    int64_t height, width, frame_bytes;
    int64_t luma, luma_row, luma_step;
    int64_t u, v, chroma_row, chroma_step, chroma_shift;
} YuvPlanes;

// "nv12", "nv21", "i420", "yv12", "yuyv" or "uyvy" in frames of N x rows x bytes of a row x 1. False where there is no such layout or
// frames of these sizes don't have it.
bool yuv_planes(const char *layout, const Type *frame, YuvPlanes *planes);

// The multipliers of nn.yuv_to_rgb, of 20 fractional bits, and the luma that is black.
enum { YUV_LUMA, YUV_RED_V, YUV_GREEN_V, YUV_GREEN_U, YUV_BLUE_U, YUV_BLACK, YUV_MATRIX, YUV_FRACTION_BITS = 20, YUV_MOST = 1 << 22 };
// Those of the op: its attribute, or where that is empty those of ITU-R 601 as OpenCV has them.
void yuv_matrix(const Op *op, int32_t matrix[YUV_MATRIX]);
