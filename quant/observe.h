// Runs the float network over samples with an observer at every tensor.
#pragma once
#include "passes/pass.h"
#include "quant/observer.h"
#include "quant/parallel.h"
#include "quant/runner.h"

// Where samples come from; `load` fills inputs[i], memory of the input's type_bytes, and is called from several threads.
typedef struct {
    int count;
    const char *description; // "100 samples of images/calib"
    bool (*load)(void *context, int sample, void *const *inputs, char *message);
    const char *(*path)(void *context, int sample);
    void (*step)(void *context); // after each sample; may be NULL
    bool keep_states;            // the samples are one stream, in order: then there is one thread
    void *context;
} SampleSource;

// The tensors that were seen, inputs first, and what was seen of each; the observers are the caller's to close, but for those of
// tensors without factors in a set, which are the network's.
typedef struct {
    int count;
    const char **names;
    const Observer **observers;
    Observer *owned;
} Observations;

// What is remembered besides the range: a histogram, magnitudes of channels, the moving averages of samples' extremes.
typedef enum { OBSERVE_RANGES = 0, OBSERVE_BINS = 1, OBSERVE_CHANNELS = 2, OBSERVE_EXTREMES = 4 } ObserveKind;
// mean <- mean + rate * (x - mean), beginning with the first of the last AVERAGED_SAMPLES; what comes before weighs nothing in f32.
enum { AVERAGED_SAMPLES = 4096 };
static const double AVERAGING_RATE = 0.01;

// `imported`: the module after pipeline "import"; it is left as it is. The same for any number of threads. False after a
// message.
bool observe(Arena *arena, const Module *imported, const PassContext *context, const SampleSource *source, ObserveKind kind,
             int threads, Observations *seen);
void observations_close(Observations *seen);

// What was seen of a value; NULL: nothing.
const Observer *observations_find(const Observations *seen, const Value *value);

// The options of a float program on this machine, whatever those of `context` are.
PassContext float_context(const PassContext *context);

// ---- the same in parts, where one program is to see samples more than once

typedef struct Watch Watch;
Watch *watch_new(Arena *arena, const Module *imported, const PassContext *context, int threads); // NULL after a message
void watch_free(Watch *watch);
const Runner *watch_runner(const Watch *watch);
// What is watched, by number: the inputs first. -1: no buffer of that name is.
int watch_count(const Watch *watch);
int watch_find(const Watch *watch, const char *name);
const Type *watch_type(const Watch *watch, int which);

// Besides the network itself, sets of factors of its channels: what would be seen of the networks with these, but for roundings.
typedef struct {
    int sets;
    const ChannelFactors *(*factors)(void *context, int set, const char *tensor); // NULL: it has none
    // By several threads, each a worker; NULL: not wanted. Some rows of what is watched, which begin at element `at`: of all, in order;
    // and after each sample's run.
    void (*saw)(void *context, int worker, int sample, int which, const BufferRows *rows, int64_t at);
    void (*ran)(void *context, int worker, int sample, const Runner *runner, const RunnerState *state);
    void *context;
} ObserveMore;
// seen[0]: the network, seen[1 + set]: with the set's factors. `more`: NULL: none. `threads`: at most watch_new's. The observations
// have names of the watch's.
bool watch_run(Arena *arena, Diag *diag, const Watch *watch, const SampleSource *source, ObserveKind kind, const ObserveMore *more, int threads,
               Observations *seen);
