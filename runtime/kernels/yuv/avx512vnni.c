// Colours of camera frames for AVX-512 with VBMI: 64 pixels of a row at a time, those of even columns apart from those of odd ones, since
// two neighbours have one chroma. A product of a byte and a factor of 23 bits is the sum of two products of 16 bits: x * (m & 127) +
// (x << 7) * (m >> 7). Bytes of chroma that belong to no pixel of the block are not read.
#include <immintrin.h>

#include "runtime/kernel.h"

struct yuv_vnni {
    __m512i luma, red_v, green_v, green_u, blue_u; // pairs of 16 bits
    __m512i black, at[3], at_blue[3];              // where 64 bytes of pixels lie among packed ones
};

QN_INLINE __m512i yuv_vnni_factor(int32_t m) { return _mm512_set1_epi32((int32_t)((uint32_t)(m & 127) | (uint32_t)(m >> 7) << 16)); }

// Byte j of three times 64 is channel j % 3 of pixel j / 3, which packing puts into 128-bit lane j / 48.
QN_INLINE void yuv_vnni_places(struct yuv_vnni *s) {
    uint8_t at[3][64], blue[3][64];
    QN_NO_UNROLL for (int32_t j = 0; j < 192; j++) {
        const int32_t pixel = j / 3, packed = pixel / 16 * 16 + pixel % 16 / 2 + (pixel & 1) * 8;
        at[j / 64][j % 64] = (uint8_t)(packed | (j % 3 == 1 ? 64 : 0));
        blue[j / 64][j % 64] = (uint8_t)(j % 3 == 2 ? packed | 64 : j % 64);
    }
    QN_UNROLL for (int32_t k = 0; k < 3; k++) {
        s->at[k] = _mm512_loadu_si512((const void *)at[k]);
        s->at_blue[k] = _mm512_loadu_si512((const void *)blue[k]);
    }
}

QN_INLINE void yuv_vnni_begin(const struct qn_yuv_args *a, struct yuv_vnni *s) {
    s->luma = yuv_vnni_factor(a->matrix[0]);
    s->red_v = yuv_vnni_factor(a->matrix[1]);
    s->green_v = yuv_vnni_factor(a->matrix[2]);
    s->green_u = yuv_vnni_factor(a->matrix[3]);
    s->blue_u = yuv_vnni_factor(a->matrix[4]);
    s->black = _mm512_set1_epi8((char)a->matrix[5]);
    yuv_vnni_places(s);
}

// 32 products in two vectors, those of words 0 to 3 of each lane first.
struct yuv_vnni_sums { __m512i low, high; };
QN_INLINE struct yuv_vnni_sums yuv_vnni_times(__m512i words, __m512i factor) {
    const __m512i shifted = _mm512_slli_epi16(words, 7);
    const struct yuv_vnni_sums sums = {_mm512_madd_epi16(_mm512_unpacklo_epi16(words, shifted), factor),
                                       _mm512_madd_epi16(_mm512_unpackhi_epi16(words, shifted), factor)};
    return sums;
}
QN_INLINE struct yuv_vnni_sums yuv_vnni_add(struct yuv_vnni_sums x, struct yuv_vnni_sums y) {
    const struct yuv_vnni_sums sums = {_mm512_add_epi32(x.low, y.low), _mm512_add_epi32(x.high, y.high)};
    return sums;
}
// Whole numbers in words: they are below 2^11.
QN_INLINE __m512i yuv_vnni_words(struct yuv_vnni_sums light, struct yuv_vnni_sums colour) {
    return _mm512_packs_epi32(_mm512_srai_epi32(_mm512_add_epi32(light.low, colour.low), 20),
                              _mm512_srai_epi32(_mm512_add_epi32(light.high, colour.high), 20));
}

// `left` bytes or more are there; fewer than 64 are wanted at the end of a row.
QN_INLINE __mmask64 yuv_vnni_mask(int32_t left) { return left >= 64 ? ~(__mmask64)0 : left <= 0 ? 0 : ((uint64_t)1 << left) - 1; }

struct yuv_vnni_chroma { __m512i u, v; }; // less 128, in words

