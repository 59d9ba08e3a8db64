// calibrate --merge: one table of several runs.
#pragma once
#include "tools/prepare.h"

// Joins the files that are the arguments: all tables, whose ranges are joined, or all histograms, of which tables are made by each of
// `methods`. In the latter case *joined is what all of them saw, else NULL. False after a message.
bool merge_runs(Model *model, int count, const CalibrationMethod *methods, CalibrationTable *tables, Histograms **joined);
