// Cases of rows on plain integers and of those that give booleans or indices: binary, unary, where, reduce, arg, top_k, cum_sum.
// Integers are computed in 128 bits here, and cut to their width.
#include <math.h>
#include <string.h>

#include "test/kernels/check.h"

typedef __int128 Wide;

// ---- elements by the name that a row gives them: "i16", "u64", "i1", "f32"

typedef struct { char kind; int bytes; } Element;

static Element element_of(const char *name, size_t length) {
    int bits = 0;
    for (size_t i = 1; i < length; i++) bits = bits * 10 + name[i] - '0';
    return bits == 1 ? (Element){'b', 1} : (Element){name[0], bits / 8};
}

static Wide load(Element e, const void *data, size_t at) {
    uint64_t bits = 0;
    memcpy(&bits, (const uint8_t *)data + at * (size_t)e.bytes, (size_t)e.bytes);
    const int unused = 64 - 8 * e.bytes;
    return e.kind == 'i' ? (Wide)((int64_t)(bits << unused) >> unused) : (Wide)bits;
}
static void store(Element e, void *data, size_t at, Wide value) {
    const uint64_t bits = (uint64_t)value;
    memcpy((uint8_t *)data + at * (size_t)e.bytes, &bits, (size_t)e.bytes);
}

// Small numbers, both ends of the range, and any.
static void *random_elements(Test *test, Element e, size_t count) {
    uint8_t *data = arena_alloc(test->arena, count * (size_t)e.bytes + 8);
    const uint64_t top = (uint64_t)1 << (8 * e.bytes - 1);
    for (size_t i = 0; i < count; i++) {
        const uint64_t any = (uint64_t)random_bits(test) << 32 | random_bits(test);
        switch (random_int(test, 0, 3)) {
        case 0: store(e, data, i, (Wide)(top - (uint64_t)random_int(test, 0, 1))); break;
        case 1: store(e, data, i, (Wide)any); break;
        default: store(e, data, i, random_int(test, -9, 9));
        }
        if (e.kind == 'b') data[i] = random_chance(test, 50);
    }
    return data;
}
static void *random_row(Test *test, Element e, size_t count) {
    return e.kind == 'f' ? (void *)random_floats(test, count, -3, 3) : random_elements(test, e, count);
}

// ---- binary

static Wide power(Wide a, Wide b) {
    if (b < 0) return a == 1 ? 1 : a == -1 ? (b % 2 ? -1 : 1) : 0;
    uint64_t result = 1, base = (uint64_t)a;
    for (uint64_t n = (uint64_t)b; n; n >>= 1, base *= base)
        if (n & 1) result *= base;
    return (Wide)result;
}
static Wide rest(int op, Wide a, Wide b) {
    const Wide r = b ? a % b : 0;
    return r && op == QN_MOD && (r < 0) != (b < 0) ? r + b : r;
}
static Wide integer_binary(int op, Element e, Wide a, Wide b) {
    const bool all = b < 0 || b >= 8 * e.bytes;
    switch (op) {
    case QN_ADD: return a + b;
    case QN_SUB: return a - b;
    case QN_MUL: return (Wide)((uint64_t)a * (uint64_t)b);
    case QN_DIV: return b ? a / b : 0;
    case QN_MIN: return a < b ? a : b;
    case QN_MAX: return a > b ? a : b;
    case QN_POW: return power(a, b);
    case QN_AND: return a & b;
    case QN_OR: return a | b;
    case QN_XOR: return a ^ b;
    case QN_SHIFT_LEFT: return all ? 0 : (Wide)((uint64_t)a << (int)b);
    case QN_SHIFT_RIGHT: return all ? (a < 0 ? -1 : 0) : a >> (int)b;
    case QN_EQUAL: return a == b;
    case QN_LESS: return a < b;
    case QN_LESS_EQUAL: return a <= b;
    default: return rest(op, a, b);
    }
}

static Wide compared_floats(int op, float a, float b) { return op == QN_EQUAL ? a == b : op == QN_LESS ? a < b : a <= b; }

