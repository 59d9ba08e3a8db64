// Cases of the families that find slices by tuples of indices: gather_nd, scatter_nd.
#include <math.h>
#include <string.h>

#include "runtime/kernel_table.h"
#include "test/kernels/check.h"

// What both families say of tuples, and how much memory it takes.
typedef struct {
    int32_t shape[5], places[5], dims[8], strides[8];
    int depth, inner, elem_bytes, index_bytes, tuples, elems;
    uint8_t *indices;
} Tuples;

// The dimensions of the indexed tensor in any order, those that indices count and those that go with the tuples'.
static void layout_random(Test *test, Tuples *t) {
    int order[13], count = 0;
    for (int i = 0; i < t->depth; i++) order[count++] = i;
    for (int d = 0; d < 5; d++)
        if (random_chance(test, 30)) order[count++] = 8 + d;
    t->elems = t->inner;
    for (int i = count - 1; i >= 0; i--) {
        const int k = random_int(test, 0, i), dim = order[k];
        order[k] = order[i];
        *(dim < 8 ? &t->strides[dim] : &t->places[dim - 8]) = t->elems;
        t->elems *= dim < 8 ? t->dims[dim] : t->shape[dim - 8];
    }
}

static int index_random(Test *test, int size) {
    return random_chance(test, 10) ? random_int(test, -1000000, 1000000) : random_int(test, -size, size - 1);
}

static Tuples tuples_random(Test *test) {
    Tuples t = {.depth = random_int(test, 1, 4), .inner = random_chance(test, 50) ? 1 : random_int(test, 2, 20),
                .elem_bytes = RANDOM_OF(test, 1, 2, 4, 8), .index_bytes = RANDOM_OF(test, 4, 8), .tuples = 1};
    for (int d = 0; d < 5; d++) t.tuples *= t.shape[d] = random_chance(test, 50) ? 1 : random_int(test, 2, 5);
    for (int i = 0; i < t.depth; i++) t.dims[i] = random_int(test, 1, 5);
    layout_random(test, &t);
    t.indices = arena_alloc(test->arena, (size_t)(t.tuples * t.depth * t.index_bytes));
    for (int i = 0; i < t.tuples * t.depth; i++) {
        const int32_t index = index_random(test, t.dims[i % t.depth]);
        const int64_t wide = index;
        memcpy(t.indices + i * t.index_bytes, t.index_bytes == 8 ? (const void *)&wide : &index, (size_t)t.index_bytes);
    }
    return t;
}

// The first element of the slice that tuple `at` points at.
static size_t tuple_place(const Tuples *t, int at) {
    int place = 0;
    for (int i = 0; i < t->depth; i++) {
        const uint8_t *bytes = t->indices + (at * t->depth + i) * t->index_bytes;
        int64_t wide;
        int32_t index;
        memcpy(&index, bytes, 4); // little-endian: also the low half of a wide one
        memcpy(&wide, bytes, (size_t)t->index_bytes);
        if (t->index_bytes == 8) index = (int32_t)wide;
        index = index < 0 ? index + t->dims[i] : index;
        place += (index < 0 ? 0 : index >= t->dims[i] ? t->dims[i] - 1 : index) * t->strides[i];
    }
    for (int d = 4; d >= 0; d--) {
        place += at % t->shape[d] * t->places[d];
        at /= t->shape[d];
    }
    return (size_t)place;
}

#define TUPLES_ARGS(t)                                                                                                \
    .depth = (t).depth, .inner = (t).inner, .elem_bytes = (t).elem_bytes, .index_bytes = (t).index_bytes,             \
    .rows = (t).shape[0] * (t).shape[1]

void case_gather_nd(Test *test) {
    const Tuples t = tuples_random(test);
    struct qn_gather_nd_args a = {TUPLES_ARGS(t)};
    memcpy(a.shape, t.shape, sizeof a.shape);
    memcpy(a.in, t.places, sizeof a.in);
    memcpy(a.dims, t.dims, sizeof a.dims);
    memcpy(a.strides, t.strides, sizeof a.strides);
    const size_t elem = (size_t)t.elem_bytes, slice = (size_t)t.inner * elem, out_elems = (size_t)(t.tuples * t.inner);
    const uint8_t *x = random_bytes(test, (size_t)t.elems * elem), *before = random_bytes(test, out_elems * elem);
    uint8_t *expected = copy_bytes(test, before, out_elems * elem);
    for (int i = 0; i < t.tuples; i++) memcpy(expected + (size_t)i * slice, x + tuple_place(&t, i) * elem, slice);
    check(test, &(Call){.args = &a, .input_count = 2, .expected = expected,
                        .inputs = {memory_of(x, elem, (size_t)t.elems, 0),
                                   memory_of(t.indices, (size_t)t.index_bytes, (size_t)(t.tuples * t.depth), 0)},
                        .output = memory_of(before, elem, out_elems, 0)});
}

