/* A way of one's own to choose thresholds: four standard deviations about the mean, within what was seen.
 *
 *     cc -shared -fPIC -I .../share/qanat sigma.c -o libsigma.so -lm
 *     qanat calibrate model.onnx --data photos --method ./libsigma.so -o model.table
 */
#include <math.h>

#include "qanat_method.h"

const int qn_method_abi = QN_METHOD_ABI;

int qn_method(const struct qn_seen *seen, struct qn_clip *clip) {
    double sum = 0, squares = 0;
    for (int i = 0; i < seen->bins; i++) {
        /* Values of a bin count as its middle; the zeros, which the first one holds, as 0. */
        double x = (i + 0.5) * seen->bin_width, plus = (double)(seen->positive[i] - (i ? 0 : seen->zeros)), minus = (double)seen->negative[i];
        sum += x * (plus - minus);
        squares += x * x * (plus + minus);
    }
    double mean = sum / (double)seen->values, deviation = sqrt(squares / (double)seen->values - mean * mean);
    clip->min = fmax(clip->min, mean - 4 * deviation);
    clip->max = fmin(clip->max, mean + 4 * deviation);
    clip->threshold = fmax(fabs(clip->min), fabs(clip->max));
    return 0;
}
