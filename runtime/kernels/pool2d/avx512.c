// int8 pools for AVX-512, 64 channels of one pixel at a time. Averages are sums of 16 bits, so of up to 256 taps.
#include <immintrin.h>

#include "runtime/kernels/mean_avx512.h"
#include "runtime/kernels/pool_window.h"

// A pixel: `in` is the first channel of tap [0, 0], `taps` those inside the image.
struct pool2d_avx512 { const uint8_t *in; struct qn_pool_range v, h; float multiplier; };

QN_INLINE __m512i pool2d_avx512_load(const struct qn_pool2d_args *a, const struct pool2d_avx512 *p, int32_t y, int32_t x,
                                     int32_t c, __mmask64 mask) {
    return _mm512_maskz_loadu_epi8(mask, p->in + (ptrdiff_t)y * a->dilation_h * a->in_row + (ptrdiff_t)x * a->dilation_w * a->in_pixel + c);
}

QN_INLINE __m512i pool2d_avx512_max(const struct qn_pool2d_args *a, const struct pool2d_avx512 *p, int32_t c, __mmask64 mask) {
    __m512i best = _mm512_set1_epi8((char)(a->lo ^ a->flip));
    for (int32_t y = p->v.from; y < p->v.to; y++)
        for (int32_t x = p->h.from; x < p->h.to; x++) {
            const __m512i bytes = pool2d_avx512_load(a, p, y, x, c, mask);
            best = a->flip ? _mm512_max_epu8(best, bytes) : _mm512_max_epi8(best, bytes);
        }
    return best;
}

QN_INLINE __m512i pool2d_avx512_average(const struct qn_pool2d_args *a, const struct pool2d_avx512 *p, int32_t c, __mmask64 mask) {
    const struct mean_avx512 mean = {p->multiplier, a->in_zp, a->out_zp, a->lo, a->hi, a->flip};
    const int32_t taps = (p->v.to - p->v.from) * (p->h.to - p->h.from);
    __m512i low = _mm512_setzero_si512(), high = low;
    for (int32_t y = p->v.from; y < p->v.to; y++)
        for (int32_t x = p->h.from; x < p->h.to; x++)
            mean_avx512_add(&mean, pool2d_avx512_load(a, p, y, x, c, mask), &low, &high);
    return mean_avx512_bytes(&mean, low, high, taps);
}

QN_INLINE void pool2d_avx512_pixel(const struct qn_pool2d_args *a, const struct pool2d_avx512 *p, uint8_t *out) {
    QN_NO_UNROLL for (int32_t c = 0; c < a->in_c; c += 64) {
        const __mmask64 mask = a->in_c - c >= 64 ? ~(__mmask64)0 : ((uint64_t)1 << (a->in_c - c)) - 1;
        const __m512i bytes = a->mode == QN_POOL_MAX ? pool2d_avx512_max(a, p, c, mask) : pool2d_avx512_average(a, p, c, mask);
        _mm512_mask_storeu_epi8(out + c, mask, bytes);
    }
}

// A row of an image: pixels whose windows are inside have all taps, which compiled models unroll.
QN_INLINE void pool2d_avx512_row(const struct qn_pool2d_args *a, const uint8_t *image, const float *multipliers, uint8_t *out,
                                 int32_t y) {
    const int32_t y0 = y * a->stride_h - a->pad_top;
    const struct qn_pool_range v = qn_pool_range_new(y0, a->dilation_h, a->kernel_h, 0, a->in_h);
    QN_NO_UNROLL for (int32_t x = 0; x < a->out_w; x++, out += a->out_pixel) {
        const int32_t x0 = x * a->stride_w - a->pad_left;
        struct pool2d_avx512 p = {image + (ptrdiff_t)y0 * a->in_row + (ptrdiff_t)x0 * a->in_pixel, v, {0, a->kernel_w}, 0.0f};
        const int inside = v.to - v.from == a->kernel_h && x0 >= 0 && x0 + (a->kernel_w - 1) * a->dilation_w < a->in_w;
        if (!inside) p.h = qn_pool_range_new(x0, a->dilation_w, a->kernel_w, 0, a->in_w);
        if (a->mode == QN_POOL_AVERAGE) {
            const int32_t count = inside ? a->kernel_h * a->kernel_w : qn_pool_count(a, y0, x0, p.v, p.h);
            if (count > 0) p.multiplier = multipliers[count];
        }
        if (inside) p.v.from = 0, p.v.to = a->kernel_h;
        if (inside) pool2d_avx512_pixel(a, &p, out);
        else pool2d_avx512_pixel(a, &p, out);
    }
}

QN_KERNEL qn_pool2d_s8_s8__64__avx512(const struct qn_pool2d_args *a, const void *input, const void *multipliers,
                                      void *output, int32_t begin, int32_t end) {
    QN_NO_UNROLL for (int32_t r = begin; r < end; r++) {
        const ptrdiff_t image = r / a->out_h;
        const int32_t y = r % a->out_h;
        pool2d_avx512_row(a, (const uint8_t *)input + image * a->in_image, multipliers,
                          (uint8_t *)output + image * a->out_image + (ptrdiff_t)y * a->out_row, y);
    }
}
