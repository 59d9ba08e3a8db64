// Cases of the elementwise families: binary, unary, table, quantize.
#include <float.h>
#include <math.h>
#include <string.h>

#include "ir/eval_common.h"
#include "passes/fixed_sum.h"
#include "runtime/kernel_table.h"
#include "test/kernels/check.h"

// In place needs the input laid out as the output.
static Strided input_layout(Test *test, const int32_t shape[5], const Strided *out, bool in_place) {
    return in_place ? *out : strided_random(test, shape, MAY_REPEAT);
}

// ---- binary

static uint8_t binary_s8(const struct qn_binary_args *args, uint8_t stored_a, uint8_t stored_b) {
    const int a = (int8_t)(stored_a ^ args->flip) - args->a_zp, b = (int8_t)(stored_b ^ args->flip) - args->b_zp;
    const float x = (float)a * args->a_multiplier, y = (float)b * args->b_multiplier;
    float result = x + y;
    if (args->op == QN_SUB) result = x - y;
    if (args->op == QN_MUL) result = (float)(a * b) * args->a_multiplier;
    if (args->op == QN_MIN) result = x < y ? x : y;
    if (args->op == QN_MAX) result = x > y ? x : y;
    if (args->op == QN_FUSED_ADD) result = fmaf((float)a, args->a_multiplier, fmaf((float)b, args->b_multiplier, args->min));
    if (args->op == QN_PRELU) result = a < 0 ? (float)(a * b) * args->b_multiplier : x;
    return (uint8_t)(naive_round(result, args->out_zp, args->lo, args->hi) ^ args->flip);
}
static float mod_f32(float a, float b) {
    const float rest = fmodf(a, b);
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest == 0 ? copysignf(0, b) : rest;
}
static float binary_f32(const struct qn_binary_args *args, float a, float b) {
    float y = a / b;
    switch (args->op) {
    case QN_ADD: y = a + b; break;
    case QN_SUB: y = a - b; break;
    case QN_MUL: y = a * b; break;
    case QN_MIN: y = fminf(a, b); break;
    case QN_MAX: y = fmaxf(a, b); break;
    case QN_POW: y = (float)pow(a, b); break;
    case QN_MOD: y = mod_f32(a, b); break;
    case QN_FMOD: y = fmodf(a, b); break;
    case QN_PRELU: y = a < 0 ? a * b : a; break;
    }
    return y != y ? y : fmaxf(fminf(y, args->max), args->min);
}

// Of bytes with their own zero points or 128 more, and numbers that doubles hold the sums of.
static void fused_args_random(Test *test, struct qn_binary_args *args) {
    args->a_zp = args->b_zp = args->out_zp = random_chance(test, 50) ? 0 : -128;
    args->a_multiplier = random_chance(test, 30) ? 0.5f : random_float(test, 0.01f, 3);
    args->b_multiplier = random_chance(test, 30) ? args->a_multiplier : random_float(test, 0.01f, 3);
    args->min = random_chance(test, 30) ? (float)random_int(test, -200, 200) : random_float(test, 1, 300);
}

static void binary_args_random(Test *test, struct qn_binary_args *args, bool is_f32) {
    args->op = is_f32 ? random_int(test, QN_ADD, QN_PRELU) : RANDOM_OF(test, QN_ADD, QN_SUB, QN_MUL, QN_MIN, QN_MAX, QN_PRELU, QN_FUSED_ADD);
    shape_random(test, args->shape);
    args->rows = args->shape[0] * args->shape[1];
    args->a_zp = random_zero_point(test);
    args->b_zp = random_zero_point(test);
    args->out_zp = random_zero_point(test);
    args->flip = random_chance(test, 50) ? 0x80 : 0;
    args->a_multiplier = random_multiplier(test, false);
    args->b_multiplier = random_chance(test, 30) ? args->a_multiplier : random_multiplier(test, false);
    random_clamp(test, &args->lo, &args->hi);
    random_clamp_f32(test, &args->min, &args->max);
    if (args->op == QN_FUSED_ADD) fused_args_random(test, args);
    if (!is_f32 && random_chance(test, 50)) fixed_sum_find(args);
}

