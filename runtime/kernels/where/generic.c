// One of two elements by a condition, with broadcasting.
#include "runtime/strided.h"

struct qn_where_run { const uint8_t *condition; const void *a, *b; void *out; };

#define QN_WHERE_RUN(type)                                                                                          \
    for (int32_t k = 0; k < n; k++)                                                                                 \
        ((type *)run->out)[k * walk->stride[3][2]] = run->condition[k * walk->stride[0][2]]                         \
                                                         ? ((const type *)run->a)[k * walk->stride[1][2]]           \
                                                         : ((const type *)run->b)[k * walk->stride[2][2]];
QN_INLINE void qn_where_generic_run(const struct qn_where_args *a, const struct qn_walk *walk,
                                    const struct qn_where_run *run) {
    const int32_t n = walk->size[2];
    switch (a->elem_bytes) {
    case 1: QN_WHERE_RUN(uint8_t) break;
    case 2: QN_WHERE_RUN(uint16_t) break;
    case 4: QN_WHERE_RUN(uint32_t) break;
    case 8: QN_WHERE_RUN(uint64_t) break;
    }
}
#undef QN_WHERE_RUN

QN_KERNEL qn_where_any_any__any__generic(const struct qn_where_args *a, const void *condition, const void *pa,
                                         const void *pb, void *output, int32_t begin, int32_t end) {
    const struct qn_walk walk = qn_walk_new4(a->shape, 4, a->condition, a->a, a->b, a->out);
    for (int32_t r = begin; r < end; r++)
        for (int32_t i = 0; i < walk.size[0]; i++)
            for (int32_t j = 0; j < walk.size[1]; j++) {
                const ptrdiff_t at_c = qn_row_offset(a->shape, a->condition, r) + qn_run_offset(&walk, 0, i, j);
                const ptrdiff_t at_a = qn_row_offset(a->shape, a->a, r) + qn_run_offset(&walk, 1, i, j);
                const ptrdiff_t at_b = qn_row_offset(a->shape, a->b, r) + qn_run_offset(&walk, 2, i, j);
                const ptrdiff_t at = qn_row_offset(a->shape, a->out, r) + qn_run_offset(&walk, 3, i, j);
                const struct qn_where_run run = {(const uint8_t *)condition + at_c, (const uint8_t *)pa + at_a * a->elem_bytes,
                                                 (const uint8_t *)pb + at_b * a->elem_bytes,
                                                 (uint8_t *)output + at * a->elem_bytes};
                qn_where_generic_run(a, &walk, &run);
            }
}
