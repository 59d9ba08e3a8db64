// Which layers of a network of mixed precisions the calibration table's corrections are for, and what a unit of their sums is.
#pragma once
#include "passes/pass.h"

// The convolution or linear layer that computes the tensor `name` of the float network in integers, of constant weights; NULL: none does.
Op *integer_layer(Func *func, const char *name);
// An output channel's sum, as an integer, stands for so much a unit.
double sum_scale(const Op *layer, int64_t channel);
// Corrections are for weights that are rounded as by default.
bool takes_corrections(const PassContext *context);
