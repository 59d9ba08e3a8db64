// Where a batch of a matrix product starts.
#ifndef QN_MATMUL_BATCH_H
#define QN_MATMUL_BATCH_H
#include "runtime/kernel.h"

QN_INLINE ptrdiff_t qn_matmul_batch(const struct qn_matmul_args *a, const int32_t *strides, int32_t index) {
    ptrdiff_t offset = 0;
    for (int d = 3; d >= 0; d--) {
        offset += (ptrdiff_t)(index % a->batch[d]) * strides[d];
        index /= a->batch[d];
    }
    return offset;
}
#endif
