// Where a quantized network leaves the float one: tensor by tensor, and what each op adds to the error by itself.
#pragma once
#include "quant/observe.h"

// Sums over all elements of all samples; real is the float network's element, value the quantized one's.
typedef struct {
    int64_t count, saturated; // whose real element lies beyond what the type holds
    double real_squares, value_squares, products, error_squares, largest_error;
    int32_t least, most; // stored integers seen
} Difference;

typedef struct {
    const char *name;
    const Op *op;           // of the float network; NULL: an input
    const Quant *quant;     // NULL: it stays float, or is
    bool sums;              // of 32 bits
    Difference inherited;   // in the quantized network: with the error of all that came before
    Difference own;         // of the op by itself, on the float network's tensors; count 0: it has no i8 form of its own
} Compared;

// `context`: precision, tables. The float network is the one with the factors of channels in it. An entry for each tensor of
// the float network that is computed in the quantized one, too, in the order of the network; the same for any number of
// threads. False after a message.
bool compare_layers(Arena *arena, const Module *imported, const PassContext *context, const SampleSource *source, int threads,
                    int *count, Compared **compared);

double difference_cosine(const Difference *difference);
double difference_decibels(const Difference *difference); // signal to noise; infinity: no error
double difference_saturated(const Difference *difference); // share of elements, 0 to 1
double difference_used(const Difference *difference, const Quant *quant); // share of the type's integers between the extremes
