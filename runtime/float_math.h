// Elementary functions in single precision without a C library, as straight-line code that vectorizes: exp, tanh and
// sigmoid within 2 units in the last place, sqrt correctly rounded. Range reduction and polynomials: Cephes' expf and
// tanhf schemes, coefficients refitted for the reduced range.
#ifndef QN_FLOAT_MATH_H
#define QN_FLOAT_MATH_H
#include "runtime/kernel.h"
#include "runtime/real_math.h"

QN_INLINE float qn_f32_of_bits(uint32_t bits) {
    union { uint32_t i; float f; } u;
    u.i = bits;
    return u.f;
}
QN_INLINE uint32_t qn_bits_of_f32(float value) {
    union { float f; uint32_t i; } u;
    u.f = value;
    return u.i;
}

QN_INLINE float qn_clamp(float x, float low, float high) {
    x = x < low ? low : x;
    return x > high ? high : x;
}

// e^x = 2^n e^r, |r| <= ln(2) / 2. The power of two is applied in two halves, so that overflow gives infinity and
// underflow a subnormal or 0; NaN stays NaN.
QN_INLINE float qn_exp(float x) {
    x = x < -104.0f ? -104.0f : x;
    x = x > 89.0f ? 89.0f : x;
    float n = x * 1.44269504f + 12582912.0f;
    int32_t e = (int32_t)(qn_bits_of_f32(n) - 0x4B400000u);
    n = n - 12582912.0f;
    float r = x - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    float y = p * (r * r) + r + 1.0f;
    int32_t half = e >> 1;
    float a = qn_f32_of_bits((uint32_t)(half + 127) << 23), b = qn_f32_of_bits((uint32_t)(e - half + 127) << 23);
    return y * a * b;
}

QN_INLINE float qn_sigmoid(float x) { return 1.0f / (1.0f + qn_exp(-x)); }

QN_INLINE float qn_tanh(float x) {
    float z = x * x;
    float p = -5.70498872745e-3f;
    p = p * z + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    float small = p * z * x + x;
    float size = x < 0.0f ? -x : x;
    float large = 1.0f - 2.0f / (qn_exp(size + size) + 1.0f);
    large = x < 0.0f ? -large : large;
    return size < 0.625f ? small : large;
}

// In double: four Newton steps from an estimate within 4 %. The rounding to single is then the correct one, as no
// square root of a single lies within 2^-50 of the middle between two.
QN_INLINE float qn_sqrt(float x) {
    union { double f; uint64_t i; } u;
    double value = x;
    u.f = value;
    u.i = (u.i >> 1) + 0x1FF7A3BEA91D9B1BULL;
    double y = u.f;
    for (int i = 0; i < 4; i++) y = 0.5 * (y + value / y);
    float result = (float)y;
    if (x < 0.0f) result = qn_f32_of_bits(0x7FC00000u);
    if (x == 0.0f || x != x || x > 3.402823466e38f) result = x;
    return result;
}

// The rest of x / y with the sign of x, exactly: y doubled while it fits, then subtracted on the way back. Doubles hold
// each difference, as its bits lie between those of two singles.
QN_INLINE float qn_fmod(float x, float y) {
    double rest = qn_abs_f64(x), step = qn_abs_f64(y), divisor = step;
    if (!(rest < QN_REAL_INFINITY) || !(step > 0.0)) return qn_f32_of_bits(0x7FC00000u);
    if (!(step < QN_REAL_INFINITY)) return x;
    while (step <= 0.5 * rest) step *= 2.0;
    for (; step >= divisor; step *= 0.5)
        if (rest >= step) rest -= step;
    return (float)qn_copysign_f64(rest, x);
}
// With the sign of y.
QN_INLINE float qn_mod(float x, float y) {
    float rest = qn_fmod(x, y);
    if (rest == 0.0f) return (float)qn_copysign_f64(0.0, y);
    return (rest < 0.0f) != (y < 0.0f) ? rest + y : rest;
}
#endif
