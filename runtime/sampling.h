// Reading between the elements of an image: which elements along one dimension make the value at a place, and with what
// weights. In single precision, each operation rounded; the interpreter and all kernels take the same elements.
#ifndef QN_SAMPLING_H
#define QN_SAMPLING_H
#include "runtime/rounding.h"

enum { QN_NEAREST, QN_LINEAR, QN_CUBIC };
enum { QN_ZEROS, QN_BORDER, QN_REFLECTION };

// index -1: beside the image, a zero.
struct qn_taps { int32_t count, index[4]; float weight[4]; };

QN_ROUND int32_t qn_floor_i32(float x) {
    int32_t i = (int32_t)x;
    return (float)i > x ? i - 1 : i;
}

// Thrown back at the ends, from low to high and back, as often as it takes.
QN_ROUND float qn_reflect(float x, float low, float high) {
    const float range = high - low, over = x < low ? low - x : x > high ? x - high : 0.0f;
    if (over == 0.0f) return x;
    if (!(range > 0.0f)) return low;
    const int32_t turns = (int32_t)(over / range);
    const float rest = over - (float)turns * range;
    return (x < low) == (turns % 2 == 0) ? low + rest : high - rest;
}

QN_ROUND int32_t qn_clamp_index(int32_t i, int32_t size) { return i < 0 ? 0 : i >= size ? size - 1 : i; }

// Where what lies at `i` is taken from.
QN_ROUND int32_t qn_padded_index(int32_t i, int32_t size, int32_t padding, float low, float high) {
    if (padding == QN_ZEROS) return i >= 0 && i < size ? i : -1;
    if (padding == QN_REFLECTION) i = (int32_t)qn_reflect((float)i, low, high);
    return qn_clamp_index(i, size);
}

// Keys' kernel with a = -0.75 at distance 0 <= x <= 1, and at 1 <= x <= 2.
QN_ROUND float qn_cubic_near(float x) { return (1.25f * x - 2.25f) * x * x + 1.0f; }
QN_ROUND float qn_cubic_far(float x) { return ((-0.75f * x + 3.75f) * x - 6.0f) * x + 3.0f; }

// The elements around `x` of a dimension of `size`, at most 2^21. Ends are the centers of the outer elements with
// align_corners, else half an element further out.
QN_ROUND struct qn_taps qn_taps_at(float x, int32_t size, int32_t mode, int32_t padding, int32_t align_corners) {
    const float low = align_corners ? 0.0f : -0.5f, high = align_corners ? (float)(size - 1) : (float)size - 0.5f;
    const float far = 2097152.0f; // beyond it all places are one; NaN is there too
    struct qn_taps taps = {1, {0, 0, 0, 0}, {1.0f, 0.0f, 0.0f, 0.0f}};
    x = x > far ? far : x >= -far ? x : -far;
    if (mode == QN_NEAREST) x = (float)qn_rne(x);
    if (padding == QN_BORDER) x = x < low ? 0.0f : x > high ? (float)(size - 1) : x;
    if (padding == QN_REFLECTION) x = qn_reflect(x, low, high);
    const int32_t floor = mode == QN_NEAREST ? (int32_t)x : qn_floor_i32(x), first = mode == QN_CUBIC ? floor - 1 : floor;
    const float rest = x - (float)floor;
    if (mode == QN_LINEAR) {
        taps.count = 2;
        taps.weight[0] = 1.0f - rest, taps.weight[1] = rest;
    } else if (mode == QN_CUBIC) {
        taps.count = 4;
        taps.weight[0] = qn_cubic_far(rest + 1.0f), taps.weight[1] = qn_cubic_near(rest);
        taps.weight[2] = qn_cubic_near(1.0f - rest), taps.weight[3] = qn_cubic_far(2.0f - rest);
    }
    for (int32_t i = 0; i < 4; i++) taps.index[i] = qn_padded_index(first + i, size, padding, low, high);
    return taps;
}

// ---- regions of interest

// One dimension of a region: where its first bin starts, how large each is and how many samples it has.
struct qn_region { float start, bin; int32_t samples; };

QN_ROUND struct qn_region qn_region_of(float from, float to, int32_t bins, int32_t ratio, int32_t half_pixel, float scale) {
    const float offset = half_pixel ? 0.5f : 0.0f, start = from * scale - offset, end = to * scale - offset;
    const float most = 1024.0f; // samples of a bin
    float extent = end - start;
    if (!half_pixel && !(extent > 1.0f)) extent = 1.0f;
    const float bin = extent / (float)bins;
    struct qn_region region = {start, bin, ratio};
    if (ratio <= 0) {
        const float limited = bin > most ? most : bin > 0.0f ? bin : 0.0f;
        region.samples = -qn_floor_i32(-limited);
    }
    return region;
}

// Sample number i of a bin: the two elements around it, at the border the outer one, and nothing from more than one
// element outside on.
QN_ROUND struct qn_taps qn_region_taps(const struct qn_region *region, int32_t bin, int32_t i, int32_t size) {
    struct qn_taps taps = {2, {-1, -1, -1, -1}, {0.0f, 0.0f, 0.0f, 0.0f}};
    float x = region->start + (float)bin * region->bin + ((float)i + 0.5f) * region->bin / (float)region->samples;
    if (!(x >= -1.0f && x <= (float)size)) return taps;
    x = x < 0.0f ? 0.0f : x > (float)(size - 1) ? (float)(size - 1) : x;
    taps.index[0] = (int32_t)x;
    taps.index[1] = qn_clamp_index(taps.index[0] + 1, size);
    taps.weight[1] = x - (float)taps.index[0];
    taps.weight[0] = 1.0f - taps.weight[1];
    return taps;
}
#endif
