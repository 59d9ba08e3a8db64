// Functions of two numbers, 64 bytes at a time by a kernel's function: results side by side, of operands that lie side
// by side, repeat one element, repeat a short run (the channels of every pixel), or have one element for each such run.
#ifndef QN_BINARY_RUNS_H
#define QN_BINARY_RUNS_H
#include <immintrin.h>

#include "runtime/strided.h"

typedef __m512i binary_block(const struct qn_binary_args *args, __m512i a, __m512i b);

enum { BINARY_RUNS_PERIOD = 1024, BINARY_RUNS_SPREAD = 64 };

// An operand: `at` steps through memory, or through `pattern`, which holds 64 bytes more than its period. Where `width` is not
// 0, that is the next BINARY_RUNS_SPREAD of `left` elements at `rest`, `stride` bytes apart, each again and again in `width` bytes.
struct binary_runs_source {
    const uint8_t *bytes, *repeated, *rest;
    ptrdiff_t left, stride;
    int32_t at, period, width, elem_bytes;
    uint8_t pattern[BINARY_RUNS_PERIOD + 64];
};

// What is stored beyond an element's bytes the next one's go over.
QN_INLINE void binary_runs_spread(struct binary_runs_source *s) {
    const int32_t count = s->left < BINARY_RUNS_SPREAD ? (int32_t)s->left : BINARY_RUNS_SPREAD;
    QN_NO_UNROLL for (int32_t i = 0; i < count; i++, s->rest += s->stride) {
        int32_t word;
        if (s->elem_bytes == 4) __builtin_memcpy(&word, s->rest, 4);
        const __m512i v = s->elem_bytes == 4 ? _mm512_set1_epi32(word) : _mm512_set1_epi8((char)*s->rest);
        _mm512_storeu_si512(s->pattern + i * s->width, v);
    }
    s->left -= count;
}
QN_INLINE void binary_runs_open_spread(struct binary_runs_source *s, const uint8_t *bytes, ptrdiff_t count, ptrdiff_t stride, int32_t width,
                                       int32_t elem_bytes) {
    s->at = 0, s->bytes = s->pattern, s->repeated = 0, s->rest = bytes;
    s->left = count, s->stride = stride, s->width = width, s->elem_bytes = elem_bytes;
    s->period = BINARY_RUNS_SPREAD * width;
    binary_runs_spread(s);
}

// Bytes as they are, or, where count > 0, so many of them again and again.
QN_INLINE void binary_runs_open(struct binary_runs_source *s, const uint8_t *bytes, int32_t count) {
    s->at = s->width = 0;
    s->bytes = count ? s->pattern : bytes;
    s->period = count ? (63 + count) / count * count : 0;
    if (!count || s->repeated == bytes) return;
    s->repeated = bytes;
    for (int32_t i = 0; i < s->period + 64; i++) s->pattern[i] = i < count ? bytes[i] : s->pattern[i - count];
}
QN_INLINE __m512i binary_runs_next(struct binary_runs_source *s, __mmask64 mask) {
    const __m512i bytes = _mm512_maskz_loadu_epi8(mask, s->bytes + s->at);
    s->at += 64;
    if (s->period && s->at >= s->period) {
        s->at -= s->period;
        if (s->width) binary_runs_spread(s);
    }
    return bytes;
}

QN_INLINE void binary_runs_run(const struct qn_binary_args *args, struct binary_runs_source *a,
                               struct binary_runs_source *b, uint8_t *out, ptrdiff_t size, binary_block *block) {
    ptrdiff_t i = 0;
    QN_NO_UNROLL for (; i + 64 <= size; i += 64) {
        const __m512i x = binary_runs_next(a, ~(__mmask64)0), y = binary_runs_next(b, ~(__mmask64)0);
        _mm512_storeu_si512(out + i, block(args, x, y));
    }
    if (i == size) return;
    const __mmask64 mask = ((uint64_t)1 << (size - i)) - 1;
    const __m512i x = binary_runs_next(a, mask), y = binary_runs_next(b, mask);
    _mm512_mask_storeu_epi8(out + i, mask, block(args, x, y));
}

// The walk; count[k]: how many elements operand k repeats in a run, 0 if none; spread[k]: how many times it repeats each of its
// elements, which are `stride[k]` apart, 0 if it does not; `whole`: neighbouring rows are one run.
struct binary_runs_plan { struct qn_walk walk; int32_t count[2], spread[2], stride[2], whole; };