// ---- scatter_nd

#define COMBINE(type, wide)                                                                                           \
    {                                                                                                                 \
        type x, y;                                                                                                    \
        memcpy(&x, to, sizeof x);                                                                                     \
        memcpy(&y, from, sizeof y);                                                                                   \
        x = op == QN_SCATTER_ADD   ? (type)((wide)x + (wide)y)                                                        \
            : op == QN_SCATTER_MUL ? (type)((wide)x * (wide)y)                                                        \
            : op == QN_SCATTER_MIN ? (y < x ? y : x)                                                                  \
                                   : (y > x ? y : x);                                                                 \
        memcpy(to, &x, sizeof x);                                                                                     \
        return;                                                                                                       \
    }

static void combine(const char *elem, int op, uint8_t *to, const uint8_t *from) {
    if (!strcmp(elem, "f32")) COMBINE(float, float)
    if (!strcmp(elem, "i64")) COMBINE(int64_t, uint64_t)
    if (!strcmp(elem, "i32")) COMBINE(int32_t, uint32_t)
    if (!strcmp(elem, "i16")) COMBINE(int16_t, uint32_t)
    if (!strcmp(elem, "i8")) COMBINE(int8_t, uint32_t)
    if (!strcmp(elem, "u64")) COMBINE(uint64_t, uint64_t)
    if (!strcmp(elem, "u32")) COMBINE(uint32_t, uint32_t)
    if (!strcmp(elem, "u16")) COMBINE(uint16_t, uint32_t)
    COMBINE(uint8_t, uint32_t)
}

static int bytes_of(const char *elem) {
    return strstr(elem, "64") ? 8 : strstr(elem, "32") ? 4 : strstr(elem, "16") ? 2 : 1;
}

void case_scatter_nd(Test *test) {
    const char *type = test->row->operands;
    const bool sets = !strcmp(type, "any"), is_f32 = !strcmp(type, "f32");
    Tuples t = tuples_random(test);
    if (!sets) t.elem_bytes = bytes_of(type);
    struct qn_scatter_nd_args a = {TUPLES_ARGS(t), .op = sets ? QN_SCATTER_SET : random_int(test, QN_SCATTER_ADD, QN_SCATTER_MAX)};
    a.rows = 1;
    memcpy(a.shape, t.shape, sizeof a.shape);
    memcpy(a.out, t.places, sizeof a.out);
    memcpy(a.dims, t.dims, sizeof a.dims);
    memcpy(a.strides, t.strides, sizeof a.strides);
    const size_t elem = (size_t)t.elem_bytes, in_elems = (size_t)(t.tuples * t.inner), elems = (size_t)t.elems;
    const uint8_t *updates = is_f32 ? (void *)random_floats(test, in_elems, -4, 4) : random_bytes(test, in_elems * elem);
    const void *before = is_f32 ? (void *)random_floats(test, elems, -4, 4) : random_bytes(test, elems * elem);
    uint8_t *expected = copy_bytes(test, before, elems * elem);
    for (int i = 0; i < t.tuples; i++)
        for (int k = 0; k < t.inner; k++) {
            uint8_t *to = expected + (tuple_place(&t, i) + (size_t)k) * elem;
            const uint8_t *from = updates + ((size_t)i * (size_t)t.inner + (size_t)k) * elem;
            if (sets) memcpy(to, from, elem);
            else combine(type, a.op, to, from);
        }
    check(test, &(Call){.args = &a, .input_count = 2, .expected = expected,
                        .inputs = {memory_of(t.indices, (size_t)t.index_bytes, (size_t)(t.tuples * t.depth), 0),
                                   memory_of(updates, elem, in_elems, 0)},
                        .output = memory_of(before, elem, elems, 0)});
}
