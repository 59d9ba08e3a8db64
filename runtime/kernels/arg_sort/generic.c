// Positions of tuples in their order, by a heap in the output itself. NaN is the largest number; equal tuples keep
// their order.
#include "runtime/kernel.h"

#define QN_ARG_SORT(name, type)                                                                                       \
    QN_INLINE int qn_arg_sort_generic_after_##name(const struct qn_arg_sort_args *a, const type *in, int64_t i,       \
                                                   int64_t j) {                                                       \
        for (int32_t k = 0; k < a->width; k++) {                                                                      \
            const type x = in[i * a->width + k], y = in[j * a->width + k];                                            \
            if (x == y || (x != x && y != y)) continue;                                                               \
            return (x != x || x > y) != (a->descending != 0);                                                         \
        }                                                                                                             \
        return i > j;                                                                                                 \
    }                                                                                                                 \
    QN_INLINE void qn_arg_sort_generic_sift_##name(const struct qn_arg_sort_args *a, const type *in, int64_t *heap,   \
                                                   ptrdiff_t root, ptrdiff_t count) {                                 \
        const int64_t value = heap[root];                                                                             \
        for (ptrdiff_t child = 2 * root + 1; child < count; root = child, child = 2 * root + 1) {                     \
            if (child + 1 < count && qn_arg_sort_generic_after_##name(a, in, heap[child + 1], heap[child])) child++;  \
            if (!qn_arg_sort_generic_after_##name(a, in, heap[child], value)) break;                                  \
            heap[root] = heap[child];                                                                                 \
        }                                                                                                             \
        heap[root] = value;                                                                                           \
    }                                                                                                                 \
    QN_KERNEL qn_arg_sort_##name##_i64__any__generic(const struct qn_arg_sort_args *a, const void *input,             \
                                                     void *output, int32_t begin, int32_t end) {                      \
        for (int32_t r = begin; r < end; r++) {                                                                       \
            const type *in = (const type *)input + (ptrdiff_t)r * a->count * a->width;                                \
            int64_t *out = (int64_t *)output + (ptrdiff_t)r * a->count;                                               \
            for (int32_t i = 0; i < a->count; i++) out[i] = i;                                                        \
            for (ptrdiff_t root = a->count / 2 - 1; root >= 0; root--)                                                \
                qn_arg_sort_generic_sift_##name(a, in, out, root, a->count);                                          \
            for (ptrdiff_t last = a->count - 1; last > 0; last--) {                                                   \
                const int64_t largest = out[0];                                                                       \
                out[0] = out[last];                                                                                   \
                out[last] = largest;                                                                                  \
                qn_arg_sort_generic_sift_##name(a, in, out, 0, last);                                                 \
            }                                                                                                         \
        }                                                                                                             \
    }
QN_ARG_SORT(f32, float)
QN_ARG_SORT(i64, int64_t)
QN_ARG_SORT(i32, int32_t)
QN_ARG_SORT(i16, int16_t)
QN_ARG_SORT(i8, int8_t)
QN_ARG_SORT(u64, uint64_t)
QN_ARG_SORT(u32, uint32_t)
QN_ARG_SORT(u16, uint16_t)
QN_ARG_SORT(u8, uint8_t)
QN_ARG_SORT(i1, uint8_t)
#undef QN_ARG_SORT
