// int8 functions of two numbers, 64 bytes at a time by a kernel's function: results side by side, of operands that lie side
// by side, repeat one byte, or repeat a short run (the channels of every pixel).
#ifndef QN_BINARY_RUNS_H
#define QN_BINARY_RUNS_H
#include <immintrin.h>

#include "runtime/strided.h"

typedef __m512i binary_block(const struct qn_binary_args *args, __m512i a, __m512i b);

enum { BINARY_RUNS_PERIOD = 1024 };

// An operand: `at` steps through memory, or through `pattern`, which holds 64 bytes more than its period.
struct binary_runs_source {
    const uint8_t *bytes, *repeated;
    int32_t at, period;
    uint8_t pattern[BINARY_RUNS_PERIOD + 64];
};

// Bytes as they are, or, where count > 0, so many of them again and again.
QN_INLINE void binary_runs_open(struct binary_runs_source *s, const uint8_t *bytes, int32_t count) {
    s->at = 0;
    s->bytes = count ? s->pattern : bytes;
    s->period = count ? (63 + count) / count * count : 0;
    if (!count || s->repeated == bytes) return;
    s->repeated = bytes;
    for (int32_t i = 0; i < s->period + 64; i++) s->pattern[i] = i < count ? bytes[i] : s->pattern[i - count];
}
QN_INLINE __m512i binary_runs_next(struct binary_runs_source *s, __mmask64 mask) {
    const __m512i bytes = _mm512_maskz_loadu_epi8(mask, s->bytes + s->at);
    s->at += 64;
    if (s->period && s->at >= s->period) s->at -= s->period;
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

// The walk; count[k]: how many bytes operand k repeats in a run, 0 if none; `whole`: neighbouring rows are one run.
struct binary_runs_plan { struct qn_walk walk; int32_t count[2]; int whole; };

// Does a stride of an operand continue its run?
QN_INLINE int binary_runs_continues(int32_t stride, int32_t size, int32_t count) {
    return stride == (count ? 0 : size);
}

// Neighbouring runs become one where the output continues and each operand continues or begins again.
QN_INLINE struct binary_runs_plan binary_runs_plan_new(const struct qn_binary_args *args) {
    struct binary_runs_plan plan = {.walk = qn_walk_new(args->shape, 3, args->a, args->b, args->out)};
    struct qn_walk *const walk = &plan.walk;
    const int32_t size = walk->size[2];
    int joins = walk->size[1] > 1 && walk->stride[2][1] == size;
    for (int k = 0; k < 2; k++) {
        plan.count[k] = walk->stride[k][2] == 0;
        joins &= binary_runs_continues(walk->stride[k][1], size, plan.count[k]) ||
                 (walk->stride[k][1] == 0 && size <= BINARY_RUNS_PERIOD);
    }
    for (int k = 0; joins && k < 2; k++)
        if (walk->stride[k][1] == 0 && !plan.count[k]) plan.count[k] = size;
    if (joins) walk->size[2] *= walk->size[1], walk->size[1] = 1;
    plan.whole = args->shape[0] == 1 && walk->size[0] == 1 && walk->size[1] == 1 && args->out[1] == walk->size[2] &&
                 binary_runs_continues(args->a[1], walk->size[2], plan.count[0]) &&
                 binary_runs_continues(args->b[1], walk->size[2], plan.count[1]);
    return plan;
}

QN_INLINE void binary_runs(const struct qn_binary_args *args, const void *a, const void *b, void *output, int32_t begin,
                           int32_t end, binary_block *block) {
    const struct binary_runs_plan plan = binary_runs_plan_new(args);
    const struct qn_walk *const walk = &plan.walk;
    const int32_t rows = plan.whole ? end - begin : 1;
    struct binary_runs_source source_a, source_b;
    source_a.repeated = source_b.repeated = 0;
    QN_NO_UNROLL for (int32_t r = begin; r < end; r += rows) {
        const uint8_t *pa = (const uint8_t *)a + qn_row_offset(args->shape, args->a, r);
        const uint8_t *pb = (const uint8_t *)b + qn_row_offset(args->shape, args->b, r);
        uint8_t *out = (uint8_t *)output + qn_row_offset(args->shape, args->out, r);
        QN_NO_UNROLL for (int32_t i = 0; i < walk->size[0]; i++)
            QN_NO_UNROLL for (int32_t j = 0; j < walk->size[1]; j++) {
                binary_runs_open(&source_a, pa + qn_run_offset(walk, 0, i, j), plan.count[0]);
                binary_runs_open(&source_b, pb + qn_run_offset(walk, 1, i, j), plan.count[1]);
                binary_runs_run(args, &source_a, &source_b, out + qn_run_offset(walk, 2, i, j), (ptrdiff_t)walk->size[2] * rows, block);
            }
    }
}
#endif
