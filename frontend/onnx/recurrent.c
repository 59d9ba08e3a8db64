// LSTM, GRU and RNN, unrolled. What the inputs contribute to the gates is one product for all
// steps; a step adds what the state contributes. A reverse direction runs from the last step down.
// With sequence_lens, steps beyond a sequence's end leave its state and give zeros.
#include <string.h>
#include <strings.h>

#include "frontend/onnx/importer.h"

enum { MAX_STEPS = 4096, LSTM = 4, GRU = 3, RNN = 1 }; // gates of each

typedef struct {
    int gates;
    int64_t steps, batch, inputs, hidden;
    int directions;
    bool reverse_only, batch_first, before_reset, input_forget;
    double clip;
    const int64_t *lengths; // of each sequence; NULL: all are full
} Recurrent;

// One direction.
typedef struct {
    const Recurrent *r;
    int index;
    bool backward;
    Value *gates;            // of the inputs: steps, batch, gates * hidden
    Value *weight, *bias;    // of the state; bias NULL unless GRU keeps it apart
    Value *peepholes;        // [3 * hidden] or NULL
    Value *state, *cell;     // batch, hidden; cell of LSTM
    Value **outputs;         // of each step
} Direction;

// ---- small ops

static Value *emit_part(const Node *node, Value *input, int axis, int64_t from, int64_t to) {
    int64_t starts[MAX_RANK] = {0}, ends[MAX_RANK];
    if (!input)
        return NULL;
    const Type *type = input->type;
    if (from == 0 && to == type->shape[axis])
        return input;
    memcpy(ends, type->shape, sizeof *ends * (size_t)type->rank);
    starts[axis] = from, ends[axis] = to;
    Arena *arena = node->importer->arena;
    Attr *attrs = attr_ints(arena, NULL, "ends", type->rank, ends);
    return emit_unary(node, OP_slice, input, attr_ints(arena, attrs, "starts", type->rank, starts));
}

// Index `index` of the first dimension.
static Value *emit_at(const Node *node, Value *input, int64_t index) {
    Value *part = emit_part(node, input, 0, index, index + 1);
    return part ? emit_reshape(node, part, part->type->rank - 1, part->type->shape + 1) : NULL;
}

static Value *emit_two(const Node *node, OpKind kind, Value *a, Value *b) {
    return a && b ? emit_binary(node, kind, a, b) : NULL;
}

static Value *emit_zeros(const Node *node, int rank, const int64_t *shape) {
    Arena *scratch = node->importer->scratch;
    return emit_constant(node->importer, dense_splat(scratch, type_tensor(scratch, ELEM_F32, rank, shape), 0), false, NULL);
}

// ---- activations

static const char *activation_name(const Node *node, int index, const char *fallback) {
    const Onnx__AttributeProto *attr = node_attr(node, "activations");
    if (!attr || index >= (int)attr->n_strings)
        return fallback;
    char *text = arena_alloc(node->importer->scratch, attr->strings[index].len + 1);
    memcpy(text, attr->strings[index].data, attr->strings[index].len);
    return text;
}

static double activation_number(const Node *node, const char *list, int index, double fallback) {
    const Onnx__AttributeProto *attr = node_attr(node, list);
    return attr && index < (int)attr->n_floats ? (double)attr->floats[index] : fallback;
}

static Value *emit_affine(const Node *node, Value *value, double alpha, double beta) {
    value = emit_two(node, OP_mul, value, emit_scalar(node, alpha));
    return emit_two(node, OP_add, value, emit_scalar(node, beta));
}

