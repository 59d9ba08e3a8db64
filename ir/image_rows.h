// Steps of a camera frame's preprocessing by the rows that they make and read.
#pragma once
#include "ir/fused.h"

// Does the call, one of such a step, make or read rows of images of bytes?
bool is_image_step(const KernelArgs *args);
// Does `user` make each row of its result from some rows of what `maker` makes, an image of the type? Then `buffer` says from which.
// Who else reads it, and what lies around it, is not looked at.
bool image_rows_between(const Op *maker, const KernelArgs *made, const Type *type, const Op *user, const KernelArgs *used, struct qn_row_buffer *buffer);

// May it be the last, reading rows of `row_bytes`? Rows of what resamples along them are pixels: others may follow only.
bool image_rows_end(const KernelArgs *args, int32_t row_bytes);
