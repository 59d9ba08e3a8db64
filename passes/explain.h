// What --explain says, in words for users. Nothing is printed when the context has no file for it.
#pragma once
#include "passes/pass.h"
#include "runtime/kernel.h"

// An op that stays in float, and why.
void explain_float(const PassContext *context, const Op *op, const char *why);
// After the ops of a network have their precisions.
void explain_precisions(const PassContext *context, const Func *func);

// A line for each op that is lowered: what it computes, what was fused into it, and the kernels that do it.
void explain_op(const PassContext *context, const Op *op);
void explain_part(const PassContext *context, const Op *whole); // what is computed as a part of another op
void explain_edge(const PassContext *context, const char *name, const char *what); // a line for an input or output
// A kernel, its estimated time, and in brackets the other rows that compute this: with theirs, or with what they ask for.
void explain_kernel(const PassContext *context, const KernelInfo *kernel, const KernelArgs *args);
// Of the line; `before` was kn's last op when it began.
void explain_end(const PassContext *context, const Func *kn, const Op *before);
// Calls from `first` to `last` run together over bands of so many rows; 0: they do not, as that would save two threads less than it
// costs (in nanoseconds).
void explain_rows(const PassContext *context, const Op *first, const Op *last, int32_t band, double gain, double loss);
// Winograd's method, where it is taken (tile) or not (0), and its estimate beside that of the direct kernel; why it can't be had.
void explain_winograd(const PassContext *context, const Op *op, int64_t tile, double ns, double direct_ns);
void explain_no_winograd(const PassContext *context, const Op *op, int64_t tile, const char *why);
