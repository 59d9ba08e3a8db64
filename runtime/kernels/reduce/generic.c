// Reductions over two dimensions of a 4-D view, up to 16 neighbouring results at a time, so that the loads are dense.
#include "runtime/float_math.h"

enum { QN_REDUCE_BLOCK = 16 };

// Visits elements [r][s][j] of a block of n: `type x` and the accumulator `y` in, `expression` its next value.
#define QN_REDUCE_LOOP(type, acc_type, expression)                                         \
    for (int32_t r = 0; r < a->size_r; r++)                                                \
        for (int32_t s = 0; s < a->size_s; s++) {                                          \
            const type *p = in + (ptrdiff_t)r * a->in_r + (ptrdiff_t)s * a->in_s;          \
            for (int32_t j = 0; j < n; j++) {                                              \
                const acc_type x = (acc_type)p[j], y = acc[j];                             \
                acc[j] = expression;                                                       \
            }                                                                              \
        }

// ---- floats, in double

QN_INLINE double qn_reduce_generic_start(int32_t op) {
    if (op == QN_REDUCE_MAX) return -QN_REAL_INFINITY;
    if (op == QN_REDUCE_MIN) return QN_REAL_INFINITY;
    return op == QN_REDUCE_PROD ? 1.0 : 0.0;
}
QN_INLINE void qn_reduce_generic_fold(const struct qn_reduce_args *a, int32_t op, const float *in, const double *shift,
                                      double *restrict acc, int32_t n) {
    for (int32_t j = 0; j < n; j++) acc[j] = qn_reduce_generic_start(op);
    switch (op) {
    case QN_REDUCE_SUM:
    case QN_REDUCE_LOG_SUM: QN_REDUCE_LOOP(float, double, y + x) break;
    case QN_REDUCE_MAX: QN_REDUCE_LOOP(float, double, x > y || x != x ? x : y) break;
    case QN_REDUCE_MIN: QN_REDUCE_LOOP(float, double, x < y || x != x ? x : y) break;
    case QN_REDUCE_PROD: QN_REDUCE_LOOP(float, double, y * x) break;
    case QN_REDUCE_L1: QN_REDUCE_LOOP(float, double, y + qn_abs_f64(x)) break;
    case QN_REDUCE_L2:
    case QN_REDUCE_SUM_SQUARE: QN_REDUCE_LOOP(float, double, y + x * x) break;
    case QN_REDUCE_LOG_SUM_EXP: QN_REDUCE_LOOP(float, double, y + qn_exp_f64(x - shift[j])) break;
    }
}
QN_INLINE double qn_reduce_generic_end(int32_t op, double y, double shift) {
    switch (op) {
    case QN_REDUCE_L2: return qn_sqrt_f64(y);
    case QN_REDUCE_LOG_SUM: return qn_log_f64(y);
    case QN_REDUCE_LOG_SUM_EXP: return shift + qn_log_f64(y);
    }
    return y;
}

QN_KERNEL qn_reduce_f32_f32__any__generic(const struct qn_reduce_args *a, const void *input, void *output, int32_t begin,
                                          int32_t end) {
    for (int32_t o = begin; o < end; o++)
        for (int32_t c = 0; c < a->inner; c += QN_REDUCE_BLOCK) {
            const int32_t n = a->inner - c < QN_REDUCE_BLOCK ? a->inner - c : QN_REDUCE_BLOCK;
            const float *in = (const float *)input + (ptrdiff_t)o * a->in_outer + c;
            float *out = (float *)output + (ptrdiff_t)o * a->out_outer + c;
            double acc[QN_REDUCE_BLOCK], shift[QN_REDUCE_BLOCK] = {0};
            if (a->op == QN_REDUCE_LOG_SUM_EXP) {
                qn_reduce_generic_fold(a, QN_REDUCE_MAX, in, shift, acc, n);
                for (int32_t j = 0; j < n; j++) shift[j] = qn_abs_f64(acc[j]) < QN_REAL_INFINITY ? acc[j] : 0.0;
            }
            qn_reduce_generic_fold(a, a->op, in, shift, acc, n);
            for (int32_t j = 0; j < n; j++) out[j] = (float)qn_reduce_generic_end(a->op, acc[j], shift[j]);
        }
}

// ---- integers; `low`, `high`: the ends of their range; sums in 64 bits that the store truncates

