// The index of the largest or smallest element along the middle of [outer, size, inner].
#include "runtime/kernel.h"

#define QN_ARG(name, type)                                                                                           \
    QN_KERNEL qn_arg_##name##_i64__any__generic(const struct qn_arg_args *a, const void *input, void *output,        \
                                                int32_t begin, int32_t end) {                                        \
        for (int32_t r = begin; r < end; r++) {                                                                      \
            const type *in = (const type *)input + (ptrdiff_t)(r / a->inner) * a->size * a->inner + r % a->inner;    \
            type best = in[0];                                                                                       \
            int32_t at = 0;                                                                                          \
            for (int32_t i = 1; i < a->size; i++) {                                                                  \
                const type x = in[(ptrdiff_t)i * a->inner];                                                          \
                const int beyond = a->op == QN_ARG_MAX ? x > best : x < best;                                        \
                const int below = a->op == QN_ARG_MAX ? best > x : best < x;                                         \
                if (beyond || (a->last && !below)) best = x, at = i;                                                 \
            }                                                                                                        \
            ((int64_t *)output)[r] = at;                                                                             \
        }                                                                                                            \
    }
QN_ARG(f32, float)
QN_ARG(i64, int64_t)
QN_ARG(i32, int32_t)
QN_ARG(i8, int8_t)
QN_ARG(u8, uint8_t)
#undef QN_ARG
