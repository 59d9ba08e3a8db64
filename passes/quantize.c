// Scales and zero points of activations and weights, in double, rounded once.
#include "passes/quantize.h"

#include <float.h>
#include <math.h>
#include <string.h>
#include <stdlib.h>

#include "ir/fast.h"
#include "runtime/rounding.h"

// Round half to even, for |x| < 2^51, whatever the rounding mode of libm's own functions.
static double round_even(double x) {
    double magic = 6755399441055744.0; // 1.5 * 2^52
    volatile double shifted = x + magic;
    return shifted - magic;
}

static float normal_scale(double scale) {
    float single = (float)scale;
    if (!(single >= FLT_MIN)) return FLT_MIN;
    return single > FLT_MAX ? FLT_MAX : single;
}

const Quant *activation_quant(Arena *arena, const CalibrationEntry *entry, bool symmetric) {
    double lo = fmin(fmax(entry->min, -entry->threshold), 0), hi = fmax(fmin(entry->max, entry->threshold), 0);
    if (lo == 0 && hi == 0) return quant_per_tensor(arena, ELEM_I8, 1.0f, 0);
    if (symmetric) return quant_per_tensor(arena, ELEM_I8, normal_scale(fmax(-lo, hi) / 127), 0);
    float scale = normal_scale((hi - lo) / 255);
    double zero = round_even(-128 - lo / scale);
    return quant_per_tensor(arena, ELEM_I8, scale, (int32_t)fmin(fmax(zero, -128), 127));
}

enum { LANES = 16 };

FAST_LOOP double sum_of_magnitudes_loop(const float *weights, int64_t count) {
    double sums[LANES] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int lane = 0; lane < LANES; lane++) sums[lane] += fabs((double)weights[i + lane]);
    for (; i < count; i++) sum += fabs((double)weights[i]);
    for (int lane = 0; lane < LANES; lane++) sum += sums[lane];
    return sum;
}
FAST_VARIANTS(double, sum_of_magnitudes, (const float *weights, int64_t count), (weights, count))

// Magnitudes are ordered as their bits are.
FAST_LOOP double largest_magnitude_loop(const float *weights, int64_t count) {
    uint32_t largest = 0;
    float magnitude;
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &weights[i], sizeof bits);
        bits &= INT32_MAX;
        largest = bits > largest ? bits : largest;
    }
    memcpy(&magnitude, &largest, sizeof magnitude);
    return magnitude;
}
FAST_VARIANTS(double, largest_magnitude, (const float *weights, int64_t count), (weights, count))

bool is_finite(const float *values, int64_t count) { return largest_magnitude(values, count) <= FLT_MAX; }

// The smallest scale of weights for which |bias| + sum |q| * 255 stays below 2^31, and the multiplier normal. Rounding
// and balancing make a |q| larger by at most 1.
static double smallest_scale(int64_t each, const float *weights, double bias, const Quant *input, const Quant *output) {
    const double room = 2147483646.0 - (double)each * 255, sum = sum_of_magnitudes(weights, each);
    double for_sum = room > 0 ? (sum * 255 + fabs(bias) / (double)input->scale[0]) / room : INFINITY;
    double for_multiplier = (double)FLT_MIN * output->scale[0] / input->scale[0] * 1.0001;
    return fmax(fmax(for_sum * 1.000001, for_multiplier), FLT_MIN);
}

// Of a channel; errors[i]: by how much a weight is off, in quanta, without what clipping takes.
FAST_LOOP void round_weights_loop(int64_t each, const float *weights, float scale, int8_t *q, double *errors) {
    const double magic = 6755399441055744.0; // as round_even's, but for compilers to make vectors of
    for (int64_t i = 0; i < each; i++) {
        double exact = (double)weights[i] / scale;
        exact = exact > -127 ? exact : -127;
        exact = exact < 127 ? exact : 127;
        const double rounded = (exact + magic) - magic;
        errors[i] = rounded - exact;
        q[i] = (int8_t)(int32_t)rounded;
    }
}
FAST_VARIANTS(void, round_weights, (int64_t each, const float *weights, float scale, int8_t *q, double *errors), (each, weights, scale, q, errors))

typedef struct { double toward; int64_t index; } Flip;

