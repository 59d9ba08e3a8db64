// ONNX Runtime as a peer to time, in a Python process that is told when to run.
#pragma once
#include "ir/diag.h"

typedef struct Peer Peer;
// `python3`, or $QANAT_PYTHON, must have the module onnxruntime. NULL after a message.
Peer *peer_open(Arena *arena, Diag *diag, const char *model, int threads);
// Milliseconds of `runs` runs; false when the process is gone.
bool peer_time(Peer *peer, int runs, double *ms);
void peer_close(Peer *peer);
