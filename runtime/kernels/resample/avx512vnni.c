// Pixels of a few bytes resampled along their rows for AVX-512 with VBMI and VNNI: 16 bytes of the result at a time. What they are made
// of lies within 128 bytes of the input, from which a permutation takes four taps of each byte; weights are three signed digits
// to base 256, whose sums are put together modulo 2^32, as those of the weights themselves. Permutations and weights are made once
// for a block of columns, and used for all rows. Blocks that reach further, or weights of more digits, are summed one by one.
#include <immintrin.h>

#include "runtime/kernel.h"

enum { RESAMPLE_VNNI_LANES = 16, RESAMPLE_VNNI_GROUPS = 4 };

// A block of columns: 16 bytes of a row of the result from byte `first` on.
struct resample_vnni {
    int32_t first, base, span; // the input's bytes are [base, base + span] of a row
    int32_t in_bytes;                  // of a row
    uint8_t at[RESAMPLE_VNNI_GROUPS][64];
    int8_t weight[3][RESAMPLE_VNNI_GROUPS][64];
};

QN_INLINE int32_t resample_vnni_byte(const struct qn_resample_args *a, const int32_t *indices, int32_t e, int32_t k) {
    int32_t index = indices[(ptrdiff_t)(e / a->inner) * a->taps + k];
    index = index < 0 ? 0 : index >= a->size ? a->size - 1 : index;
    return index * a->inner + e % a->inner;
}

// Sets the range of the block's input; the last block has fewer lanes.
QN_INLINE int32_t resample_vnni_reach(const struct qn_resample_args *a, const int32_t *indices, struct resample_vnni *block) {
    const int32_t left = a->count * a->inner - block->first, lanes = left < RESAMPLE_VNNI_LANES ? left : RESAMPLE_VNNI_LANES;
    int32_t least = block->in_bytes, most = 0;
    QN_NO_UNROLL for (int32_t l = 0; l < lanes; l++)
        QN_NO_UNROLL for (int32_t k = 0; k < a->taps; k++) {
            const int32_t at = resample_vnni_byte(a, indices, block->first + l, k);
            least = at < least ? at : least;
            most = at > most ? at : most;
        }
    block->base = least;
    block->span = most - least;
    return lanes;
}

// False: this block is none for vectors.
QN_INLINE int resample_vnni_begin(const struct qn_resample_args *a, const int32_t *indices, const int32_t *weights, struct resample_vnni *block) {
    const int32_t lanes = resample_vnni_reach(a, indices, block);
    if (block->span >= 128) return 0;
    QN_NO_UNROLL for (int32_t i = 0; i < RESAMPLE_VNNI_GROUPS * 64; i++) {
        const int32_t l = i % 64 / 4, k = i / 64 * 4 + i % 4, used = l < lanes && k < a->taps;
        const int32_t w = used ? weights[(ptrdiff_t)((block->first + l) / a->inner) * a->taps + k] : 0;
        if (w < -0x7F0000 || w > 0x7F0000) return 0;
        const int32_t d0 = (int8_t)w, d1 = (int8_t)((w - d0) >> 8), d2 = (((w - d0) >> 8) - d1) >> 8;
        block->at[i / 64][i % 64] = used ? (uint8_t)(resample_vnni_byte(a, indices, block->first + l, k) - block->base) : 0;
        block->weight[0][i / 64][i % 64] = (int8_t)d0;
        block->weight[1][i / 64][i % 64] = (int8_t)d1;
        block->weight[2][i / 64][i % 64] = (int8_t)d2;
    }
    return 1;
}

QN_INLINE __mmask64 resample_vnni_mask(int32_t bytes) {
    return bytes >= 64 ? ~(__mmask64)0 : bytes <= 0 ? 0 : ((uint64_t)1 << bytes) - 1;
}

QN_INLINE __m512i resample_vnni_load(const int8_t *bytes) { return _mm512_loadu_si512((const void *)bytes); }

