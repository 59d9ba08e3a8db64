// Cases of the families that read signals and images at places or frequencies of their own.
#include <math.h>

#include "runtime/kernel_table.h"
#include "runtime/sampling.h"
#include "test/kernels/check.h"

// ---- dft

void case_dft(Test *test) {
    struct qn_dft_args a = {.length = random_int(test, 1, 60), .parts = random_int(test, 1, 2)};
    a.bins = random_int(test, 1, a.length);
    const int batch = random_int(test, 1, 4);
    const size_t in_elems = (size_t)batch * a.length * a.parts, out_elems = (size_t)batch * a.bins * 2;
    const float *x = random_floats(test, in_elems, -4, 4);
    double *roots = ARENA_ARRAY(test->arena, double, 2 * a.length);
    for (int i = 0; i < 2 * a.length; i++) roots[i] = random_float(test, -1, 1);
    const void *before = random_bytes(test, out_elems * 4);
    float *expected = copy_bytes(test, before, out_elems * 4), *bound = ARENA_ARRAY(test->arena, float, out_elems);
    a.rows = batch * a.bins;
    for (int r = 0; r < a.rows; r++) {
        double real = 0, imaginary = 0;
        for (int j = 0; j < a.length; j++) {
            const double *root = roots + 2 * ((int64_t)j * (r % a.bins) % a.length);
            const float *at = x + ((size_t)(r / a.bins) * a.length + j) * a.parts;
            real += at[0] * root[0] - (a.parts == 2 ? at[1] * root[1] : 0);
            imaginary += at[0] * root[1] + (a.parts == 2 ? at[1] * root[0] : 0);
        }
        expected[2 * r] = (float)real, expected[2 * r + 1] = (float)imaginary;
        for (int k = 0; k < 2; k++) bound[2 * r + k] = (float)(1.2e-7 * fabs(expected[2 * r + k]) + 1e-13);
    }
    check(test, &(Call){.args = &a, .input_count = 2, .expected = expected, .bound = bound,
                        .inputs = {memory_of(x, 4, in_elems, 0), memory_of(roots, 8, (size_t)a.length * 2, 0)},
                        .output = memory_of(before, 4, out_elems, 0)});
}

// ---- sample: linear and nearest, one dimension after the other

// The value at place x of `count` values `step` apart, 0 outside.
static double between(const double *values, int count, double x, bool nearest, int padding) {
    double sum = 0;
    if (nearest) x = rint(x);
    if (padding == QN_BORDER) x = fmin(fmax(x, 0), count - 1);
    for (int i = 0; i < count; i++) sum += values[i] * fmax(0, 1 - fabs(x - i));
    return sum;
}

static double sample_naive(const struct qn_sample_args *a, const float *in, const float *place) {
    double planes[8], rows[8], columns[8], p[3] = {0, 0, 0};
    const bool nearest = a->mode == QN_NEAREST;
    for (int i = 0; i < a->spatial; i++) p[2 - i] = place[i];
    for (int z = 0; z < a->size[0]; z++) {
        for (int y = 0; y < a->size[1]; y++) {
            for (int x = 0; x < a->size[2]; x++) columns[x] = in[((z * a->size[1] + y) * a->size[2] + x) * a->channels];
            rows[y] = between(columns, a->size[2], p[2], nearest, a->padding);
        }
        planes[z] = between(rows, a->size[1], p[1], nearest, a->padding);
    }
    return between(planes, a->size[0], p[0], nearest, a->padding);
}

void case_sample(Test *test) {
    struct qn_sample_args a = {.spatial = random_int(test, 1, 3), .channels = random_channels(test, 140), .places = random_int(test, 1, 9),
                               .mode = RANDOM_OF(test, QN_NEAREST, QN_LINEAR), .padding = RANDOM_OF(test, QN_ZEROS, QN_BORDER),
                               .align_corners = random_chance(test, 50)};
    const int images = random_int(test, 1, 2);
    for (int i = 0; i < 3; i++) a.size[i] = i < 3 - a.spatial ? 1 : random_int(test, 1, 8);
    const size_t image = (size_t)a.size[0] * a.size[1] * a.size[2] * a.channels, outs = (size_t)images * a.places * a.channels;
    const float *x = random_floats(test, images * image, -4, 4);
    float *places = random_floats(test, (size_t)images * a.places * a.spatial, -2, 9);
    const void *before = random_bytes(test, outs * 4);
    float *expected = copy_bytes(test, before, outs * 4), *bound = ARENA_ARRAY(test->arena, float, outs);
    a.rows = images * a.places;
    for (size_t i = 0; i < outs; i++) {
        const size_t r = i / a.channels;
        expected[i] = (float)sample_naive(&a, x + r / a.places * image + i % a.channels, places + r * a.spatial);
        bound[i] = 1e-5f;
    }
    check(test, &(Call){.args = &a, .input_count = 2, .expected = expected, .bound = bound,
                        .inputs = {memory_of(x, 4, images * image, 0), memory_of(places, 4, (size_t)a.rows * a.spatial, 0)},
                        .output = memory_of(before, 4, outs, 0)});
}

