// The layouts of frames of luma and chroma, and the matrix where none is given.
#include "ir/yuv.h"

#include <string.h>

// Where the first U and V are: for packed layouts in the group of two pixels, else in halves of the chroma's part.
static const struct { const char *name; bool packed, interleaved; int luma, u, v; } layouts[] = {
    {"nv12", false, true, 0, 0, 1},  {"nv21", false, true, 0, 1, 0},  {"i420", false, false, 0, 0, 1},
    {"yv12", false, false, 0, 1, 0}, {"yuyv", true, true, 0, 1, 3},   {"uyvy", true, true, 1, 0, 2},
};

bool yuv_planes(const char *layout, const Type *frame, YuvPlanes *planes) {
    size_t i = 0, count = sizeof layouts / sizeof *layouts;
    while (i < count && strcmp(layouts[i].name, layout)) i++;
    if (i == count || frame->rank != 4 || frame->shape[3] != 1) return false;
    const int64_t rows = frame->shape[1], row = frame->shape[2];
    *planes = (YuvPlanes){.frame_bytes = rows * row, .luma = layouts[i].luma, .luma_row = row, .chroma_row = row};
    if (layouts[i].packed) {
        planes->height = rows, planes->width = row / 2;
        planes->luma_step = 2, planes->chroma_step = 4;
        planes->u = layouts[i].u, planes->v = layouts[i].v;
        return row % 4 == 0;
    }
    planes->height = rows / 3 * 2, planes->width = row;
    planes->luma_step = 1, planes->chroma_shift = 1;
    planes->chroma_step = layouts[i].interleaved ? 2 : 1;
    planes->chroma_row = layouts[i].interleaved ? row : row / 2;
    const int64_t part = layouts[i].interleaved ? 1 : rows / 3 * (row / 2);
    planes->u = planes->height * row + layouts[i].u * part;
    planes->v = planes->height * row + layouts[i].v * part;
    return rows % 3 == 0 && row % 2 == 0;
}

void yuv_matrix(const Op *op, int32_t matrix[YUV_MATRIX]) {
    static const int32_t itu_601[YUV_MATRIX] = {1220542, 1673527, -852492, -409993, 2116026, 16};
    IntList given = as_yuv_to_rgb(op).matrix;
    for (int i = 0; i < YUV_MATRIX; i++) matrix[i] = given.count ? (int32_t)given.data[i] : itu_601[i];
}
