// A compiled model, loaded into this process: what bench times, and what `run --via llvm|c` runs.
#pragma once
#include "codegen/codegen.h"

typedef struct {
    const struct qn_model *model;
    ProgramFacts facts;
    int threads;
    struct qn_pool *pool; // NULL for one thread
    void *arena;
    void **inputs, **outputs;
    double *sums; // of each thread, for each of the steps that run together
} Native;

// Emits `kn` into `dir` under `name`, as a shared object by LLVM, or (cc not NULL) as C text compiled by the command
// `cc`; loads it and prepares memory for `threads`. False after a message.
bool native_open(Native *native, Arena *arena, Diag *diag, const Module *kn, const Target *target, const char *dir,
                 const char *name, const char *cc, int threads);
void native_close(Native *native);
// The steps of a model whose sizes do not vary, one by one, as model->run does them: their number; one and those that run together
// with it, returning how many; all, with the time of each in microseconds at us[step * stride].
int native_step_count(const Native *native);
int native_run_step(const Native *native, int step);
void native_time_steps(const Native *native, double *us, int stride);
// The median and the least time of each step in microseconds, over `runs` runs after some to warm up; gives the medians' sum.
double native_measure_steps(const Native *native, int runs, double *median, double *least);
// Of the runs that follow, where the model's sizes vary.
void native_set_sizes(const Native *native, const int32_t *sizes);
bool native_run(const Native *native, Diag *diag);