// Does an operand begin a run where it ended the one `stride` before, of `size` elements?
QN_INLINE int binary_runs_continues(const struct binary_runs_plan *plan, int k, int32_t stride, int32_t size) {
    if (plan->spread[k]) return stride == size / plan->spread[k] * plan->stride[k];
    return stride == (plan->count[k] ? 0 : size);
}

// May operand k's runs, `stride` apart, be one run as they lie, or as one of it repeated or spread? Then they are from now on.
QN_INLINE int binary_runs_joins(struct binary_runs_plan *plan, int k, int32_t stride, int32_t elem_bytes) {
    const int32_t size = plan->walk.size[2];
    if (binary_runs_continues(plan, k, stride, size)) return 1;
    if (plan->spread[k]) return 0;
    if (stride == 0 && size <= BINARY_RUNS_PERIOD / elem_bytes) return plan->count[k] = size, 1;
    if (plan->count[k] != 1 || size * elem_bytes > BINARY_RUNS_PERIOD / BINARY_RUNS_SPREAD) return 0; // a short run that repeats is no element
    plan->spread[k] = size, plan->stride[k] = stride, plan->count[k] = 0;
    return 1;
}

// Neighbouring runs become one where the output continues and each operand continues, begins again or is spread.
QN_INLINE struct binary_runs_plan binary_runs_plan_new(const struct qn_binary_args *args, int32_t elem_bytes) {
    struct binary_runs_plan plan = {.walk = qn_walk_new(args->shape, 3, args->a, args->b, args->out)};
    struct qn_walk *const walk = &plan.walk;
    for (int k = 0; k < 2; k++) plan.count[k] = walk->stride[k][2] == 0;
    struct binary_runs_plan joined = plan;
    if (walk->size[1] > 1 && walk->stride[2][1] == walk->size[2] && binary_runs_joins(&joined, 0, walk->stride[0][1], elem_bytes) &&
        binary_runs_joins(&joined, 1, walk->stride[1][1], elem_bytes)) {
        plan = joined;
        walk->size[2] *= walk->size[1], walk->size[1] = 1;
    }
    if (args->shape[0] > 1 || walk->size[0] > 1 || walk->size[1] > 1 || args->out[1] != walk->size[2]) return plan;
    joined = plan;
    joined.whole = 1;
    if (binary_runs_joins(&joined, 0, args->a[1], elem_bytes) && binary_runs_joins(&joined, 1, args->b[1], elem_bytes)) return joined;
    return plan;
}

// Operand k of a run of `size` elements that begins at `bytes`.
QN_INLINE void binary_runs_begin(const struct binary_runs_plan *plan, int k, struct binary_runs_source *s, const uint8_t *bytes,
                                 ptrdiff_t size, int32_t elem_bytes) {
    const int32_t spread = plan->spread[k];
    if (spread) binary_runs_open_spread(s, bytes, size / spread, (ptrdiff_t)plan->stride[k] * elem_bytes, spread * elem_bytes, elem_bytes);
    else binary_runs_open(s, bytes, plan->count[k] * elem_bytes);
}

QN_INLINE void binary_runs(const struct qn_binary_args *args, const void *a, const void *b, void *output, int32_t begin,
                           int32_t end, int32_t elem_bytes, binary_block *block) {
    const struct binary_runs_plan plan = binary_runs_plan_new(args, elem_bytes);
    const struct qn_walk *const walk = &plan.walk;
    const int32_t rows = plan.whole ? end - begin : 1;
    struct binary_runs_source source_a, source_b;
    source_a.repeated = source_b.repeated = 0;
    QN_NO_UNROLL for (int32_t r = begin; r < end; r += rows) {
        const uint8_t *pa = (const uint8_t *)a + qn_row_offset(args->shape, args->a, r) * elem_bytes;
        const uint8_t *pb = (const uint8_t *)b + qn_row_offset(args->shape, args->b, r) * elem_bytes;
        uint8_t *out = (uint8_t *)output + qn_row_offset(args->shape, args->out, r) * elem_bytes;
        QN_NO_UNROLL for (int32_t i = 0; i < walk->size[0]; i++)
            QN_NO_UNROLL for (int32_t j = 0; j < walk->size[1]; j++) {
                const ptrdiff_t size = (ptrdiff_t)walk->size[2] * rows;
                binary_runs_begin(&plan, 0, &source_a, pa + qn_run_offset(walk, 0, i, j) * elem_bytes, size, elem_bytes);
                binary_runs_begin(&plan, 1, &source_b, pb + qn_run_offset(walk, 1, i, j) * elem_bytes, size, elem_bytes);
                binary_runs_run(args, &source_a, &source_b, out + qn_run_offset(walk, 2, i, j) * elem_bytes, size * elem_bytes, block);
            }
    }
}
#endif
