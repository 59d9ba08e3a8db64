// Fills the border of image buffers: rows above and below, and what stands left and right of each row.
#include "runtime/kernel.h"

QN_INLINE void qn_halo_generic_run(const struct qn_halo_args *a, void *output, ptrdiff_t at, int32_t n) {
    switch (a->elem_bytes) {
    case 1: for (int32_t i = 0; i < n; i++) ((uint8_t *)output)[at + i] = (uint8_t)a->value_lo; break;
    case 2: for (int32_t i = 0; i < n; i++) ((uint16_t *)output)[at + i] = (uint16_t)a->value_lo; break;
    case 4: for (int32_t i = 0; i < n; i++) ((uint32_t *)output)[at + i] = (uint32_t)a->value_lo; break;
    }
}

QN_KERNEL qn_halo_any_any__any__generic(const struct qn_halo_args *a, void *output, int32_t begin, int32_t end) {
    const int32_t left = a->left * a->c, right = a->right * a->c, width = a->w * a->c;
    for (int32_t image = begin; image < end; image++)
        for (int32_t y = -a->top; y < a->h + a->bottom; y++) {
            ptrdiff_t at = (ptrdiff_t)image * a->out_image + (ptrdiff_t)y * a->out_row;
            if (y < 0 || y >= a->h) {
                qn_halo_generic_run(a, output, at - left, left + width + right);
            } else {
                qn_halo_generic_run(a, output, at - left, left);
                qn_halo_generic_run(a, output, at + width, right);
            }
        }
}
