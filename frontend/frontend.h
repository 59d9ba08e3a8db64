// Model files to modules of dialect nn. All report through `diag` (every unsupported node in one run) and return NULL.
#pragma once
#include "ir/ir.h"
#include "ir/tables.h"

// A shape the user gives: --shape input:1,3,224,224. Import takes `dims` as they are.
typedef struct {
    const char *input; // NULL: the only input
    int rank;
    int64_t dims[MAX_RANK];
    int64_t least[MAX_RANK];     // of a dimension that varies, up to `dims`; 0: it does not
    const char *sizes[MAX_RANK]; // the name given to its size; NULL: none
} ShapeOption;

// A value that the user gives to an input, which is none then: --constant axes=1,2 or axes=FILE.npy
typedef struct {
    const char *input;
    const Dense *value;
    bool list; // numbers of the command line, rank 1: it takes the shape that the model states
} ConstantOption;

// A custom operator, and the C function that computes it: --custom DOMAIN.OP=SYMBOL
typedef struct {
    const char *domain, *op, *symbol;
} CustomOption;

// What an input's dimensions are called in the model; NULL: nothing.
typedef struct {
    const char *input;
    int rank;
    const char *symbols[MAX_RANK];
} InputSymbols;

enum { MAX_NAMED_INPUTS = 64 };

// An operator that is not imported, with its nodes.
typedef struct {
    const char *op, *domain, *first, *advice; // first: the name of a node
    int64_t opset;                            // of ai.onnx; 0 for other domains
    int count;
} Unsupported;
enum { MAX_UNSUPPORTED = 200 };
typedef struct {
    int count;
    Unsupported items[MAX_UNSUPPORTED];
} UnsupportedList;

typedef struct {
    int shape_count;
    const ShapeOption *shapes;
    int constant_count;
    const ConstantOption *constants;
    bool unfolded;         // constants that may follow the inputs' sizes stay ops
    struct Map *node_outputs, *output_nodes; // filled in: a node's first output by its name, and the other way; NULL: not wanted
    InputSymbols *symbols; // filled in for the first MAX_NAMED_INPUTS; NULL: not wanted
    int custom_count;
    const CustomOption *customs;
    UnsupportedList *unsupported; // filled in when the import fails; may be NULL
} ImportOptions;

// By the first bytes: .onnx, .tflite, .qir.
Module *import_model(Arena *arena, Diag *diag, const char *path, const ImportOptions *options);
Module *import_bytes(Arena *arena, Diag *diag, const char *path, const char *data, size_t bytes,
                     const ImportOptions *options);
Module *import_onnx(Arena *arena, Diag *diag, const char *path, const void *data, size_t bytes,
                    const ImportOptions *options);
bool is_tflite(const char *data, size_t bytes);
Module *import_tflite(Arena *arena, Diag *diag, const char *path, const void *data, size_t bytes,
                      const ImportOptions *options);
// The TFLite operators that are imported, by index; NULL beyond the last.
const char *tflite_operator(int index);
// The ONNX operators that are imported, by index; NULL beyond the last. `opset`: the first that has it.
const char *onnx_operator(int index, int *opset);
// A file of that name, or a text that begins with a comment, `module` or `func`, after white space.
bool is_qir(const char *path, const char *data, size_t bytes);
// .qir is text, or binary (ir/binary.h), which is not copied: `text` must then live as long as the module.
bool is_qir_binary(const char *data, size_t bytes);
Module *parse_qir_binary(Arena *arena, Diag *diag, const char *path, const char *data, size_t bytes);
Module *parse_qir(Arena *arena, Diag *diag, const char *path, const char *text, size_t bytes);

// Reads a whole file into the arena (mapped when large); NULL with a message. A NUL byte follows the data.
const char *read_file(Arena *arena, Diag *diag, const char *path, size_t *bytes);
typedef struct {
    const char *data;
    size_t bytes;
    bool mapped;
} FileBytes;
// The same. file_forget lets a mapped file go from memory until something reads it again.
bool file_map(Arena *arena, Diag *diag, const char *path, FileBytes *file);
void file_forget(const FileBytes *file);

bool parse_calibration_table(Arena *arena, Diag *diag, const char *path, CalibrationTable *table);
bool parse_qtable(Arena *arena, Diag *diag, const char *path, Qtable *table);
bool parse_tuning_table(Arena *arena, Diag *diag, const char *path, TuningTable *table);
