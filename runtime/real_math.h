// Elementary functions in double precision without a C library: within a few units of 2^-52, and with +, -, *, / and
// bit operations alone, so that they give the same bits on every machine. The interpreter and the tables of 8-bit
// functions use them as they are; float kernels round their results once. Arguments are floats as a rule.
// Methods: exp, log, sine, arctangent by reduction and series; sqrt by Newton; large arguments of sine as Payne and
// Hanek reduce them; erfc(x) = t exp(-x^2 + P(t)), t = 2 / (2 + x), P fitted at Chebyshev nodes.
#ifndef QN_REAL_MATH_H
#define QN_REAL_MATH_H
#include <stdint.h>

#include "runtime/rounding.h"

#define QN_REAL QN_ROUND
#define QN_REAL_INFINITY (qn_f64_of_bits(0x7FF0000000000000u))

QN_REAL double qn_f64_of_bits(uint64_t bits) {
    union { uint64_t i; double f; } u;
    u.i = bits;
    return u.f;
}
QN_REAL uint64_t qn_bits_of_f64(double value) {
    union { double f; uint64_t i; } u;
    u.f = value;
    return u.i;
}
QN_REAL double qn_abs_f64(double x) { return qn_f64_of_bits(qn_bits_of_f64(x) & 0x7FFFFFFFFFFFFFFFu); }
// The size of x with the sign of y.
QN_REAL double qn_copysign_f64(double x, double y) {
    return qn_f64_of_bits((qn_bits_of_f64(x) & 0x7FFFFFFFFFFFFFFFu) | (qn_bits_of_f64(y) & 0x8000000000000000u));
}

// ---- rounding to whole numbers; the sign of 0 is kept

QN_REAL double qn_round_even_f64(double x) {
    const double magic = 4503599627370496.0; // 2^52
    double size = qn_abs_f64(x), shifted = size + magic;
    return size < magic ? qn_copysign_f64(shifted - magic, x) : x;
}
QN_REAL double qn_floor_f64(double x) {
    double y = qn_round_even_f64(x);
    return qn_copysign_f64(y > x ? y - 1.0 : y, x);
}
QN_REAL double qn_ceil_f64(double x) {
    double y = qn_round_even_f64(x);
    return qn_copysign_f64(y < x ? y + 1.0 : y, x);
}

// ---- roots, exponentials, logarithms

// Newton's steps from an estimate within 4 %; not always the correctly rounded double.
QN_REAL double qn_sqrt_f64(double x) {
    double y = qn_f64_of_bits((qn_bits_of_f64(x) >> 1) + 0x1FF7A3BEA91D9B1BULL);
    for (int i = 0; i < 5; i++) y = 0.5 * (y + x / y);
    if (x < 0.0) y = qn_f64_of_bits(0x7FF8000000000000u);
    return x == 0.0 || x != x || x == QN_REAL_INFINITY ? x : y;
}

// The largest whole number whose square is not above x.
QN_REAL uint64_t qn_sqrt_u64(uint64_t x) {
    const uint64_t most = 4294967295u;
    const double near = qn_sqrt_f64((double)x);
    uint64_t y = near < 4294967295.0 ? (uint64_t)near : most;
    while (y * y > x) y--;
    while (y < most && (y + 1) * (y + 1) <= x) y++;
    return y;
}

// e^r - 1 for |r| <= ln(2) / 2, by its series: error below 2^-56.
QN_REAL double qn_expm1_small_f64(double r) {
    double p = 1.0 / 1307674368000.0;
    p = p * r + 1.0 / 87178291200.0;
    p = p * r + 1.0 / 6227020800.0;
    p = p * r + 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    return r == 0.0 ? r : r + p * (r * r);
}

// e^x = 2^k e^r with r = x - k ln 2 in two steps; the first constant has zeros below, so that k times it is exact. The
// power is applied in two halves, so that overflow gives infinity and underflow a subnormal or 0.
QN_REAL double qn_exp_f64(double x) {
    const double magic = 6755399441055744.0; // 1.5 * 2^52
    x = x < -746.0 ? -746.0 : x;
    x = x > 710.0 ? 710.0 : x;
    double shifted = x * 0x1.71547652b82fep+0 + magic, k = shifted - magic;
    int64_t e = (int64_t)(qn_bits_of_f64(shifted) - 0x4338000000000000u), half = e >> 1;
    double r = (x - k * 0x1.62e42fee00000p-1) - k * 0x1.a39ef35793c76p-33;
    double y = 1.0 + qn_expm1_small_f64(r);
    return y * qn_f64_of_bits((uint64_t)(half + 1023) << 52) * qn_f64_of_bits((uint64_t)(e - half + 1023) << 52);
}
QN_REAL double qn_expm1_f64(double x) {
    return qn_abs_f64(x) < 0.34 ? qn_expm1_small_f64(x) : qn_exp_f64(x) - 1.0;
}

