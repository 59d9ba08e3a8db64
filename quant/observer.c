// Ranges and histograms of tensors. A histogram is only ever re-binned by joining 2^n neighbours, and a value's bin is
// its magnitude over a power of two, cut off: both exact, which is why order and threads do not matter.
#include "quant/observer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/diag.h"

#if defined(__GNUC__) && !defined(__clang__)
#define VECTORIZE __attribute__((optimize("O3")))
#else
#define VECTORIZE
#endif

enum {
    LANES = 16,
    BLOCK = 1024,
    MIN_EXPONENT = -110, // 2^-exponent stays finite, and subnormal values keep their bits
};

void observer_open(Observer *observer, bool wants_bins) {
    *observer = (Observer){.wants_bins = wants_bins};
}

void observer_close(Observer *observer) {
    free(observer->bins);
    free(observer->magnitudes);
    *observer = (Observer){0};
}

static uint64_t *bins_new(void) {
    uint64_t *bins = calloc(BIN_COUNT, sizeof *bins);
    if (!bins)
        BUG("out of memory for a histogram");
    return bins;
}

void observer_watch_channels(Observer *observer, int64_t channels) {
    observer->channels = channels;
    observer->magnitudes = calloc((size_t)channels + 1, sizeof *observer->magnitudes);
    BUG_UNLESS(observer->magnitudes, "out of memory for %lld channels", (long long)channels);
}

// ---- range

typedef struct {
    float min, max;
    bool not_finite;
} Range;

VECTORIZE static Range find_range(const float *values, int64_t count) {
    float min[LANES], max[LANES], poison[LANES];
    for (int l = 0; l < LANES; l++) {
        min[l] = max[l] = values[0];
        poison[l] = 0;
    }
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int l = 0; l < LANES; l++) {
            float x = values[i + l];
            min[l] = x < min[l] ? x : min[l];
            max[l] = x > max[l] ? x : max[l];
            poison[l] += x * 0.0f; // NaN from now on if x is infinite or NaN
        }
    for (; i < count; i++) {
        min[0] = values[i] < min[0] ? values[i] : min[0];
        max[0] = values[i] > max[0] ? values[i] : max[0];
        poison[0] += values[i] * 0.0f;
    }
    Range range = {min[0], max[0], poison[0] != poison[0]};
    for (int l = 1; l < LANES; l++) {
        range.min = min[l] < range.min ? min[l] : range.min;
        range.max = max[l] > range.max ? max[l] : range.max;
        range.not_finite |= poison[l] != poison[l];
    }
    return range;
}

void observer_begin_sample(Observer *observer) {
    observer->sample_seen = false;
}

static void widen_sample(Observer *observer, float min, float max) {
    if (!observer->sample_seen || min < observer->sample_min)
        observer->sample_min = min + 0.0f;
    if (!observer->sample_seen || max > observer->sample_max)
        observer->sample_max = max + 0.0f;
    observer->sample_seen = true;
}

static void widen(Observer *observer, float min, float max, uint64_t count) {
    // + 0: of -0 and 0, which compare equal, always 0.
    if (observer->count == 0 || min < observer->min)
        observer->min = min + 0.0f;
    if (observer->count == 0 || max > observer->max)
        observer->max = max + 0.0f;
    observer->count += count;
}

// ---- histogram

static int exponent_for(float magnitude) {
    int exponent;
    frexpf(magnitude, &exponent); // magnitude < 2^exponent
    exponent -= BIN_BITS;
    return exponent < MIN_EXPONENT ? MIN_EXPONENT : exponent;
}

static void join_bins(Observer *observer, int exponent) {
    int shift = exponent - observer->exponent;
    if (shift > BIN_BITS + 1)
        shift = BIN_BITS + 1;
    uint64_t *joined = bins_new();
    for (int i = 0; i < BIN_COUNT; i++) {
        int place = i - BINS_PER_SIGN; // negative for negative values; >> rounds down, joining equal magnitudes
        joined[BINS_PER_SIGN + (place >> shift)] += observer->bins[i];
    }
    free(observer->bins);
    observer->bins = joined;
    observer->exponent = exponent;
}

