// Where the maximum of each window lies.
#include "runtime/kernel.h"

QN_INLINE int64_t qn_max_pool_index_generic_find(const struct qn_max_pool_index_args *a, const float *in, const int32_t *first) {
    int64_t found = -1;
    float best = 0;
    for (int32_t d = 0; d < a->window[0]; d++)
        for (int32_t h = 0; h < a->window[1]; h++)
            for (int32_t w = 0; w < a->window[2]; w++) {
                const int32_t z = first[0] + d * a->dilation[0], y = first[1] + h * a->dilation[1];
                const int32_t x = first[2] + w * a->dilation[2];
                if (z < 0 || z >= a->in[0] || y < 0 || y >= a->in[1] || x < 0 || x >= a->in[2]) continue;
                const int64_t at = ((int64_t)z * a->in[1] + y) * a->in[2] + x;
                const float value = in[at * a->channels];
                if (found >= 0 && !(value > best || (value != value && best == best))) continue;
                found = at;
                best = value;
            }
    return found < 0 ? 0 : found;
}

QN_KERNEL qn_max_pool_index_f32_i64__any__generic(const struct qn_max_pool_index_args *a, const void *input,
                                                  void *output, int32_t begin, int32_t end) {
    for (int32_t r = begin; r < end; r++) {
        const int32_t w = r % a->out[2], h = r / a->out[2] % a->out[1], d = r / a->out[2] / a->out[1] % a->out[0];
        const int32_t image = r / a->out[2] / a->out[1] / a->out[0];
        const int32_t first[3] = {d * a->stride[0] - a->pad[0], h * a->stride[1] - a->pad[1], w * a->stride[2] - a->pad[2]};
        const float *in = (const float *)input + (ptrdiff_t)image * a->in[0] * a->in[1] * a->in[2] * a->channels;
        for (int32_t c = 0; c < a->channels; c++)
            ((int64_t *)output)[(ptrdiff_t)r * a->channels + c] = qn_max_pool_index_generic_find(a, in + c, first);
    }
}
