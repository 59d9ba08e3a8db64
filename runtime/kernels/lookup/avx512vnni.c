// Tables of 256 bytes for AVX-512 with VBMI: pixels of up to four bytes side by side, as many as 64 bytes hold at a time. Each channel's
// table is asked for all of them.
#include "runtime/kernels/table_vnni.h"

enum { LOOKUP_MOST = 4 };

struct lookup_vnni {
    int32_t pixels, from_bytes, to_bytes; // of a block
    __m512i from;                         // for each byte of the result the one it is made of
    __mmask64 channel[LOOKUP_MOST];
    struct table_vnni table[LOOKUP_MOST];
};

QN_INLINE __mmask64 lookup_vnni_mask(int32_t bytes) { return bytes >= 64 ? ~(__mmask64)0 : ((uint64_t)1 << bytes) - 1; }

QN_INLINE void lookup_vnni_begin(const struct qn_lookup_args *a, const uint8_t *table, const int32_t *channels, struct lookup_vnni *s) {
    const int32_t most = a->in_c > a->out_c ? a->in_c : a->out_c;
    uint8_t from[64] = {0};
    s->pixels = 64 / most;
    s->from_bytes = s->pixels * a->in_c;
    s->to_bytes = s->pixels * a->out_c;
    for (int32_t c = 0; c < a->out_c; c++) {
        int32_t channel = channels[c] < 0 ? channels[c] + a->in_c : channels[c];
        channel = channel < 0 ? 0 : channel >= a->in_c ? a->in_c - 1 : channel;
        s->channel[c] = 0;
        QN_NO_UNROLL for (int32_t p = 0; p < s->pixels; p++) {
            from[p * a->out_c + c] = (uint8_t)(p * a->in_c + channel);
            s->channel[c] |= (__mmask64)1 << (p * a->out_c + c);
        }
        s->table[c] = table_vnni_load(table + 256 * c);
    }
    s->from = _mm512_loadu_si512(from);
}

QN_INLINE void lookup_vnni_row(const struct qn_lookup_args *a, const struct lookup_vnni *s, const uint8_t *in, uint8_t *out, int32_t channels) {
    QN_NO_UNROLL for (int32_t left = a->out_w; left > 0; left -= s->pixels, in += s->from_bytes, out += s->to_bytes) {
        const int32_t pixels = left < s->pixels ? left : s->pixels;
        const __m512i x = _mm512_permutexvar_epi8(s->from, _mm512_maskz_loadu_epi8(lookup_vnni_mask(pixels * a->in_c), in));
        __m512i y = table_vnni_find(&s->table[0], x);
        QN_UNROLL for (int32_t c = 1; c < channels; c++) y = _mm512_mask_blend_epi8(s->channel[c], y, table_vnni_find(&s->table[c], x));
        _mm512_mask_storeu_epi8(out, lookup_vnni_mask(pixels * a->out_c), y);
    }
}

QN_KERNEL qn_lookup_any_any__pixels64__avx512vnni(const struct qn_lookup_args *a, const void *input, const void *table,
                                                  const void *channels, void *output, int32_t begin, int32_t end) {
    struct lookup_vnni s;
    lookup_vnni_begin(a, table, channels, &s);
    QN_NO_UNROLL for (int32_t r = begin; r < end; r++) {
        const uint8_t *in = (const uint8_t *)input + (ptrdiff_t)r * a->out_w * a->in_c;
        uint8_t *out = (uint8_t *)output + (ptrdiff_t)(r / a->out_h) * a->out_image + (ptrdiff_t)(r % a->out_h) * a->out_row;
        if (a->out_c == 1) lookup_vnni_row(a, &s, in, out, 1);
        else if (a->out_c == 3) lookup_vnni_row(a, &s, in, out, 3);
        else lookup_vnni_row(a, &s, in, out, a->out_c);
    }
}
