// How near quantized networks' outputs are to the float one's on a few samples.
#pragma once
#include "ir/tables.h"
#include "quant/observe.h"
#include "quant/runner.h"

// What the float network, which is `runner`'s, is given for each of a few samples, and what it gives.
typedef struct Reference Reference;
Reference *reference_new(Arena *arena, const Runner *runner, int samples);
// Of how many samples there is room for that, from `least` to `most`.
int reference_samples(const Runner *runner, int least, int most);
// Takes a sample after its run, which began with all states at their start; each sample by one thread.
void reference_take(Reference *reference, int sample, const Runner *runner, const RunnerState *state);

// decibels[i]: signal to noise of the i8 network with default options and tables[i], the mean over the outputs; -infinity where it
// can't be made. The same for any number of threads.
void nearness(const Reference *reference, const Module *imported, const PassContext *context, int count, const CalibrationTable *const *tables,
              int threads, double *decibels);
