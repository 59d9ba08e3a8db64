// Cases of the families that move data: copy, fill, halo, gather, cast.
#include <math.h>
#include <string.h>

#include "runtime/kernel_table.h"
#include "test/kernels/check.h"

// Rows of short runs, of which one side has every other.
static Strided runs_spread(const int32_t shape[5], int spread) {
    const int32_t step = shape[4] * spread;
    return (Strided){.stride = {0, step, 0, 0, 1}, .elems = (size_t)(shape[1] - 1) * (size_t)step + (size_t)shape[4]};
}

void case_copy(Test *test) {
    struct qn_copy_args a = {.elem_bytes = RANDOM_OF(test, 1, 1, 2, 4, 4, 8)};
    const size_t elem = (size_t)a.elem_bytes;
    if (elem == 1 && random_chance(test, 50)) a.flip = 0x80;
    shape_random(test, a.shape);
    const bool pairs = random_chance(test, 10), back = random_chance(test, 50);
    if (pairs) memcpy(a.shape, (int32_t[5]){1, random_int(test, 1, 300), 1, 1, RANDOM_OF(test, 2, 4)}, sizeof a.shape);
    a.rows = a.shape[0] * a.shape[1];
    const Strided out = pairs ? runs_spread(a.shape, 1 + back) : strided_random(test, a.shape, DISTINCT);
    const Strided in = pairs ? runs_spread(a.shape, 2 - back) : strided_random(test, a.shape, MAY_REPEAT);
    memcpy(a.in, in.stride, sizeof a.in);
    memcpy(a.out, out.stride, sizeof a.out);
    const uint8_t *x = random_bytes(test, in.elems * elem), *before = random_bytes(test, out.elems * elem);
    uint8_t *expected = copy_bytes(test, before, out.elems * elem);
    for (size_t i = 0; i < shape_elems(a.shape); i++) {
        const size_t to = strided_at(&out, a.shape, i), from = strided_at(&in, a.shape, i);
        memcpy(expected + to * elem, x + from * elem, elem);
        expected[to * elem] ^= (uint8_t)a.flip;
    }
    check(test, &(Call){.args = &a, .input_count = 1, .expected = expected,
                        .inputs = {memory_of(x, elem, in.elems, in.before)},
                        .output = memory_of(before, elem, out.elems, out.before)});
}

void case_fill(Test *test) {
    struct qn_fill_args a = {.elem_bytes = RANDOM_OF(test, 1, 2, 4, 8), .value_lo = (int32_t)random_bits(test),
                             .value_hi = (int32_t)random_bits(test)};
    const size_t elem = (size_t)a.elem_bytes;
    const int32_t value[2] = {a.value_lo, a.value_hi};
    shape_random(test, a.shape);
    a.rows = a.shape[0] * a.shape[1];
    const Strided out = strided_random(test, a.shape, DISTINCT);
    memcpy(a.out, out.stride, sizeof a.out);
    const uint8_t *before = random_bytes(test, out.elems * elem);
    uint8_t *expected = copy_bytes(test, before, out.elems * elem);
    for (size_t i = 0; i < shape_elems(a.shape); i++) memcpy(expected + strided_at(&out, a.shape, i) * elem, value, elem);
    check(test, &(Call){.args = &a, .expected = expected, .output = memory_of(before, elem, out.elems, out.before)});
}

void case_halo(Test *test) {
    struct qn_halo_args a = {.h = random_int(test, 1, 9), .w = random_int(test, 1, 9), .c = random_channels(test, 100),
                             .top = random_int(test, 0, 3), .left = random_int(test, 0, 3), .bottom = random_int(test, 0, 3),
                             .right = random_int(test, 0, 3), .elem_bytes = RANDOM_OF(test, 1, 1, 2, 4),
                             .value_lo = (int32_t)random_bits(test), .rows = random_int(test, 1, 3)};
    const size_t elem = (size_t)a.elem_bytes;
    // An image with its border is an image of its own.
    const Image image = image_random(test, a.rows, a.top + a.h + a.bottom, a.left + a.w + a.right, a.c);
    a.out_row = image.row, a.out_image = image.image;
    const uint8_t *before = random_bytes(test, image.elems * elem);
    uint8_t *expected = copy_bytes(test, before, image.elems * elem);
    for (int n = 0; n < a.rows; n++)
        for (int y = 0; y < image.h; y++)
            for (int x = 0; x < image.w; x++)
                for (int c = 0; c < a.c; c++)
                    if (y < a.top || y >= a.top + a.h || x < a.left || x >= a.left + a.w)
                        memcpy(expected + image_at(&image, n, y, x, c) * elem, &a.value_lo, elem);
    check(test, &(Call){.args = &a, .expected = expected,
                        .output = memory_of(before, elem, image.elems, image_at(&image, 0, a.top, a.left, 0))});
}