// Every pair of 8-bit values: the first operand repeats along the inner dimension, the second along the other.
static void case_binary_pairs(Test *test) {
    struct qn_binary_args args = {0};
    binary_args_random(test, &args, false);
    args.op = RANDOM_OF(test, QN_ADD, QN_SUB, QN_FUSED_ADD);
    args.a_multiplier = random_float(test, 0.1f, 2), args.b_multiplier = random_float(test, 0.1f, 2);
    if (args.op == QN_FUSED_ADD) fused_args_random(test, &args);
    fixed_sum_find(&args);
    args.rows = 256;
    memcpy(args.shape, (const int32_t[5]){1, 256, 1, 1, 256}, sizeof args.shape);
    memcpy(args.a, (const int32_t[5]){0, 1}, sizeof args.a);
    memcpy(args.b, (const int32_t[5]){0, 0, 0, 0, 1}, sizeof args.b);
    memcpy(args.out, (const int32_t[5]){0, 256, 0, 0, 1}, sizeof args.out);
    uint8_t *values = ARENA_ARRAY(test->arena, uint8_t, 256), *expected = ARENA_ARRAY(test->arena, uint8_t, 65536);
    for (int i = 0; i < 256; i++) values[i] = (uint8_t)i;
    for (int i = 0; i < 65536; i++) expected[i] = binary_s8(&args, values[i / 256], values[i % 256]);
    check(test, &(Call){.args = &args, .input_count = 2, .expected = expected,
                        .inputs = {memory_of(values, 1, 256, 0), memory_of(values, 1, 256, 0)},
                        .output = memory_of(random_bytes(test, 65536), 1, 65536, 0)});
}

// One element for each pixel of few channels, of many pixels.
static Strided spread_random(Test *test, struct qn_binary_args *args) {
    int32_t shape[5] = {random_int(test, 1, 2), random_int(test, 1, 3), 1, RANDOM_OF(test, 63, 64, 65, 130, 200), random_int(test, 2, 17)};
    if (random_chance(test, 40)) shape[0] = 1, shape[1] = shape[3], shape[3] = 1; // pixels as rows
    const int32_t step = random_chance(test, 70) ? 1 : 2, row = step * shape[3] + (random_chance(test, 70) ? 0 : 3);
    Strided result = {.stride = {row * shape[1], row, 0, step, 0}, .elems = (size_t)(row * shape[0] * shape[1])};
    memcpy(args->shape, shape, sizeof args->shape);
    args->rows = shape[0] * shape[1];
    return result;
}

static void case_binary_numbers(Test *test) {
    struct qn_binary_args args = {0};
    const bool is_f32 = !strcmp(test->row->result, "f32"), in_place = random_chance(test, 40);
    const size_t elem = is_f32 ? 4 : 1;
    binary_args_random(test, &args, is_f32);
    const bool is_spread = random_chance(test, 20);
    const Strided spread = is_spread ? spread_random(test, &args) : (Strided){0};
    const Strided out = strided_random(test, args.shape, DISTINCT);
    const Strided a = input_layout(test, args.shape, &out, in_place);
    const Strided b = is_spread ? spread : random_chance(test, 40) ? out : strided_random(test, args.shape, MAY_REPEAT);
    memcpy(args.a, a.stride, sizeof args.a);
    memcpy(args.b, b.stride, sizeof args.b);
    memcpy(args.out, out.stride, sizeof args.out);
    const void *pa = is_f32 ? (void *)random_floats(test, a.elems, -8, 8) : random_bytes(test, a.elems);
    const void *pb = is_f32 ? (void *)random_floats(test, b.elems, -8, 8) : random_bytes(test, b.elems);
    const void *before = in_place ? pa : random_bytes(test, out.elems * elem);
    void *expected = copy_bytes(test, before, out.elems * elem);
    float *bound = ARENA_ARRAY(test->arena, float, out.elems);
    for (size_t i = 0; i < shape_elems(args.shape); i++) {
        const size_t at = strided_at(&out, args.shape, i), x = strided_at(&a, args.shape, i), y = strided_at(&b, args.shape, i);
        if (is_f32) ((float *)expected)[at] = binary_f32(&args, ((const float *)pa)[x], ((const float *)pb)[y]);
        if (is_f32 && args.op == QN_POW) bound[at] = 1.2e-7f * fabsf(((float *)expected)[at]); // the others to the bit
        if (!is_f32) ((uint8_t *)expected)[at] = binary_s8(&args, ((const uint8_t *)pa)[x], ((const uint8_t *)pb)[y]);
    }
    check(test, &(Call){.args = &args, .input_count = 2, .expected = expected, .in_place = in_place,
                        .bound = is_f32 ? bound : NULL, .inputs = {memory_of(pa, elem, a.elems, a.before), memory_of(pb, elem, b.elems, b.before)},
                        .output = memory_of(before, elem, out.elems, out.before)});
}

