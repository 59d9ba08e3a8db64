// Depthwise convolution, any shape: blocks of 32 channels whose weights are first transposed into a local array
// (taps x channels), so that the loop over channels is dense; windows of more than 49 taps read them in place.
#include "runtime/dot.h"

enum { QN_DEPTHWISE_BLOCK = 32, QN_DEPTHWISE_TAPS = 49 };

// Weights of one channel block: element [tap, j] is at tap * tap_stride + j * channel_stride.
struct qn_depthwise_block {
    int32_t first, count;
    ptrdiff_t tap_stride, channel_stride;
};

// The taps [from, to) of one dimension that fall inside the image.
struct qn_depthwise_range { int32_t from, to; };
QN_INLINE struct qn_depthwise_range qn_depthwise_generic_range(int32_t start, int32_t dilation, int32_t taps,
                                                               int32_t size, int32_t padded) {
    struct qn_depthwise_range range = {0, taps};
    if (!padded) return range;
    while (range.from < taps && start + range.from * dilation < 0) range.from++;
    while (range.to > range.from && start + (range.to - 1) * dilation >= size) range.to--;
    return range;
}

QN_INLINE void qn_depthwise_generic_pixel_s8(const struct qn_depthwise_args *a, const uint8_t *in, const int8_t *weight,
                                             struct qn_depthwise_block b, int32_t y, int32_t x, int32_t *restrict acc) {
    const int32_t y0 = y * a->stride_h - a->pad_top, x0 = x * a->stride_w - a->pad_left;
    const int32_t repeat = a->out_c / a->in_c;
    struct qn_depthwise_range v = qn_depthwise_generic_range(y0, a->dilation_h, a->kernel_h, a->in_h, a->padded);
    struct qn_depthwise_range h = qn_depthwise_generic_range(x0, a->dilation_w, a->kernel_w, a->in_w, a->padded);
    for (int32_t i = v.from; i < v.to; i++)
        for (int32_t k = h.from; k < h.to; k++) {
            const uint8_t *p = in + (ptrdiff_t)(y0 + i * a->dilation_h) * a->in_row +
                               (ptrdiff_t)(x0 + k * a->dilation_w) * a->in_pixel;
            const int8_t *w = weight + (i * a->kernel_w + k) * b.tap_stride;
            if (repeat == 1 && b.channel_stride == 1)
                for (int32_t j = 0; j < b.count; j++)
                    acc[j] += (int16_t)((int8_t)(p[b.first + j] ^ a->flip) - a->in_zp) * (int16_t)(w[j] - a->weight_zp);
            else
                for (int32_t j = 0; j < b.count; j++)
                    acc[j] += ((int8_t)(p[(b.first + j) / repeat] ^ a->flip) - a->in_zp) *
                              (w[j * b.channel_stride] - a->weight_zp);
        }
}

QN_INLINE void qn_depthwise_generic_rows_s8(const struct qn_depthwise_args *a, const uint8_t *input, const int8_t *weight,
                                            const int32_t *bias, const float *multiplier, uint8_t *output,
                                            struct qn_depthwise_block b, int32_t begin, int32_t end) {
    for (int32_t r = begin; r < end; r++) {
        const ptrdiff_t image = r / a->out_h;
        const int32_t y = r % a->out_h;
        uint8_t *out = output + image * a->out_image + (ptrdiff_t)y * a->out_row + b.first;
        for (int32_t x = 0; x < a->out_w; x++, out += a->out_pixel) {
            int32_t acc[QN_DEPTHWISE_BLOCK];
            for (int32_t j = 0; j < b.count; j++) acc[j] = bias[b.first + j];
            qn_depthwise_generic_pixel_s8(a, input + image * a->in_image, weight, b, y, x, acc);
            for (int32_t j = 0; j < b.count; j++)
                out[j] = (uint8_t)(qn_requantize(acc[j], multiplier[b.first + j], a->out_zp, a->lo, a->hi) ^ a->flip);
        }
    }
}

