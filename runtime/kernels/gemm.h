// What matrix kernels share: a product over windows of pixels, as convolutions and linear layers see it. The window of
// a pixel is segments_h x segments_w runs of contiguous elements, `steps` steps each (4 elements a step in int8, 1 in
// f32), segment_row and segment_column elements apart; what the last step of a run holds past its end meets zero weights.
// Pixels are in_row, in_column elements apart, their outputs out_row, out_column.
#ifndef QN_GEMM_H
#define QN_GEMM_H
#include "runtime/kernel.h"
#include "runtime/kernels/conv_groups.h"

// Weights are asked for so many bytes before their use, where a panel of them leaves little room in the first cache.
enum { GEMM_AHEAD = 1024, GEMM_SMALL_PANEL = 16384 };

// Of images with a border of stored zeros: which taps lie in it. Rows [top, bottom) are inside it (bottom 0: nothing is known);
// output row y has tap ky in row y * row_step + ky * tap_step. Taps [0, left) of the first column of outputs lie outside, of the last
// column those from `right` on. A run is of `taps` taps, tap_steps steps and `tap` elements each.
struct gemm_inner {
    int32_t top, bottom, row_step, tap_step, left, right, taps, tap_steps;
    int64_t tap;
};

// What becomes of the sums of int8: rounded to 8 bits; not before a residual is added; stored as they are; times their multiplier
// as floats. Of f32 there is the first. Of 16-bit activations: rounded to 16 bits.
enum { GEMM_ROUNDED, GEMM_UNROUNDED_ADD, GEMM_SUMS, GEMM_FLOATS, GEMM_WORDS };

// Stores `count` results from element `at` on, by themselves.
struct gemm_rounding { int32_t zp, lo, hi, flip; };
QN_INLINE void gemm_store_plain(int32_t form, const int32_t *acc, const float *m, struct gemm_rounding r, void *out, ptrdiff_t at,
                                int32_t count) {
    if (form == GEMM_SUMS)
        for (int32_t j = 0; j < count; j++) ((int32_t *)out)[at + j] = acc[j];
    else if (form == GEMM_FLOATS)
        for (int32_t j = 0; j < count; j++) ((float *)out)[at + j] = qn_dequantize(acc[j], 0, m[j]);
    else
        for (int32_t j = 0; j < count; j++) ((uint8_t *)out)[at + j] = (uint8_t)(qn_requantize(acc[j], m[j], r.zp, r.lo, r.hi) ^ r.flip);
}

// The same of sums of 16-bit activations.
QN_INLINE void gemm_store_words(const int64_t *acc, const float *m, struct gemm_rounding r, int16_t *out, int32_t count) {
    for (int32_t j = 0; j < count; j++) out[j] = (int16_t)qn_requantize_wide(acc[j], m[j], r.zp, r.lo, r.hi);
}

struct gemm {
    int32_t form, out_step; // out_step: units of the output's type from one channel to the next
    int32_t segments_h, segments_w, steps;
    int64_t segment_row, segment_column, in_row, in_column, out_row, out_column;
    struct gemm_inner inner;
    int32_t zp, lo, hi, bounded; // int8: zero point and clamp of what is stored, unsigned
    float min, max;              // f32: clamp
    // int8: what is added to the results before they are stored at out + i, from residual + i; NULL: nothing.
    const struct qn_binary_args *add;
    const uint8_t *residual, *out;
};

// The weights of the next panel, which the tiles of this one ask for evenly, `step` bytes with each step of theirs: large
// layers read them from memory, which takes as long as the products do.
struct gemm_coming { const char *at; int32_t step; };

QN_INLINE struct gemm_coming gemm_coming_of(const void *panel, int32_t step_bytes, int32_t tiles) {
    const struct gemm_coming coming = {panel, (step_bytes + tiles - 1) / tiles};
    return coming;
}

// Brings the weights of this panel's coming steps to the first cache, and those of the next panel to the second. Narrow tiles, of
// one vector, have no load to spare for it.
QN_INLINE void gemm_prefetch(const struct gemm *g, const void *weight, struct gemm_coming *coming, int nv, int vector_bytes) {
    if (nv < 2) return;
    if ((int64_t)g->segments_h * g->segments_w * g->steps * nv * vector_bytes > GEMM_SMALL_PANEL)
        QN_UNROLL for (int i = 0; i < nv * vector_bytes; i += 64) __builtin_prefetch((const char *)weight + i + GEMM_AHEAD, 0, 3);
    __builtin_prefetch(coming->at, 0, 2);
    if (coming->step > 64) __builtin_prefetch(coming->at + 64, 0, 2);
    coming->at += coming->step;
}

// The convolution of one with a sum, whose fields begin alike.
QN_INLINE struct qn_conv2d_args gemm_conv2d_of(const struct qn_conv2d_add_args *a) {
    struct qn_conv2d_args conv;
    __builtin_memcpy(&conv, a, sizeof conv);
    return conv;
}

QN_INLINE struct gemm_inner gemm_inner_of(const struct qn_conv2d_args *a, int32_t taps, int32_t step) {
    struct gemm_inner inner = {
        .top = a->inner_top, .bottom = a->inner_h > 0 ? a->inner_top + a->inner_h : 0, .row_step = a->stride_h, .tap_step = a->dilation_h,
        .right = a->kernel_w, .taps = taps, .tap_steps = a->in_c / step, .tap = (int64_t)a->dilation_w * a->in_pixel,
    };
    if (!inner.bottom || (taps > 1 && a->in_c % step)) return inner; // steps of more than one tap
    const int32_t room = a->inner_left + a->inner_w - (a->out_w - 1) * a->stride_w; // from the last column's first tap on
    const int32_t left = (a->inner_left + a->dilation_w - 1) / a->dilation_w;
    const int32_t right = room > 0 ? (room + a->dilation_w - 1) / a->dilation_w : 0;
    inner.left = left < a->kernel_w ? left : a->kernel_w;
    inner.right = right > a->kernel_w ? a->kernel_w : right > inner.left ? right : inner.left;
    return inner;
}

