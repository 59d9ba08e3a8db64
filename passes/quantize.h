// Choosing quantization parameters (docs/numerics.md): pure functions of ranges and weights.
#pragma once
#include "passes/pass.h"
#include "passes/weights.h"

// Activations: range = [max(min, -threshold), min(max, threshold)] widened to hold 0.
const Quant *activation_quant(Arena *arena, const CalibrationEntry *entry, bool symmetric);

bool is_finite(const float *values, int64_t count); // no NaN, no infinity

// Weights of `channels` rows of `each` elements with the bias of each (NULL: none) and the input's and output's
// quantization: i8 in [-127, 127], zero point 0, one scale a channel (or one in all), by the largest magnitude or the least
// squared error, large enough for the accumulation bound and for a normal multiplier. Quantized elements and bias (i32, one a channel) are written to q and q_bias.
typedef struct { bool per_tensor, mse; WeightCache *cache; } WeightScales; // cache: or NULL
const Quant *weight_quant(Arena *arena, int64_t channels, int64_t each, const float *weights, const float *bias,
                          const Quant *input, const Quant *output, WeightScales kind, int8_t *q, int32_t *q_bias);
