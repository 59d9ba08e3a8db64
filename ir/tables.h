// Tables that people edit: calibration (name threshold min max) and quantization (name type). Text, one entry a line,
// `#` comments; errors name line and column. The interface only; the parser is frontend/tables.
#pragma once
#include "ir/ir.h"

typedef struct {
    const char *name;
    double threshold, min, max;
    Loc loc;
} CalibrationEntry;

typedef struct {
    int count;
    CalibrationEntry *entries;
    const char *method, *data, *model_hash; // header; NULL when absent
} CalibrationTable;

typedef struct {
    const char *name;
    Elem type; // ELEM_F32, ELEM_I8, …
    Loc loc;
} QtableEntry;

typedef struct {
    int count;
    QtableEntry *entries;
} Qtable;

// The entry for a value, by its name or else by the last of its aliases that has one; NULL.
const CalibrationEntry *calibration_find(const CalibrationTable *table, const Value *value);
const QtableEntry *qtable_find(const Qtable *table, const Value *value);
// The name among `count` that is nearest to `text` by edit distance, or NULL when none is near.
const char *nearest_name(const char *text, int count, const char *const *names);
