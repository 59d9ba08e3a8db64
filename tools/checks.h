// The checks of functions without arguments, on what compiled code gives: the functions' ops are lowered as they stand
// (constants are not folded) into one program, which returns every checked value.
#pragma once
#include "passes/pass.h"

typedef struct {
    const PassContext *context; // target, instruction set, storage of outputs
    bool native;                // false: kernels in process; true: a shared object
    const char *cc;             // native: the C compiler; NULL: the LLVM route
} CheckRoute;

// Reports each check that fails, at its place; false then, or when something can't be compiled.
bool checks_run(const Module *module, const CheckRoute *route, Arena *arena, Diag *diag);