static int random_binary_op(Test *test, Element in, bool to_i1) {
    if (in.kind == 'b') return RANDOM_OF(test, QN_AND, QN_OR, QN_XOR, QN_EQUAL, QN_LESS, QN_LESS_EQUAL);
    if (to_i1) return random_int(test, QN_EQUAL, QN_LESS_EQUAL);
    int op = random_int(test, QN_ADD, QN_SHIFT_RIGHT);
    return op == QN_PRELU ? QN_POW : op;
}

void case_binary_integers(Test *test) {
    const char *operands = test->row->operands, *result = test->row->result;
    const Element in = element_of(operands, strlen(operands) / 2), to = element_of(result, strlen(result));
    struct qn_binary_args args = {.op = random_binary_op(test, in, to.kind == 'b')};
    const bool in_place = in.bytes == to.bytes && in.kind != 'f' && random_chance(test, 40);
    shape_random(test, args.shape);
    args.rows = args.shape[0] * args.shape[1];
    const Strided out = strided_random(test, args.shape, DISTINCT);
    const Strided a = in_place ? out : strided_random(test, args.shape, MAY_REPEAT), b = strided_random(test, args.shape, MAY_REPEAT);
    memcpy(args.a, a.stride, sizeof args.a);
    memcpy(args.b, b.stride, sizeof args.b);
    memcpy(args.out, out.stride, sizeof args.out);
    const void *pa = random_row(test, in, a.elems), *pb = random_chance(test, 10) && a.elems >= b.elems ? pa : random_row(test, in, b.elems);
    const void *before = in_place ? pa : random_elements(test, to, out.elems);
    void *expected = copy_bytes(test, before, out.elems * (size_t)to.bytes);
    for (size_t i = 0; i < shape_elems(args.shape); i++) {
        const size_t x = strided_at(&a, args.shape, i), y = strided_at(&b, args.shape, i);
        store(to, expected, strided_at(&out, args.shape, i),
              in.kind == 'f' ? compared_floats(args.op, ((const float *)pa)[x], ((const float *)pb)[y])
                             : integer_binary(args.op, in, load(in, pa, x), load(in, pb, y)));
    }
    check(test, &(Call){.args = &args, .input_count = 2, .expected = expected, .in_place = in_place,
                        .inputs = {memory_of(pa, (size_t)in.bytes, a.elems, a.before), memory_of(pb, (size_t)in.bytes, b.elems, b.before)},
                        .output = memory_of(before, (size_t)to.bytes, out.elems, out.before)});
}

// ---- unary

static Wide integer_unary(const struct qn_unary_args *a, Element in, const void *data, size_t at) {
    if (in.kind == 'f') {
        const float x = ((const float *)data)[at];
        return a->op == QN_IS_NAN ? isnan(x) : isinf(x) && (x < 0 ? a->alpha : a->beta) != 0;
    }
    const Wide x = load(in, data, at);
    switch (a->op) {
    case QN_ABS: return x < 0 ? -x : x;
    case QN_NEG: return -x;
    case QN_SIGN: return x < 0 ? -1 : x > 0;
    default: return in.kind == 'b' ? !x : ~x;
    }
}

