// Functions of one real number, and the tables made of them, of 8 and 16 bits. Only +, -, *, /, sqrt, rint and operations on
// bits are used, which IEEE 754 defines to the bit: tables are the same bytes on every machine that builds or runs
// Qanat. (rounding.h, included, forbids contraction to fused multiply-adds.)
#include <math.h>

#include "ir/eval_common.h"

static double clamp_f64(double x, double min, double max) { return x < min ? min : x > max ? max : x; }

static double shrink_f64(const Op *op, double x) {
    double bias = op_float(op, "bias"), lambda = op_float(op, "lambda");
    return x < -lambda ? x + bias : x > lambda ? x - bias : isnan(x) ? x : 0;
}

static double sign_f64(double x) { return x > 0 ? 1 : x < 0 ? -1 : x; }

static double is_inf_f64(const Op *op, double x) {
    return isinf(x) && op_bool(op, x < 0 ? "negative" : "positive");
}

double unary_f64(const Op *op, double x) {
    switch (op->kind) {
    case OP_relu: return x < 0 ? 0 : x;
    case OP_clip: return clamp_f64(x, op_float(op, "min"), op_float(op, "max"));
    case OP_leaky_relu: return x < 0 ? op_float(op, "alpha") * x : x;
    case OP_sigmoid: return qn_sigmoid_f64(x);
    case OP_hard_sigmoid: return clamp_f64(op_float(op, "alpha") * x + op_float(op, "beta"), 0, 1);
    case OP_hard_swish: return x * clamp_f64(x / 6 + 0.5, 0, 1);
    case OP_tanh: return qn_tanh_f64(x);
    case OP_exp: return qn_exp_f64(x);
    case OP_sqrt: return sqrt(x);
    case OP_abs: return fabs(x);
    case OP_neg: return -x;
    case OP_sign: return sign_f64(x);
    case OP_floor: return floor(x);
    case OP_ceil: return ceil(x);
    case OP_round: return rint(x);
    case OP_reciprocal: return 1 / x;
    case OP_log: return qn_log_f64(x);
    case OP_erf: return qn_erf_f64(x);
    case OP_sin: return qn_sin_f64(x);
    case OP_cos: return qn_cos_f64(x);
    case OP_tan: return qn_tan_f64(x);
    case OP_asin: return qn_asin_f64(x);
    case OP_acos: return qn_acos_f64(x);
    case OP_atan: return qn_atan_f64(x);
    case OP_sinh: return qn_sinh_f64(x);
    case OP_cosh: return qn_cosh_f64(x);
    case OP_asinh: return qn_asinh_f64(x);
    case OP_acosh: return qn_acosh_f64(x);
    case OP_atanh: return qn_atanh_f64(x);
    case OP_softplus: return qn_softplus_f64(x);
    case OP_softsign: return qn_softsign_f64(x);
    case OP_mish: return qn_mish_f64(x);
    case OP_elu: return qn_elu_f64(x, op_float(op, "alpha"), 1);
    case OP_selu: return op_float(op, "gamma") * qn_elu_f64(x, op_float(op, "alpha"), 1);
    case OP_celu: return qn_elu_f64(x, op_float(op, "alpha"), op_float(op, "alpha"));
    case OP_gelu: return *op_string(op, "approximate") == 't' ? qn_gelu_tanh_f64(x) : qn_gelu_f64(x);
    case OP_swish: return qn_swish_f64(x, op_float(op, "alpha"));
    case OP_thresholded_relu: return x > op_float(op, "alpha") ? x : isnan(x) ? x : 0;
    case OP_shrink: return shrink_f64(op, x);
    case OP_is_nan: return isnan(x);
    case OP_is_inf: return is_inf_f64(op, x);
    default: BUG("%s is no function of one number", op_info(op->kind)->full_name);
    }
}

int32_t eval_table_entry(const Op *op, int32_t q) {
    const Quant *in = op_operand(op, 0)->type->quant, *to = op->results[0].type->quant;
    double x = (double)in->scale[0] * (q - in->zero_point[0]); // exact: 24 bits times 17
    if ((op->kind == OP_sqrt || op->kind == OP_log) && x < 0) x = 0;
    double y = unary_f64(op, x) / to->scale[0];
    if (isnan(y)) y = 0;
    y = clamp_f64(y, (double)to->storage_min - to->zero_point[0], (double)to->storage_max - to->zero_point[0]);
    return (int32_t)rint(y) + to->zero_point[0];
}

void eval_table(const Op *op, int8_t out[256]) {
    const Quant *in = op_operand(op, 0)->type->quant, *to = op->results[0].type->quant;
    BUG_UNLESS(in && to && in->storage == ELEM_I8 && to->storage == ELEM_I8, "%s has no 256-entry table",
               op_info(op->kind)->full_name);
    for (int q = -128; q < 128; q++) out[(uint8_t)q] = (int8_t)eval_table_entry(op, q);
}
