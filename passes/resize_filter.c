// Filters of resizing: sizes to indices and weights. Weights are computed in double and rounded to 22 fractional bits, as Pillow
// does, or in single precision, as OpenCV does; +, -, *, / and the rounding of doubles give the same everywhere, and sines are our own.
#include "passes/resize_filter.h"

#include <math.h>

#include "runtime/real_math.h"

// ---- Pillow's: a window around the middle of each output, stretched when shrinking

static const double pi = 3.14159265358979323846;

static double triangle(double x) {
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static double box(double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }

static double hamming(double x) {
    x = fabs(x);
    if (x == 0.0) return 1.0;
    if (x >= 1.0) return 0.0;
    x *= pi;
    return qn_sin_f64(x) / x * (0.54 + 0.46 * qn_cos_f64(x));
}

static double bicubic(double x) {
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    return x < 2.0 ? (((x - 5) * x + 8) * x - 4) * a : 0.0;
}

static double sinc(double x) {
    if (x == 0.0) return 1.0;
    x *= pi;
    return qn_sin_f64(x) / x;
}

static double lanczos(double x) { return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0; }

typedef double WindowFn(double x);
typedef struct { WindowFn *fn; double support; } Window;

static Window window_of(ResizeKind kind) {
    static const Window windows[RESIZE_KINDS] = {
        [RESIZE_ANTIALIAS] = {triangle, 1}, [RESIZE_LINEAR] = {triangle, 1},    [RESIZE_BOX] = {box, 0.5},
        [RESIZE_HAMMING] = {hamming, 1},    [RESIZE_BICUBIC] = {bicubic, 2}, [RESIZE_LANCZOS] = {lanczos, 3},
    };
    return windows[kind];
}

static int32_t rounded(double weight) {
    const double scaled = weight * (1 << RESIZE_FRACTION_BITS);
    return (int32_t)(weight < 0 ? scaled - 0.5 : scaled + 0.5);
}

static void window_row(ResizeFilter *filter, const Window *window, int position, int in_size, double scale, double stretch, double *weight) {
    double center = (position + 0.5) * scale, inverse = 1.0 / stretch, support = window->support * stretch, sum = 0;
    int first = (int)(center - support + 0.5), end = (int)(center + support + 0.5);
    if (first < 0) first = 0;
    if (end > in_size) end = in_size;
    int count = end - first;
    for (int i = 0; i < count; i++) {
        weight[i] = window->fn((i + first - center + 0.5) * inverse);
        sum += weight[i];
    }
    filter->count[position] = count;
    int32_t *indices = filter->indices + (int64_t)position * filter->taps, *fixed = filter->weights + (int64_t)position * filter->taps;
    for (int i = 0; i < filter->taps; i++) {
        indices[i] = i < count ? first + i : first;
        fixed[i] = i < count ? rounded(sum != 0 ? weight[i] / sum : weight[i]) : 0;
    }
}

// ---- nearest

static void nearest_row(ResizeFilter *filter, int position, double place, int in_size) {
    filter->count[position] = 1;
    filter->indices[position] = place < in_size ? (int32_t)place : in_size - 1;
    filter->weights[position] = 1 << RESIZE_FRACTION_BITS;
}

// Places are added up, as Pillow does, not multiplied: that rounds otherwise.
static void nearest_rows(ResizeFilter *filter, int in_size, double scale) {
    double place = scale * 0.5;
    for (int i = 0; i < filter->outputs; i++, place += scale) nearest_row(filter, i, place, in_size);
}

// The result's upper left corner, and the factor's own inverse.
static void opencv_nearest_rows(ResizeFilter *filter, int in_size) {
    const double factor = (double)filter->outputs / in_size;
    for (int i = 0; i < filter->outputs; i++) nearest_row(filter, i, i * (1.0 / factor), in_size);
}

// ---- OpenCV's two neighbours

static int32_t within(int32_t index, int size) { return index < 0 ? 0 : index >= size ? size - 1 : index; }

static void pair(ResizeFilter *filter, int position, int32_t first, int in_size, int32_t near, int32_t far) {
    int32_t *indices = filter->indices + 2 * (int64_t)position, *weights = filter->weights + 2 * (int64_t)position;
    filter->count[position] = 2;
    indices[0] = within(first, in_size), indices[1] = within(first + 1, in_size);
    weights[0] = near, weights[1] = far;
}

// Beyond the outer columns' centers only those count. Rows keep both weights there, which rounds otherwise.
static void linear_row(ResizeFilter *filter, int position, int in_size, bool vertical) {
    const double factor = (double)filter->outputs / in_size;
    float part = (float)((position + 0.5) * (1.0 / factor) - 0.5);
    int32_t first = (int32_t)floorf(part);
    part -= (float)first;
    if (!vertical && (first < 0 || first >= in_size - 1)) part = 0, first = within(first, in_size);
    pair(filter, position, first, in_size, (int32_t)rintf((1.0f - part) * 2048.0f), (int32_t)rintf(part * 2048.0f));
}

static void exact_row(ResizeFilter *filter, int position, int in_size) {
    const double place = (position + 0.5) * ((double)in_size / filter->outputs) - 0.5;
    int32_t first = (int32_t)floor(place), far = (int32_t)rint((place - first) * 256);
    if (first < 0 || first >= in_size - 1) far = 0, first = within(first, in_size);
    pair(filter, position, first, in_size, 256 - far, far);
}

// ---- all

static int taps_of(ResizeKind kind, double stretch) {
    if (kind == RESIZE_NEAREST || kind == RESIZE_OPENCV_NEAREST) return 1;
    return resize_is_bilinear(kind) ? 2 : (int)ceil(window_of(kind).support * stretch) * 2 + 1;
}

ResizeFilter resize_filter(Arena *arena, ResizeKind kind, int in_size, int out_size, bool vertical) {
    double scale = (double)in_size / out_size, stretch = scale < 1.0 || kind == RESIZE_LINEAR ? 1.0 : scale;
    ResizeFilter filter = {.outputs = out_size, .taps = taps_of(kind, stretch)};
    const Window window = window_of(kind);
    filter.count = ARENA_ARRAY(arena, int32_t, out_size);
    filter.indices = ARENA_ARRAY(arena, int32_t, (int64_t)out_size * filter.taps);
    filter.weights = ARENA_ARRAY(arena, int32_t, (int64_t)out_size * filter.taps);
    double *weight = ARENA_ARRAY(arena, double, filter.taps);
    if (kind == RESIZE_NEAREST) nearest_rows(&filter, in_size, scale);
    if (kind == RESIZE_OPENCV_NEAREST) opencv_nearest_rows(&filter, in_size);
    for (int i = 0; i < out_size; i++) {
        if (window.fn) window_row(&filter, &window, i, in_size, scale, stretch, weight);
        else if (kind == RESIZE_OPENCV_LINEAR) linear_row(&filter, i, in_size, vertical);
        else if (kind == RESIZE_OPENCV_EXACT) exact_row(&filter, i, in_size);
    }
    return filter;
}
