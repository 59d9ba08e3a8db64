// Transposing copies for AVX-512.
#include "runtime/kernels/transpose_avx512.h"

QN_INLINE void copy_avx512_store(const void *user, uint8_t *out, __m128i bytes, __mmask16 mask) {
    (void)user;
    _mm_mask_storeu_epi8(out, mask, bytes);
}

QN_KERNEL qn_copy_any_any__64x16__avx512(const struct qn_copy_args *a, const void *input, void *output, int32_t begin,
                                         int32_t end) {
    const struct transpose_avx512 t = {.shape = a->shape, .in = a->in, .out = a->out, .in_bytes = a->elem_bytes,
                                       .out_bytes = a->elem_bytes, .flip = a->flip};
    transpose_avx512(t, input, output, begin, end, copy_avx512_store);
}
