// Which operators a network's output suffers from: each of them alone in i8, with each way of finding thresholds.
#pragma once
#include "quant/calibrate.h"

typedef struct {
    const char *name;           // of the tensor that it computes
    const Op *op;               // of the float network
    double loss[METHOD_COUNT];  // 1 - cosine of the outputs, averaged over samples; of methods that were tried
    CalibrationMethod best;
} SensitiveOp;

typedef struct {
    double cosine;              // of the outputs with everything in i8, averaged over samples; the first method's table
    int count;                  // 0 where `expected` was reached: nothing was searched
    SensitiveOp *ops;           // the worst first; of equal ones the earlier
} Sensitivity;

// tables[m] for each method in `methods` (count of them); all with the same factors of channels. Stops after the network as a whole
// where that reaches the cosine `expected`. The same for any number of threads. False after a message.
bool search_sensitive(Arena *arena, const Module *imported, const PassContext *context, const SampleSource *source,
                      int method_count, const CalibrationMethod *methods, const CalibrationTable *tables, double expected,
                      int threads, Sensitivity *result);