static double binary_f64(const struct qn_binary_args *args, double a, double b) {
    switch (args->op) {
    case QN_ADD: return a + b;
    case QN_SUB: return a - b;
    case QN_MUL: return a * b;
    case QN_DIV: return a / b;
    case QN_MIN: return fmin(a, b);
    default: return fmax(a, b);
    }
}

static double *random_doubles(Test *test, size_t count) {
    double *values = ARENA_ARRAY(test->arena, double, count + 1);
    for (size_t i = 0; i < count; i++)
        values[i] = ldexp(1 + 1e-9 * random_int(test, -999, 999), random_chance(test, 50) ? 0 : random_int(test, -300, 300)) *
                    (random_chance(test, 50) ? 1 : -1);
    return values;
}

// Numbers that f32 tells apart no more, and those beyond its range.
static void case_binary_doubles(Test *test) {
    const bool to_i1 = !strcmp(test->row->result, "i1");
    struct qn_binary_args args = {.min = -INFINITY, .max = random_chance(test, 50) ? INFINITY : 1};
    args.op = to_i1 ? random_int(test, QN_EQUAL, QN_LESS_EQUAL) : random_int(test, QN_ADD, QN_MAX);
    shape_random(test, args.shape);
    args.rows = args.shape[0] * args.shape[1];
    const Strided out = strided_random(test, args.shape, DISTINCT), a = strided_random(test, args.shape, MAY_REPEAT);
    const Strided b = strided_random(test, args.shape, MAY_REPEAT);
    memcpy(args.a, a.stride, sizeof args.a);
    memcpy(args.b, b.stride, sizeof args.b);
    memcpy(args.out, out.stride, sizeof args.out);
    const double *pa = random_doubles(test, a.elems), *pb = random_doubles(test, b.elems);
    const size_t bytes = to_i1 ? 1 : 8;
    const void *before = random_bytes(test, out.elems * bytes);
    void *expected = copy_bytes(test, before, out.elems * bytes);
    for (size_t i = 0; i < shape_elems(args.shape); i++) {
        const double x = pa[strided_at(&a, args.shape, i)], y = pb[strided_at(&b, args.shape, i)];
        const size_t at = strided_at(&out, args.shape, i);
        if (to_i1) ((uint8_t *)expected)[at] = args.op == QN_EQUAL ? x == y : args.op == QN_LESS ? x < y : x <= y;
        else ((double *)expected)[at] = fmin(binary_f64(&args, x, y), (double)args.max);
    }
    check(test, &(Call){.args = &args, .input_count = 2, .expected = expected,
                        .inputs = {memory_of(pa, 8, a.elems, a.before), memory_of(pb, 8, b.elems, b.before)},
                        .output = memory_of(before, bytes, out.elems, out.before)});
}

void case_binary(Test *test) {
    const char *row = test->row->operands;
    if (!strcmp(row, "f64f64")) case_binary_doubles(test);
    else if (!strcmp(row, "s8s8") && random_chance(test, 10)) case_binary_pairs(test);
    else if ((!strcmp(row, "f32f32") && !strcmp(test->row->result, "f32")) || !strcmp(row, "s8s8")) case_binary_numbers(test);
    else case_binary_integers(test);
}

// ---- unary

static double softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }
// x times a factor that is 0 where x is infinite.
static double times(double x, double factor) { return factor == 0 ? 0 : x * factor; }

static const double NO_FORMULA = 0x1.8p1001;