void case_unary_integers(Test *test) {
    const Element in = element_of(test->row->operands, strlen(test->row->operands)), to = element_of(test->row->result, strlen(test->row->result));
    struct qn_unary_args a = {.op = in.kind == 'f' ? RANDOM_OF(test, QN_IS_NAN, QN_IS_INF) : RANDOM_OF(test, QN_ABS, QN_NEG, QN_SIGN, QN_NOT),
                              .alpha = (float)random_int(test, 0, 1), .beta = (float)random_int(test, 0, 1)};
    if (in.kind == 'b') a.op = QN_NOT;
    const bool in_place = in.bytes == to.bytes && in.kind != 'f' && random_chance(test, 40);
    shape_random(test, a.shape);
    a.rows = a.shape[0] * a.shape[1];
    const Strided out = strided_random(test, a.shape, DISTINCT), from = in_place ? out : strided_random(test, a.shape, MAY_REPEAT);
    memcpy(a.in, from.stride, sizeof a.in);
    memcpy(a.out, out.stride, sizeof a.out);
    void *x = random_row(test, in, from.elems);
    for (size_t i = 0; in.kind == 'f' && i < from.elems; i++)
        if (random_chance(test, 60)) ((float *)x)[i] = random_chance(test, 40) ? NAN : random_chance(test, 50) ? INFINITY : -INFINITY;
    const void *before = in_place ? x : random_elements(test, to, out.elems);
    void *expected = copy_bytes(test, before, out.elems * (size_t)to.bytes);
    for (size_t i = 0; i < shape_elems(a.shape); i++)
        store(to, expected, strided_at(&out, a.shape, i), integer_unary(&a, in, x, strided_at(&from, a.shape, i)));
    check(test, &(Call){.args = &a, .input_count = 1, .expected = expected, .in_place = in_place,
                        .inputs = {memory_of(x, (size_t)in.bytes, from.elems, from.before)},
                        .output = memory_of(before, (size_t)to.bytes, out.elems, out.before)});
}

// ---- where

void case_where(Test *test) {
    struct qn_where_args args = {.elem_bytes = RANDOM_OF(test, 1, 2, 4, 8)};
    const size_t bytes = (size_t)args.elem_bytes;
    shape_random(test, args.shape);
    args.rows = args.shape[0] * args.shape[1];
    const Strided out = strided_random(test, args.shape, DISTINCT), c = strided_random(test, args.shape, MAY_REPEAT),
                  a = strided_random(test, args.shape, MAY_REPEAT), b = strided_random(test, args.shape, MAY_REPEAT);
    memcpy(args.condition, c.stride, sizeof args.condition);
    memcpy(args.a, a.stride, sizeof args.a);
    memcpy(args.b, b.stride, sizeof args.b);
    memcpy(args.out, out.stride, sizeof args.out);
    const uint8_t *pc = random_elements(test, (Element){'b', 1}, c.elems), *pa = random_bytes(test, a.elems * bytes), *pb = random_bytes(test, b.elems * bytes);
    const void *before = random_bytes(test, out.elems * bytes);
    uint8_t *expected = copy_bytes(test, before, out.elems * bytes);
    for (size_t i = 0; i < shape_elems(args.shape); i++) {
        const uint8_t *chosen = pc[strided_at(&c, args.shape, i)] ? pa + strided_at(&a, args.shape, i) * bytes : pb + strided_at(&b, args.shape, i) * bytes;
        memcpy(expected + strided_at(&out, args.shape, i) * bytes, chosen, bytes);
    }
    check(test, &(Call){.args = &args, .input_count = 3, .expected = expected,
                        .inputs = {memory_of(pc, 1, c.elems, c.before), memory_of(pa, bytes, a.elems, a.before), memory_of(pb, bytes, b.elems, b.before)},
                        .output = memory_of(before, bytes, out.elems, out.before)});
}

// ---- reduce

static Wide reduced_step(int op, Wide so_far, Wide x) {
    switch (op) {
    case QN_REDUCE_MAX: return x > so_far ? x : so_far;
    case QN_REDUCE_MIN: return x < so_far ? x : so_far;
    case QN_REDUCE_PROD: return (Wide)((uint64_t)so_far * (uint64_t)x);
    case QN_REDUCE_L1: return so_far + (x < 0 ? -x : x);
    case QN_REDUCE_SUM: return so_far + x;
    default: return (Wide)((unsigned __int128)so_far + (unsigned __int128)x * (unsigned __int128)x); // wraps
    }
}

static size_t reduced_from(const struct qn_reduce_args *a, int i, int k) {
    return (size_t)(i / a->inner) * a->in_outer + (size_t)(k / a->size_s) * a->in_r + (size_t)(k % a->size_s) * a->in_s + (size_t)(i % a->inner);
}

