// How near a quantized network's outputs are to the float network's.
#pragma once
#include "quant/observe.h"

// Signal to noise in dB over all samples, the mean of the f32 outputs: the i8 network of default options with this table,
// against the float network, both run here. The same for any number of threads. -infinity: it can't be said (the network
// can't be quantized, has no f32 output, or a sample can't be read).
double nearness(Arena *arena, const Module *imported, const PassContext *context, const SampleSource *source,
                const CalibrationTable *table, int threads);
