// Scales and zero points of activations and weights, in double, rounded once.
#include "passes/quantize.h"

#include <float.h>
#include <math.h>

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

// The smallest scale of weights for which |bias| + sum |q| * 255 stays below 2^31, and the multiplier normal. Rounding
// and balancing make a |q| larger by at most 1.
static double smallest_scale(int64_t each, const float *weights, double bias, const Quant *input, const Quant *output) {
    double room = 2147483646.0 - (double)each * 255, sum = 0;
    for (int64_t i = 0; i < each; i++) sum += fabs((double)weights[i]);
    double for_sum = room > 0 ? (sum * 255 + fabs(bias) / (double)input->scale[0]) / room : INFINITY;
    double for_multiplier = (double)FLT_MIN * output->scale[0] / input->scale[0] * 1.0001;
    return fmax(fmax(for_sum * 1.000001, for_multiplier), FLT_MIN);
}

static double largest_magnitude(const float *weights, int64_t count) {
    double largest = 0;
    for (int64_t i = 0; i < count; i++) largest = fmax(largest, fabs((double)weights[i]));
    return largest;
}

static int8_t quantize_weight(float weight, float scale) {
    double q = round_even((double)weight / scale);
    return (int8_t)fmin(fmax(q, -127), 127);
}

// Rounding each weight by itself leaves their errors with a sum, which shifts the channel's output by that sum times
// the inputs' mean. The weights that are nearest to the other neighbour are rounded to it until the sum is within half
// a quantum (as SQuant does for whole channels: Guo et al., ICLR 2022): no weight is off by more than one.
static void balance(int64_t each, const float *weights, float scale, int8_t *q) {
    double sum = 0;
    for (int64_t i = 0; i < each; i++) sum += q[i] - (double)weights[i] / scale;
    for (int flips = (int)round_even(fabs(sum)); flips > 0; flips--) {
        int64_t best = -1;
        double largest = 0;
        for (int64_t i = 0; i < each; i++) {
            double error = q[i] - (double)weights[i] / scale, toward = sum > 0 ? error : -error;
            bool fits = sum > 0 ? q[i] > -127 : q[i] < 127;
            if (fits && toward > largest) largest = toward, best = i;
        }
        if (best < 0) return;
        q[best] = (int8_t)(q[best] + (sum > 0 ? -1 : 1));
    }
}

const Quant *weight_quant(Arena *arena, int64_t channels, int64_t each, const float *weights, const float *bias,
                          const Quant *input, const Quant *output, bool per_tensor, int8_t *q, int32_t *q_bias) {
    float *scales = ARENA_ARRAY(arena, float, channels), largest = 0;
    for (int64_t c = 0; c < channels; c++) {
        double by_weights = largest_magnitude(weights + c * each, each) / 127;
        scales[c] = normal_scale(fmax(by_weights, smallest_scale(each, weights + c * each, bias ? bias[c] : 0, input, output)));
        largest = scales[c] > largest ? scales[c] : largest;
    }
    for (int64_t c = 0; c < channels; c++) {
        if (per_tensor) scales[c] = largest;
        for (int64_t i = 0; i < each; i++) q[c * each + i] = quantize_weight(weights[c * each + i], scales[c]);
        balance(each, weights + c * each, scales[c], q + c * each);
        q_bias[c] = bias ? (int32_t)round_even(bias[c] / ((double)input->scale[0] * scales[c])) : 0;
    }
    if (per_tensor) return quant_per_axis(arena, ELEM_I8, -1, 1, scales, NULL, -127, 127);
    return quant_per_axis(arena, ELEM_I8, 0, (int)channels, scales, NULL, -127, 127);
}
