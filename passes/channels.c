// The flood from a tensor along ops that keep channels apart, to the weights at either end.
#include "passes/channels.h"

#include "ir/map.h"
#include "passes/rewrite.h"

typedef struct {
    Arena *arena;
    ChannelGroup *group;
    Map *seen;      // values, producers and consumers
    int room;       // of each list
    const char *why; // not NULL: there is no group
} Flood;

static int64_t last_dim(const Value *value) {
    const Type *type = value->type;
    return type->rank ? type->shape[type->rank - 1] : 0;
}

static bool fail(Flood *flood, const char *why) {
    flood->why = why;
    return false;
}

static void grow(Flood *flood) {
    ChannelGroup *group = flood->group;
    int room = flood->room ? 2 * flood->room : 16;
    Value **values = ARENA_ARRAY(flood->arena, Value *, room);
    Op **producers = ARENA_ARRAY(flood->arena, Op *, room), **consumers = ARENA_ARRAY(flood->arena, Op *, room);
    for (int i = 0; i < group->value_count; i++) values[i] = group->values[i];
    for (int i = 0; i < group->producer_count; i++) producers[i] = group->producers[i];
    for (int i = 0; i < group->consumer_count; i++) consumers[i] = group->consumers[i];
    group->values = values, group->producers = producers, group->consumers = consumers;
    flood->room = room;
}

static void make_room(Flood *flood) {
    const ChannelGroup *group = flood->group;
    if (group->value_count == flood->room || group->producer_count == flood->room || group->consumer_count == flood->room) grow(flood);
}

static bool is_new(Flood *flood, const void *key) {
    void **slot = map_get(flood->seen, key);
    if (*slot) return false;
    *slot = flood;
    return true;
}

static bool add_value(Flood *flood, Value *value) {
    ChannelGroup *group = flood->group;
    if (!is_new(flood, value)) return true;
    if (value->type->elem != ELEM_F32 || value->type->quant || last_dim(value) != group->channels) return fail(flood, "channels are not kept apart");
    make_room(flood);
    group->values[group->value_count++] = value;
    return true;
}

// ---- ops between

static bool cap(Flood *flood, const Op *op) {
    flood->group->is_capped = flood->group->is_capped || !strcmp(activation_of(op), "relu6");
    return true;
}

static bool keeps_last(const Op *op) {
    IntList axes = as_reduce_mean(op).axes;
    int rank = op_operand(op, 0)->type->rank;
    for (int i = 0; i < axes.count; i++)
        if (axes.data[i] == rank - 1) return false;
    return true;
}

static bool pads_zeros(const Op *op) {
    pad_view pad = as_pad(op);
    int last = op->results[0].type->rank - 1;
    return pad.value == 0 && last >= 0 && !int_at(pad.low, last) && !int_at(pad.high, last);
}

// One operand, each channel by itself, and the result scales with it.
static bool keeps_channels(const Op *op) {
    switch (op->kind) {
    case OP_relu: case OP_leaky_relu: case OP_max_pool2d: case OP_avg_pool2d: return true;
    case OP_reduce_mean: return keeps_last(op);
    case OP_pad: return pads_zeros(op);
    case OP_reshape: return last_dim(op_operand(op, 0)) == last_dim(&op->results[0]);
    default: return false;
    }
}

static bool is_sum(const Op *op) {
    if (op->kind != OP_add && op->kind != OP_sub) return false;
    for (int i = 0; i < 2; i++) {
        const Value *operand = op_operand(op, i);
        if (value_constant(operand) || !type_same_shape(operand->type, op->results[0].type)) return false;
    }
    return true;
}

static bool is_f32_constant(const Value *value) {
    const Dense *dense = value_constant(value);
    return dense && dense->type->elem == ELEM_F32 && !dense->type->quant;
}

static bool has_weights(const Op *op) {
    if (op->kind != OP_conv2d && op->kind != OP_linear) return false;
    return is_f32_constant(op_operand(op, 1)) && (!op_operand(op, 2) || is_f32_constant(op_operand(op, 2)));
}

static bool add_producer(Flood *flood, Value *value) {
    Op *op = value->def;
    ChannelGroup *group = flood->group;
    if (!op) return fail(flood, "it is the network's input");
    if (has_weights(op)) {
        make_room(flood);
        group->producers[group->producer_count++] = op;
        return cap(flood, op);
    }
    if (is_sum(op)) return cap(flood, op) && add_value(flood, op_operand(op, 0)) && add_value(flood, op_operand(op, 1));
    if (keeps_channels(op)) return add_value(flood, op_operand(op, 0));
    return fail(flood, arena_printf(flood->arena, "%s has no weights to take the factors", op_info(op->kind)->full_name));
}

static bool add_consumer(Flood *flood, Op *op, int index) {
    ChannelGroup *group = flood->group;
    if (!index && has_weights(op)) {
        make_room(flood);
        group->consumers[group->consumer_count++] = op;
        return true;
    }
    if (is_sum(op) || (!index && keeps_channels(op))) return add_value(flood, &op->results[0]);
    if (op->kind == OP_return) return fail(flood, "it is the network's output");
    return fail(flood, arena_printf(flood->arena, "%s reads it, and has no weights to take the factors", op_info(op->kind)->full_name));
}

static bool is_before(const Value *a, const Value *b) {
    for (const Op *op = a->def; op; op = op->next)
        if (op == b->def) return a != b;
    return false;
}

bool channel_group_find(Arena *arena, Value *value, ChannelGroup *group, const char **why) {
    *group = (ChannelGroup){.channels = last_dim(value)};
    Arena *scratch = arena_new();
    Flood flood = {.arena = arena, .group = group, .seen = map_new_pointers(scratch)};
    bool good = group->channels > 0 ? add_value(&flood, value) : fail(&flood, "it has no channels");
    for (int i = 0; good && i < group->value_count; i++) {
        good = add_producer(&flood, group->values[i]);
        FOR_EACH_USE(group->values[i], use)
            good = good && add_consumer(&flood, use->owner, use->index);
    }
    arena_free(scratch);
    if (good && (!group->producer_count || !group->consumer_count)) good = fail(&flood, "no weights read it");
    if (why) *why = flood.why;
    for (int i = 1; good && i < group->value_count; i++)
        if (is_before(group->values[i], group->values[0])) {
            Value *first = group->values[i];
            group->values[i] = group->values[0], group->values[0] = first;
        }
    return good;
}

bool is_depthwise(const Op *op) {
    const Type *weight = op_operand(op, 1)->type;
    return op->kind == OP_conv2d && weight->shape[3] == 1 && as_conv2d(op).group == weight->shape[0] && weight->shape[0] > 1;
}

WeightChannels weight_channels(const Op *op) {
    const Type *weight = op_operand(op, 1)->type;
    int64_t groups = op->kind == OP_linear ? 1 : as_conv2d(op).group;
    return (WeightChannels){weight->shape[weight->rank - 1], type_elem_count(weight) / groups};
}