static double unary_libm(const struct qn_unary_args *a, double x) {
    const double tanh_arg = sqrt(2 / 3.14159265358979324) * (x + 0.044715 * x * x * x);
    switch (a->op) {
    case QN_LOG: return log(x);
    case QN_ERF: return erf(x);
    case QN_SIN: return sin(x);
    case QN_COS: return cos(x);
    case QN_TAN: return tan(x);
    case QN_ASIN: return asin(x);
    case QN_ACOS: return acos(x);
    case QN_ATAN: return atan(x);
    case QN_SINH: return sinh(x);
    case QN_COSH: return cosh(x);
    case QN_ASINH: return asinh(x);
    case QN_ACOSH: return acosh(x);
    case QN_ATANH: return atanh(x);
    case QN_SOFTPLUS: return softplus(x);
    case QN_SOFTSIGN: return isinf(x) ? copysign(1, x) : x / (1 + fabs(x));
    case QN_MISH: return times(x, tanh(softplus(x)));
    case QN_ELU: return x < 0 ? a->alpha * expm1(x) : x;
    case QN_SELU: return a->beta * (x < 0 ? a->alpha * expm1(x) : x);
    case QN_CELU: return x < 0 ? a->alpha * expm1(x / a->alpha) : x;
    case QN_GELU: return times(x, a->alpha != 0 ? 1 / (1 + exp(-2 * tanh_arg)) : erfc(-x / sqrt(2)) / 2);
    case QN_SWISH: return times(x, 1 / (1 + exp(-a->alpha * x)));
    }
    return NO_FORMULA;
}

// In double; *slack: what rounding inside the formula adds to the bound, beyond units of the result's last place.
// What is not written here is the interpreter's to say.
static double unary_real(const struct qn_unary_args *a, double x, double *slack) {
    static const OpKind kinds[] = {
#define UNARY(code, op, value) OP_##op,
#include "runtime/unary.def"
#undef UNARY
    };
    const Op op = {.kind = kinds[a->op]};
    *slack = 0;
    switch (a->op) {
    case QN_RELU: return x < 0 ? 0 : x;
    case QN_CLIP: return fmin(fmax(x, a->alpha), a->beta);
    case QN_LEAKY_RELU: return x < 0 ? a->alpha * x : x;
    case QN_SIGMOID:
        *slack = FLT_MIN; // subnormal results may be 0
        return 1 / (1 + exp(-x));
    case QN_HARD_SIGMOID:
        *slack = 1.2e-7 * (fabs(a->alpha * x) + fabs(a->beta));
        return fmin(fmax(a->alpha * x + a->beta, 0), 1);
    case QN_HARD_SWISH:
        *slack = 2.4e-7 * fabs(x);
        return x * fmin(fmax(x / 6 + 0.5, 0), 1);
    case QN_TANH: return tanh(x);
    case QN_EXP: return exp(x);
    case QN_ABS: return fabs(x);
    case QN_NEG: return -x;
    case QN_SIGN: return (x > 0) - (x < 0);
    case QN_FLOOR: return floor(x);
    case QN_CEIL: return ceil(x);
    case QN_ROUND_EVEN: return rint(x);
    case QN_RECIPROCAL: return 1 / x;
    case QN_SQRT: return sqrt(x);
    case QN_THRESHOLDED_RELU: return x > a->alpha ? x : 0;
    case QN_SHRINK: return x < -a->alpha ? (float)x + a->beta : x > a->alpha ? (float)x - a->beta : 0;
    }
    const double y = unary_libm(a, x);
    return y != NO_FORMULA ? y : unary_f64(&op, x);
}
// Two units in the last place; subnormal results are good to one.
static float unary_bound(const struct qn_unary_args *a, float expected, double slack) {
    const bool exact = a->op == QN_RELU || a->op == QN_CLIP || a->op == QN_LEAKY_RELU ||
                       (a->op >= QN_SQRT && a->op <= QN_RECIPROCAL) || a->op == QN_THRESHOLDED_RELU || a->op == QN_SHRINK;
    if (exact || isinf(expected)) return 0;
    return (float)slack + 2 * (nextafterf(fabsf(expected), INFINITY) - fabsf(expected));
}
// Over the whole range, near 0 and where the functions saturate; infinities, but no NaN.
static float unary_input(Test *test) {
    switch (random_int(test, 0, 9)) {
    case 0: return random_chance(test, 50) ? 0.0f : random_chance(test, 50) ? INFINITY : -INFINITY;
    case 1: return ldexpf(random_float(test, -1, 1), random_int(test, -126, 120));
    case 2: return random_float(test, -110, 110);
    case 3: return random_float(test, -1, 1);
    }
    return random_float(test, -10, 10);
}

