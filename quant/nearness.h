// How near a quantized network's outputs are to the float one's on samples.
#pragma once
#include "ir/tables.h"
#include "quant/observe.h"

// The float network and what it gives for each sample, computed once. NULL after a message.
typedef struct Reference Reference;
const Reference *reference_new(Arena *arena, const Module *imported, const PassContext *context, const SampleSource *source, int threads);
void reference_free(const Reference *reference);

// Signal to noise of the i8 network with default options and this table, in dB: the mean over the outputs; -infinity where it can't
// be made. The same for any number of threads.
double nearness(Arena *arena, const Reference *reference, const Module *imported, const PassContext *context, const CalibrationTable *table);
