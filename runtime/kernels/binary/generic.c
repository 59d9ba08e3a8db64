// Functions of two numbers with broadcasting. Runs are computed in blocks of a local array, so that the loops vectorize
// also where the output is one of the inputs.
#include "runtime/float_math.h"
#include "runtime/strided.h"

struct qn_binary_run { ptrdiff_t a, b, out; };

// A sum in integers (fixed_* in families.def), which needs no doubles.
QN_INLINE int32_t qn_binary_generic_fixed(int32_t sum, int32_t shift, int32_t lo, int32_t hi) {
    const int32_t q = (sum >> shift) - 128;
    return q < lo ? lo : q > hi ? hi : q;
}
// One block; stride_a and stride_b are constants where it matters.
QN_INLINE void qn_binary_generic_block_s8(const struct qn_binary_args *args, const uint8_t *pa, ptrdiff_t stride_a,
                                          const uint8_t *pb, ptrdiff_t stride_b, uint8_t *restrict block, int32_t n) {
    const int32_t flip = args->flip, zp = args->out_zp, lo = args->lo, hi = args->hi;
    const float ma = args->a_multiplier, mb = args->b_multiplier, c = args->min;
    const int32_t start = args->fixed_start, fixed_a = args->fixed_a, fixed_b = args->fixed_b, shift = args->fixed_shift;
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
    case QN_MIN: QN_LOOP(qn_lesser(a, ma, b, mb, zp, lo, hi)) break;
    case QN_PRELU: QN_LOOP(qn_prelu(a, ma, b, mb, zp, lo, hi)) break;
    case QN_MAX: QN_LOOP(qn_larger(a, ma, b, mb, zp, lo, hi)) break;
    case QN_FUSED_ADD:
        if (!shift) QN_LOOP(qn_fused_add(a, ma, b, mb, c, zp, lo, hi))
        else QN_LOOP(qn_binary_generic_fixed(start + (a + args->a_zp + 128) * fixed_a + (b + args->b_zp + 128) * fixed_b, shift, lo, hi))
        break;
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

// ---- 16-bit activations

QN_INLINE void qn_binary_generic_block_s16(const struct qn_binary_args *args, const int16_t *pa, ptrdiff_t stride_a,
                                           const int16_t *pb, ptrdiff_t stride_b, int16_t *restrict block, int32_t n) {
    const int32_t zp = args->out_zp, lo = args->lo, hi = args->hi;
    const float ma = args->a_multiplier, mb = args->b_multiplier;
#define QN_LOOP(expression)                                                             \
    for (int32_t i = 0; i < n; i++) {                                                   \
        int32_t a = pa[i * stride_a] - args->a_zp, b = pb[i * stride_b] - args->b_zp;   \
        block[i] = (int16_t)(expression);                                               \
    }
    switch (args->op) {
    case QN_ADD: QN_LOOP(qn_add(a, ma, b, mb, zp, lo, hi)) break;
    case QN_SUB: QN_LOOP(qn_sub(a, ma, b, mb, zp, lo, hi)) break;
    case QN_MUL:
        if (args->a_zp == 0) QN_LOOP(qn_mul(a, b, ma, zp, lo, hi)) // within 32 bits: 2^15 times less than 2^16
        else QN_LOOP(qn_mul_wide(a, b, ma, zp, lo, hi))
        break;
    case QN_MIN: QN_LOOP(qn_lesser(a, ma, b, mb, zp, lo, hi)) break;
    case QN_PRELU: QN_LOOP(qn_prelu_wide(a, ma, b, mb, zp, lo, hi)) break;
    case QN_MAX: QN_LOOP(qn_larger(a, ma, b, mb, zp, lo, hi)) break;
    }
#undef QN_LOOP
}
QN_INLINE void qn_binary_generic_run_s16(const struct qn_binary_args *args, const int16_t *pa, const int16_t *pb,
                                         int16_t *out, struct qn_binary_run s, int32_t size) {
    int16_t block[QN_WALK_BLOCK];
    for (int32_t i = 0; i < size; i += QN_WALK_BLOCK) {
        int32_t n = qn_min(size - i, QN_WALK_BLOCK);
        if (s.a == 1 && s.b == 1) qn_binary_generic_block_s16(args, pa + i, 1, pb + i, 1, block, n);
        else qn_binary_generic_block_s16(args, pa + i * s.a, s.a, pb + i * s.b, s.b, block, n);
        for (int32_t j = 0; j < n; j++) out[(i + j) * s.out] = block[j];
    }
}

QN_KERNEL qn_binary_s16s16_s16__any__generic(const struct qn_binary_args *args, const void *a, const void *b, void *output,
                                             int32_t begin, int32_t end) {
    const struct qn_walk walk = qn_walk_new(args->shape, 3, args->a, args->b, args->out);
    const struct qn_binary_run s = {walk.stride[0][2], walk.stride[1][2], walk.stride[2][2]};
    for (int32_t r = begin; r < end; r++) {
        const int16_t *pa = (const int16_t *)a + qn_row_offset(args->shape, args->a, r);
        const int16_t *pb = (const int16_t *)b + qn_row_offset(args->shape, args->b, r);
        int16_t *out = (int16_t *)output + qn_row_offset(args->shape, args->out, r);
        for (int32_t i = 0; i < walk.size[0]; i++)
            for (int32_t j = 0; j < walk.size[1]; j++)
                qn_binary_generic_run_s16(args, pa + qn_run_offset(&walk, 0, i, j), pb + qn_run_offset(&walk, 1, i, j),
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
    case QN_MIN: QN_LOOP(a < b || a != a ? a : b) break;
    case QN_MAX: QN_LOOP(a > b || a != a ? a : b) break;
    case QN_POW: QN_LOOP((float)qn_pow_f64(a, b)) break;
    case QN_MOD: QN_LOOP(qn_mod(a, b)) break;
    case QN_FMOD: QN_LOOP(qn_fmod(a, b)) break;
    case QN_PRELU: QN_LOOP(a < 0.0f ? a * b : a) break;
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

// ---- element by element: comparisons, and plain integers, in 64 bits that the store truncates

#define QN_BINARY_KERNEL(name, in_type, out_type, expression)                                                        \
    QN_KERNEL name(const struct qn_binary_args *args, const void *pa, const void *pb, void *output, int32_t begin,   \
                   int32_t end) {                                                                                    \
        const struct qn_walk walk = qn_walk_new(args->shape, 3, args->a, args->b, args->out);                        \
        const struct qn_binary_run s = {walk.stride[0][2], walk.stride[1][2], walk.stride[2][2]};                    \
        for (int32_t r = begin; r < end; r++)                                                                        \
            for (int32_t i = 0; i < walk.size[0]; i++)                                                               \
                for (int32_t j = 0; j < walk.size[1]; j++) {                                                         \
                    const in_type *in_a = (const in_type *)pa + qn_row_offset(args->shape, args->a, r) +             \
                                          qn_run_offset(&walk, 0, i, j);                                             \
                    const in_type *in_b = (const in_type *)pb + qn_row_offset(args->shape, args->b, r) +             \
                                          qn_run_offset(&walk, 1, i, j);                                             \
                    out_type *out = (out_type *)output + qn_row_offset(args->shape, args->out, r) +                  \
                                    qn_run_offset(&walk, 2, i, j);                                                   \
                    for (int32_t k = 0; k < walk.size[2]; k++) {                                                     \
                        const in_type a = in_a[k * s.a], b = in_b[k * s.b];                                          \
                        out[k * s.out] = (out_type)(expression);                                                     \
                    }                                                                                                \
                }                                                                                                    \
    }
#define QN_COMPARED(a, b) (args->op == QN_EQUAL ? (a) == (b) : args->op == QN_LESS ? (a) < (b) : (a) <= (b))
QN_BINARY_KERNEL(qn_binary_f32f32_i1__any__generic, float, uint8_t, QN_COMPARED(a, b))
QN_BINARY_KERNEL(qn_binary_f64f64_i1__any__generic, double, uint8_t, QN_COMPARED(a, b))

QN_INLINE double qn_binary_generic_real(const struct qn_binary_args *args, double a, double b) {
    double y = a / b;
    switch (args->op) {
    case QN_ADD: y = a + b; break;
    case QN_SUB: y = a - b; break;
    case QN_MUL: y = a * b; break;
    case QN_MIN: y = a < b || a != a ? a : b; break;
    case QN_MAX: y = a > b || a != a ? a : b; break;
    }
    y = y < (double)args->min ? (double)args->min : y;
    return y > (double)args->max ? (double)args->max : y;
}
QN_BINARY_KERNEL(qn_binary_f64f64_f64__any__generic, double, double, qn_binary_generic_real(args, a, b))

QN_INLINE uint64_t qn_binary_generic_power(uint64_t a, uint64_t b, int is_signed) {
    uint64_t result = 1;
    if (is_signed && (int64_t)b < 0) return a == 1 ? 1 : a == ~(uint64_t)0 ? (b & 1 ? a : 1) : 0;
    for (; b; b >>= 1, a *= a)
        if (b & 1) result *= a;
    return result;
}
// Quotient and rest by 0 are 0, by -1 without overflow.
QN_INLINE int64_t qn_binary_generic_rest(int32_t op, int64_t a, int64_t b) {
    int64_t rest = b == 0 || b == -1 ? 0 : a % b;
    return rest && op == QN_MOD && (rest < 0) != (b < 0) ? rest + b : rest;
}
QN_INLINE uint64_t qn_binary_generic_signed(const struct qn_binary_args *args, int64_t a, int64_t b, int bits) {
    const uint64_t ua = (uint64_t)a, ub = (uint64_t)b;
    switch (args->op) {
    case QN_DIV: return b == 0 ? 0 : b == -1 ? 0 - ua : (uint64_t)(a / b);
    case QN_MIN: return a < b ? ua : ub;
    case QN_MAX: return a > b ? ua : ub;
    case QN_POW: return qn_binary_generic_power(ua, ub, 1);
    case QN_SHIFT_RIGHT: return (uint64_t)(a >> (ub < (uint64_t)bits ? b : 63));
    default: return (uint64_t)qn_binary_generic_rest(args->op, a, b);
    }
}
QN_INLINE uint64_t qn_binary_generic_unsigned(const struct qn_binary_args *args, uint64_t a, uint64_t b, int bits) {
    switch (args->op) {
    case QN_DIV: return b == 0 ? 0 : a / b;
    case QN_MIN: return a < b ? a : b;
    case QN_MAX: return a > b ? a : b;
    case QN_POW: return qn_binary_generic_power(a, b, 0);
    case QN_SHIFT_RIGHT: return b < (uint64_t)bits ? a >> b : 0;
    default: return b == 0 ? 0 : a % b;
    }
}
// What is the same with and without a sign.
QN_INLINE uint64_t qn_binary_generic_integer(const struct qn_binary_args *args, uint64_t a, uint64_t b, int bits,
                                             int is_signed) {
    switch (args->op) {
    case QN_ADD: return a + b;
    case QN_SUB: return a - b;
    case QN_MUL: return a * b;
    case QN_AND: return a & b;
    case QN_OR: return a | b;
    case QN_XOR: return a ^ b;
    case QN_SHIFT_LEFT: return b < (uint64_t)bits ? a << b : 0;
    }
    return is_signed ? qn_binary_generic_signed(args, (int64_t)a, (int64_t)b, bits)
                     : qn_binary_generic_unsigned(args, a, b, bits);
}

#define QN_BINARY_INTEGER(name, type, is_signed)                                                                     \
    QN_BINARY_KERNEL(qn_binary_##name##name##_##name##__any__generic, type, type,                                    \
                     qn_binary_generic_integer(args, (uint64_t)a, (uint64_t)b, 8 * (int)sizeof(type), is_signed))    \
    QN_BINARY_KERNEL(qn_binary_##name##name##_i1__any__generic, type, uint8_t, QN_COMPARED(a, b))
QN_BINARY_INTEGER(i64, int64_t, 1)
QN_BINARY_INTEGER(i32, int32_t, 1)
QN_BINARY_INTEGER(i16, int16_t, 1)
QN_BINARY_INTEGER(i8, int8_t, 1)
QN_BINARY_INTEGER(u64, uint64_t, 0)
QN_BINARY_INTEGER(u32, uint32_t, 0)
QN_BINARY_INTEGER(u16, uint16_t, 0)
QN_BINARY_INTEGER(u8, uint8_t, 0)
QN_BINARY_KERNEL(qn_binary_i1i1_i1__any__generic, uint8_t, uint8_t,
                 args->op >= QN_EQUAL ? (uint64_t)QN_COMPARED(a, b) : qn_binary_generic_integer(args, a, b, 8, 0))
#undef QN_BINARY_INTEGER
#undef QN_COMPARED
#undef QN_BINARY_KERNEL
