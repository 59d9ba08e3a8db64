// Cross-layer equalization: tensors whose channels have very different ranges lose most of them to one scale for all. Each
// channel is multiplied by a factor of the calibration table, in the weights and the bias that make it, and the weights
// that read it are divided by it: the network computes what it did before (a relu6 clips a channel at 6 / factor, beyond
// what calibration saw of it). Factors are found by quant/equalize.c; see Nagel et al., ICCV 2019.
#include <math.h>

#include "passes/channels.h"
#include "passes/rewrite.h"

// What becomes of one op's weights: rows and columns (input channels); NULL: they stay.
typedef struct { Op *op; const float *rows, *columns; } Scaled;

typedef struct {
    const PassContext *context;
    int count, room;
    Scaled *scaled;
} State;

static Scaled *scaled_of(State *state, Op *op) {
    for (int i = 0; i < state->count; i++)
        if (state->scaled[i].op == op) return &state->scaled[i];
    if (state->count == state->room) {
        Scaled *more = ARENA_ARRAY(state->context->scratch, Scaled, state->room = 2 * state->room + 64);
        for (int i = 0; i < state->count; i++) more[i] = state->scaled[i];
        state->scaled = more;
    }
    state->scaled[state->count] = (Scaled){.op = op};
    return &state->scaled[state->count++];
}

// ---- the table's line

static bool check_factors(const State *state, const ChannelFactors *entry, const ChannelGroup *group) {
    Diag *diag = state->context->diag;
    if (entry->count != group->channels)
        return diag_error(diag, entry->loc, "'%s' has %lld channels, and the line %d factors", entry->name, (long long)group->channels, entry->count);
    for (int c = 0; c < entry->count; c++)
        if (group->is_capped && entry->factors[c] < 1)
            return diag_error(diag, entry->loc, "factor %d of '%s' is %g: below 1 its relu6 would not clip", c + 1, entry->name, (double)entry->factors[c]);
    return true;
}

static void explain(const State *state, const ChannelFactors *entry, const ChannelGroup *group) {
    if (!state->context->explain) return;
    float least = entry->factors[0], most = entry->factors[0];
    for (int c = 1; c < entry->count; c++) least = fminf(least, entry->factors[c]), most = fmaxf(most, entry->factors[c]);
    fprintf(state->context->explain, "%s: channels equalized by %g to %g, from %d layer%s to %d\n", group->values[0]->name, (double)least,
            (double)most, group->producer_count, group->producer_count > 1 ? "s" : "", group->consumer_count);
}

static bool take_entry(State *state, Func *func, const ChannelFactors *entry) {
    const PassContext *context = state->context;
    Value *value = func_find_value(func, entry->name);
    if (!value && context->constants) return true; // of sizes at which the network lacks it
    if (!value) return diag_error(context->diag, entry->loc, "no tensor '%s' in the model to equalize", entry->name);
    ChannelGroup group;
    const char *why;
    if (!channel_group_find(context->scratch, value, &group, &why))
        return diag_error(context->diag, entry->loc, "the channels of '%s' can't be equalized: %s", entry->name, why);
    if (!check_factors(state, entry, &group)) return false;
    for (int i = 0; i < group.producer_count; i++) {
        Scaled *scaled = scaled_of(state, group.producers[i]);
        if (scaled->rows) return diag_error(context->diag, entry->loc, "'%s' is equalized twice", entry->name);
        scaled->rows = entry->factors;
    }
    for (int i = 0; i < group.consumer_count; i++) scaled_of(state, group.consumers[i])->columns = entry->factors;
    explain(state, entry, &group);
    return true;
}

// ---- weights

static void replace(Op *op, int index, const float *data) {
    Value *old = op_operand(op, index);
    op_set_operand(op, index, new_constant_f32(op, old->type->rank, old->type->shape, data, take_constant_name(old)));
}

static void scale_weights(const State *state, const Scaled *scaled) {
    Arena *arena = scaled->op->func->module->arena;
    const Value *weight = op_operand(scaled->op, 1), *bias = op_operand(scaled->op, 2);
    const float *w = constant_f32(state->context->scratch, weight), *b = bias ? constant_f32(state->context->scratch, bias) : NULL;
    int64_t channels = weight->type->shape[0], count = type_elem_count(weight->type);
    float *new_w = ARENA_ARRAY(arena, float, count), *new_b = ARENA_ARRAY(arena, float, b ? channels : 0);
    const WeightChannels inputs = weight_channels(scaled->op);
    for (int64_t i = 0; i < count; i += inputs.columns) { // weights of all input channels of a group lie together
        const double row = scaled->rows ? scaled->rows[i / (count / channels)] : 1;
        const float *columns = scaled->columns ? scaled->columns + channel_at(&inputs, i) : NULL;
        for (int64_t c = 0; c < inputs.columns; c++) new_w[i + c] = (float)(w[i + c] * row / (columns ? columns[c] : 1));
    }
    replace(scaled->op, 1, new_w);
    if (!b || !scaled->rows) return;
    for (int64_t c = 0; c < channels; c++) new_b[c] = (float)((double)b[c] * scaled->rows[c]);
    replace(scaled->op, 2, new_b);
}

bool equalize(Module *module, const PassContext *context) {
    State state = {.context = context};
    Func *func = module_main(module);
    const CalibrationTable *table = context->calibration;
    for (int i = 0; func && table && i < table->equalized_count; i++)
        if (!take_entry(&state, func, &table->equalized[i])) return false;
    for (int i = 0; i < state.count; i++) scale_weights(&state, &state.scaled[i]);
    return true;
}
