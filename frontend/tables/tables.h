// Between the scanner, the grammar and the reader of tables that people edit: lines of words and numbers. The grammar
// knows lines only; what the columns mean is in tables.c.
#pragma once
#include "frontend/frontend.h"

typedef struct { int line, column; } TablePlace;

typedef struct TableWord {
    const char *text;
    bool quoted;
    TablePlace place;
    struct TableWord *next;
} TableWord;

enum { MAX_TABLE_FAULTS = 20 };

typedef struct TableState {
    Arena *arena, *scratch;
    Diag *diag;
    const char *path, *text;
    size_t bytes;     // of the text
    int line, column; // of the scanner
    bool good;
    int faults; // reported; after MAX_TABLE_FAULTS the rest is not read
    TableWord *first, *last; // of the line being read
    // Called at the end of each line that has words, and for each comment.
    void (*take_line)(struct TableState *state, const TableWord *words);
    void (*take_comment)(struct TableState *state, const char *text);
    void *out;
} TableState;

// Of a list whose capacity nobody keeps: it doubles when its count is a power of two.
void *table_grown(TableState *state, void *entries, int count, size_t size);
bool table_number(TableState *state, const TableWord *word, double *value);
bool table_fault(TableState *state, TablePlace place, const char *text);
// `<complaint> '<word>'`, and the nearest of the names that are known where one is near.
bool table_unknown(TableState *state, const TableWord *word, const char *complaint, const char *text, int count,
                   const char *const *names);
Loc table_loc(const TableState *state, TablePlace place);

// TPU-MLIR's and ncnn's, frontend/tables/foreign.c.
bool is_tpu_mlir_comment(const char *text);
// What heads its quantization tables, and is written there anew.
bool is_tpu_mlir_qtable_header(const char *text);
// From here on entries are of other precisions (int4), or names alone.
bool is_tpu_mlir_section(const char *text);
bool is_ncnn_weight_line(const TableWord *words);
void ncnn_line(TableState *state, const TableWord *words, CalibrationTable *table);
// "INT8", "F32" ... ; F16 and BF16 are f32 here. False: none of these.
bool tpu_mlir_precision(const char *text, Elem *type);

// Reads the file; take_line sees each line, state->out as it was given.
bool table_read(TableState *state);
