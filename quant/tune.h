// Which kernel is the fastest for each layer of a program, measured on this machine.
#pragma once
#include "ir/tables.h"

typedef struct { const Target *target; const char *only; /* see kernel_candidates */ } TuneRows;
// Adds entries for the layers of a planned program that the table lacks and that several kernels could compute; `loc.name` is
// the first layer of that shape. Returns how many.
int tune_program(Arena *arena, const TuneRows *rows, const Module *kn, TuningTable *table);
