// A planned kn module, resolved: for each call its kernel, the words of its arguments, and where each pointer points.
// The three routes (LLVM, C, in process) all start from this, so that they cannot disagree on an address.
#pragma once
#include "ir/fused.h"
#include "ir/map.h"
#include "ir/sizes.h"
#include "ir/targets.h"
#include "runtime/state.h"

typedef enum { AT_NOTHING, AT_ARENA, AT_WEIGHTS, AT_INPUT, AT_OUTPUT, AT_SCRATCH, AT_ROWS } Place;

// offset: bytes from the start of the memory plan, of the weights, of the caller's memory `index`, or of the worker's
// scratch or row buffer `index`, and so many more as `varying` gives (no terms: none). AT_NOTHING: a NULL pointer.
typedef struct {
    Place place;
    int index;
    int64_t offset;
    SizeExpr varying;
} Address;

// A word of a step's arguments that follows from the sizes of the run.
typedef struct { int word; SizeExpr value; } VaryingWord;

enum { MAX_POINTERS = 14 }; // of custom operators; kernels take at most 7

typedef struct {
    const char *name; // a C identifier, unique in the program: the layer's
    const Op *op;
    const KernelInfo *kernel;       // of a custom operator a stand-in, whose symbol is the user's function
    const struct qn_custom *custom; // what that is told; NULL for kernels
    KernelArgs args;
    int32_t rows, grain; // at the largest sizes
    int varying_count;
    const VaryingWord *varying; // `rows` first where it varies
    int pointer_count; // scratch included
    Address pointers[MAX_POINTERS];
    bool overlap; // the output lies in memory that an operand reads
    int like;     // the first step with the same kernel, arguments and overlap: its own number when there is none before
    int like_count; // steps that are like this one; 0 unless like == its own number
    const struct qn_fused *fused; // of the first of steps that run together, as runtime/fused.h says; NULL
} Step;

typedef struct {
    int64_t offset;
    const Dense *data;
    const char *name; // may be NULL
} WeightBlob;

// A buffer's bytes in the arena, and the steps from its first use to its last; of steps that run together, the first.
typedef struct { int64_t begin, end; int first, last; } Lifetime;

// The steps for sizes within a box.
typedef struct {
    int first, count;
    Sizes box;
} Variant;

typedef struct {
    const Module *module;
    Sizes sizes;       // that vary; none in most programs
    int variant_count; // at least 1: the first whose box the sizes lie in is run
    Variant *variants;
    int step_count, weight_count, input_count, output_count;
    Step *steps;
    WeightBlob *weights;
    const Value **inputs, **outputs; // by index
    int64_t plan_bytes, scratch_bytes, worker_bytes, live_bytes, weights_bytes; // as runtime/entry.h has them
    const struct qn_states *states; // their starts are in this program's memory; NULL: none. The last inputs and outputs
    int life_count;
    Lifetime *lives; // in order of where they begin
    Map *blobs; // by Dense: its WeightBlob
    Map *rows;  // by kn.alloc of rows between fused steps: the int * of its number among theirs
    Map *names; // of steps: the last number behind each, from 1 on
    int kind_count, *kinds; // the steps that are like none before
} Steps;

// Buffers and weights lie at multiples of STEPS_ALIGN; kernels may read STEPS_READ_SLACK bytes before and after them.
enum { STEPS_READ_SLACK = 64, STEPS_ALIGN = 64 };
static inline int64_t steps_align(int64_t bytes) { return (bytes + STEPS_ALIGN - 1) / STEPS_ALIGN * STEPS_ALIGN; }

// Resolved in `arena`. BUG on a module that lowering and plan_memory did not finish.
Steps *steps_new(Arena *arena, const Module *kn);
// Gives programs that stand in one file the same weights: all that one of them has, each once (weights.c).
void steps_share_weights(Arena *arena, int count, Steps *const *programs);
// The arena that `threads` threads need: header, plan and scratch (runtime/entry.h).
int64_t steps_arena_bytes(const Steps *steps, int threads);
// The bytes of all weights in one blob of weights_bytes.
void steps_write_weights(const Steps *steps, unsigned char *blob);
// Where element [0, 0, 0, 0] of a buffer lies.
Address buffer_address(const Steps *steps, const Value *buffer);
// Bytes from the first byte of an image buffer's memory to element [0, 0, 0, 0]: the halo's share.
int64_t buffer_halo_bytes(const Type *type);
// How many rows a step has, where that varies; NULL elsewhere.
const SizeExpr *step_rows_expr(const Step *step);
// `text` as a C identifier.
char *identifier(Arena *arena, const char *text);

// ---- cost.c
double step_macs(const Step *step);
int64_t step_bytes(const Step *step);  // of all operands, read and written once; of a halo, what it fills
int32_t step_grain(const Step *steps, int count); // the fewest rows that are worth another thread, of steps that run together
