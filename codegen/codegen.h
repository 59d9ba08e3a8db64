// From a planned kn module to code: the LLVM route, the C route, and execution in process.
#pragma once
#include "ir/sizes.h"
#include "ir/targets.h"
#include "runtime/qanat.h"

typedef enum { EMIT_OBJ, EMIT_ASM, EMIT_LLVM, EMIT_C, EMIT_LIB, EMIT_SHARED } EmitKind;

// A planned kn module and what it was lowered for.
typedef struct {
    const Target *target;
    const Module *kn;
} TargetProgram;

typedef struct {
    const char *name;  // prefix of the emitted symbols: a C identifier
    EmitKind kind;
    const char *path;  // "-": standard output (asm, llvm, c)
    const char *header_path; // NULL: no header
    int threads;             // to compile on; at most so many are of use as a program has parts
} EmitOptions;

// Facts of a planned program, or of several that are emitted together: the most memory that one takes, the steps of the first.
typedef struct {
    int64_t arena_bytes, live_bytes, weights_bytes, scratch_bytes;
    int64_t code_bytes; // of the emitted object: text; 0 before
    int steps;
} ProgramFacts;

// One network's programs, each for another target, the best first: what is emitted runs the first that the processor can.
// Constants that several of them read stand there once. Writes beside and renames: no partial file is left. `facts` may be NULL.
bool emit_programs(int count, const TargetProgram *programs, const EmitOptions *options, Diag *diag, ProgramFacts *facts);
ProgramFacts program_facts(const Module *kn);

// One step of a planned program: a kernel call. In the order of the compiled program's steps (runtime/entry.h).
typedef struct {
    const char *name;
    const KernelInfo *kernel;
    double macs;         // multiply-adds
    int64_t bytes;       // of all operands
    double estimated_ns; // on one core of the target; 0 where ir/cost.def has no figures
    double likely_ns;    // the same, and a guess where there are none
    const char *tensor;  // that it computes, or computes a part of; may be NULL
} StepFacts;
StepFacts *program_step_facts(Arena *arena, const Target *target, const Module *kn, int *count);

// ---- in process: walks the kn ops and calls the kernels that are linked into this binary
typedef struct Program Program;
// NULL with a message when a kernel of the module can't run here.
Program *program_new(Arena *arena, const Module *kn, int threads, Diag *diag);
int program_input_count(const Program *program);
int program_output_count(const Program *program);
const Value *program_input(const Program *program, int index);  // kn.input's buffer: type as the user sees it; states follow
const Value *program_output(const Program *program, int index);
// Called after the step that completes `buffer` (a value of a kn.alloc or kn.output, with the name of its tensor).
// data points past the halo; strides follow from the buffer's type.
typedef void ProgramTap(void *context, const Value *buffer, const void *data);
// Called with rows [begin, end) of the image that `buffer` holds, each row once and in their order, where steps run together and the
// image is never there as a whole; data: where its element [0, 0, 0, 0] would lie.
typedef void ProgramRowsTap(void *context, const Value *buffer, const void *data, int32_t begin, int32_t end);
// States (ir/state.h) are no inputs or outputs here: they are in the arena, and stay there from one run to the next.
// The sizes that vary; none in most programs, which take no `sizes` (NULL), and alone can be tapped.
const Sizes *program_sizes(const Program *program);
// `arena`: memory of program_arena_bytes, aligned to 64: one a thread that runs the program. NULL tap: none.
size_t program_arena_bytes(const Program *program);
void program_run(const Program *program, void *arena, const void *const *inputs, void *const *outputs,
                 const int32_t *sizes, const struct qn_pool *pool, ProgramTap *tap, void *context);
// With taps of both kinds, either of which may be NULL; without a pool.
void program_run_tapped(const Program *program, void *arena, const void *const *inputs, void *const *outputs, ProgramTap *tap,
                        ProgramRowsTap *rows_tap, void *context);
// States are what they begin with: before the first run in an arena of zeros, and for each run that shall not go on from the last.
void program_reset(const Program *program, void *arena);
int program_state_count(const Program *program);
const void *program_state(const Program *program, const void *arena, int index); // what the next run reads
// In a tap of `buffer`: what is in `arena` of use to what comes behind, copied to `fork`, as large.
void program_fork(const Program *program, const Value *buffer, const void *arena, void *fork);
// What is left of a run once `buffer`, which a tap was called with, is complete; `arena` and `outputs` hold what they held then.
void program_resume(const Program *program, const Value *buffer, void *arena, const void *const *inputs, void *const *outputs);

// ---- a compiled shared object, loaded: for run --via, bench and the tests
const struct qn_model *load_shared(const char *path, const char *name, Diag *diag);
