// Maximum and average over windows, any shape, in blocks of 64 channels. Taps outside the image take no part; the count
// of an average is that of the taps inside the image, or inside the padded image.
#include "runtime/kernels/pool_window.h"

enum { QN_POOL_BLOCK = 64 };

// Channels [c, c + n) of one pixel whose window starts at (y0, x0).
QN_INLINE void qn_pool2d_generic_max_s8(const struct qn_pool2d_args *a, const uint8_t *in, uint8_t *out, int32_t n,
                                        int32_t y0, int32_t x0, struct qn_pool_range v, struct qn_pool_range h) {
    int8_t best[QN_POOL_BLOCK];
    for (int32_t j = 0; j < n; j++) best[j] = (int8_t)a->lo;
    for (int32_t i = v.from; i < v.to; i++)
        for (int32_t k = h.from; k < h.to; k++) {
            const uint8_t *p = in + (ptrdiff_t)(y0 + i * a->dilation_h) * a->in_row +
                               (ptrdiff_t)(x0 + k * a->dilation_w) * a->in_pixel;
            for (int32_t j = 0; j < n; j++) {
                int8_t q = (int8_t)(p[j] ^ a->flip);
                best[j] = q > best[j] ? q : best[j];
            }
        }
    for (int32_t j = 0; j < n; j++) out[j] = (uint8_t)(best[j] ^ a->flip);
}
QN_INLINE void qn_pool2d_generic_average_s8(const struct qn_pool2d_args *a, const uint8_t *in, float multiplier,
                                            uint8_t *out, int32_t n, int32_t y0, int32_t x0, struct qn_pool_range v,
                                            struct qn_pool_range h) {
    int32_t acc[QN_POOL_BLOCK] = {0};
    for (int32_t i = v.from; i < v.to; i++)
        for (int32_t k = h.from; k < h.to; k++) {
            const uint8_t *p = in + (ptrdiff_t)(y0 + i * a->dilation_h) * a->in_row +
                               (ptrdiff_t)(x0 + k * a->dilation_w) * a->in_pixel;
            for (int32_t j = 0; j < n; j++) acc[j] += (int8_t)(p[j] ^ a->flip) - a->in_zp;
        }
    for (int32_t j = 0; j < n; j++)
        out[j] = (uint8_t)(qn_requantize(acc[j], multiplier, a->out_zp, a->lo, a->hi) ^ a->flip);
}

QN_INLINE void qn_pool2d_generic_pixel_s8(const struct qn_pool2d_args *a, const uint8_t *in, const float *multipliers,
                                          uint8_t *out, int32_t y, int32_t x) {
    const int32_t y0 = y * a->stride_h - a->pad_top, x0 = x * a->stride_w - a->pad_left;
    struct qn_pool_range v = qn_pool_range_new(y0, a->dilation_h, a->kernel_h, 0, a->in_h);
    struct qn_pool_range h = qn_pool_range_new(x0, a->dilation_w, a->kernel_w, 0, a->in_w);
    float multiplier = 0.0f;
    if (a->mode == QN_POOL_AVERAGE) {
        int32_t count = qn_pool_count(a, y0, x0, v, h);
        if (count > 0) multiplier = multipliers[count];
    }
    for (int32_t c = 0; c < a->in_c; c += QN_POOL_BLOCK) {
        int32_t n = a->in_c - c < QN_POOL_BLOCK ? a->in_c - c : QN_POOL_BLOCK;
        if (a->mode == QN_POOL_MAX) qn_pool2d_generic_max_s8(a, in + c, out + c, n, y0, x0, v, h);
        else qn_pool2d_generic_average_s8(a, in + c, multiplier, out + c, n, y0, x0, v, h);
    }
}

QN_KERNEL qn_pool2d_s8_s8__any__generic(const struct qn_pool2d_args *a, const void *input, const void *multipliers,
                                        void *output, int32_t begin, int32_t end) {
    for (int32_t r = begin; r < end; r++) {
        const int32_t y = r % a->out_h;
        const ptrdiff_t image = r / a->out_h;
        const uint8_t *in = (const uint8_t *)input + image * a->in_image;
        uint8_t *out = (uint8_t *)output + image * a->out_image + (ptrdiff_t)y * a->out_row;
        for (int32_t x = 0; x < a->out_w; x++, out += a->out_pixel)
            qn_pool2d_generic_pixel_s8(a, in, multipliers, out, y, x);
    }
}

