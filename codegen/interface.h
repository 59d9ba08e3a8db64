// The interface of a compiled model, DESIGN: inputs, outputs and sizes, as both routes and the header give them.
#pragma once
#include <stdio.h>

#include "codegen/codegen.h"
#include "codegen/steps.h"

// An input or output as its user sees it.
typedef struct {
    const char *name;  // the tensor's
    const char *field; // a C identifier, unique among its kind
    const char *ctype;
    int type; // QN_F32 …
    int rank;
    const int64_t *shape;   // at the largest sizes, and so are the bytes
    const SizeExpr *dims[MAX_RANK]; // of dimensions that vary; NULL for others
    int64_t bytes;
    float scale; // 0: not quantized
    int32_t zero_point;
} InterfaceTensor;

// One of the programs of a compiled model.
typedef struct {
    const Target *target;
    const char *prefix; // of its own symbols: the model's name, and of several programs the target's
    const Steps *steps;
} TargetSteps;

typedef struct {
    const char *name;    // prefix of the symbols
    const char *targets; // of the programs, with a comma between
    int program_count;
    TargetSteps *programs; // the first that the processor can is run
    int64_t arena_bytes, live_bytes, weights_bytes; // the most that one takes, for one thread
    int input_count, output_count;
    InterfaceTensor *inputs, *outputs;
    const char *sizes[MAX_SIZES]; // fields of those that vary, after the inputs
} Interface;

// Weights that agree have one place in all programs. NULL after a message when a type of an input or output has no C form.
const Interface *interface_new(Arena *arena, int count, const TargetProgram *programs, const EmitOptions *options, Diag *diag);
// The declarations of a header, guard included: qanat.h's text, sizes, structs, functions.
void interface_print(FILE *out, const Interface *interface);
