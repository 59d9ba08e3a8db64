// Corrections of biases (passes/correct_bias.h), from what calibration data shows of the layers' operands.
#pragma once
#include "quant/calibrate.h"

// Puts the corrections, if any, into table->corrected: for each channel of a layer, what rounding its weights takes from the mean of its
// result, W x - W_q x over a part of the samples. They hold for the weights of default options. `network` has the table's factors in it.
//   ON:   whatever it does
//   AUTO: where the i8 network with those of every other sample is nearer to the float one (signal to noise of the outputs, in dB) on
//         the samples between; then of all of them
// A few digits each. The same for any number of threads.
void find_corrections(Arena *arena, const Module *network, const PassContext *context, const SampleSource *source,
                      const CalibrateOptions *options, int threads, CalibrationTable *table);