// x = 2^k m, m in [sqrt(1/2), sqrt(2)]; log m = 2 artanh((m - 1) / (m + 1)) by its series. Subnormals count as 0.
QN_REAL double qn_log_f64(double x) {
    uint64_t bits = qn_bits_of_f64(x);
    int64_t k = (int64_t)(bits - 0x3FE6A09E667F3BCDu) >> 52;
    double m = qn_f64_of_bits(bits - ((uint64_t)k << 52)), f = (m - 1.0) / (m + 1.0), s = f * f;
    double p = 1.0 / 21.0;
    p = p * s + 1.0 / 19.0;
    p = p * s + 1.0 / 17.0;
    p = p * s + 1.0 / 15.0;
    p = p * s + 1.0 / 13.0;
    p = p * s + 1.0 / 11.0;
    p = p * s + 1.0 / 9.0;
    p = p * s + 1.0 / 7.0;
    p = p * s + 1.0 / 5.0;
    p = p * s + 1.0 / 3.0;
    double y = (double)k * 0x1.62e42fee00000p-1 + (2.0 * f + (2.0 * f * (s * p) + (double)k * 0x1.a39ef35793c76p-33));
    if (x < 2.2250738585072014e-308) y = -QN_REAL_INFINITY;
    if (x < 0.0) y = qn_f64_of_bits(0x7FF8000000000000u);
    return x != x || x == QN_REAL_INFINITY ? x : y;
}
// Kahan: the rounding of 1 + x is made good by x / ((1 + x) - 1).
QN_REAL double qn_log1p_f64(double x) {
    double u = 1.0 + x, d = u - 1.0;
    if (d == 0.0) return x;
    double y = qn_log_f64(u);
    return d == x || u == 0.0 ? y : y * (x / d);
}

// ---- trigonometric functions

// x - n pi / 2 in [-pi / 4, pi / 4] for |x| >= 2^17 pi / 2: the bits of 4 / pi that matter, times the float's 24, in
// integers. (As in ARM's optimized routines.)
QN_REAL double qn_reduce_large(float x, int32_t *n) {
    static const uint32_t inverse[24] = {
        0xa2,       0xa2f9,     0xa2f983,   0xa2f9836e, 0xf9836e4e, 0x836e4e44, 0x6e4e4415, 0x4e441529,
        0x441529fc, 0x1529fc27, 0x29fc2757, 0xfc2757d1, 0x2757d1f5, 0x57d1f534, 0xd1f534dd, 0xf534ddc0,
        0x34ddc0db, 0xddc0db62, 0xc0db6295, 0xdb629599, 0x6295993c, 0x95993c43, 0x993c4390, 0x3c439041};
    union { float f; uint32_t i; } u;
    u.f = x;
    const uint32_t *window = &inverse[(u.i >> 26) & 15];
    uint32_t mantissa = ((u.i & 0xffffffu) | 0x800000u) << ((u.i >> 23) & 7);
    uint64_t top = mantissa * window[0], middle = (uint64_t)mantissa * window[4], low = (uint64_t)mantissa * window[8];
    uint64_t product = ((low >> 32) | (top << 32)) + middle, quarters = (product + (1ULL << 61)) >> 62;
    double rest = (double)(int64_t)(product - (quarters << 62)) * 0x1.921FB54442D18p-62;
    *n = u.i >> 31 ? -(int32_t)quarters : (int32_t)quarters;
    return u.i >> 31 ? -rest : rest;
}
QN_REAL double qn_reduce(double x, int32_t *n) {
    const double magic = 6755399441055744.0;
    if (!(qn_abs_f64(x) < 205887.0)) {
        *n = 0;
        return x - x != 0.0 ? x - x : qn_reduce_large((float)x, n);
    }
    double shifted = x * 0x1.45f306dc9c883p-1 + magic, k = shifted - magic;
    *n = (int32_t)(uint32_t)qn_bits_of_f64(shifted);
    return (x - k * 0x1.921fb54400000p+0) - k * 0x1.0b4611a626331p-34;
}
QN_REAL double qn_sin_small(double r) { // |r| <= pi / 4
    double z = r * r, p = 1.0 / 355687428096000.0;
    p = p * z - 1.0 / 1307674368000.0;
    p = p * z + 1.0 / 6227020800.0;
    p = p * z - 1.0 / 39916800.0;
    p = p * z + 1.0 / 362880.0;
    p = p * z - 1.0 / 5040.0;
    p = p * z + 1.0 / 120.0;
    p = p * z - 1.0 / 6.0;
    return r == 0.0 ? r : r + p * z * r;
}
QN_REAL double qn_cos_small(double r) {
    double z = r * r, p = 1.0 / 20922789888000.0;
    p = p * z - 1.0 / 87178291200.0;
    p = p * z + 1.0 / 479001600.0;
    p = p * z - 1.0 / 3628800.0;
    p = p * z + 1.0 / 40320.0;
    p = p * z - 1.0 / 720.0;
    p = p * z + 1.0 / 24.0;
    p = p * z - 0.5;
    return 1.0 + p * z;
}
QN_REAL double qn_sin_f64(double x) {
    int32_t n;
    double r = qn_reduce(x, &n), y = n & 1 ? qn_cos_small(r) : qn_sin_small(r);
    return n & 2 ? -y : y;
}
QN_REAL double qn_cos_f64(double x) {
    int32_t n;
    double r = qn_reduce(x, &n), y = n & 1 ? qn_sin_small(r) : qn_cos_small(r);
    return (n + 1) & 2 ? -y : y;
}
QN_REAL double qn_tan_f64(double x) {
    int32_t n;
    double r = qn_reduce(x, &n), s = qn_sin_small(r), c = qn_cos_small(r);
    return n & 1 ? -c / s : s / c;
}

