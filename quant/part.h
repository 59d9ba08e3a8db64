// A few of many samples.
#pragma once
#include "quant/observe.h"

typedef struct { const SampleSource *whole; const int *samples; } Part;

// At most `most`, evenly from all of them in the order of their paths, so that their order does not matter; of a stream the first ones. `part` is what the source
// works with.
SampleSource part_of(Arena *arena, const SampleSource *source, int most, Part *part);
