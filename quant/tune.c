// Runs, for each shape of layer, the kernels that could compute it: in turn, in the memory of the whole program, on constants
// that mean nothing. Kernels that are estimated to be several times slower than the best are left out.
#include "quant/tune.h"

#include <string.h>

#include "codegen/steps.h"
#include "quant/measure.h"
#include "runtime/entry.h"
#include "runtime/kernel_table.h"

enum { ROUNDS = 7 };
static const double PIECE_SECONDS = 0.0004; // of a kernel in each round

typedef struct {
    const Steps *steps;
    char *memory, *weights, **inputs, **outputs;
} Memory;

static char *edge_memory(Arena *arena, const Value *buffer) { return measure_buffer(arena, type_bytes(buffer->type)); }

static Memory memory_new(Arena *arena, const Steps *steps) {
    Memory memory = {steps, measure_buffer(arena, (size_t)steps_arena_bytes(steps, 1)),
                     measure_buffer(arena, (size_t)steps->weights_bytes), ARENA_ARRAY(arena, char *, steps->input_count + 1),
                     ARENA_ARRAY(arena, char *, steps->output_count + 1)};
    steps_write_weights(steps, (unsigned char *)memory.weights);
    for (int i = 0; i < steps->input_count; i++) memory.inputs[i] = edge_memory(arena, steps->inputs[i]);
    for (int i = 0; i < steps->output_count; i++) memory.outputs[i] = edge_memory(arena, steps->outputs[i]);
    return memory;
}

static void *address_in(const Memory *memory, Address address) {
    char *plan = memory->memory + QN_ARENA_HEADER_BYTES;
    switch (address.place) {
    case AT_NOTHING: return NULL;
    case AT_ARENA: return plan + address.offset;
    case AT_WEIGHTS: return memory->weights + address.offset;
    case AT_INPUT: return memory->inputs[address.index] + address.offset;
    case AT_OUTPUT: return memory->outputs[address.index] + address.offset;
    case AT_SCRATCH: return plan + memory->steps->plan_bytes;
    }
    BUG("place %d", address.place);
}

// The rows that are worth a run; returns how many.
static int worth_measuring(const TuneRows *rows, const Step *step, Candidate *candidates) {
    const double hopeless = 4; // times the least estimate
    int count = kernel_candidates(rows->target, rows->only, step->kernel->operands, step->kernel->result, &step->args, candidates), kept = 0;
    double least = 0;
    for (int i = 0; i < count; i++)
        if (!candidates[i].refused && (!least || candidates[i].ns < least)) least = candidates[i].ns;
    for (int i = 0; i < count; i++) {
        const struct qn_kernel_entry *entry = qn_kernel_find(candidates[i].row->symbol);
        if (!candidates[i].refused && entry && entry->fn && candidates[i].ns <= hopeless * least) candidates[kept++] = candidates[i];
    }
    return kept;
}

static MeasuredCall call_new(Arena *arena, const Memory *memory, const Step *step, const KernelInfo *row) {
    MeasuredCall call = {qn_kernel_find(row->symbol)->fn, step->pointer_count, step->args.words,
                         ARENA_ARRAY(arena, void *, step->pointer_count), 0};
    for (int i = 0; i < step->pointer_count; i++) call.ptrs[i] = address_in(memory, step->pointers[i]);
    if (measure_has_weights(row)) measure_weights(arena, row, &step->args, call.ptrs);
    return call;
}

// The one that would be taken without measuring, or one that is faster by more than what measuring is off.
static int fastest(const MeasuredCall *calls, int count, int usual) {
    const double margin = 0.98;
    int best = usual;
    for (int i = 0; i < count; i++)
        if (calls[i].least < margin * calls[best].least) best = i;
    return best;
}

static bool can_measure(const Step *step) {
    if (step->custom || step->varying_count || step->rows <= 0 || args_get(&step->args, "scratch_bytes")) return false;
    // Weights that are computed at run time go to one kernel only.
    return !measure_has_weights(step->kernel) || step->pointers[1].place == AT_WEIGHTS;
}

static bool tune_step(Arena *arena, const TuneRows *rows, const Memory *memory, const Step *step, TuningTable *table) {
    Candidate candidates[MAX_CANDIDATES];
    MeasuredCall calls[MAX_CANDIDATES];
    if (!can_measure(step) || tuning_find(table, step->kernel->operands, step->kernel->result, &step->args)) return false;
    int count = worth_measuring(rows, step, candidates);
    if (count < 2) return false;
    Arena *scratch = arena_new();
    int usual = 0;
    for (int i = 0; i < count; i++) {
        calls[i] = call_new(scratch, memory, step, candidates[i].row);
        if (candidates[i].row == step->kernel) usual = i;
    }
    measure_calls(calls, count, ROUNDS, PIECE_SECONDS);
    arena_free(scratch);
    int best = fastest(calls, count, usual);
    TuningEntry entry = {args_shape(&step->args), candidates[best].row, calls[best].least * 1e9, {.name = step->op->loc.name}};
    tuning_add(arena, table, &entry);
    return true;
}

int tune_program(Arena *arena, const TuneRows *rows, const Module *kn, TuningTable *table) {
    Arena *own = arena_new();
    const Steps *steps = steps_new(own, kn);
    const Memory memory = memory_new(own, steps);
    int added = 0;
    for (int i = 0; i < steps->step_count; i++) added += tune_step(arena, rows, &memory, &steps->steps[i], table);
    arena_free(own);
    return added;
}
