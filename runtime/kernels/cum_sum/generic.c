// Sums or products along the middle of [outer, size, inner], each element read before it is written: also right in place.
#include "runtime/kernel.h"

#define QN_CUM_SUM(name, type, wide)                                                                                 \
    QN_KERNEL qn_cum_sum_##name##_##name##__any__generic(const struct qn_cum_sum_args *a, const void *input,         \
                                                         void *output, int32_t begin, int32_t end) {                 \
        for (int32_t r = begin; r < end; r++) {                                                                      \
            const ptrdiff_t first = (ptrdiff_t)(r / a->inner) * a->size * a->inner + r % a->inner;                   \
            wide sum = a->product != 0;                                                                              \
            for (int32_t i = 0; i < a->size; i++) {                                                                  \
                const ptrdiff_t at = first + (ptrdiff_t)(a->reverse ? a->size - 1 - i : i) * a->inner;               \
                const wide before = sum;                                                                             \
                const wide x = (wide)((const type *)input)[at];                                                      \
                sum = a->product ? sum * x : sum + x;                                                                \
                ((type *)output)[at] = (type)(a->exclusive ? before : sum);                                          \
            }                                                                                                        \
        }                                                                                                            \
    }
QN_CUM_SUM(f32, float, double)
QN_CUM_SUM(f64, double, double)
QN_CUM_SUM(i64, int64_t, uint64_t)
QN_CUM_SUM(i32, int32_t, uint32_t)
QN_CUM_SUM(u64, uint64_t, uint64_t)
QN_CUM_SUM(u32, uint32_t, uint32_t)
#undef QN_CUM_SUM
