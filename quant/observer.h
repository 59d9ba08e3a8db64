// What is remembered of one tensor over many samples, in bounded memory: range and histogram. The state is a function
// of the multiset of samples seen: neither their order nor the number of threads changes one bit of it. Of a tensor of many
// values a part is counted, the same number for each sample; extremes are those of all values.
#pragma once
#include <stdbool.h>
#include <stdint.h>

// Bins have width 2^exponent, the smallest power of two for which BINS_PER_SIGN of them hold the largest magnitude.
// Bin BINS_PER_SIGN + k counts k <= |x| / width < k + 1 for x >= 0, bin BINS_PER_SIGN - 1 - k the same for x < 0.
enum { BIN_BITS = 13, BINS_PER_SIGN = 1 << BIN_BITS, BIN_COUNT = 2 * BINS_PER_SIGN };

// Of a sample's tensor of n values, one of n / COUNTED_VALUES (rounded down) runs of COUNTED_RUN values is counted: of that many runs
// in succession one that a hash picks, so that no stride of the tensor's or of the channels' falls into step with it.
enum { COUNTED_VALUES = 1 << 14, COUNTED_RUN = 64 };

typedef struct {
    float min, max;   // 0, 0 before the first value
    bool not_finite;  // a NaN or an infinity was seen
    bool seen;        // a value was
    uint64_t count, zeros; // of the values that are counted
    int exponent;
    uint64_t *bins;   // NULL: range only, or nothing but zeros so far; complete after observer_settle
    uint16_t *low;    // what bins lack, and loose_zeros: few enough bytes to stay near the processor while samples come
    uint64_t loose_zeros;
    bool wants_bins;
    int64_t channels; // of the last dimension; 0: nothing is remembered of them
    float *magnitudes; // the largest |x| of each channel
    float sample_min, sample_max; // of one sample: since observer_begin_sample
    bool sample_seen;
    int64_t every; // of the sample's values one of so many runs is counted
    uint64_t seed;
    float mean_min, mean_max; // moving averages over samples, by observe() with OBSERVE_EXTREMES
} Observer;

void observer_open(Observer *observer, bool wants_bins);
void observer_close(Observer *observer);
// Also the largest magnitude of each channel: what is added from now on are whole runs of channels.
void observer_watch_channels(Observer *observer, int64_t channels);
// A sample brings `values` values; which of them are counted, where they are too many, `seed` says: the sample's own, whenever
// and wherever it is seen. Before the first call all are counted.
void observer_begin_sample(Observer *observer, int64_t values, uint64_t seed);
// Of the sample's values those from place `at` on, in any order; whole runs of channels where these are watched.
void observer_add(Observer *observer, int64_t at, const float *values, int64_t count);
// Each times the factor of its channel, of so many.
void observer_add_scaled(Observer *observer, int64_t at, const float *values, int64_t count, const float *factors, int64_t channels);
// Before bins are looked at.
void observer_settle(Observer *observer);
// For what is read from a file: empty bins; whether bins that were filled in fit the rest.
void observer_make_bins(Observer *observer);
bool observer_is_sound(const Observer *observer);
void observer_merge(Observer *into, const Observer *from);
