// Images resized as OpenCV's INTER_LINEAR and INTER_LINEAR_EXACT: two columns of two rows, in integers, rounded once.
#include "runtime/kernel.h"

QN_INLINE ptrdiff_t qn_bilinear_generic_at(int32_t index, int32_t size) { return index < 0 ? 0 : index >= size ? size - 1 : index; }

QN_INLINE uint32_t qn_bilinear_generic_round11(uint32_t weight, uint32_t row) {
    return (uint32_t)((int32_t)(weight * (uint32_t)((int32_t)row >> 4)) >> 16);
}

// One row of results. With constant channels and bits the compiler unrolls the inner loop.
QN_INLINE void qn_bilinear_generic_row(const struct qn_bilinear_args *a, const uint8_t *const in[2], const uint32_t *w, const int32_t *columns,
                                       const uint32_t *weights, uint8_t *out, int32_t channels, int32_t bits) {
    for (int32_t x = 0; x < a->out_w; x++) {
        const ptrdiff_t first = qn_bilinear_generic_at(columns[2 * x], a->in_w) * channels, second = qn_bilinear_generic_at(columns[2 * x + 1], a->in_w) * channels;
        const uint32_t near = weights[2 * x], far = weights[2 * x + 1];
        for (int32_t c = 0; c < channels; c++) {
            const uint32_t upper = near * in[0][first + c] + far * in[0][second + c], lower = near * in[1][first + c] + far * in[1][second + c];
            const uint32_t sum = bits == 11 ? qn_bilinear_generic_round11(w[0], upper) + qn_bilinear_generic_round11(w[1], lower) + 2
                                            : w[0] * upper + w[1] * lower + (1u << 15);
            out[(ptrdiff_t)x * channels + c] = (uint8_t)((int32_t)sum >> (bits == 11 ? 2 : 16));
        }
    }
}

QN_KERNEL qn_bilinear_u8_u8__any__generic(const struct qn_bilinear_args *a, const void *input, const void *rows, const void *row_weights,
                                          const void *columns, const void *column_weights, void *output, int32_t begin, int32_t end) {
    for (int32_t r = begin; r < end; r++) {
        const int32_t y = r % a->out_h, *at = (const int32_t *)rows + 2 * (ptrdiff_t)y;
        const ptrdiff_t row = (ptrdiff_t)a->in_w * a->channels;
        const uint8_t *image = (const uint8_t *)input + (ptrdiff_t)(r / a->out_h) * a->in_h * row;
        const uint8_t *const in[2] = {image + qn_bilinear_generic_at(at[0], a->in_h) * row, image + qn_bilinear_generic_at(at[1], a->in_h) * row};
        const uint32_t *w = (const uint32_t *)row_weights + 2 * (ptrdiff_t)y, *weights = column_weights;
        uint8_t *out = (uint8_t *)output + (ptrdiff_t)r * a->out_w * a->channels;
        if (a->channels == 3 && a->bits == 11) qn_bilinear_generic_row(a, in, w, columns, weights, out, 3, 11);
        else if (a->channels == 3) qn_bilinear_generic_row(a, in, w, columns, weights, out, 3, 8);
        else qn_bilinear_generic_row(a, in, w, columns, weights, out, a->channels, a->bits);
    }
}
