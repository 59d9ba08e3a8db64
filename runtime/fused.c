// See fused.h. Compiled for the model's target, as its kernels are: what the entry of a model has checked.
#include "runtime/fused.h"

#include "runtime/entry.h"
#include "runtime/kernel.h"

// Rows [low, high).
struct qn_row_range {
    int32_t low, high;
};

static int32_t qn_row_within(int32_t row, int32_t least, int32_t most) { return row < least ? least : row > most ? most : row; }

static int32_t qn_row_first(const struct qn_row_buffer *b, int32_t y) { return (int32_t)(((int64_t)y * b->stride - b->pad) >> b->shift); }

// The rows of `b`, its halo among them, that `next` rows of the next step need.
static struct qn_row_range qn_rows_needed(const struct qn_row_buffer *b, struct qn_row_range next) {
    struct qn_row_range need = {qn_row_first(b, next.low), qn_row_first(b, next.high - 1) + b->window};
    need.low = qn_row_within(need.low, -b->top, b->height + b->bottom);
    need.high = qn_row_within(need.high, need.low, b->height + b->bottom);
    return need;
}

// Loops of their own, in words of sizes that the compiler knows: a compiled model calls nothing.
enum { QN_ROW_WORD = 32 };

// From `from` on, or with step 0 the same word again and again.
static __attribute__((noinline)) void qn_rows_copy(unsigned char *to, const unsigned char *from, int32_t step, int32_t bytes) {
    QN_NO_UNROLL for (; bytes >= QN_ROW_WORD; bytes -= QN_ROW_WORD, to += QN_ROW_WORD, from += step) __builtin_memcpy(to, from, QN_ROW_WORD);
    QN_NO_UNROLL for (; bytes >= 8; bytes -= 8, to += 8, from += 8) __builtin_memcpy(to, from, 8);
    QN_NO_UNROLL for (; bytes > 0; bytes--) *to++ = *from++;
}

static void qn_rows_word(unsigned char word[QN_ROW_WORD], int32_t byte) {
    const uint64_t part = (uint64_t)(byte & 255) * 0x0101010101010101u;
    int32_t i;
    for (i = 0; i < QN_ROW_WORD; i += 8) __builtin_memcpy(word + i, &part, 8);
}

// Both ends of all rows; nothing else writes there.
static void qn_rows_fill_ends(const struct qn_row_buffer *b, unsigned char *slots) {
    unsigned char word[QN_ROW_WORD], *end = slots + (ptrdiff_t)b->slots * b->row_bytes;
    const int32_t row = b->row_bytes, left = b->left_bytes, right = b->right_bytes;
    if (!(left | right)) return;
    qn_rows_word(word, b->fill);
    for (; slots < end; slots += row) {
        qn_rows_copy(slots, word, 0, left);
        qn_rows_copy(slots + row - right, word, 0, right);
    }
}

// The rows from slot `from` on, `count` of them, to the first slots.
static void qn_rows_move(const struct qn_row_buffer *b, unsigned char *slots, int32_t from, int32_t count) {
    int32_t i;
    for (i = 0; from && i < count; i++)
        qn_rows_copy(slots + (ptrdiff_t)i * b->row_bytes, slots + (ptrdiff_t)(from + i) * b->row_bytes, QN_ROW_WORD, b->row_bytes);
}

// Makes rows [made, need.high) of the buffer: its halo here, the others by their step.
static void qn_rows_make(const struct qn_row_buffer *b, unsigned char *slots, int32_t made, struct qn_row_range need,
                                qn_fused_step *run, void *context, int32_t index) {
    const int32_t begin = qn_row_within(made, 0, b->height), end = qn_row_within(need.high, 0, b->height);
    unsigned char word[QN_ROW_WORD];
    int32_t y;
    qn_rows_word(word, b->fill);
    for (y = made; y < need.high; y++)
        if (y < 0 || y >= b->height) qn_rows_copy(slots + (ptrdiff_t)(y - need.low) * b->row_bytes, word, 0, b->row_bytes);
    if (begin < end) run(context, index, begin * b->calls, end * b->calls);
}

QN_ENTRY void qn_fused_run(const struct qn_fused *fused, unsigned char *memory, int own, unsigned char **rows,
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

// ---- of a compiled model

static void qn_fused_task(void *context, int32_t index, int32_t begin, int32_t end) {
    struct qn_fused_steps *own = (struct qn_fused_steps *)context;
    own->steps[index].task(&own->context, own->worker, begin, end);
}

QN_ENTRY void qn_fused_rows(void *context, int worker, int32_t begin, int32_t end) {
    struct qn_fused_steps own = *(const struct qn_fused_steps *)context;
    const struct qn_program *program = own.program;
    unsigned char *memory = own.context.arena, *rows[QN_MOST_FUSED];
    if (worker) memory += program->plan_bytes + program->scratch_bytes + (size_t)(worker - 1) * program->worker_bytes;
    own.context.rows = rows;
    own.worker = worker;
    qn_fused_run(own.steps->fused, memory, worker != 0, rows, qn_fused_task, &own, begin, end);
}
