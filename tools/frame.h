// --frame: the network takes frames of a camera, and --preprocess is carried out in it.
#pragma once
#include "tools/prepare.h"

// "rgb8:480x640" names a format and a size. STATUS_DONE or STATUS_USAGE.
int check_frame(const char *flag, const char *text);
// For a network as imported: what the pass frame_input needs to know, of --frame and --preprocess. NULL after a message.
const FrameInput *frame_read(Arena *arena, Diag *diag, const Module *module, const char *text, const char *spec);
// After the import, for what compiles and runs a model as a product does: what the options, or the model file, say of frames goes to
// model->context.frame. Calibration, search and comparison look at the network itself. False after a message.
bool model_take_frame(Model *model);
