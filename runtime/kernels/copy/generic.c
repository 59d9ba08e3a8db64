// Strided copies: transposes, slices, concatenation, change of storage. Dense runs become block copies; where the input
// runs along the other dimension than the output, the plane is walked in tiles of 16 x 16, or, when the dense dimension
// of the output is short (channels of an image), along the input.
#include "runtime/strided.h"

enum { QN_COPY_TILE = 16 };

// One plane of n[0] x n[1] elements of a type; flip is 0 but for bytes.
#define QN_COPY_PLANE(type)                                                                                            \
    QN_INLINE void qn_copy_generic_##type(const type *restrict in, type *restrict out, const struct qn_walk *w,        \
                                          type flip) {                                                                 \
        const int32_t rows = w->size[1], columns = w->size[2];                                                         \
        const ptrdiff_t ir = w->stride[0][1], ic = w->stride[0][2], or = w->stride[1][1], oc = w->stride[1][2];        \
        if (ic == 1 && oc == 1 && flip == 0) {                                                                         \
            for (int32_t i = 0; i < rows; i++)                                                                         \
                __builtin_memcpy(out + i * or, in + i * ir, (size_t)columns * sizeof(type));                           \
        } else if (ic == 1 && oc == 1) {                                                                               \
            for (int32_t i = 0; i < rows; i++)                                                                         \
                for (int32_t j = 0; j < columns; j++) out[i * or + j] = (type)(in[i * ir + j] ^ flip);                 \
        } else if (ir == 1 && columns < QN_COPY_TILE) {                                                                \
            for (int32_t i0 = 0; i0 < rows; i0 += QN_WALK_BLOCK)                                                       \
                for (int32_t j = 0; j < columns; j++)                                                                  \
                    for (int32_t i = i0; i < rows && i < i0 + QN_WALK_BLOCK; i++)                                      \
                        out[i * or + j * oc] = (type)(in[i + j * ic] ^ flip);                                          \
        } else {                                                                                                       \
            for (int32_t i0 = 0; i0 < rows; i0 += QN_COPY_TILE)                                                        \
                for (int32_t j0 = 0; j0 < columns; j0 += QN_COPY_TILE)                                                 \
                    for (int32_t i = i0; i < rows && i < i0 + QN_COPY_TILE; i++)                                       \
                        for (int32_t j = j0; j < columns && j < j0 + QN_COPY_TILE; j++)                                \
                            out[i * or + j * oc] = (type)(in[i * ir + j * ic] ^ flip);                                 \
        }                                                                                                              \
    }
QN_COPY_PLANE(uint8_t)
QN_COPY_PLANE(uint16_t)
QN_COPY_PLANE(uint32_t)
QN_COPY_PLANE(uint64_t)
#undef QN_COPY_PLANE

QN_INLINE void qn_copy_generic_plane(const struct qn_copy_args *a, const void *in, ptrdiff_t from, void *out,
                                     ptrdiff_t to, const struct qn_walk *walk) {
    switch (a->elem_bytes) {
    case 1: qn_copy_generic_uint8_t((const uint8_t *)in + from, (uint8_t *)out + to, walk, (uint8_t)a->flip); break;
    case 2: qn_copy_generic_uint16_t((const uint16_t *)in + from, (uint16_t *)out + to, walk, 0); break;
    case 4: qn_copy_generic_uint32_t((const uint32_t *)in + from, (uint32_t *)out + to, walk, 0); break;
    case 8: qn_copy_generic_uint64_t((const uint64_t *)in + from, (uint64_t *)out + to, walk, 0); break;
    }
}

QN_KERNEL qn_copy_any_any__any__generic(const struct qn_copy_args *a, const void *input, void *output, int32_t begin,
                                        int32_t end) {
    const struct qn_walk walk = qn_walk_new(a->shape, 2, a->in, a->out, a->out);
    for (int32_t r = begin; r < end; r++) {
        const ptrdiff_t from = qn_row_offset(a->shape, a->in, r), to = qn_row_offset(a->shape, a->out, r);
        for (int32_t i = 0; i < walk.size[0]; i++)
            qn_copy_generic_plane(a, input, from + qn_run_offset(&walk, 0, i, 0), output,
                                  to + qn_run_offset(&walk, 1, i, 0), &walk);
    }
}
