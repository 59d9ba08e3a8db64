// Cases of the rows of 16-bit activations that have no weights: what elementwise ones, pools, reductions, products and samples of them give.
#include <math.h>
#include <string.h>

#include "runtime/kernel_table.h"
#include "test/kernels/check.h"

static bool is_words(const char *elem) { return !strncmp(elem, "s16", 3); }

static int16_t *random_words(Test *test, size_t count) { return (int16_t *)random_bytes(test, 2 * count); }

static int16_t stored(float y, int32_t zp, int32_t lo, int32_t hi) { return (int16_t)naive_round(y, zp, lo, hi); }

// ---- elementwise

static float binary_real(const struct qn_binary_args *args, int64_t a, int64_t b) {
    const float x = (float)a * args->a_multiplier, y = (float)b * args->b_multiplier;
    switch (args->op) {
    case QN_ADD: return x + y;
    case QN_SUB: return x - y;
    case QN_MUL: return (float)(a * b) * args->a_multiplier;
    case QN_MIN: return x < y ? x : y;
    case QN_MAX: return x > y ? x : y;
    default: return a < 0 ? (float)(a * b) * args->b_multiplier : x;
    }
}

static void words_binary(Test *test) {
    struct qn_binary_args args = {.op = RANDOM_OF(test, QN_ADD, QN_SUB, QN_MUL, QN_MIN, QN_MAX, QN_PRELU),
                                  .a_multiplier = random_multiplier(test, false), .b_multiplier = random_multiplier(test, false)};
    int32_t unused[2];
    words_quantization(test, &args.a_zp, &args.out_zp, &args.lo, &args.hi);
    words_quantization(test, &args.b_zp, &unused[0], &unused[0], &unused[1]);
    shape_random(test, args.shape);
    args.rows = args.shape[0] * args.shape[1];
    const bool in_place = random_chance(test, 40);
    const Strided out = strided_random(test, args.shape, DISTINCT), a = in_place ? out : strided_random(test, args.shape, MAY_REPEAT);
    const Strided b = strided_random(test, args.shape, MAY_REPEAT);
    memcpy(args.a, a.stride, sizeof args.a);
    memcpy(args.b, b.stride, sizeof args.b);
    memcpy(args.out, out.stride, sizeof args.out);
    const int16_t *pa = random_words(test, a.elems), *pb = random_words(test, b.elems), *before = in_place ? pa : random_words(test, out.elems);
    int16_t *expected = copy_bytes(test, before, 2 * out.elems);
    for (size_t i = 0; i < shape_elems(args.shape); i++) {
        const int64_t x = pa[strided_at(&a, args.shape, i)] - args.a_zp, y = pb[strided_at(&b, args.shape, i)] - args.b_zp;
        expected[strided_at(&out, args.shape, i)] = stored(binary_real(&args, x, y), args.out_zp, args.lo, args.hi);
    }
    check(test, &(Call){.args = &args, .input_count = 2, .expected = expected, .in_place = in_place,
                        .inputs = {memory_of(pa, 2, a.elems, a.before), memory_of(pb, 2, b.elems, b.before)},
                        .output = memory_of(before, 2, out.elems, out.before)});
}

static void words_table(Test *test) {
    struct qn_table_args args = {0};
    shape_random(test, args.shape);
    args.rows = args.shape[0] * args.shape[1];
    const Strided out = strided_random(test, args.shape, DISTINCT), in = strided_random(test, args.shape, MAY_REPEAT);
    memcpy(args.in, in.stride, sizeof args.in);
    memcpy(args.out, out.stride, sizeof args.out);
    const int16_t *x = random_words(test, in.elems), *table = random_words(test, 65536), *before = random_words(test, out.elems);
    int16_t *expected = copy_bytes(test, before, 2 * out.elems);
    for (size_t i = 0; i < shape_elems(args.shape); i++)
        expected[strided_at(&out, args.shape, i)] = table[(uint16_t)x[strided_at(&in, args.shape, i)]];
    check(test, &(Call){.args = &args, .input_count = 2, .expected = expected,
                        .inputs = {memory_of(x, 2, in.elems, in.before), memory_of(table, 2, 65536, 0)},
                        .output = memory_of(before, 2, out.elems, out.before)});
}

// What kernels.def calls s8, s16 and f32.
static size_t bytes_of(const char *elem) { return !strcmp(elem, "f32") ? 4 : is_words(elem) ? 2 : 1; }

