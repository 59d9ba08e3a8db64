// Means of a layer's result, channel by channel, from sums over what its taps read: no result is computed. A tap of a convolution reads
// every place of its operand but for some rows and columns at the edges, so that sums of all taps cost little more than one.
#pragma once
#include "quant/runner.h"

typedef struct Taps Taps;
Taps *taps_new(Arena *arena, const Op *layer); // conv2d or linear
int64_t taps_count(const Taps *taps);          // KH * KW * C: of the sums
int64_t taps_room(const Taps *taps);           // doubles that taps_add works in
// Whether a buffer of that type, which may have other dimensions than the operand and a border, has the operand's rows in one piece each.
bool taps_can_sum(const Taps *taps, const Type *type);
// Adds to the sums what each tap reads of each channel at all places that the layer computes, as far as it lies in these rows of the
// operand, of floats, which begin at its element `at`.
void taps_add(const Taps *taps, const BufferRows *rows, int64_t at, double *room, double *sums);
// The mean of each output channel, of weights O KH KW C/group and no bias.
void taps_mean(const Taps *taps, const double *sums, const float *weights, double *means);