// ---- roi_align: means of regions inside the image, samples one by one

static double roi_naive(const struct qn_roi_align_args *a, const float *in, const float *roi, int bin_y, int bin_x) {
    double best = 0, sum = 0, shift = a->half_pixel ? 0.5 : 0;
    double top = (double)roi[1] * a->spatial_scale - shift, left = (double)roi[0] * a->spatial_scale - shift;
    double high = (double)roi[3] * a->spatial_scale - shift - top, wide = (double)roi[2] * a->spatial_scale - shift - left;
    int n = a->sampling_ratio;
    for (int i = 0; i < n * n; i++) {
        double y = top + (bin_y + (i / n + 0.5) / n) * high / a->out_h, x = left + (bin_x + (i % n + 0.5) / n) * wide / a->out_w;
        if (y > a->in_h || x > a->in_w) continue; // outside, zeros
        y = fmin(fmax(y, 0), a->in_h - 1), x = fmin(fmax(x, 0), a->in_w - 1);
        for (int k = 0; k < a->in_h * a->in_w; k++) {
            double weight = fmax(0, 1 - fabs(y - k / a->in_w)) * fmax(0, 1 - fabs(x - k % a->in_w));
            sum += weight * in[k * a->channels];
            best = fmax(best, weight * in[k * a->channels]);
        }
    }
    return a->max ? best : sum / (n * n);
}

void case_roi_align(Test *test) {
    struct qn_roi_align_args a = {.images = random_int(test, 1, 3), .in_h = random_int(test, 2, 9), .in_w = random_int(test, 2, 9),
                                  .channels = random_channels(test, 130), .out_h = random_int(test, 1, 4), .out_w = random_int(test, 1, 4),
                                  .sampling_ratio = random_int(test, 1, 3), .half_pixel = random_chance(test, 50), .max = random_chance(test, 30),
                                  .spatial_scale = RANDOM_OF(test, 1, 2) / 2.0f};
    const int count = random_int(test, 1, 4), per_image = a.in_h * a.in_w * a.channels;
    const size_t ins = (size_t)a.images * per_image, outs = (size_t)count * a.out_h * a.out_w * a.channels;
    const float *x = random_floats(test, ins, 0, 4); // the maximum is over elements of weight 0 too
    float *rois = ARENA_ARRAY(test->arena, float, 4 * count);
    int64_t *images = ARENA_ARRAY(test->arena, int64_t, count);
    for (int i = 0; i < count; i++) {
        images[i] = random_int(test, -1, a.images);
        rois[4 * i] = random_float(test, 0, 1), rois[4 * i + 2] = rois[4 * i] + random_float(test, 2, 3);
        rois[4 * i + 1] = random_float(test, 0, 1), rois[4 * i + 3] = rois[4 * i + 1] + random_float(test, 2, 3);
    }
    const void *before = random_bytes(test, outs * 4);
    float *expected = copy_bytes(test, before, outs * 4), *bound = ARENA_ARRAY(test->arena, float, outs);
    a.rows = count * a.out_h * a.out_w;
    for (size_t i = 0; i < outs; i++) {
        const int r = (int)(i / a.channels), n = r / (a.out_h * a.out_w);
        const int image = images[n] < 0 ? 0 : images[n] >= a.images ? a.images - 1 : (int)images[n];
        expected[i] = (float)roi_naive(&a, x + (size_t)image * per_image + i % a.channels, rois + 4 * n, r / a.out_w % a.out_h, r % a.out_w);
        bound[i] = 2e-5f;
    }
    check(test, &(Call){.args = &a, .input_count = 3, .expected = expected, .bound = bound,
                        .inputs = {memory_of(x, 4, ins, 0), memory_of(rois, 4, (size_t)count * 4, 0), memory_of(images, 8, (size_t)count, 0)},
                        .output = memory_of(before, 4, outs, 0)});
}