static float quantize_one(const struct qn_quantize_args *a, const char *from, const void *in, size_t at) {
    if (!strcmp(from, "f32")) return ((const float *)in)[at] / a->scale;
    const int32_t q = is_words(from) ? ((const int16_t *)in)[at] : (int8_t)(((const uint8_t *)in)[at] ^ a->flip);
    return (float)(q - a->in_zp) * a->scale;
}

static void words_quantize(Test *test) {
    const char *from = test->row->operands, *to = test->row->result;
    struct qn_quantize_args a = {.flip = random_chance(test, 50) ? 0x80 : 0, .scale = random_multiplier(test, false)};
    words_quantization(test, &a.in_zp, &a.out_zp, &a.lo, &a.hi);
    if (!is_words(from)) a.in_zp = random_zero_point(test);
    if (!is_words(to)) a.out_zp = random_zero_point(test), random_clamp(test, &a.lo, &a.hi);
    shape_random(test, a.shape);
    a.rows = a.shape[0] * a.shape[1];
    const bool in_place = !strcmp(from, to) && random_chance(test, 40);
    const Strided out = strided_random(test, a.shape, DISTINCT), in = in_place ? out : strided_random(test, a.shape, MAY_REPEAT);
    memcpy(a.in, in.stride, sizeof a.in);
    memcpy(a.out, out.stride, sizeof a.out);
    const float reach = 40000 * a.scale;
    const void *x = strcmp(from, "f32") ? (void *)random_bytes(test, in.elems * bytes_of(from)) : random_floats(test, in.elems, -reach, reach);
    const void *before = in_place ? x : random_bytes(test, out.elems * bytes_of(to));
    void *expected = copy_bytes(test, before, out.elems * bytes_of(to));
    for (size_t i = 0; i < shape_elems(a.shape); i++) {
        const size_t at = strided_at(&out, a.shape, i);
        const float y = quantize_one(&a, from, x, strided_at(&in, a.shape, i));
        if (!strcmp(to, "f32")) ((float *)expected)[at] = y;
        else if (is_words(to)) ((int16_t *)expected)[at] = stored(y, a.out_zp, a.lo, a.hi);
        else ((uint8_t *)expected)[at] = (uint8_t)(naive_round(y, a.out_zp, a.lo, a.hi) ^ a.flip);
    }
    check(test, &(Call){.args = &a, .input_count = 1, .expected = expected, .in_place = in_place,
                        .inputs = {memory_of(x, bytes_of(from), in.elems, in.before)},
                        .output = memory_of(before, bytes_of(to), out.elems, out.before)});
}

// ---- sums

static void words_matmul(Test *test) {
    struct qn_matmul_args a = {.m = random_int(test, 1, 9), .n = random_channels(test, 140), .k = random_channels(test, 257),
                               .multiplier = random_multiplier(test, false), .batch = {1, 1, random_int(test, 1, 2), 1}};
    int32_t unused[2];
    words_quantization(test, &a.a_zp, &a.out_zp, &a.lo, &a.hi);
    words_quantization(test, &a.b_zp, &unused[0], &unused[0], &unused[1]);
    const bool a_turned = random_chance(test, 30), b_turned = random_chance(test, 50);
    a.a_m = a_turned ? 1 : a.k, a.a_k = a_turned ? a.m : 1, a.b_k = b_turned ? 1 : a.n, a.b_n = b_turned ? a.k : 1;
    a.a_batch[2] = a.m * a.k, a.b_batch[2] = random_chance(test, 50) ? 0 : a.k * a.n;
    a.rows = a.batch[2] * a.m;
    const size_t a_elems = (size_t)a.rows * a.k, b_elems = (size_t)a.k * a.n * (a.b_batch[2] ? a.batch[2] : 1), elems = (size_t)a.rows * a.n;
    const int16_t *x = random_words(test, a_elems), *y = random_words(test, b_elems), *before = random_words(test, elems);
    int16_t *expected = copy_bytes(test, before, 2 * elems);
    for (size_t i = 0; i < elems; i++) {
        const int row = (int)(i / a.n), n = (int)(i % a.n), batch = row / a.m, m = row % a.m;
        int64_t sum = 0;
        for (int k = 0; k < a.k; k++)
            sum += (int64_t)(x[batch * a.a_batch[2] + m * a.a_m + k * a.a_k] - a.a_zp) * (y[batch * a.b_batch[2] + k * a.b_k + n * a.b_n] - a.b_zp);
        expected[i] = stored((float)sum * a.multiplier, a.out_zp, a.lo, a.hi);
    }
    check(test, &(Call){.args = &a, .input_count = 2, .expected = expected, .inputs = {memory_of(x, 2, a_elems, 0), memory_of(y, 2, b_elems, 0)},
                        .output = memory_of(before, 2, elems, 0)});
}

