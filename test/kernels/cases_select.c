// Cases of the families that choose elements by their values.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/kernel_table.h"
#include "test/kernels/check.h"

void case_true_indices(Test *test) {
    struct qn_true_indices_args a = {.rows = 1, .count = random_int(test, 1, 300), .rest = RANDOM_OF(test, 0, -1, 300)};
    const int share = random_int(test, 0, 100);
    uint8_t *x = arena_alloc(test->arena, (size_t)a.count);
    const void *before = random_bytes(test, (size_t)a.count * 8);
    int64_t *expected = copy_bytes(test, before, (size_t)a.count * 8);
    int found = 0;
    for (int i = 0; i < a.count; i++)
        if ((x[i] = random_chance(test, share))) expected[found++] = i;
    while (found < a.count) expected[found++] = a.rest;
    check(test, &(Call){.args = &a, .input_count = 1, .expected = expected,
                        .inputs = {memory_of(x, 1, (size_t)a.count, 0)},
                        .output = memory_of(before, 8, (size_t)a.count, 0)});
}

// ---- arg_sort: by insertion

static long double sorted_value(const char *elem, const void *x, size_t i) {
    if (!strcmp(elem, "f32")) return ((const float *)x)[i];
    if (!strcmp(elem, "i64")) return ((const int64_t *)x)[i];
    if (!strcmp(elem, "u64")) return ((const uint64_t *)x)[i];
    if (!strcmp(elem, "i32")) return ((const int32_t *)x)[i];
    if (!strcmp(elem, "u32")) return ((const uint32_t *)x)[i];
    if (!strcmp(elem, "i16")) return ((const int16_t *)x)[i];
    if (!strcmp(elem, "u16")) return ((const uint16_t *)x)[i];
    return !strcmp(elem, "i8") ? ((const int8_t *)x)[i] : ((const uint8_t *)x)[i];
}

static bool is_after(const struct qn_arg_sort_args *a, const char *elem, const void *x, size_t i, size_t j) {
    for (int k = 0; k < a->width; k++) {
        const long double p = sorted_value(elem, x, i * a->width + k), q = sorted_value(elem, x, j * a->width + k);
        const int order = isnan(p) || isnan(q) ? isnan(p) - isnan(q) : (p > q) - (p < q);
        if (order) return a->descending ? order < 0 : order > 0;
    }
    return i > j;
}

void case_arg_sort(Test *test) {
    const char *elem = test->row->operands;
    const size_t bytes = strchr(elem, '6') ? (strchr(elem, '4') ? 8 : 2) : strchr(elem, '3') ? 4 : 1;
    struct qn_arg_sort_args a = {.count = random_int(test, 1, 40), .width = random_chance(test, 60) ? 1 : random_int(test, 2, 4),
                                 .descending = random_chance(test, 40), .rows = random_int(test, 1, 4)};
    const size_t elems = (size_t)a.rows * a.count * a.width, outs = (size_t)a.rows * a.count;
    uint8_t *x = random_bytes(test, elems * bytes);
    for (size_t i = 0; i < elems; i++) { // few values, so that there are equal ones
        if (*elem == 'f') ((float *)(void *)x)[i] = random_chance(test, 5) ? NAN : (float)random_int(test, -9, 9) / 4;
        else if (random_chance(test, 80)) memset(x + i * bytes, random_chance(test, 50) ? 0 : 1, bytes);
    }
    const void *before = random_bytes(test, outs * 8);
    int64_t *expected = copy_bytes(test, before, outs * 8);
    for (int r = 0; r < a.rows; r++) {
        const void *row = x + (size_t)r * a.count * a.width * bytes;
        int64_t *out = expected + (size_t)r * a.count;
        for (int i = 0; i < a.count; i++) {
            int at = i;
            for (; at > 0 && is_after(&a, elem, row, (size_t)out[at - 1], (size_t)i); at--) out[at] = out[at - 1];
            out[at] = i;
        }
    }
    check(test, &(Call){.args = &a, .input_count = 1, .expected = expected, .inputs = {memory_of(x, bytes, elems, 0)},
                        .output = memory_of(before, 8, outs, 0)});
}

