// Cases of the families that go by tables and indices, and of normalize.
#include <math.h>
#include <string.h>

#include "passes/pack_resample.h"
#include "runtime/kernel_table.h"
#include "test/kernels/check.h"

static bool is_f32(const Test *test) { return !strcmp(test->row->result, "f32"); }

// ---- resample

static struct qn_resample_args resample_args(Test *test) {
    struct qn_resample_args a = {.size = random_int(test, 1, 30), .count = random_int(test, 1, 30), .taps = random_int(test, 1, 5),
                                 .inner = random_channels(test, 200), .multiplier = random_multiplier(test, true)};
    if (is_f32(test)) return a;
    a.in_zp = random_zero_point(test), a.out_zp = random_zero_point(test), a.flip = RANDOM_OF(test, 0, 0x80);
    random_clamp(test, &a.lo, &a.hi);
    return a;
}

typedef struct { const struct qn_resample_args *a; const void *in; const int32_t *indices; const float *weights; } Resample;

static size_t resample_at(const Resample *r, size_t i, int k) {
    const struct qn_resample_args *a = r->a;
    int index = r->indices[i / a->inner % a->count * a->taps + k];
    index = index < 0 ? 0 : index >= a->size ? a->size - 1 : index;
    return (i / a->inner / a->count * a->size + (size_t)index) * a->inner + i % a->inner;
}

static void resample_expect(const Resample *r, size_t count, void *expected, float *bound) {
    const struct qn_resample_args *a = r->a;
    for (size_t i = 0; i < count; i++) {
        double sum = 0, size = 0;
        float stored = 0;
        for (int k = 0; k < a->taps; k++) {
            const float w = r->weights[i / a->inner % a->count * a->taps + k];
            const size_t at = resample_at(r, i, k);
            const float x = bound ? ((const float *)r->in)[at] : (float)((int8_t)(((const uint8_t *)r->in)[at] ^ a->flip) - a->in_zp);
            const volatile float product = w * x; // no fused multiply-add
            stored += product;
            sum += (double)w * x, size += fabs((double)w * x);
        }
        if (bound) ((float *)expected)[i] = (float)sum, bound[i] = (float)(1e-6 * size);
        else ((uint8_t *)expected)[i] = (uint8_t)(naive_round(stored * a->multiplier, a->out_zp, a->lo, a->hi) ^ a->flip);
    }
}

static void case_resample_u8(Test *test);

void case_resample(Test *test) {
    if (!strcmp(test->row->result, "u8")) {
        case_resample_u8(test);
        return;
    }
    struct qn_resample_args a = resample_args(test);
    const bool exact = random_chance(test, 40);
    if (exact) a.taps = 2;
    const int outer = random_int(test, 1, 4), cells = a.count * a.taps;
    const size_t elem = is_f32(test) ? 4 : 1, in_elems = (size_t)outer * a.size * a.inner, out_elems = (size_t)outer * a.count * a.inner;
    const void *in = elem == 4 ? (void *)random_floats(test, in_elems, -4, 4) : random_bytes(test, in_elems);
    float *weights = random_floats(test, (size_t)cells, -1, 1);
    for (int i = 0; exact && i < cells; i++) weights[i] = (float)random_int(test, 0, 64) / 64;
    int32_t *indices = ARENA_ARRAY(test->arena, int32_t, cells);
    for (int i = 0; i < cells; i++) indices[i] = random_int(test, -1, a.size);
    const void *before = random_bytes(test, out_elems * elem);
    void *expected = copy_bytes(test, before, out_elems * elem);
    float *bound = elem == 4 ? ARENA_ARRAY(test->arena, float, out_elems) : NULL;
    a.rows = outer * a.count;
    resample_expect(&(Resample){&a, in, indices, weights}, out_elems, expected, bound);
    check(test, &(Call){.args = &a, .input_count = 3, .expected = expected, .bound = bound,
                        .inputs = {memory_of(in, elem, in_elems, 0), memory_of(indices, 4, (size_t)cells, 0),
                                   memory_of(weights, 4, (size_t)cells, 0)},
                        .output = memory_of(before, elem, out_elems, 0)});
}

