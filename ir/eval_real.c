// Functions of one real number, and the 256-entry tables made of them. Only +, -, *, /, sqrt, rint and scaling by
// powers of two are used, which IEEE 754 defines to the bit: tables are the same bytes on every machine that builds
// or runs Qanat. (rounding.h, included, forbids contraction to fused multiply-adds.)
#include <math.h>

#include "ir/eval_common.h"

// e^r - 1 for |r| <= ln(2) / 2, by its series nested: r (1 + r/2 (1 + r/3 (1 + ...))), 14 terms: error below 2^-56.
static double small_expm1(double r) {
    double sum = 1;
    for (int n = 15; n > 1; n--) sum = 1 + sum * r / n;
    return r * sum;
}

// e^x = 2^k e^r with r = x - k ln 2 in two steps; the first constant has zeros below, so that k times it is exact.
double exp_f64(double x) {
    const double log2e = 0x1.71547652b82fep+0, ln2_high = 0x1.62e42fee00000p-1, ln2_low = 0x1.a39ef35793c76p-33;
    if (isnan(x)) return x;
    if (x > 709.8) return INFINITY;
    if (x < -745.2) return 0;
    double k = rint(x * log2e);
    return ldexp(1 + small_expm1((x - k * ln2_high) - k * ln2_low), (int)k);
}

double tanh_f64(double x) {
    double size = fabs(x), result;
    if (isnan(x)) return x;
    if (size > 20) result = 1; // 1 - 2^-57 and closer
    else if (size < 0.17) {
        double m = small_expm1(2 * size); // without the cancellation of e^2x - 1
        result = m / (m + 2);
    } else result = 1 - 2 / (exp_f64(2 * size) + 1);
    return x < 0 ? -result : result;
}

static double sigmoid_f64(double x) {
    if (x >= 0) return 1 / (1 + exp_f64(-x));
    double e = exp_f64(x);
    return e / (1 + e);
}

static double clamp_f64(double x, double min, double max) { return x < min ? min : x > max ? max : x; }

double unary_f64(const Op *op, double x) {
    switch (op->kind) {
    case OP_relu: return x < 0 ? 0 : x;
    case OP_clip: return clamp_f64(x, op_float(op, "min"), op_float(op, "max"));
    case OP_leaky_relu: return x < 0 ? op_float(op, "alpha") * x : x;
    case OP_sigmoid: return sigmoid_f64(x);
    case OP_hard_sigmoid: return clamp_f64(op_float(op, "alpha") * x + op_float(op, "beta"), 0, 1);
    case OP_hard_swish: return x * clamp_f64(x / 6 + 0.5, 0, 1);
    case OP_tanh: return tanh_f64(x);
    case OP_exp: return exp_f64(x);
    case OP_sqrt: return sqrt(x);
    default: BUG("%s is no function of one number", op_info(op->kind)->full_name);
    }
}

void eval_table(const Op *op, int8_t out[256]) {
    const Quant *in = op_operand(op, 0)->type->quant, *to = op->results[0].type->quant;
    BUG_UNLESS(in && to && in->storage == ELEM_I8 && to->storage == ELEM_I8, "%s has no 256-entry table",
               op_info(op->kind)->full_name);
    for (int q = -128; q < 128; q++) {
        double x = (double)in->scale[0] * (q - in->zero_point[0]); // exact: 24 bits times 9
        if (op->kind == OP_sqrt && x < 0) x = 0;
        double y = unary_f64(op, x) / to->scale[0];
        if (isnan(y)) y = 0;
        y = clamp_f64(y, (double)to->storage_min - to->zero_point[0], (double)to->storage_max - to->zero_point[0]);
        out[(uint8_t)q] = (int8_t)(rint(y) + to->zero_point[0]);
    }
}