// ---- max_pool_index

void case_max_pool_index(Test *test) {
    struct qn_max_pool_index_args a = {.channels = random_channels(test, 20)};
    const int images = random_int(test, 1, 2);
    for (int i = 0; i < 3; i++) {
        a.in[i] = random_int(test, 1, 6), a.out[i] = random_int(test, 1, 4), a.window[i] = random_int(test, 1, 3);
        a.stride[i] = random_int(test, 1, 2), a.dilation[i] = random_int(test, 1, 2), a.pad[i] = random_int(test, 0, 2);
    }
    const size_t per_image = (size_t)a.in[0] * a.in[1] * a.in[2] * a.channels, outs = (size_t)images * a.out[0] * a.out[1] * a.out[2] * a.channels;
    float *x = random_floats(test, images * per_image, -4, 4);
    for (size_t i = 0; i < images * per_image; i++) x[i] = rintf(x[i]); // equal ones
    const void *before = random_bytes(test, outs * 8);
    int64_t *expected = copy_bytes(test, before, outs * 8);
    a.rows = images * a.out[0] * a.out[1] * a.out[2];
    for (size_t i = 0; i < outs; i++) {
        int rest = (int)(i / a.channels), first[3];
        for (int k = 2; k >= 0; rest /= a.out[k], k--) first[k] = rest % a.out[k] * a.stride[k] - a.pad[k];
        double best = -INFINITY;
        expected[i] = 0;
        for (int at = 0; at < a.in[0] * a.in[1] * a.in[2]; at++) { // is the element one of the window's taps?
            const int place[3] = {at / a.in[2] / a.in[1], at / a.in[2] % a.in[1], at % a.in[2]};
            bool tap = true;
            for (int k = 0; k < 3; k++)
                tap = tap && place[k] >= first[k] && (place[k] - first[k]) % a.dilation[k] == 0 && (place[k] - first[k]) / a.dilation[k] < a.window[k];
            const float value = x[rest * per_image + (size_t)at * a.channels + i % a.channels];
            if (tap && (double)value > best) best = value, expected[i] = at;
        }
    }
    check(test, &(Call){.args = &a, .input_count = 1, .expected = expected, .inputs = {memory_of(x, 4, images * per_image, 0)},
                        .output = memory_of(before, 8, outs, 0)});
}

// ---- eliminate

void case_eliminate(Test *test) {
    struct qn_eliminate_args a = {.n = random_int(test, 1, 7), .rows = random_int(test, 1, 3)};
    const int n = a.n;
    const size_t elems = (size_t)a.rows * n * n;
    const float *x = random_floats(test, elems, -4, 4);
    const void *before = random_bytes(test, elems * 4);
    float *expected = copy_bytes(test, x, elems * 4), *bound = ARENA_ARRAY(test->arena, float, elems);
    for (float *m = expected; m < expected + elems; m += n * n)
        for (int k = 0; k < n; k++) {
            int pivot = k;
            for (int i = k; i < n; i++) pivot = fabsf(m[i * n + k]) > fabsf(m[pivot * n + k]) ? i : pivot;
            for (int j = 0; j < n && pivot != k; j++) {
                const float other = m[k * n + j];
                m[k * n + j] = m[pivot * n + j], m[pivot * n + j] = -other;
            }
            for (int i = k + 1; i < n; i++)
                for (int j = n - 1; j >= k; j--) // rounded to single after each step, as in the kernel
                    m[i * n + j] = j == k ? 0 : (float)(m[i * n + j] - (double)m[i * n + k] / m[k * n + k] * m[k * n + j]);
        }
    for (size_t i = 0; i < elems; i++) bound[i] = 1e-3f * (1 + fabsf(expected[i]));
    check(test, &(Call){.args = &a, .input_count = 1, .expected = expected, .bound = bound, .inputs = {memory_of(x, 4, elems, 0)},
                        .output = memory_of(before, 4, elems, 0)});
}
