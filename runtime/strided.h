// For elementwise kernels: the inner three of five dimensions, merged into as few and as long runs as the strides
// allow. In: a family's shape and strides. Out: loops of size[0] x size[1] runs of size[2] elements.
#ifndef QN_STRIDED_H
#define QN_STRIDED_H
#include "runtime/kernel.h"

enum { QN_WALK_BUFFERS = 4, QN_WALK_BLOCK = 64 };
struct qn_walk {
    int32_t size[3];
    int32_t stride[QN_WALK_BUFFERS][3];
};

QN_INLINE void qn_walk_set(struct qn_walk *walk, int k, const int32_t *shape, const int32_t *const *strides, int count,
                           int dim) {
    walk->size[k] = shape[dim];
    for (int b = 0; b < count; b++) walk->stride[b][k] = strides[b][dim];
}

// Does dimension `dim` continue the run that dimension k of the walk is?
QN_INLINE int qn_walk_joins(const struct qn_walk *walk, int k, const int32_t *const *strides, int count, int dim) {
    int joins = 1;
    for (int b = 0; b < count; b++) joins &= strides[b][dim] == walk->stride[b][k] * walk->size[k];
    return joins;
}

QN_INLINE struct qn_walk qn_walk_new4(const int32_t *shape, int count, const int32_t *s0, const int32_t *s1,
                                      const int32_t *s2, const int32_t *s3) {
    struct qn_walk walk = {{1, 1, 1}, {{0, 0, 0}, {0, 0, 0}, {0, 0, 0}, {0, 0, 0}}};
    const int32_t *const strides[QN_WALK_BUFFERS] = {s0, s1, s2, s3};
    int k = 2;
    for (int dim = 4; dim >= 2; dim--) {
        if (shape[dim] == 1) continue;
        if (k == 2 && walk.size[2] == 1) qn_walk_set(&walk, 2, shape, strides, count, dim);
        else if (qn_walk_joins(&walk, k, strides, count, dim)) walk.size[k] *= shape[dim];
        else qn_walk_set(&walk, --k, shape, strides, count, dim);
    }
    return walk;
}

QN_INLINE struct qn_walk qn_walk_new(const int32_t *shape, int count, const int32_t *s0, const int32_t *s1,
                                     const int32_t *s2) {
    return qn_walk_new4(shape, count, s0, s1, s2, s2);
}

// Offset of row r: the first two dimensions.
QN_INLINE ptrdiff_t qn_row_offset(const int32_t *shape, const int32_t *strides, int32_t r) {
    return (ptrdiff_t)(r / shape[1]) * strides[0] + (ptrdiff_t)(r % shape[1]) * strides[1];
}
// Offset of run [i, j] in its row, for buffer b.
QN_INLINE ptrdiff_t qn_run_offset(const struct qn_walk *walk, int b, int32_t i, int32_t j) {
    return (ptrdiff_t)i * walk->stride[b][0] + (ptrdiff_t)j * walk->stride[b][1];
}

QN_INLINE int32_t qn_min(int32_t a, int32_t b) { return a < b ? a : b; }
QN_INLINE int32_t qn_load8(const uint8_t *p, int32_t flip) { return (int8_t)(*p ^ flip); }
#endif
