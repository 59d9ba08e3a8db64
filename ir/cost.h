// What a kernel call costs, estimated from the figures of targets.def and cost.def: for the choice of kernels, for how finely
// threads split a layer, and for people (compile --explain, profile).
#pragma once
#include "ir/ir.h"
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

// Whether threads had better share a product (conv2d, linear …; weights O …) by its output channels than by its `rows` alone: each then
// reads a part of the weights, not all of them, and odd rows leave none idle. But each needs the input that the others have in their
// caches, which costs more than weights from a cache that all share.
bool cost_prefers_channels(const Op *op, int64_t rows);