// Activation number `index` of the attribute.
static Value *emit_activation(const Node *node, int index, const char *fallback, Value *value) {
    Arena *arena = node->importer->arena;
    const char *name = activation_name(node, index, fallback);
    if (!value)
        return NULL;
    if (!strcasecmp(name, "Sigmoid"))
        return emit_unary(node, OP_sigmoid, value, NULL);
    if (!strcasecmp(name, "Tanh"))
        return emit_unary(node, OP_tanh, value, NULL);
    if (!strcasecmp(name, "Relu"))
        return emit_unary(node, OP_relu, value, NULL);
    double alpha = activation_number(node, "activation_alpha", index, !strcasecmp(name, "HardSigmoid") ? 0.2 : !strcasecmp(name, "LeakyRelu") ? 0.01 : 1);
    double beta = activation_number(node, "activation_beta", index, !strcasecmp(name, "HardSigmoid") ? 0.5 : !strcasecmp(name, "ScaledTanh") ? 1 : 0);
    Attr *slope = attr_float(arena, NULL, "alpha", alpha);
    if (!strcasecmp(name, "LeakyRelu"))
        return emit_unary(node, OP_leaky_relu, value, slope);
    if (!strcasecmp(name, "HardSigmoid"))
        return emit_unary(node, OP_hard_sigmoid, value, attr_float(arena, slope, "beta", beta));
    if (!strcasecmp(name, "Affine"))
        return emit_affine(node, value, alpha, beta);
    if (!strcasecmp(name, "ScaledTanh")) {
        value = emit_two(node, OP_mul, value, emit_scalar(node, beta));
        value = value ? emit_unary(node, OP_tanh, value, NULL) : NULL;
        return emit_two(node, OP_mul, value, emit_scalar(node, alpha));
    }
    return node_error(node, "activation '%s' is not supported", name), NULL;
}

static Value *emit_clipped(const Node *node, const Recurrent *r, Value *value) {
    Arena *arena = node->importer->arena;
    if (!value || r->clip <= 0)
        return value;
    return emit_unary(node, OP_clip, value, attr_float(arena, attr_float(arena, NULL, "min", -r->clip), "max", r->clip));
}

static Value *emit_gate(const Node *node, const Direction *d, int activation, const char *fallback, Value *value) {
    int own = d->index * (d->r->gates == LSTM ? 3 : d->r->gates == GRU ? 2 : 1) + activation;
    return emit_activation(node, own, fallback, emit_clipped(node, d->r, value));
}

// ---- steps: from the inputs' part of the gates to the new state

static Value *emit_slot(const Node *node, const Direction *d, Value *gates, int gate) {
    return emit_part(node, gates, 1, gate * d->r->hidden, (gate + 1) * d->r->hidden);
}

static Value *emit_from_state(const Node *node, Value *state, Value *weight, Value *bias) {
    return emit(node, OP_linear, 3, (Value *[]){state, weight, bias}, NULL);
}

static Value *emit_peephole(const Node *node, const Direction *d, int slot, Value *gate, Value *cell) {
    if (!d->peepholes)
        return gate;
    Value *weight = emit_part(node, d->peepholes, 0, slot * d->r->hidden, (slot + 1) * d->r->hidden);
    return emit_two(node, OP_add, gate, emit_two(node, OP_mul, cell, weight));
}

// Gates i o f c.
static Value *emit_lstm_step(const Node *node, Direction *d, Value *inputs) {
    Value *gates = emit_two(node, OP_add, inputs, emit_from_state(node, d->state, d->weight, NULL));
    if (!gates)
        return NULL;
    Value *in = emit_peephole(node, d, 0, emit_slot(node, d, gates, 0), d->cell);
    Value *forget = emit_peephole(node, d, 2, emit_slot(node, d, gates, 2), d->cell);
    in = emit_gate(node, d, 0, "Sigmoid", in);
    forget = d->r->input_forget ? emit_two(node, OP_sub, emit_scalar(node, 1), in) : emit_gate(node, d, 0, "Sigmoid", forget);
    Value *update = emit_gate(node, d, 1, "Tanh", emit_slot(node, d, gates, 3));
    Value *fresh = emit_two(node, OP_mul, in, update), *old = emit_two(node, OP_mul, forget, d->cell);
    Value *cell = emit_two(node, OP_add, old, fresh);
    if (!cell)
        return NULL;
    Value *out = emit_gate(node, d, 0, "Sigmoid", emit_peephole(node, d, 1, emit_slot(node, d, gates, 1), cell));
    int own = d->index * 3 + 2;
    d->cell = cell;
    return emit_two(node, OP_mul, out, emit_activation(node, own, "Tanh", cell));
}

