// Positions of the elements that are true, then `rest`.
#include "runtime/kernel.h"

QN_KERNEL qn_true_indices_i1_i64__any__generic(const struct qn_true_indices_args *a, const void *input, void *output,
                                               int32_t begin, int32_t end) {
    const uint8_t *in = (const uint8_t *)input;
    int64_t *out = (int64_t *)output;
    int32_t found = 0;
    if (begin >= end) return;
    for (int32_t i = 0; i < a->count; i++)
        if (in[i]) out[found++] = i;
    while (found < a->count) out[found++] = a->rest;
}
