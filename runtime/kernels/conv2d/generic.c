// Convolution, any shape.
#include "runtime/kernels/conv2d_generic.h"

QN_KERNEL qn_conv2d_s8s8_s8__any__generic(const struct qn_conv2d_args *a, const void *input, const void *weight,
                                          const void *bias, const void *multiplier, void *output, int32_t begin,
                                          int32_t end) {
    qn_conv2d_generic_rows_s8(a, NULL, GEMM_ROUNDED, input, weight, bias, multiplier, NULL, output, begin, end);
}

QN_KERNEL qn_conv2d_s8s8_i32__any__generic(const struct qn_conv2d_args *a, const void *input, const void *weight,
                                           const void *bias, const void *multiplier, void *output, int32_t begin,
                                           int32_t end) {
    qn_conv2d_generic_rows_s8(a, NULL, GEMM_SUMS, input, weight, bias, multiplier, NULL, output, begin, end);
}

QN_KERNEL qn_conv2d_s8s8_f32__any__generic(const struct qn_conv2d_args *a, const void *input, const void *weight,
                                           const void *bias, const void *multiplier, void *output, int32_t begin,
                                           int32_t end) {
    qn_conv2d_generic_rows_s8(a, NULL, GEMM_FLOATS, input, weight, bias, multiplier, NULL, output, begin, end);
}

QN_KERNEL qn_conv2d_f32f32_f32__any__generic(const struct qn_conv2d_args *a, const void *input, const void *weight,
                                             const void *bias, const void *multiplier, void *output, int32_t begin,
                                             int32_t end) {
    (void)multiplier;
    qn_conv2d_generic_rows_f32(a, input, weight, bias, output, begin, end);
}

// ---- 16-bit activations: sums in 64 bits

QN_CONV2D_GENERIC_GATHER(s16, int16_t, int32_t, p[i] - a->in_zp)

QN_INLINE void qn_conv2d_generic_s16(const struct qn_conv2d_args *a, const int16_t *in, const int8_t *weight, const int32_t *bias,
                                     const float *multiplier, int16_t *out, int32_t y, int32_t x, int32_t o, int32_t count) {
    const int32_t depth = a->kernel_h * a->kernel_w * (a->in_c / a->group);
    int32_t row[QN_DOT_WORDS];
    int64_t acc[QN_DOT_OUTPUTS];
    for (int32_t j = 0; j < count; j++) acc[j] = bias[o + j];
    for (int32_t k = 0; k < depth; k += QN_DOT_WORDS) {
        int32_t n = depth - k < QN_DOT_WORDS ? depth - k : QN_DOT_WORDS;
        qn_conv2d_generic_gather_s16(a, in, y, x, k, n, row);
        qn_dots_s16(row, weight + (ptrdiff_t)o * depth + k, depth, n, a->weight_zp, acc, count);
    }
    gemm_store_words(acc, multiplier + o, (struct gemm_rounding){a->out_zp, a->lo, a->hi, 0}, out + o, count);
}

QN_KERNEL qn_conv2d_s16s8_s16__any__generic(const struct qn_conv2d_args *a, const void *input, const void *weight,
                                            const void *bias, const void *multiplier, void *output, int32_t begin,
                                            int32_t end) {
    const int32_t in_channels = a->in_c / a->group, out_channels = a->out_c / a->group;
    for (int32_t r = begin; r < end; r++) {
        const int32_t y = r % a->out_h;
        const ptrdiff_t image = r / a->out_h;
        const int16_t *in = (const int16_t *)input + image * a->in_image;
        int16_t *out = (int16_t *)output + image * a->out_image + (ptrdiff_t)y * a->out_row;
        for (int32_t x = 0; x < a->out_w; x++, out += a->out_pixel)
            for (int32_t g = 0; g < a->group; g++)
                for (int32_t o = 0; o < out_channels; o += QN_DOT_OUTPUTS) {
                    int32_t count = out_channels - o < QN_DOT_OUTPUTS ? out_channels - o : QN_DOT_OUTPUTS;
                    qn_conv2d_generic_s16(a, in + g * in_channels, weight, bias, multiplier, out, y, x, g * out_channels + o,
                                          count);
                }
    }
}