static Wide reduced_integer(const struct qn_reduce_args *a, Element e, const void *in, int i) {
    const int count = a->size_r * a->size_s, bits = 8 * e.bytes;
    const bool is_unsigned = e.kind != 'i';
    Wide high = e.kind == 'b' ? 1 : ((Wide)1 << (bits - !is_unsigned)) - 1, low = is_unsigned ? 0 : -high - 1;
    Wide y = a->op == QN_REDUCE_MAX ? low : a->op == QN_REDUCE_MIN ? high : a->op == QN_REDUCE_PROD;
    for (int k = 0; k < count; k++) y = reduced_step(a->op, y, load(e, in, reduced_from(a, i, k)));
    if (a->op != QN_REDUCE_L2) return y;
    Wide root = (Wide)sqrt((double)(uint64_t)y) + 1;
    while (root * root > (Wide)(uint64_t)y) root--;
    return root;
}

// *size: what the bound is relative to.
static double reduced_float(const struct qn_reduce_args *a, const float *in, int i, double *size) {
    const int count = a->size_r * a->size_s;
    double sum = 0, total = 0, squares = 0, product = 1, max = -INFINITY, min = INFINITY, exps = 0;
    for (int k = 0; k < count; k++) {
        const double x = in[reduced_from(a, i, k)];
        sum += x, total += fabs(x), squares += x * x, product *= x, max = fmax(max, x), min = fmin(min, x), exps += exp(x);
    }
    const double results[] = {sum, max, min, product, total, sqrt(squares), squares, log(sum), log(exps)};
    *size = a->op == QN_REDUCE_SUM ? total : a->op == QN_REDUCE_LOG_SUM ? fabs(results[a->op]) + total / fabs(sum) : fabs(results[a->op]);
    return results[a->op];
}

static struct qn_reduce_args reduce_args_random(Test *test) {
    struct qn_reduce_args a = {.rows = random_int(test, 1, 6), .size_r = random_int(test, 0, 9), .size_s = random_int(test, 1, 9),
                               .inner = random_chance(test, 40) ? 1 : random_channels(test, 130), .op = random_int(test, QN_REDUCE_SUM, QN_REDUCE_LOG_SUM_EXP)};
    a.in_s = a.inner + (random_chance(test, 70) ? 0 : random_int(test, 1, 3));
    a.in_r = a.in_s * a.size_s + (random_chance(test, 70) ? 0 : random_int(test, 1, 9));
    a.in_outer = a.in_r * a.size_r + (random_chance(test, 70) ? 0 : random_int(test, 1, 9));
    a.out_outer = a.inner + (random_chance(test, 70) ? 0 : random_int(test, 1, 9));
    return a;
}

void case_reduce(Test *test) {
    struct qn_reduce_args a = reduce_args_random(test);
    const bool quantized = !strcmp(test->row->result, "s8");
    const Element e = quantized ? (Element){'i', 1} : element_of(test->row->result, strlen(test->row->result));
    if (quantized || e.kind == 'b') a.op = RANDOM_OF(test, QN_REDUCE_MAX, QN_REDUCE_MIN);
    else if (e.kind != 'f') a.op = random_int(test, QN_REDUCE_SUM, QN_REDUCE_SUM_SQUARE);
    a.flip = quantized && random_chance(test, 50) ? 0x80 : 0;
    const size_t bytes = (size_t)e.bytes, in_elems = (size_t)a.rows * a.in_outer + (size_t)a.in_r + (size_t)a.in_s * a.size_s + a.inner;
    const size_t out_elems = (size_t)(a.rows - 1) * a.out_outer + a.inner;
    void *in = random_row(test, e, in_elems);
    if (e.kind == 'f' && a.op == QN_REDUCE_LOG_SUM)
        for (size_t i = 0; i < in_elems; i++) ((float *)in)[i] = fabsf(((float *)in)[i]);
    uint8_t *stored = copy_bytes(test, in, in_elems * bytes);
    for (size_t i = 0; i < in_elems * bytes && a.flip; i++) stored[i] ^= 0x80;
    const void *before = random_bytes(test, out_elems * bytes);
    uint8_t *expected = copy_bytes(test, before, out_elems * bytes);
    float *bound = ARENA_ARRAY(test->arena, float, out_elems);
    for (int i = 0; i < a.rows * a.inner; i++) {
        const size_t at = (size_t)(i / a.inner) * a.out_outer + (size_t)(i % a.inner);
        double size = 0;
        if (e.kind == 'f') ((float *)expected)[at] = (float)reduced_float(&a, in, i, &size);
        else store(e, expected, at, reduced_integer(&a, e, in, i));
        bound[at] = isfinite(size) ? (float)(1.3e-7 * size + 1e-7 * (a.op == QN_REDUCE_LOG_SUM_EXP)) : 0;
        if (a.flip) expected[at] ^= 0x80;
    }
    check(test, &(Call){.args = &a, .input_count = 1, .expected = expected, .bound = e.kind == 'f' ? bound : NULL,
                        .inputs = {memory_of(stored, bytes, in_elems, 0)}, .output = memory_of(before, bytes, out_elems, 0)});
}

