// Factors for channels (passes/equalize.c), from what calibration data shows of each channel.
#pragma once
#include "quant/calibrate.h"

// Puts the factors, if any, into table->equalized, for the quantized network of default options.
//   RANGE: sqrt(R / r), r a channel's largest magnitude and R the tensor's; R / r where only depthwise convolutions read it,
//          whose weights have a scale a channel
//   CROSS: sqrt(w / r), w the root mean square of the weights that read the channel, each row of them as a share of what it gives:
//          whatever factors the network had before, here and behind, it has the same ones after. R / r as above. A channel that
//          was always 0 gets one that makes its weights as large as the others' are on average, for they share their rows' scales
//   AUTO:  that of these two and NONE whose i8 network is nearest to the float one (signal to noise of the outputs, in dB) on
//          a part of the data; it must be nearer than NONE's by enough to be no accident
// Few digits each, so that tables stay short. Returns the network with the factors in it, as equalized() does; NULL after a message.
const Module *find_factors(Arena *arena, const Module *imported, const PassContext *context, const SampleSource *source,
                           const CalibrateOptions *options, int threads, CalibrationTable *table);
// The network with the table's factors in it; `imported` itself where there are none; NULL after a message.
const Module *equalized(Arena *arena, const Module *imported, const PassContext *context, const CalibrationTable *table);
