// One program for all sizes within bounds, from programs that were lowered at some: the numbers in which they differ become
// expressions of the sizes (ir/sizes.h).
#pragma once
#include "passes/fit.h"
#include "passes/trace.h"

typedef struct {
    Arena *arena;
    Sizes box;    // the sizes that it is made for
    Module *most; // the program at the largest of them, planned
    Trace *trace; // of `most`
    Fit fit;
    int64_t **samples; // by point: the values of all fields
    SizeExpr *exprs;   // by field; after bounded_fit
} Bounded;

Bounded *bounded_new(Arena *arena, const Sizes *box, Module *most);

// Each gives NULL, or what stands in the way, as the end of a message: "layer 'x' would ...".
// The program at point `point` of `fit`; nothing of it is kept.
const char *bounded_sample(Bounded *bounded, int point, const Module *kn);
// When all points are there.
const char *bounded_fit(Bounded *bounded);
// All of them in the box: no buffer outgrows its place in the memory plan.
const char *bounded_memory(const Bounded *bounded, const Sizes *box);
// The program at other sizes is what the expressions say, as far as it matters.
const char *bounded_check(const Bounded *bounded, const Module *kn, const int32_t *sizes);
// The kernels' guards hold at these sizes.
const char *bounded_guard(const Bounded *bounded, const int32_t *sizes);

// Writes the expressions into the program `most`, which is for the sizes `region` now.
void bounded_write(const Bounded *bounded, const Sizes *region);
// Gives `into` the function of `variant` under a name of its own; equal constants become one.
void bounded_join(Module *into, Module *variant);
