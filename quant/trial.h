// Networks of which some operators are float and the others i8: lowered, run on samples, and scored against the float network.
#pragma once
#include "quant/search.h"

typedef struct {
    double loss, cosine; // mean over the samples
    double agreement;    // share of samples whose first output has the float network's class
    double right;        // share of the labelled samples whose class is the label
    double ns;           // estimated, on one core of the target
    int64_t bytes;       // of weights
} Score;

typedef struct {
    const bool *floats;            // by operator of the sensitivity's list
    const CalibrationTable *table;
    Score score;
    bool done;                     // false where the search was stopped before
} Trial;

typedef struct Trials Trials;
// `found`: the operators; all networks that are tried have the factors of channels of the options' tables. Keeps what is the same for
// all of them. NULL after a message.
Trials *trials_new(Arena *arena, const Module *imported, const PassContext *context, const SearchOptions *options, const Sensitivity *found);
void trials_free(Trials *trials);
const Score *trials_float(const Trials *trials); // the float network's own
const Module *trials_network(const Trials *trials); // float, with the factors
int trials_run_count(const Trials *trials);

// Runs those of `count` networks that were not run before; several at a time. False after a message.
bool trials_run(Trials *trials, int count, Trial *const *list);
// Nanoseconds that each operator takes in a network, by the sensitivity's list: of the float one, or of the i8 one with this table. NULL
// after a message.
double *trials_op_ns(Trials *trials, Arena *arena, const CalibrationTable *table);
