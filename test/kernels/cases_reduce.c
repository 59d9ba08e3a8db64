// Cases of the families that sum or compare many elements: matmul, pool2d, reduce_mean, softmax, softmax_table.
#include <math.h>
#include <string.h>

#include "runtime/kernel_table.h"
#include "test/kernels/check.h"

static bool row_is_f32(const Test *test) { return !strcmp(test->row->result, "f32"); }

// ---- matmul

// Strides of a matrix of `rows` x `columns` in batches, either dimension dense; returns how many elements it spans.
static size_t matrix_random(Test *test, int rows, int columns, int32_t *row_stride, int32_t *column_stride,
                            const int32_t batch[4], int32_t batch_stride[4]) {
    const int gap = random_chance(test, 70) ? 0 : random_int(test, 1, 5);
    const bool transposed = random_chance(test, 40);
    *column_stride = transposed ? rows + gap : 1;
    *row_stride = transposed ? 1 : columns + gap;
    if (random_chance(test, 10)) *column_stride *= 2, *row_stride *= 2;
    int32_t step = (transposed ? columns : rows) * (transposed ? *column_stride : *row_stride);
    size_t last = (size_t)(rows - 1) * *row_stride + (size_t)(columns - 1) * *column_stride;
    for (int d = 3; d >= 0; d--) {
        batch_stride[d] = random_chance(test, 25) ? 0 : step;
        last += (size_t)(batch[d] - 1) * batch_stride[d];
        if (batch_stride[d]) step *= batch[d];
    }
    return last + 1;
}

static size_t batch_at(const int32_t batch[4], const int32_t stride[4], int index) {
    size_t offset = 0;
    for (int d = 3; d >= 0; index /= batch[d--]) offset += (size_t)(index % batch[d]) * stride[d];
    return offset;
}

static void naive_matmul(const struct qn_matmul_args *a, const void *pa, const void *pb, void *out, float *bound,
                         bool is_f32) {
    for (int r = 0; r < a->rows; r++)
        for (int n = 0; n < a->n; n++) {
            const size_t at_a = batch_at(a->batch, a->a_batch, r / a->m) + (size_t)(r % a->m) * a->a_m;
            const size_t at_b = batch_at(a->batch, a->b_batch, r / a->m) + (size_t)n * a->b_n, at = (size_t)r * a->n + n;
            double acc = 0, size = 0;
            for (int k = 0; k < a->k; k++) {
                const size_t i = at_a + (size_t)k * a->a_k, j = at_b + (size_t)k * a->b_k;
                double x, y;
                if (is_f32) x = ((const float *)pa)[i], y = ((const float *)pb)[j];
                else x = (int8_t)(((const uint8_t *)pa)[i] ^ a->flip) - a->a_zp, y = (int8_t)(((const uint8_t *)pb)[j] ^ a->flip) - a->b_zp;
                acc += x * y;
                size += fabs(x * y);
            }
            bound[at] = (float)(2e-6 * size);
            if (is_f32) ((float *)out)[at] = (float)fmax(fmin(acc, a->max), a->min);
            else ((uint8_t *)out)[at] = (uint8_t)(naive_round((float)acc * a->multiplier, a->out_zp, a->lo, a->hi) ^ a->flip);
        }
}