// |x| > 1 by the reciprocal, the rest twice halved towards 0 around tan(pi / 8), then the series.
QN_REAL double qn_atan_f64(double x) {
    double size = qn_abs_f64(x), t = size > 1.0 ? 1.0 / size : size;
    double u = t > 0.4142135623730951 ? (t - 1.0) / (t + 1.0) : t;
    double z = u * u, p = 0.0;
    for (int n = 43; n > 1; n -= 2) p = (n % 4 == 1 ? 1.0 : -1.0) / n + p * z;
    double y = u + u * (p * z);
    y = t > 0.4142135623730951 ? 0x1.921fb54442d18p-1 + y : y;
    y = size > 1.0 ? 0x1.921fb54442d18p+0 - y : y;
    return qn_copysign_f64(y, x);
}
QN_REAL double qn_asin_f64(double x) { return qn_atan_f64(x / qn_sqrt_f64((1.0 - x) * (1.0 + x))); }
QN_REAL double qn_acos_f64(double x) { return 0x1.921fb54442d18p+0 - qn_asin_f64(x); }

// ---- hyperbolic functions

QN_REAL double qn_sinh_f64(double x) {
    double t = qn_expm1_f64(qn_abs_f64(x));
    return qn_copysign_f64(0.5 * (t + (t < 1e18 ? t / (t + 1.0) : 1.0)), x);
}
QN_REAL double qn_cosh_f64(double x) {
    double t = qn_exp_f64(qn_abs_f64(x));
    return 0.5 * (t + 1.0 / t);
}
QN_REAL double qn_tanh_f64(double x) {
    double t = qn_expm1_f64(2.0 * qn_abs_f64(x));
    return qn_copysign_f64(t < 1e18 ? t / (t + 2.0) : t != t ? t : 1.0, x);
}
QN_REAL double qn_asinh_f64(double x) {
    double a = qn_abs_f64(x), z = a * a;
    double y = a < 1e100 ? qn_log1p_f64(a + z / (1.0 + qn_sqrt_f64(1.0 + z))) : qn_log_f64(a) + 0x1.62e42fefa39efp-1;
    return qn_copysign_f64(y, x);
}
QN_REAL double qn_acosh_f64(double x) {
    double t = x < 1.0 ? qn_f64_of_bits(0x7FF8000000000000u) : x - 1.0;
    return t > 1e100 ? qn_log_f64(x) + 0x1.62e42fefa39efp-1 : qn_log1p_f64(t + qn_sqrt_f64(t * (t + 2.0)));
}
QN_REAL double qn_atanh_f64(double x) {
    double a = qn_abs_f64(x);
    return qn_copysign_f64(0.5 * qn_log1p_f64(2.0 * a / (1.0 - a)), x);
}

// ---- the error function

