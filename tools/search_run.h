// A search as `qanat search` was asked for it, and what it found; written and shown by search_report.c.
#pragma once
#include "quant/mixed.h"
#include "tools/prepare.h"

typedef struct {
    Model *model;
    SearchOptions options;
    const char *names[MAX_TABLES];      // of the tables: methods
    CalibrationTable tables[MAX_TABLES];
    const char *data;                   // "30 samples of images/calib"
    Sensitivity found;
    bool is_mixed;
    MixedGoals goals;
    Mixed mixed;                        // trial_count 0: not searched, or interrupted before
} SearchRun;

// How many of the worst operators go into the quantization table.
int search_float_layers(const SearchRun *run);
// PREFIX.table, PREFIX.qtable and PREFIX.log: all or none. False after a message.
bool search_write(const SearchRun *run);
void search_print(const SearchRun *run);
