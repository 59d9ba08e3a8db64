// The threshold of ncnn's ncnn2table by Kullback-Leibler divergence (BSD-3-Clause tools/quantize of Tencent/ncnn is its
// definition; this is written anew). The distribution is clipped to its first `kept` bins, the rest joined to the last of
// these, and compared with its form in 128 groups of kept / 128 bins each, a bin that two groups share divided between them.
// All bins get 1e-4 more, so that none is empty.
//
// Within a group the coarse form is constant: with sums over the first bins at hand, a candidate takes two logarithms a
// group instead of one a bin.
#include <math.h>
#include <string.h>

#include "ir/fast.h"
#include "quant/threshold.h"

static const double EPSILON = 1e-4;

typedef struct {
    double bins[KL_BINS + 1];     // shares of all; 0 behind the last
    double mass[KL_BINS + 1];     // of the first i bins
    double entropy[KL_BINS + 1];  // sum of a log a over the first i bins, a = share + EPSILON
} Sums;

// log x for positive normal x, to 1e-13: x = m * 2^e with m about 1, log m = 2 artanh((m - 1) / (m + 1)). For vectors.
FAST_LOOP double log_of(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint64_t shifted = bits + 0x00095F6200000000u; // into the next power of two from sqrt 2 on
    int64_t exponent = (int64_t)(shifted >> 52) - 1023;
    bits -= (uint64_t)exponent << 52;
    double m;
    memcpy(&m, &bits, sizeof m);
    double z = (m - 1) / (m + 1), s = z * z;
    double series = 1 + s * (1.0 / 3 + s * (1.0 / 5 + s * (1.0 / 7 + s * (1.0 / 9 + s * (1.0 / 11 + s * (1.0 / 13 + s / 15))))));
    return (double)exponent * 0.69314718055994530942 + 2 * z * series;
}

// The sum of weights * log values, in eight sums.
FAST_LOOP double log_sum(const double *weights, const double *values) {
    double sums[8] = {0};
    for (int i = 0; i < KL_GROUPS; i += 8)
        for (int lane = 0; lane < 8; lane++) sums[lane] += weights[i + lane] * log_of(values[i + lane]);
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

FAST_LOOP double divergence_loop(const Sums *sums, int kept) {
    const double width = (double)kept / KL_GROUPS;
    const double clipped = sums->mass[KL_BINS] - sums->mass[kept]; // joined to the last bin
    const double last = sums->bins[kept - 1] + clipped + EPSILON;
    double ends[KL_GROUPS + 1], levels[KL_GROUPS + 1], weights[KL_GROUPS], shared[KL_GROUPS], between[KL_GROUPS];
    for (int j = 0; j <= KL_GROUPS; j++) { // mass up to the end of the group before: bin j * kept / 128 and a part of it
        int bin = j * kept / KL_GROUPS;
        ends[j] = sums->mass[bin] + (j * kept % KL_GROUPS) * (1.0 / KL_GROUPS) * sums->bins[bin];
    }
    for (int j = 0; j < KL_GROUPS; j++) levels[j] = (ends[j + 1] - ends[j]) / width;
    levels[KL_GROUPS] = 0;
    for (int j = 0; j < KL_GROUPS; j++) { // bins that lie in one group, and the one that two groups share
        int first = (j * kept + KL_GROUPS - 1) / KL_GROUPS, until = (j + 1) * kept / KL_GROUPS, part = (j + 1) * kept % KL_GROUPS;
        double share = part * (1.0 / KL_GROUPS);
        weights[j] = sums->mass[until] - sums->mass[first] + (until - first) * EPSILON;
        shared[j] = part ? sums->bins[until] + EPSILON : 0;
        between[j] = share * levels[j] + (1 - share) * levels[j + 1] + EPSILON;
    }
    weights[KL_GROUPS - 1] += clipped;
    for (int j = 0; j < KL_GROUPS; j++) levels[j] += EPSILON;
    return sums->entropy[kept - 1] + last * log_of(last) - log_sum(weights, levels) - log_sum(shared, between);
}

FAST_VARIANTS(double, divergence, (const Sums *sums, int kept), (sums, kept))

double threshold_kl_ncnn(const Observer *observer) {
    double range = threshold_minmax(observer), total = 0, least = INFINITY;
    if (!observer->bins || !(range > 0)) return range;
    Sums sums = {0};
    magnitude_bins(observer, range, sums.bins);
    for (int i = 0; i < KL_BINS; i++) total += sums.bins[i];
    for (int i = 0; i < KL_BINS; i++) {
        double share = sums.bins[i] /= total;
        sums.mass[i + 1] = sums.mass[i] + share;
        sums.entropy[i + 1] = sums.entropy[i] + (share + EPSILON) * log(share + EPSILON);
    }
    int best = KL_GROUPS;
    for (int kept = KL_GROUPS; kept < KL_BINS; kept++) {
        double found = divergence(&sums, kept);
        if (found < least) least = found, best = kept;
    }
    return fmin(range, (best + 0.5) * range / KL_BINS);
}