void case_matmul(Test *test) {
    struct qn_matmul_args a = {.a_zp = random_zero_point(test), .b_zp = random_zero_point(test), .out_zp = random_zero_point(test),
                               .flip = random_chance(test, 50) ? 0x80 : 0, .multiplier = random_multiplier(test, false)};
    const bool is_f32 = row_is_f32(test);
    const size_t elem = is_f32 ? 4 : 1;
    random_clamp(test, &a.lo, &a.hi);
    random_clamp_f32(test, &a.min, &a.max);
    do {
        for (int d = 0; d < 4; d++) a.batch[d] = random_chance(test, 70) ? 1 : random_int(test, 2, 3);
        a.m = random_chance(test, 20) ? 1 : random_int(test, 2, 33);
        a.n = random_channels(test, 200);
        a.k = random_chance(test, 10) ? random_int(test, 257, 600) : random_channels(test, 200);
        a.rows = a.batch[0] * a.batch[1] * a.batch[2] * a.batch[3] * a.m;
    } while ((int64_t)a.rows * a.n * a.k > 1500000);
    const size_t a_elems = matrix_random(test, a.m, a.k, &a.a_m, &a.a_k, a.batch, a.a_batch);
    const size_t b_elems = matrix_random(test, a.k, a.n, &a.b_k, &a.b_n, a.batch, a.b_batch);
    const size_t elems = (size_t)a.rows * a.n;
    const void *pa = is_f32 ? (void *)random_floats(test, a_elems, -1, 1) : random_bytes(test, a_elems);
    const void *pb = is_f32 ? (void *)random_floats(test, b_elems, -1, 1) : random_bytes(test, b_elems);
    const void *before = random_bytes(test, elems * elem);
    void *expected = copy_bytes(test, before, elems * elem);
    float *bound = ARENA_ARRAY(test->arena, float, elems);
    naive_matmul(&a, pa, pb, expected, bound, is_f32);
    check(test, &(Call){.args = &a, .input_count = 2, .expected = expected, .bound = is_f32 ? bound : NULL,
                        .inputs = {memory_of(pa, elem, a_elems, 0), memory_of(pb, elem, b_elems, 0)},
                        .output = memory_of(before, elem, elems, 0)});
}

// ---- pool2d

static double pool_value(const struct qn_pool2d_args *a, const void *in, size_t at, bool is_f32) {
    if (is_f32) return ((const float *)in)[at];
    return (int8_t)(((const uint8_t *)in)[at] ^ a->flip);
}

// One element of the result as a stored value; *bound as in a Call.
static double naive_pool(const struct qn_pool2d_args *a, const float *multipliers, const void *in, const Image *image, int n,
                         int y, int x, int c, bool is_f32, float *bound) {
    double best = is_f32 ? -INFINITY : a->lo, sum = 0, size = 0;
    int inside = 0, inside_padded = 0;
    for (int ky = 0; ky < a->kernel_h; ky++)
        for (int kx = 0; kx < a->kernel_w; kx++) {
            const int py = y * a->stride_h + ky * a->dilation_h, px = x * a->stride_w + kx * a->dilation_w;
            const int iy = py - a->pad_top, ix = px - a->pad_left;
            inside_padded += py < a->padded_h && px < a->padded_w;
            if (iy < 0 || iy >= a->in_h || ix < 0 || ix >= a->in_w) continue;
            const double value = pool_value(a, in, image_at(image, n, iy, ix, c), is_f32);
            inside++;
            best = fmax(best, value);
            sum += is_f32 ? value : value - a->in_zp;
            size += fabs(value);
        }
    const int count = a->count_include_pad ? inside_padded : inside;
    *bound = 0;
    if (a->mode == QN_POOL_MAX) return best;
    if (!is_f32) return naive_round((float)sum * (count ? multipliers[count] : 0), a->out_zp, a->lo, a->hi);
    *bound = (float)(1e-6 * size / (count ? count : 1));
    return count ? sum / count : 0;
}

typedef struct { int in, kernel, stride, dilation, before, padded, out; } Axis;
// With and without ceil_mode: the last window may begin inside the image and end beyond its padding.
static Axis axis_random(Test *test) {
    for (;;) {
        Axis axis = {.in = random_chance(test, 15) ? 1 : random_int(test, 2, 14), .kernel = random_int(test, 1, 4),
                     .stride = random_int(test, 1, 3), .dilation = random_chance(test, 75) ? 1 : 2};
        if (random_chance(test, 10)) axis.kernel = axis.in, axis.dilation = 1;
        axis.before = random_chance(test, 50) ? 0 : random_int(test, 0, axis.kernel - 1);
        axis.padded = axis.in + axis.before + (random_chance(test, 50) ? 0 : random_int(test, 0, axis.kernel - 1));
        int room = axis.padded - axis.dilation * (axis.kernel - 1) - 1;
        if (room < 0) continue;
        axis.out = room / axis.stride + 1;
        if (random_chance(test, 30) && room % axis.stride && axis.out * axis.stride < axis.in + axis.before) axis.out++;
        return axis;
    }
}