static int by_gain(const void *a, const void *b) {
    const Flip *x = a, *y = b;
    if (x->toward != y->toward) return x->toward > y->toward ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

enum { STEPS = 256 };

// Rounding to the other neighbour takes errors[i], of the sum's sign, from the sum. In which step of such gains it lies, from 1 on; 0:
// there is none, or no neighbour.
FAST_LOOP void find_steps_loop(int64_t each, const double *errors, const int8_t *q, double sign, uint16_t *steps) {
    const int8_t last = sign > 0 ? -127 : 127;
    for (int64_t i = 0; i < each; i++) {
        const double toward = sign * errors[i];
        const int32_t step = (int32_t)((toward < 0.5 ? toward : 0.5) * 2 * STEPS);
        steps[i] = (uint16_t)(q[i] == last || !(toward > 0) ? 0 : step < STEPS ? step + 1 : STEPS);
    }
}
FAST_VARIANTS(void, find_steps, (int64_t each, const double *errors, const int8_t *q, double sign, uint16_t *steps), (each, errors, q, sign, steps))

// A step from which on at least `wanted` weights lie, and few others: few are sorted.
static int step_of_best(int64_t each, const uint16_t *steps, int64_t wanted) {
    int64_t counts[STEPS + 1] = {0};
    for (int64_t i = 0; i < each; i++) counts[steps[i]]++;
    int step = STEPS;
    for (int64_t sum = counts[step]; sum < wanted && step > 1;) sum += counts[--step];
    return step;
}

// Rounding each weight by itself leaves their errors with a sum, which shifts the channel's output by that sum times
// the inputs' mean. The weights that are nearest to the other neighbour are rounded to it until the sum is within half
// a quantum (as SQuant does for whole channels: Guo et al., ICLR 2022): no weight is off by more than one.
static void balance(int64_t each, const double *errors, int8_t *q, uint16_t *steps, Flip *flips) {
    double sum = 0;
    for (int64_t i = 0; i < each; i++) sum += errors[i];
    const int64_t wanted = (int64_t)round_even(fabs(sum));
    const double sign = sum > 0 ? 1 : -1;
    if (!wanted) return;
    find_steps(each, errors, q, sign, steps);
    const int least = step_of_best(each, steps, wanted);
    int64_t found = 0;
    for (int64_t i = 0; i < each; i++)
        if (steps[i] >= least) flips[found++] = (Flip){sign * errors[i], i};
    qsort(flips, (size_t)found, sizeof *flips, by_gain);
    for (int64_t i = 0; i < found && i < wanted; i++) q[flips[i].index] = (int8_t)(q[flips[i].index] - (int)sign);
}

// The sum of squared errors of weights at a scale.
static double squared_error(int64_t count, const float *weights, double scale) {
    const double magic = 6755399441055744.0; // as round_even's, but for compilers to make vectors of
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        double q = fmin(fmax(weights[i] / scale, -127), 127), error = (q + magic) - magic - weights[i] / scale;
        sum += error * error;
    }
    return sum * scale * scale;
}

// Of 49 scales, from that of the largest magnitude down to a quarter of it.
static double fitted_scale(int64_t count, const float *weights, bool mse) {
    double whole = largest_magnitude(weights, count) / 127, best = whole, least = INFINITY;
    for (int i = 64; mse && whole >= FLT_MIN && i >= 16; i--) {
        double scale = normal_scale(whole * i / 64), error = squared_error(count, weights, scale);
        if (error < least) least = error, best = scale;
    }
    return best;
}

const Quant *weight_quant(Arena *arena, int64_t channels, int64_t each, const float *weights, const float *bias,
                          const Quant *input, const Quant *output, WeightScales kind, int8_t *q, int32_t *q_bias) {
    const int8_t *known = NULL;
    const double whole = kind.per_tensor ? fitted_scale(channels * each, weights, kind.mse) : 0;
    float *scales = ARENA_ARRAY(arena, float, channels), largest = 0;
    Arena *scratch = arena_new();
    Flip *flips = ARENA_ARRAY(scratch, Flip, each + 1);
    double *errors = ARENA_ARRAY(scratch, double, each + 1);
    uint16_t *steps = ARENA_ARRAY(scratch, uint16_t, each + 1);
    for (int64_t c = 0; c < channels; c++) {
        double by_weights = kind.per_tensor ? whole : fitted_scale(each, weights + c * each, kind.mse);
        scales[c] = normal_scale(fmax(by_weights, smallest_scale(each, weights + c * each, bias ? bias[c] : 0, input, output)));
        largest = scales[c] > largest ? scales[c] : largest;
    }
    for (int64_t c = 0; kind.per_tensor && c < channels; c++) scales[c] = largest;
    if (kind.cache) known = weight_cache_find(kind.cache, weights, channels * each, channels, scales);
    if (known) memcpy(q, known, (size_t)(channels * each));
    for (int64_t c = 0; c < channels; c++) {
        if (!known) round_weights(each, weights + c * each, scales[c], q + c * each, errors);
        if (!known) balance(each, errors, q + c * each, steps, flips);
        q_bias[c] = bias ? (int32_t)round_even(bias[c] / ((double)input->scale[0] * scales[c])) : 0;
    }
    if (kind.cache && !known) weight_cache_add(kind.cache, weights, channels * each, channels, scales, q);
    arena_free(scratch);
    if (kind.per_tensor) return quant_per_axis(arena, ELEM_I8, -1, 1, scales, NULL, -127, 127);
    return quant_per_axis(arena, ELEM_I8, 0, (int)channels, scales, NULL, -127, 127);
}
