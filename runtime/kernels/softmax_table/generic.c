// Softmax of 8-bit integers along the middle dimension of [outer, size, inner], by a table of exponentials.
#include "runtime/kernel.h"
#include "runtime/rounding.h"

QN_INLINE int32_t softmax_table_units(const uint8_t *table, int32_t d) {
    return table[d] | table[256 + d] << 8 | table[512 + d] << 16;
}

QN_KERNEL qn_softmax_table_s8_s8__any__generic(const struct qn_softmax_table_args *a, const void *input, const void *table,
                                               void *output, int32_t begin, int32_t end) {
    const uint8_t order = (uint8_t)(a->flip ^ 0x80); // stored bytes XOR this: unsigned, in the order of their values
    for (int32_t r = begin; r < end; r++) {
        const ptrdiff_t at = (ptrdiff_t)(r / a->inner) * a->size * a->inner + r % a->inner;
        const uint8_t *in = (const uint8_t *)input + at;
        uint8_t *out = (uint8_t *)output + at;
        int32_t max = 0;
        int64_t sum = 0;
        for (int32_t i = 0; i < a->size; i++) {
            const int32_t x = in[(ptrdiff_t)i * a->inner] ^ order;
            max = max > x ? max : x;
        }
        for (int32_t i = 0; i < a->size; i++) sum += softmax_table_units(table, max - (in[(ptrdiff_t)i * a->inner] ^ order));
        const float multiplier = a->multiplier / (float)sum;
        for (int32_t i = 0; i < a->size; i++) {
            const int32_t units = softmax_table_units(table, max - (in[(ptrdiff_t)i * a->inner] ^ order));
            out[(ptrdiff_t)i * a->inner] = (uint8_t)(qn_requantize(units, multiplier, a->out_zp, a->lo, a->hi) ^ a->flip);
        }
    }
}
