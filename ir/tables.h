// Tables that people edit: calibration (name threshold min max) and quantization (name type). Text, one entry a line,
// `#` comments; errors name line and column. The interface only; the parser is frontend/tables. And tuning tables: kernels
// that were measured to be the fastest for a layer.
#pragma once
#include "ir/targets.h"

typedef struct {
    const char *name;
    double threshold, min, max;
    Loc loc;
} CalibrationEntry;

// What the channels of a tensor, and of those that scale with it, are multiplied by before they are quantized.
typedef struct {
    const char *name;
    int count;
    const float *factors;
    Loc loc;
} ChannelFactors;

// What is added to the biases of a layer's channels where it is computed in integers.
typedef struct {
    const char *name; // of the layer's result
    int count;
    const float *shifts;
    Loc loc;
} BiasCorrection;

// What a person wrote beside the lines: before line `index` of a part of the table, or at its end.
typedef enum { LINES_OF_RANGES, LINES_OF_FACTORS, LINES_OF_BIASES } TablePart;
typedef struct {
    const char *text; // behind the `#`
    int index;
    TablePart part;
    bool trails;
} TableComment;

// ncnn's: what a layer's input is multiplied by to be i8.
typedef struct {
    const char *layer;
    double scale;
    Loc loc;
} LayerScale;

// ncnn's: scales of a layer's weights, a number for each channel, as they stand there.
typedef struct {
    const char *layer;
    int count;
    const char **scales;
    Loc loc;
} LayerWeights;

// By whose conventions a table is written. What was read in another form than ours is resolved by tools/tables.c, which knows
// the model: ncnn's layers become entries, TPU-MLIR's names lose their `_Conv`.
typedef enum { TABLE_QANAT, TABLE_TPU_MLIR, TABLE_NCNN } TableFormat;

typedef struct {
    int count;
    CalibrationEntry *entries;
    int equalized_count;
    ChannelFactors *equalized;
    int corrected_count;
    BiasCorrection *corrected;
    const char *method, *data, *model_hash; // header; NULL when absent
    TableFormat format;
    int layer_count;
    LayerScale *layers;
    int weights_count;
    LayerWeights *weights;
    int comment_count;
    TableComment *comments;
    const char *sections; // TPU-MLIR's, for precisions that we don't have, to the file's end: written as they were read; NULL: none
} CalibrationTable;

typedef struct {
    const char *name;
    Elem type; // ELEM_F32, ELEM_I8, …
    Loc loc;
} QtableEntry;

typedef struct {
    int count;
    QtableEntry *entries;
    TableFormat format;
    int comment_count;
    TableComment *comments;
} Qtable;

typedef struct {
    KernelArgs args; // their shape (args_shape)
    const KernelInfo *kernel;
    double ns; // of a call, as it was measured
    Loc loc;
} TuningEntry;

typedef struct {
    int count, capacity;
    TuningEntry *entries;
} TuningTable;

// The entry for a call on these operands and result; NULL.
const TuningEntry *tuning_find(const TuningTable *table, const char *operands, const char *result, const KernelArgs *args);
void tuning_add(Arena *arena, TuningTable *table, const TuningEntry *entry);
// `family field=value field=value,value …`: the part of a line that says which layers it is for.
char *tuning_layer_text(Arena *arena, const KernelArgs *shape);

// The entry for a value, by its name or else by the last of its aliases that has one; NULL.
const CalibrationEntry *calibration_find(const CalibrationTable *table, const Value *value);
const QtableEntry *qtable_find(const Qtable *table, const Value *value);
// The name among `count` that is nearest to `text` by edit distance, or NULL when none is near.
const char *nearest_name(const char *text, int count, const char *const *names);