static void case_unary_floats(Test *test) {
    struct qn_unary_args a = {.op = random_int(test, 0, QN_UNARY_COUNT - 1), .alpha = 0.1f, .beta = 0.5f};
    const bool in_place = random_chance(test, 40);
    if (a.op == QN_CLIP) a.alpha = -1, a.beta = 3;
    if (a.op == QN_GELU && random_chance(test, 50)) a.alpha = 0;
    shape_random(test, a.shape);
    a.rows = a.shape[0] * a.shape[1];
    const Strided out = strided_random(test, a.shape, DISTINCT), in = input_layout(test, a.shape, &out, in_place);
    memcpy(a.in, in.stride, sizeof a.in);
    memcpy(a.out, out.stride, sizeof a.out);
    float *x = ARENA_ARRAY(test->arena, float, in.elems);
    for (size_t i = 0; i < in.elems; i++) x[i] = unary_input(test);
    const void *before = in_place ? (void *)x : random_bytes(test, out.elems * 4);
    float *expected = copy_bytes(test, before, out.elems * 4);
    float *bound = ARENA_ARRAY(test->arena, float, out.elems);
    for (size_t i = 0; i < shape_elems(a.shape); i++) {
        const size_t at = strided_at(&out, a.shape, i);
        double slack;
        expected[at] = (float)unary_real(&a, x[strided_at(&in, a.shape, i)], &slack);
        bound[at] = unary_bound(&a, expected[at], slack);
    }
    check(test, &(Call){.args = &a, .input_count = 1, .expected = expected, .bound = bound, .in_place = in_place,
                        .inputs = {memory_of(x, 4, in.elems, in.before)},
                        .output = memory_of(before, 4, out.elems, out.before)});
}

void case_unary(Test *test) {
    if (!strcmp(test->row->result, "f32")) case_unary_floats(test);
    else case_unary_integers(test);
}

// ---- table

void case_table(Test *test) {
    struct qn_table_args a = {0};
    const bool in_place = random_chance(test, 40);
    shape_random(test, a.shape);
    a.rows = a.shape[0] * a.shape[1];
    const Strided out = strided_random(test, a.shape, DISTINCT), in = input_layout(test, a.shape, &out, in_place);
    memcpy(a.in, in.stride, sizeof a.in);
    memcpy(a.out, out.stride, sizeof a.out);
    const uint8_t *x = random_bytes(test, in.elems), *table = random_bytes(test, 256);
    const uint8_t *before = in_place ? x : random_bytes(test, out.elems);
    uint8_t *expected = copy_bytes(test, before, out.elems);
    for (size_t i = 0; i < shape_elems(a.shape); i++)
        expected[strided_at(&out, a.shape, i)] = table[x[strided_at(&in, a.shape, i)]];
    check(test, &(Call){.args = &a, .input_count = 2, .expected = expected, .in_place = in_place,
                        .inputs = {memory_of(x, 1, in.elems, in.before), memory_of(table, 1, 256, 0)},
                        .output = memory_of(before, 1, out.elems, out.before)});
}

// ---- sums

static int32_t *random_sums(Test *test, size_t count) {
    int32_t *sums = ARENA_ARRAY(test->arena, int32_t, count);
    for (size_t i = 0; i < count; i++)
        sums[i] = random_chance(test, 80) ? random_int(test, -100000, 100000) : (int32_t)random_bits(test);
    return sums;
}

void case_sums(Test *test) {
    struct qn_sums_args a = {.b_zp = random_zero_point(test), .out_zp = random_zero_point(test), .flip = random_chance(test, 50) ? 0x80 : 0,
                             .b_multiplier = random_multiplier(test, random_chance(test, 70))};
    const bool adds = !strcmp(test->row->result, "s8"), in_place = adds && random_chance(test, 40);
    const size_t out_elem = adds ? 1 : 4;
    random_clamp(test, &a.lo, &a.hi);
    shape_random(test, a.shape);
    a.rows = a.shape[0] * a.shape[1];
    const Strided out = strided_random(test, a.shape, DISTINCT), sums = strided_random(test, a.shape, MAY_REPEAT),
                  m = strided_random(test, a.shape, MAY_REPEAT), b = input_layout(test, a.shape, &out, in_place);
    memcpy(a.sums, sums.stride, sizeof a.sums);
    memcpy(a.m, m.stride, sizeof a.m);
    if (adds) memcpy(a.b, b.stride, sizeof a.b);
    memcpy(a.out, out.stride, sizeof a.out);
    const int32_t *x = random_sums(test, sums.elems);
    float *multiplier = ARENA_ARRAY(test->arena, float, m.elems);
    for (size_t i = 0; i < m.elems; i++) multiplier[i] = random_multiplier(test, random_chance(test, 70));
    const uint8_t *y = random_bytes(test, b.elems), *before = in_place ? y : random_bytes(test, out.elems * out_elem);
    uint8_t *expected = copy_bytes(test, before, out.elems * out_elem);
    for (size_t i = 0; i < shape_elems(a.shape); i++) {
        const float own = (float)x[strided_at(&sums, a.shape, i)] * multiplier[strided_at(&m, a.shape, i)];
        const size_t at = strided_at(&out, a.shape, i);
        if (!adds) memcpy(expected + at * 4, &own, 4);
        if (!adds) continue;
        const float other = (float)((int8_t)(y[strided_at(&b, a.shape, i)] ^ a.flip) - a.b_zp) * a.b_multiplier;
        expected[at] = (uint8_t)(naive_round(own + other, a.out_zp, a.lo, a.hi) ^ a.flip);
    }
    Call call = {.args = &a, .input_count = 3, .expected = expected, .in_place = in_place ? 3 : 0,
                 .inputs = {memory_of(x, 4, sums.elems, sums.before), memory_of(multiplier, 4, m.elems, m.before)},
                 .output = memory_of(before, out_elem, out.elems, out.before)};
    if (adds) call.inputs[2] = memory_of(y, 1, b.elems, b.before);
    check(test, &call);
}