// How a convolution with a sum behind it ends.
QN_INLINE int32_t gemm_form_of(const struct qn_conv2d_add_args *a) { return a->unrounded ? GEMM_UNROUNDED_ADD : GEMM_ROUNDED; }

// The sum behind a convolution.
QN_INLINE struct qn_binary_args gemm_add_of(const struct qn_conv2d_add_args *a) {
    const struct qn_binary_args add = {
        .op = QN_ADD, .a_zp = a->out_zp, .b_zp = a->residual_zp, .out_zp = a->sum_zp, .lo = a->sum_lo, .hi = a->sum_hi,
        .flip = a->flip, .a_multiplier = a->own_multiplier, .b_multiplier = a->residual_multiplier, .fixed_a = a->fixed_own, .fixed_b = a->fixed_residual,
        .fixed_start = a->fixed_start, .fixed_shift = a->fixed_shift,
    };
    return add;
}

// What the sum behind a convolution takes, and how what it gives is stored.
QN_INLINE void gemm_set_add(struct gemm *g, const struct qn_binary_args *add, const void *residual, const void *out) {
    g->add = add, g->residual = (const uint8_t *)residual, g->out = (const uint8_t *)out;
    if (g->form == GEMM_UNROUNDED_ADD) g->zp = add->out_zp + 128, g->lo = add->lo + 128, g->hi = add->hi + 128;
}

// How accumulators become stored bytes: zero point and clamp in unsigned ones. What a residual is added to ends as their sum.
struct gemm_quant { int32_t zp, lo, hi, bounded; };
QN_INLINE struct gemm_quant gemm_quant_of(const struct gemm *g) {
    if (g->add) return (struct gemm_quant){g->add->out_zp + 128, g->add->lo + 128, g->add->hi + 128, 0};
    return (struct gemm_quant){g->zp, g->lo, g->hi, g->bounded};
}

// Results of 32 bits, or 16, where the output's type is a byte.
QN_INLINE void gemm_set_form(struct gemm *g, int32_t form) {
    g->form = form;
    if (form < GEMM_SUMS) return;
    g->out_step = form == GEMM_WORDS ? 2 : 4;
    g->out_row *= g->out_step, g->out_column *= g->out_step;
    if (form == GEMM_WORDS) g->zp -= 128, g->lo -= 128, g->hi -= 128; // signed
}

QN_INLINE struct gemm gemm_of_conv2d(const struct qn_conv2d_args *a, int32_t step) {
    // A kernel row is one run, or each tap is.
    const int32_t taps = a->dilation_w == 1 && a->in_pixel == a->in_c ? a->kernel_w : 1;
    const struct gemm g = {
        .out_step = 1,
        .segments_h = a->kernel_h,
        .segments_w = a->kernel_w / taps,
        .steps = (taps * a->in_c + step - 1) / step,
        .segment_row = (int64_t)a->dilation_h * a->in_row,
        .segment_column = (int64_t)a->dilation_w * a->in_pixel,
        .in_row = (int64_t)a->stride_h * a->in_row,
        .in_column = (int64_t)a->stride_w * a->in_pixel,
        .out_row = a->out_row,
        .out_column = a->out_pixel,
        .inner = gemm_inner_of(a, taps, step),
        .zp = a->out_zp + 128, .lo = a->lo + 128, .hi = a->hi + 128, .bounded = a->bounded,
        .min = a->min, .max = a->max,
    };
    return g;
}

// The part of a layer that can be done at once from row `begin` on: `rows` rows of an image from row y on, `channels`
// channels from `channel` on; `count` of the layer's rows (families.def: `panel`).
struct gemm_part { int32_t image, y, rows, channel, channels, count; };

QN_INLINE struct gemm_part gemm_part_of(int32_t all_rows, int32_t out_h, int32_t out_c, int32_t panel, int32_t begin,
                                        int32_t end) {
    const int32_t panel_rows = panel ? all_rows / ((out_c + panel - 1) / panel) : all_rows, row = begin % panel_rows;
    const int32_t y = row % out_h, rows = out_h - y < end - begin ? out_h - y : end - begin;
    struct gemm_part part = {.image = row / out_h, .y = y, .rows = rows, .channels = out_c, .count = rows};
    if (!panel) return part;
    const int32_t panels = rows == panel_rows ? (end - begin) / panel_rows : 1;
    part.channel = begin / panel_rows * panel;
    part.channels = panels * panel < out_c - part.channel ? panels * panel : out_c - part.channel;
    part.count = panels * rows;
    return part;
}

// How many rows a linear layer's panels have.
QN_INLINE int32_t gemm_linear_rows(const struct qn_linear_args *a) {
    return a->panel ? a->rows / ((a->n + a->panel - 1) / a->panel) : a->rows;
}

QN_INLINE struct gemm gemm_of_linear(const struct qn_linear_args *a, int32_t step) {
    const struct gemm g = {
        .out_step = 1,
        .inner = {.right = 1, .taps = 1}, .segments_h = 1, .segments_w = 1, .steps = (a->k + step - 1) / step,
        .in_column = a->a_row, .out_column = a->out_row,
        .zp = a->out_zp + 128, .lo = a->lo + 128, .hi = a->hi + 128, .bounded = a->bounded,
        .min = a->min, .max = a->max,
    };
    return g;
}
#endif
