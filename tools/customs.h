// --custom DOMAIN.OP=SYMBOL and --library FILE.so.
#pragma once
#include "frontend/frontend.h"
#include "tools/cli.h"

// Fills in import->customs and opens the libraries. STATUS_DONE, STATUS_USAGE, or STATUS_INPUT for a library that can't
// be loaded.
int read_customs(Arena *arena, Diag *diag, const Options *options, ImportOptions *import);
