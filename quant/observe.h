// Runs the float network over samples with an observer at every tensor.
#pragma once
#include "passes/pass.h"
#include "quant/observer.h"
#include "quant/parallel.h"

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

// The tensors that were seen, inputs first, and what was seen of each; the observers are the caller's to close.
typedef struct {
    int count;
    const char **names;
    Observer *observers;
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