QN_INLINE void qn_pool2d_generic_block_f32(const struct qn_pool2d_args *a, const float *in, int32_t count, float *out,
                                           int32_t n, int32_t y0, int32_t x0, struct qn_pool_range v,
                                           struct qn_pool_range h) {
    float acc[QN_POOL_BLOCK];
    for (int32_t j = 0; j < n; j++) acc[j] = a->mode == QN_POOL_MAX ? -__builtin_inff() : 0.0f;
    for (int32_t i = v.from; i < v.to; i++)
        for (int32_t k = h.from; k < h.to; k++) {
            const float *p = in + (ptrdiff_t)(y0 + i * a->dilation_h) * a->in_row +
                             (ptrdiff_t)(x0 + k * a->dilation_w) * a->in_pixel;
            if (a->mode == QN_POOL_MAX)
                for (int32_t j = 0; j < n; j++) acc[j] = ((p[j] > acc[j]) | (p[j] != p[j])) ? p[j] : acc[j]; // NaN stays
            else
                for (int32_t j = 0; j < n; j++) acc[j] += p[j];
        }
    if (a->mode == QN_POOL_AVERAGE && count > 0)
        for (int32_t j = 0; j < n; j++) acc[j] = acc[j] / (float)count;
    for (int32_t j = 0; j < n; j++) out[j] = acc[j];
}

QN_KERNEL qn_pool2d_f32_f32__any__generic(const struct qn_pool2d_args *a, const void *input, const void *multipliers,
                                          void *output, int32_t begin, int32_t end) {
    (void)multipliers;
    for (int32_t r = begin; r < end; r++) {
        const int32_t y0 = r % a->out_h * a->stride_h - a->pad_top;
        const ptrdiff_t image = r / a->out_h;
        const float *in = (const float *)input + image * a->in_image;
        float *out = (float *)output + image * a->out_image + (ptrdiff_t)(r % a->out_h) * a->out_row;
        struct qn_pool_range v = qn_pool_range_new(y0, a->dilation_h, a->kernel_h, 0, a->in_h);
        for (int32_t x = 0; x < a->out_w; x++, out += a->out_pixel) {
            const int32_t x0 = x * a->stride_w - a->pad_left;
            struct qn_pool_range h = qn_pool_range_new(x0, a->dilation_w, a->kernel_w, 0, a->in_w);
            const int32_t count = qn_pool_count(a, y0, x0, v, h);
            for (int32_t c = 0; c < a->in_c; c += QN_POOL_BLOCK) {
                int32_t n = a->in_c - c < QN_POOL_BLOCK ? a->in_c - c : QN_POOL_BLOCK;
                qn_pool2d_generic_block_f32(a, in + c, count, out + c, n, y0, x0, v, h);
            }
        }
    }
}

// ---- 16-bit activations: sums in 64 bits

QN_INLINE void qn_pool2d_generic_block_s16(const struct qn_pool2d_args *a, const int16_t *in, float multiplier, int16_t *out, int32_t n,
                                           int32_t y0, int32_t x0, struct qn_pool_range v, struct qn_pool_range h) {
    int64_t acc[QN_POOL_BLOCK];
    for (int32_t j = 0; j < n; j++) acc[j] = a->mode == QN_POOL_MAX ? a->lo : 0;
    for (int32_t i = v.from; i < v.to; i++)
        for (int32_t k = h.from; k < h.to; k++) {
            const int16_t *p = in + (ptrdiff_t)(y0 + i * a->dilation_h) * a->in_row +
                               (ptrdiff_t)(x0 + k * a->dilation_w) * a->in_pixel;
            if (a->mode == QN_POOL_MAX)
                for (int32_t j = 0; j < n; j++) acc[j] = p[j] > acc[j] ? p[j] : acc[j];
            else
                for (int32_t j = 0; j < n; j++) acc[j] += p[j] - a->in_zp;
        }
    for (int32_t j = 0; j < n; j++)
        out[j] = (int16_t)(a->mode == QN_POOL_MAX ? acc[j] : qn_requantize_wide(acc[j], multiplier, a->out_zp, a->lo, a->hi));
}

QN_KERNEL qn_pool2d_s16_s16__any__generic(const struct qn_pool2d_args *a, const void *input, const void *multipliers,
                                          void *output, int32_t begin, int32_t end) {
    for (int32_t r = begin; r < end; r++) {
        const int32_t y0 = r % a->out_h * a->stride_h - a->pad_top;
        const ptrdiff_t image = r / a->out_h;
        const int16_t *in = (const int16_t *)input + image * a->in_image;
        int16_t *out = (int16_t *)output + image * a->out_image + (ptrdiff_t)(r % a->out_h) * a->out_row;
        struct qn_pool_range v = qn_pool_range_new(y0, a->dilation_h, a->kernel_h, 0, a->in_h);
        for (int32_t x = 0; x < a->out_w; x++, out += a->out_pixel) {
            const int32_t x0 = x * a->stride_w - a->pad_left;
            struct qn_pool_range h = qn_pool_range_new(x0, a->dilation_w, a->kernel_w, 0, a->in_w);
            const int32_t count = a->mode == QN_POOL_AVERAGE ? qn_pool_count(a, y0, x0, v, h) : 0;
            const float multiplier = count > 0 ? ((const float *)multipliers)[count] : 0.0f;
            for (int32_t c = 0; c < a->in_c; c += QN_POOL_BLOCK) {
                int32_t n = a->in_c - c < QN_POOL_BLOCK ? a->in_c - c : QN_POOL_BLOCK;
                qn_pool2d_generic_block_s16(a, in + c, multiplier, out + c, n, y0, x0, v, h);
            }
        }
    }
}
