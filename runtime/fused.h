// Steps that run together over bands of rows (kn.rows). Each but the last makes what the next alone reads, and only the rows
// that a band needs are kept, in memory of the worker's own: they stay in its caches, and in the way of no other worker.
#ifndef QN_FUSED_H
#define QN_FUSED_H
#include <stddef.h>
#include <stdint.h>

#ifndef QN_ENTRY
#define QN_ENTRY
#endif

enum { QN_MOST_FUSED = 5 };

// Where the rows lie that a step makes for the next one, `calls` rows of its kernel's each. Row y of what that makes takes the rows of the
// buffer from (y * stride - pad) >> shift on, `window` of them. The buffer has `top` and `bottom` rows of halo around `height` rows, and bytes of halo
// at both ends of a row; all hold the byte `fill`.
struct qn_row_buffer {
    int32_t height, top, bottom, window, stride, shift, pad, calls;
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

// Runs rows [begin, end) of step `index` of those that are fused.
typedef void qn_fused_step(void *context, int32_t index, int32_t begin, int32_t end);

// Rows [begin, end) of the last step. memory: the memory plan for worker 0, the worker's own for others (`own`). rows[i]: set to
// where element [0, 0, 0, 0] of buffer i would lie, for the steps that write and read it.
QN_ENTRY void qn_fused_run(const struct qn_fused *fused, unsigned char *memory, int own, unsigned char **rows,
                           qn_fused_step *run, void *context, int32_t begin, int32_t end);
#endif