// Weights as large as an image's, some of them negative, or any bits.
static int32_t resample_weight(Test *test, bool wild) {
    return wild ? (int32_t)((uint32_t)random_int(test, 0, 65535) << 16 | (uint32_t)random_int(test, 0, 65535)) : random_int(test, -400000, 1 << 22);
}

static void resample_u8_expect(const struct qn_resample_args *a, const uint8_t *in, const int32_t *indices, const int32_t *weights, size_t count,
                               uint8_t *expected) {
    const Resample r = {a, in, indices, NULL};
    for (size_t i = 0; i < count; i++) {
        int64_t sum = 1 << 21;
        for (int k = 0; k < a->taps; k++) sum += (int64_t)weights[i / a->inner % a->count * a->taps + k] * in[resample_at(&r, i, k)];
        const int32_t value = (int32_t)(uint32_t)sum >> 22; // the sum's low 32 bits
        expected[i] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
    }
}

// Taps side by side, as a filter's, or anywhere.
static void case_resample_u8(Test *test) {
    struct qn_resample_args a = {.size = random_int(test, 1, 60), .count = random_int(test, 1, 60), .taps = random_int(test, 1, 9),
                                 .inner = random_chance(test, 70) ? random_int(test, 1, 4) : random_channels(test, 200)};
    const int outer = random_int(test, 1, 5), cells = a.count * a.taps;
    const bool filter = random_chance(test, 70), wild = random_chance(test, 20);
    const size_t in_elems = (size_t)outer * a.size * a.inner, out_elems = (size_t)outer * a.count * a.inner;
    const uint8_t *in = random_bytes(test, in_elems), *before = random_bytes(test, out_elems);
    int32_t *weights = ARENA_ARRAY(test->arena, int32_t, cells), *indices = ARENA_ARRAY(test->arena, int32_t, cells);
    for (int i = 0; i < cells; i++) {
        weights[i] = resample_weight(test, wild) / (wild ? 1 : a.taps);
        indices[i] = filter ? i / a.taps * a.size / a.count + i % a.taps : random_int(test, -1, a.size);
    }
    uint8_t *expected = copy_bytes(test, before, out_elems);
    a.rows = outer * a.count;
    resample_u8_expect(&a, in, indices, weights, out_elems, expected);
    if (!strcmp(test->row->tile, "pixels16")) {
        PackedBlocks blocks;
        if (!pack_resample(test->arena, a.size, a.count, a.taps, a.inner, indices, weights, &blocks)) return;
        a.packed = blocks.count;
        check(test, &(Call){.args = &a, .input_count = 3, .expected = expected,
                            .inputs = {memory_of(in, 1, in_elems, 0), memory_constant(blocks.headers, blocks.header_bytes),
                                       memory_constant(blocks.tables, blocks.table_bytes)},
                            .output = memory_of(before, 1, out_elems, 0)});
        return;
    }
    check(test, &(Call){.args = &a, .input_count = 3, .expected = expected,
                        .inputs = {memory_of(in, 1, in_elems, 0), memory_of(indices, 4, (size_t)cells, 0), memory_of(weights, 4, (size_t)cells, 0)},
                        .output = memory_of(before, 1, out_elems, 0)});
}

// ---- lookup

