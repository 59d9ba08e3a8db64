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
#include "ir/fast.h"

enum {
    BLOCK = 1024, // values that stay in the nearest cache between the loops over them
    VECTOR = 16,
    MIN_EXPONENT = -110, // 2^-exponent stays finite, and subnormal values keep their bits
};

void observer_open(Observer *observer, bool wants_bins) {
    *observer = (Observer){.wants_bins = wants_bins, .every = 1};
}

void observer_close(Observer *observer) {
    free(observer->bins);
    free(observer->low);
    free(observer->magnitudes);
    *observer = (Observer){0};
}

static void *counters_new(size_t size) {
    void *counters = calloc(BIN_COUNT, size);
    BUG_UNLESS(counters, "out of memory for a histogram");
    return counters;
}

static uint64_t *bins_of(Observer *observer) {
    if (!observer->bins)
        observer->bins = counters_new(sizeof *observer->bins);
    return observer->bins;
}

static uint16_t *low_of(Observer *observer) {
    if (!observer->low)
        observer->low = counters_new(sizeof *observer->low);
    return observer->low;
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

// Of the values' bits, the largest of those without a sign bit and of those with one: the extremes, where there are some of both.
typedef struct { int32_t plus; uint32_t minus; } Beyond;

FAST_LOOP Beyond find_beyond_loop(const float *values, int64_t count) {
    int32_t plus = INT32_MIN;
    uint32_t minus = 0;
    for (int64_t i = 0; i < count; i++) {
        int32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        plus = bits > plus ? bits : plus;
        minus = (uint32_t)bits > minus ? (uint32_t)bits : minus;
    }
    return (Beyond){plus, minus};
}

FAST_VARIANTS(Beyond, find_beyond, (const float *values, int64_t count), (values, count))

// What widens the observer's extremes; values on one side of 0 alone rarely do on the other.
static Range range_of(const Observer *observer, const float *values, int64_t count) {
    const Beyond beyond = find_beyond(values, count);
    const bool has_plus = beyond.plus >= 0, has_minus = beyond.minus > INT32_MAX, seen = observer->seen && observer->sample_seen;
    const uint32_t infinite = 0x7F800000;
    Range range = {0, 0, (has_plus && (uint32_t)beyond.plus >= infinite) || (has_minus && (beyond.minus & INT32_MAX) >= infinite)};
    if (!range.not_finite && !(has_plus || (seen && observer->max >= 0 && observer->sample_max >= 0)))
        return find_range(values, count);
    if (!range.not_finite && !(has_minus || (seen && observer->min <= 0 && observer->sample_min <= 0)))
        return find_range(values, count);
    if (has_plus)
        memcpy(&range.max, &beyond.plus, sizeof range.max);
    if (has_minus)
        memcpy(&range.min, &beyond.minus, sizeof range.min);
    return range;
}

void observer_begin_sample(Observer *observer, int64_t values, uint64_t seed) {
    observer->sample_seen = false;
    observer->every = values < 2 * COUNTED_VALUES ? 1 : values / COUNTED_VALUES;
    observer->seed = seed;
}

static void widen_sample(Observer *observer, float min, float max) {
    if (!observer->sample_seen || min < observer->sample_min)
        observer->sample_min = min + 0.0f;
    if (!observer->sample_seen || max > observer->sample_max)
        observer->sample_max = max + 0.0f;
    observer->sample_seen = true;
}

static void widen(Observer *observer, float min, float max) {
    // + 0: of -0 and 0, which compare equal, always 0.
    if (!observer->seen || min < observer->min)
        observer->min = min + 0.0f;
    if (!observer->seen || max > observer->max)
        observer->max = max + 0.0f;
    observer->seen = true;
}

// ---- histogram

static int exponent_for(float magnitude) {
    int exponent;
    frexpf(magnitude, &exponent); // magnitude < 2^exponent
    exponent -= BIN_BITS;
    return exponent < MIN_EXPONENT ? MIN_EXPONENT : exponent;
}

static void carry(Observer *observer, int bin) {
    bins_of(observer)[bin] += UINT16_MAX + 1;
}

// Joining equal magnitudes of either sign; what moves moves toward the middle, where bins were joined before.
static void join_bins(Observer *observer, int exponent) {
    int shift = exponent - observer->exponent;
    if (shift > BIN_BITS + 1)
        shift = BIN_BITS + 1;
    for (int k = 1; k < 2 * BINS_PER_SIGN; k++) {
        const bool minus = k & 1;
        const int from = minus ? BINS_PER_SIGN - 1 - (k >> 1) : BINS_PER_SIGN + (k >> 1);
        const int to = BINS_PER_SIGN + ((from - BINS_PER_SIGN) >> shift);
        if (from == to)
            continue;
        if (observer->low) {
            uint16_t moved = observer->low[from];
            observer->low[from] = 0;
            observer->low[to] = (uint16_t)(observer->low[to] + moved);
            if (observer->low[to] < moved)
                carry(observer, to);
        }
        if (observer->bins) {
            observer->bins[to] += observer->bins[from];
            observer->bins[from] = 0;
        }
    }
    observer->exponent = exponent;
}

static bool has_bins(const Observer *observer) {
    return observer->bins || observer->low;
}

static void make_room(Observer *observer, float magnitude) {
    if (magnitude == 0)
        return;
    int exponent = exponent_for(magnitude);
    if (has_bins(observer) && exponent > observer->exponent)
        join_bins(observer, exponent);
    else if (!has_bins(observer))
        observer->exponent = exponent, low_of(observer);
}

void observer_settle(Observer *observer) {
    if (!has_bins(observer))
        return;
    uint64_t *bins = bins_of(observer);
    for (int i = 0; observer->low && i < BIN_COUNT; i++)
        bins[i] += observer->low[i];
    bins[BINS_PER_SIGN] += observer->loose_zeros;
    observer->loose_zeros = 0;
    free(observer->low);
    observer->low = NULL;
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

// splitmix64's last steps.
static uint64_t mixed(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

// Of a block's values those that are counted: places of the ones that are not 0, and how many they are with the zeros.
static int find_counted(const Observer *observer, int64_t at, const float *values, int count, float scale, int32_t *places, int *counted) {
    const int64_t stride = observer->every * COUNTED_RUN;
    *counted = count;
    if (observer->every == 1)
        return find_places(values, count, scale, places);
    int found = *counted = 0;
    for (int64_t group = at / stride; group * stride < at + count; group++) {
        int64_t first = group * stride + (int64_t)(mixed(observer->seed + (uint64_t)group) % (uint64_t)observer->every) * COUNTED_RUN - at;
        int64_t last = first + COUNTED_RUN < count ? first + COUNTED_RUN : count;
        first = first < 0 ? 0 : first;
        if (first >= last)
            continue;
        found += find_places(values + first, (int)(last - first), scale, places + found);
        *counted += (int)(last - first);
    }
    return found;
}

static void fill_bins(Observer *observer, int64_t at, const float *values, int count) {
    int32_t places[BLOCK + VECTOR];
    int counted, found = find_counted(observer, at, values, count, has_bins(observer) ? ldexpf(1, -observer->exponent) : 0, places, &counted);
    observer->count += (uint64_t)counted;
    observer->zeros += (uint64_t)(counted - found);
    observer->loose_zeros += (uint64_t)(counted - found);
    uint16_t *low = found ? low_of(observer) : NULL;
    for (int j = 0; j < found; j++)
        if (!++low[places[j]])
            carry(observer, places[j]);
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

// `at`: of the sample's values, the first one's place.
static void add_block(Observer *observer, int64_t at, const float *values, int count) {
    Range range = range_of(observer, values, count);
    observer->not_finite |= range.not_finite;
    if (range.not_finite)
        return;
    widen(observer, range.min, range.max);
    widen_sample(observer, range.min, range.max);
    if (observer->wants_bins) {
        make_room(observer, magnitude_of(range.min, range.max));
        fill_bins(observer, at, values, count);
    } else {
        observer->count += (uint64_t)count;
    }
}

// From the end on: what was written last is still near the processor, and so will the beginning be for what reads it next.
void observer_add(Observer *observer, int64_t at, const float *values, int64_t count) {
    for (int64_t i = (count - 1) / BLOCK * BLOCK; i >= 0; i -= BLOCK)
        add_block(observer, at + i, values + i, count - i < BLOCK ? (int)(count - i) : BLOCK);
    if (observer->channels && !observer->not_finite)
        widen_channels(observer->magnitudes, observer->channels, values, count);
}

// From channel `first` on.
FAST_LOOP void scale_channels_loop(const float *values, int64_t count, const float *factors, int64_t channels, int64_t first, float *scaled) {
    for (int64_t i = 0; i < count;) {
        const int64_t until = count - i < channels - first ? count - i : channels - first;
        for (int64_t c = 0; c < until; c++)
            scaled[i + c] = values[i + c] * factors[first + c];
        i += until;
        first = 0;
    }
}

FAST_VARIANTS(void, scale_channels, (const float *values, int64_t count, const float *factors, int64_t channels, int64_t first, float *scaled),
              (values, count, factors, channels, first, scaled))

void observer_add_scaled(Observer *observer, int64_t at, const float *values, int64_t count, const float *factors, int64_t channels) {
    float scaled[BLOCK];
    for (int64_t i = (count - 1) / BLOCK * BLOCK; i >= 0; i -= BLOCK) {
        const int own = count - i < BLOCK ? (int)(count - i) : BLOCK;
        scale_channels(values + i, own, factors, channels, (at + i) % channels, scaled);
        add_block(observer, at + i, scaled, own);
    }
}

void observer_make_bins(Observer *observer) {
    bins_of(observer);
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

// Those of `from` lie at least as close.
static void add_bins(Observer *into, const Observer *from) {
    uint64_t *bins = bins_of(into);
    int shift = into->exponent - from->exponent;
    if (shift > BIN_BITS + 1)
        shift = BIN_BITS + 1;
    for (int i = 0; i < BIN_COUNT; i++)
        bins[BINS_PER_SIGN + ((i - BINS_PER_SIGN) >> shift)] += (from->bins ? from->bins[i] : 0) + (from->low ? from->low[i] : 0);
}

void observer_merge(Observer *into, const Observer *from) {
    into->not_finite |= from->not_finite;
    if (!from->seen)
        return;
    widen(into, from->min, from->max);
    into->count += from->count;
    if (into->channels && into->channels == from->channels)
        widen_channels(into->magnitudes, into->channels, from->magnitudes, from->channels);
    into->zeros += from->zeros;
    if (!into->wants_bins)
        return;
    into->loose_zeros += from->loose_zeros;
    make_room(into, magnitude_of(from->min, from->max));
    if (has_bins(from))
        add_bins(into, from);
}
