// The methods of choosing thresholds, by name: what each needs to have been observed, and what it makes of that.
#pragma once
#include "ir/ir.h"
#include "quant/observe.h"
#include "quant/threshold.h"

typedef enum {
    METHOD_MINMAX, METHOD_EMA, METHOD_KL, METHOD_KL_NCNN, METHOD_MSE, METHOD_PERCENTILE, METHOD_OCTAV, METHOD_ACIQ,
    METHOD_AUTO,    // of each tensor the best of several, see choose.h
    METHOD_LIBRARY, // of a shared library, see qanat_method.h
    METHOD_COUNT
} CalibrationMethod;

typedef struct MethodLibrary MethodLibrary;
typedef struct {
    double percentile; // of METHOD_PERCENTILE; 0: 99.99
    bool sliding;      // ends of its own for each tensor instead
    const MethodLibrary *library;
} MethodOptions;

// "minmax" ...
const char *calibration_method_name(CalibrationMethod method);
// As tables' headers say it: with the percentile, or the library's name.
const char *calibration_method_text(Arena *arena, CalibrationMethod method, const MethodOptions *options);
// What observe() must look at for it.
ObserveKind calibration_method_needs(CalibrationMethod method);
// NULL after a message.
const MethodLibrary *method_library_open(Arena *arena, Diag *diag, const char *path);

// For the tensor `index` of `count`, inputs first. False with a message of MESSAGE_BYTES: a library's method failed.
bool calibration_clip(const Observer *seen, CalibrationMethod method, const MethodOptions *options, const char *tensor, int index,
                      int count, Clip *clip, char *message);
