// A function of 8 or 16 bits as a table of all its values, elementwise, on what is stored.
#include "runtime/strided.h"

#define QN_TABLE(name, type)                                                                                      \
    QN_KERNEL qn_table_##name##__any__generic(const struct qn_table_args *a, const void *input, const void *table, \
                                              void *output, int32_t begin, int32_t end) {                         \
        const struct qn_walk walk = qn_walk_new(a->shape, 2, a->in, a->out, a->out);                              \
        const ptrdiff_t in_stride = walk.stride[0][2], out_stride = walk.stride[1][2];                            \
        const type *entry = table;                                                                                \
        for (int32_t r = begin; r < end; r++) {                                                                   \
            const type *in = (const type *)input + qn_row_offset(a->shape, a->in, r);                             \
            type *out = (type *)output + qn_row_offset(a->shape, a->out, r);                                      \
            for (int32_t i = 0; i < walk.size[0]; i++)                                                            \
                for (int32_t j = 0; j < walk.size[1]; j++) {                                                      \
                    const type *p = in + qn_run_offset(&walk, 0, i, j);                                           \
                    type *q = out + qn_run_offset(&walk, 1, i, j);                                                \
                    for (int32_t k = 0; k < walk.size[2]; k++) q[k * out_stride] = entry[p[k * in_stride]];       \
                }                                                                                                 \
        }                                                                                                         \
    }
QN_TABLE(s8_s8, uint8_t)
QN_TABLE(s16_s16, uint16_t)
#undef QN_TABLE