// ---- non_max_suppression: corners are whole numbers, so that areas are exact

static double side_of(const float *p, int i, int high, bool center) {
    const double a = center ? p[i] - p[2 + i] / 2.0 : fmin(p[i], p[2 + i]);
    const double b = center ? p[i] + p[2 + i] / 2.0 : fmax(p[i], p[2 + i]);
    return high ? b : a;
}

static double overlap_of(const float *p, const float *q, bool center) {
    double common = 1, area_p = 1, area_q = 1;
    for (int i = 0; i < 2; i++) {
        common *= fmax(0, fmin(side_of(p, i, 1, center), side_of(q, i, 1, center)) - fmax(side_of(p, i, 0, center), side_of(q, i, 0, center)));
        area_p *= side_of(p, i, 1, center) - side_of(p, i, 0, center);
        area_q *= side_of(q, i, 1, center) - side_of(q, i, 0, center);
    }
    return area_p > 0 && area_q > 0 ? common / (area_p + area_q - common) : 0;
}

typedef struct { const struct qn_non_max_suppression_args *a; const float *boxes, *scores; const int64_t *order; } Choice;

static void choose(const Choice *c, int r, int64_t *out) {
    const struct qn_non_max_suppression_args *a = c->a;
    const float *boxes = c->boxes + (size_t)(r / a->classes) * a->boxes * 4;
    int found = 0;
    for (int i = 0; i < a->boxes; i++) {
        const int64_t at = c->order[(size_t)r * a->boxes + i];
        bool keep = found < a->most && at >= 0 && at < a->boxes && c->scores[(size_t)r * a->boxes + at] > a->score_threshold;
        for (int k = 0; k < found && keep; k++) keep = overlap_of(boxes + 4 * at, boxes + 4 * out[k], a->center) <= a->iou_threshold;
        if (keep) out[found++] = at;
    }
    while (found < a->most) out[found++] = -1;
}

void case_non_max_suppression(Test *test) {
    struct qn_non_max_suppression_args a = {.classes = random_int(test, 1, 3), .boxes = random_int(test, 1, 30), .center = random_chance(test, 30)};
    a.most = random_int(test, 1, a.boxes);
    a.iou_threshold = (float)random_int(test, 0, 8) / 8 + 0.01f;
    a.score_threshold = random_chance(test, 50) ? -INFINITY : 0;
    const int batch = random_int(test, 1, 3);
    a.rows = batch * a.classes;
    const size_t corners = (size_t)batch * a.boxes * 4, places = (size_t)a.rows * a.boxes, outs = (size_t)a.rows * a.most;
    float *boxes = ARENA_ARRAY(test->arena, float, corners);
    for (size_t i = 0; i < corners; i++) boxes[i] = (float)random_int(test, 0, 10) * (a.center && i % 4 > 1 ? 2 : 1);
    const float *scores = random_floats(test, places, -1, 1);
    int64_t *order = ARENA_ARRAY(test->arena, int64_t, places);
    for (size_t i = 0; i < places; i++) order[i] = random_int(test, -1, a.boxes); // a kernel stays inside with any
    const void *before = random_bytes(test, outs * 8);
    int64_t *expected = copy_bytes(test, before, outs * 8);
    for (int r = 0; r < a.rows; r++) choose(&(Choice){&a, boxes, scores, order}, r, expected + (size_t)r * a.most);
    check(test, &(Call){.args = &a, .input_count = 3, .expected = expected,
                        .inputs = {memory_of(boxes, 4, corners, 0), memory_of(scores, 4, places, 0), memory_of(order, 8, places, 0)},
                        .output = memory_of(before, 8, outs, 0)});
}