static void make_room(Observer *observer, float magnitude) {
    if (magnitude == 0)
        return;
    int exponent = exponent_for(magnitude);
    if (!observer->bins) {
        observer->bins = bins_new();
        observer->exponent = exponent;
    } else if (exponent > observer->exponent) {
        join_bins(observer, exponent);
    }
}

VECTORIZE static void find_places(const float *values, int count, float scale, int32_t *places) {
    for (int i = 0; i < count; i++)
        places[i] = (int32_t)(values[i] * scale) + BINS_PER_SIGN - (values[i] < 0);
}

VECTORIZE static uint64_t count_zeros(const float *values, int count) {
    uint32_t zeros = 0;
    for (int i = 0; i < count; i++)
        zeros += values[i] == 0;
    return zeros;
}

static void fill_bins(Observer *observer, const float *values, int64_t count) {
    int32_t places[BLOCK];
    float scale = ldexpf(1, -observer->exponent);
    for (int64_t i = 0; i < count; i += BLOCK) {
        int block = count - i < BLOCK ? (int)(count - i) : BLOCK;
        observer->zeros += count_zeros(values + i, block);
        if (!observer->bins)
            continue;
        find_places(values + i, block, scale, places);
        for (int j = 0; j < block; j++)
            observer->bins[places[j]]++;
    }
}

VECTORIZE static void widen_channels(float *magnitudes, int64_t channels, const float *values, int64_t count) {
    for (int64_t i = 0; i + channels <= count; i += channels)
        for (int64_t c = 0; c < channels; c++) {
            float x = fabsf(values[i + c]);
            magnitudes[c] = x > magnitudes[c] ? x : magnitudes[c];
        }
}

static float magnitude_of(float min, float max) {
    return -min > max ? -min : max;
}

void observer_add(Observer *observer, const float *values, int64_t count) {
    if (count == 0)
        return;
    Range range = find_range(values, count);
    if (range.not_finite) {
        observer->not_finite = true;
        return;
    }
    widen(observer, range.min, range.max, (uint64_t)count);
    widen_sample(observer, range.min, range.max);
    if (observer->channels)
        widen_channels(observer->magnitudes, observer->channels, values, count);
    if (!observer->wants_bins)
        return;
    uint64_t zeros = observer->zeros;
    bool had_bins = observer->bins != NULL;
    make_room(observer, magnitude_of(range.min, range.max));
    if (observer->bins && !had_bins)
        observer->bins[BINS_PER_SIGN] += zeros; // those of earlier values that were all zero
    fill_bins(observer, values, count);
}

void observer_make_bins(Observer *observer) {
    observer->bins = bins_new();
}

bool observer_is_sound(const Observer *observer) {
    float magnitude = magnitude_of(observer->min, observer->max);
    int first = 0, last = BIN_COUNT - 1;
    while (first < last && !observer->bins[first])
        first++;
    while (last > first && !observer->bins[last])
        last--;
    return magnitude > 0 && observer->exponent == exponent_for(magnitude) && (observer->min < 0 || first >= BINS_PER_SIGN) &&
           (observer->max >= 0 || last < BINS_PER_SIGN);
}

void observer_merge(Observer *into, const Observer *from) {
    into->not_finite |= from->not_finite;
    if (from->count == 0)
        return;
    uint64_t zeros = into->zeros;
    bool had_bins = into->bins != NULL;
    widen(into, from->min, from->max, from->count);
    if (into->channels && into->channels == from->channels)
        widen_channels(into->magnitudes, into->channels, from->magnitudes, from->channels);
    into->zeros += from->zeros;
    if (!into->wants_bins)
        return;
    make_room(into, magnitude_of(from->min, from->max));
    if (into->bins && !had_bins)
        into->bins[BINS_PER_SIGN] += zeros;
    if (!from->bins) {
        if (into->bins)
            into->bins[BINS_PER_SIGN] += from->zeros;
        return;
    }
    int shift = into->exponent - from->exponent;
    if (shift > BIN_BITS + 1)
        shift = BIN_BITS + 1;
    for (int i = 0; i < BIN_COUNT; i++)
        into->bins[BINS_PER_SIGN + ((i - BINS_PER_SIGN) >> shift)] += from->bins[i];
}
