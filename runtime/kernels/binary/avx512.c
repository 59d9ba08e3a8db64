// Functions of two numbers for AVX-512, of int8 and of f32.
#include "runtime/kernels/binary_avx512.h"
#include "runtime/kernels/binary_runs.h"

QN_KERNEL qn_binary_s8s8_s8__64__avx512(const struct qn_binary_args *args, const void *a, const void *b, void *output,
                                        int32_t begin, int32_t end) {
    binary_runs(args, a, b, output, begin, end, 1, binary_avx512_block);
}

// As the generic kernel: NaN wins extremes and passes the clamp.
QN_INLINE __m512 binary_f32_avx512_value(const struct qn_binary_args *args, __m512 a, __m512 b) {
    switch (args->op) {
    case QN_ADD: return _mm512_add_ps(a, b);
    case QN_SUB: return _mm512_sub_ps(a, b);
    case QN_MUL: return _mm512_mul_ps(a, b);
    case QN_DIV: return _mm512_div_ps(a, b);
    case QN_MIN: return _mm512_mask_mov_ps(_mm512_min_ps(a, b), _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), a);
    case QN_MAX: return _mm512_mask_mov_ps(_mm512_max_ps(a, b), _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), a);
    }
    return _mm512_mask_mul_ps(a, _mm512_cmp_ps_mask(a, _mm512_setzero_ps(), _CMP_LT_OQ), a, b); // QN_PRELU
}
QN_INLINE __m512i binary_f32_avx512_block(const struct qn_binary_args *args, __m512i a, __m512i b) {
    __m512 y = binary_f32_avx512_value(args, _mm512_castsi512_ps(a), _mm512_castsi512_ps(b));
    y = _mm512_max_ps(_mm512_set1_ps(args->min), y);
    return _mm512_castps_si512(_mm512_min_ps(_mm512_set1_ps(args->max), y));
}

QN_KERNEL qn_binary_f32f32_f32__16__avx512(const struct qn_binary_args *args, const void *a, const void *b, void *output,
                                           int32_t begin, int32_t end) {
    binary_runs(args, a, b, output, begin, end, 4, binary_f32_avx512_block);
}
