// Convolution, any shape. Per output pixel the window is gathered, in chunks, into a dense local row (taps outside the
// image as the zero point), which then meets the dense weight rows of up to 64 output channels at a time.
#ifndef QN_CONV2D_GENERIC_H
#define QN_CONV2D_GENERIC_H
#include "runtime/dot.h"
#include "runtime/kernels/gemm.h"

// The element that tap `tap` of output pixel (y, x) reads, for the group's first channel; negative where it is outside.
QN_INLINE ptrdiff_t qn_conv2d_generic_tap(const struct qn_conv2d_args *a, int32_t y, int32_t x, int32_t tap) {
    int32_t iy = y * a->stride_h - a->pad_top + tap / a->kernel_w * a->dilation_h;
    int32_t ix = x * a->stride_w - a->pad_left + tap % a->kernel_w * a->dilation_w;
    if (a->padded && (iy < 0 || iy >= a->in_h || ix < 0 || ix >= a->in_w)) return -1;
    return (ptrdiff_t)iy * a->in_row + (ptrdiff_t)ix * a->in_pixel;
}

// Elements [k, k + count) of the window's row, less the zero point: `element` of p[i]. in: the group's first channel of the image.
#define QN_CONV2D_GENERIC_GATHER(name, in_type, row_type, element)                                                     \
    QN_INLINE void qn_conv2d_generic_gather_##name(const struct qn_conv2d_args *a, const in_type *in, int32_t y, int32_t x, \
                                                   int32_t k, int32_t count, row_type *restrict row) {                 \
        const int32_t channels = a->in_c / a->group;                                                                   \
        for (int32_t done = 0; done < count;) {                                                                        \
            int32_t tap = (k + done) / channels, c = (k + done) % channels;                                            \
            int32_t n = channels - c < count - done ? channels - c : count - done;                                     \
            ptrdiff_t at = qn_conv2d_generic_tap(a, y, x, tap);                                                        \
            const in_type *p = in + at + c;                                                                            \
            if (at < 0)                                                                                                \
                for (int32_t i = 0; i < n; i++) row[done + i] = 0;                                                     \
            else                                                                                                       \
                for (int32_t i = 0; i < n; i++) row[done + i] = (row_type)(element);                                   \
            done += n;                                                                                                 \
        }                                                                                                              \
    }
QN_CONV2D_GENERIC_GATHER(s8, uint8_t, int16_t, (int8_t)(p[i] ^ a->flip) - a->in_zp)
// The sums of output channels [o, o + count) of one pixel, all of one group.
QN_INLINE void qn_conv2d_generic_sums(const struct qn_conv2d_args *a, const uint8_t *in, const int8_t *weight,
                                      const int32_t *bias, int32_t *acc, int32_t y, int32_t x, int32_t o, int32_t count) {
    const int32_t depth = a->kernel_h * a->kernel_w * (a->in_c / a->group);
    int16_t row[QN_DOT_CHUNK];
    for (int32_t j = 0; j < count; j++) acc[j] = bias[o + j];
    for (int32_t k = 0; k < depth; k += QN_DOT_CHUNK) {
        int32_t n = depth - k < QN_DOT_CHUNK ? depth - k : QN_DOT_CHUNK;
        qn_conv2d_generic_gather_s8(a, in, y, x, k, n, row);
        qn_dots_s8(row, weight + (ptrdiff_t)o * depth + k, depth, n, a->weight_zp, acc, count);
    }
}

// Some channels' results from their sums, with the residual added.
QN_INLINE void qn_conv2d_generic_add_s8(const struct qn_conv2d_add_args *a, const int32_t *acc, const float *m,
                                        const uint8_t *residual, uint8_t *out, int32_t count) {
    uint8_t sums[QN_DOT_OUTPUTS]; // the residual may be the output
    for (int32_t j = 0; j < count; j++) {
        const int32_t y = (int8_t)(residual[j] ^ a->flip) - a->residual_zp;
        const int32_t own = a->unrounded ? acc[j] : qn_requantize(acc[j], m[j], a->out_zp, a->lo, a->hi) - a->out_zp;
        const float own_m = a->unrounded ? m[j] : a->own_multiplier;
        sums[j] = (uint8_t)(qn_add(own, own_m, y, a->residual_multiplier, a->sum_zp, a->sum_lo, a->sum_hi) ^ a->flip);
    }
    for (int32_t j = 0; j < count; j++) out[j] = sums[j];
}

