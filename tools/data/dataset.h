// Samples for a network: images or arrays, from a folder, a list file, or one file. One sample is one value for each of
// the network's inputs. Opening reads names only (and one single .npz or .npy); samples are loaded one by one.
#pragma once
#include "ir/ir.h"
#include "tools/data/preprocess.h"

typedef struct Dataset Dataset;

// What data is for: the inputs of a function of the imported model.
typedef struct {
    int input_count;
    const Value *inputs;
} DatasetShape;

// `path`:
//   a folder           its .jpg .jpeg .png .npy .npz files, sorted by name, each one sample
//   .npy, .npz         samples along the first dimension; of an .npz, arrays by the inputs' names (or, with one input,
//                      the only array of its shape), and `labels`
//   an image           one sample
//   any other file     a list: a path a line, relative to the list's folder; `#` comments; a second word is a label
//   "random"           `limit` (or 16) samples of N(0, 1) numbers from `seed`
// `spec` NULL: no preprocessing was given, which images need. limit -1: all. NULL after a message.
Dataset *dataset_open(Arena *arena, Diag *diag, const char *path, const char *spec, DatasetShape shape, int limit,
                      int seed);
void dataset_close(Dataset *dataset);
int dataset_count(const Dataset *dataset);
const char *dataset_name(const Dataset *dataset, int sample); // file name without folders; unique in a folder
const char *dataset_path(const Dataset *dataset, int sample); // for messages
const char *dataset_describe(const Dataset *dataset);         // "100 samples of images/calib"
int64_t dataset_label(const Dataset *dataset, int sample);    // -1: none known

// Labels of `filename index` lines; every sample must have one. False after a message.
bool dataset_read_labels(Dataset *dataset, Diag *diag, const char *path);

// Fills inputs[i], memory of type_bytes each. May be called from several threads.
bool dataset_load(const Dataset *dataset, int sample, void *const *inputs, Fault *fault);
