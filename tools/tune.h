// --tune and --tuned: the table of kernels that were measured to be the fastest.
#pragma once
#include "tools/prepare.h"

// Reads the table that an option names; for --tune there need be none yet. STATUS_DONE, STATUS_USAGE or STATUS_INPUT.
int tune_open(Model *model);
// With --tune: measures what the table lacks of this network, as `context` lowers it, and writes the file anew. False after a
// message.
bool tune_network(Model *model, const PassContext *context, const Module *quantized);
// Adds entries for the layers that model->tuning lacks and that several kernels could compute; `loc.name` is the first layer of
// that shape. False after a message.
bool tune_search(Model *model, const PassContext *context, const Module *quantized);