static void pool_args_random(Test *test, struct qn_pool2d_args *a) {
    const Axis v = axis_random(test), h = axis_random(test);
    a->in_h = v.in, a->kernel_h = v.kernel, a->stride_h = v.stride, a->dilation_h = v.dilation, a->pad_top = v.before;
    a->padded_h = v.padded, a->out_h = v.out;
    a->in_w = h.in, a->kernel_w = h.kernel, a->stride_w = h.stride, a->dilation_w = h.dilation, a->pad_left = h.before;
    a->padded_w = h.padded, a->out_w = h.out;
    a->in_c = a->out_c = random_channels(test, 260);
    a->mode = random_chance(test, 50) ? QN_POOL_MAX : QN_POOL_AVERAGE;
    a->count_include_pad = random_chance(test, 50);
    a->in_zp = random_zero_point(test), a->out_zp = random_zero_point(test);
    a->flip = random_chance(test, 50) ? 0x80 : 0;
    random_clamp(test, &a->lo, &a->hi);
}

void case_pool2d(Test *test) {
    struct qn_pool2d_args a = {0};
    const bool is_f32 = row_is_f32(test);
    const int images = random_chance(test, 70) ? 1 : 2;
    const size_t elem = is_f32 ? 4 : 1;
    pool_args_random(test, &a);
    const Image from = image_part_random(test, images, a.in_h, a.in_w, a.in_c, random_others(test));
    const Image to = image_part_random(test, images, a.out_h, a.out_w, a.out_c, random_others(test));
    a.rows = images * a.out_h;
    a.in_pixel = from.pixel, a.out_pixel = to.pixel;
    a.in_row = from.row, a.in_image = from.image, a.out_row = to.row, a.out_image = to.image;
    const size_t taps = (size_t)a.kernel_h * a.kernel_w;
    float *multipliers = ARENA_ARRAY(test->arena, float, taps + 1);
    const float m = random_multiplier(test, false);
    for (size_t i = 0; i <= taps; i++) multipliers[i] = i ? m / (float)i : NAN;
    const void *in = is_f32 ? (void *)random_floats(test, from.elems, -4, 4) : random_bytes(test, from.elems);
    const void *before = random_bytes(test, to.elems * elem);
    void *expected = copy_bytes(test, before, to.elems * elem);
    float *bound = ARENA_ARRAY(test->arena, float, to.elems);
    for (size_t i = 0; i < (size_t)images * a.out_h * a.out_w * a.out_c; i++) {
        const int c = (int)(i % a.out_c), x = (int)(i / a.out_c % a.out_w), y = (int)(i / a.out_c / a.out_w % a.out_h);
        const int n = (int)(i / a.out_c / a.out_w / a.out_h);
        const size_t at = image_at(&to, n, y, x, c);
        const double value = naive_pool(&a, multipliers, in, &from, n, y, x, c, is_f32, &bound[at]);
        if (is_f32) ((float *)expected)[at] = (float)value;
        else ((uint8_t *)expected)[at] = (uint8_t)((int)value ^ a.flip);
    }
    const bool no_table = is_f32 || a.mode == QN_POOL_MAX;
    check(test, &(Call){.args = &a, .input_count = 2, .expected = expected, .bound = is_f32 ? bound : NULL,
                        .inputs = {memory_of(in, elem, from.elems, from.before),
                                   memory_of(no_table ? NULL : multipliers, 4, taps + 1, 0)},
                        .output = memory_of(before, elem, to.elems, to.before)});
}

// ---- reduce_mean

