// Execution in process: a planned kn module, its addresses resolved beforehand, run by calling the kernels that are
// linked into this program with arguments as data. Nothing is compiled, and every buffer can be looked at (taps).
#include <stdlib.h>
#include <string.h>

#include "codegen/codegen.h"
#include "codegen/steps.h"
#include "ir/custom.h"
#include "runtime/entry.h"
#include "runtime/kernel_table.h"

// A buffer that is complete after a step.
typedef struct {
    const Value *buffer;
    Address address;
    int step;
} Tap;

struct Program {
    const Steps *steps;
    int threads;
    void (**kernels)(void); // one a step
    const unsigned char *weights;
    Tap *taps; // in order of step
    int tap_count;
};

// ---- preparing

// By buffer the last step that writes it, through itself or a view of it: the Step.
static Map *last_writes(Arena *arena, const Steps *steps) {
    Map *last = map_new_pointers(arena);
    for (int i = 0; i < steps->step_count; i++) {
        const Op *call = steps->steps[i].op;
        int first = steps->steps[i].custom ? steps->steps[i].custom->input_count : call->operand_count - 1;
        for (int k = first; k < call->operand_count; k++)
            for (const Value *out = call->operands[k].value; out; out = out->def->kind == OP_kn_view ? as_kn_view(out->def).source : NULL)
                *map_get(last, out) = &steps->steps[i];
    }
    return last;
}

static int compare_taps(const void *a, const void *b) {
    const Tap *x = a, *y = b;
    if (x->step != y->step) return x->step < y->step ? -1 : 1;
    return x->buffer < y->buffer ? -1 : x->buffer > y->buffer;
}

static void find_taps(Arena *arena, Program *program) {
    const Func *func = module_main(program->steps->module);
    Arena *scratch = arena_new();
    const Map *writes = last_writes(scratch, program->steps);
    int ops = 1;
    FOR_EACH_OP(func, op) ops++;
    program->taps = ARENA_ARRAY(arena, Tap, ops);
    FOR_EACH_OP(func, op) {
        if (op->kind != OP_kn_alloc && op->kind != OP_kn_output) continue;
        if (map_find(program->steps->rows, op)) continue; // never there as a whole
        const Step *step = map_find(writes, &op->results[0]);
        if (!step) continue;
        program->taps[program->tap_count++] = (Tap){&op->results[0], buffer_address(program->steps, &op->results[0]), (int)(step - program->steps->steps)};
    }
    arena_free(scratch);
    qsort(program->taps, (size_t)program->tap_count, sizeof(Tap), compare_taps);
}

static bool find_kernels(Arena *arena, Program *program, Diag *diag) {
    const Steps *steps = program->steps;
    Map *runs = map_new_texts(arena); // asking the processor takes a virtual machine microseconds
    program->kernels = arena_alloc(arena, sizeof *program->kernels * (size_t)(steps->step_count + 1));
    for (int i = 0; i < steps->step_count; i++) {
        const char *symbol = steps->steps[i].kernel->symbol;
        if (steps->steps[i].custom) {
            program->kernels[i] = (void (*)(void))custom_find(diag, steps->steps[i].op->loc, symbol);
            if (!program->kernels[i]) return false;
            continue;
        }
        const struct qn_kernel_entry *entry = qn_kernel_find(symbol);
        const char *isa = steps->steps[i].kernel->isa;
        if (!map_find(runs, isa)) *map_get(runs, isa) = (void *)(uintptr_t)target_for_isa(isa);
        if (!entry || !entry->fn || !map_find(runs, isa))
            return diag_error(diag, steps->steps[i].op->loc,
                              "kernel '%s' can't run on this machine; choose a target of this machine", symbol);
        program->kernels[i] = entry->fn;
    }
    return true;
}

Program *program_new(Arena *arena, const Module *kn, int threads, Diag *diag) {
    Program *program = ARENA_NEW(arena, Program);
    program->steps = steps_new(arena, kn);
    program->threads = threads > 1 ? threads : 1;
    if (!find_kernels(arena, program, diag)) return NULL;
    unsigned char *memory = arena_alloc(arena, (size_t)program->steps->weights_bytes + 64);
    memory += -(uintptr_t)memory % 64;
    steps_write_weights(program->steps, memory);
    program->weights = memory;
    find_taps(arena, program);
    return program;
}

int program_input_count(const Program *program) { return program->steps->input_count; }
int program_state_count(const Program *program) { return program->steps->states ? program->steps->states->count : 0; }
int program_output_count(const Program *program) { return program->steps->output_count; }
const Value *program_input(const Program *program, int index) { return program->steps->inputs[index]; }
const Value *program_output(const Program *program, int index) { return program->steps->outputs[index]; }
size_t program_arena_bytes(const Program *program) {
    return (size_t)steps_arena_bytes(program->steps, program->threads);
}

