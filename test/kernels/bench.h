// kernel_test --bench: how fast the rows of kernels.def are on shapes of real networks, on one core.
#pragma once
#include <stdbool.h>

#include "test/kernels/check.h"

// What one call does: multiply-adds (0: none to speak of), or bytes read and written.
typedef struct {
    const char *shape;
    const void *args; // the family's struct
    double macs, bytes;
    size_t elems[MAX_INPUTS + 1]; // of each activation pointer; 0: a NULL pointer
} BenchCall;

// The calls that a row is measured on; returns how many.
int bench_layers(const KernelInfo *row, Arena *arena, BenchCall *calls, int max);   // families with weights
int bench_elements(const KernelInfo *row, Arena *arena, BenchCall *calls, int max); // the others
