// --state INPUT=OUTPUT: what a network keeps from one run to the next (ir/state.h).
#pragma once
#include "tools/prepare.h"

// Ties what the options say, in a network as it was imported. False after a message.
bool tie_states(Model *model, Module *module);
// Whether samples are one stream: each begins with the states that the one before left.
static inline bool keeps_states(const Model *model) { return model->options->keep_state; }
// A stream has an order.
static inline int sample_threads(const Model *model) { return keeps_states(model) ? 1 : model->threads; }
