// Tables of 256 entries, one for each channel of a pixel of bytes.
#include "runtime/kernel.h"

QN_INLINE ptrdiff_t qn_lookup_generic_channel(const struct qn_lookup_args *a, const void *channels, int32_t c) {
    int32_t channel = ((const int32_t *)channels)[c];
    if (channel < 0) channel += a->in_c;
    if (channel >= a->in_c) channel = a->in_c - 1;
    return channel < 0 ? 0 : channel;
}

// One channel of a row of pixels, of elements of a type.
#define QN_LOOKUP_ROW(type)                                                                                      \
    QN_INLINE void qn_lookup_generic_##type(const struct qn_lookup_args *a, const uint8_t *in, const void *entries, void *to) { \
        const type *entry = entries;                                                                             \
        type *out = to;                                                                                          \
        for (int32_t x = 0; x < a->out_w; x++) out[(ptrdiff_t)x * a->out_pixel] = entry[in[(ptrdiff_t)x * a->in_c]]; \
    }
QN_LOOKUP_ROW(uint8_t)
QN_LOOKUP_ROW(uint16_t)
QN_LOOKUP_ROW(uint32_t)
QN_LOOKUP_ROW(uint64_t)
#undef QN_LOOKUP_ROW

QN_KERNEL qn_lookup_any_any__any__generic(const struct qn_lookup_args *a, const void *input, const void *table,
                                          const void *channels, void *output, int32_t begin, int32_t end) {
    for (int32_t r = begin; r < end; r++) {
        const uint8_t *in = (const uint8_t *)input + (ptrdiff_t)r * a->out_w * a->in_c;
        const ptrdiff_t first = (ptrdiff_t)(r / a->out_h) * a->out_image + (ptrdiff_t)(r % a->out_h) * a->out_row;
        for (int32_t c = 0; c < a->out_c; c++) {
            const uint8_t *from = in + qn_lookup_generic_channel(a, channels, c);
            const uint8_t *entry = (const uint8_t *)table + (ptrdiff_t)c * 256 * a->elem_bytes;
            uint8_t *to = (uint8_t *)output + (first + c) * a->elem_bytes;
            if (a->elem_bytes == 1) qn_lookup_generic_uint8_t(a, from, entry, to);
            else if (a->elem_bytes == 2) qn_lookup_generic_uint16_t(a, from, entry, to);
            else if (a->elem_bytes == 4) qn_lookup_generic_uint32_t(a, from, entry, to);
            else qn_lookup_generic_uint64_t(a, from, entry, to);
        }
    }
}
