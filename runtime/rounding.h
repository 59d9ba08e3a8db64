// The rounding contract: IEEE single, nearest-even, no contraction. The kernels, the interpreter and the compiler's own
// arithmetic all use these functions, so there is one meaning of each quantized op. See docs/numerics.md.
#ifndef QN_ROUNDING_H
#define QN_ROUNDING_H
#include <stdint.h>

#if defined(__FAST_MATH__)
#error "compile without -ffast-math: quantized results would differ between machines"
#endif
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0 && __FLT_EVAL_METHOD__ != 16
#error "single precision must be evaluated as such (FLT_EVAL_METHOD 0); on 32-bit x86 use -msse2 -mfpmath=sse"
#endif
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

#define QN_ROUND static inline __attribute__((always_inline, unused))

// |y| < 2^22 after the clamp: adding 1.5 * 2^23 rounds to nearest even, as cvtps2dq and fcvtns do.
QN_ROUND int32_t qn_rne(float y) {
    union { float f; int32_t i; } magic;
    magic.f = y + 12582912.0f;
    return magic.i - 0x4B400000;
}

// q = rne(clamp(y, lo - zp, hi - zp)) + zp; NaN gives zp.
QN_ROUND int32_t qn_clamp_round(float y, int32_t zp, int32_t lo, int32_t hi) {
    float low = (float)(lo - zp), high = (float)(hi - zp);
    if (y != y) y = 0.0f;
    y = y < low ? low : y;
    y = y > high ? high : y;
    return qn_rne(y) + zp;
}

// The accumulator of a convolution, matrix product, mean or pool: i32 -> f32 rounds to nearest even.
QN_ROUND int32_t qn_requantize(int32_t acc, float m, int32_t zp, int32_t lo, int32_t hi) {
    return qn_clamp_round((float)acc * m, zp, lo, hi);
}
// Sums of 16-bit activations in 64 bits, |acc| < 2^47, to f32 with one rounding, to nearest even: both halves and the product are
// exact, so that their sum alone rounds. Of sums within 32 bits it is the conversion above.
QN_ROUND float qn_wide_f32(int64_t acc) {
    const int32_t high = (int32_t)(acc >> 24), low = (int32_t)(acc & 0xFFFFFF);
    return (float)high * 16777216.0f + (float)low;
}
QN_ROUND int32_t qn_requantize_wide(int64_t acc, float m, int32_t zp, int32_t lo, int32_t hi) {
    return qn_clamp_round(qn_wide_f32(acc) * m, zp, lo, hi);
}
#define qn_quantize(x, scale, zp, lo, hi) qn_clamp_round((x) / (scale), zp, lo, hi)
QN_ROUND float qn_dequantize(int32_t q, int32_t zp, float scale) { return (float)(q - zp) * scale; }

// a - a_zp and b - b_zp come in; products are rounded, then their sum (no fused multiply-add).
QN_ROUND int32_t qn_add(int32_t a, float a_m, int32_t b, float b_m, int32_t zp, int32_t lo, int32_t hi) {
    float x = (float)a * a_m, y = (float)b * b_m;
    return qn_clamp_round(x + y, zp, lo, hi);
}
// a * a_m + (b * b_m + c), each sum rounded to f32 once with the product in it. Exact in double where the bits of the three are
// not too far apart (fused_sum_start).
QN_ROUND int32_t qn_fused_add(int32_t a, float a_m, int32_t b, float b_m, float c, int32_t zp, int32_t lo, int32_t hi) {
    float inner = (float)((double)b * (double)b_m + (double)c);
    return qn_clamp_round((float)((double)a * (double)a_m + (double)inner), zp, lo, hi);
}
QN_ROUND int32_t qn_sub(int32_t a, float a_m, int32_t b, float b_m, int32_t zp, int32_t lo, int32_t hi) {
    float x = (float)a * a_m, y = (float)b * b_m;
    return qn_clamp_round(x - y, zp, lo, hi);
}
// The lesser, the larger of two rescaled values.
QN_ROUND int32_t qn_lesser(int32_t a, float a_m, int32_t b, float b_m, int32_t zp, int32_t lo, int32_t hi) {
    float x = (float)a * a_m, y = (float)b * b_m;
    return qn_clamp_round(x < y ? x : y, zp, lo, hi);
}
QN_ROUND int32_t qn_larger(int32_t a, float a_m, int32_t b, float b_m, int32_t zp, int32_t lo, int32_t hi) {
    float x = (float)a * a_m, y = (float)b * b_m;
    return qn_clamp_round(x > y ? x : y, zp, lo, hi);
}
QN_ROUND int32_t qn_mul(int32_t a, int32_t b, float m, int32_t zp, int32_t lo, int32_t hi) {
    return qn_clamp_round((float)(a * b) * m, zp, lo, hi);
}
// a below 0 times b, else a: by their own multipliers.
QN_ROUND int32_t qn_prelu(int32_t a, float a_m, int32_t b, float ab_m, int32_t zp, int32_t lo, int32_t hi) {
    return qn_clamp_round(a < 0 ? (float)(a * b) * ab_m : (float)a * a_m, zp, lo, hi);
}
// The same two of 16-bit activations, whose products may leave 32 bits.
QN_ROUND int32_t qn_mul_wide(int32_t a, int32_t b, float m, int32_t zp, int32_t lo, int32_t hi) {
    return qn_requantize_wide((int64_t)a * b, m, zp, lo, hi);
}
QN_ROUND int32_t qn_prelu_wide(int32_t a, float a_m, int32_t b, float ab_m, int32_t zp, int32_t lo, int32_t hi) {
    return qn_clamp_round(a < 0 ? qn_wide_f32((int64_t)a * b) * ab_m : (float)a * a_m, zp, lo, hi);
}
#endif
