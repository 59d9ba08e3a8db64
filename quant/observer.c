// Ranges and histograms of tensors. A histogram is only ever re-binned by joining 2^n neighbours, and a value's bin is
// its magnitude over a power of two, cut off: both exact, which is why order and threads do not matter.
#include "quant/observer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "ir/diag.h"
#include "quant/fast.h"

enum {
    BLOCK = 1024, // values that stay in the nearest cache between the loops over them
    VECTOR = 16,
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

// Floats are ordered as these integers are: extremes of integers may be taken in any order, which makes vectors of them.
static inline int32_t key_of(int32_t bits) {
    return bits ^ ((bits >> 31) & INT32_MAX);
}

static float value_of_key(int32_t key) {
    float value;
    key = key_of(key);
    memcpy(&value, &key, sizeof value);
    return value;
}

FAST_LOOP Range find_range_loop(const float *values, int64_t count) {
    const int32_t infinite = 0x7F800000; // NaN lies beyond
    int32_t least = INT32_MAX, most = INT32_MIN;
    for (int64_t i = 0; i < count; i++) {
        int32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        int32_t key = key_of(bits);
        least = key < least ? key : least;
        most = key > most ? key : most;
    }
    return (Range){value_of_key(least), value_of_key(most), most >= infinite || least <= key_of(INT32_MIN + infinite)};
}

FAST_VARIANTS(Range, find_range, (const float *values, int64_t count), (values, count))

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

// Places of the values that are not 0; how many they are. Zeros are many, and one counter for all would make each wait for the one
// before. `places` has room for VECTOR more.
static int find_places_plain(const float *values, int count, float scale, int32_t *places) {
    int found = 0;
    for (int i = 0; i < count; i++) {
        places[found] = (int32_t)(values[i] * scale) + BINS_PER_SIGN - (values[i] < 0);
        found += values[i] != 0;
    }
    return found;
}

#ifdef __x86_64__
__attribute__((target("avx512f,popcnt"))) static int find_places_packed(const float *values, int count, float scale, int32_t *places) {
    const __m512 zero = _mm512_setzero_ps(), scales = _mm512_set1_ps(scale);
    const __m512i middle = _mm512_set1_epi32(BINS_PER_SIGN), one = _mm512_set1_epi32(1);
    int found = 0, i = 0;
    for (; i + VECTOR <= count; i += VECTOR) {
        __m512 x = _mm512_loadu_ps(values + i);
        __mmask16 some = _mm512_cmp_ps_mask(x, zero, _CMP_NEQ_UQ), below = _mm512_cmp_ps_mask(x, zero, _CMP_LT_OQ);
        __m512i place = _mm512_add_epi32(_mm512_cvttps_epi32(_mm512_mul_ps(x, scales)), middle);
        place = _mm512_mask_sub_epi32(place, below, place, one);
        _mm512_storeu_si512(places + found, _mm512_maskz_compress_epi32(some, place));
        found += __builtin_popcount(some);
    }
    return found + find_places_plain(values + i, count - i, scale, places + found);
}
#endif

static int find_places(const float *values, int count, float scale, int32_t *places) {
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f"))
        return find_places_packed(values, count, scale, places);
#endif
    return find_places_plain(values, count, scale, places);
}

static void fill_bins(Observer *observer, const float *values, int count) {
    int32_t places[BLOCK + VECTOR];
    int found = find_places(values, count, ldexpf(1, -observer->exponent), places);
    for (int j = 0; j < found; j++)
        observer->bins[places[j]]++;
    observer->zeros += (uint64_t)(count - found);
    observer->bins[BINS_PER_SIGN] += (uint64_t)(count - found);
}

FAST_LOOP void widen_channels_loop(float *magnitudes, int64_t channels, const float *values, int64_t count) {
    for (int64_t i = 0; i + channels <= count; i += channels)
        for (int64_t c = 0; c < channels; c++) {
            float x = fabsf(values[i + c]);
            magnitudes[c] = x > magnitudes[c] ? x : magnitudes[c];
        }
}

FAST_VARIANTS(void, widen_channels, (float *magnitudes, int64_t channels, const float *values, int64_t count), (magnitudes, channels, values, count))

static float magnitude_of(float min, float max) {
    return -min > max ? -min : max;
}

// Room for magnitudes up to this one; zeros that came before there were bins.
static void prepare_bins(Observer *observer, float magnitude) {
    bool had_bins = observer->bins != NULL;
    make_room(observer, magnitude);
    if (observer->bins && !had_bins)
        observer->bins[BINS_PER_SIGN] += observer->zeros;
}

static void add_block(Observer *observer, const float *values, int count) {
    Range range = find_range(values, count);
    observer->not_finite |= range.not_finite;
    if (range.not_finite)
        return;
    widen(observer, range.min, range.max, (uint64_t)count);
    widen_sample(observer, range.min, range.max);
    if (!observer->wants_bins)
        return;
    prepare_bins(observer, magnitude_of(range.min, range.max));
    if (observer->bins)
        fill_bins(observer, values, count);
    else
        observer->zeros += (uint64_t)count;
}

void observer_add(Observer *observer, const float *values, int64_t count) {
    for (int64_t i = 0; i < count; i += BLOCK)
        add_block(observer, values + i, count - i < BLOCK ? (int)(count - i) : BLOCK);
    if (observer->channels && !observer->not_finite)
        widen_channels(observer->magnitudes, observer->channels, values, count);
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
    widen(into, from->min, from->max, from->count);
    if (into->channels && into->channels == from->channels)
        widen_channels(into->magnitudes, into->channels, from->magnitudes, from->channels);
    if (into->wants_bins)
        prepare_bins(into, magnitude_of(from->min, from->max));
    into->zeros += from->zeros;
    if (!into->wants_bins)
        return;
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
