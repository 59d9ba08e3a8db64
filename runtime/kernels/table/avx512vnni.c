// A function of 8 bits for AVX512-VBMI.
#include "runtime/kernels/table_vnni.h"
#include "runtime/strided.h"

QN_INLINE void table_avx512vnni_run(const struct table_vnni *t, const uint8_t *in, uint8_t *out, int32_t size) {
    int32_t i = 0;
    QN_NO_UNROLL for (; i + 64 <= size; i += 64)
        _mm512_storeu_si512(out + i, table_vnni_find(t, _mm512_loadu_si512(in + i)));
    if (i == size) return;
    const __mmask64 mask = ((uint64_t)1 << (size - i)) - 1;
    _mm512_mask_storeu_epi8(out + i, mask, table_vnni_find(t, _mm512_maskz_loadu_epi8(mask, in + i)));
}

QN_KERNEL qn_table_s8_s8__64__avx512vnni(const struct qn_table_args *a, const void *input, const void *table,
                                         void *output, int32_t begin, int32_t end) {
    const struct qn_walk walk = qn_walk_new(a->shape, 2, a->in, a->out, a->out);
    const struct table_vnni t = table_vnni_load(table);
    QN_NO_UNROLL for (int32_t r = begin; r < end; r++) {
        const uint8_t *in = (const uint8_t *)input + qn_row_offset(a->shape, a->in, r);
        uint8_t *out = (uint8_t *)output + qn_row_offset(a->shape, a->out, r);
        QN_NO_UNROLL for (int32_t i = 0; i < walk.size[0]; i++)
            QN_NO_UNROLL for (int32_t j = 0; j < walk.size[1]; j++)
                table_avx512vnni_run(&t, in + qn_run_offset(&walk, 0, i, j), out + qn_run_offset(&walk, 1, i, j),
                                     walk.size[2]);
    }
}
