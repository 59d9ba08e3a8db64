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
    float sample_min, sample_max; // of one sample: since observer_begin_sample
    bool sample_seen;
    float mean_min, mean_max; // moving averages over samples, by observe() with OBSERVE_EXTREMES
} Observer;

void observer_open(Observer *observer, bool wants_bins);
void observer_close(Observer *observer);
// Also the largest magnitude of each channel: what is added from now on are whole runs of channels.
void observer_watch_channels(Observer *observer, int64_t channels);
void observer_begin_sample(Observer *observer);
void observer_add(Observer *observer, const float *values, int64_t count);
// For what is read from a file: empty bins; whether bins that were filled in fit the rest.
void observer_make_bins(Observer *observer);
bool observer_is_sound(const Observer *observer);
void observer_merge(Observer *into, const Observer *from);
