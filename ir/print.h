// The textual form, MLIR's conventions; what is printed parses back to the same module.
#pragma once
#include <stdio.h>

#include "ir/ir.h"

typedef struct {
    bool elide_constants; // print large constants as dense_resource<__elided__>
    bool locations;       // print loc(…)
} PrintOptions;
void module_print(FILE *out, const Module *module, PrintOptions options);
void op_print(FILE *out, const Op *op);
