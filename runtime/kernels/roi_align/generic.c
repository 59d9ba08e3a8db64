// Means (or maxima) of samples in the bins of regions, in blocks of 64 channels. Sums in double.
#include "runtime/kernel.h"
#include "runtime/sampling.h"

enum { QN_ROI_ALIGN_BLOCK = 64 };

// One sample: its four elements times their weights are added, or each is compared.
QN_INLINE void qn_roi_align_generic_sample(const struct qn_roi_align_args *a, const float *in, const struct qn_taps *v,
                                           const struct qn_taps *h, int32_t channels, int32_t first, double *out) {
    for (int32_t i = 0; i < 4; i++) {
        const int32_t y = v->index[i / 2], x = h->index[i % 2], inside = y >= 0 && x >= 0;
        const double weight = inside ? (double)v->weight[i / 2] * h->weight[i % 2] : 0;
        const float *p = inside ? in + ((ptrdiff_t)y * a->in_w + x) * a->channels : in;
        for (int32_t c = 0; c < channels; c++) {
            const double value = inside ? weight * p[c] : 0;
            if (!a->max) out[c] += value;
            else if ((first && i == 0) || value > out[c]) out[c] = value;
        }
    }
}

QN_KERNEL qn_roi_align_f32_f32__any__generic(const struct qn_roi_align_args *a, const void *input, const void *rois,
                                             const void *images, void *output, int32_t begin, int32_t end) {
    for (int32_t r = begin; r < end; r++) {
        const int32_t roi = r / (a->out_h * a->out_w), y = r / a->out_w % a->out_h, x = r % a->out_w;
        const float *p = (const float *)rois + (ptrdiff_t)roi * 4;
        const int64_t at = ((const int64_t *)images)[roi], image = at < 0 ? 0 : at >= a->images ? a->images - 1 : at;
        const float *in = (const float *)input + (ptrdiff_t)image * a->in_h * a->in_w * a->channels;
        const struct qn_region v = qn_region_of(p[1], p[3], a->out_h, a->sampling_ratio, a->half_pixel, a->spatial_scale);
        const struct qn_region h = qn_region_of(p[0], p[2], a->out_w, a->sampling_ratio, a->half_pixel, a->spatial_scale);
        const int32_t samples = v.samples * h.samples;
        for (int32_t c = 0; c < a->channels; c += QN_ROI_ALIGN_BLOCK) {
            const int32_t count = a->channels - c < QN_ROI_ALIGN_BLOCK ? a->channels - c : QN_ROI_ALIGN_BLOCK;
            double sum[QN_ROI_ALIGN_BLOCK] = {0};
            for (int32_t i = 0; i < samples; i++) {
                const struct qn_taps rows = qn_region_taps(&v, y, i / h.samples, a->in_h);
                const struct qn_taps columns = qn_region_taps(&h, x, i % h.samples, a->in_w);
                qn_roi_align_generic_sample(a, in + c, &rows, &columns, count, i == 0, sum);
            }
            for (int32_t i = 0; i < count; i++)
                ((float *)output)[(ptrdiff_t)r * a->channels + c + i] = (float)(a->max || !samples ? sum[i] : sum[i] / samples);
        }
    }
}
