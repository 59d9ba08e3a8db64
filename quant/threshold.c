// Thresholds from what observers saw. The Kullback-Leibler method is TPU-MLIR's: of 2048 bins over |x|, keep the first
// 128 (m + 1), put the rest into the last one kept, and compare with the same bins in 128 groups, each spread evenly
// over its occupied bins.
#include <math.h>
#include <string.h>

#include "quant/threshold.h"

enum { KL_CANDIDATES = KL_BINS / KL_GROUPS };

double threshold_minmax(const Observer *observer) {
    double low = -(double)observer->min, high = observer->max;
    return low > high ? low : high;
}

Clip clip_ema(const Observer *observer) {
    double low = -(double)observer->mean_min, high = observer->mean_max;
    return (Clip){low > high ? low : high, observer->mean_min, observer->mean_max};
}

void magnitude_bins(const Observer *observer, double range, double bins[KL_BINS]) {
    double ratio = ldexp(1, observer->exponent) / (range / KL_BINS); // our bin's width in theirs, at most 1/2
    memset(bins, 0, KL_BINS * sizeof *bins);
    for (int i = 0; i < BINS_PER_SIGN; i++) {
        uint64_t exact = observer->bins[BINS_PER_SIGN + i] + observer->bins[BINS_PER_SIGN - 1 - i];
        if (i == 0)
            exact -= observer->zeros;
        if (exact == 0)
            continue;
        double begin = i * ratio, end = begin + ratio, count = (double)exact;
        int first = (int)begin;
        if (first >= KL_BINS - 1 || end <= first + 1) {
            bins[first < KL_BINS ? first : KL_BINS - 1] += count;
        } else {
            double before = (first + 1 - begin) / ratio * count;
            bins[first] += before;
            bins[first + 1] += count - before;
        }
    }
}

// Divergence of the first `kept` bins, the rest clipped into the last of them, from their grouped form.
static double divergence(const double bins[KL_BINS], int kept, double total) {
    double inside = 0, sum = 0;
    int width = kept / KL_GROUPS;
    for (int i = 0; i < kept; i++)
        inside += bins[i];
    if (inside == 0)
        return INFINITY;
    for (int group = 0; group < KL_GROUPS; group++) {
        const double *at = bins + group * width;
        double mass = 0;
        int occupied = 0;
        for (int i = 0; i < width; i++) {
            mass += at[i];
            occupied += at[i] != 0;
        }
        for (int i = 0; i < width; i++) {
            bool last = group * width + i == kept - 1;
            double p = (at[i] + (last ? total - inside : 0)) / total;
            double q = at[i] != 0 ? mass / occupied / inside : 1e-4 / total; // clipped mass in an empty last bin
            if (p > 0)
                sum += p * log(p / q);
        }
    }
    return sum;
}

double threshold_kl(const Observer *observer) {
    double range = threshold_minmax(observer), bins[KL_BINS], total = 0;
    if (!observer->bins || !(range > 0))
        return range;
    magnitude_bins(observer, range, bins);
    for (int i = 0; i < KL_BINS; i++)
        total += bins[i];
    int best = KL_CANDIDATES - 1;
    double least = INFINITY;
    for (int m = 0; m < KL_CANDIDATES; m++) {
        double d = divergence(bins, (m + 1) * KL_GROUPS, total);
        if (d < least) {
            least = d;
            best = m;
        }
    }
    return range / KL_BINS * ((best + 1) * KL_GROUPS);
}

// Of the bins from i on, of one sign: how many values, and the sums of their bins' middles and of the squares of these.
typedef struct { double count, sum, squares; } Tail;

