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

QN_INLINE void qn_conv2d_generic_gather_f32(const struct qn_conv2d_args *a, const float *in, int32_t y, int32_t x,
                                            int32_t k, int32_t count, float *restrict row) {
    const int32_t channels = a->in_c / a->group;
    for (int32_t done = 0; done < count;) {
        int32_t tap = (k + done) / channels, c = (k + done) % channels;
        int32_t n = channels - c < count - done ? channels - c : count - done;
        ptrdiff_t at = qn_conv2d_generic_tap(a, y, x, tap);
        if (at < 0)
            for (int32_t i = 0; i < n; i++) row[done + i] = 0;
        else
            for (int32_t i = 0; i < n; i++) row[done + i] = in[at + c + i];
        done += n;
    }
}

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

QN_KERNEL qn_conv2d_f32f32_f32__any__generic(const struct qn_conv2d_args *a, const void *input, const void *weight,
                                             const void *bias, const void *multiplier, void *output, int32_t begin,
                                             int32_t end) {
    const int32_t in_channels = a->in_c / a->group, out_channels = a->out_c / a->group;
    (void)multiplier;
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