#define QN_REDUCE_INTEGER(name, type, wide, low, high)                                                               \
    QN_INLINE void qn_reduce_generic_fold_##name(const struct qn_reduce_args *a, const type *in, wide *restrict acc, \
                                                 int32_t n) {                                                        \
        const wide start = a->op == QN_REDUCE_MAX ? (low) : a->op == QN_REDUCE_MIN ? (high) : a->op == QN_REDUCE_PROD; \
        for (int32_t j = 0; j < n; j++) acc[j] = start;                                                              \
        switch (a->op) {                                                                                             \
        case QN_REDUCE_SUM: QN_REDUCE_LOOP(type, wide, (wide)((uint64_t)y + (uint64_t)x)) break;                     \
        case QN_REDUCE_MAX: QN_REDUCE_LOOP(type, wide, x > y ? x : y) break;                                         \
        case QN_REDUCE_MIN: QN_REDUCE_LOOP(type, wide, x < y ? x : y) break;                                         \
        case QN_REDUCE_PROD: QN_REDUCE_LOOP(type, wide, (wide)((uint64_t)y * (uint64_t)x)) break;                    \
        case QN_REDUCE_L1: QN_REDUCE_LOOP(type, wide, (wide)((uint64_t)y + (x < 0 ? 0 - (uint64_t)x : (uint64_t)x))) break; \
        default: QN_REDUCE_LOOP(type, wide, (wide)((uint64_t)y + (uint64_t)x * (uint64_t)x)) break;                  \
        }                                                                                                            \
    }                                                                                                                \
    QN_KERNEL qn_reduce_##name##_##name##__any__generic(const struct qn_reduce_args *a, const void *input,           \
                                                        void *output, int32_t begin, int32_t end) {                  \
        for (int32_t o = begin; o < end; o++)                                                                        \
            for (int32_t c = 0; c < a->inner; c += QN_REDUCE_BLOCK) {                                                \
                const int32_t n = a->inner - c < QN_REDUCE_BLOCK ? a->inner - c : QN_REDUCE_BLOCK;                   \
                type *out = (type *)output + (ptrdiff_t)o * a->out_outer + c;                                        \
                wide acc[QN_REDUCE_BLOCK];                                                                           \
                qn_reduce_generic_fold_##name(a, (const type *)input + (ptrdiff_t)o * a->in_outer + c, acc, n);      \
                for (int32_t j = 0; j < n; j++)                                                                      \
                    out[j] = (type)(a->op == QN_REDUCE_L2 ? (wide)qn_sqrt_u64((uint64_t)acc[j]) : acc[j]);             \
            }                                                                                                        \
    }
QN_REDUCE_INTEGER(i64, int64_t, int64_t, INT64_MIN, INT64_MAX)
QN_REDUCE_INTEGER(i32, int32_t, int64_t, INT32_MIN, INT32_MAX)
QN_REDUCE_INTEGER(i8, int8_t, int64_t, INT8_MIN, INT8_MAX)
QN_REDUCE_INTEGER(u8, uint8_t, int64_t, 0, UINT8_MAX)
QN_REDUCE_INTEGER(i1, uint8_t, int64_t, 0, 1)
#undef QN_REDUCE_INTEGER

// ---- quantized: the extremum of what is stored, as signed values

QN_KERNEL qn_reduce_s8_s8__any__generic(const struct qn_reduce_args *a, const void *input, void *output, int32_t begin,
                                        int32_t end) {
    for (int32_t o = begin; o < end; o++)
        for (int32_t c = 0; c < a->inner; c += QN_REDUCE_BLOCK) {
            const int32_t n = a->inner - c < QN_REDUCE_BLOCK ? a->inner - c : QN_REDUCE_BLOCK;
            const uint8_t *in = (const uint8_t *)input + (ptrdiff_t)o * a->in_outer + c;
            uint8_t *out = (uint8_t *)output + (ptrdiff_t)o * a->out_outer + c;
            int32_t acc[QN_REDUCE_BLOCK];
            for (int32_t j = 0; j < n; j++) acc[j] = a->op == QN_REDUCE_MAX ? -128 : 127;
#define QN_SIGNED ((int8_t)(x ^ a->flip))
            if (a->op == QN_REDUCE_MAX) QN_REDUCE_LOOP(uint8_t, int32_t, QN_SIGNED > y ? QN_SIGNED : y)
            else QN_REDUCE_LOOP(uint8_t, int32_t, QN_SIGNED < y ? QN_SIGNED : y)
#undef QN_SIGNED
            for (int32_t j = 0; j < n; j++) out[j] = (uint8_t)(acc[j] ^ a->flip);
        }
}

QN_KERNEL qn_reduce_s16_s16__any__generic(const struct qn_reduce_args *a, const void *input, void *output, int32_t begin,
                                          int32_t end) {
    for (int32_t o = begin; o < end; o++)
        for (int32_t c = 0; c < a->inner; c += QN_REDUCE_BLOCK) {
            const int32_t n = a->inner - c < QN_REDUCE_BLOCK ? a->inner - c : QN_REDUCE_BLOCK;
            const int16_t *in = (const int16_t *)input + (ptrdiff_t)o * a->in_outer + c;
            int16_t *out = (int16_t *)output + (ptrdiff_t)o * a->out_outer + c;
            int16_t acc[QN_REDUCE_BLOCK];
            for (int32_t j = 0; j < n; j++) acc[j] = a->op == QN_REDUCE_MAX ? INT16_MIN : INT16_MAX;
            if (a->op == QN_REDUCE_MAX) QN_REDUCE_LOOP(int16_t, int16_t, x > y ? x : y)
            else QN_REDUCE_LOOP(int16_t, int16_t, x < y ? x : y)
            for (int32_t j = 0; j < n; j++) out[j] = acc[j];
        }
}
#undef QN_REDUCE_LOOP
