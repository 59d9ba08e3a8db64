// --method, --methods, --percentile: methods of choosing thresholds, as the command line names them.
#pragma once
#include "tools/prepare.h"

// model->calibrate from the options. STATUS_DONE, STATUS_USAGE, or STATUS_INPUT where a library can't be opened.
int methods_open(Model *model);
// "mse,kl" or "all": all that need no more than the samples. At most METHOD_COUNT of them, none twice. STATUS_DONE or STATUS_USAGE.
int parse_methods(const char *text, int *count, CalibrationMethod methods[METHOD_COUNT]);
