// Conversion between element types. Float to integer truncates, saturates, and makes NaN 0; integer to narrower integer
// drops the high bits; to i1: is it other than 0. To a float is rounded once, to nearest even.
#include "runtime/kernel.h"
#include "runtime/small_float.h"

// ---- floats to integers; 2^63 and 2^64 are the first doubles above every int64_t and uint64_t

QN_INLINE int64_t qn_cast_generic_i64(double x) {
    if (x != x) return 0;
    if (x >= 9223372036854775808.0) return INT64_MAX;
    if (x <= -9223372036854775808.0) return INT64_MIN;
    return (int64_t)x;
}
QN_INLINE uint64_t qn_cast_generic_u64(double x) {
    if (!(x > 0.0)) return 0;
    if (x >= 18446744073709551616.0) return UINT64_MAX;
    return x < 9223372036854775808.0 ? (uint64_t)(int64_t)x : (uint64_t)(int64_t)(x - 9223372036854775808.0) ^ 1ull << 63;
}
QN_INLINE int64_t qn_cast_generic_saturate(double x, int64_t low, int64_t high) {
    const int64_t whole = qn_cast_generic_i64(x), above = whole < low ? low : whole;
    return above > high ? high : above;
}

// ---- integers to doubles that round to the same 16-bit float: of what lies beyond 53 bits, only whether it is 0 matters

QN_INLINE double qn_cast_generic_sticky_u64(uint64_t x) {
    return x >> 53 ? (double)(int64_t)(x >> 11 | ((x & 2047) != 0)) * 2048.0 : (double)(int64_t)x;
}
QN_INLINE double qn_cast_generic_sticky_i64(int64_t x) {
    return x < 0 ? -qn_cast_generic_sticky_u64(0 - (uint64_t)x) : qn_cast_generic_sticky_u64((uint64_t)x);
}

// All conversions from elements stored as `stored`, which `load` makes a `type`; f64, i64, u64 and fit say how that becomes
// a double for rounding to 16 bits, an integer of 64 bits, and a narrower one.
#define QN_LOOP(stored, type, load, out_type, expression)                                            \
    for (int32_t i = begin; i < end; i++) {                                                          \
        const type x = load(((const stored *)input)[i]);                                             \
        ((out_type *)output)[i] = (out_type)(expression);                                            \
    }                                                                                                \
    break;
#define QN_FROM(name, stored, type, load, f64, i64, u64, fit)                                        \
    QN_INLINE void name(const struct qn_cast_args *a, const void *input, void *output, int32_t begin,\
                        int32_t end) {                                                               \
        switch (a->to) {                                                                             \
        case QN_E_F32: QN_LOOP(stored, type, load, float, x)                                         \
        case QN_E_F64: QN_LOOP(stored, type, load, double, x)                                        \
        case QN_E_F16: QN_LOOP(stored, type, load, uint16_t, qn_f16_of_f64(f64(x)))                  \
        case QN_E_BF16: QN_LOOP(stored, type, load, uint16_t, qn_bf16_of_f64(f64(x)))                 \
        case QN_E_I64: QN_LOOP(stored, type, load, int64_t, i64(x))                                  \
        case QN_E_I32: QN_LOOP(stored, type, load, int32_t, fit(x, INT32_MIN, INT32_MAX))            \
        case QN_E_I16: QN_LOOP(stored, type, load, int16_t, fit(x, INT16_MIN, INT16_MAX))            \
        case QN_E_I8: QN_LOOP(stored, type, load, int8_t, fit(x, INT8_MIN, INT8_MAX))               \
        case QN_E_U64: QN_LOOP(stored, type, load, uint64_t, u64(x))                                 \
        case QN_E_U32: QN_LOOP(stored, type, load, uint32_t, fit(x, 0, UINT32_MAX))                  \
        case QN_E_U16: QN_LOOP(stored, type, load, uint16_t, fit(x, 0, UINT16_MAX))                  \
        case QN_E_U8: QN_LOOP(stored, type, load, uint8_t, fit(x, 0, UINT8_MAX))                    \
        case QN_E_I1: QN_LOOP(stored, type, load, uint8_t, x != 0)                                  \
        }                                                                                            \
    }
#define QN_AS_IS(x) (x)
#define QN_WRAP(x, low, high) (x)
#define QN_FROM_FLOAT(name, stored, type, load) \
    QN_FROM(name, stored, type, load, (double), qn_cast_generic_i64, qn_cast_generic_u64, qn_cast_generic_saturate)
#define QN_FROM_INTEGER(name, type, f64) QN_FROM(name, type, type, QN_AS_IS, f64, (int64_t), (uint64_t), QN_WRAP)
QN_FROM_FLOAT(qn_cast_generic_from_f32, float, float, QN_AS_IS)
QN_FROM_FLOAT(qn_cast_generic_from_f64, double, double, QN_AS_IS)
QN_FROM_FLOAT(qn_cast_generic_from_f16, uint16_t, float, qn_f32_of_f16)
QN_FROM_FLOAT(qn_cast_generic_from_bf16, uint16_t, float, qn_f32_of_bf16)
QN_FROM_INTEGER(qn_cast_generic_from_i64, int64_t, qn_cast_generic_sticky_i64)
QN_FROM_INTEGER(qn_cast_generic_from_i32, int32_t, (double))
QN_FROM_INTEGER(qn_cast_generic_from_i16, int16_t, (double))
QN_FROM_INTEGER(qn_cast_generic_from_i8, int8_t, (double))
QN_FROM_INTEGER(qn_cast_generic_from_u64, uint64_t, qn_cast_generic_sticky_u64)
QN_FROM_INTEGER(qn_cast_generic_from_u32, uint32_t, (double))
QN_FROM_INTEGER(qn_cast_generic_from_u16, uint16_t, (double))
QN_FROM_INTEGER(qn_cast_generic_from_u8, uint8_t, (double))
#undef QN_FROM_INTEGER
#undef QN_FROM_FLOAT
#undef QN_FROM
#undef QN_LOOP
#undef QN_AS_IS
#undef QN_WRAP

QN_KERNEL qn_cast_any_any__any__generic(const struct qn_cast_args *a, const void *input, void *output, int32_t begin,
                                        int32_t end) {
    switch (a->from) {
    case QN_E_F32: qn_cast_generic_from_f32(a, input, output, begin, end); break;
    case QN_E_F64: qn_cast_generic_from_f64(a, input, output, begin, end); break;
    case QN_E_F16: qn_cast_generic_from_f16(a, input, output, begin, end); break;
    case QN_E_BF16: qn_cast_generic_from_bf16(a, input, output, begin, end); break;
    case QN_E_I64: qn_cast_generic_from_i64(a, input, output, begin, end); break;
    case QN_E_I32: qn_cast_generic_from_i32(a, input, output, begin, end); break;
    case QN_E_I16: qn_cast_generic_from_i16(a, input, output, begin, end); break;
    case QN_E_I8: qn_cast_generic_from_i8(a, input, output, begin, end); break;
    case QN_E_U64: qn_cast_generic_from_u64(a, input, output, begin, end); break;
    case QN_E_U32: qn_cast_generic_from_u32(a, input, output, begin, end); break;
    case QN_E_U16: qn_cast_generic_from_u16(a, input, output, begin, end); break;
    case QN_E_U8:
    case QN_E_I1: qn_cast_generic_from_u8(a, input, output, begin, end); break;
    }
}