static int16_t pooled(const struct qn_pool2d_args *a, const float *m, const int16_t *in, const Image *from, int y, int x, int c) {
    int64_t sum = 0, count = 0, best = a->lo;
    for (int ky = 0; ky < a->kernel_h; ky++)
        for (int kx = 0; kx < a->kernel_w; kx++) {
            const int iy = y * a->stride_h + ky - a->pad_top, ix = x * a->stride_w + kx - a->pad_left;
            if (iy < 0 || iy >= a->in_h || ix < 0 || ix >= a->in_w) continue;
            const int16_t value = in[image_at(from, 0, iy, ix, c)];
            sum += value - a->in_zp, count++;
            if (value > best) best = value;
        }
    if (a->mode == QN_POOL_MAX) return (int16_t)best;
    return stored((float)sum * m[a->count_include_pad ? a->kernel_h * a->kernel_w : count], a->out_zp, a->lo, a->hi);
}

// Windows within the padded image, which holds them all.
static void words_pool2d(Test *test) {
    struct qn_pool2d_args a = {.mode = random_chance(test, 50) ? QN_POOL_MAX : QN_POOL_AVERAGE, .count_include_pad = random_chance(test, 50),
                               .kernel_h = random_int(test, 1, 4), .kernel_w = random_int(test, 1, 4), .stride_h = random_int(test, 1, 2),
                               .stride_w = random_int(test, 1, 3), .dilation_h = 1, .dilation_w = 1, .out_h = random_int(test, 1, 5),
                               .out_w = random_int(test, 1, 6), .out_c = random_channels(test, 140)};
    words_quantization(test, &a.in_zp, &a.out_zp, &a.lo, &a.hi);
    a.pad_top = random_int(test, 0, a.kernel_h - 1), a.pad_left = random_int(test, 0, a.kernel_w - 1);
    a.padded_h = (a.out_h - 1) * a.stride_h + a.kernel_h, a.padded_w = (a.out_w - 1) * a.stride_w + a.kernel_w;
    a.in_h = a.padded_h - a.pad_top, a.in_w = a.padded_w - a.pad_left, a.in_c = a.out_c;
    a.rows = a.out_h;
    const Image from = image_part_random(test, 1, a.in_h, a.in_w, a.in_c, random_others(test));
    const Image to = image_part_random(test, 1, a.out_h, a.out_w, a.out_c, random_others(test));
    a.in_pixel = from.pixel, a.in_row = from.row, a.in_image = from.image, a.out_pixel = to.pixel, a.out_row = to.row, a.out_image = to.image;
    float *m = random_floats(test, 17, 0.01f, 1);
    const int16_t *in = random_words(test, from.elems), *before = random_words(test, to.elems);
    int16_t *expected = copy_bytes(test, before, 2 * to.elems);
    for (int y = 0; y < a.out_h; y++)
        for (int x = 0; x < a.out_w; x++)
            for (int c = 0; c < a.out_c; c++) expected[image_at(&to, 0, y, x, c)] = pooled(&a, m, in, &from, y, x, c);
    check(test, &(Call){.args = &a, .input_count = 2, .expected = expected,
                        .inputs = {memory_of(in, 2, from.elems, from.before), memory_of(a.mode == QN_POOL_MAX ? NULL : m, 4, 17, 0)},
                        .output = memory_of(before, 2, to.elems, to.before)});
}

