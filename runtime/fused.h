// Steps that run together over bands of rows (kn.rows). Each but the last makes what the next alone reads, and only the rows
// that a band needs are kept, in memory of the worker's own: they stay in its caches, and in the way of no other worker.
#ifndef QN_FUSED_H
#define QN_FUSED_H
#include <stddef.h>
#include <stdint.h>

enum { QN_MOST_FUSED = 6 };

// Where the rows lie that a step makes for the next one. Row y of what that makes takes the rows of the buffer from
// y * stride - pad on, `window` of them. The buffer has `top` and `bottom` rows of halo around `height` rows, and bytes of halo
// at both ends of a row; all hold the byte `fill`.
struct qn_row_buffer {
    int32_t height, top, bottom, window, stride, pad;
    int32_t slots; // rows that there is room for: those that a band needs
    int32_t row_bytes, left_bytes, right_bytes; // of a row, its halo included, and of the halo
    int32_t fill;
    size_t offset, own_offset; // of the first slot: in the memory plan, for worker 0, and in the memory of each other worker
};

// `count` steps, the rows of the last cut into bands of `band`; buffers: one for each step but the last.
struct qn_fused {
    int32_t count, band;
    const struct qn_row_buffer *buffers;
};

// Rows [low, high).
struct qn_row_range {
    int32_t low, high;
};

// Runs rows [begin, end) of step `index` of those that are fused.
typedef void qn_fused_step(void *context, int32_t index, int32_t begin, int32_t end);

static inline int32_t qn_row_within(int32_t row, int32_t least, int32_t most) { return row < least ? least : row > most ? most : row; }

// The rows of `b`, its halo among them, that `next` rows of the next step need.
static inline struct qn_row_range qn_rows_needed(const struct qn_row_buffer *b, struct qn_row_range next) {
    struct qn_row_range need = {next.low * b->stride - b->pad, (next.high - 1) * b->stride - b->pad + b->window};
    need.low = qn_row_within(need.low, -b->top, b->height + b->bottom);
    need.high = qn_row_within(need.high, need.low, b->height + b->bottom);
    return need;
}

// Loops of their own: a compiled model calls nothing.
static inline void qn_rows_fill(unsigned char *to, int32_t byte, int32_t bytes) {
    int32_t i;
    for (i = 0; i < bytes; i++) to[i] = (unsigned char)byte;
}

static inline void qn_rows_copy(unsigned char *restrict to, const unsigned char *restrict from, int32_t bytes) {
    int32_t i;
    for (i = 0; i < bytes; i++) to[i] = from[i];
}

// Both ends of all rows; nothing else writes there.
static inline void qn_rows_fill_ends(const struct qn_row_buffer *b, unsigned char *slots) {
    int32_t i;
    if (!(b->left_bytes | b->right_bytes)) return;
    for (i = 0; i < b->slots; i++) {
        qn_rows_fill(slots + (ptrdiff_t)i * b->row_bytes, b->fill, b->left_bytes);
        qn_rows_fill(slots + (ptrdiff_t)(i + 1) * b->row_bytes - b->right_bytes, b->fill, b->right_bytes);
    }
}

// The rows from slot `from` on, `count` of them, to the first slots.
static inline void qn_rows_move(const struct qn_row_buffer *b, unsigned char *slots, int32_t from, int32_t count) {
    int32_t i;
    for (i = 0; from && i < count; i++)
        qn_rows_copy(slots + (ptrdiff_t)i * b->row_bytes, slots + (ptrdiff_t)(from + i) * b->row_bytes, b->row_bytes);
}

// Makes rows [made, need.high) of the buffer: its halo here, the others by their step.
static inline void qn_rows_make(const struct qn_row_buffer *b, unsigned char *slots, int32_t made, struct qn_row_range need,
                                qn_fused_step *run, void *context, int32_t index) {
    const int32_t begin = qn_row_within(made, 0, b->height), end = qn_row_within(need.high, 0, b->height);
    int32_t y;
    for (y = made; y < need.high; y++)
        if (y < 0 || y >= b->height) qn_rows_fill(slots + (ptrdiff_t)(y - need.low) * b->row_bytes, b->fill, b->row_bytes);
    if (begin < end) run(context, index, begin, end);
}

// Rows [begin, end) of the last step. memory: the memory plan for worker 0, the worker's own for others (`own`). rows[i]: set to
// where element [0, 0, 0, 0] of buffer i would lie, for the steps that write and read it.
static inline void qn_fused_run(const struct qn_fused *fused, unsigned char *memory, int own, unsigned char **rows,
                                qn_fused_step *run, void *context, int32_t begin, int32_t end) {
    const int32_t last = fused->count - 1;
    struct qn_row_range need[QN_MOST_FUSED];
    int32_t made[QN_MOST_FUSED]; // rows below it are made
    unsigned char *slots[QN_MOST_FUSED];
    int32_t i, low, high;
    for (i = 0; i < last; i++) {
        slots[i] = memory + (own ? fused->buffers[i].own_offset : fused->buffers[i].offset);
        need[i].low = made[i] = INT32_MIN;
        qn_rows_fill_ends(&fused->buffers[i], slots[i]);
    }
    for (low = begin; low < end; low = high) {
        struct qn_row_range next;
        high = end - low > fused->band ? low + fused->band : end;
        next.low = low, next.high = high;
        for (i = last - 1; i >= 0; i--) { // back to the first: what is needed, and of that, what is there
            const struct qn_row_buffer *b = &fused->buffers[i];
            const struct qn_row_range now = qn_rows_needed(b, next);
            if (made[i] > now.low) qn_rows_move(b, slots[i], now.low - need[i].low, made[i] - now.low);
            else made[i] = now.low;
            need[i] = now;
            rows[i] = slots[i] - (ptrdiff_t)now.low * b->row_bytes + b->left_bytes;
            next.low = qn_row_within(made[i], 0, b->height);
            next.high = qn_row_within(now.high, 0, b->height);
        }
        for (i = 0; i < last; i++) {
            qn_rows_make(&fused->buffers[i], slots[i], made[i], need[i], run, context, i);
            if (need[i].high > made[i]) made[i] = need[i].high;
        }
        run(context, last, low, high);
    }
}
#endif
