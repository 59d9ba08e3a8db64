// Functions of one number, elementwise, in blocks of a local array, so that the loops vectorize also in place. What is
// not met in every network is computed in double and rounded once.
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

// ---- tests of a float

QN_INLINE uint8_t qn_unary_generic_test(const struct qn_unary_args *a, float x) {
    if (a->op == QN_IS_NAN) return x != x;
    return (a->alpha != 0.0f && x < -3.402823466e38f) || (a->beta != 0.0f && x > 3.402823466e38f);
}

// Element by element: also right in place.
#define QN_UNARY_KERNEL(name, in_type, out_type, expression)                                                         \
    QN_KERNEL name(const struct qn_unary_args *a, const void *input, void *output, int32_t begin, int32_t end) {     \
        const struct qn_walk walk = qn_walk_new(a->shape, 2, a->in, a->out, a->out);                                 \
        const ptrdiff_t in_stride = walk.stride[0][2], out_stride = walk.stride[1][2];                               \
        for (int32_t r = begin; r < end; r++)                                                                        \
            for (int32_t i = 0; i < walk.size[0]; i++)                                                               \
                for (int32_t j = 0; j < walk.size[1]; j++) {                                                         \
                    const in_type *in = (const in_type *)input + qn_row_offset(a->shape, a->in, r) +                 \
                                        qn_run_offset(&walk, 0, i, j);                                               \
                    out_type *out = (out_type *)output + qn_row_offset(a->shape, a->out, r) +                        \
                                    qn_run_offset(&walk, 1, i, j);                                                   \
                    for (int32_t k = 0; k < walk.size[2]; k++) {                                                     \
                        const in_type x = in[k * in_stride];                                                         \
                        out[k * out_stride] = (out_type)(expression);                                                \
                    }                                                                                                \
                }                                                                                                    \
    }
QN_UNARY_KERNEL(qn_unary_f32_i1__any__generic, float, uint8_t, qn_unary_generic_test(a, x))

// ---- integers, in 64 bits that the store truncates

QN_INLINE uint64_t qn_unary_generic_integer(const struct qn_unary_args *a, uint64_t x, int negative) {
    switch (a->op) {
    case QN_ABS: return negative ? 0 - x : x;
    case QN_NEG: return 0 - x;
    case QN_SIGN: return negative ? ~(uint64_t)0 : x != 0;
    default: return ~x;
    }
}

#define QN_UNARY_INTEGER(name, type) \
    QN_UNARY_KERNEL(qn_unary_##name##_##name##__any__generic, type, type, qn_unary_generic_integer(a, (uint64_t)x, x < (type)1 && x != 0))
QN_UNARY_INTEGER(i64, int64_t)
QN_UNARY_INTEGER(i32, int32_t)
QN_UNARY_INTEGER(i16, int16_t)
QN_UNARY_INTEGER(i8, int8_t)
QN_UNARY_INTEGER(u64, uint64_t)
QN_UNARY_INTEGER(u32, uint32_t)
QN_UNARY_INTEGER(u16, uint16_t)
QN_UNARY_INTEGER(u8, uint8_t)
QN_UNARY_KERNEL(qn_unary_i1_i1__any__generic, uint8_t, uint8_t, x == 0)
#undef QN_UNARY_INTEGER
#undef QN_UNARY_KERNEL
