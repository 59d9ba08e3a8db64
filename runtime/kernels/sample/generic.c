// Values between the elements of images, in blocks of 64 channels. Sums in double.
#include "runtime/kernel.h"
#include "runtime/sampling.h"

enum { QN_SAMPLE_BLOCK = 64 };

// Adds the taps of one place; `in`: the image's channels from the block's first on.
QN_INLINE void qn_sample_generic_sum(const struct qn_sample_args *a, const float *in, const struct qn_taps *taps,
                                     int32_t channels, double *sum) {
    for (int32_t d = 0; d < taps[0].count; d++)
        for (int32_t h = 0; h < taps[1].count; h++)
            for (int32_t w = 0; w < taps[2].count; w++) {
                const int32_t z = taps[0].index[d], y = taps[1].index[h], x = taps[2].index[w];
                const double weight = (double)taps[0].weight[d] * taps[1].weight[h] * taps[2].weight[w];
                if (z < 0 || y < 0 || x < 0) continue;
                const float *p = in + (((ptrdiff_t)z * a->size[1] + y) * a->size[2] + x) * a->channels;
                for (int32_t c = 0; c < channels; c++) sum[c] += weight * p[c];
            }
}

QN_KERNEL qn_sample_f32_f32__any__generic(const struct qn_sample_args *a, const void *input, const void *places,
                                          void *output, int32_t begin, int32_t end) {
    const ptrdiff_t image = (ptrdiff_t)a->size[0] * a->size[1] * a->size[2] * a->channels;
    for (int32_t r = begin; r < end; r++) {
        const float *in = (const float *)input + (ptrdiff_t)(r / a->places) * image;
        const float *place = (const float *)places + (ptrdiff_t)r * a->spatial;
        float *out = (float *)output + (ptrdiff_t)r * a->channels;
        struct qn_taps taps[3];
        for (int32_t i = 0; i < 3; i++) {
            const int absent = i < 3 - a->spatial;
            taps[i] = qn_taps_at(absent ? 0.0f : place[2 - i], a->size[i], absent ? QN_NEAREST : a->mode, a->padding, a->align_corners);
        }
        for (int32_t c = 0; c < a->channels; c += QN_SAMPLE_BLOCK) {
            const int32_t count = a->channels - c < QN_SAMPLE_BLOCK ? a->channels - c : QN_SAMPLE_BLOCK;
            double sum[QN_SAMPLE_BLOCK] = {0};
            qn_sample_generic_sum(a, in + c, taps, count, sum);
            for (int32_t i = 0; i < count; i++) out[c + i] = (float)sum[i];
        }
    }
}
