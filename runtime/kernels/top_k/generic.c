// Indices of the k largest or smallest elements along the middle of [outer, size, inner], in order. A row's output is a
// heap with the last of its k on top, which gives way to an element that comes before it; sorted in place in the end.
#include "runtime/kernel.h"

// One row: elements and results lie `inner` apart.
struct qn_top_k_row { const void *in; int64_t *out; ptrdiff_t inner; int32_t smallest; };

// qn_top_k_generic_row_##name does one row.
#define QN_TOP_K(name, type)                                                                                          \
    QN_KERNEL qn_top_k_##name##_i64__any__generic(const struct qn_top_k_args *a, const void *input, void *output,     \
                                                  int32_t begin, int32_t end) {                                       \
        for (int32_t r = begin; r < end; r++) {                                                                       \
            const ptrdiff_t outer = r / a->inner, inner = r % a->inner;                                               \
            const struct qn_top_k_row row = {(const type *)input + outer * a->size * a->inner + inner,                \
                                             (int64_t *)output + outer * a->k * a->inner + inner, a->inner,           \
                                             a->smallest};                                                            \
            qn_top_k_generic_row_##name(&row, a->k, a->size);                                                         \
        }                                                                                                             \
    }

// ---- elements of 64 bits: a heap of their indices

#define QN_TOP_K_WIDE(name, type)                                                                                     \
    /* Does element i come before element j? */                                                                       \
    QN_INLINE int qn_top_k_generic_before_##name(const struct qn_top_k_row *row, int64_t i, int64_t j) {              \
        const type x = ((const type *)row->in)[(ptrdiff_t)i * row->inner];                                            \
        const type y = ((const type *)row->in)[(ptrdiff_t)j * row->inner];                                            \
        if (x != y) return row->smallest ? x < y : x > y;                                                             \
        return i < j;                                                                                                 \
    }                                                                                                                 \
    /* Moves what stands at `at` down past all that it comes before. */                                               \
    QN_INLINE void qn_top_k_generic_sink_##name(const struct qn_top_k_row *row, ptrdiff_t at, ptrdiff_t count) {      \
        int64_t *out = row->out;                                                                                      \
        const ptrdiff_t inner = row->inner;                                                                           \
        const int64_t index = out[at * inner];                                                                        \
        for (ptrdiff_t below = 2 * at + 1; below < count; below = 2 * at + 1) {                                       \
            if (below + 1 < count &&                                                                                  \
                qn_top_k_generic_before_##name(row, out[below * inner], out[(below + 1) * inner])) below++;           \
            if (!qn_top_k_generic_before_##name(row, index, out[below * inner])) break;                               \
            out[at * inner] = out[below * inner];                                                                     \
            at = below;                                                                                               \
        }                                                                                                             \
        out[at * inner] = index;                                                                                      \
    }                                                                                                                 \
    QN_INLINE void qn_top_k_generic_row_##name(const struct qn_top_k_row *row, ptrdiff_t k, ptrdiff_t size) {         \
        for (ptrdiff_t i = 0; i < k; i++) row->out[i * row->inner] = i;                                               \
        for (ptrdiff_t i = k / 2; i-- > 0;) qn_top_k_generic_sink_##name(row, i, k);                                  \
        for (ptrdiff_t i = k; i < size && k > 0; i++) {                                                               \
            if (!qn_top_k_generic_before_##name(row, i, row->out[0])) continue;                                       \
            row->out[0] = i;                                                                                          \
            qn_top_k_generic_sink_##name(row, 0, k);                                                                  \
        }                                                                                                             \
        for (ptrdiff_t last = k - 1; last > 0; last--) {                                                              \
            const int64_t index = row->out[0];                                                                        \
            row->out[0] = row->out[last * row->inner];                                                                \
            row->out[last * row->inner] = index;                                                                      \
            qn_top_k_generic_sink_##name(row, 0, last);                                                               \
        }                                                                                                             \
    }                                                                                                                 \
    QN_TOP_K(name, type)
QN_TOP_K_WIDE(i64, int64_t)
QN_TOP_K_WIDE(u64, uint64_t)
#undef QN_TOP_K_WIDE

// ---- elements of up to 32 bits: with their index below them they are numbers of 64 bits, all distinct, in the place of the
// results; the least ones are wanted, in order. Which element comes first then takes no look at the input.

// Moves what stands at `at` down past all that are larger.
QN_INLINE void qn_top_k_packed_sink(uint64_t *heap, ptrdiff_t inner, ptrdiff_t at, ptrdiff_t count) {
    const uint64_t value = heap[at * inner];
    for (ptrdiff_t below = 2 * at + 1; below < count; below = 2 * at + 1) {
        if (below + 1 < count && heap[below * inner] < heap[(below + 1) * inner]) below++;
        if (value >= heap[below * inner]) break;
        heap[at * inner] = heap[below * inner];
        at = below;
    }
    heap[at * inner] = value;
}
QN_INLINE void qn_top_k_packed_heap(uint64_t *heap, ptrdiff_t inner, ptrdiff_t count) {
    for (ptrdiff_t i = count / 2; i-- > 0;) qn_top_k_packed_sink(heap, inner, i, count);
}
QN_INLINE void qn_top_k_packed_swap(uint64_t *p, uint64_t *q) {
    const uint64_t value = *p;
    *p = *q;
    *q = value;
}
// From smallest to largest, in time that no order of the elements makes quadratic.
QN_INLINE void qn_top_k_packed_heap_sort(uint64_t *p, ptrdiff_t inner, ptrdiff_t count) {
    qn_top_k_packed_heap(p, inner, count);
    for (ptrdiff_t last = count - 1; last > 0; last--) {
        qn_top_k_packed_swap(p, p + last * inner);
        qn_top_k_packed_sink(p, inner, 0, last);
    }
}
QN_INLINE void qn_top_k_packed_insertion_sort(uint64_t *p, ptrdiff_t inner, ptrdiff_t count) {
    for (ptrdiff_t i = 1; i < count; i++) {
        const uint64_t value = p[i * inner];
        ptrdiff_t at = i;
        for (; at > 0 && p[(at - 1) * inner] > value; at--) p[at * inner] = p[(at - 1) * inner];
        p[at * inner] = value;
    }
}
QN_INLINE uint64_t qn_top_k_packed_middle(uint64_t a, uint64_t b, uint64_t c) {
    const uint64_t low = a < b ? a : b, high = a < b ? b : a;
    return c < low ? low : c > high ? high : c;
}
// At least three of them; returns how many come first, of which none is larger than any behind them: neither none nor all.
QN_INLINE ptrdiff_t qn_top_k_packed_cut(uint64_t *p, ptrdiff_t inner, ptrdiff_t count) {
    const uint64_t pivot = qn_top_k_packed_middle(p[0], p[count / 2 * inner], p[(count - 1) * inner]);
    ptrdiff_t i = -1, j = count;
    for (;;) {
        do i++;
        while (p[i * inner] < pivot);
        do j--;
        while (p[j * inner] > pivot);
        if (i >= j) return j + 1;
        qn_top_k_packed_swap(p + i * inner, p + j * inner);
    }
}
// Quicksort; a part that it has cut too often is left to the heap. The smaller side of a cut is done first: 32 parts suffice.
QN_INLINE void qn_top_k_packed_sort(uint64_t *p, ptrdiff_t inner, ptrdiff_t count) {
    struct { ptrdiff_t from, to; int32_t cuts; } parts[32] = {{0, count, 48}};
    for (int32_t left = 1; left > 0;) {
        ptrdiff_t from = parts[left - 1].from, to = parts[left - 1].to;
        int32_t cuts = parts[--left].cuts;
        for (; to - from > 16 && cuts > 0; cuts--) {
            const ptrdiff_t cut = from + qn_top_k_packed_cut(p + from * inner, inner, to - from);
            const int first = cut - from < to - cut;
            parts[left].from = first ? cut : from, parts[left].to = first ? to : cut, parts[left++].cuts = cuts - 1;
            if (first) to = cut;
            else from = cut;
        }
        if (to - from > 16) qn_top_k_packed_heap_sort(p + from * inner, inner, to - from);
        else qn_top_k_packed_insertion_sort(p + from * inner, inner, to - from);
    }
}

// As unsigned numbers in the same order: both zeros are one, NaN comes last.
QN_INLINE uint32_t qn_top_k_order_f32(float x) {
    union { float f; uint32_t u; } bits;
    bits.f = x == 0.0f ? 0.0f : x;
    if (x != x) return 0xFFFFFFFFu;
    return bits.u >> 31 ? ~bits.u : bits.u | 0x80000000u;
}

#define QN_TOP_K_PACKED(name, type, order)                                                                            \
    QN_INLINE uint64_t qn_top_k_packed_##name(const struct qn_top_k_row *row, ptrdiff_t i) {                          \
        const type x = ((const type *)row->in)[i * row->inner];                                                       \
        const uint32_t key = (order);                                                                                 \
        return (uint64_t)(row->smallest ? key : ~key) << 32 | (uint32_t)i;                                            \
    }                                                                                                                 \
    QN_INLINE void qn_top_k_generic_row_##name(const struct qn_top_k_row *row, ptrdiff_t k, ptrdiff_t size) {         \
        uint64_t *heap = (uint64_t *)row->out;                                                                        \
        const ptrdiff_t inner = row->inner;                                                                           \
        for (ptrdiff_t i = 0; i < k; i++) heap[i * inner] = qn_top_k_packed_##name(row, i);                           \
        if (k < size) qn_top_k_packed_heap(heap, inner, k);                                                           \
        for (ptrdiff_t i = k; i < size && k > 0; i++) {                                                               \
            const uint64_t value = qn_top_k_packed_##name(row, i);                                                    \
            if (value >= heap[0]) continue;                                                                           \
            heap[0] = value;                                                                                          \
            qn_top_k_packed_sink(heap, inner, 0, k);                                                                  \
        }                                                                                                             \
        qn_top_k_packed_sort(heap, inner, k);                                                                         \
        for (ptrdiff_t i = 0; i < k; i++) row->out[i * inner] = (int64_t)(heap[i * inner] & 0xFFFFFFFFu);             \
    }                                                                                                                 \
    QN_TOP_K(name, type)
QN_TOP_K_PACKED(f32, float, qn_top_k_order_f32(x))
QN_TOP_K_PACKED(i32, int32_t, (uint32_t)x ^ 0x80000000u)
QN_TOP_K_PACKED(i16, int16_t, (uint32_t)x ^ 0x80000000u)
QN_TOP_K_PACKED(i8, int8_t, (uint32_t)x ^ 0x80000000u)
QN_TOP_K_PACKED(u32, uint32_t, x)
QN_TOP_K_PACKED(u16, uint16_t, x)
QN_TOP_K_PACKED(u8, uint8_t, x)
#undef QN_TOP_K_PACKED
#undef QN_TOP_K
