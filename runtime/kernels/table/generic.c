// A function of 8 bits as a table of 256 bytes, elementwise, on stored bytes.
#include "runtime/strided.h"

QN_KERNEL qn_table_s8_s8__any__generic(const struct qn_table_args *a, const void *input, const void *table,
                                       void *output, int32_t begin, int32_t end) {
    const struct qn_walk walk = qn_walk_new(a->shape, 2, a->in, a->out, a->out);
    const ptrdiff_t in_stride = walk.stride[0][2], out_stride = walk.stride[1][2];
    const uint8_t *entry = table;
    for (int32_t r = begin; r < end; r++) {
        const uint8_t *in = (const uint8_t *)input + qn_row_offset(a->shape, a->in, r);
        uint8_t *out = (uint8_t *)output + qn_row_offset(a->shape, a->out, r);
        for (int32_t i = 0; i < walk.size[0]; i++)
            for (int32_t j = 0; j < walk.size[1]; j++) {
                const uint8_t *p = in + qn_run_offset(&walk, 0, i, j);
                uint8_t *q = out + qn_run_offset(&walk, 1, i, j);
                for (int32_t k = 0; k < walk.size[2]; k++) q[k * out_stride] = entry[p[k * in_stride]];
            }
    }
}
