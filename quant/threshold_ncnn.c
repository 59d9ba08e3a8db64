// The threshold of ncnn's ncnn2table by Kullback-Leibler divergence (BSD-3-Clause tools/quantize of Tencent/ncnn is its
// definition; this is written anew). The distribution is clipped to its first `kept` bins, the rest joined to the last of
// these, and compared with its form in 128 groups of kept / 128 bins each, a bin that two groups share divided between them.
// All bins get 1e-4 more, so that none is empty.
//
// Within a group the coarse form is constant: with sums over the first bins at hand, a candidate takes two logarithms a
// group instead of one a bin.
#include <math.h>

#include "quant/threshold.h"

static const double EPSILON = 1e-4;

typedef struct {
    double bins[KL_BINS];         // shares of all
    double mass[KL_BINS + 1];     // of the first i bins
    double entropy[KL_BINS + 1];  // sum of a log a over the first i bins, a = share + EPSILON
} Sums;

// Mass of the bins from `begin` to `end`, both may lie within a bin.
static double mass_between(const Sums *sums, double begin, double end) {
    int first = (int)ceil(begin), last = (int)floor(end);
    double mass = sums->mass[last] - sums->mass[first];
    if (first > begin) mass += (first - begin) * sums->bins[first - 1];
    if (end > last) mass += (end - last) * sums->bins[last];
    return mass;
}

static double divergence(const Sums *sums, int kept) {
    const double width = (double)kept / KL_GROUPS;
    const double clipped = sums->mass[KL_BINS] - sums->mass[kept]; // joined to the last bin
    const double last = sums->bins[kept - 1] + clipped + EPSILON;
    double sum = sums->entropy[kept - 1] + last * log(last), level = mass_between(sums, 0, width) / width;
    for (int group = 0; group < KL_GROUPS; group++) {
        double begin = group * width, end = begin + width;
        int first = (int)ceil(begin), until = group == KL_GROUPS - 1 ? kept : (int)floor(end);
        double inside = sums->mass[until] - sums->mass[first] + (until - first) * EPSILON;
        if (group == KL_GROUPS - 1) inside += clipped;
        sum -= inside * log(level + EPSILON);
        if (group == KL_GROUPS - 1) break;
        double next = mass_between(sums, end, end + width < kept ? end + width : kept) / width;
        if (end > until) // the bin that this group shares with the next one
            sum -= (sums->bins[until] + EPSILON) * log((end - until) * level + (until + 1 - end) * next + EPSILON);
        level = next;
    }
    return sum;
}

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