// Gates z r h. The hidden gate sees the state through the reset gate: before its product, or behind.
static Value *emit_gru_step(const Node *node, Direction *d, Value *inputs) {
    int64_t hidden = d->r->hidden;
    Value *both = emit_part(node, d->weight, 0, 0, 2 * hidden), *own = emit_part(node, d->weight, 0, 2 * hidden, 3 * hidden);
    Value *own_bias = d->bias ? emit_part(node, d->bias, 0, 2 * hidden, 3 * hidden) : NULL;
    Value *gates = emit_part(node, inputs, 1, 0, 2 * hidden);
    gates = emit_two(node, OP_add, gates, both ? emit_from_state(node, d->state, both, NULL) : NULL);
    gates = emit_gate(node, d, 0, "Sigmoid", gates);
    Value *update = emit_part(node, gates, 1, 0, hidden), *reset = emit_part(node, gates, 1, hidden, 2 * hidden), *mixed;
    if (!update || !reset || !own)
        return NULL;
    if (d->r->before_reset)
        mixed = emit_two(node, OP_mul, reset, emit_from_state(node, d->state, own, own_bias));
    else {
        Value *kept = emit_two(node, OP_mul, reset, d->state);
        mixed = kept ? emit_from_state(node, kept, own, own_bias) : NULL;
    }
    Value *fresh = emit_two(node, OP_add, emit_slot(node, d, inputs, 2), mixed);
    fresh = emit_gate(node, d, 1, "Tanh", fresh);
    Value *rest = emit_two(node, OP_sub, emit_scalar(node, 1), update);
    Value *kept = emit_two(node, OP_mul, update, d->state), *changed = emit_two(node, OP_mul, rest, fresh);
    return emit_two(node, OP_add, changed, kept);
}

static Value *emit_rnn_step(const Node *node, Direction *d, Value *inputs) {
    Value *sum = emit_two(node, OP_add, inputs, emit_from_state(node, d->state, d->weight, NULL));
    return emit_gate(node, d, 0, "Tanh", sum);
}

// 1 for each sequence that has step `step`; NULL where all have it.
static Value *emit_mask(const Node *node, const Recurrent *r, int64_t step) {
    float *mask = ARENA_ARRAY(node->importer->scratch, float, r->batch);
    bool all = true;
    for (int64_t i = 0; r->lengths && i < r->batch; i++) {
        mask[i] = step < r->lengths[i];
        all &= step < r->lengths[i];
    }
    if (all)
        return NULL;
    const Type *type = type_tensor(node->importer->scratch, ELEM_F32, 2, (int64_t[]){r->batch, 1});
    return emit_constant(node->importer, dense_new(node->importer->scratch, type, mask, false), false, NULL);
}

static Value *emit_kept(const Node *node, Value *mask, Value *fresh, Value *old) {
    Value *rest = emit_two(node, OP_sub, emit_scalar(node, 1), mask);
    Value *kept = emit_two(node, OP_mul, rest, old), *changed = emit_two(node, OP_mul, mask, fresh);
    return emit_two(node, OP_add, changed, kept);
}

static bool emit_step(const Node *node, Direction *d, int64_t step) {
    const Recurrent *r = d->r;
    Value *inputs = emit_at(node, d->gates, step), *old_state = d->state, *old_cell = d->cell;
    if (!inputs)
        return false;
    Value *state = r->gates == LSTM ? emit_lstm_step(node, d, inputs)
                   : r->gates == GRU ? emit_gru_step(node, d, inputs)
                                     : emit_rnn_step(node, d, inputs);
    Value *mask = emit_mask(node, r, step);
    d->state = d->outputs[step] = state;
    if (mask && state) {
        d->outputs[step] = emit_two(node, OP_mul, mask, state);
        d->state = emit_kept(node, mask, state, old_state);
        d->cell = r->gates == LSTM ? emit_kept(node, mask, d->cell, old_cell) : NULL;
    }
    return d->state && d->outputs[step];
}

// ---- one direction