// ---- quantize, dequantize, requantize

// Ties, values far outside the range, infinities and NaN.
static float *quantize_inputs(Test *test, const struct qn_quantize_args *a, size_t count) {
    float *x = ARENA_ARRAY(test->arena, float, count);
    for (size_t i = 0; i < count; i++) {
        switch (random_int(test, 0, 9)) {
        case 0: x[i] = RANDOM_OF(test, 0, 1) ? NAN : RANDOM_OF(test, 0, 1) ? INFINITY : -INFINITY; break;
        case 1: x[i] = random_float(test, -1e30f, 1e30f); break;
        case 2: case 3: x[i] = ((float)random_int(test, -300, 300) + 0.5f) * a->scale; break;
        default: x[i] = random_float(test, -300, 300) * a->scale;
        }
    }
    return x;
}

static void naive_quantize(const struct qn_quantize_args *a, const Strided *in, const void *x, bool from_f32,
                           const Strided *out, void *y, bool to_f32) {
    for (size_t i = 0; i < shape_elems(a->shape); i++) {
        const size_t at = strided_at(out, a->shape, i), from = strided_at(in, a->shape, i);
        float real;
        if (from_f32) real = ((const float *)x)[from] / a->scale;
        else real = (float)((int8_t)(((const uint8_t *)x)[from] ^ a->flip) - a->in_zp) * a->scale;
        if (to_f32) ((float *)y)[at] = real;
        else ((uint8_t *)y)[at] = (uint8_t)(naive_round(real, a->out_zp, a->lo, a->hi) ^ a->flip);
    }
}

void case_quantize(Test *test) {
    struct qn_quantize_args a = {.in_zp = random_zero_point(test), .out_zp = random_zero_point(test),
                                 .flip = random_chance(test, 50) ? 0x80 : 0, .scale = random_multiplier(test, false)};
    const bool from_f32 = !strcmp(test->row->operands, "f32"), to_f32 = !strcmp(test->row->result, "f32");
    const bool in_place = !from_f32 && !to_f32 && random_chance(test, 40);
    const size_t in_elem = from_f32 ? 4 : 1, out_elem = to_f32 ? 4 : 1;
    random_clamp(test, &a.lo, &a.hi);
    if (random_chance(test, 80)) a.out_zp = random_int(test, a.lo, a.hi);
    shape_random(test, a.shape);
    a.rows = a.shape[0] * a.shape[1];
    const Strided out = strided_random(test, a.shape, DISTINCT), in = input_layout(test, a.shape, &out, in_place);
    memcpy(a.in, in.stride, sizeof a.in);
    memcpy(a.out, out.stride, sizeof a.out);
    const void *x = from_f32 ? (void *)quantize_inputs(test, &a, in.elems) : random_bytes(test, in.elems);
    const void *before = in_place ? x : random_bytes(test, out.elems * out_elem);
    void *expected = copy_bytes(test, before, out.elems * out_elem);
    naive_quantize(&a, &in, x, from_f32, &out, expected, to_f32);
    check(test, &(Call){.args = &a, .input_count = 1, .expected = expected, .in_place = in_place,
                        .inputs = {memory_of(x, in_elem, in.elems, in.before)},
                        .output = memory_of(before, out_elem, out.elems, out.before)});
}
