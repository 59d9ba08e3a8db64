// How far a network's outputs are from the float network's, as one number a sample: 0 is as good, more is worse.
#pragma once
#include "ir/ir.h"
#include "quant/qanat_metric.h"

//   cosine  1 - cosine, the mean of the outputs
//   sqnr    power of the error over power of the signal, the mean of the outputs; 0.001 is 30 dB
//   kl      Kullback-Leibler divergence in nats of the softmax along the last axis, its mean; of outputs that are
//           probabilities already, of themselves
//   top1    share of rows along the last axis whose largest element is another
//   metric  the user's
typedef enum { LOSS_COSINE, LOSS_SQNR, LOSS_KL, LOSS_TOP1, LOSS_METRIC, LOSS_COUNT } LossKind;
typedef double MetricFn(const struct qn_metric_sample *sample);
typedef struct {
    LossKind kind;
    MetricFn *metric; // of LOSS_METRIC
    const char *path; // of its library
} Loss;

typedef struct {
    const char *path;
    int64_t index, label;
} LossSample;

const char *loss_name(LossKind kind);
// Only f32 outputs count; without any, the loss is 0. Where `other` has what is no finite number, the loss is the worst that there is; only
// the user's metric may give NaN or infinity.
double loss_of_outputs(const Loss *loss, int count, const Value *const *outputs, void *const *real, void *const *other,
                       const LossSample *sample);
// Opens a library with the user's metric. False after a message.
bool loss_open_metric(Diag *diag, const char *path, Loss *loss);
// The index of the largest of `count` numbers, the first of equal ones.
int64_t largest_of(const float *elems, int64_t count);