// B holds the bias of the inputs and that of the state: their sum goes to the inputs, but for the
// part of a GRU that the reset gate applies to.
static bool read_bias(const Node *node, Direction *d, Value **of_inputs) {
    int64_t all = d->r->gates * d->r->hidden, hidden = d->r->hidden;
    *of_inputs = NULL;
    if (!node_has_input(node, 3))
        return true;
    Value *both = emit_at(node, node_input(node, 3), d->index);
    Value *first = emit_part(node, both, 0, 0, all), *second = emit_part(node, both, 0, all, 2 * all);
    if (!first || !second)
        return false;
    if (d->r->gates != GRU)
        return (*of_inputs = emit_binary(node, OP_add, first, second)) != NULL;
    d->bias = second;
    Value *more = emit_part(node, second, 0, 0, 2 * hidden), *gates = emit_part(node, first, 0, 0, 2 * hidden);
    Value *sum = emit_two(node, OP_add, gates, more);
    Value *own = emit_part(node, first, 0, 2 * hidden, all);
    if (!sum || !own)
        return false;
    *of_inputs = emit(node, OP_concat, 2, (Value *[]){sum, own}, attr_int(node->importer->arena, NULL, "axis", 0));
    return *of_inputs != NULL;
}

// State input `index`: directions, batch, hidden, or with the batch first.
static Value *emit_start(const Node *node, const Direction *d, int index) {
    const Recurrent *r = d->r;
    if (!node_has_input(node, index))
        return emit_zeros(node, 2, (int64_t[]){r->batch, r->hidden});
    Value *all = node_input(node, index);
    if (all && all->type->rank == 3 && r->batch_first)
        all = emit_transpose(node, all, (int[]){1, 0, 2});
    return all ? emit_at(node, all, d->index) : NULL;
}

static bool emit_direction(const Node *node, Direction *d, Value *input) {
    const Recurrent *r = d->r;
    Value *weight = emit_at(node, node_input(node, 1), d->index), *bias;
    d->weight = emit_at(node, node_input(node, 2), d->index);
    d->state = emit_start(node, d, 5);
    if (r->gates == LSTM)
        d->cell = emit_start(node, d, 6);
    if (!weight || !d->weight || !d->state || (r->gates == LSTM && !d->cell) || !read_bias(node, d, &bias))
        return false;
    if (r->gates == LSTM && node_has_input(node, 7) && !(d->peepholes = emit_at(node, node_input(node, 7), d->index)))
        return false;
    Value *gates = emit(node, OP_linear, 3, (Value *[]){input, weight, bias}, NULL);
    d->gates = gates ? emit_reshape(node, gates, 3, (int64_t[]){r->steps, r->batch, r->gates * r->hidden}) : NULL;
    d->outputs = ARENA_ARRAY(node->importer->scratch, Value *, r->steps + 1);
    for (int64_t i = 0; d->gates && i < r->steps; i++)
        if (!emit_step(node, d, d->backward ? r->steps - 1 - i : i))
            return false;
    return d->gates != NULL;
}

// ---- the op

static bool read_lengths(const Node *node, Recurrent *r) {
    if (!node_has_input(node, 4))
        return true;
    const Dense *dense = node_dense(node, 4);
    if (!dense)
        return node_not_constant(node, 4, "sequence_lens");
    if (dense_count(dense) != r->batch)
        return node_error(node, "input '%s' (sequence_lens) must have one number a sequence", node->proto->input[4]);
    int64_t *lengths = ARENA_ARRAY(node->importer->scratch, int64_t, r->batch);
    for (int64_t i = 0; i < r->batch; i++)
        lengths[i] = dense_i64(dense, i);
    r->lengths = lengths;
    return true;
}