// The bytes of one row, from those within 64 or 128.
QN_INLINE __m128i resample_vnni_row(const struct resample_vnni *block, const uint8_t *in, int32_t groups, int wide) {
    const int32_t left = block->in_bytes - block->base;
    const __m512i near = _mm512_maskz_loadu_epi8(resample_vnni_mask(left), in + block->base);
    const __m512i far = wide ? _mm512_maskz_loadu_epi8(resample_vnni_mask(left - 64), in + block->base + 64) : near;
    __m512i s0 = _mm512_set1_epi32(1 << 21), s1 = _mm512_setzero_si512(), s2 = _mm512_setzero_si512();
    QN_UNROLL for (int32_t g = 0; g < groups; g++) {
        const __m512i at = _mm512_loadu_si512((const void *)block->at[g]);
        const __m512i x = wide ? _mm512_permutex2var_epi8(near, at, far) : _mm512_permutexvar_epi8(at, near);
        s0 = _mm512_dpbusd_epi32(s0, x, resample_vnni_load(block->weight[0][g]));
        s1 = _mm512_dpbusd_epi32(s1, x, resample_vnni_load(block->weight[1][g]));
        s2 = _mm512_dpbusd_epi32(s2, x, resample_vnni_load(block->weight[2][g]));
    }
    s0 = _mm512_add_epi32(s0, _mm512_add_epi32(_mm512_slli_epi32(s1, 8), _mm512_slli_epi32(s2, 16)));
    return _mm512_cvtusepi32_epi8(_mm512_max_epi32(_mm512_srai_epi32(s0, 22), _mm512_setzero_si512()));
}

// Rows [begin, end) of results are bytes [begin, end) * inner of all rows of the image, one behind the other. Of image row o those of
// the block that are among them.
QN_INLINE __mmask16 resample_vnni_lanes(const struct qn_resample_args *a, const struct resample_vnni *block, int32_t o, int32_t begin, int32_t end) {
    const ptrdiff_t row = (ptrdiff_t)o * a->count * a->inner + block->first;
    ptrdiff_t low = (ptrdiff_t)begin * a->inner - row, high = (ptrdiff_t)end * a->inner - row;
    const int32_t left = a->count * a->inner - block->first;
    low = low < 0 ? 0 : low > 16 ? 16 : low;
    high = high > left ? left : high;
    high = high > 16 ? 16 : high < low ? low : high;
    return (__mmask16)(((1u << high) - 1) & ~((1u << low) - 1));
}

QN_INLINE void resample_vnni_rows(const struct qn_resample_args *a, const struct resample_vnni *block, const uint8_t *in, uint8_t *out,
                                  int32_t begin, int32_t end, int32_t groups, int wide) {
    QN_NO_UNROLL for (int32_t o = begin / a->count; o <= (end - 1) / a->count; o++) {
        const __m128i bytes = resample_vnni_row(block, in + (ptrdiff_t)o * block->in_bytes, groups, wide);
        _mm_mask_storeu_epi8(out + (ptrdiff_t)o * a->count * a->inner + block->first, resample_vnni_lanes(a, block, o, begin, end), bytes);
    }
}

QN_INLINE void resample_vnni_slow(const struct qn_resample_args *a, const struct resample_vnni *block, const uint8_t *in, const int32_t *indices,
                                  const int32_t *weights, uint8_t *out, int32_t begin, int32_t end) {
    QN_NO_UNROLL for (int32_t o = begin / a->count; o <= (end - 1) / a->count; o++) {
        const uint32_t lanes = resample_vnni_lanes(a, block, o, begin, end);
        QN_NO_UNROLL for (int32_t l = 0; l < RESAMPLE_VNNI_LANES; l++) {
            const int32_t e = block->first + l;
            uint32_t sum = 1u << 21;
            if (!(lanes >> l & 1)) continue;
            QN_NO_UNROLL for (int32_t k = 0; k < a->taps; k++)
                sum += (uint32_t)weights[(ptrdiff_t)(e / a->inner) * a->taps + k] *
                       in[(ptrdiff_t)o * block->in_bytes + resample_vnni_byte(a, indices, e, k)];
            const int32_t value = (int32_t)sum >> 22;
            out[(ptrdiff_t)o * a->count * a->inner + e] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
        }
    }
}

QN_KERNEL qn_resample_u8_u8__pixels16__avx512vnni(const struct qn_resample_args *a, const void *input, const void *indices,
                                                  const void *weights, void *output, int32_t begin, int32_t end) {
    struct resample_vnni block;
    if (begin >= end) return;
    block.in_bytes = a->size * a->inner;
    QN_NO_UNROLL for (block.first = 0; block.first < a->count * a->inner; block.first += RESAMPLE_VNNI_LANES) {
        if (!resample_vnni_begin(a, indices, weights, &block))
            resample_vnni_slow(a, &block, input, indices, weights, output, begin, end);
        else if (block.span < 64 && a->taps <= 4) resample_vnni_rows(a, &block, input, output, begin, end, 1, 0);
        else if (block.span < 64 && a->taps <= 8) resample_vnni_rows(a, &block, input, output, begin, end, 2, 0);
        else if (a->taps <= 8) resample_vnni_rows(a, &block, input, output, begin, end, 2, 1);
        else resample_vnni_rows(a, &block, input, output, begin, end, 4, 1);
    }
}
