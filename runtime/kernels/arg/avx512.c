// The index of the largest or smallest of contiguous bytes: what it is, then where it stands.
#include "runtime/kernels/byte_rows_avx512.h"

// Bytes XOR `order` are unsigned, the one looked for the largest.
QN_INLINE int32_t arg_avx512_first(const uint8_t *in, int32_t size, __m512i order, __m512i value) {
    QN_NO_UNROLL for (int32_t i = 0; i < size; i += 64) {
        const __mmask64 mask = byte_rows_mask(size - i);
        const __mmask64 found = _mm512_mask_cmpeq_epi8_mask(mask, byte_rows_load(in + i, mask, order), value);
        if (found) return i + __builtin_ctzll(found);
    }
    return 0;
}

QN_INLINE int32_t arg_avx512_last(const uint8_t *in, int32_t size, __m512i order, __m512i value) {
    QN_NO_UNROLL for (int32_t i = (size - 1) / 64 * 64; i >= 0; i -= 64) {
        const __mmask64 mask = byte_rows_mask(size - i);
        const __mmask64 found = _mm512_mask_cmpeq_epi8_mask(mask, byte_rows_load(in + i, mask, order), value);
        if (found) return i + 63 - __builtin_clzll(found);
    }
    return 0;
}

QN_INLINE void arg_avx512_rows(const struct qn_arg_args *a, const uint8_t *input, int64_t *output, int32_t begin, int32_t end) {
    const __m512i order = _mm512_set1_epi8((char)(a->op == QN_ARG_MAX ? 0 : 0xFF));
    QN_NO_UNROLL for (int32_t r = begin; r < end; r++) {
        const uint8_t *in = input + (ptrdiff_t)r * a->size;
        const __m512i value = _mm512_set1_epi8((char)byte_rows_largest(in, a->size, order));
        output[r] = a->last ? arg_avx512_last(in, a->size, order, value) : arg_avx512_first(in, a->size, order, value);
    }
}

QN_KERNEL qn_arg_u8_i64__64__avx512(const struct qn_arg_args *a, const void *input, void *output, int32_t begin, int32_t end) {
    arg_avx512_rows(a, input, output, begin, end);
}
