// Conversion between element types. Float to integer truncates, saturates, and makes NaN 0; integer to narrower integer
// drops the high bits; to i1: is it other than 0.
#include "runtime/kernel.h"

// 2^63 is the first double above every int64_t.
QN_INLINE int64_t qn_cast_generic_i64_of_f64(double x) {
    if (x != x) return 0;
    if (x >= 9223372036854775808.0) return INT64_MAX;
    if (x <= -9223372036854775808.0) return INT64_MIN;
    return (int64_t)x;
}
QN_INLINE int64_t qn_cast_generic_i64_of_i64(int64_t x) { return x; }
QN_INLINE int64_t qn_cast_generic_saturate(int64_t x, int64_t low, int64_t high) {
    x = x < low ? low : x;
    return x > high ? high : x;
}

#define QN_LOOP(in_type, out_type, expression)                                                       \
    for (int32_t i = begin; i < end; i++) {                                                          \
        const in_type x = ((const in_type *)input)[i];                                               \
        ((out_type *)output)[i] = (out_type)(expression);                                            \
    }                                                                                                \
    break;
#define QN_CAST_WRAP(x, low, high) (x)
// All conversions from one type; to_i64 says how it becomes an integer, fit how that becomes a narrower one.
#define QN_FROM(name, in_type, to_i64, fit)                                                       \
    QN_INLINE void name(const struct qn_cast_args *a, const void *input, void *output, int32_t begin,\
                        int32_t end) {                                                            \
        switch (a->to) {                                                                          \
        case QN_E_F32: QN_LOOP(in_type, float, x)                                                 \
        case QN_E_F64: QN_LOOP(in_type, double, x)                                                \
        case QN_E_I64: QN_LOOP(in_type, int64_t, to_i64(x))                                       \
        case QN_E_I32: QN_LOOP(in_type, int32_t, fit(to_i64(x), INT32_MIN, INT32_MAX))            \
        case QN_E_I16: QN_LOOP(in_type, int16_t, fit(to_i64(x), INT16_MIN, INT16_MAX))            \
        case QN_E_I8: QN_LOOP(in_type, int8_t, fit(to_i64(x), INT8_MIN, INT8_MAX))                \
        case QN_E_U8: QN_LOOP(in_type, uint8_t, fit(to_i64(x), 0, UINT8_MAX))                     \
        case QN_E_I1: QN_LOOP(in_type, uint8_t, x != 0)                                           \
        }                                                                                         \
    }
QN_FROM(qn_cast_generic_from_f32, float, qn_cast_generic_i64_of_f64, qn_cast_generic_saturate)
QN_FROM(qn_cast_generic_from_f64, double, qn_cast_generic_i64_of_f64, qn_cast_generic_saturate)
QN_FROM(qn_cast_generic_from_i64, int64_t, qn_cast_generic_i64_of_i64, QN_CAST_WRAP)
QN_FROM(qn_cast_generic_from_i32, int32_t, qn_cast_generic_i64_of_i64, QN_CAST_WRAP)
QN_FROM(qn_cast_generic_from_i16, int16_t, qn_cast_generic_i64_of_i64, QN_CAST_WRAP)
QN_FROM(qn_cast_generic_from_i8, int8_t, qn_cast_generic_i64_of_i64, QN_CAST_WRAP)
QN_FROM(qn_cast_generic_from_u8, uint8_t, qn_cast_generic_i64_of_i64, QN_CAST_WRAP)
#undef QN_FROM
#undef QN_LOOP
#undef QN_CAST_WRAP

QN_KERNEL qn_cast_any_any__any__generic(const struct qn_cast_args *a, const void *input, void *output, int32_t begin,
                                        int32_t end) {
    switch (a->from) {
    case QN_E_F32: qn_cast_generic_from_f32(a, input, output, begin, end); break;
    case QN_E_F64: qn_cast_generic_from_f64(a, input, output, begin, end); break;
    case QN_E_I64: qn_cast_generic_from_i64(a, input, output, begin, end); break;
    case QN_E_I32: qn_cast_generic_from_i32(a, input, output, begin, end); break;
    case QN_E_I16: qn_cast_generic_from_i16(a, input, output, begin, end); break;
    case QN_E_I8: qn_cast_generic_from_i8(a, input, output, begin, end); break;
    case QN_E_U8:
    case QN_E_I1: qn_cast_generic_from_u8(a, input, output, begin, end); break;
    }
}
