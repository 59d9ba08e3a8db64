// Groups of tensors whose channels may be multiplied by factors of their own without changing what the network computes:
// convolutions and linear layers make them (rows of weights and bias times the factor), others read them (columns of
// weights divided by it), and what stands between works on each channel by itself and scales with it.
#pragma once
#include "passes/pass.h"

typedef struct {
    int64_t channels;
    int value_count, producer_count, consumer_count;
    Value **values; // the first in the order of the network at 0
    Op **producers, **consumers;
    bool is_capped; // a relu6 among them: factors are at least 1, or it would clip less than it does
} ChannelGroup;

// The group of `value`. False: it has none, and *why says so in a few words.
bool channel_group_find(Arena *arena, Value *value, ChannelGroup *group, const char **why);
// Every input channel has weights of its own, one row.
bool is_depthwise(const Op *op);
// Which input channel each weight of a consumer is multiplied with.
typedef struct { int64_t columns, per_group; } WeightChannels; // input channels of a group; weights of a group
WeightChannels weight_channels(const Op *op);
static inline int64_t channel_at(const WeightChannels *channels, int64_t index) {
    return index / channels->per_group * channels->columns + index % channels->columns;
}
