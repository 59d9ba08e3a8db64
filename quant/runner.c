// Memory for running a program in process on several workers, and the walk over a buffer's rows.
#include "quant/runner.h"

#include <stdlib.h>
#include <string.h>

struct Runner {
    Program *program;
    int workers, input_count, output_count;
    RunnerState *states, *spares; // spares: arena and outputs NULL until asked for
};

Module *lower_watched(Arena *arena, const Module *imported, const PassContext *context, bool alone) {
    PassContext own = *context;
    own.alone = alone;
    own.watched = true;
    own.explain = NULL;
    own.target = target_host();
    own.input_type = own.output_type = ELEM_F32;
    Module *kn = module_clone(arena, imported);
    return run_pipeline(kn, &own, "quantize") && run_pipeline(kn, &own, "lower") ? kn : NULL;
}

// Kernels may read a little before and past a buffer.
enum { ALIGNMENT = 64, SLACK_BYTES = 64 };

static char *memory_new(size_t bytes) {
    size_t room = (bytes + 2 * SLACK_BYTES + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    char *memory = aligned_alloc(ALIGNMENT, room);
    BUG_UNLESS(memory, "out of memory: %zu bytes", room);
    memset(memory, 0, room);
    return memory + SLACK_BYTES;
}

static void memory_free(void *memory) {
    if (memory)
        free((char *)memory - SLACK_BYTES);
}

Runner *runner_new(Arena *arena, const Module *kn, int workers, Diag *diag) {
    Runner *runner = ARENA_NEW(arena, Runner);
    runner->program = program_new(arena, kn, 1, diag);
    if (!runner->program)
        return NULL;
    runner->workers = workers;
    runner->input_count = program_input_count(runner->program);
    runner->output_count = program_output_count(runner->program);
    runner->states = ARENA_ARRAY(arena, RunnerState, workers);
    runner->spares = ARENA_ARRAY(arena, RunnerState, workers);
    for (int w = 0; w < workers; w++) {
        RunnerState *state = &runner->states[w];
        state->arena = memory_new(program_arena_bytes(runner->program));
        state->inputs = ARENA_ARRAY(arena, void *, runner->input_count + 1);
        state->outputs = ARENA_ARRAY(arena, void *, runner->output_count + 1);
        runner->spares[w].outputs = ARENA_ARRAY(arena, void *, runner->output_count + 1);
        for (int i = 0; i < runner->input_count; i++)
            state->inputs[i] = memory_new(type_bytes(program_input(runner->program, i)->type));
        for (int i = 0; i < runner->output_count; i++)
            state->outputs[i] = memory_new(type_bytes(program_output(runner->program, i)->type));
    }
    return runner;
}

RunnerState *runner_spare(const Runner *runner, int worker) {
    RunnerState *spare = &runner->spares[worker];
    if (spare->arena) return spare;
    spare->inputs = runner->states[worker].inputs;
    spare->arena = memory_new(program_arena_bytes(runner->program));
    for (int i = 0; i < runner->output_count; i++)
        spare->outputs[i] = memory_new(type_bytes(program_output(runner->program, i)->type));
    return spare;
}

void *runner_fork(const Runner *runner, int worker, const Value *buffer, const void *data) {
    const RunnerState *state = &runner->states[worker], *spare = runner_spare(runner, worker);
    const char *at = data, *arena = state->arena;
    size_t bytes = program_arena_bytes(runner->program);
    void *place = at >= arena && at < arena + bytes ? (char *)spare->arena + (at - arena) : NULL;
    program_fork(runner->program, buffer, arena, spare->arena);
    for (int i = 0; i < runner->output_count; i++) {
        const char *output = state->outputs[i];
        size_t output_bytes = type_bytes(program_output(runner->program, i)->type);
        memcpy(spare->outputs[i], output, output_bytes);
        if (at >= output && at < output + output_bytes) place = (char *)spare->outputs[i] + (at - output);
    }
    BUG_UNLESS(place, "a buffer that is nowhere");
    return place;
}

void runner_resume(const Runner *runner, int worker, const Value *buffer) {
    const RunnerState *spare = &runner->spares[worker];
    program_resume(runner->program, buffer, spare->arena, (const void *const *)spare->inputs, spare->outputs);
}

void runner_free(const Runner *runner) {
    for (int w = 0; w < runner->workers; w++) {
        memory_free(runner->states[w].arena);
        memory_free(runner->spares[w].arena);
        for (int i = 0; i < runner->input_count; i++)
            memory_free(runner->states[w].inputs[i]);
        for (int i = 0; i < runner->output_count; i++)
            memory_free(runner->states[w].outputs[i]), memory_free(runner->spares[w].outputs[i]);
    }
}

RunnerState *runner_state(const Runner *runner, int worker) {
    return &runner->states[worker];
}

void runner_run(const Runner *runner, int worker, ProgramTap *tap, void *context) {
    runner_reset(runner, worker);
    runner_continue(runner, worker, tap, context);
}

void runner_reset(const Runner *runner, int worker) {
    program_reset(runner->program, runner->states[worker].arena);
}

void runner_continue(const Runner *runner, int worker, ProgramTap *tap, void *context) {
    RunnerState *state = &runner->states[worker];
    program_run(runner->program, state->arena, (const void *const *)state->inputs, state->outputs, state->sizes, NULL,
                tap, context);
}

void runner_continue_tapped(const Runner *runner, int worker, ProgramTap *tap, ProgramRowsTap *rows_tap, void *context) {
    RunnerState *state = &runner->states[worker];
    program_run_tapped(runner->program, state->arena, (const void *const *)state->inputs, state->outputs, tap, rows_tap, context);
}

int runner_input_count(const Runner *runner) {
    return runner->input_count;
}

int runner_state_count(const Runner *runner) {
    return program_state_count(runner->program);
}

const void *runner_input(const Runner *runner, int worker, int index) {
    const RunnerState *state = &runner->states[worker];
    const int inputs = runner->input_count;
    return index < inputs ? state->inputs[index] : program_state(runner->program, state->arena, index - inputs);
}

int runner_output_count(const Runner *runner) {
    return runner->output_count;
}

const Type *runner_input_type(const Runner *runner, int index) {
    return program_input(runner->program, index)->type;
}

const Value *runner_output(const Runner *runner, int index) {
    return program_output(runner->program, index);
}

static bool has_halo(const Type *type) {
    const int32_t *halo = type->halo;
    return type->rank == 4 && (halo[0] | halo[1] | halo[2] | halo[3]);
}

static size_t row_bytes_of(const Type *type) {
    return (size_t)((type->halo[1] + type->shape[2] + type->halo[3]) * type->shape[3]) * (size_t)elem_bits(type->elem) / 8;
}

BufferRows buffer_rows_between(const Type *type, const void *data, int32_t begin, int32_t end) {
    const int64_t rows = end - begin, elems = type->shape[2] * type->shape[3];
    const size_t row = row_bytes_of(type);
    data = (const char *)data + begin * (ptrdiff_t)row;
    if (!has_halo(type))
        return (BufferRows){data, 1, rows * elems, 1, 0, 0};
    return (BufferRows){data, rows, elems, rows, row, 0};
}

BufferRows buffer_rows_of(const Type *type, const void *data) {
    if (!has_halo(type))
        return (BufferRows){data, 1, type_elem_count(type), 1, 0, 0};
    const int32_t *halo = type->halo;
    const int64_t height = type->shape[1], width = type->shape[2], channels = type->shape[3];
    const size_t row = row_bytes_of(type);
    return (BufferRows){data, type->shape[0] * height, width * channels, height, row, row * (size_t)(halo[0] + height + halo[2])};
}

const void *buffer_row(const BufferRows *rows, int64_t index) {
    return (const char *)rows->data + (size_t)(index / rows->height) * rows->image_bytes + (size_t)(index % rows->height) * rows->row_bytes;
}

void buffer_rows(const Type *type, const void *data, BufferRow *each, void *context) {
    const BufferRows rows = buffer_rows_of(type, data);
    for (int64_t i = 0; i < rows.count; i++)
        each(context, buffer_row(&rows, i), rows.elems);
}
