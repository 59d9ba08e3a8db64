// What front ends build modules with.
#pragma once
#include "frontend/dense.h"
#include "ir/map.h"

// Are the operands of `op` small constants, and its one result small, too?
bool op_can_compute(const Op *op);
// That result, in `scratch`; NULL where the interpreter refuses, which `quiet` says.
const Dense *op_compute(Arena *scratch, Diag *quiet, const Op *op);
// Names `value`, with a number behind it where `names` has that name already.
void value_name_once(Arena *arena, Arena *scratch, Map *names, Value *value, const char *name);
// The end of an import: removes what is not used, and makes large constants resources under their names.
void name_resources(Module *module, Func *func, Map *names, Arena *scratch);
// The name of the module in a file: the file's, without folders and ending.
const char *module_name_of(Arena *arena, const char *path);
