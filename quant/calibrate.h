// Calibration: runs the float network over samples and says in which range each tensor lies.
#pragma once
#include "ir/tables.h"
#include "passes/pass.h"
#include "quant/parallel.h"

// Where samples come from; `load` fills inputs[i], memory of the input's type_bytes, and is called from several threads.
typedef struct {
    int count;
    const char *description; // "100 samples of images/calib"
    bool (*load)(void *context, int sample, void *const *inputs, char *message);
    const char *(*path)(void *context, int sample);
    void (*step)(void *context); // after each sample; may be NULL
    void *context;
} SampleSource;

typedef enum { METHOD_MINMAX, METHOD_KL, METHOD_MSE, METHOD_COUNT } CalibrationMethod;
// "minmax" …
const char *calibration_method_name(CalibrationMethod method);

// `imported`: the module after pipeline "import"; it is left as it is. The table, allocated in `arena`, has an entry for
// each input and each float tensor that is computed.
bool calibrate(Arena *arena, const Module *imported, const PassContext *context, const SampleSource *source,
               CalibrationMethod method, int threads, CalibrationTable *table);

bool calibration_write(FILE *out, Arena *arena, const CalibrationTable *table);
