// Between f32 and 8 or 16 bits, and from one such scale to another, with any strides. Runs follow the input's dense
// dimension (an NCHW image quantized to NHWC is read along W), and are computed in blocks of a local array.
#include "runtime/strided.h"

// The walk with its last two dimensions exchanged where the input is dense along the other.
QN_INLINE struct qn_walk qn_quantize_generic_walk(const struct qn_quantize_args *a) {
    struct qn_walk walk = qn_walk_new(a->shape, 2, a->in, a->out, a->out);
    if (walk.stride[0][2] == 1 || walk.stride[0][1] != 1 || walk.size[1] < walk.size[2]) return walk;
    int32_t size = walk.size[1];
    walk.size[1] = walk.size[2];
    walk.size[2] = size;
    for (int b = 0; b < 2; b++) {
        int32_t stride = walk.stride[b][1];
        walk.stride[b][1] = walk.stride[b][2];
        walk.stride[b][2] = stride;
    }
    return walk;
}

// A run of `size` elements, by blocks; `expression` gives the result for element x of type in_type.
#define QN_RUN(name, in_type, out_type, expression)                                                              \
    QN_INLINE void name##_block(const struct qn_quantize_args *a, const in_type *in, ptrdiff_t stride,           \
                                out_type *restrict block, int32_t n) {                                           \
        for (int32_t i = 0; i < n; i++) {                                                                        \
            const in_type x = in[i * stride];                                                                    \
            block[i] = (out_type)(expression);                                                                   \
        }                                                                                                        \
    }                                                                                                            \
    QN_INLINE void name##_run(const struct qn_quantize_args *a, const in_type *in, ptrdiff_t in_stride,          \
                              out_type *out, ptrdiff_t out_stride, int32_t size) {                               \
        out_type block[QN_WALK_BLOCK];                                                                           \
        for (int32_t i = 0; i < size; i += QN_WALK_BLOCK) {                                                      \
            int32_t n = qn_min(size - i, QN_WALK_BLOCK);                                                         \
            if (in_stride == 1) name##_block(a, in + i, 1, block, n);                                            \
            else name##_block(a, in + i * in_stride, in_stride, block, n);                                       \
            if (out_stride == 1)                                                                                 \
                for (int32_t j = 0; j < n; j++) out[i + j] = block[j];                                           \
            else                                                                                                 \
                for (int32_t j = 0; j < n; j++) out[(i + j) * out_stride] = block[j];                            \
        }                                                                                                        \
    }                                                                                                            \
    QN_INLINE void name##_rows(const struct qn_quantize_args *a, const in_type *input, out_type *output,         \
                               int32_t begin, int32_t end) {                                                     \
        const struct qn_walk walk = qn_quantize_generic_walk(a);                                                 \
        for (int32_t r = begin; r < end; r++) {                                                                  \
            const in_type *in = input + qn_row_offset(a->shape, a->in, r);                                       \
            out_type *out = output + qn_row_offset(a->shape, a->out, r);                                         \
            for (int32_t i = 0; i < walk.size[0]; i++)                                                           \
                for (int32_t j = 0; j < walk.size[1]; j++)                                                       \
                    name##_run(a, in + qn_run_offset(&walk, 0, i, j), walk.stride[0][2],                         \
                               out + qn_run_offset(&walk, 1, i, j), walk.stride[1][2], walk.size[2]);            \
        }                                                                                                        \
    }

QN_RUN(qn_quantize_generic_f32_s8, float, uint8_t, qn_quantize(x, a->scale, a->out_zp, a->lo, a->hi) ^ a->flip)
QN_RUN(qn_quantize_generic_s8_f32, uint8_t, float, qn_dequantize((int8_t)(x ^ a->flip), a->in_zp, a->scale))
QN_RUN(qn_quantize_generic_s8_s8, uint8_t, uint8_t,
       qn_requantize((int8_t)(x ^ a->flip) - a->in_zp, a->scale, a->out_zp, a->lo, a->hi) ^ a->flip)
QN_RUN(qn_quantize_generic_f32_s16, float, int16_t, qn_quantize(x, a->scale, a->out_zp, a->lo, a->hi))
QN_RUN(qn_quantize_generic_s16_f32, int16_t, float, qn_dequantize(x, a->in_zp, a->scale))
QN_RUN(qn_quantize_generic_s16_s16, int16_t, int16_t, qn_requantize(x - a->in_zp, a->scale, a->out_zp, a->lo, a->hi))
QN_RUN(qn_quantize_generic_s16_s8, int16_t, uint8_t, qn_requantize(x - a->in_zp, a->scale, a->out_zp, a->lo, a->hi) ^ a->flip)
QN_RUN(qn_quantize_generic_s8_s16, uint8_t, int16_t,
       qn_requantize((int8_t)(x ^ a->flip) - a->in_zp, a->scale, a->out_zp, a->lo, a->hi))
#undef QN_RUN

QN_KERNEL qn_quantize_f32_s8__any__generic(const struct qn_quantize_args *a, const void *input, void *output,
                                           int32_t begin, int32_t end) {
    qn_quantize_generic_f32_s8_rows(a, input, output, begin, end);
}
QN_KERNEL qn_quantize_s8_f32__any__generic(const struct qn_quantize_args *a, const void *input, void *output,
                                           int32_t begin, int32_t end) {
    qn_quantize_generic_s8_f32_rows(a, input, output, begin, end);
}
QN_KERNEL qn_quantize_s8_s8__any__generic(const struct qn_quantize_args *a, const void *input, void *output,
                                          int32_t begin, int32_t end) {
    qn_quantize_generic_s8_s8_rows(a, input, output, begin, end);
}
QN_KERNEL qn_quantize_f32_s16__any__generic(const struct qn_quantize_args *a, const void *input, void *output,
                                            int32_t begin, int32_t end) {
    qn_quantize_generic_f32_s16_rows(a, input, output, begin, end);
}
QN_KERNEL qn_quantize_s16_f32__any__generic(const struct qn_quantize_args *a, const void *input, void *output,
                                            int32_t begin, int32_t end) {
    qn_quantize_generic_s16_f32_rows(a, input, output, begin, end);
}
QN_KERNEL qn_quantize_s16_s16__any__generic(const struct qn_quantize_args *a, const void *input, void *output,
                                            int32_t begin, int32_t end) {
    qn_quantize_generic_s16_s16_rows(a, input, output, begin, end);
}
QN_KERNEL qn_quantize_s16_s8__any__generic(const struct qn_quantize_args *a, const void *input, void *output,
                                           int32_t begin, int32_t end) {
    qn_quantize_generic_s16_s8_rows(a, input, output, begin, end);
}
QN_KERNEL qn_quantize_s8_s16__any__generic(const struct qn_quantize_args *a, const void *input, void *output,
                                           int32_t begin, int32_t end) {
    qn_quantize_generic_s8_s16_rows(a, input, output, begin, end);
}
