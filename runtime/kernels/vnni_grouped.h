// int8 convolution in groups for AVX512-VNNI. A unit is one group, or as many as a vector holds the output channels of;
// it is a dense convolution of its own, from some channels of each pixel to others, whose weights are zero between its
// groups.
#ifndef QN_VNNI_GROUPED_H
#define QN_VNNI_GROUPED_H
#include "runtime/kernels/conv_groups.h"
#include "runtime/kernels/vnni.h"

enum { VNNI_GROUPED_BYTES = 24576 }; // of the input that all units walk over before the next rows: it stays in the cache

// Units [begin, end) of a few rows, of `groups` groups each.
QN_INLINE void vnni_grouped_units(const struct qn_conv2d_args *a, const uint8_t *in, const int8_t *weight,
                                  const int32_t *bias, const float *m, uint8_t *out, int32_t y, int32_t rows, int32_t groups,
                                  int32_t units) {
    const int32_t in_c = a->in_c / a->group * groups, out_c = a->out_c / a->group * groups;
    const int32_t channels = (out_c + 15) / 16 * 16; // with those of the padding
    struct gemm g = gemm_of_conv2d(a, 4);
    g.segments_w = a->kernel_w; // each tap is a run
    g.segment_column = (int64_t)a->dilation_w * a->in_pixel;
    g.steps = (in_c + 3) / 4;
    g.inner.taps = 1;
    const int64_t unit_bytes = (int64_t)a->kernel_h * a->kernel_w * g.steps * 4 * channels;
    QN_NO_UNROLL for (int32_t u = 0; u < units; u++)
        vnni_image(&g, in + u * in_c, weight + u * unit_bytes, bias + u * channels, m + u * channels, out + u * out_c,
                   y, rows, a->out_w, out_c);
}

// All units of a few rows; the last may be of fewer groups.
QN_INLINE void vnni_grouped_rows(const struct qn_conv2d_args *a, const uint8_t *in, const int8_t *weight,
                                 const int32_t *bias, const float *m, uint8_t *out, int32_t y, int32_t rows) {
    const int32_t in_c = a->in_c / a->group, out_c = a->out_c / a->group;
    const int32_t groups = conv_unit_groups(a->group, a->out_c), units = a->group / groups, rest = a->group % groups;
    vnni_grouped_units(a, in, weight, bias, m, out, y, rows, groups, units);
    if (!rest) return;
    const int32_t channels = units * ((groups * out_c + 15) / 16 * 16), from = units * groups;
    const int64_t taps = (int64_t)a->kernel_h * a->kernel_w * ((groups * in_c + 3) / 4 * 4);
    vnni_grouped_units(a, in + from * in_c, weight + channels * taps, bias + channels, m + channels, out + from * out_c,
                       y, rows, rest, 1);
}

QN_INLINE void vnni_grouped(const struct qn_conv2d_args *a, const uint8_t *in, const int8_t *weight,
                            const int32_t *bias, const float *m, uint8_t *out, int32_t begin, int32_t end) {
    const int64_t step = (int64_t)a->stride_h * a->in_row;
    const int32_t most = step < VNNI_GROUPED_BYTES ? VNNI_GROUPED_BYTES / (int32_t)step : 1;
    QN_NO_UNROLL for (int32_t row = begin; row < end;) {
        const int32_t image = row / a->out_h, y = row % a->out_h;
        int32_t rows = a->out_h - y < end - row ? a->out_h - y : end - row;
        if (rows > most) rows = most;
        vnni_grouped_rows(a, in + (int64_t)image * a->in_image + y * step, weight, bias, m,
                          out + (int64_t)image * a->out_image + (int64_t)y * a->out_row, y, rows);
        row += rows;
    }
}
#endif
