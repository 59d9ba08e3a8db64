// Colours of camera frames for AVX-512 with VBMI and VNNI: 64 pixels of a row at a time, those of even columns apart from those of odd ones,
// since two neighbours have one chroma; two rows that share theirs are made together. A product of a byte and a factor of 23 bits is
// the sum of two products of 16 bits: x * (m & 127) + (x << 7) * (m >> 7). Bytes that belong to no pixel of the block are not read.
#include <immintrin.h>

#include "runtime/kernel.h"

struct yuv_vnni {
    __m512i luma, red_v, green_v, green_u, blue_u; // pairs of 16 bits
    __m512i black, at[3];                          // where the pixel of each of 3 * 64 bytes lies among packed ones
};

QN_INLINE __m512i yuv_vnni_factor(int32_t m) { return _mm512_set1_epi32((int32_t)((uint32_t)(m & 127) | (uint32_t)(m >> 7) << 16)); }

// Byte j of three times 64 is channel j % 3 of pixel j / 3, which packing puts into 128-bit lane j / 48.
#define YUV_VNNI_AT(j) (char)((j) / 48 * 16 + (j) / 3 % 16 / 2 + ((j) / 3 & 1) * 8)
#define YUV_VNNI_AT4(j) YUV_VNNI_AT((j) + 3), YUV_VNNI_AT((j) + 2), YUV_VNNI_AT((j) + 1), YUV_VNNI_AT(j)
#define YUV_VNNI_AT16(j) YUV_VNNI_AT4((j) + 12), YUV_VNNI_AT4((j) + 8), YUV_VNNI_AT4((j) + 4), YUV_VNNI_AT4(j)
#define YUV_VNNI_AT64(j) _mm512_set_epi8(YUV_VNNI_AT16((j) + 48), YUV_VNNI_AT16((j) + 32), YUV_VNNI_AT16((j) + 16), YUV_VNNI_AT16(j))

QN_INLINE void yuv_vnni_begin(const struct qn_yuv_args *a, struct yuv_vnni *s) {
    s->luma = yuv_vnni_factor(a->matrix[0]);
    s->red_v = yuv_vnni_factor(a->matrix[1]);
    s->green_v = yuv_vnni_factor(a->matrix[2]);
    s->green_u = yuv_vnni_factor(a->matrix[3]);
    s->blue_u = yuv_vnni_factor(a->matrix[4]);
    s->black = _mm512_set1_epi8((char)a->matrix[5]);
    s->at[0] = YUV_VNNI_AT64(0);
    s->at[1] = YUV_VNNI_AT64(64);
    s->at[2] = YUV_VNNI_AT64(128);
}
#undef YUV_VNNI_AT64
#undef YUV_VNNI_AT16
#undef YUV_VNNI_AT4
#undef YUV_VNNI_AT

// 32 sums in two vectors, those of words 0 to 3 of each lane first.
struct yuv_vnni_sums { __m512i low, high; };
QN_INLINE struct yuv_vnni_sums yuv_vnni_pairs(__m512i words) {
    const __m512i shifted = _mm512_slli_epi16(words, 7);
    const struct yuv_vnni_sums pairs = {_mm512_unpacklo_epi16(words, shifted), _mm512_unpackhi_epi16(words, shifted)};
    return pairs;
}
QN_INLINE struct yuv_vnni_sums yuv_vnni_add(struct yuv_vnni_sums sum, struct yuv_vnni_sums pairs, __m512i factor) {
    const struct yuv_vnni_sums sums = {_mm512_dpwssd_epi32(sum.low, pairs.low, factor), _mm512_dpwssd_epi32(sum.high, pairs.high, factor)};
    return sums;
}
// Whole numbers in words: they are below 2^11.
QN_INLINE __m512i yuv_vnni_words(struct yuv_vnni_sums sum) {
    return _mm512_packs_epi32(_mm512_srai_epi32(sum.low, 20), _mm512_srai_epi32(sum.high, 20));
}

// `left` bytes or more are there; fewer than 64 are wanted at the end of a row.
QN_INLINE __mmask64 yuv_vnni_mask(int32_t left) { return left >= 64 ? ~(__mmask64)0 : left <= 0 ? 0 : ((uint64_t)1 << left) - 1; }