void case_reduce_mean(Test *test) {
    struct qn_reduce_mean_args a = {
        .rows = random_int(test, 1, 6), .size_r = random_int(test, 1, 9), .size_s = random_int(test, 1, 9),
        .inner = random_chance(test, 40) ? 1 : random_channels(test, 300), .in_scale = random_multiplier(test, false),
        .out_scale = random_float(test, 0.1f, 2),
        .in_zp = random_zero_point(test), .out_zp = random_zero_point(test), .flip = random_chance(test, 50) ? 0x80 : 0};
    const bool is_f32 = row_is_f32(test);
    const size_t elem = is_f32 ? 4 : 1;
    if (a.inner == 1 && random_chance(test, 50)) a.size_s = random_int(test, 60, 1000);
    a.count = random_chance(test, 20) ? 1 : a.size_r * a.size_s;
    const float multiplier = (float)((double)a.in_scale / ((double)a.out_scale * a.count));
    random_clamp(test, &a.lo, &a.hi);
    a.in_s = a.inner + (random_chance(test, 70) ? 0 : random_int(test, 1, 3));
    a.in_r = a.in_s * a.size_s + (random_chance(test, 70) ? 0 : random_int(test, 1, 9));
    a.in_outer = a.in_r * a.size_r + (random_chance(test, 70) ? 0 : random_int(test, 1, 9));
    a.out_outer = a.inner + (random_chance(test, 70) ? 0 : random_int(test, 1, 9));
    const size_t in_elems = (size_t)(a.rows - 1) * a.in_outer + (size_t)(a.size_r - 1) * a.in_r + (size_t)(a.size_s - 1) * a.in_s + a.inner;
    const size_t out_elems = (size_t)(a.rows - 1) * a.out_outer + a.inner;
    const void *in = is_f32 ? (void *)random_floats(test, in_elems, -4, 4) : random_bytes(test, in_elems);
    const void *before = random_bytes(test, out_elems * elem);
    void *expected = copy_bytes(test, before, out_elems * elem);
    float *bound = ARENA_ARRAY(test->arena, float, out_elems);
    for (int i = 0; i < a.rows * a.inner; i++) {
        const size_t at = (size_t)(i / a.inner) * a.out_outer + (size_t)(i % a.inner);
        double sum = 0, size = 0;
        for (int k = 0; k < a.size_r * a.size_s; k++) {
            const size_t from = (size_t)(i / a.inner) * a.in_outer + (size_t)(k / a.size_s) * a.in_r + (size_t)(k % a.size_s) * a.in_s + (size_t)(i % a.inner);
            const double x = is_f32 ? ((const float *)in)[from] : (int8_t)(((const uint8_t *)in)[from] ^ a.flip) - a.in_zp;
            sum += x, size += fabs(x);
        }
        bound[at] = (float)(1e-6 * size / (a.size_r * a.size_s));
        if (is_f32) ((float *)expected)[at] = (float)(sum / (a.size_r * a.size_s));
        else ((uint8_t *)expected)[at] = (uint8_t)(naive_round((float)sum * multiplier, a.out_zp, a.lo, a.hi) ^ a.flip);
    }
    check(test, &(Call){.args = &a, .input_count = 1, .expected = expected, .bound = is_f32 ? bound : NULL,
                        .inputs = {memory_of(in, elem, in_elems, 0)}, .output = memory_of(before, elem, out_elems, 0)});
}

// ---- softmax

