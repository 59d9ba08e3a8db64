// A function of 8 bits for AVX2. pshufb finds bytes in 16 entries, and gives 0 where the index is negative: of each half of the
// table, entries are stored as differences (xor) from those 16 before, so that what is found in all parts up to a byte's own
// adds up to its entry, and parts behind give nothing. (Intel's "vperm" method.)
#include <immintrin.h>

#include "runtime/strided.h"

struct table_avx2 { const uint8_t *entry; __m256i part[16]; };

QN_INLINE void table_avx2_load(struct table_avx2 *t, const uint8_t *entry) {
    t->entry = entry;
    QN_UNROLL for (int i = 0; i < 16; i++) {
        __m128i part = _mm_loadu_si128((const __m128i *)(entry + i * 16));
        if (i % 8) part = _mm_xor_si128(part, _mm_loadu_si128((const __m128i *)(entry + (i - 1) * 16)));
        t->part[i] = _mm256_broadcastsi128_si256(part);
    }
}

// Bytes of 128 and more are negative in the first half, the others, with the sign changed, in the second. Differences saturate: what is negative stays so.
QN_INLINE __m256i table_avx2_find(const struct table_avx2 *t, __m256i x) {
    const __m256i step = _mm256_set1_epi8(16);
    __m256i low = x, high = _mm256_xor_si256(x, _mm256_set1_epi8((char)0x80));
    __m256i found = _mm256_xor_si256(_mm256_shuffle_epi8(t->part[0], low), _mm256_shuffle_epi8(t->part[8], high));
    QN_UNROLL for (int i = 1; i < 8; i++) {
        low = _mm256_subs_epi8(low, step), high = _mm256_subs_epi8(high, step);
        found = _mm256_xor_si256(found, _mm256_shuffle_epi8(t->part[i], low));
        found = _mm256_xor_si256(found, _mm256_shuffle_epi8(t->part[8 + i], high));
    }
    return found;
}

QN_INLINE void table_avx2_run(const struct table_avx2 *t, const uint8_t *in, uint8_t *out, int32_t size) {
    int32_t i = 0;
    QN_NO_UNROLL for (; i + 32 <= size; i += 32)
        _mm256_storeu_si256((__m256i *)(out + i), table_avx2_find(t, _mm256_loadu_si256((const __m256i *)(in + i))));
    QN_NO_UNROLL for (; i < size; i++) out[i] = t->entry[in[i]];
}

QN_KERNEL qn_table_s8_s8__32__avx2(const struct qn_table_args *a, const void *input, const void *table, void *output, int32_t begin,
                                   int32_t end) {
    const struct qn_walk walk = qn_walk_new(a->shape, 2, a->in, a->out, a->out);
    struct table_avx2 t;
    table_avx2_load(&t, table);
    QN_NO_UNROLL for (int32_t r = begin; r < end; r++) {
        const uint8_t *in = (const uint8_t *)input + qn_row_offset(a->shape, a->in, r);
        uint8_t *out = (uint8_t *)output + qn_row_offset(a->shape, a->out, r);
        QN_NO_UNROLL for (int32_t i = 0; i < walk.size[0]; i++)
            QN_NO_UNROLL for (int32_t j = 0; j < walk.size[1]; j++)
                table_avx2_run(&t, in + qn_run_offset(&walk, 0, i, j), out + qn_run_offset(&walk, 1, i, j), walk.size[2]);
    }
}
