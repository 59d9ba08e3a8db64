// Floats of 16 bits, held as their bits: f16 (5 bits of exponent, 10 of fraction) and bf16 (8 and 7).
#ifndef QN_SMALL_FLOAT_H
#define QN_SMALL_FLOAT_H
#include "runtime/real_math.h"

// Rounds to nearest even, once; the result's bits. Too large gives infinity.
QN_REAL uint16_t qn_small_of_f64(double value, int exponent_bits, int fraction_bits) {
    const int bias = (1 << (exponent_bits - 1)) - 1;
    const int32_t infinity = ((1 << exponent_bits) - 1) << fraction_bits;
    const uint64_t bits = qn_bits_of_f64(value), magnitude = bits & 0x7FFFFFFFFFFFFFFFu;
    const int32_t sign = (int32_t)(bits >> 63) << (exponent_bits + fraction_bits);
    int exponent = (int)(magnitude >> 52) - 1023;
    if (value != value) return (uint16_t)(sign | infinity | 1 << (fraction_bits - 1));
    if (exponent > bias) return (uint16_t)(sign | infinity);
    exponent = exponent > 1 - bias ? exponent : 1 - bias;
    // In units of the last place; a carry out of the fraction raises the exponent by itself.
    const double scale = qn_f64_of_bits((uint64_t)(fraction_bits - exponent + 1023) << 52);
    const double units = qn_round_even_f64(qn_f64_of_bits(magnitude) * scale);
    return (uint16_t)(sign | ((exponent + bias - 1) * (1 << fraction_bits) + (int32_t)units));
}
QN_REAL uint16_t qn_f16_of_f64(double value) { return qn_small_of_f64(value, 5, 10); }
QN_REAL uint16_t qn_bf16_of_f64(double value) { return qn_small_of_f64(value, 8, 7); }

QN_REAL float qn_f32_of_f16(uint16_t bits) {
    const uint32_t sign = (uint32_t)(bits & 0x8000) << 16, exponent = (bits >> 10) & 31, fraction = bits & 1023;
    union { uint32_t i; float f; } u;
    u.f = (float)fraction * 5.9604644775390625e-8f; // subnormal: fraction * 2^-24
    if (exponent) u.i = (exponent == 31 ? 255 : exponent + 112) << 23 | fraction << 13;
    u.i |= sign;
    return u.f;
}
QN_REAL float qn_f32_of_bf16(uint16_t bits) {
    union { uint32_t i; float f; } u;
    u.i = (uint32_t)bits << 16;
    return u.f;
}
#endif