// Words' low bytes of two vectors, in order.
QN_INLINE __m512i yuv_vnni_bytes(__m512i first, __m512i second) {
    return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), _mm512_packus_epi16(first, second));
}

// Bytes of even places (`odd`: of odd ones) of as many as two vectors from `bytes` on, `count` of them.
QN_INLINE __m512i yuv_vnni_every_other(const uint8_t *bytes, int32_t count, int odd) {
    const __m512i low = _mm512_set1_epi16(255);
    const __m512i a = _mm512_maskz_loadu_epi8(yuv_vnni_mask(count), bytes), b = _mm512_maskz_loadu_epi8(yuv_vnni_mask(count - 64), bytes + 64);
    return odd ? yuv_vnni_bytes(_mm512_srli_epi16(a, 8), _mm512_srli_epi16(b, 8))
               : yuv_vnni_bytes(_mm512_and_si512(a, low), _mm512_and_si512(b, low));
}

struct yuv_vnni_chroma { struct yuv_vnni_sums red, green, blue; }; // what it adds to each colour, and the rounding

// U and V of `pairs` pairs of pixels, in words.
QN_INLINE struct yuv_vnni_chroma yuv_vnni_chroma_of(const struct qn_yuv_args *a, const struct yuv_vnni *s, const uint8_t *chroma, int32_t pairs) {
    const __m512i middle = _mm512_set1_epi16(128), half = _mm512_set1_epi32(1 << 19);
    const struct yuv_vnni_sums rounding = {half, half};
    const int32_t first = a->u < a->v ? a->u : a->v;
    struct yuv_vnni_chroma c;
    __m512i u, v;
    if (a->chroma_step == 1) {
        const __mmask32 mask = (__mmask32)yuv_vnni_mask(pairs);
        u = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(mask, chroma + a->u));
        v = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(mask, chroma + a->v));
    } else {
        const __m512i both = a->chroma_step == 2 ? _mm512_maskz_loadu_epi8(yuv_vnni_mask(2 * pairs), chroma + first)
                                                 : yuv_vnni_every_other(chroma + (first & ~1), 4 * pairs, first & 1);
        const __m512i near = _mm512_and_si512(both, _mm512_set1_epi16(255)), far = _mm512_srli_epi16(both, 8);
        u = a->u < a->v ? near : far;
        v = a->u < a->v ? far : near;
    }
    const struct yuv_vnni_sums of_u = yuv_vnni_pairs(_mm512_sub_epi16(u, middle)), of_v = yuv_vnni_pairs(_mm512_sub_epi16(v, middle));
    c.red = yuv_vnni_add(rounding, of_v, s->red_v);
    c.green = yuv_vnni_add(yuv_vnni_add(rounding, of_v, s->green_v), of_u, s->green_u);
    c.blue = yuv_vnni_add(rounding, of_u, s->blue_u);
    return c;
}

// A colour's 64 bytes, of each lane the even columns first.
QN_INLINE __m512i yuv_vnni_colour(const struct yuv_vnni *s, struct yuv_vnni_sums even, struct yuv_vnni_sums odd, struct yuv_vnni_sums chroma) {
    return _mm512_packus_epi16(yuv_vnni_words(yuv_vnni_add(chroma, even, s->luma)), yuv_vnni_words(yuv_vnni_add(chroma, odd, s->luma)));
}

