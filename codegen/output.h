// Output files: written beside their place and renamed when all is well, so that no partial file is ever left.
#pragma once
#include <stdio.h>

#include "ir/diag.h"

typedef struct {
    const char *path;
    char *final_path, *temporary; // NULL temporary: standard output or a device, written directly
} Output;

// Bytes; or, where `print` is given, what it prints of `data`.
typedef void PrintPiece(FILE *out, const void *data);
typedef struct {
    const void *data;
    size_t bytes;
    PrintPiece *print;
} Piece;

// Writes the pieces to a temporary beside `path` ("-": standard output). Reports what went wrong.
bool output_write(Output *output, Arena *arena, const char *path, int count, const Piece *pieces, Diag *diag);
// Gives a temporary its name; or removes it.
bool output_commit(Output *output, Diag *diag);
void output_abandon(Output *output);
