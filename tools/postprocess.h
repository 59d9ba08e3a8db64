// --postprocess: what a program wants of the network's outputs is computed in the model.
#pragma once
#include "tools/prepare.h"

// "boxes=yolox,score=0.3,iou=0.45". STATUS_DONE or STATUS_USAGE.
int check_postprocess(const char *flag, const char *spec);
// NULL after a message; `file` is what it is about.
const Postprocess *postprocess_read(Arena *arena, Diag *diag, const char *file, const char *spec);
// After the import: what the options, or the model file, say of outputs goes to model->context.postprocess. False after a message.
bool model_take_postprocess(Model *model);