// Of `pixels` or more pixels of a row, three bytes each; `skipped` bytes from the first on are not written. whole: 64, and none is skipped.
QN_INLINE void yuv_vnni_block(const struct qn_yuv_args *a, const struct yuv_vnni *s, const struct yuv_vnni_chroma *c, const uint8_t *luma,
                              int32_t pixels, uint8_t *out, int32_t skipped, int whole) {
    const __m512i bytes = whole && a->luma_step == 1 ? _mm512_loadu_si512(luma) : a->luma_step == 1 ? _mm512_maskz_loadu_epi8(yuv_vnni_mask(pixels), luma)
                                            : yuv_vnni_every_other(luma - (a->luma & 1), 2 * pixels, a->luma & 1);
    const __m512i y = _mm512_subs_epu8(bytes, s->black);
    const struct yuv_vnni_sums even = yuv_vnni_pairs(_mm512_and_si512(y, _mm512_set1_epi16(255))), odd = yuv_vnni_pairs(_mm512_srli_epi16(y, 8));
    const __m512i red = yuv_vnni_colour(s, even, odd, c->red), green = yuv_vnni_colour(s, even, odd, c->green), blue = yuv_vnni_colour(s, even, odd, c->blue);
    const uint64_t thirds = 0x9249249249249249u; // bytes 0, 3, 6 ...
    QN_UNROLL for (int32_t k = 0; k < 3; k++) {
        const __mmask64 greens = thirds << (k == 0 ? 1 : k == 1 ? 0 : 2), blues = thirds << (k == 0 ? 2 : k == 1 ? 1 : 0);
        __m512i rgb = _mm512_permutexvar_epi8(s->at[k], red);
        rgb = _mm512_mask_permutexvar_epi8(rgb, greens, s->at[k], green);
        rgb = _mm512_mask_permutexvar_epi8(rgb, blues, s->at[k], blue);
        const __mmask64 mask = yuv_vnni_mask(3 * pixels - 64 * k) & ~(k ? (__mmask64)0 : yuv_vnni_mask(skipped));
        if (whole) _mm512_storeu_si512(out + 64 * k, rgb);
        else _mm512_mask_storeu_epi8(out + 64 * k, mask, rgb);
    }
}

QN_INLINE void yuv_vnni_columns(const struct qn_yuv_args *a, const struct yuv_vnni *s, const uint8_t *luma, const uint8_t *chroma, uint8_t *out,
                                int32_t x, int two, int whole) {
    const int32_t pixels = whole ? 64 : a->left + a->out_w - x, skipped = x < a->left ? 3 : 0;
    const struct yuv_vnni_chroma c = yuv_vnni_chroma_of(a, s, chroma + (ptrdiff_t)(x >> 1) * a->chroma_step, (pixels + 1) >> 1);
    const uint8_t *from = luma + (ptrdiff_t)x * a->luma_step;
    uint8_t *to = out + (ptrdiff_t)(x - a->left) * 3;
    yuv_vnni_block(a, s, &c, from, pixels, to, skipped, whole);
    if (two) yuv_vnni_block(a, s, &c, from + a->luma_row, pixels, to + (ptrdiff_t)a->out_w * 3, skipped, whole);
}

// One row, or two that share their chroma. Begins a pixel further left where the columns begin with an odd one, and leaves that one out.
QN_INLINE void yuv_vnni_rows(const struct qn_yuv_args *a, const struct yuv_vnni *s, const uint8_t *luma, const uint8_t *chroma, uint8_t *out, int two) {
    const int32_t end = a->left + a->out_w;
    int32_t x = a->left & ~1;
    if (x < a->left) yuv_vnni_columns(a, s, luma, chroma, out, x, two, 0), x += 64;
    QN_NO_UNROLL for (; x + 64 <= end; x += 64) yuv_vnni_columns(a, s, luma, chroma, out, x, two, 1);
    if (x < end) yuv_vnni_columns(a, s, luma, chroma, out, x, two, 0);
}

QN_KERNEL qn_yuv_u8_u8__64__avx512vnni(const struct qn_yuv_args *a, const void *frame, void *output, int32_t begin, int32_t end) {
    struct yuv_vnni s;
    yuv_vnni_begin(a, &s);
    QN_NO_UNROLL for (int32_t r = begin; r < end;) {
        const int32_t row = r % a->out_h, y = a->top + row, two = a->chroma_shift && !(y & 1) && r + 1 < end && row + 1 < a->out_h;
        const uint8_t *image = (const uint8_t *)frame + (ptrdiff_t)(r / a->out_h) * a->frame_bytes;
        const uint8_t *luma = image + a->luma + (ptrdiff_t)y * a->luma_row, *chroma = image + (ptrdiff_t)(y >> a->chroma_shift) * a->chroma_row;
        uint8_t *out = (uint8_t *)output + (ptrdiff_t)r * a->out_w * 3;
        if (two) yuv_vnni_rows(a, &s, luma, chroma, out, 1);
        else yuv_vnni_rows(a, &s, luma, chroma, out, 0);
        r += 1 + two;
    }
}
