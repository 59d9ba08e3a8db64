// What a kernel call costs, estimated from the figures of targets.def and cost.def: for the choice of kernels, for how finely
// threads split a layer, and for people (compile --explain, profile).
#pragma once
#include "ir/targets.h"

typedef struct {
    double ns;     // of one call, on one core
    bool measured; // by figures of this very row, which were held against measurements; else from its family alone
} Estimate;

// `target` NULL: a machine as most are. `cold`: the weights come from memory, as in networks that have more of them than the
// caches hold; else only what exceeds the second cache does.
Estimate kernel_estimate(const Target *target, const KernelInfo *row, const KernelArgs *args, bool cold);

double kernel_macs(const KernelArgs *args);         // multiply-adds of a call
double kernel_weight_bytes(const KernelInfo *row, const KernelArgs *args); // read by a call of a row that cost.def has