// An image within another, or pixels one behind the other.
void case_lookup(Test *test) {
    struct qn_lookup_args a = {.in_c = random_int(test, 1, 5), .out_h = random_int(test, 1, 6), .out_w = random_channels(test, 150),
                               .out_c = RANDOM_OF(test, 1, 3, 3, 3, 4, 7), .elem_bytes = RANDOM_OF(test, 1, 1, 2, 4, 8)};
    const int images = random_int(test, 1, 3);
    a.out_pixel = a.out_c + (random_chance(test, 25) ? random_int(test, 1, 9) : 0);
    a.out_row = a.out_w * a.out_pixel + (random_chance(test, 50) ? random_int(test, 1, 40) : 0);
    a.out_image = a.out_h * a.out_row;
    a.rows = images * a.out_h;
    const size_t elem = (size_t)a.elem_bytes, in_elems = (size_t)a.rows * a.out_w * a.in_c, out_elems = (size_t)images * a.out_image;
    const uint8_t *in = random_bytes(test, in_elems), *table = random_bytes(test, (size_t)a.out_c * 256 * elem);
    const uint8_t *before = random_bytes(test, out_elems * elem);
    uint8_t *expected = copy_bytes(test, before, out_elems * elem);
    int32_t *channels = ARENA_ARRAY(test->arena, int32_t, a.out_c);
    for (int c = 0; c < a.out_c; c++) channels[c] = random_int(test, -a.in_c - 1, a.in_c);
    for (size_t i = 0; i < (size_t)a.rows * a.out_w * a.out_c; i++) {
        const size_t c = i % a.out_c, pixel = i / a.out_c, row = pixel / a.out_w;
        int channel = channels[c] < 0 ? channels[c] + a.in_c : channels[c];
        channel = channel < 0 ? 0 : channel >= a.in_c ? a.in_c - 1 : channel;
        const size_t to = row * a.out_row + pixel % a.out_w * a.out_pixel + c;
        memcpy(expected + to * elem, table + (c * 256 + in[pixel * a.in_c + (size_t)channel]) * elem, elem);
    }
    check(test, &(Call){.args = &a, .input_count = 3, .expected = expected,
                        .inputs = {memory_of(in, 1, in_elems, 0), memory_of(table, elem, (size_t)a.out_c * 256, 0),
                                   memory_of(channels, 4, (size_t)a.out_c, 0)},
                        .output = memory_of(before, elem, out_elems, 0)});
}

// ---- bilinear

static int pair_at(const int32_t *indices, int at, int size) { return indices[at] < 0 ? 0 : indices[at] >= size ? size - 1 : indices[at]; }

