// Which taps of a pool's window lie inside its image, and by how many an average divides.
#ifndef QN_POOL_WINDOW_H
#define QN_POOL_WINDOW_H
#include "runtime/kernel.h"

// The taps [from, to) of one dimension that fall in [low, high), from position `start` on.
struct qn_pool_range { int32_t from, to; };
QN_INLINE struct qn_pool_range qn_pool_range_new(int32_t start, int32_t dilation, int32_t taps, int32_t low,
                                                 int32_t high) {
    struct qn_pool_range range = {0, taps};
    while (range.from < taps && start + range.from * dilation < low) range.from++;
    while (range.to > range.from && start + (range.to - 1) * dilation >= high) range.to--;
    return range;
}
// How many taps an average of pixel (y, x) divides by.
QN_INLINE int32_t qn_pool_count(const struct qn_pool2d_args *a, int32_t y0, int32_t x0, struct qn_pool_range v,
                                struct qn_pool_range h) {
    if (a->count_include_pad) {
        v = qn_pool_range_new(y0, a->dilation_h, a->kernel_h, -a->pad_top, a->padded_h - a->pad_top);
        h = qn_pool_range_new(x0, a->dilation_w, a->kernel_w, -a->pad_left, a->padded_w - a->pad_left);
    }
    return (v.to - v.from) * (h.to - h.from);
}
#endif
