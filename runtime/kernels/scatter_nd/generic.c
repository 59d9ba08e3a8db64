// Slices put, or combined with what is there, where tuples of indices say. Tuples may name one place more than once, so
// they are taken in order, by one thread.
#include "runtime/tuples.h"

// One slice: out = out <op> updates, on elements of a type; `wide` is what sums and products are taken in.
#define QN_SCATTER_LOOP(type, expression)                                                                             \
    for (int32_t i = 0; i < n; i++) {                                                                                 \
        const type x = ((const type *)out)[i], y = ((const type *)updates)[i];                                        \
        ((type *)out)[i] = (type)(expression);                                                                        \
    }                                                                                                                 \
    break;
#define QN_SCATTER_COMBINE(name, type, wide, is_nan)                                                                  \
    QN_INLINE void qn_scatter_nd_generic_combine_##name(int32_t op, int32_t n, const void *updates, void *out) {      \
        switch (op) {                                                                                                 \
        case QN_SCATTER_ADD: QN_SCATTER_LOOP(type, (wide)x + (wide)y)                                                 \
        case QN_SCATTER_MUL: QN_SCATTER_LOOP(type, (wide)x * (wide)y)                                                 \
        case QN_SCATTER_MIN: QN_SCATTER_LOOP(type, y < x || is_nan(y) ? y : x)                                        \
        case QN_SCATTER_MAX: QN_SCATTER_LOOP(type, y > x || is_nan(y) ? y : x)                                        \
        }                                                                                                             \
    }
#define QN_SCATTER_NAN(x) ((x) != (x))
#define QN_SCATTER_WHOLE(x) 0
QN_SCATTER_COMBINE(f32, float, float, QN_SCATTER_NAN)
QN_SCATTER_COMBINE(i64, int64_t, uint64_t, QN_SCATTER_WHOLE)
QN_SCATTER_COMBINE(i32, int32_t, uint64_t, QN_SCATTER_WHOLE)
QN_SCATTER_COMBINE(i16, int16_t, uint64_t, QN_SCATTER_WHOLE)
QN_SCATTER_COMBINE(i8, int8_t, uint64_t, QN_SCATTER_WHOLE)
QN_SCATTER_COMBINE(u64, uint64_t, uint64_t, QN_SCATTER_WHOLE)
QN_SCATTER_COMBINE(u32, uint32_t, uint64_t, QN_SCATTER_WHOLE)
QN_SCATTER_COMBINE(u16, uint16_t, uint64_t, QN_SCATTER_WHOLE)
QN_SCATTER_COMBINE(u8, uint8_t, uint64_t, QN_SCATTER_WHOLE)
#undef QN_SCATTER_NAN
#undef QN_SCATTER_WHOLE
#undef QN_SCATTER_COMBINE
#undef QN_SCATTER_LOOP

QN_INLINE void qn_scatter_nd_generic_set(uint8_t *restrict out, const uint8_t *restrict updates, ptrdiff_t bytes) {
    switch (bytes) {
    case 1: *out = *updates; break;
    case 2: __builtin_memcpy(out, updates, 2); break;
    case 4: __builtin_memcpy(out, updates, 4); break;
    case 8: __builtin_memcpy(out, updates, 8); break;
    default: __builtin_memcpy(out, updates, (size_t)bytes); break;
    }
}

// Every tuple in order; `combine` is what happens to its slice, of which `to` and `from` are the bytes.
#define QN_SCATTER_ND(name, combine)                                                                                  \
    QN_KERNEL qn_scatter_nd_##name##_##name##__any__generic(const struct qn_scatter_nd_args *a, const void *indices,  \
                                                            const void *updates, void *output, int32_t begin,         \
                                                            int32_t end) {                                            \
        const ptrdiff_t bytes = (ptrdiff_t)a->inner * a->elem_bytes;                                                  \
        const int32_t rows = begin < end ? a->shape[0] * a->shape[1] : 0;                                             \
        for (int32_t r = 0; r < rows; r++)                                                                            \
            for (int32_t i = 0; i < a->shape[2]; i++)                                                                 \
                for (int32_t j = 0; j < a->shape[3]; j++)                                                             \
                    for (int32_t k = 0; k < a->shape[4]; k++) {                                                       \
                        const ptrdiff_t t = qn_tuple_number(a->shape, r, i, j) + k;                                   \
                        const ptrdiff_t place = qn_tuple_base(a->shape, a->out, r, i, j) + (ptrdiff_t)k * a->out[4] + \
                                                qn_tuple_offset(indices, t * a->depth, a->index_bytes, a->depth,      \
                                                                a->dims, a->strides);                                 \
                        const uint8_t *from = (const uint8_t *)updates + t * bytes;                                   \
                        uint8_t *to = (uint8_t *)output + place * a->elem_bytes;                                      \
                        combine;                                                                                      \
                    }                                                                                                 \
    }
#define QN_SCATTER_NUMBERS(name) QN_SCATTER_ND(name, qn_scatter_nd_generic_combine_##name(a->op, a->inner, from, to))
QN_SCATTER_ND(any, qn_scatter_nd_generic_set(to, from, bytes))
QN_SCATTER_NUMBERS(f32)
QN_SCATTER_NUMBERS(i64)
QN_SCATTER_NUMBERS(i32)
QN_SCATTER_NUMBERS(i16)
QN_SCATTER_NUMBERS(i8)
QN_SCATTER_NUMBERS(u64)
QN_SCATTER_NUMBERS(u32)
QN_SCATTER_NUMBERS(u16)
QN_SCATTER_NUMBERS(u8)
#undef QN_SCATTER_NUMBERS
#undef QN_SCATTER_ND
