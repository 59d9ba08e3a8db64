// What every compiled model does in the same way: checks, the arena's layout, and the loop over its steps. The code
// generators add only data and one task a step. Linked as bitcode by the LLVM route, as text by the C route.
//
// An arena is: a header of 64 bytes; the memory plan (plan_bytes), states at its end; scratch_bytes for the first thread; worker_bytes for each
// other, the last scratch_bytes of them its scratch, the others for rows of fused steps. All are multiples of 64.
#ifndef QN_ENTRY_H
#define QN_ENTRY_H
#include "runtime/fused.h"
#include "runtime/qanat.h"
#include "runtime/state.h"

enum { QN_ARENA_HEADER_BYTES = 64, QN_ARENA_ALIGN = 64 };

// What a step's task is called with. `arena` is the start of the memory plan; `sizes` those of this run, where any vary; `rows`
// the worker's row buffers, in fused steps.
struct qn_context {
    unsigned char *arena;
    const void *const *inputs;
    void *const *outputs;
    const int32_t *sizes;
    unsigned char *const *rows;
};

// fused: of the first of steps that run together; their rows and grain are the last one's. NULL: it runs alone.
struct qn_step {
    qn_task *task;
    int32_t rows, grain;
    const struct qn_fused *fused;
};

// Where sizes vary. The steps for sizes from `least` to `most`; sizes that the model does not have are 1 in all lists.
enum { QN_MAX_SIZES = 4 };
struct qn_variant {
    int32_t first_step, step_count;
    int32_t least[QN_MAX_SIZES], most[QN_MAX_SIZES];
};
// A summand of a step's rows: factor times each size to its power. Ordered by step.
struct qn_rows_term {
    int32_t step, factor;
    int32_t power[QN_MAX_SIZES];
};

struct qn_program {
    const struct qn_step *steps;
    int32_t step_count, input_count, output_count;
    uint64_t cpu_features; // QN_CPU_BIT of all that the code uses
    size_t plan_bytes, scratch_bytes, worker_bytes;
    int32_t size_count, variant_count, term_count; // all 0 where no size varies
    const struct qn_variant *variants;             // the first that the sizes lie in is run; the last holds all others
    const struct qn_rows_term *terms;              // none for a step: its rows don't vary
    const struct qn_size *sizes;
    const struct qn_states *states; // NULL: none
    qn_task *fused_rows;            // qn_fused_rows, for the instructions of this program; NULL where no steps run together
    const char *target;
    const struct qn_program *next; // the same model for a target that is less; NULL: there is none
};

// The arena's header: what init leaves there.
struct qn_arena_header {
    const struct qn_program *program;
    int32_t threads;
    int32_t turn; // which of each state's two places the next run reads
};

// Steps that run together, on their way through a run.
struct qn_fused_steps {
    struct qn_context context;
    const struct qn_program *program;
    const struct qn_step *steps; // the first of them
    int32_t worker;
};

// A qn_task: rows of the last of them, in the worker's own row buffers; context: a struct qn_fused_steps.
QN_ENTRY void qn_fused_rows(void *context, int worker, int32_t begin, int32_t end);

// `program`: the first of the model's programs. An arena has room for any of them.
QN_ENTRY size_t qn_entry_arena_bytes(const struct qn_program *program, int threads);
QN_ENTRY int qn_entry_init(const struct qn_program *program, void *arena, const struct qn_options *options);
QN_ENTRY int qn_entry_run(const struct qn_program *program, void *arena, const void *const *inputs,
                          void *const *outputs, const struct qn_pool *pool);
QN_ENTRY int qn_entry_reset(const struct qn_program *program, void *arena);
QN_ENTRY const char *qn_entry_target(const struct qn_program *program, const void *arena);
#endif
