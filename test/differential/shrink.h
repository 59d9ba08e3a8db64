// Makes a failing network small: fewer ops, smaller shapes, plainer attributes and values, as long as it still fails.
#pragma once
#include "test/differential/routes.h"

typedef struct { Module *module; Tensor *inputs; bool imported; } Network; // of a Case; module: @main
typedef bool StillFails(void *context, const Network *network);
// Tries at most `trials` networks; the result is in `arena`, as the given one must be.
Network shrink(Arena *arena, Network network, StillFails *fails, void *context, int trials);
// Complete text for `qanat opt --eval`: arguments are constants, results are checked against the interpreter's.
void print_reproducer(FILE *out, const Network *network, const Route *route);
