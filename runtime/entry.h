// What every compiled model does in the same way: checks, the arena's layout, and the loop over its steps. The code
// generators add only data and one task a step. Linked as bitcode by the LLVM route, as text by the C route.
//
// An arena is: a header of 64 bytes; the memory plan (plan_bytes); scratch_bytes for each thread. All three are
// multiples of 64.
#ifndef QN_ENTRY_H
#define QN_ENTRY_H
#include "runtime/qanat.h"

enum { QN_ARENA_HEADER_BYTES = 64, QN_ARENA_ALIGN = 64 };

// What a step's task is called with. `arena` is the start of the memory plan.
struct qn_context {
    unsigned char *arena;
    const void *const *inputs;
    void *const *outputs;
};

struct qn_step {
    qn_task *task;
    int32_t rows, grain;
};

struct qn_program {
    const struct qn_step *steps;
    int32_t step_count, input_count, output_count;
    uint64_t cpu_features; // QN_CPU_BIT of all that the code uses
    size_t plan_bytes, scratch_bytes;
};

// The arena's header: what init leaves there.
struct qn_arena_header {
    const struct qn_program *program;
    int32_t threads;
};

#ifndef QN_ENTRY
#define QN_ENTRY
#endif
QN_ENTRY size_t qn_entry_arena_bytes(const struct qn_program *program, int threads);
QN_ENTRY int qn_entry_init(const struct qn_program *program, void *arena, const struct qn_options *options);
QN_ENTRY int qn_entry_run(const struct qn_program *program, void *arena, const void *const *inputs,
                          void *const *outputs, const struct qn_pool *pool);
QN_ENTRY int qn_entry_reset(const struct qn_program *program, void *arena);
#endif
