// How near quantized networks' outputs are to the float one's on a few samples. Of a softmax, what it is of counts: shares round to 0 and 1.
#pragma once
#include "ir/tables.h"
#include "quant/observe.h"
#include "quant/runner.h"

// What the float network, whose program is `runner`'s, is given for each of a few samples, and what it gives.
typedef struct Reference Reference;
// Of a stream, whose samples begin with the states that the one before left, only every `judged`-th counts, the first ones not.
Reference *reference_new(Arena *arena, const Module *network, const Runner *runner, int samples, bool is_stream, int judged);
// Of how many samples there is room for that, from `least` to `most`.
int reference_samples(const Runner *runner, int least, int most);
// Takes a sample after its run, which began with all states at their start (of a stream, the first's); each sample by one thread.
// Those from `samples` on are not kept.
void reference_take(Reference *reference, int sample, const Runner *runner, const RunnerState *state);

// What the i8 forms of networks[i], with default options and tables[i], whose factors they have, are compared by: signal to noise in dB,
// the mean over the outputs; -infinity where one can't be made. Returns the nearest one; the first, unless another one is nearer by
// `enough`. Samples are no longer run when those before leave no doubt. The same for any number of threads.
int nearest(const Reference *reference, const PassContext *context, int count, const Module *const *networks,
            const CalibrationTable *const *tables, double enough, int threads);