static void fill_tails(const Observer *observer, bool minus, Tail *tails) {
    double width = ldexp(1, observer->exponent);
    tails[BINS_PER_SIGN] = (Tail){0, 0, 0};
    for (int i = BINS_PER_SIGN - 1; i >= 0; i--) {
        uint64_t exact = observer->bins[minus ? BINS_PER_SIGN - 1 - i : BINS_PER_SIGN + i];
        double count = (double)(exact - (minus || i ? 0 : observer->zeros)), x = (i + 0.5) * width; // zero is exact
        tails[i] = (Tail){tails[i + 1].count + count, tails[i + 1].sum + count * x, tails[i + 1].squares + count * x * x};
    }
}

// The first bin whose middle lies beyond a magnitude.
static int bin_beyond(const Observer *observer, double magnitude) {
    double place = floor(ldexp(magnitude, -observer->exponent) + 0.5);
    return place < BINS_PER_SIGN ? (int)place : BINS_PER_SIGN;
}

// What lies beyond `edge` is off by its distance from it, the rest by a rounding.
static double squared_error(const Observer *observer, const Tail *tails, double edge, double inside) {
    const Tail *beyond = &tails[bin_beyond(observer, edge)];
    double outside = beyond->squares - 2 * edge * beyond->sum + edge * edge * beyond->count;
    return (tails[0].count - beyond->count) * inside + (outside > 0 ? outside : 0);
}

double threshold_mse(const Observer *observer) {
    double largest = threshold_minmax(observer), best = largest, least = INFINITY;
    if (!observer->bins || largest == 0) return largest;
    Tail plus[BINS_PER_SIGN + 1], minus[BINS_PER_SIGN + 1];
    fill_tails(observer, false, plus);
    fill_tails(observer, true, minus);
    for (int i = 128; i >= 16; i--) { // 1/128 steps of the largest magnitude, down to an eighth
        // The range of the integers holds 0, whatever was seen.
        double threshold = largest * i / 128, low = fmin(fmax(observer->min, -threshold), 0), high = fmax(fmin(observer->max, threshold), 0);
        double step = (high - low) / 255, inside = step * step / 12;
        double error = squared_error(observer, plus, high, inside) + squared_error(observer, minus, -low, inside);
        if (error < least) least = error, best = threshold;
    }
    return best;
}

// ---- on magnitudes

// How many |x| lie in bin i; exact zeros are in none.
static double magnitude_count(const Observer *observer, int i) {
    return (double)(observer->bins[BINS_PER_SIGN + i] + observer->bins[BINS_PER_SIGN - 1 - i] - (i ? 0 : observer->zeros));
}

// The value of rank `rank` (0: the least) among x, or, `down`, among -x: magnitudes from the far end of one sign to that of the other.
static double value_at(const Observer *observer, double rank, bool down) {
    const uint64_t *bins = observer->bins;
    double width = ldexp(1, observer->exponent), before = 0;
    for (int i = BINS_PER_SIGN - 1; i >= 0; i--) { // the sign that is below 0
        double count = (double)bins[down ? BINS_PER_SIGN + i : BINS_PER_SIGN - 1 - i] - (double)(down && !i ? observer->zeros : 0);
        if (count > 0 && rank < before + count) return -width * (i + 1 - (rank - before + 0.5) / count);
        before += count;
    }
    before += (double)observer->zeros;
    if (rank < before) return 0;
    for (int i = 0; i < BINS_PER_SIGN; i++) {
        double count = (double)bins[down ? BINS_PER_SIGN - 1 - i : BINS_PER_SIGN + i] - (double)(!down && !i ? observer->zeros : 0);
        if (count > 0 && rank < before + count) return width * (i + (rank - before + 0.5) / count);
        before += count;
    }
    return down ? -(double)observer->min : observer->max;
}

// Between the two ranks that hold the place, as numpy.percentile does.
static double place_value(const Observer *observer, double percentile, double (*value)(const Observer *, double)) {
    double place = percentile / 100 * ((double)observer->count - 1), rank = floor(place), part = place - rank;
    double at = value(observer, rank);
    return part > 0 ? at + part * (value(observer, rank + 1) - at) : at;
}

static double rising(const Observer *observer, double rank) { return value_at(observer, rank, false); }
static double falling(const Observer *observer, double rank) { return value_at(observer, rank, true); }