// t e^(P(t) - x^2) for x >= 0.5.
QN_REAL double qn_erfc_tail_f64(double x) {
    static const double coefficients[20] = {
        -0.804072310106969, 0.5187684450161687, 0.046376084955138556, -0.018367473808674137,
        -0.006975254760914384, 0.0016209949082017373, 0.0011597618922413104, -0.0002426616752030329,
        -0.00021132210225915124, 5.453395293627131e-05, 3.889894547129594e-05, -1.4763984973511704e-05,
        -6.457428703551497e-06, 3.994550329978618e-06, 7.848412382464975e-07, -9.515297523503435e-07,
        -3.131045866360845e-08, 1.7226469454978898e-07, -5.928553092354793e-09, -1.7212846587964685e-08};
    double t = 2.0 / (2.0 + x), u = 2.5 * t - 1.0, p = coefficients[19];
    for (int i = 18; i >= 0; i--) p = p * u + coefficients[i];
    return t * qn_exp_f64(p - x * x);
}
QN_REAL double qn_erf_small_f64(double x) { // |x| <= 0.5
    double z = x * x, p = 1.0 / 918086400.0; // 1 / (n! (2 n + 1)), n from 11 down
    p = 1.0 / 76204800.0 - p * z;
    p = 1.0 / 6894720.0 - p * z;
    p = 1.0 / 685440.0 - p * z;
    p = 1.0 / 75600.0 - p * z;
    p = 1.0 / 9360.0 - p * z;
    p = 1.0 / 1320.0 - p * z;
    p = 1.0 / 216.0 - p * z;
    p = 1.0 / 42.0 - p * z;
    p = 1.0 / 10.0 - p * z;
    p = 1.0 / 3.0 - p * z;
    return x == 0.0 ? x : 0x1.20dd750429b6dp+0 * (x - p * z * x);
}
QN_REAL double qn_erf_f64(double x) {
    double size = qn_abs_f64(x), tail = 1.0 - qn_erfc_tail_f64(size);
    return size < 0.5 ? qn_erf_small_f64(x) : qn_copysign_f64(tail, x);
}
QN_REAL double qn_erfc_f64(double x) {
    double size = qn_abs_f64(x), tail = qn_erfc_tail_f64(size);
    return size < 0.5 ? 1.0 - qn_erf_small_f64(x) : x < 0.0 ? 2.0 - tail : tail;
}

// ---- powers, as C99's pow

// 0: not a whole number; 1: odd; 2: even.
QN_REAL int qn_parity_f64(double y) {
    if (!(qn_abs_f64(y) < 9007199254740992.0)) return y - y == 0.0 ? 2 : y != y ? 0 : 2;
    if (qn_round_even_f64(y) != y) return 0;
    return qn_round_even_f64(0.5 * y) != 0.5 * y ? 1 : 2;
}
QN_REAL double qn_pow_f64(double x, double y) {
    if (y == 0.0 || x == 1.0) return 1.0;
    if (x != x || y != y) return x + y;
    double size = qn_abs_f64(x), infinity = QN_REAL_INFINITY, result;
    int parity = qn_parity_f64(y);
    if (size == 1.0) result = 1.0;
    else if (y - y != 0.0) result = (size > 1.0) == (y > 0.0) ? infinity : 0.0;
    else if (size == 0.0) result = y < 0.0 ? infinity : 0.0;
    else if (size == infinity) result = y > 0.0 ? infinity : 0.0;
    else result = qn_exp_f64(y * qn_log_f64(size));
    if (x < 0.0 && !parity && size != infinity && size != 0.0) return qn_f64_of_bits(0x7FF8000000000000u);
    return parity == 1 ? qn_copysign_f64(result, x) : result;
}

// ---- activations

QN_REAL double qn_sigmoid_f64(double x) {
    double e = qn_exp_f64(-qn_abs_f64(x));
    return x < 0.0 ? e / (1.0 + e) : x != x ? x : 1.0 / (1.0 + e);
}
// log(1 + e^x) without overflow.
QN_REAL double qn_softplus_f64(double x) { return (x > 0.0 ? x : 0.0) + qn_log1p_f64(qn_exp_f64(x > 0.0 ? -x : x)); }
QN_REAL double qn_softsign_f64(double x) {
    double size = qn_abs_f64(x);
    return size > 1e300 ? qn_copysign_f64(1.0, x) : x / (1.0 + size);
}
QN_REAL double qn_elu_f64(double x, double alpha, double inside) {
    return x < 0.0 ? alpha * qn_expm1_f64(x / inside) : x;
}
// x times a factor that falls to 0 faster than x grows.
QN_REAL double qn_vanishing_f64(double x, double factor) { return factor == 0.0 ? -0.0 : x * factor; }
QN_REAL double qn_mish_f64(double x) { return qn_vanishing_f64(x, qn_tanh_f64(qn_softplus_f64(x))); }
QN_REAL double qn_swish_f64(double x, double alpha) { return qn_vanishing_f64(x, qn_sigmoid_f64(alpha * x)); }
QN_REAL double qn_gelu_f64(double x) { return qn_vanishing_f64(x, 0.5 * qn_erfc_f64(x * -0x1.6a09e667f3bcdp-1)); } // sqrt(1 / 2)
// (1 + tanh u) / 2 is the sigmoid of 2 u, u = sqrt(2 / pi) (x + 0.044715 x^3).
QN_REAL double qn_gelu_tanh_f64(double x) {
    return qn_vanishing_f64(x, qn_sigmoid_f64(0x1.9884533d43651p+0 * (x + 0.044715 * x * x * x)));
}
#endif
