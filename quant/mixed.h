// Mixed precision: the cheapest operators to keep in float so that the outputs come near enough to the float network's, or the
// nearest that a budget of time and weights allows.
#pragma once
#include "quant/trial.h"

// Where nothing is said: a cosine that i8 rarely reaches by itself, or where it does, the second.
static const double DEFAULT_COSINE = 0.99, BEYOND_DEFAULT_COSINE = 0.999;

// What is wanted, and what it may cost. NAN, or -1: nothing said.
typedef struct {
    double cosine;      // of the outputs, at least
    double loss;        // of the options, at most
    double top1_points; // top-1 lost against float on labelled samples, at most
    double slowdown;    // percent of the i8 network's estimated time, at most
    int64_t bytes;      // of weights, at most
} MixedGoals;

typedef struct {
    int floats;        // operators in float
    const char *table; // name
    Score score;
} MixedTrial;

typedef struct {
    const CalibrationTable *table; // that the i8 network does best with: one of the options', or the tuned one; its factors included
    const char *table_name;
    const SensitiveOp **ops;       // that stay float, those that lose most in i8 first
    int count;
    double expected;               // cosine that was aimed at; NAN: none
    bool reached;                  // what was wanted, within what it may cost
    bool stopped;
    Score real, start, tuned, final; // float; i8 by the first table, by `table`; the result
    int trial_count;
    MixedTrial *trials;            // all that was tried, in order
} Mixed;

// After search_sensitive on the same options, which found `found`. The same for any number of threads. False after a message.
bool search_mixed(Arena *arena, const Module *imported, const PassContext *context, const SearchOptions *options, const char *const *names,
                  const MixedGoals *goals, const Sensitivity *found, Mixed *result);
