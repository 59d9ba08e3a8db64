// Filters of resizing: sizes to indices and weights. Weights are computed in double and rounded to 22 fractional bits, as Pillow
// does; +, -, *, / and the rounding of doubles give the same everywhere.
#include "passes/resize_filter.h"

#include <math.h>

static double triangle(double x) {
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static void triangle_row(ResizeFilter *filter, int position, int in_size, double scale, double stretch, double *weight) {
    double center = (position + 0.5) * scale, inverse = 1.0 / stretch, sum = 0;
    int first = (int)(center - stretch + 0.5), end = (int)(center + stretch + 0.5);
    if (first < 0) first = 0;
    if (end > in_size) end = in_size;
    int count = end - first;
    for (int i = 0; i < count; i++) {
        weight[i] = triangle((i + first - center + 0.5) * inverse);
        sum += weight[i];
    }
    filter->count[position] = count;
    int32_t *indices = filter->indices + (int64_t)position * filter->taps, *fixed = filter->weights + (int64_t)position * filter->taps;
    for (int i = 0; i < filter->taps; i++) {
        double normal = i < count ? (sum != 0 ? weight[i] / sum : weight[i]) : 0;
        indices[i] = i < count ? first + i : first;
        fixed[i] = i < count ? (int32_t)(0.5 + normal * (1 << RESIZE_FRACTION_BITS)) : 0; // a triangle has no negative weights
    }
}

// Places are added up, as Pillow does, not multiplied: that rounds otherwise.
static void nearest_rows(ResizeFilter *filter, int in_size, double scale) {
    double place = scale * 0.5;
    for (int i = 0; i < filter->outputs; i++, place += scale) {
        filter->count[i] = 1;
        filter->indices[i] = place < in_size ? (int32_t)place : in_size - 1;
        filter->weights[i] = 1 << RESIZE_FRACTION_BITS;
    }
}

ResizeFilter resize_filter(Arena *arena, ResizeKind kind, int in_size, int out_size) {
    double scale = (double)in_size / out_size, stretch = scale < 1.0 || kind == RESIZE_LINEAR ? 1.0 : scale;
    ResizeFilter filter = {.outputs = out_size, .taps = kind == RESIZE_NEAREST ? 1 : (int)ceil(stretch) * 2 + 1};
    if (kind == RESIZE_LINEAR) filter.taps = 2 + 1;
    filter.count = ARENA_ARRAY(arena, int32_t, out_size);
    filter.indices = ARENA_ARRAY(arena, int32_t, (int64_t)out_size * filter.taps);
    filter.weights = ARENA_ARRAY(arena, int32_t, (int64_t)out_size * filter.taps);
    double *weight = ARENA_ARRAY(arena, double, filter.taps);
    if (kind == RESIZE_NEAREST) nearest_rows(&filter, in_size, scale);
    else
        for (int i = 0; i < out_size; i++) triangle_row(&filter, i, in_size, scale, stretch, weight);
    return filter;
}
