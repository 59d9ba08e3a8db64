// How long kernels take on this machine: run in process, on constants and activations that mean nothing.
#pragma once
#include "ir/targets.h"

typedef struct {
    void (*fn)(void);
    int pointers; // scratch included
    const void *args;
    void **ptrs;
    double least; // seconds of one call, of all runs; 0 before
} MeasuredCall;

// Bytes aligned to 64, with room to over-read, filled with small values (as floats too).
void *measure_buffer(Arena *arena, size_t bytes);
bool measure_has_weights(const KernelInfo *row);
// Weights, biases and multipliers as the row's packing lays them out: pointers 1 to 3 of a family that has weights.
void measure_weights(Arena *arena, const KernelInfo *row, const KernelArgs *args, void **ptrs);
// Runs the calls in turn, `rounds` times, each for about `seconds`.
void measure_calls(MeasuredCall *calls, int count, int rounds, double seconds);
