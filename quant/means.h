// Means of a layer's result, channel by channel, from sums over what its taps read: no result is computed. A tap of a convolution reads
// every place of its operand but for some rows and columns at the edges, so that sums of all taps cost little more than one.
#pragma once
#include "ir/ir.h"

typedef struct Taps Taps;
Taps *taps_new(Arena *arena, const Op *layer); // conv2d or linear
int64_t taps_room(const Taps *taps);           // doubles that taps_sum writes; the first KH * KW * C are the sums
// Whether a buffer of that type, which may have other dimensions than the operand and a border, has the operand's rows in one piece each.
bool taps_can_sum(const Taps *taps, const Type *type);
// Over all places that the layer computes, what each tap reads of each channel. `data` is the operand as such a buffer, of floats.
void taps_sum(const Taps *taps, const Type *type, const void *data, double *sums);
// The mean of each output channel, of weights O KH KW C/group and no bias.
void taps_mean(const Taps *taps, const double *sums, const float *weights, double *means);
