// Method `auto`: for each tensor the table whose threshold disturbs what reads the tensor least.
#pragma once
#include "ir/tables.h"
#include "quant/observe.h"

// `tables` (count of them, at most MAX_CHOICES) have entries for the same tensors in the same order; of each the best one goes to `chosen`,
// of equal ones the first. Of each operator that reads a tensor, two results are compared on a part of the samples: of the float
// tensor and of the tensor as the table quantizes it, weights and other operands in float. The disturbance is the energy of the
// difference over that of the result, added up over the operators; of what the network gives out, that of the tensor itself.
// False after a message.
enum { MAX_CHOICES = 8 };
bool choose_thresholds(Arena *arena, const Module *network, const PassContext *context, const SampleSource *source, int count,
                       const CalibrationTable *tables, int threads, CalibrationTable *chosen);
