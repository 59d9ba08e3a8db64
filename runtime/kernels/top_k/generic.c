// Indices of the k largest or smallest elements along the middle of [outer, size, inner], in order. A row's output is a
// heap with the last of its k on top, which gives way to an element that comes before it; sorted in place in the end.
#include "runtime/kernel.h"

// One row: elements and results lie `inner` apart.
struct qn_top_k_row { const void *in; int64_t *out; ptrdiff_t inner; int32_t smallest; };

#define QN_TOP_K(name, type, is_nan)                                                                                  \
    /* Does element i come before element j? */                                                                       \
    QN_INLINE int qn_top_k_generic_before_##name(const struct qn_top_k_row *row, int64_t i, int64_t j) {              \
        const type x = ((const type *)row->in)[(ptrdiff_t)i * row->inner];                                            \
        const type y = ((const type *)row->in)[(ptrdiff_t)j * row->inner];                                            \
        const int more = x > y || (is_nan(x) && !is_nan(y)), less = x < y || (is_nan(y) && !is_nan(x));               \
        if (more || less) return row->smallest ? less : more;                                                         \
        return i < j;                                                                                                 \
    }                                                                                                                 \
    /* Moves what stands at `at` down past all that it comes before. */                                               \
    QN_INLINE void qn_top_k_generic_sink_##name(const struct qn_top_k_row *row, ptrdiff_t at, ptrdiff_t count) {      \
        int64_t *out = row->out;                                                                                      \
        const ptrdiff_t inner = row->inner;                                                                           \
        const int64_t index = out[at * inner];                                                                        \
        for (ptrdiff_t below = 2 * at + 1; below < count; below = 2 * at + 1) {                                       \
            if (below + 1 < count &&                                                                                  \
                qn_top_k_generic_before_##name(row, out[below * inner], out[(below + 1) * inner])) below++;           \
            if (!qn_top_k_generic_before_##name(row, index, out[below * inner])) break;                               \
            out[at * inner] = out[below * inner];                                                                     \
            at = below;                                                                                               \
        }                                                                                                             \
        out[at * inner] = index;                                                                                      \
    }                                                                                                                 \
    QN_INLINE void qn_top_k_generic_row_##name(const struct qn_top_k_row *row, ptrdiff_t k, ptrdiff_t size) {         \
        for (ptrdiff_t i = 0; i < k; i++) row->out[i * row->inner] = i;                                               \
        for (ptrdiff_t i = k / 2; i-- > 0;) qn_top_k_generic_sink_##name(row, i, k);                                  \
        for (ptrdiff_t i = k; i < size && k > 0; i++) {                                                               \
            if (!qn_top_k_generic_before_##name(row, i, row->out[0])) continue;                                       \
            row->out[0] = i;                                                                                          \
            qn_top_k_generic_sink_##name(row, 0, k);                                                                  \
        }                                                                                                             \
        for (ptrdiff_t last = k - 1; last > 0; last--) {                                                              \
            const int64_t index = row->out[0];                                                                        \
            row->out[0] = row->out[last * row->inner];                                                                \
            row->out[last * row->inner] = index;                                                                      \
            qn_top_k_generic_sink_##name(row, 0, last);                                                               \
        }                                                                                                             \
    }                                                                                                                 \
    QN_KERNEL qn_top_k_##name##_i64__any__generic(const struct qn_top_k_args *a, const void *input, void *output,     \
                                                  int32_t begin, int32_t end) {                                       \
        for (int32_t r = begin; r < end; r++) {                                                                       \
            const ptrdiff_t outer = r / a->inner, inner = r % a->inner;                                               \
            const struct qn_top_k_row row = {(const type *)input + outer * a->size * a->inner + inner,                \
                                             (int64_t *)output + outer * a->k * a->inner + inner, a->inner,           \
                                             a->smallest};                                                            \
            qn_top_k_generic_row_##name(&row, a->k, a->size);                                                         \
        }                                                                                                             \
    }
#define QN_TOP_K_NAN(x) ((x) != (x))
#define QN_TOP_K_WHOLE(x) 0
QN_TOP_K(f32, float, QN_TOP_K_NAN)
QN_TOP_K(i64, int64_t, QN_TOP_K_WHOLE)
QN_TOP_K(i32, int32_t, QN_TOP_K_WHOLE)
QN_TOP_K(i16, int16_t, QN_TOP_K_WHOLE)
QN_TOP_K(i8, int8_t, QN_TOP_K_WHOLE)
QN_TOP_K(u64, uint64_t, QN_TOP_K_WHOLE)
QN_TOP_K(u32, uint32_t, QN_TOP_K_WHOLE)
QN_TOP_K(u16, uint16_t, QN_TOP_K_WHOLE)
QN_TOP_K(u8, uint8_t, QN_TOP_K_WHOLE)
#undef QN_TOP_K_NAN
#undef QN_TOP_K_WHOLE
#undef QN_TOP_K
