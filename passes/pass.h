// Passes: rewrites of a module. `bool name(Module *, const PassContext *)`; false after a reported error.
#pragma once
#include "ir/ir.h"
#include "ir/tables.h"
#include "ir/targets.h"
#include "passes/frame.h"
#include "passes/postprocess.h"

enum { WINOGRAD_AUTO, WINOGRAD_OFF }; // or the tiles' size

typedef struct {
    const Target *target;
    const char *only_isa;                // --isa: which rows of kernels.def may be taken, see kernel_choose; NULL for all
    const CalibrationTable *calibration; // NULL: none
    const Qtable *qtable;                // NULL: none
    const TuningTable *tuning;           // kernels that were measured to be the fastest; NULL: none
    // Where sizes vary, and the network is not at the largest: ranges of the constants there, which are longer. Tables are for
    // that network, and may name tensors that this one does not have. NULL: it is the network that tables are for.
    const CalibrationTable *constants;
    const FrameInput *frame;             // --frame: what comes before the network; NULL: it takes its own input
    const Postprocess *postprocess;      // --postprocess: what becomes of its outputs; NULL: they are given
    Elem precision;                      // default of assign_precision: ELEM_F32 or ELEM_I8
    Elem input_type, output_type;        // --input-type, --output-type: ELEM_F32, ELEM_I8 or ELEM_U8
    bool symmetric;                      // symmetric activations (zero point 0)
    bool per_tensor_weights;             // one scale for all of a weight tensor
    bool mse_weights;                    // weights' scales by the least squared error, not the largest magnitude
    int winograd;                        // --winograd: WINOGRAD_AUTO, WINOGRAD_OFF, 2, 4 or 6
    bool alone;                          // assign_precision: each i8 op beside its float form, on the float tensors (compare)
    bool no_residual_sums;               // convolutions' results are rounded before they are added,
    bool no_output_sums;                 // and before they become floats (--sums)
    bool requantize;                     // the scales that an imported model brought are dropped
    bool keep_all;                       // every value of the network becomes an output of the program (dump-all)
    bool watched;                        // every value has a buffer of its own, to be looked at when it is made (calibration)
    bool in_rows;                        // `watched`: a few rows at a time will do
    bool bounded;                        // sizes vary at run time: programs of different sizes should have one form
    bool unfolded;                       // slices of constants, and what makes more of them, stay ops
    struct WeightCache *weights;         // quantized weights that were made before (passes/weights.h); NULL: none are kept
    const char *options;                 // text between the braces of --passes=name{…}; NULL
    Diag *diag;
    Arena *scratch;
    FILE *explain;                       // --explain: decisions are written here; NULL
} PassContext;

typedef bool PassFn(Module *module, const PassContext *context);
typedef struct { const char *name; PassFn *run; const char *summary; } PassInfo;
int pass_count(void);
const PassInfo *pass_at(int index);
const PassInfo *pass_find(const char *name);

#define PASS(name, summary) PassFn name;
#include "passes/passes.def"
#undef PASS

#define ALONE_SUFFIX " (alone)" // behind the names of such ops' results

// The ranges of a float network's constants that stand in the place of activations, by their names.
CalibrationTable constant_ranges(Arena *arena, const Module *module);

// Named pipelines: lists of pass names in pipeline.c.
//   "import":   float network as it is calibrated and searched: folded, fused, channels last
//   "quantize": apply calibration, assign precisions
//   "lower":    nn to kn for the context's target, memory planned
bool run_pipeline(Module *module, const PassContext *context, const char *pipeline);
// --passes=a,b{k=v}; the name of a pipeline stands for its passes. `after_each` (may be NULL) is called after each pass, e.g. to print or verify.
typedef bool AfterPass(void *user, const char *pass, Module *module);
bool run_passes(Module *module, const PassContext *context, const char *list, AfterPass *after_each, void *user);
