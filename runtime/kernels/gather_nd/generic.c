// Slices picked by tuples of indices.
#include "runtime/tuples.h"

// Sizes of one element are single loads and stores.
QN_INLINE void qn_gather_nd_generic_copy(uint8_t *restrict out, const uint8_t *restrict in, ptrdiff_t bytes) {
    switch (bytes) {
    case 1: *out = *in; break;
    case 2: __builtin_memcpy(out, in, 2); break;
    case 4: __builtin_memcpy(out, in, 4); break;
    case 8: __builtin_memcpy(out, in, 8); break;
    default: __builtin_memcpy(out, in, (size_t)bytes); break;
    }
}

QN_KERNEL qn_gather_nd_any_any__any__generic(const struct qn_gather_nd_args *a, const void *input, const void *indices,
                                             void *output, int32_t begin, int32_t end) {
    const ptrdiff_t bytes = (ptrdiff_t)a->inner * a->elem_bytes;
    for (int32_t r = begin; r < end; r++)
        for (int32_t i = 0; i < a->shape[2]; i++)
            for (int32_t j = 0; j < a->shape[3]; j++) {
                const ptrdiff_t base = qn_tuple_base(a->shape, a->in, r, i, j), first = qn_tuple_number(a->shape, r, i, j);
                for (int32_t k = 0; k < a->shape[4]; k++) {
                    const ptrdiff_t from = base + (ptrdiff_t)k * a->in[4] +
                                           qn_tuple_offset(indices, (first + k) * a->depth, a->index_bytes, a->depth, a->dims, a->strides);
                    qn_gather_nd_generic_copy((uint8_t *)output + (first + k) * bytes, (const uint8_t *)input + from * a->elem_bytes, bytes);
                }
            }
}
