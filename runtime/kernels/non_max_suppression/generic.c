// Boxes in the order of their scores, those left out that overlap a better one. All in single precision, each operation
// rounded, so that the choice is the same everywhere.
#include "runtime/kernel.h"

struct qn_nms_generic_box { float low[2], high[2]; };

QN_INLINE struct qn_nms_generic_box qn_nms_generic_box_at(const struct qn_non_max_suppression_args *a, const float *p) {
    struct qn_nms_generic_box box;
    for (int32_t i = 0; i < 2; i++) {
        const float half = p[2 + i] / 2.0f;
        const float first = a->center ? p[i] - half : p[i], second = a->center ? p[i] + half : p[2 + i];
        box.low[i] = a->center || first <= second ? first : second;
        box.high[i] = a->center || first <= second ? second : first;
    }
    return box;
}

QN_INLINE int qn_nms_generic_overlap(const struct qn_non_max_suppression_args *a, const float *p, const float *q) {
    const struct qn_nms_generic_box x = qn_nms_generic_box_at(a, p), y = qn_nms_generic_box_at(a, q);
    float side[2];
    for (int32_t i = 0; i < 2; i++) {
        const float low = x.low[i] > y.low[i] ? x.low[i] : y.low[i];
        const float high = x.high[i] < y.high[i] ? x.high[i] : y.high[i];
        if (!(high > low)) return 0;
        side[i] = high - low;
    }
    const float common = side[0] * side[1];
    const float area_x = (x.high[0] - x.low[0]) * (x.high[1] - x.low[1]);
    const float area_y = (y.high[0] - y.low[0]) * (y.high[1] - y.low[1]);
    const float total = area_x + area_y;
    const float joined = total - common;
    if (!(common > 0 && area_x > 0 && area_y > 0 && joined > 0)) return 0;
    return common / joined > a->iou_threshold;
}

QN_KERNEL qn_non_max_suppression_f32_i64__any__generic(const struct qn_non_max_suppression_args *a, const void *boxes,
                                                       const void *scores, const void *order, void *output,
                                                       int32_t begin, int32_t end) {
    for (int32_t r = begin; r < end; r++) {
        const float *box = (const float *)boxes + (ptrdiff_t)(r / a->classes) * a->boxes * 4;
        const float *score = (const float *)scores + (ptrdiff_t)r * a->boxes;
        const int64_t *next = (const int64_t *)order + (ptrdiff_t)r * a->boxes;
        int64_t *out = (int64_t *)output + (ptrdiff_t)r * a->most;
        int32_t found = 0;
        for (int32_t i = 0; i < a->boxes && found < a->most; i++) {
            const int64_t at = next[i];
            int keep = at >= 0 && at < a->boxes && score[at] > a->score_threshold;
            for (int32_t k = 0; k < found && keep; k++) keep = !qn_nms_generic_overlap(a, box + 4 * at, box + 4 * out[k]);
            if (keep) out[found++] = at;
        }
        while (found < a->most) out[found++] = -1;
    }
}
