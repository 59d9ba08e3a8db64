// The meaning of ops that read signals and images at places or frequencies of their own.
#include <math.h>
#include <string.h>

#include "ir/eval_common.h"
#include "runtime/sampling.h"

bool eval_dft(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag, (void)op;
    const int64_t *shape = operands[0]->type->shape, length = shape[1], parts = shape[2], bins = results[0]->type->shape[1];
    const double *roots = operands[1]->data;
    for (int64_t i = 0; i < shape[0] * bins; i++) {
        double real = 0, imaginary = 0;
        for (int64_t j = 0; j < length; j++) {
            const double *root = roots + j * (i % bins) % length * 2;
            int64_t at = (i / bins * length + j) * parts;
            double x = tensor_f64(operands[0], at), y = parts == 2 ? tensor_f64(operands[0], at + 1) : 0;
            real += x * root[0] - y * root[1];
            imaginary += x * root[1] + y * root[0];
        }
        tensor_set_f64(results[0], 2 * i, real);
        tensor_set_f64(results[0], 2 * i + 1, imaginary);
    }
    return true;
}

// ---- sample: places are rounded as kernels round them, sums are taken in double

static int word_index(const char *text, const char *const *words) {
    int i = 0;
    while (strcmp(words[i], text)) i++;
    return i;
}

bool eval_sample(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    static const char *const modes[] = {"nearest", "linear", "cubic"}, *const paddings[] = {"zeros", "border", "reflection"};
    (void)diag;
    sample_view sample = as_sample(op);
    const Type *input = operands[0]->type;
    int spatial = input->rank - 2, mode = word_index(sample.mode, modes), padding = word_index(sample.padding, paddings);
    int64_t channels = input->shape[input->rank - 1], places = type_elem_count(operands[1]->type) / spatial, size[3] = {1, 1, 1};
    memcpy(size + 3 - spatial, input->shape + 1, sizeof *size * (size_t)spatial);
    for (int64_t p = 0; p < places; p++) {
        struct qn_taps taps[3];
        for (int i = 0; i < 3; i++) {
            bool absent = i < 3 - spatial;
            float x = absent ? 0 : (float)tensor_f64(operands[1], p * spatial + 2 - i);
            taps[i] = qn_taps_at(x, (int32_t)size[i], absent ? QN_NEAREST : mode, padding, sample.align_corners);
        }
        for (int64_t c = 0; c < channels; c++) {
            double sum = 0;
            for (int k = 0; k < 64; k++) {
                int d = k / 16, h = k / 4 % 4, w = k % 4;
                if (d >= taps[0].count || h >= taps[1].count || w >= taps[2].count) continue;
                int64_t z = taps[0].index[d], y = taps[1].index[h], x = taps[2].index[w], image = p / (places / input->shape[0]);
                if (z < 0 || y < 0 || x < 0) continue;
                sum += (double)taps[0].weight[d] * taps[1].weight[h] * taps[2].weight[w] *
                       tensor_f64(operands[0], (((image * size[0] + z) * size[1] + y) * size[2] + x) * channels + c);
            }
            tensor_set_f64(results[0], p * channels + c, sum);
        }
    }
    return true;
}

// ---- roi_align

// One bin of one channel; `at`: the image's element [0, 0] of that channel.
static double pool_bin(const roi_align_view *roi, const Tensor *input, int64_t at, const struct qn_region *v, const struct qn_region *h,
                       int32_t y, int32_t x) {
    const int64_t *shape = input->type->shape;
    double result = 0;
    int32_t samples = v->samples * h->samples;
    for (int32_t i = 0; i < samples; i++) {
        struct qn_taps rows = qn_region_taps(v, y, i / h->samples, (int32_t)shape[1]);
        struct qn_taps columns = qn_region_taps(h, x, i % h->samples, (int32_t)shape[2]);
        for (int k = 0; k < 4; k++) {
            int64_t row = rows.index[k / 2], column = columns.index[k % 2];
            double value = 0;
            if (row >= 0 && column >= 0)
                value = (double)rows.weight[k / 2] * columns.weight[k % 2] * tensor_f64(input, at + (row * shape[2] + column) * shape[3]);
            if (!roi->max) result += value;
            else if ((!i && !k) || value > result) result = value;
        }
    }
    return roi->max || !samples ? result : result / samples;
}

