// What the networks of a run used: how often each op ran in each of its forms, and each row of kernels.def.
#pragma once
#include "ir/ir.h"

typedef enum { FORM_FLOAT, FORM_QUANTIZED, FORM_INTEGER, FORM_COUNT } Form;
typedef struct {
    long ops[OP_COUNT][FORM_COUNT];
    long rows[1024]; // by index of kernel_at
} Cover;

void cover_network(Cover *cover, const Func *main); // one that has run
void cover_program(Cover *cover, const Func *kn);   // one that has been lowered and run
void cover_print(const Cover *cover);
// How many are missing: ops of dialect nn that never ran, also in their quantized form where they have one, and rows that this
// machine runs and never did. Printed, one a line, where `out` is given.
int cover_missing(const Cover *cover, FILE *out);