static double magnitude_at(const Observer *observer, double rank) {
    double before = (double)observer->zeros, width = ldexp(1, observer->exponent);
    if (rank < before) return 0;
    for (int i = 0; i < BINS_PER_SIGN; before += magnitude_count(observer, i++)) {
        double count = magnitude_count(observer, i);
        if (count > 0 && rank < before + count) return width * (i + (rank - before + 0.5) / count);
    }
    return threshold_minmax(observer);
}

double threshold_percentile(const Observer *observer, double percentile) {
    double largest = threshold_minmax(observer);
    return observer->bins ? fmin(largest, place_value(observer, percentile, magnitude_at)) : largest;
}

Clip clip_sliding(const Observer *observer, int index, int count) {
    const double percentile = 99.99 + (99.999999 - 99.99) / count * index;
    Clip clip = {threshold_minmax(observer), observer->min, observer->max};
    if (!observer->bins) return clip;
    clip.max = fmin(clip.max, place_value(observer, percentile, rising));
    clip.min = fmax(clip.min, -place_value(observer, percentile, falling));
    clip.threshold = fmax(fabs(clip.min), fabs(clip.max));
    return clip;
}

// Twice the range of both signs' noise is that of one sign: a quarter of its square.
static double noise_ratio(const Observer *observer) { return observer->min < 0 ? 3.0 * 65536 : 4 * 3.0 * 65536; }

// s <- sum of |x| > s / (#{|x| <= s} / (3 * 4^8 * u) + #{|x| > s}), from the mean on, until it stays.
static double octav_step(const Observer *observer, const Tail *plus, const Tail *minus, double s) {
    int beyond = bin_beyond(observer, s);
    double outside = plus[beyond].count + minus[beyond].count, inside = (double)observer->count - outside;
    return (plus[beyond].sum + minus[beyond].sum) / (inside / noise_ratio(observer) + outside);
}

double threshold_octav(const Observer *observer) {
    double largest = threshold_minmax(observer);
    if (!observer->bins || largest == 0) return largest;
    Tail plus[BINS_PER_SIGN + 1], minus[BINS_PER_SIGN + 1];
    fill_tails(observer, false, plus);
    fill_tails(observer, true, minus);
    double s = octav_step(observer, plus, minus, 0);
    for (int turn = 0; turn < 100; turn++) {
        double next = octav_step(observer, plus, minus, s);
        if (!(next > 0) || next == s) break;
        s = next;
    }
    return fmin(s, largest);
}

// The w for which w * e^w = y, y >= e, by Newton's method.
static double lambert_w(double y) {
    double w = log(y);
    for (int turn = 0; turn < 50; turn++) w -= (w + log(w) - log(y)) / (1 + 1 / w);
    return w;
}

double threshold_aciq(const Observer *observer) {
    double largest = threshold_minmax(observer), width = ldexp(1, observer->exponent), sum = 0, spread = 0;
    if (!observer->bins) return largest;
    double count = (double)observer->count, zeros = (double)observer->zeros;
    for (int i = 0; i < BINS_PER_SIGN; i++) {
        double plus = (double)observer->bins[BINS_PER_SIGN + i] - (i ? 0 : zeros), minus = (double)observer->bins[BINS_PER_SIGN - 1 - i];
        sum += (i + 0.5) * width * (plus - minus);
    }
    double mean = observer->min < 0 ? sum / count : 0;
    for (int i = 0; i < BINS_PER_SIGN; i++) {
        double x = (i + 0.5) * width;
        double plus = (double)observer->bins[BINS_PER_SIGN + i] - (i ? 0 : zeros), minus = (double)observer->bins[BINS_PER_SIGN - 1 - i];
        spread += plus * fabs(x - mean) + minus * fabs(-x - mean);
    }
    spread += zeros * fabs(mean);
    return fmin(largest, fabs(mean) + lambert_w(noise_ratio(observer)) * spread / count);
}
