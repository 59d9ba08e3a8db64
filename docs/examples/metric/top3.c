// A metric for `qanat search --metric`: of the three largest classes of the float network, the share that is not among the
// three largest of the quantized one.
//
//     cc -shared -fPIC -O2 -I quant docs/examples/metric/top3.c -o top3.so
#include "qanat_metric.h"

const int qn_metric_abi = QN_METRIC_ABI;

enum { TOP = 3 };

// How many elements are ahead of element `index`; of equal ones the first is ahead.
static int64_t rank_of(const struct qn_metric_tensor *tensor, int64_t index) {
    int64_t ahead = 0;
    for (int64_t i = 0; i < tensor->count; i++)
        ahead += tensor->elems[i] > tensor->elems[index] || (tensor->elems[i] == tensor->elems[index] && i < index);
    return ahead;
}

double qn_metric_loss(const struct qn_metric_sample *sample) {
    const struct qn_metric_tensor *real = &sample->real[0], *quantized = &sample->quantized[0];
    int lost = 0;
    for (int64_t i = 0; i < real->count; i++) lost += rank_of(real, i) < TOP && rank_of(quantized, i) >= TOP;
    return (double)lost / TOP;
}
