// Functions of one float, elementwise, in blocks of a local array, so that the loops vectorize also in place.
#include "runtime/float_math.h"
#include "runtime/strided.h"

QN_INLINE void qn_unary_generic_block(const struct qn_unary_args *a, const float *in, ptrdiff_t stride,
                                      float *restrict block, int32_t n) {
    const float alpha = a->alpha, beta = a->beta;
#define QN_LOOP(expression)              \
    for (int32_t i = 0; i < n; i++) {    \
        float x = in[i * stride];        \
        block[i] = expression;           \
    }
    switch (a->op) {
#define UNARY(code, op, value) \
    case QN_##code: QN_LOOP(value) break;
#include "runtime/unary.def"
#undef UNARY
    }
#undef QN_LOOP
}

QN_INLINE void qn_unary_generic_run(const struct qn_unary_args *a, const float *in, ptrdiff_t in_stride, float *out,
                                    ptrdiff_t out_stride, int32_t size) {
    float block[QN_WALK_BLOCK];
    for (int32_t i = 0; i < size; i += QN_WALK_BLOCK) {
        int32_t n = qn_min(size - i, QN_WALK_BLOCK);
        if (in_stride == 1) qn_unary_generic_block(a, in + i, 1, block, n);
        else qn_unary_generic_block(a, in + i * in_stride, in_stride, block, n);
        for (int32_t j = 0; j < n; j++) out[(i + j) * out_stride] = block[j];
    }
}

QN_KERNEL qn_unary_f32_f32__any__generic(const struct qn_unary_args *a, const void *input, void *output, int32_t begin,
                                         int32_t end) {
    const struct qn_walk walk = qn_walk_new(a->shape, 2, a->in, a->out, a->out);
    for (int32_t r = begin; r < end; r++) {
        const float *in = (const float *)input + qn_row_offset(a->shape, a->in, r);
        float *out = (float *)output + qn_row_offset(a->shape, a->out, r);
        for (int32_t i = 0; i < walk.size[0]; i++)
            for (int32_t j = 0; j < walk.size[1]; j++)
                qn_unary_generic_run(a, in + qn_run_offset(&walk, 0, i, j), walk.stride[0][2],
                                     out + qn_run_offset(&walk, 1, i, j), walk.stride[1][2], walk.size[2]);
    }
}
