/* A measure of your own for `qanat search --metric ./libmine.so`: how much worse the quantized network's outputs are than the float
 * network's, for one sample, after whatever your product does with outputs.
 *
 * Compile to a shared library (cc -shared -fPIC -O2 mine.c -o libmine.so) that has
 *
 *     const int qn_metric_abi = QN_METRIC_ABI;
 *     double qn_metric_loss(const struct qn_metric_sample *sample) { ... }
 *
 * Usable from C and C++ (extern "C"). */
#ifndef QANAT_METRIC_H
#define QANAT_METRIC_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

#define QN_METRIC_ABI 1

/* An f32 output, in C order. */
struct qn_metric_tensor {
    const char *name;
    int32_t rank;
    int64_t shape[8];
    int64_t count; /* of elements */
    const float *elems;
};

struct qn_metric_sample {
    const char *path; /* of the file that the sample is from */
    int64_t index;    /* of the sample in the data */
    int64_t label;    /* -1: none is known */
    int32_t count;    /* of outputs; those of another type than f32 are left out */
    const struct qn_metric_tensor *real, *quantized;
};

/* 0: as good as float; the larger, the worse. Finite and not negative, or the search ends with an error. The same sample must
 * give the same number. Called from several threads at once. Losses are averaged over samples. */
double qn_metric_loss(const struct qn_metric_sample *sample);
extern const int qn_metric_abi;

#ifdef __cplusplus
}
#endif
#endif
