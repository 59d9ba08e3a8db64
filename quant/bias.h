// Corrections of biases (passes/correct_bias.h), from what calibration data shows of the layers' operands.
#pragma once
#include "quant/calibrate.h"

// For each channel of a layer, what rounding its weights takes from the mean of its result, W x - W_q x over a part of the samples.
// They hold for the weights of default options.
//   ON:   whatever it does
//   AUTO: where the i8 network with those of every other sample is nearer to the float one (signal to noise of the outputs, in dB) on
//         the samples between; then of all of them
// A few digits each. The same for any number of threads.
typedef struct Corrections Corrections;

// What is to be seen for that while `watch` runs the network, which has the factors of channels in it, over the source; NULL: nothing.
Corrections *corrections_new(const Module *network, const PassContext *context, const SampleSource *source, const CalibrateOptions *options,
                             const Watch *watch, int threads);
ObserveMore corrections_more(Corrections *corrections);
// Then, with the table's ranges: puts the corrections, if any, into table->corrected.
void corrections_find(Arena *arena, Corrections *corrections, CalibrationTable *table);
void corrections_free(Corrections *corrections); // or NULL
