// The textual form, MLIR's conventions; what is printed parses back to the same module.
#pragma once
#include <stdio.h>

#include "ir/ir.h"

typedef struct {
    bool elide_constants; // print large constants as dense_resource<__elided__>
    bool locations;       // print loc(…)
    bool blobs_apart;     // resources as "@offset:bytes" of a binary file, their bytes elsewhere
} PrintOptions;
void module_print(FILE *out, const Module *module, PrintOptions options);
// The binary form: that text with the resources' bytes beside it, aligned, to be mapped (ir/binary.h). False when the
// file can't be written (errno).
bool module_write_binary(FILE *out, const Module *module, PrintOptions options);
void op_print(FILE *out, const Op *op);
