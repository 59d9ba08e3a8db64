// The one way from a model file to a program that every subcommand goes: import, pipeline "import", calibration when
// asked for, pipeline "quantize", pipeline "lower".
#pragma once
#include "frontend/frontend.h"
#include "ir/sizes.h"
#include "passes/pass.h"
#include "quant/calibrate.h"
#include "tools/cli.h"
#include "tools/data/dataset.h"
#include "tools/files.h"

typedef struct {
    Arena *arena;
    Diag *diag;
    const Options *options;
    const char *path;
    ImportOptions import;     // --shape, --constant
    Sizes sizes;              // that vary; none: the network is of one size
    CalibrationTable constants; // at the largest of them
    bool unfolded;            // constants that depend on them are computed at run time
    int32_t at[MAX_SIZES];    // of them, where `imported` is: the largest, until data says otherwise
    signed char (*size_of)[MAX_RANK]; // by input and dimension: its number in `sizes`; -1: fixed
    char hash[17];            // of the model file's bytes; empty until something asks for it
    Module *imported;         // after pipeline "import"; NULL before
    PassContext context;      // target, tables and options; precision f32
    CalibrateOptions calibrate; // --method, --percentile, --equalize, --bias-correction
    CalibrationTable calibration;
    Qtable qtable;
    bool rewrites_tables;     // they are what is asked for, not the network in their precisions
    TuningTable tuning;       // --tune, --tuned
    const char *preprocess;   // --preprocess, or what the model carries; NULL
    const char *frame;        // --frame, or what the model carries; NULL
    Value frame_input;        // the model's input where it takes frames
    const char *data_preprocess; // how images become the model's input: `preprocess`, but for one that takes frames
    int threads;
} Model;

// Checks the options that name things (target, instruction set, shapes, preprocessing), before any work is done.
// STATUS_DONE, STATUS_USAGE, or STATUS_INPUT where a file of --constant cannot be read. `arena` and messages serve
// everything that follows.
int model_open(Model *model, const Options *options, int default_threads);
// An output of that path (NULL: none) would replace none of the inputs. STATUS_DONE or STATUS_USAGE.
int check_not_input(const Options *options, const char *path);
void model_close(Model *model);
// Says which target may be meant. STATUS_USAGE.
int unknown_target(const char *name);

// FNV-1a of the model file's bytes: says whether a table was made for this file. "" where it can't be read.
const char *model_hash(Model *model);
// A warning where the table was made for another model.
void model_check_table(Model *model, const char *path, const CalibrationTable *table);

// Imports the model and runs pipeline "import"; reads the tables that the options name. False after a message.
bool model_import(Model *model);
// Where sizes vary, in tools/bounded.c: imports the network anew at the sizes of the data at `path`. Rows of one array are
// samples of their own (if `samples`), or else where they are more than the bounds allow. For one input (-1: all).
bool model_resize(Model *model, const char *path, int input, bool samples);
bool model_resize_to_largest(Model *model);
// As model_resize, after which the sizes don't vary any more.
bool model_fix_sizes(Model *model, const char *path, bool samples);
// Names and bounds of the sizes in --shape, after the first import.
bool model_find_sizes(Model *model);
// The network as --shape gives it, at given sizes, after pipeline "import". NULL after a message.
Module *model_import_at(const Model *model, Arena *arena, Diag *diag, const int32_t *sizes);
// One program for all sizes. NULL after a message.
Module *model_lower_bounded(Model *model, Elem precision);
PassContext model_context(const Model *model, Elem precision, bool keep_all);
// The ranges, measured or read; nothing when there are already some. Must come before i8 modules are asked for.
bool model_calibrate(Model *model);
// The samples to measure ranges on, --calibrate-on or else --data, and the model at their sizes, whatever those of the run are.
// NULL after a message.
Dataset *model_calibration_data(const Model *model, Model *own);
// A table for each of several methods, measured on --calibrate-on or else --data.
bool model_calibrate_methods(Model *model, int count, const CalibrationMethod *methods, CalibrationTable *tables);
// What the table of --calibration lacks, measured on --data; the rest as it is there.
bool model_calibrate_missing(Model *model, CalibrationTable *table);

// A copy of the imported module in a precision: ELEM_F32 or ELEM_I8 as the default, the qtable for i8 only.
Module *model_quantized(Model *model, Elem precision);              // dialect nn
Module *model_lowered(Model *model, Elem precision, bool keep_all); // dialect kn, planned
// Both at once, when the first is wanted too (interpreter and program of one module). NULL after a message.
Module *model_lower(Model *model, const Module *quantized, Elem precision, bool keep_all);
// A copy of it, lowered as `context` says.
Module *model_lower_by(const PassContext *context, Arena *arena, const Module *quantized);

// Where sizes vary: type and shape of input or output `index` of `program` in a run with these sizes.
const Type *program_type_at(Arena *arena, const Module *program, bool is_input, int index, const int32_t *sizes);

// "none,i8": precisions to compare. Empty text: none.
enum { MAX_PRECISIONS = 4 };
typedef struct { int count; Elem items[MAX_PRECISIONS]; } Precisions;
int parse_precisions(const Options *options, Precisions *precisions); // STATUS_DONE or STATUS_USAGE

// The inputs that the model takes: the network's, or a frame.
DatasetShape model_inputs(const Model *model);
// The input that --input names, or random numbers.
bool model_fill_inputs(Model *model, void *const *inputs);
// A dataset as a source of samples; `progress` may be NULL.
typedef struct {
    const Dataset *dataset;
    Progress *progress;
    bool keep_states; // the samples are one stream
} DatasetSource;
SampleSource dataset_source(DatasetSource *source);

#define MODEL_OPTIONS OPT_requantize, OPT_state, OPT_shape, OPT_constant, OPT_custom, OPT_library, OPT_verbose
#define TUNE_OPTIONS OPT_tune, OPT_tuned
#define QUANTIZE_OPTIONS                                                                           \
    OPT_quantize, OPT_qtable, OPT_calibration, OPT_calibrate_on, OPT_calibrate_limit, OPT_calibrate_preprocess,        \
        OPT_method, OPT_percentile, OPT_equalize, OPT_bias_correction, OPT_activations, OPT_weights, OPT_weight_scales, OPT_sums, OPT_winograd, OPT_keep_state