// The block from channel c on; *weight: its weights, in `local` where that holds them.
QN_INLINE struct qn_depthwise_block qn_depthwise_generic_block_s8(const struct qn_depthwise_args *a, const int8_t **weight, int32_t c,
                                                                  int8_t *local) {
    const int32_t taps = a->kernel_h * a->kernel_w;
    struct qn_depthwise_block b = {c, a->out_c - c, 1, taps};
    const int8_t *w = *weight + (ptrdiff_t)c * taps;
    if (b.count > QN_DEPTHWISE_BLOCK) b.count = QN_DEPTHWISE_BLOCK;
    *weight = w;
    if (taps > QN_DEPTHWISE_TAPS) return b;
    for (int32_t j = 0; j < b.count; j++)
        for (int32_t t = 0; t < taps; t++) local[t * QN_DEPTHWISE_BLOCK + j] = w[j * taps + t];
    b.tap_stride = QN_DEPTHWISE_BLOCK, b.channel_stride = 1;
    *weight = local;
    return b;
}

QN_KERNEL qn_depthwise_s8s8_s8__any__generic(const struct qn_depthwise_args *a, const void *input, const void *weight,
                                             const void *bias, const void *multiplier, void *output, int32_t begin,
                                             int32_t end) {
    int8_t local[QN_DEPTHWISE_TAPS * QN_DEPTHWISE_BLOCK];
    for (int32_t c = 0; c < a->out_c; c += QN_DEPTHWISE_BLOCK) {
        const int8_t *w = weight;
        const struct qn_depthwise_block b = qn_depthwise_generic_block_s8(a, &w, c, local);
        qn_depthwise_generic_rows_s8(a, input, w, bias, multiplier, output, b, begin, end);
    }
}

QN_INLINE void qn_depthwise_generic_pixel_f32(const struct qn_depthwise_args *a, const float *in, const float *weight,
                                              struct qn_depthwise_block b, int32_t y, int32_t x, float *restrict acc) {
    const int32_t y0 = y * a->stride_h - a->pad_top, x0 = x * a->stride_w - a->pad_left;
    const int32_t repeat = a->out_c / a->in_c;
    struct qn_depthwise_range v = qn_depthwise_generic_range(y0, a->dilation_h, a->kernel_h, a->in_h, a->padded);
    struct qn_depthwise_range h = qn_depthwise_generic_range(x0, a->dilation_w, a->kernel_w, a->in_w, a->padded);
    for (int32_t i = v.from; i < v.to; i++)
        for (int32_t k = h.from; k < h.to; k++) {
            const float *p = in + (ptrdiff_t)(y0 + i * a->dilation_h) * a->in_row +
                             (ptrdiff_t)(x0 + k * a->dilation_w) * a->in_pixel;
            const float *w = weight + (i * a->kernel_w + k) * b.tap_stride;
            if (repeat == 1 && b.channel_stride == 1)
                for (int32_t j = 0; j < b.count; j++) acc[j] += p[b.first + j] * w[j];
            else
                for (int32_t j = 0; j < b.count; j++) acc[j] += p[(b.first + j) / repeat] * w[j * b.channel_stride];
        }
}

QN_INLINE void qn_depthwise_generic_rows_f32(const struct qn_depthwise_args *a, const float *input, const float *weight,
                                             const float *bias, float *output, struct qn_depthwise_block b,
                                             int32_t begin, int32_t end) {
    for (int32_t r = begin; r < end; r++) {
        const ptrdiff_t image = r / a->out_h;
        const int32_t y = r % a->out_h;
        float *out = output + image * a->out_image + (ptrdiff_t)y * a->out_row + b.first;
        for (int32_t x = 0; x < a->out_w; x++, out += a->out_pixel) {
            float acc[QN_DEPTHWISE_BLOCK];
            for (int32_t j = 0; j < b.count; j++) acc[j] = bias[b.first + j];
            qn_depthwise_generic_pixel_f32(a, input + image * a->in_image, weight, b, y, x, acc);
            for (int32_t j = 0; j < b.count; j++) out[j] = qn_clamp_f32(acc[j], a->min, a->max);
        }
    }
}

QN_KERNEL qn_depthwise_f32f32_f32__any__generic(const struct qn_depthwise_args *a, const void *input,
                                                const void *weight, const void *bias, const void *multiplier,
                                                void *output, int32_t begin, int32_t end) {
    const int32_t taps = a->kernel_h * a->kernel_w;
    float local[QN_DEPTHWISE_TAPS * QN_DEPTHWISE_BLOCK];
    (void)multiplier;
    for (int32_t c = 0; c < a->out_c; c += QN_DEPTHWISE_BLOCK) {
        struct qn_depthwise_block b = {c, a->out_c - c, 1, taps};
        const float *w = (const float *)weight + (ptrdiff_t)c * taps;
        if (b.count > QN_DEPTHWISE_BLOCK) b.count = QN_DEPTHWISE_BLOCK;
        if (taps <= QN_DEPTHWISE_TAPS) {
            for (int32_t j = 0; j < b.count; j++)
                for (int32_t t = 0; t < taps; t++) local[t * QN_DEPTHWISE_BLOCK + j] = w[j * taps + t];
            b.tap_stride = QN_DEPTHWISE_BLOCK, b.channel_stride = 1;
            w = local;
        }
        qn_depthwise_generic_rows_f32(a, input, w, bias, output, b, begin, end);
    }
}

