// A program that runs in process on several threads at once: each worker has an arena, inputs and outputs of its own.
#pragma once
#include "codegen/codegen.h"
#include "passes/pass.h"

typedef struct Runner Runner;
typedef struct {
    void *arena;
    void **inputs, **outputs; // memory of each input and output, aligned to 64 bytes
    int32_t sizes[MAX_SIZES]; // of the next run, where the program's sizes vary
} RunnerState;

// A program of this machine for the network, f32 at its edges, in which every value can be looked at; `alone` as PassContext has it.
// NULL after a message.
Module *lower_watched(Arena *arena, const Module *imported, const PassContext *context, bool alone);
// `kn`: a planned module. NULL after a message. Memory is the runner's: runner_free.
Runner *runner_new(Arena *arena, const Module *kn, int workers, Diag *diag);
void runner_free(const Runner *runner);
RunnerState *runner_state(const Runner *runner, int worker);
// From the start of all states (ir/state.h); runner_continue: from those that the last run left.
void runner_run(const Runner *runner, int worker, ProgramTap *tap, void *context);
void runner_continue(const Runner *runner, int worker, ProgramTap *tap, void *context);
void runner_continue_tapped(const Runner *runner, int worker, ProgramTap *tap, ProgramRowsTap *rows_tap, void *context);
void runner_reset(const Runner *runner, int worker); // states begin anew
// In the middle of a run of one worker, at a tap of `buffer` at `data`: gives `spare` what is left of the run needs of the worker's
// memory, where its place for that buffer is returned; then resumes there. runner_spare: arena and outputs like a worker's own.
RunnerState *runner_spare(const Runner *runner, int worker);
void *runner_fork(const Runner *runner, int worker, const Value *buffer, const void *data);
void runner_resume(const Runner *runner, int worker, const Value *buffer);
int runner_input_count(const Runner *runner);
int runner_output_count(const Runner *runner);
int runner_state_count(const Runner *runner);
// What the next run reads: of the inputs, then of the states.
const void *runner_input(const Runner *runner, int worker, int index);
const Type *runner_input_type(const Runner *runner, int index);
const Value *runner_output(const Runner *runner, int index);

// The elements of a buffer in runs that are contiguous in memory: rows of images with a halo, else all at once.
typedef struct {
    const void *data;
    int64_t count, elems; // rows, elements of each
    int64_t height;       // rows of an image
    size_t row_bytes, image_bytes;
} BufferRows;
BufferRows buffer_rows_of(const Type *type, const void *data);
// Of rows [begin, end) of an image; `data` as a ProgramRowsTap has it.
BufferRows buffer_rows_between(const Type *type, const void *data, int32_t begin, int32_t end);
const void *buffer_row(const BufferRows *rows, int64_t index);
typedef void BufferRow(void *context, const void *row, int64_t elems);
void buffer_rows(const Type *type, const void *data, BufferRow *each, void *context);
