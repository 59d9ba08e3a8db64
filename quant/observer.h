// What is remembered of one tensor over many samples, in bounded memory: range and histogram. The state is a function
// of the multiset of values seen: neither the order of samples nor the number of threads changes one bit of it.
#pragma once
#include <stdbool.h>
#include <stdint.h>

// Bins have width 2^exponent, the smallest power of two for which BINS_PER_SIGN of them hold the largest magnitude.
// Bin BINS_PER_SIGN + k counts k <= |x| / width < k + 1 for x >= 0, bin BINS_PER_SIGN - 1 - k the same for x < 0.
enum { BIN_BITS = 13, BINS_PER_SIGN = 1 << BIN_BITS, BIN_COUNT = 2 * BINS_PER_SIGN };

typedef struct {
    float min, max;   // 0, 0 before the first value
    bool not_finite;  // a NaN or an infinity was seen
    uint64_t count, zeros;
    int exponent;
    uint64_t *bins;   // NULL: range only, or nothing but zeros so far
    bool wants_bins;
    int64_t channels; // of the last dimension; 0: nothing is remembered of them
    float *magnitudes; // the largest |x| of each channel
} Observer;

void observer_open(Observer *observer, bool wants_bins);
void observer_close(Observer *observer);
// Also the largest magnitude of each channel: what is added from now on are whole runs of channels.
void observer_watch_channels(Observer *observer, int64_t channels);
void observer_add(Observer *observer, const float *values, int64_t count);
void observer_merge(Observer *into, const Observer *from);

// Thresholds on |x|.
double threshold_minmax(const Observer *observer);
// TPU-MLIR's: least Kullback-Leibler divergence over 16 candidates, on 2048 bins of |x| without exact zeros. The bins
// are made of ours by proportional overlap. Ours are at most half as wide, so a count may land in the bin beside its
// own; the threshold is another candidate only where two divergences agree to that.
double threshold_kl(const Observer *observer);
// Least mean squared error of the i8 values: the histogram against 113 clipped ranges.
double threshold_mse(const Observer *observer);
// The 99.99th percentile of |x|, interpolated as numpy.percentile does; bins are spread evenly, so within one bin's width.
static const double PERCENTILE = 99.99;
double threshold_percentile(const Observer *observer);
// Least mean squared error by the fixed point of Sakr et al. (OCTAV, ICML 2022), on the middles of bins.
double threshold_octav(const Observer *observer);
// Banner et al. (ACIQ, NeurIPS 2019) for 8 bits of a Laplace distribution about the mean (one-sided from 0 on, where
// nothing is negative): W(3 * 4^8) = 9.897 mean deviations beyond the mean, W(4 * 3 * 4^8) = 11.163 means.
double threshold_aciq(const Observer *observer);