// ---- 16-bit activations: sums in 64 bits, of so many taps at once in 32

QN_INLINE void qn_depthwise_generic_pixel_s16(const struct qn_depthwise_args *a, const int16_t *in, const int8_t *weight,
                                              struct qn_depthwise_block b, int32_t y, int32_t x, int64_t *restrict acc) {
    const int32_t y0 = y * a->stride_h - a->pad_top, x0 = x * a->stride_w - a->pad_left;
    const int32_t repeat = a->out_c / a->in_c;
    struct qn_depthwise_range v = qn_depthwise_generic_range(y0, a->dilation_h, a->kernel_h, a->in_h, a->padded);
    struct qn_depthwise_range h = qn_depthwise_generic_range(x0, a->dilation_w, a->kernel_w, a->in_w, a->padded);
    int32_t part[QN_DEPTHWISE_BLOCK] = {0}, taken = 0;
    for (int32_t i = v.from; i < v.to; i++)
        for (int32_t k = h.from; k < h.to; k++) {
            const int16_t *p = in + (ptrdiff_t)(y0 + i * a->dilation_h) * a->in_row +
                               (ptrdiff_t)(x0 + k * a->dilation_w) * a->in_pixel;
            const int8_t *w = weight + (i * a->kernel_w + k) * b.tap_stride;
            if (repeat == 1 && b.channel_stride == 1)
                for (int32_t j = 0; j < b.count; j++) part[j] += (p[b.first + j] - a->in_zp) * (w[j] - a->weight_zp);
            else
                for (int32_t j = 0; j < b.count; j++)
                    part[j] += (p[(b.first + j) / repeat] - a->in_zp) * (w[j * b.channel_stride] - a->weight_zp);
            if (++taken < QN_DEPTHWISE_TAPS) continue;
            for (int32_t j = 0; j < b.count; j++) acc[j] += part[j], part[j] = 0;
            taken = 0;
        }
    for (int32_t j = 0; j < b.count; j++) acc[j] += part[j];
}

QN_INLINE void qn_depthwise_generic_rows_s16(const struct qn_depthwise_args *a, const int16_t *input, const int8_t *weight,
                                             const int32_t *bias, const float *multiplier, int16_t *output,
                                             struct qn_depthwise_block b, int32_t begin, int32_t end) {
    for (int32_t r = begin; r < end; r++) {
        const ptrdiff_t image = r / a->out_h;
        const int32_t y = r % a->out_h;
        int16_t *out = output + image * a->out_image + (ptrdiff_t)y * a->out_row + b.first;
        for (int32_t x = 0; x < a->out_w; x++, out += a->out_pixel) {
            int64_t acc[QN_DEPTHWISE_BLOCK];
            for (int32_t j = 0; j < b.count; j++) acc[j] = bias[b.first + j];
            qn_depthwise_generic_pixel_s16(a, input + image * a->in_image, weight, b, y, x, acc);
            for (int32_t j = 0; j < b.count; j++)
                out[j] = (int16_t)qn_requantize_wide(acc[j], multiplier[b.first + j], a->out_zp, a->lo, a->hi);
        }
    }
}

QN_KERNEL qn_depthwise_s16s8_s16__any__generic(const struct qn_depthwise_args *a, const void *input, const void *weight,
                                               const void *bias, const void *multiplier, void *output, int32_t begin,
                                               int32_t end) {
    int8_t local[QN_DEPTHWISE_TAPS * QN_DEPTHWISE_BLOCK];
    for (int32_t c = 0; c < a->out_c; c += QN_DEPTHWISE_BLOCK) {
        const int8_t *w = weight;
        const struct qn_depthwise_block b = qn_depthwise_generic_block_s8(a, &w, c, local);
        qn_depthwise_generic_rows_s16(a, input, w, bias, multiplier, output, b, begin, end);
    }
}
