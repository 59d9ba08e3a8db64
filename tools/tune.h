// --tune and --tuned: the table of kernels that were measured to be the fastest.
#pragma once
#include "tools/prepare.h"

// Reads the table that an option names; for --tune there need be none yet. STATUS_DONE, STATUS_USAGE or STATUS_INPUT.
int tune_open(Model *model);
// With --tune: measures what the table lacks of this program, and writes the file anew. *added: how many layers. False after a
// message.
bool tune_lowered(Model *model, const Module *kn, int *added);