// ---- running

typedef struct {
    const Program *program;
    struct qn_context memory;
    int step;
    KernelArgs args; // of the step
    ProgramTap *tap;
    ProgramRowsTap *rows_tap;
    void *tap_context;
} Run;

static void *pointer_at(const Run *run, Address address, int worker) {
    const Steps *steps = run->program->steps;
    if (address.varying.count) address.offset += size_expr_at(&address.varying, run->memory.sizes);
    switch (address.place) {
    case AT_NOTHING: return NULL;
    case AT_ARENA: return run->memory.arena + address.offset;
    case AT_WEIGHTS: return (void *)(uintptr_t)(run->program->weights + address.offset);
    case AT_INPUT: return (char *)(uintptr_t)run->memory.inputs[address.index] + address.offset;
    case AT_OUTPUT: return (char *)run->memory.outputs[address.index] + address.offset;
    case AT_SCRATCH: return run->memory.arena + steps->plan_bytes + worker * steps->worker_bytes;
    case AT_ROWS: return run->memory.rows[address.index] + address.offset;
    }
    BUG("place %d", address.place);
}

static void run_rows(void *context, int worker, int32_t begin, int32_t end) {
    const Run *run = context;
    const Step *step = &run->program->steps->steps[run->step];
    void *pointers[MAX_POINTERS];
    for (int i = 0; i < step->pointer_count; i++) pointers[i] = pointer_at(run, step->pointers[i], worker);
    if (step->custom) {
        int inputs = step->custom->input_count;
        ((qn_custom_fn *)run->program->kernels[run->step])(step->custom, (const void *const *)pointers, pointers + inputs);
        return;
    }
    const int32_t *words = step->varying_count ? run->args.words : step->args.words;
    qn_kernel_call(run->program->kernels[run->step], step->pointer_count, words, pointers, begin, end);
}

// ---- steps that run together

typedef struct { Run run; int first, worker; } FusedRun;

static void run_fused_step(void *context, int32_t index, int32_t begin, int32_t end) {
    FusedRun *fused = context;
    fused->run.step = fused->first + index;
    run_rows(&fused->run, fused->worker, begin, end);
    const Op *call = fused->run.program->steps->steps[fused->run.step].op;
    const Value *made = op_operand(call, call->operand_count - 1);
    if (fused->run.rows_tap && map_find(fused->run.program->steps->rows, made->def))
        fused->run.rows_tap(fused->run.tap_context, made, fused->run.memory.rows[index], begin, end);
}

// A qn_task: each worker has row buffers of its own.
static void run_fused_rows(void *context, int worker, int32_t begin, int32_t end) {
    const Run *run = context;
    const Steps *steps = run->program->steps;
    FusedRun own = {*run, run->step, worker};
    unsigned char *rows[QN_MOST_FUSED], *memory = run->memory.arena;
    if (worker) memory += steps->plan_bytes + steps->scratch_bytes + (worker - 1) * steps->worker_bytes;
    own.run.memory.rows = rows;
    qn_fused_run(steps->steps[run->step].fused, memory, worker != 0, rows, run_fused_step, &own, begin, end);
}

// Makes `step` the one to run, with the arguments that the sizes give. Returns its rows.
static int32_t run_begin(Run *run, int index) {
    const Step *step = &run->program->steps->steps[index];
    run->step = index;
    if (!step->varying_count) return step->rows;
    run->args = step->args;
    for (int i = 0; i < step->varying_count; i++)
        run->args.words[step->varying[i].word] = (int32_t)size_expr_at(&step->varying[i].value, run->memory.sizes);
    return run->args.words[0];
}

static bool in_box(const Sizes *box, const int32_t *sizes) {
    for (int i = 0; i < box->count; i++)
        if (sizes[i] < box->items[i].least || sizes[i] > box->items[i].most) return false;
    return true;
}

static const Variant *choose_variant(const Steps *steps, const int32_t *sizes) {
    for (int i = 0; i < steps->variant_count; i++)
        if (in_box(&steps->variants[i].box, sizes)) return &steps->variants[i];
    BUG("sizes beyond their bounds");
}

// Runs step `index` and those that run together with it; returns the last of them.
static int run_step(Run *run, int index, const struct qn_pool *pool) {
    const Step *steps = run->program->steps->steps;
    const struct qn_fused *fused = steps[index].fused;
    const int last = index + (fused ? fused->count - 1 : 0);
    qn_task *task = fused ? run_fused_rows : run_rows;
    int32_t rows = run_begin(run, index), grain = steps[last].grain;
    if (fused) rows = steps[last].rows;
    if (pool && pool->threads > 1 && rows / 2 >= grain) pool->run(pool, task, run, rows, grain);
    else task(run, 0, 0, rows);
    return last;
}

