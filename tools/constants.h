// --constant NAME=VALUE: numbers (1,2,3) or an .npy file.
#pragma once
#include "frontend/frontend.h"
#include "tools/cli.h"

// Fills in options->constants. STATUS_DONE, STATUS_USAGE, or STATUS_INPUT for a file that cannot be read.
int read_constants(Arena *arena, Diag *diag, const Options *options, ImportOptions *import);