// ---- along one axis

static bool beyond(Element e, int op, const void *in, size_t a, size_t b) {
    if (e.kind == 'f') {
        const float x = ((const float *)in)[a], y = ((const float *)in)[b];
        return op == QN_ARG_MAX ? x > y : x < y;
    }
    return op == QN_ARG_MAX ? load(e, in, a) > load(e, in, b) : load(e, in, a) < load(e, in, b);
}

void case_arg(Test *test) {
    struct qn_arg_args a = {.op = RANDOM_OF(test, QN_ARG_MAX, QN_ARG_MIN), .last = random_int(test, 0, 1), .size = random_int(test, 1, random_chance(test, 70) ? 40 : 200),
                            .inner = random_chance(test, 50) ? 1 : random_int(test, 2, 20)};
    const Element e = element_of(test->row->operands, strlen(test->row->operands));
    const int outer = random_int(test, 1, 5);
    a.rows = outer * a.inner;
    const size_t elems = (size_t)a.rows * a.size;
    void *in = random_row(test, e, elems);
    for (size_t i = 0; e.kind == 'f' && i < elems; i++) ((float *)in)[i] = rintf(((float *)in)[i]); // ties
    const void *before = random_bytes(test, (size_t)a.rows * 8);
    int64_t *expected = copy_bytes(test, before, (size_t)a.rows * 8);
    for (int r = 0; r < a.rows; r++) {
        const size_t first = (size_t)(r / a.inner) * a.size * a.inner + (size_t)(r % a.inner);
        expected[r] = 0;
        for (int i = 1; i < a.size; i++) {
            const size_t at = first + (size_t)i * a.inner, best = first + (size_t)expected[r] * a.inner;
            if (beyond(e, a.op, in, at, best) || (a.last && !beyond(e, a.op, in, best, at))) expected[r] = i;
        }
    }
    check(test, &(Call){.args = &a, .input_count = 1, .expected = expected, .inputs = {memory_of(in, (size_t)e.bytes, elems, 0)},
                        .output = memory_of(before, 8, (size_t)a.rows, 0)});
}

static bool is_nan_at(Element e, const void *data, size_t at) { return e.kind == 'f' && isnan(((const float *)data)[at]); }

// Does the element at `a` come before that at `b`, which stands behind it in the row?
static bool comes_first(Element e, int op, const void *data, size_t a, size_t b) {
    const bool a_nan = is_nan_at(e, data, a), b_nan = is_nan_at(e, data, b);
    if (a_nan != b_nan) return a_nan == (op == QN_ARG_MAX);
    return !beyond(e, op, data, b, a);
}

