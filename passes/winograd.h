// What speaks against Winograd's method for a convolution.
#pragma once
#include "ir/ir.h"

// It is not of 3x3 windows side by side, in one group, of constant weights: it could never be.
bool winograd_never(const Op *conv2d);
// Why tiles of `tile` x `tile` outputs are not to be had; NULL: nothing speaks against it.
const char *winograd_refusal(const Op *conv2d, int64_t tile);
