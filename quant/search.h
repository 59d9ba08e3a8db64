// Which operators a network's output suffers from: each of them alone in i8, with each of several calibration tables.
#pragma once
#include <stdatomic.h>

#include "quant/calibrate.h"
#include "quant/loss.h"
#include "quant/runner.h"

enum { MAX_TABLES = 16 };

typedef struct {
    const SampleSource *source;
    int64_t (*label)(void *context, int sample); // of source->context; -1: none known. NULL: none are
    int table_count;
    const CalibrationTable *tables; // all with the same factors of channels
    Loss loss;
    double expected; // cosine of the outputs that is good enough
    int worst;       // the number of operators that are looked for
    bool exhaustive; // every candidate on every sample
    int threads;
    atomic_bool *stop; // set from elsewhere: what is known then is the result. NULL: never
    void (*progress)(void *context, double share); // of the work that is expected; called by one thread at a time. May be NULL
    void *progress_context;
} SearchOptions;

typedef struct {
    const char *name;          // of the tensor that it computes
    const Op *op;              // of the float network
    double loss[MAX_TABLES];   // mean over `samples`
    double error[MAX_TABLES];  // standard error of that mean
    int samples[MAX_TABLES];   // that it was measured on: fewer where it was clear that the table can't win; 0: not measured
    int best;                  // table
} SensitiveOp;

typedef struct {
    double cosine;    // of the outputs with everything in i8 by the first table, averaged over samples
    double loss;      // the same network's
    int count;        // 0 where `expected` was reached: nothing was searched
    SensitiveOp *ops; // the worst first; of equal ones the earlier
    bool stopped;     // by *stop: samples are missing
} Sensitivity;

// Stops after the network as a whole where that reaches the cosine `expected`. The same for any number of threads. False after a
// message.
bool search_sensitive(Arena *arena, const Module *imported, const PassContext *context, const SearchOptions *options, Sensitivity *result);

// The first table with each operator's best threshold in it, allocated in `arena`.
CalibrationTable search_tuned_table(Arena *arena, const Sensitivity *found, int table_count, const CalibrationTable *tables);

// ---- what searches share

// The order in which samples are taken: the first few of it are spread over all.
int *spread_samples(Arena *arena, int count);
// Whether every f32 output is a number; else what to say in message[MESSAGE_BYTES].
bool outputs_are_finite(const Runner *runner, void *const *outputs, char *message);
LossSample loss_sample(const SearchOptions *options, int sample);
static inline bool search_stopped(const SearchOptions *options) { return options->stop && atomic_load(options->stop); }
