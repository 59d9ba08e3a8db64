// Dot products of one input row with several weight rows, in loops that compilers vectorize: what the generic
// convolution, linear and matrix product share. Rows are dense; sums of integers are exact whatever their order.
#ifndef QN_DOT_H
#define QN_DOT_H
#include "runtime/kernel.h"

// One chunk of an input row is widened into a local array, and used for one block of outputs.
enum { QN_DOT_CHUNK = 256, QN_DOT_OUTPUTS = 64, QN_DOT_LANES = 16 };

// acc[j] += x . (w_j - weight_zp), for `count` rows w_j `stride` apart.
QN_INLINE void qn_dot4_s8(const int16_t *restrict x, const int8_t *restrict w, ptrdiff_t stride, int32_t n,
                          int32_t weight_zp, int32_t *restrict acc) {
    const int8_t *w0 = w, *w1 = w + stride, *w2 = w + 2 * stride, *w3 = w + 3 * stride;
    int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0;
    for (int32_t i = 0; i < n; i++) {
        a0 += x[i] * (int16_t)(w0[i] - weight_zp);
        a1 += x[i] * (int16_t)(w1[i] - weight_zp);
        a2 += x[i] * (int16_t)(w2[i] - weight_zp);
        a3 += x[i] * (int16_t)(w3[i] - weight_zp);
    }
    acc[0] += a0;
    acc[1] += a1;
    acc[2] += a2;
    acc[3] += a3;
}
QN_INLINE void qn_dot1_s8(const int16_t *restrict x, const int8_t *restrict w, int32_t n, int32_t weight_zp,
                          int32_t *restrict acc) {
    int32_t a = 0;
    for (int32_t i = 0; i < n; i++) a += x[i] * (int16_t)(w[i] - weight_zp);
    *acc += a;
}
QN_INLINE void qn_dots_s8(const int16_t *restrict x, const int8_t *restrict w, ptrdiff_t stride, int32_t n,
                          int32_t weight_zp, int32_t *restrict acc, int32_t count) {
    int32_t j = 0;
    for (; j + 4 <= count; j += 4) qn_dot4_s8(x, w + j * stride, stride, n, weight_zp, acc + j);
    for (; j < count; j++) qn_dot1_s8(x, w + j * stride, n, weight_zp, acc + j);
}

// The same of 16-bit activations, less their zero point, and at most QN_DOT_WORDS at once: their products' sums stay within 32 bits.
enum { QN_DOT_WORDS = 128 };
QN_INLINE int32_t qn_dot_s16(const int32_t *restrict x, const int8_t *restrict w, int32_t n, int32_t weight_zp) {
    int32_t sum = 0;
    for (int32_t i = 0; i < n; i++) sum += x[i] * (w[i] - weight_zp);
    return sum;
}
QN_INLINE void qn_dots_s16(const int32_t *restrict x, const int8_t *restrict w, ptrdiff_t stride, int32_t n, int32_t weight_zp,
                           int64_t *restrict acc, int32_t count) {
    for (int32_t j = 0; j < count; j++) acc[j] += qn_dot_s16(x, w + j * stride, n, weight_zp);
}

// Sums of floats are kept in lanes, or the compiler would have to keep their order.
QN_INLINE float qn_sum_lanes(const float *lane) {
    float s[8];
    for (int l = 0; l < 8; l++) s[l] = lane[l] + lane[l + 8];
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}
QN_INLINE void qn_dot4_f32(const float *restrict x, const float *restrict w, ptrdiff_t stride, int32_t n,
                           float *restrict acc) {
    float a0[QN_DOT_LANES] = {0}, a1[QN_DOT_LANES] = {0}, a2[QN_DOT_LANES] = {0}, a3[QN_DOT_LANES] = {0};
    const float *w0 = w, *w1 = w + stride, *w2 = w + 2 * stride, *w3 = w + 3 * stride;
    int32_t i = 0;
    for (; i + QN_DOT_LANES <= n; i += QN_DOT_LANES)
        for (int l = 0; l < QN_DOT_LANES; l++) {
            a0[l] += x[i + l] * w0[i + l];
            a1[l] += x[i + l] * w1[i + l];
            a2[l] += x[i + l] * w2[i + l];
            a3[l] += x[i + l] * w3[i + l];
        }
    float s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (; i < n; i++) {
        s0 += x[i] * w0[i];
        s1 += x[i] * w1[i];
        s2 += x[i] * w2[i];
        s3 += x[i] * w3[i];
    }
    acc[0] += qn_sum_lanes(a0) + s0;
    acc[1] += qn_sum_lanes(a1) + s1;
    acc[2] += qn_sum_lanes(a2) + s2;
    acc[3] += qn_sum_lanes(a3) + s3;
}
QN_INLINE void qn_dot1_f32(const float *restrict x, const float *restrict w, int32_t n, float *restrict acc) {
    float a[QN_DOT_LANES] = {0}, s = 0;
    int32_t i = 0;
    for (; i + QN_DOT_LANES <= n; i += QN_DOT_LANES)
        for (int l = 0; l < QN_DOT_LANES; l++) a[l] += x[i + l] * w[i + l];
    for (; i < n; i++) s += x[i] * w[i];
    *acc += qn_sum_lanes(a) + s;
}
QN_INLINE void qn_dots_f32(const float *restrict x, const float *restrict w, ptrdiff_t stride, int32_t n,
                           float *restrict acc, int32_t count) {
    int32_t j = 0;
    for (; j + 4 <= count; j += 4) qn_dot4_f32(x, w + j * stride, stride, n, acc + j);
    for (; j < count; j++) qn_dot1_f32(x, w + j * stride, n, acc + j);
}
QN_INLINE float qn_clamp_f32(float y, float min, float max) {
    y = y < min ? min : y;
    return y > max ? max : y;
}
#endif
