// int8 means and sums over up to 256 elements for AVX-512, of 64 neighbours at a time.
#include "runtime/kernels/mean_avx512.h"

QN_INLINE __m512i reduce_mean_avx512_block(const struct qn_reduce_mean_args *a, const struct mean_avx512 *mean, const uint8_t *in,
                                           __mmask64 mask) {
    __m512i low = _mm512_setzero_si512(), high = low;
    QN_NO_UNROLL for (int32_t r = 0; r < a->size_r; r++)
        QN_NO_UNROLL for (int32_t s = 0; s < a->size_s; s++) {
            const uint8_t *p = in + (ptrdiff_t)r * a->in_r + (ptrdiff_t)s * a->in_s;
            mean_avx512_add(mean, _mm512_maskz_loadu_epi8(mask, p), &low, &high);
        }
    return mean_avx512_bytes(mean, low, high, a->size_r * a->size_s);
}

QN_KERNEL qn_reduce_mean_s8_s8__64__avx512(const struct qn_reduce_mean_args *a, const void *input, void *output, int32_t begin,
                                           int32_t end) {
    const float multiplier = (float)((double)a->in_scale / ((double)a->out_scale * (double)a->count));
    const struct mean_avx512 mean = {multiplier, a->in_zp, a->out_zp, a->lo, a->hi, a->flip};
    QN_NO_UNROLL for (int32_t o = begin; o < end; o++) {
        const uint8_t *in = (const uint8_t *)input + (ptrdiff_t)o * a->in_outer;
        uint8_t *out = (uint8_t *)output + (ptrdiff_t)o * a->out_outer;
        QN_NO_UNROLL for (int32_t c = 0; c < a->inner; c += 64) {
            const __mmask64 mask = a->inner - c >= 64 ? ~(__mmask64)0 : ((uint64_t)1 << (a->inner - c)) - 1;
            _mm512_mask_storeu_epi8(out + c, mask, reduce_mean_avx512_block(a, &mean, in + c, mask));
        }
    }
}
