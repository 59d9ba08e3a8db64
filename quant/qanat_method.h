/* A way of your own to choose thresholds: `--method ./libmine.so`.
 *
 * Compile to a shared library (cc -shared -fPIC mine.c -o libmine.so) that has
 *
 *     const int qn_method_abi = QN_METHOD_ABI;
 *     int qn_method(const struct qn_seen *seen, struct qn_clip *clip) { ... return 0; }
 *
 * It is called once for each tensor, when all samples were seen, from several threads at once. The same histogram that
 * Qanat's own methods see is all that it is told, so that a table depends neither on the order of samples nor on the number
 * of threads. Return 0; anything else ends the calibration with a message that names the tensor.
 * Usable from C and C++. */
#ifndef QANAT_METHOD_H
#define QANAT_METHOD_H
#include <stdint.h>

#define QN_METHOD_ABI 1

struct qn_seen {
    const char *tensor;         /* its name */
    int32_t index, count;       /* the how-manieth of how many tensors, in the order of the network, from 0 */
    float min, max;             /* exact */
    uint64_t values, zeros;     /* how many values were seen; how many of them are exactly 0 */
    int32_t bins;               /* of each sign; 0 where all values are zero: positive and negative are NULL then */
    double bin_width;           /* a power of two */
    const uint64_t *positive;   /* positive[i]: values with i <= x / bin_width < i + 1, zeros among them in positive[0] */
    const uint64_t *negative;   /* negative[i]: values below 0 with i <= -x / bin_width < i + 1 */
};

/* Values are clipped to |x| <= threshold and to [min, max]; 0 is always held. As it comes it says what was seen: threshold the
 * largest |x|, min and max as above. Change what you like; finite, threshold >= 0, min <= max. */
struct qn_clip {
    double threshold, min, max;
};

#ifdef __cplusplus
extern "C" {
#endif
extern const int qn_method_abi;
int qn_method(const struct qn_seen *seen, struct qn_clip *clip);
#ifdef __cplusplus
}
#endif
#endif
