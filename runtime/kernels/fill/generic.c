// Fills a strided region with one element of 1, 2, 4 or 8 bytes.
#include "runtime/strided.h"

#define QN_FILL_RUN(type, value)                                          \
    do {                                                                  \
        const type v = (type)(value);                                     \
        type *p = (type *)output + at;                                    \
        if (stride == 1)                                                  \
            for (int32_t k = 0; k < n; k++) p[k] = v;                     \
        else                                                              \
            for (int32_t k = 0; k < n; k++) p[k * stride] = v;            \
    } while (0)

QN_INLINE void qn_fill_generic_run(const struct qn_fill_args *a, void *output, ptrdiff_t at, ptrdiff_t stride,
                                   int32_t n) {
    switch (a->elem_bytes) {
    case 1: QN_FILL_RUN(uint8_t, a->value_lo); break;
    case 2: QN_FILL_RUN(uint16_t, a->value_lo); break;
    case 4: QN_FILL_RUN(uint32_t, a->value_lo); break;
    case 8: QN_FILL_RUN(uint64_t, (uint64_t)(uint32_t)a->value_hi << 32 | (uint32_t)a->value_lo); break;
    }
}
#undef QN_FILL_RUN

QN_KERNEL qn_fill_any_any__any__generic(const struct qn_fill_args *a, void *output, int32_t begin, int32_t end) {
    const struct qn_walk walk = qn_walk_new(a->shape, 1, a->out, a->out, a->out);
    for (int32_t r = begin; r < end; r++)
        for (int32_t i = 0; i < walk.size[0]; i++)
            for (int32_t j = 0; j < walk.size[1]; j++)
                qn_fill_generic_run(a, output, qn_row_offset(a->shape, a->out, r) + qn_run_offset(&walk, 0, i, j),
                                    walk.stride[0][2], walk.size[2]);
}
