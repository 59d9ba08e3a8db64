// Thresholds from what observers saw: one function a method, all on the same histogram.
#pragma once
#include "quant/observer.h"

// What becomes of a tensor's range: |x| <= threshold, within [min, max].
typedef struct { double threshold, min, max; } Clip;

double threshold_minmax(const Observer *observer);
// Moving averages over the samples in their order, as observe() made them: PyTorch's MovingAverageMinMaxObserver.
Clip clip_ema(const Observer *observer);

// Counts of |x| in equal bins over [0, range], exact zeros left out. Our bins are divided by proportional overlap; they are at
// most half as wide, so a count may land in the bin beside its own.
enum { KL_BINS = 2048, KL_GROUPS = 128 };
void magnitude_bins(const Observer *observer, double range, double bins[KL_BINS]);
// TPU-MLIR's: least Kullback-Leibler divergence over 16 candidates, on 2048 bins of |x| without exact zeros. The threshold is
// another candidate than that of exact bins only where two divergences agree to what proportional overlap moves.
double threshold_kl(const Observer *observer);
// ncnn's (ncnn2table): on the same bins, every one from the 128th to the last but one is a candidate.
double threshold_kl_ncnn(const Observer *observer);
// Least mean squared error of the i8 values: the histogram against 113 clipped ranges.
double threshold_mse(const Observer *observer);
// A percentile of |x|, interpolated as numpy.percentile does; bins are spread evenly, so within one bin's width.
double threshold_percentile(const Observer *observer, double percentile);
// Percentiles of x at both ends, the same way: of the tensor `index` of `count`, the 99.99th and more the further back it
// lies, up to the 99.999999th (TPU-MLIR's percentile9999).
Clip clip_sliding(const Observer *observer, int index, int count);
// Least mean squared error by the fixed point of Sakr et al. (OCTAV, ICML 2022), on the middles of bins.
double threshold_octav(const Observer *observer);
// Banner et al. (ACIQ, NeurIPS 2019) for 8 bits of a Laplace distribution about the mean (one-sided from 0 on, where
// nothing is negative): W(3 * 4^8) = 9.897 mean deviations beyond the mean, W(4 * 3 * 4^8) = 11.163 means.
double threshold_aciq(const Observer *observer);