bool eval_roi_align(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag;
    roi_align_view roi = as_roi_align(op);
    const int64_t *shape = operands[0]->type->shape, bins = roi.height * roi.width;
    int64_t count = type_elem_count(results[0]->type);
    for (int64_t i = 0; i < count; i++) {
        int64_t n = i / shape[3] / bins, bin = i / shape[3] % bins, image = tensor_i64(operands[2], n);
        const float *p = (const float *)operands[1]->data + 4 * n;
        image = image < 0 ? 0 : image >= shape[0] ? shape[0] - 1 : image;
        struct qn_region v = qn_region_of(p[1], p[3], (int32_t)roi.height, (int32_t)roi.sampling_ratio, roi.half_pixel, (float)roi.spatial_scale);
        struct qn_region h = qn_region_of(p[0], p[2], (int32_t)roi.width, (int32_t)roi.sampling_ratio, roi.half_pixel, (float)roi.spatial_scale);
        int64_t at = image * shape[1] * shape[2] * shape[3] + i % shape[3];
        tensor_set_f64(results[0], i, pool_bin(&roi, operands[0], at, &v, &h, (int32_t)(bin / roi.width), (int32_t)(bin % roi.width)));
    }
    return true;
}

// ---- max_pool_index

// The place of the largest element of the window whose first tap is at `first`; 0 when no tap is inside.
static int64_t find_largest(const max_pool_index_view *pool, const Tensor *input, int64_t at, const int64_t *first) {
    const int64_t *in = input->type->shape + 1, *kernel = pool->kernel.data;
    int64_t found = -1;
    double best = 0;
    for (int64_t k = 0; k < kernel[0] * kernel[1] * kernel[2]; k++) {
        int64_t z = first[0] + k / (kernel[1] * kernel[2]) * int_at(pool->dilations, 0);
        int64_t y = first[1] + k / kernel[2] % kernel[1] * int_at(pool->dilations, 1), x = first[2] + k % kernel[2] * int_at(pool->dilations, 2);
        if (z < 0 || z >= in[0] || y < 0 || y >= in[1] || x < 0 || x >= in[2]) continue;
        int64_t place = (z * in[1] + y) * in[2] + x;
        double value = tensor_f64(input, at + place * in[3]);
        if (found >= 0 && !(value > best || (isnan(value) && !isnan(best)))) continue;
        found = place;
        best = value;
    }
    return found < 0 ? 0 : found;
}

bool eval_max_pool_index(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag;
    max_pool_index_view pool = as_max_pool_index(op);
    const int64_t *in = operands[0]->type->shape, *out = results[0]->type->shape;
    for (int64_t i = 0; i < type_elem_count(results[0]->type); i++) {
        int64_t rest = i / out[4], first[3];
        for (int k = 2; k >= 0; rest /= out[1 + k], k--)
            first[k] = rest % out[1 + k] * int_at(pool.strides, k) - int_at(pool.pads, k);
        int64_t at = rest * in[1] * in[2] * in[3] * in[4] + i % in[4];
        tensor_set_i64(results[0], i, find_largest(&pool, operands[0], at, first));
    }
    return true;
}

// ---- eliminate

static void eliminate(double *m, int64_t n) {
    for (int64_t k = 0; k < n; k++) {
        int64_t pivot = k;
        for (int64_t i = k + 1; i < n; i++)
            if (fabs(m[i * n + k]) > fabs(m[pivot * n + k])) pivot = i;
        for (int64_t j = 0; j < n && pivot != k; j++) {
            double x = m[k * n + j];
            m[k * n + j] = m[pivot * n + j];
            m[pivot * n + j] = -x;
        }
        for (int64_t i = k + 1; i < n; i++) {
            double factor = m[k * n + k] != 0 ? m[i * n + k] / m[k * n + k] : 0;
            for (int64_t j = k; j < n; j++) m[i * n + j] = j == k ? 0 : (double)(float)(m[i * n + j] - factor * m[k * n + j]);
        }
    }
}

bool eval_eliminate(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag, (void)op;
    const Type *type = results[0]->type;
    int64_t n = type->shape[type->rank - 1], count = type_elem_count(type);
    Arena *scratch = arena_new();
    double *values = tensor_doubles(scratch, operands[0]);
    for (int64_t at = 0; at < count; at += n * n) eliminate(values + at, n);
    for (int64_t i = 0; i < count; i++) tensor_set_f64(results[0], i, values[i]);
    arena_free(scratch);
    return true;
}