// Neighbours, as those of a resized image, or anywhere.
void case_bilinear(Test *test) {
    const bool image = random_chance(test, 70);
    struct qn_bilinear_args a = {.in_h = random_int(test, 1, 8), .in_w = random_int(test, 1, 120), .out_h = random_int(test, 1, 8), .out_w = random_int(test, 1, 70),
                                 .channels = RANDOM_OF(test, 1, 3, 3, 3, 4), .bits = RANDOM_OF(test, 8, 11)};
    const int images = random_int(test, 1, 2), one = 1 << a.bits;
    const size_t in_elems = (size_t)images * a.in_h * a.in_w * a.channels, out_elems = (size_t)images * a.out_h * a.out_w * a.channels;
    const size_t sizes[] = {(size_t)a.out_h * 2, (size_t)a.out_h * 2, (size_t)a.out_w * 2, (size_t)a.out_w * 2};
    int32_t *lists[4];
    a.rows = images * a.out_h;
    for (int k = 0; k < 4; k++) lists[k] = ARENA_ARRAY(test->arena, int32_t, sizes[k]);
    for (int k = 0; k < 4; k += 2)
        for (size_t i = 0; i < sizes[k]; i++) {
            lists[k][i] = image ? (int)(i / 2 * (size_t)(k ? a.in_w : a.in_h) / (sizes[k] / 2) + i % 2) : random_int(test, -1, k ? a.in_w : a.in_h);
            lists[k + 1][i] = i % 2 ? one - lists[k + 1][i - 1] : random_int(test, 0, one);
        }
    const uint8_t *in = random_bytes(test, in_elems), *before = random_bytes(test, out_elems);
    uint8_t *expected = copy_bytes(test, before, out_elems);
    for (size_t i = 0; i < out_elems; i++) {
        const int c = (int)(i % a.channels), x = (int)(i / a.channels) % a.out_w, y = (int)(i / a.channels / a.out_w) % a.out_h;
        const size_t image = i / a.channels / a.out_w / a.out_h * a.in_h;
        int64_t sum = a.bits == 11 ? 2 : 1 << 15;
        for (int k = 2 * y; k < 2 * y + 2; k++) {
            const size_t row = (image + pair_at(lists[0], k, a.in_h)) * a.in_w;
            int64_t across = 0;
            for (int l = 2 * x; l < 2 * x + 2; l++) across += (int64_t)lists[3][l] * in[(row + pair_at(lists[2], l, a.in_w)) * a.channels + c];
            sum += a.bits == 11 ? (lists[1][k] * (across >> 4)) >> 16 : lists[1][k] * across;
        }
        expected[i] = (uint8_t)(sum >> (a.bits == 11 ? 2 : 16));
    }
    if (!strcmp(test->row->tile, "pixels16")) {
        PackedBlocks blocks;
        if (!pack_bilinear(test->arena, a.in_w, a.out_w, a.channels, a.bits, lists[2], lists[3], &blocks)) return;
        a.packed = blocks.count;
        check(test, &(Call){.args = &a, .input_count = 5, .expected = expected,
                            .inputs = {memory_of(in, 1, in_elems, 0), memory_of(lists[0], 4, sizes[0], 0), memory_of(lists[1], 4, sizes[1], 0),
                                       memory_constant(blocks.headers, blocks.header_bytes), memory_constant(blocks.tables, blocks.table_bytes)},
                            .output = memory_of(before, 1, out_elems, 0)});
        return;
    }
    check(test, &(Call){.args = &a, .input_count = 5, .expected = expected,
                        .inputs = {memory_of(in, 1, in_elems, 0), memory_of(lists[0], 4, sizes[0], 0), memory_of(lists[1], 4, sizes[1], 0),
                                   memory_of(lists[2], 4, sizes[2], 0), memory_of(lists[3], 4, sizes[3], 0)},
                        .output = memory_of(before, 1, out_elems, 0)});
}

// ---- yuv

// Where luma and chroma lie: planes, planes with both chromas in one, or groups of two pixels.
static void yuv_planes_random(Test *test, struct qn_yuv_args *a, int height, int row) {
    const bool packed = random_chance(test, 25), interleaved = random_chance(test, 60), swapped = random_chance(test, 50);
    const int part = packed ? 2 : interleaved ? 1 : height / 2 * (row / 2);
    a->luma_step = packed ? 2 : 1, a->chroma_step = packed ? 4 : interleaved ? 2 : 1, a->chroma_shift = !packed;
    a->luma = packed ? random_int(test, 0, 1) : 0;
    a->luma_row = packed ? 2 * row : row;
    a->chroma_row = packed ? 2 * row : interleaved ? row : row / 2;
    const int first = packed ? 1 - a->luma : height * row;
    a->u = first + (swapped ? part : 0), a->v = first + (swapped ? 0 : part);
    a->frame_bytes = packed ? 2 * row * height : height / 2 * 3 * row;
}

static void yuv_expect(const struct qn_yuv_args *a, const uint8_t *in, uint8_t *expected) {
    for (int i = 0; i < a->rows * a->out_w; i++) {
        const int x = a->left + i % a->out_w, y = a->top + i / a->out_w % a->out_h;
        const uint8_t *frame = in + (size_t)(i / a->out_w / a->out_h) * a->frame_bytes;
        const int chroma = (a->chroma_shift ? y / 2 : y) * a->chroma_row + x / 2 * a->chroma_step;
        const double u = frame[chroma + a->u] - 128.0, v = frame[chroma + a->v] - 128.0;
        const double light = fmax(0, frame[a->luma + y * a->luma_row + x * a->luma_step] - a->matrix[5]) * (double)a->matrix[0];
        const double colours[] = {v * a->matrix[1], v * a->matrix[2] + u * a->matrix[3], u * a->matrix[4]};
        for (int c = 0; c < 3; c++) expected[i * 3 + c] = (uint8_t)fmax(0, fmin(255, floor((light + colours[c]) / 1048576 + 0.5)));
    }
}

