// Addition, subtraction, multiplication and division with broadcasting. Runs are computed in blocks of a local array,
// so that the loops vectorize also where the output is one of the inputs.
#include "runtime/strided.h"

struct qn_binary_run { ptrdiff_t a, b, out; };

// One block; stride_a and stride_b are constants where it matters.
QN_INLINE void qn_binary_generic_block_s8(const struct qn_binary_args *args, const uint8_t *pa, ptrdiff_t stride_a,
                                          const uint8_t *pb, ptrdiff_t stride_b, uint8_t *restrict block, int32_t n) {
    const int32_t flip = args->flip, zp = args->out_zp, lo = args->lo, hi = args->hi;
    const float ma = args->a_multiplier, mb = args->b_multiplier;
#define QN_LOOP(expression)                                                      \
    for (int32_t i = 0; i < n; i++) {                                            \
        int32_t a = qn_load8(pa + i * stride_a, flip) - args->a_zp;              \
        int32_t b = qn_load8(pb + i * stride_b, flip) - args->b_zp;              \
        block[i] = (uint8_t)((expression) ^ flip);                               \
    }
    switch (args->op) {
    case QN_ADD: QN_LOOP(qn_add(a, ma, b, mb, zp, lo, hi)) break;
    case QN_SUB: QN_LOOP(qn_sub(a, ma, b, mb, zp, lo, hi)) break;
    case QN_MUL: QN_LOOP(qn_mul(a, b, ma, zp, lo, hi)) break;
    }
#undef QN_LOOP
}
QN_INLINE void qn_binary_generic_run_s8(const struct qn_binary_args *args, const uint8_t *pa, const uint8_t *pb,
                                        uint8_t *out, struct qn_binary_run s, int32_t size) {
    uint8_t block[QN_WALK_BLOCK];
    for (int32_t i = 0; i < size; i += QN_WALK_BLOCK) {
        int32_t n = qn_min(size - i, QN_WALK_BLOCK);
        if (s.a == 1 && s.b == 1) qn_binary_generic_block_s8(args, pa + i, 1, pb + i, 1, block, n);
        else qn_binary_generic_block_s8(args, pa + i * s.a, s.a, pb + i * s.b, s.b, block, n);
        for (int32_t j = 0; j < n; j++) out[(i + j) * s.out] = block[j];
    }
}

QN_KERNEL qn_binary_s8s8_s8__any__generic(const struct qn_binary_args *args, const void *a, const void *b, void *output,
                                          int32_t begin, int32_t end) {
    const struct qn_walk walk = qn_walk_new(args->shape, 3, args->a, args->b, args->out);
    const struct qn_binary_run s = {walk.stride[0][2], walk.stride[1][2], walk.stride[2][2]};
    for (int32_t r = begin; r < end; r++) {
        const uint8_t *pa = (const uint8_t *)a + qn_row_offset(args->shape, args->a, r);
        const uint8_t *pb = (const uint8_t *)b + qn_row_offset(args->shape, args->b, r);
        uint8_t *out = (uint8_t *)output + qn_row_offset(args->shape, args->out, r);
        for (int32_t i = 0; i < walk.size[0]; i++)
            for (int32_t j = 0; j < walk.size[1]; j++)
                qn_binary_generic_run_s8(args, pa + qn_run_offset(&walk, 0, i, j), pb + qn_run_offset(&walk, 1, i, j),
                                         out + qn_run_offset(&walk, 2, i, j), s, walk.size[2]);
    }
}

QN_INLINE void qn_binary_generic_block_f32(const struct qn_binary_args *args, const float *pa, ptrdiff_t stride_a,
                                           const float *pb, ptrdiff_t stride_b, float *restrict block, int32_t n) {
    const float min = args->min, max = args->max;
#define QN_LOOP(expression)                                                      \
    for (int32_t i = 0; i < n; i++) {                                            \
        float a = pa[i * stride_a], b = pb[i * stride_b], y = expression;        \
        y = y < min ? min : y;                                                   \
        block[i] = y > max ? max : y;                                            \
    }
    switch (args->op) {
    case QN_ADD: QN_LOOP(a + b) break;
    case QN_SUB: QN_LOOP(a - b) break;
    case QN_MUL: QN_LOOP(a * b) break;
    case QN_DIV: QN_LOOP(a / b) break;
    }
#undef QN_LOOP
}
QN_INLINE void qn_binary_generic_run_f32(const struct qn_binary_args *args, const float *pa, const float *pb, float *out,
                                         struct qn_binary_run s, int32_t size) {
    float block[QN_WALK_BLOCK];
    for (int32_t i = 0; i < size; i += QN_WALK_BLOCK) {
        int32_t n = qn_min(size - i, QN_WALK_BLOCK);
        if (s.a == 1 && s.b == 1) qn_binary_generic_block_f32(args, pa + i, 1, pb + i, 1, block, n);
        else qn_binary_generic_block_f32(args, pa + i * s.a, s.a, pb + i * s.b, s.b, block, n);
        for (int32_t j = 0; j < n; j++) out[(i + j) * s.out] = block[j];
    }
}

QN_KERNEL qn_binary_f32f32_f32__any__generic(const struct qn_binary_args *args, const void *a, const void *b,
                                             void *output, int32_t begin, int32_t end) {
    const struct qn_walk walk = qn_walk_new(args->shape, 3, args->a, args->b, args->out);
    const struct qn_binary_run s = {walk.stride[0][2], walk.stride[1][2], walk.stride[2][2]};
    for (int32_t r = begin; r < end; r++) {
        const float *pa = (const float *)a + qn_row_offset(args->shape, args->a, r);
        const float *pb = (const float *)b + qn_row_offset(args->shape, args->b, r);
        float *out = (float *)output + qn_row_offset(args->shape, args->out, r);
        for (int32_t i = 0; i < walk.size[0]; i++)
            for (int32_t j = 0; j < walk.size[1]; j++)
                qn_binary_generic_run_f32(args, pa + qn_run_offset(&walk, 0, i, j), pb + qn_run_offset(&walk, 1, i, j),
                                          out + qn_run_offset(&walk, 2, i, j), s, walk.size[2]);
    }
}