// `add`: a residual is added; it may be the output itself. NULL: none, and `form` says what is stored (gemm.h).
QN_INLINE void qn_conv2d_generic_rows_s8(const struct qn_conv2d_args *a, const struct qn_conv2d_add_args *add, int32_t form,
                                         const void *input, const void *weight, const void *bias, const float *multiplier,
                                         const void *residual, void *output, int32_t begin, int32_t end) {
    const int32_t in_channels = a->in_c / a->group, out_channels = a->out_c / a->group;
    for (int32_t r = begin; r < end; r++) {
        const int32_t y = r % a->out_h;
        const ptrdiff_t image = r / a->out_h;
        const uint8_t *in = (const uint8_t *)input + image * a->in_image;
        ptrdiff_t at = image * a->out_image + (ptrdiff_t)y * a->out_row;
        for (int32_t x = 0; x < a->out_w; x++, at += a->out_pixel)
            for (int32_t g = 0; g < a->group; g++)
                for (int32_t o = 0; o < out_channels; o += QN_DOT_OUTPUTS) {
                    const int32_t count = out_channels - o < QN_DOT_OUTPUTS ? out_channels - o : QN_DOT_OUTPUTS;
                    const int32_t channel = g * out_channels + o;
                    int32_t acc[QN_DOT_OUTPUTS];
                    qn_conv2d_generic_sums(a, in + g * in_channels, weight, bias, acc, y, x, channel, count);
                    if (!add)
                        gemm_store_plain(form, acc, multiplier + channel, (struct gemm_rounding){a->out_zp, a->lo, a->hi, a->flip}, output,
                                         at + channel, count);
                    else
                        qn_conv2d_generic_add_s8(add, acc, multiplier + channel, (const uint8_t *)residual + at + channel,
                                                 (uint8_t *)output + at + channel, count);
                }
    }
}

QN_CONV2D_GENERIC_GATHER(f32, float, float, p[i])

QN_INLINE void qn_conv2d_generic_f32(const struct qn_conv2d_args *a, const float *in, const float *weight,
                                     const float *bias, float *out, int32_t y, int32_t x, int32_t o, int32_t count) {
    const int32_t depth = a->kernel_h * a->kernel_w * (a->in_c / a->group);
    float row[QN_DOT_CHUNK], acc[QN_DOT_OUTPUTS];
    for (int32_t j = 0; j < count; j++) acc[j] = bias[o + j];
    for (int32_t k = 0; k < depth; k += QN_DOT_CHUNK) {
        int32_t n = depth - k < QN_DOT_CHUNK ? depth - k : QN_DOT_CHUNK;
        qn_conv2d_generic_gather_f32(a, in, y, x, k, n, row);
        qn_dots_f32(row, weight + (ptrdiff_t)o * depth + k, depth, n, acc, count);
    }
    for (int32_t j = 0; j < count; j++) out[o + j] = qn_clamp_f32(acc[j], a->min, a->max);
}

QN_INLINE void qn_conv2d_generic_rows_f32(const struct qn_conv2d_args *a, const void *input, const void *weight, const void *bias, void *output,
                                          int32_t begin, int32_t end) {
    const int32_t in_channels = a->in_c / a->group, out_channels = a->out_c / a->group;
    for (int32_t r = begin; r < end; r++) {
        const int32_t y = r % a->out_h;
        const ptrdiff_t image = r / a->out_h;
        const float *in = (const float *)input + image * a->in_image;
        float *out = (float *)output + image * a->out_image + (ptrdiff_t)y * a->out_row;
        for (int32_t x = 0; x < a->out_w; x++, out += a->out_pixel)
            for (int32_t g = 0; g < a->group; g++)
                for (int32_t o = 0; o < out_channels; o += QN_DOT_OUTPUTS) {
                    int32_t count = out_channels - o < QN_DOT_OUTPUTS ? out_channels - o : QN_DOT_OUTPUTS;
                    qn_conv2d_generic_f32(a, in + g * in_channels, weight, bias, out, y, x, g * out_channels + o,
                                          count);
                }
    }
}
#endif