void case_yuv(Test *test) {
    static const int32_t usual[] = {1220542, 1673527, -852492, -409993, 2116026, 16};
    const int height = 2 * random_int(test, 1, 5), row = 2 * random_int(test, 1, 110), images = random_int(test, 1, 2), most = (1 << 22) - 1;
    struct qn_yuv_args a = {.top = random_int(test, 0, height - 1), .left = random_int(test, 0, row - 1)};
    const bool wild = random_chance(test, 40);
    yuv_planes_random(test, &a, height, row);
    a.out_h = random_int(test, 1, height - a.top), a.out_w = random_chance(test, 50) ? row - a.left : random_int(test, 1, row - a.left);
    a.rows = images * a.out_h;
    for (int i = 0; i < 6; i++) a.matrix[i] = !wild ? usual[i] : i == 5 ? random_int(test, 0, 255) : random_int(test, -most, most);
    const size_t in_elems = (size_t)images * a.frame_bytes, out_elems = (size_t)a.rows * a.out_w * 3;
    const uint8_t *in = random_bytes(test, in_elems), *before = random_bytes(test, out_elems);
    uint8_t *expected = copy_bytes(test, before, out_elems);
    yuv_expect(&a, in, expected);
    check(test, &(Call){.args = &a, .input_count = 1, .expected = expected, .inputs = {memory_of(in, 1, in_elems, 0)},
                        .output = memory_of(before, 1, out_elems, 0)});
}

// ---- normalize

void case_normalize(Test *test) {
    struct qn_normalize_args a = {.size = random_chance(test, 20) ? random_int(test, 300, 1100) : random_channels(test, 260),
                                  .inner = random_chance(test, 50) ? 1 : random_int(test, 2, 90),
                                  .center = random_chance(test, 70), .epsilon = random_chance(test, 50) ? 1e-5f : 0.1f};
    const int outer = random_int(test, 1, 4);
    const size_t elems = (size_t)outer * a.size * a.inner;
    const float shift = random_chance(test, 30) ? 100 : 0;
    const float *x = random_floats(test, elems, shift - 4, shift + 4);
    float *expected = copy_bytes(test, x, elems * 4), *bound = ARENA_ARRAY(test->arena, float, elems);
    a.rows = outer * a.inner;
    for (int r = 0; r < a.rows; r++) {
        const size_t at = (size_t)(r / a.inner) * a.size * a.inner + (size_t)(r % a.inner);
        double mean = 0, variance = 0;
        for (int i = 0; a.center && i < a.size; i++) mean += x[at + (size_t)i * a.inner] / (double)a.size;
        for (int i = 0; i < a.size; i++) variance += pow(x[at + (size_t)i * a.inner] - mean, 2) / a.size;
        for (int i = 0; i < a.size; i++) {
            const size_t k = at + (size_t)i * a.inner;
            const double deviation = sqrt(variance + a.epsilon);
            expected[k] = (float)((x[k] - mean) / deviation);
            // The mean is off by some units in the last place of the largest element.
            bound[k] = (float)(2e-6 * fabs(expected[k]) + 2.4e-7 * (fabs(mean) + 4) / deviation + 1e-7);
        }
    }
    check(test, &(Call){.args = &a, .input_count = 1, .expected = expected, .bound = bound, .in_place = true,
                        .inputs = {memory_of(x, 4, elems, 0)}, .output = memory_of(x, 4, elems, 0)});
}
