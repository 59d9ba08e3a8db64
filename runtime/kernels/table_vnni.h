// A function of 8 bits for AVX512-VBMI: 64 bytes at a time, the table of 256 in four registers.
#ifndef QN_TABLE_VNNI_H
#define QN_TABLE_VNNI_H
#include <immintrin.h>

#include "runtime/kernel.h"

struct table_vnni { __m512i part[4]; };

QN_INLINE struct table_vnni table_vnni_load(const uint8_t *bytes) {
    struct table_vnni t;
    QN_UNROLL for (int i = 0; i < 4; i++) t.part[i] = _mm512_loadu_si512(bytes + i * 64);
    return t;
}

// Each permutation takes seven bits of a byte; the eighth chooses between the two.
QN_INLINE __m512i table_vnni_find(const struct table_vnni *t, __m512i x) {
    const __m512i low = _mm512_permutex2var_epi8(t->part[0], x, t->part[1]);
    const __m512i high = _mm512_permutex2var_epi8(t->part[2], x, t->part[3]);
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(x), low, high);
}
#endif
