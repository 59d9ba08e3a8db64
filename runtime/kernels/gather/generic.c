// Slices picked by index. Negative indices count from the end; one that is still out of range takes the nearest.
#include "runtime/kernel.h"

QN_INLINE int64_t qn_gather_generic_index(const struct qn_gather_args *a, const void *indices, int32_t i) {
    int64_t index = a->index_bytes == 8 ? ((const int64_t *)indices)[i] : ((const int32_t *)indices)[i];
    if (index < 0) index += a->size;
    if (index >= a->size) index = a->size - 1;
    return index < 0 ? 0 : index;
}

QN_KERNEL qn_gather_any_any__any__generic(const struct qn_gather_args *a, const void *input, const void *indices,
                                          void *output, int32_t begin, int32_t end) {
    for (int32_t r = begin; r < end; r++) {
        const int64_t index = qn_gather_generic_index(a, indices, r % a->count);
        const ptrdiff_t slice = (ptrdiff_t)(r / a->count) * a->size + (ptrdiff_t)index;
        const uint8_t *restrict in = (const uint8_t *)input + slice * a->inner_bytes;
        uint8_t *restrict out = (uint8_t *)output + (ptrdiff_t)r * a->inner_bytes;
        for (int32_t i = 0; i < a->inner_bytes; i++) out[i] = in[i];
    }
}