void case_top_k(Test *test) {
    struct qn_top_k_args a = {.smallest = random_int(test, 0, 1), .size = random_int(test, 1, 50), .inner = random_chance(test, 50) ? 1 : random_int(test, 2, 20)};
    const Element e = element_of(test->row->operands, strlen(test->row->operands));
    const int outer = random_int(test, 1, 5), op = a.smallest ? QN_ARG_MIN : QN_ARG_MAX;
    a.k = random_chance(test, 20) ? a.size : random_int(test, 1, a.size);
    a.rows = outer * a.inner;
    const size_t elems = (size_t)a.rows * a.size, results = (size_t)a.rows * a.k;
    void *in = random_row(test, e, elems);
    for (size_t i = 0; e.kind == 'f' && i < elems; i++) // ties, and what is no number
        ((float *)in)[i] = random_chance(test, 5) ? NAN : rintf(((float *)in)[i]);
    const void *before = random_bytes(test, results * 8);
    int64_t *expected = copy_bytes(test, before, results * 8);
    for (int r = 0; r < a.rows; r++) {
        const size_t outer_at = (size_t)(r / a.inner), first = outer_at * a.size * a.inner + (size_t)(r % a.inner);
        for (int i = 0; i < a.size; i++) {
            int rank = 0; // how many come before element i
            for (int k = 0; k < a.size; k++) {
                const size_t x = first + (size_t)i * a.inner, y = first + (size_t)k * a.inner;
                rank += k < i ? comes_first(e, op, in, y, x) : k > i && !comes_first(e, op, in, x, y);
            }
            if (rank < a.k) expected[(outer_at * a.k + (size_t)rank) * a.inner + (size_t)(r % a.inner)] = i;
        }
    }
    check(test, &(Call){.args = &a, .input_count = 1, .expected = expected, .inputs = {memory_of(in, (size_t)e.bytes, elems, 0)},
                        .output = memory_of(before, 8, results, 0)});
}

static Wide cumulated(const struct qn_cum_sum_args *a, Wide sum, Wide x) {
    return a->product ? (Wide)(int64_t)((uint64_t)sum * (uint64_t)x) : sum + x;
}

void case_cum_sum(Test *test) {
    struct qn_cum_sum_args a = {.product = random_int(test, 0, 1), .exclusive = random_int(test, 0, 1), .reverse = random_int(test, 0, 1), .size = random_int(test, 1, 60),
                                .inner = random_chance(test, 50) ? 1 : random_int(test, 2, 20)};
    const Element e = element_of(test->row->operands, strlen(test->row->operands));
    a.rows = random_int(test, 1, 5) * a.inner;
    const size_t elems = (size_t)a.rows * a.size, bytes = (size_t)e.bytes;
    // Small whole numbers: their sums, and products of powers of two, are exact in any order.
    void *in = e.kind == 'f' ? arena_alloc(test->arena, elems * bytes) : random_elements(test, e, elems);
    for (size_t i = 0; e.kind == 'f' && i < elems; i++) {
        const int x = a.product ? RANDOM_OF(test, -2, -1, 1, 1, 2) : random_int(test, -1000, 1000);
        if (bytes == 4) ((float *)in)[i] = (float)x;
        else ((double *)in)[i] = x;
    }
    uint8_t *expected = copy_bytes(test, in, elems * bytes);
    for (int r = 0; r < a.rows; r++) {
        const size_t first = (size_t)(r / a.inner) * a.size * a.inner + (size_t)(r % a.inner);
        for (int i = 0; i < a.size; i++) {
            const size_t at = first + (size_t)i * a.inner;
            Wide sum = a.product;
            for (int k = a.reverse ? i + a.exclusive : 0; k < (a.reverse ? a.size : i + !a.exclusive); k++) {
                const size_t from = first + (size_t)k * a.inner;
                sum = cumulated(&a, sum, e.kind != 'f' ? load(e, in, from) : bytes == 4 ? (Wide)((float *)in)[from] : (Wide)((double *)in)[from]);
            }
            if (e.kind != 'f') store(e, expected, at, sum);
            else if (bytes == 4) ((float *)expected)[at] = (float)sum;
            else ((double *)expected)[at] = (double)sum;
        }
    }
    check(test, &(Call){.args = &a, .input_count = 1, .expected = expected, .in_place = true,
                        .inputs = {memory_of(in, bytes, elems, 0)}, .output = memory_of(in, bytes, elems, 0)});
}
