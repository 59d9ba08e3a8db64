// For kernels that find slices by tuples of indices: where the slice of a tuple begins.
#ifndef QN_TUPLES_H
#define QN_TUPLES_H
#include "runtime/strided.h"

// The tuple from index number `at` on: one index for each of `depth` dimensions of so many elements and such strides.
// Negative indices count from the end; one that is still out of range takes the nearest, so nothing outside is touched.
QN_INLINE ptrdiff_t qn_tuple_offset(const void *indices, ptrdiff_t at, int32_t index_bytes, int32_t depth,
                                    const int32_t *dims, const int32_t *strides) {
    ptrdiff_t offset = 0;
    for (int32_t d = 0; d < depth; d++) {
        int64_t index = index_bytes == 8 ? ((const int64_t *)indices)[at + d] : ((const int32_t *)indices)[at + d];
        if (index < 0) index += dims[d];
        if (index >= dims[d]) index = dims[d] - 1;
        if (index < 0) index = 0;
        offset += (ptrdiff_t)index * strides[d];
    }
    return offset;
}

// Where the tuples of one row of five dimensions begin to count: run [i, j] of it, its first one.
QN_INLINE ptrdiff_t qn_tuple_base(const int32_t *shape, const int32_t *strides, int32_t r, int32_t i, int32_t j) {
    return qn_row_offset(shape, strides, r) + (ptrdiff_t)i * strides[2] + (ptrdiff_t)j * strides[3];
}
// And the number of that tuple among all.
QN_INLINE ptrdiff_t qn_tuple_number(const int32_t *shape, int32_t r, int32_t i, int32_t j) {
    return (((ptrdiff_t)r * shape[2] + i) * shape[3] + j) * shape[4];
}
#endif
