// Tables of people and of other compilers, for a model that is at hand: TPU-MLIR's names and ncnn's layers found in it, and
// tables written in either form.
#pragma once
#include "ir/map.h"
#include "tools/prepare.h"

// After pipeline "import". Names of TPU-MLIR's become the model's (`122_Conv`: 122), ncnn's layers entries of what they read; what ncnn's
// table says nothing of goes to `qtable` as f32. `nodes`: outputs by node names; NULL: none. False after a message.
bool resolve_calibration(Arena *arena, Diag *diag, const Module *imported, const Map *nodes, CalibrationTable *table, Qtable *qtable);
void resolve_qtable(const Module *imported, Qtable *table);

// In the form that --table-format names, or else the table's own. False after a message.
bool write_calibration(Model *model, const CalibrationTable *table, FILE *out);
void write_qtable(const Model *model, const Qtable *table, FILE *out);