// Of `pairs` pairs of pixels.
QN_INLINE struct yuv_vnni_chroma yuv_vnni_chroma_of(const struct qn_yuv_args *a, const uint8_t *chroma, int32_t pairs) {
    const __m512i middle = _mm512_set1_epi16(128);
    struct yuv_vnni_chroma c;
    if (a->chroma_step == 2) {
        const __m512i both = _mm512_maskz_loadu_epi8(yuv_vnni_mask(2 * pairs), chroma + (a->u < a->v ? a->u : a->v));
        const __m512i first = _mm512_and_si512(both, _mm512_set1_epi16(255)), second = _mm512_srli_epi16(both, 8);
        c.u = a->u < a->v ? first : second;
        c.v = a->u < a->v ? second : first;
    } else {
        const __mmask32 mask = (__mmask32)yuv_vnni_mask(pairs);
        c.u = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(mask, chroma + a->u));
        c.v = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(mask, chroma + a->v));
    }
    c.u = _mm512_sub_epi16(c.u, middle);
    c.v = _mm512_sub_epi16(c.v, middle);
    return c;
}

// The colours' 64 bytes each, of each lane the even columns first.
QN_INLINE void yuv_vnni_block(const struct yuv_vnni *s, __m512i luma, struct yuv_vnni_chroma c, __m512i rgb[3]) {
    const __m512i y = _mm512_subs_epu8(luma, s->black), half = _mm512_set1_epi32(1 << 19);
    const struct yuv_vnni_sums rounding = {half, half};
    const struct yuv_vnni_sums even = yuv_vnni_add(yuv_vnni_times(_mm512_and_si512(y, _mm512_set1_epi16(255)), s->luma), rounding);
    const struct yuv_vnni_sums odd = yuv_vnni_add(yuv_vnni_times(_mm512_srli_epi16(y, 8), s->luma), rounding);
    const struct yuv_vnni_sums colours[] = {yuv_vnni_times(c.v, s->red_v),
                                            yuv_vnni_add(yuv_vnni_times(c.v, s->green_v), yuv_vnni_times(c.u, s->green_u)),
                                            yuv_vnni_times(c.u, s->blue_u)};
    QN_UNROLL for (int32_t k = 0; k < 3; k++)
        rgb[k] = _mm512_packus_epi16(yuv_vnni_words(even, colours[k]), yuv_vnni_words(odd, colours[k]));
}

// Pixels of columns [x, x + 64) of the frame, x even, to 192 bytes; of those only what is among `count` bytes from `skipped` on.
QN_INLINE void yuv_vnni_store(const struct yuv_vnni *s, const __m512i rgb[3], uint8_t *out, int32_t skipped, int32_t count) {
    QN_UNROLL for (int32_t k = 0; k < 3; k++) {
        const __m512i red_green = _mm512_permutex2var_epi8(rgb[0], s->at[k], rgb[1]);
        const __m512i pixels = _mm512_permutex2var_epi8(red_green, s->at_blue[k], rgb[2]);
        const __mmask64 mask = yuv_vnni_mask(count - 64 * k) & ~(k ? (__mmask64)0 : yuv_vnni_mask(skipped));
        _mm512_mask_storeu_epi8(out + 64 * k, mask, pixels);
    }
}

// Begins a pixel further left where the columns begin with an odd one, and leaves that one out.
QN_INLINE void yuv_vnni_row(const struct qn_yuv_args *a, const struct yuv_vnni *s, const uint8_t *luma, const uint8_t *chroma, uint8_t *out) {
    const int32_t first = a->left & ~1, end = a->left + a->out_w;
    QN_NO_UNROLL for (int32_t x = first; x < end; x += 64) {
        const int32_t pixels = end - x, at = x >> 1;
        __m512i rgb[3];
        const struct yuv_vnni_chroma c = yuv_vnni_chroma_of(a, chroma + (ptrdiff_t)at * a->chroma_step, (pixels + 1) >> 1);
        yuv_vnni_block(s, _mm512_maskz_loadu_epi8(yuv_vnni_mask(pixels), luma + x), c, rgb);
        yuv_vnni_store(s, rgb, out + (ptrdiff_t)(x - a->left) * 3, x < a->left ? 3 : 0, pixels * 3);
    }
}

QN_KERNEL qn_yuv_u8_u8__64__avx512vnni(const struct qn_yuv_args *a, const void *frame, void *output, int32_t begin, int32_t end) {
    struct yuv_vnni s;
    yuv_vnni_begin(a, &s);
    QN_NO_UNROLL for (int32_t r = begin; r < end; r++) {
        const int32_t y = a->top + r % a->out_h;
        const uint8_t *image = (const uint8_t *)frame + (ptrdiff_t)(r / a->out_h) * a->frame_bytes;
        const uint8_t *chroma = image + (ptrdiff_t)(y >> a->chroma_shift) * a->chroma_row;
        yuv_vnni_row(a, &s, image + a->luma + (ptrdiff_t)y * a->luma_row, chroma, (uint8_t *)output + (ptrdiff_t)r * a->out_w * 3);
    }
}