void case_gather(Test *test) {
    struct qn_gather_args a = {.size = random_int(test, 1, 20), .count = random_int(test, 1, 20),
                               .inner_bytes = random_int(test, 1, 70), .index_bytes = RANDOM_OF(test, 4, 8)};
    const int outer = random_int(test, 1, 5);
    const size_t in_bytes = (size_t)outer * a.size * a.inner_bytes, out_bytes = (size_t)outer * a.count * a.inner_bytes;
    const uint8_t *x = random_bytes(test, in_bytes), *before = random_bytes(test, out_bytes);
    uint8_t *expected = copy_bytes(test, before, out_bytes), *indices = arena_alloc(test->arena, (size_t)a.count * 8);
    a.rows = outer * a.count;
    for (int i = 0; i < a.count; i++) {
        const int wild = random_chance(test, 10) ? 1000000 : 0; // beyond either end
        const int32_t index = random_int(test, -a.size - wild, a.size - 1 + wild);
        const int64_t wide = index;
        int from = index < 0 ? index + a.size : index;
        from = from < 0 ? 0 : from >= a.size ? a.size - 1 : from;
        memcpy(indices + i * a.index_bytes, a.index_bytes == 8 ? (const void *)&wide : &index, (size_t)a.index_bytes);
        for (int o = 0; o < outer; o++)
            memcpy(expected + ((size_t)o * a.count + i) * a.inner_bytes, x + ((size_t)o * a.size + from) * a.inner_bytes,
                   (size_t)a.inner_bytes);
    }
    check(test, &(Call){.args = &a, .input_count = 2, .expected = expected,
                        .inputs = {memory_of(x, 1, in_bytes, 0),
                                   memory_of(indices, (size_t)a.index_bytes, (size_t)a.count, 0)},
                        .output = memory_of(before, 1, out_bytes, 0)});
}

// ---- cast

static const int elem_bytes[] = {[QN_E_F32] = 4, [QN_E_F64] = 8, [QN_E_F16] = 2, [QN_E_BF16] = 2, [QN_E_I64] = 8,
                                 [QN_E_I32] = 4, [QN_E_I16] = 2, [QN_E_I8] = 1, [QN_E_U64] = 8, [QN_E_U32] = 4,
                                 [QN_E_U16] = 2, [QN_E_U8] = 1, [QN_E_I1] = 1};

// A float of 16 bits, by arithmetic on its fields.
static long double small_load(uint16_t bits, int fraction_bits) {
    const int fields = bits & 0x7FFF, largest = 0x7FFF >> fraction_bits, exponent = fields >> fraction_bits;
    const int fraction = fields & ((1 << fraction_bits) - 1), bias = largest / 2;
    long double size = exponent ? ldexpl((1 << fraction_bits) + fraction, exponent - bias - fraction_bits)
                                : ldexpl(fraction, 1 - bias - fraction_bits);
    if (exponent == largest) size = fraction ? NAN : INFINITY;
    return bits & 0x8000 ? -size : size;
}
// The nearest of them: rounded in steps of the last place, which below the normal floats no longer shrink.
static uint16_t small_store(long double x, int fraction_bits) {
    const int largest = 0x7FFF >> fraction_bits, bias = largest / 2;
    const uint16_t sign = signbit(x) ? 0x8000 : 0;
    if (isnan(x)) return (uint16_t)(sign | largest << fraction_bits | 1 << (fraction_bits - 1));
    int exponent = x == 0 || isinf(x) ? 1 - bias : ilogbl(x);
    exponent = exponent < 1 - bias ? 1 - bias : exponent;
    const long double steps = rintl(ldexpl(fabsl(x), fraction_bits - exponent)) + ldexpl(exponent + bias - 1, fraction_bits);
    const long double infinity = ldexpl(largest, fraction_bits);
    return (uint16_t)(sign | (uint16_t)(steps < infinity ? steps : infinity));
}