void case_softmax(Test *test) {
    struct qn_softmax_args a = {.size = random_chance(test, 20) ? random_int(test, 300, 1100) : random_channels(test, 260),
                                .inner = random_chance(test, 60) ? 1 : random_int(test, 2, 40),
                                .op = random_int(test, QN_SOFTMAX, QN_HARDMAX)};
    const int outer = random_int(test, 1, 4);
    const size_t elems = (size_t)outer * a.size * a.inner;
    const float range = random_chance(test, 50) ? 10 : 200;
    a.rows = outer * a.inner;
    const float *x = random_floats(test, elems, -range, range);
    float *expected = copy_bytes(test, x, elems * 4), *bound = ARENA_ARRAY(test->arena, float, elems);
    for (int r = 0; r < a.rows; r++) {
        const size_t at = (size_t)(r / a.inner) * a.size * a.inner + (size_t)(r % a.inner);
        double top = -INFINITY, sum = 0;
        int best = 0;
        for (int i = a.size - 1; i >= 0; i--)
            if (x[at + (size_t)i * a.inner] >= top) top = x[at + (size_t)i * a.inner], best = i;
        for (int i = 0; i < a.size; i++) sum += exp(x[at + (size_t)i * a.inner] - top);
        for (int i = 0; i < a.size; i++) {
            const size_t k = at + (size_t)i * a.inner;
            // x - max is rounded to single before exp: an error of half a unit of a number of up to 2 * range.
            expected[k] = (float)(exp(x[k] - top) / sum);
            bound[k] = expected[k] * (2e-6f + 4e-9f * (float)a.size + 1.2e-7f * (float)(top - x[k])) + 1e-44f;
            if (a.op == QN_LOG_SOFTMAX) expected[k] = (float)(x[k] - top - log(sum)), bound[k] = 4e-7f + 1.2e-7f * fabsf(expected[k]);
            if (a.op == QN_HARDMAX) expected[k] = i == best, bound[k] = 0;
        }
    }
    check(test, &(Call){.args = &a, .input_count = 1, .expected = expected, .bound = bound, .in_place = true,
                        .inputs = {memory_of(x, 4, elems, 0)}, .output = memory_of(x, 4, elems, 0)});
}

// ---- softmax of 8-bit activations

// Exponentials may be any integers up to 2^23, the largest for the maximum itself: in steps of a random length.
static uint8_t *random_exponentials(Test *test, uint32_t units[256]) {
    uint8_t *table = ARENA_ARRAY(test->arena, uint8_t, 768);
    const double step = random_chance(test, 50) ? 0.02 : random_float(test, 0.001f, 3);
    for (int d = 0; d < 256; d++) {
        units[d] = (uint32_t)(exp(-step * d) * 8388608.0);
        for (int plane = 0; plane < 3; plane++) table[plane * 256 + d] = (uint8_t)(units[d] >> (8 * plane));
    }
    return table;
}

void case_softmax_table(Test *test) {
    struct qn_softmax_table_args a = {.size = random_chance(test, 20) ? random_int(test, 300, 1100) : random_channels(test, 260),
                                      .inner = random_chance(test, 60) ? 1 : random_int(test, 2, 40),
                                      .multiplier = random_chance(test, 70) ? 256 : random_float(test, 0.5f, 3000),
                                      .out_zp = random_zero_point(test), .flip = random_chance(test, 50) ? 0x80 : 0};
    const int outer = random_int(test, 1, 4);
    const size_t elems = (size_t)outer * a.size * a.inner;
    uint32_t units[256];
    a.rows = outer * a.inner;
    random_clamp(test, &a.lo, &a.hi);
    const uint8_t *x = random_bytes(test, elems), *table = random_exponentials(test, units);
    uint8_t *expected = copy_bytes(test, x, elems);
    for (int r = 0; r < a.rows; r++) {
        const size_t at = (size_t)(r / a.inner) * a.size * a.inner + (size_t)(r % a.inner);
        int top = -128;
        double sum = 0;
        for (int i = 0; i < a.size; i++) {
            const int q = (int8_t)(x[at + (size_t)i * a.inner] ^ a.flip);
            top = top > q ? top : q;
        }
        for (int i = 0; i < a.size; i++) sum += units[top - (int8_t)(x[at + (size_t)i * a.inner] ^ a.flip)];
        for (int i = 0; i < a.size; i++) {
            const size_t k = at + (size_t)i * a.inner;
            const float share = (float)units[top - (int8_t)(x[k] ^ a.flip)] * (a.multiplier / (float)sum);
            expected[k] = (uint8_t)(naive_round(share, a.out_zp, a.lo, a.hi) ^ a.flip);
        }
    }
    check(test, &(Call){.args = &a, .input_count = 2, .expected = expected, .in_place = true,
                        .inputs = {memory_of(x, 1, elems, 0), memory_of(table, 1, 768, 0)}, .output = memory_of(x, 1, elems, 0)});
}