// reduce_mean, and reduce with `op`: dense, of `outer` x size_r x size_s x inner.
static void words_reduce(Test *test, bool is_mean) {
    const int outer = random_int(test, 1, 5), r = random_int(test, 1, 6), s = random_chance(test, 20) ? random_int(test, 60, 700) : random_int(test, 1, 9);
    const int inner = random_chance(test, 40) ? 1 : random_channels(test, 130), row = s * inner, step = r * row;
    struct qn_reduce_mean_args mean = {.rows = outer, .size_r = r, .size_s = s, .inner = inner, .in_outer = step, .in_r = row, .in_s = inner,
                                       .out_outer = inner, .count = random_chance(test, 20) ? 1 : r * s, .in_scale = random_multiplier(test, false), .out_scale = random_float(test, 0.1f, 2)};
    const struct qn_reduce_args plain = {.rows = outer, .size_r = r, .size_s = s, .inner = inner, .in_outer = step, .in_r = row, .in_s = inner,
                                         .out_outer = inner, .op = random_chance(test, 50) ? QN_REDUCE_MAX : QN_REDUCE_MIN};
    words_quantization(test, &mean.in_zp, &mean.out_zp, &mean.lo, &mean.hi);
    const float m = (float)((double)mean.in_scale / ((double)mean.out_scale * mean.count));
    const size_t in_elems = (size_t)outer * step, elems = (size_t)outer * inner;
    const int16_t *in = random_words(test, in_elems), *before = random_words(test, elems);
    int16_t *expected = copy_bytes(test, before, 2 * elems);
    for (size_t i = 0; i < elems; i++) {
        const int16_t *p = in + i / inner * step + i % inner;
        int64_t sum = 0, least = 32767, most = -32768;
        for (int k = 0; k < r * s; k++) {
            const int64_t x = p[(size_t)k * inner];
            sum += x - mean.in_zp, least = x < least ? x : least, most = x > most ? x : most;
        }
        expected[i] = is_mean ? stored((float)sum * m, mean.out_zp, mean.lo, mean.hi) : (int16_t)(plain.op == QN_REDUCE_MAX ? most : least);
    }
    check(test, &(Call){.args = is_mean ? (const void *)&mean : &plain, .input_count = 1, .expected = expected,
                        .inputs = {memory_of(in, 2, in_elems, 0)}, .output = memory_of(before, 2, elems, 0)});
}

static void words_resample(Test *test) {
    const int outer = random_int(test, 1, 3);
    struct qn_resample_args a = {.size = random_int(test, 1, 20), .count = random_int(test, 1, 25), .taps = random_int(test, 1, 4),
                                 .inner = random_channels(test, 140), .multiplier = random_float(test, 0.2f, 3)};
    words_quantization(test, &a.in_zp, &a.out_zp, &a.lo, &a.hi);
    a.rows = outer * a.count;
    const size_t in_elems = (size_t)outer * a.size * a.inner, elems = (size_t)a.rows * a.inner, picks = (size_t)a.count * a.taps;
    const int16_t *in = random_words(test, in_elems), *before = random_words(test, elems);
    const float *weights = random_floats(test, picks, -1, 1);
    int32_t *indices = ARENA_ARRAY(test->arena, int32_t, picks);
    for (size_t i = 0; i < picks; i++) indices[i] = random_int(test, 0, a.size - 1);
    int16_t *expected = copy_bytes(test, before, 2 * elems);
    for (size_t i = 0; i < elems; i++) {
        const size_t row = i / a.inner, place = row % a.count * a.taps;
        float sum = 0;
        for (int k = 0; k < a.taps; k++) {
            const int16_t x = in[(row / a.count * a.size + indices[place + k]) * a.inner + i % a.inner];
            const float product = weights[place + k] * (float)(x - a.in_zp);
            sum = sum + product;
        }
        expected[i] = stored(sum * a.multiplier, a.out_zp, a.lo, a.hi);
    }
    check(test, &(Call){.args = &a, .input_count = 3, .expected = expected,
                        .inputs = {memory_of(in, 2, in_elems, 0), memory_of(indices, 4, picks, 0), memory_of(weights, 4, picks, 0)},
                        .output = memory_of(before, 2, elems, 0)});
}

bool case_words(Test *test) {
    const char *family = test->row->family;
    if (!is_words(test->row->operands) && !is_words(test->row->result)) return false;
    if (!strcmp(family, "binary")) words_binary(test);
    else if (!strcmp(family, "table")) words_table(test);
    else if (!strcmp(family, "quantize")) words_quantize(test);
    else if (!strcmp(family, "matmul")) words_matmul(test);
    else if (!strcmp(family, "pool2d")) words_pool2d(test);
    else if (!strcmp(family, "reduce_mean")) words_reduce(test, true);
    else if (!strcmp(family, "reduce")) words_reduce(test, false);
    else if (!strcmp(family, "resample")) words_resample(test);
    else return false; // with weights
    return true;
}