// One element as a long double, which holds every value of every type.
static long double cast_load(int type, const void *p) {
    switch (type) {
    case QN_E_F32: return *(const float *)p;
    case QN_E_F64: return *(const double *)p;
    case QN_E_F16: return small_load(*(const uint16_t *)p, 10);
    case QN_E_BF16: return small_load(*(const uint16_t *)p, 7);
    case QN_E_I64: return *(const int64_t *)p;
    case QN_E_I32: return *(const int32_t *)p;
    case QN_E_I16: return *(const int16_t *)p;
    case QN_E_I8: return *(const int8_t *)p;
    case QN_E_U64: return *(const uint64_t *)p;
    case QN_E_U32: return *(const uint32_t *)p;
    case QN_E_U16: return *(const uint16_t *)p;
    }
    return *(const uint8_t *)p;
}
static int64_t cast_saturate(long double x, long double low, long double high) {
    if (isnan(x)) return 0;
    return (int64_t)truncl(x < low ? low : x > high ? high : x);
}
static void cast_store(int type, void *p, long double x) {
    switch (type) {
    case QN_E_F32: *(float *)p = (float)x; break;
    case QN_E_F64: *(double *)p = (double)x; break;
    case QN_E_F16: *(uint16_t *)p = small_store(x, 10); break;
    case QN_E_BF16: *(uint16_t *)p = small_store(x, 7); break;
    case QN_E_I64: *(int64_t *)p = cast_saturate(x, INT64_MIN, INT64_MAX); break;
    case QN_E_I32: *(int32_t *)p = (int32_t)cast_saturate(x, INT32_MIN, INT32_MAX); break;
    case QN_E_I16: *(int16_t *)p = (int16_t)cast_saturate(x, INT16_MIN, INT16_MAX); break;
    case QN_E_I8: *(int8_t *)p = (int8_t)cast_saturate(x, INT8_MIN, INT8_MAX); break;
    case QN_E_U64: *(uint64_t *)p = isnan(x) || x < 0 ? 0 : x >= 0x1p64L ? UINT64_MAX : (uint64_t)x; break;
    case QN_E_U32: *(uint32_t *)p = (uint32_t)cast_saturate(x, 0, UINT32_MAX); break;
    case QN_E_U16: *(uint16_t *)p = (uint16_t)cast_saturate(x, 0, UINT16_MAX); break;
    case QN_E_U8: *(uint8_t *)p = (uint8_t)cast_saturate(x, 0, UINT8_MAX); break;
    case QN_E_I1: *(uint8_t *)p = x != 0; break;
    }
}

// Integer to integer: the low bits.
static void cast_wrap(int type, void *p, int64_t x) { memcpy(p, &x, (size_t)elem_bytes[type]); }

static void cast_one(int from, int to, void *out, const void *in) {
    long double x = cast_load(from, in);
    if (from > QN_E_BF16 && to > QN_E_BF16 && to != QN_E_I1) cast_wrap(to, out, x < 0 ? (int64_t)x : (int64_t)(uint64_t)x);
    else cast_store(to, out, x);
}

static void cast_fill(Test *test, int type, uint8_t *bytes, int count) {
    for (int i = 0; i < count; i++) {
        void *p = bytes + i * elem_bytes[type];
        const int exponent = random_chance(test, 50) ? random_int(test, 0, 10) : random_int(test, 0, 70);
        long double x = ldexpl(random_float(test, -1, 1), exponent);
        if (type == QN_E_I1) x = random_chance(test, 50);
        if (type <= QN_E_BF16 && random_chance(test, 5)) x = random_chance(test, 50) ? NAN : -INFINITY;
        cast_store(type, p, x);
    }
}

void case_cast(Test *test) {
    const struct qn_cast_args a = {.rows = random_int(test, 1, 300), .from = random_int(test, QN_E_F32, QN_E_I1),
                                   .to = random_int(test, QN_E_F32, QN_E_I1)};
    const size_t from = (size_t)elem_bytes[a.from], to = (size_t)elem_bytes[a.to], count = (size_t)a.rows;
    uint8_t *x = arena_alloc(test->arena, count * from);
    cast_fill(test, a.from, x, a.rows);
    const uint8_t *before = random_bytes(test, count * to);
    uint8_t *expected = copy_bytes(test, before, count * to);
    for (size_t i = 0; i < count; i++) cast_one(a.from, a.to, expected + i * to, x + i * from);
    check(test, &(Call){.args = &a, .input_count = 1, .expected = expected, .inputs = {memory_of(x, from, count, 0)},
                        .output = memory_of(before, to, count, 0)});
}