// An arena begins as that of a compiled model does.
static int32_t *turn_of(void *arena) { return &((struct qn_arena_header *)arena)->turn; }

static Run run_new(const Program *program, void *arena, const void *const *inputs, void *const *outputs, const int32_t *sizes) {
    Run run = {.program = program, .memory = {(unsigned char *)arena + QN_ARENA_HEADER_BYTES, inputs, outputs, sizes, NULL}};
    if (program->steps->states) qn_states_bind(program->steps->states, run.memory.arena, *turn_of(arena), &run.memory.inputs, &run.memory.outputs);
    return run;
}

void program_reset(const Program *program, void *arena) {
    if (!program->steps->states) return;
    *turn_of(arena) = 0;
    qn_states_reset(program->steps->states, (unsigned char *)arena + QN_ARENA_HEADER_BYTES);
}

const void *program_state(const Program *program, const void *arena, int index) {
    const size_t *offset = program->steps->states->items[index].offset;
    return (const unsigned char *)arena + QN_ARENA_HEADER_BYTES + offset[((const struct qn_arena_header *)arena)->turn];
}

static void run_all(Run *run, const struct qn_pool *pool) {
    const Program *program = run->program;
    const Variant *variant = choose_variant(program->steps, run->memory.sizes);
    for (int i = variant->first, next_tap = 0; i < variant->first + variant->count; i++) {
        i = run_step(run, i, pool);
        for (; next_tap < program->tap_count && program->taps[next_tap].step == i; next_tap++)
            if (run->tap)
                run->tap(run->tap_context, program->taps[next_tap].buffer, pointer_at(run, program->taps[next_tap].address, 0));
    }
}

void program_run(const Program *program, void *arena, const void *const *inputs, void *const *outputs,
                 const int32_t *sizes, const struct qn_pool *pool, ProgramTap *tap, void *context) {
    const Steps *steps = program->steps;
    BUG_UNLESS(!pool || pool->threads <= program->threads, "a pool of %d threads for a program of %d", pool->threads,
               program->threads);
    BUG_UNLESS(!tap || !steps->sizes.count, "taps of a program whose buffers vary");
    Run run = run_new(program, arena, inputs, outputs, sizes);
    run.tap = tap, run.tap_context = context;
    run_all(&run, pool);
    if (steps->states) *turn_of(arena) = 1 - *turn_of(arena);
}

void program_run_tapped(const Program *program, void *arena, const void *const *inputs, void *const *outputs, ProgramTap *tap,
                        ProgramRowsTap *rows_tap, void *context) {
    BUG_UNLESS(!program->steps->sizes.count, "taps of a program whose buffers vary");
    Run run = run_new(program, arena, inputs, outputs, NULL);
    run.tap = tap, run.rows_tap = rows_tap, run.tap_context = context;
    run_all(&run, NULL);
    if (program->steps->states) *turn_of(arena) = 1 - *turn_of(arena);
}

static int step_of_tap(const Program *program, const Value *buffer) {
    for (int i = 0; i < program->tap_count; i++)
        if (program->taps[i].buffer == buffer) return program->taps[i].step;
    return program->steps->step_count;
}

void program_fork(const Program *program, const Value *buffer, const void *arena, void *fork) {
    const Steps *steps = program->steps;
    const int step = step_of_tap(program, buffer);
    for (int i = 0; i < steps->life_count; i++) {
        const Lifetime *life = &steps->lives[i];
        const size_t offset = QN_ARENA_HEADER_BYTES + (size_t)life->begin;
        if (life->first <= step && life->last > step) memcpy((char *)fork + offset, (const char *)arena + offset, (size_t)(life->end - life->begin));
    }
    if (!steps->states) return;
    const size_t offset = QN_ARENA_HEADER_BYTES + steps->states->addresses;
    memcpy((char *)fork + offset, (const char *)arena + offset, QN_ARENA_HEADER_BYTES + (size_t)steps->plan_bytes - offset);
    *turn_of(fork) = ((const struct qn_arena_header *)arena)->turn;
}

void program_resume(const Program *program, const Value *buffer, void *arena, const void *const *inputs, void *const *outputs) {
    const Steps *steps = program->steps;
    BUG_UNLESS(!steps->sizes.count, "resuming a program whose buffers vary");
    Run run = run_new(program, arena, inputs, outputs, NULL);
    for (int i = step_of_tap(program, buffer) + 1; i < steps->step_count; i++) i = run_step(&run, i, NULL);
}

const Sizes *program_sizes(const Program *program) { return &program->steps->sizes; }