static bool read_recurrent(const Node *node, Recurrent *r, const Type *input) {
    const Type *weight = node_input_type(node, 1), *state = node_input_type(node, 2);
    const char *direction = node_string(node, "direction", "forward");
    r->batch_first = node_int(node, "layout", 0) != 0;
    r->before_reset = node_int(node, "linear_before_reset", 0) != 0;
    r->input_forget = node_int(node, "input_forget", 0) != 0;
    r->clip = node_float(node, "clip", 0);
    r->directions = strcmp(direction, "bidirectional") ? 1 : 2;
    r->reverse_only = !strcmp(direction, "reverse");
    if (r->directions == 1 && !r->reverse_only && strcmp(direction, "forward"))
        return node_error(node, "direction '%s' is not one of ONNX", direction);
    if (!weight || !state)
        return node_error(node, "input 1 or 2 is missing");
    if (input->rank != 3 || weight->rank != 3 || state->rank != 3)
        return node_error(node, "its input and weights must have 3 dimensions");
    r->steps = input->shape[r->batch_first ? 1 : 0];
    r->batch = input->shape[r->batch_first ? 0 : 1];
    r->inputs = input->shape[2];
    r->hidden = state->shape[2];
    if (weight->shape[0] != r->directions || weight->shape[1] != r->gates * r->hidden || weight->shape[2] != r->inputs ||
        state->shape[0] != r->directions || state->shape[1] != r->gates * r->hidden)
        return node_error(node, "its weights do not fit its input and its direction");
    if (r->steps < 1 || r->steps > MAX_STEPS || r->batch < 1)
        return node_error(node, "%lld steps of %lld sequences: 1 to %d steps are supported", (long long)r->steps,
                          (long long)r->batch, MAX_STEPS);
    return read_lengths(node, r);
}

static Value *emit_joined(const Node *node, int count, Value **values, int axis) {
    if (count == 1)
        return values[0];
    return emit(node, OP_concat, count, values, attr_int(node->importer->arena, NULL, "axis", axis));
}

// Y: steps, directions, batch, hidden; with the batch first: batch, steps, directions, hidden.
static Value *emit_sequence(const Node *node, const Recurrent *r, const Direction *directions) {
    Value **rows = ARENA_ARRAY(node->importer->scratch, Value *, r->steps * r->directions);
    int count = 0;
    for (int64_t i = 0; i < r->steps; i++)
        for (int d = 0; d < r->directions; d++)
            rows[count++] = directions[d].outputs[i];
    Value *all = emit_joined(node, count, rows, 0);
    all = all ? emit_reshape(node, all, 4, (int64_t[]){r->steps, r->directions, r->batch, r->hidden}) : NULL;
    return r->batch_first && all ? emit_transpose(node, all, (int[]){2, 0, 1, 3}) : all;
}

// Y_h and Y_c: directions, batch, hidden; with the batch first: batch, directions, hidden.
static Value *emit_last(const Node *node, const Recurrent *r, Value *first, Value *second) {
    Value *all = emit_joined(node, r->directions, (Value *[]){first, second}, 0);
    all = all ? emit_reshape(node, all, 3, (int64_t[]){r->directions, r->batch, r->hidden}) : NULL;
    return r->batch_first && all ? emit_transpose(node, all, (int[]){1, 0, 2}) : all;
}

static bool is_wanted(const Node *node, int index) {
    return index < (int)node->proto->n_output && node->proto->output[index][0];
}

static bool convert_recurrent(Node *node, int gates) {
    Value *input = node_input(node, 0);
    Recurrent r = {.gates = gates};
    if (!input || !read_recurrent(node, &r, input->type))
        return false;
    if (r.batch_first)
        input = emit_transpose(node, input, (int[]){1, 0, 2});
    input = input ? emit_reshape(node, input, 2, (int64_t[]){r.steps * r.batch, r.inputs}) : NULL;
    Direction directions[2] = {{.r = &r, .backward = r.reverse_only}, {.r = &r, .index = 1, .backward = true}};
    for (int i = 0; i < r.directions; i++)
        if (!input || !emit_direction(node, &directions[i], input))
            return false;
    if (is_wanted(node, 0) && !node_bind(node, 0, emit_sequence(node, &r, directions)))
        return false;
    if (is_wanted(node, 1) && !node_bind(node, 1, emit_last(node, &r, directions[0].state, directions[1].state)))
        return false;
    return !is_wanted(node, 2) || node_bind(node, 2, emit_last(node, &r, directions[0].cell, directions[1].cell));
}

bool convert_lstm(Node *node) {
    return convert_recurrent(node, LSTM);
}
bool convert_gru(Node *node) {
    return convert_recurrent(node, GRU);
}
bool convert_rnn(Node *node) {
    return convert_recurrent(node, RNN);
}
