// LSTM, RNN and SVDF, unrolled. Variable tensors are states, which outlive a run (states.c). They compute in f32; where the state
// is quantized, it is rounded to its type after each step, as a runtime that keeps it so does.
#include <string.h>

#include "frontend/tflite/importer.h"

enum { MAX_STEPS = 4096, INPUT_GATE = 0, FORGET_GATE, CELL_GATE, OUTPUT_GATE, GATES };

// The places of an LSTM's inputs; the gates of each kind follow each other in the order above. NOWHERE: it has none.
enum { NOWHERE = -8 };
typedef struct { int weights, recurrent, peepholes, biases, projection, projection_bias, state, cell, norms, aux_weights; } Places;
static const Places plain_places = {1, 5, 9, 12, 16, 17, 18, 19, 20, NOWHERE};
static const Places both_places[] = {{1, 5, 9, 12, 16, 17, 35, 36, NOWHERE, 40}, {18, 22, 26, 29, 33, 34, 37, 38, NOWHERE, 44}};
enum { AUX_INPUT = 39 };

typedef struct {
    Places at;
    int64_t steps, units;
    bool time_major, backward, normalized, coupled; // coupled: the input gate is what the forget gate leaves
    double cell_clip, proj_clip;
    Value *inputs;    // of the gates: batch, steps, gates * units (steps first if time_major)
    Value *recurrent; // gates * units, state
    Value *state, *cell;
    Value *kept_state, *kept_cell; // as the model keeps them
} Lstm;

static bool is_given(const LiteOp *op, int index) {
    const LiteTensor *tensor = lite_tensor(op, index);
    return tensor != NULL;
}

static Value *two(const LiteOp *op, OpKind kind, Value *a, Value *b) { return a && b ? lite_binary(op, kind, a, b) : NULL; }

// Elements from .. to of one dimension.
static Value *part(const LiteOp *op, Value *input, int axis, int64_t from, int64_t to) {
    int64_t starts[MAX_RANK] = {0}, ends[MAX_RANK];
    if (!input) return NULL;
    memcpy(ends, input->type->shape, sizeof(int64_t) * (size_t)input->type->rank);
    starts[axis] = from, ends[axis] = to;
    return lite_slice(op, input, starts, ends, NULL);
}

static Value *clipped(const LiteOp *op, Value *value, double clip) {
    Arena *arena = op->lite->arena;
    if (!value || !(clip > 0)) return value;
    return lite_unary(op, OP_clip, value, attr_float(arena, attr_float(arena, NULL, "max", clip), "min", -clip));
}

// A state rounded to the type that the model keeps it in; `kept`: in that type.
static Value *rounded_state(const LiteOp *op, Value *value, int index, Value **kept) {
    const LiteTensor *state = lite_tensor(op, index);
    *kept = value;
    if (!value || !state) return value;
    if (state->quant) return (*kept = lite_quantize(op, value, state->quant)) ? lite_dequantize(op, *kept) : NULL;
    if (!state->wide) return value;
    Value *scale = lite_scalar(op, (double)state->wide->scale[0]);
    value = lite_unary(op, OP_round, two(op, OP_div, value, scale), NULL);
    *kept = value ? lite_cast(op, value, state->elem) : NULL;
    return *kept ? two(op, OP_mul, lite_cast(op, *kept, ELEM_F32), scale) : NULL;
}

// ---- LSTM

// The gates' weights or biases, in one.
static Value *gate_constants(const LiteOp *op, const Lstm *l, int first) {
    Value *parts[GATES];
    int count = 0;
    for (int gate = l->coupled; gate < GATES; gate++)
        if (!(parts[count++] = lite_real(op, first + gate))) return NULL;
    return lite_concat(op, count, parts, 0);
}

static Value *gate_of(const LiteOp *op, const Lstm *l, Value *gates, int gate, Value *cell) {
    int at = gate - l->coupled, peephole = gate == OUTPUT_GATE ? 2 : gate;
    Value *value = part(op, gates, 1, at * l->units, (at + 1) * l->units);
    if (gate != CELL_GATE && cell && is_given(op, l->at.peepholes + peephole))
        value = two(op, OP_add, value, two(op, OP_mul, cell, lite_real(op, l->at.peepholes + peephole)));
    if (l->normalized) {
        Arena *arena = op->lite->arena;
        Attr *attrs = attr_ints(arena, attr_float(arena, NULL, "epsilon", 1e-8), "axes", 1, (int64_t[]){1});
        value = value ? lite_unary(op, OP_normalize, value, attrs) : NULL;
        value = two(op, OP_mul, value, lite_real(op, l->at.norms + gate));
        value = two(op, OP_add, value, lite_real(op, l->at.biases + gate));
    }
    return value ? lite_unary(op, gate == CELL_GATE ? OP_tanh : OP_sigmoid, value, NULL) : NULL;
}

static Value *projected(const LiteOp *op, const Lstm *l, Value *value) {
    if (!value || !is_given(op, l->at.projection)) return value;
    Value *bias = is_given(op, l->at.projection_bias) ? lite_real(op, l->at.projection_bias) : NULL;
    Value *operands[] = {value, lite_real(op, l->at.projection), bias};
    return operands[1] ? clipped(op, lite_emit(op, OP_linear, bias ? 3 : 2, operands, NULL), l->proj_clip) : NULL;
}

// One step: the state and cell after it.
static bool lstm_step(const LiteOp *op, Lstm *l, Value *gates) {
    gates = two(op, OP_add, gates, lite_emit(op, OP_linear, 2, (Value *[]){l->state, l->recurrent}, NULL));
    Value *forget = gate_of(op, l, gates, FORGET_GATE, l->cell), *fresh = gate_of(op, l, gates, CELL_GATE, NULL);
    Value *input = l->coupled ? two(op, OP_sub, lite_scalar(op, 1), forget) : gate_of(op, l, gates, INPUT_GATE, l->cell);
    Value *next = two(op, OP_add, two(op, OP_mul, forget, l->cell), two(op, OP_mul, input, fresh));
    l->cell = rounded_state(op, clipped(op, next, l->cell_clip), l->at.cell, &l->kept_cell);
    Value *output = gate_of(op, l, gates, OUTPUT_GATE, l->cell), *squashed = l->cell ? lite_unary(op, OP_tanh, l->cell, NULL) : NULL;
    l->state = rounded_state(op, projected(op, l, two(op, OP_mul, output, squashed)), l->at.state, &l->kept_state);
    return l->state && l->cell;
}

// Index `step` of a sequence, batch first or steps first.
static Value *at_step(const LiteOp *op, Value *sequence, bool time_major, int64_t step) {
    Value *value = part(op, sequence, time_major ? 0 : 1, step, step + 1);
    const int64_t *shape = sequence->type->shape;
    return lite_reshape(op, value, 2, (int64_t[]){shape[time_major ? 1 : 0], shape[2]});
}

static Value *sequence_of(const LiteOp *op, int64_t steps, Value **outputs, bool time_major) {
    for (int64_t i = 0; i < steps; i++) {
        const int64_t *s = outputs[i]->type->shape, time[] = {1, s[0], s[1]}, batch[] = {s[0], 1, s[1]};
        if (!(outputs[i] = lite_reshape(op, outputs[i], 3, time_major ? time : batch))) return NULL;
    }
    return lite_concat(op, (int)steps, outputs, time_major ? 0 : 1);
}

static bool bind_sequence(const LiteOp *op, int64_t steps, Value **outputs, bool time_major) {
    return lite_bind(op, 0, sequence_of(op, steps, outputs, time_major));
}

static bool read_sequence(const LiteOp *op, const Value *input, bool time_major, int64_t *steps) {
    if (input->type->rank != 3) return lite_error(op, "its input has %d dimensions, expected 3", input->type->rank);
    *steps = input->type->shape[time_major ? 0 : 1];
    return (*steps > 0 && *steps <= MAX_STEPS) || lite_error(op, "it has %lld steps, expected 1 to %d", (long long)*steps, MAX_STEPS);
}

// What the input gives to all gates at all steps.
static Value *gate_inputs(const LiteOp *op, const Lstm *l, Value *input, Value *aux) {
    Value *weight = gate_constants(op, l, l->at.weights), *bias = l->normalized ? NULL : gate_constants(op, l, l->at.biases);
    if (!weight || (!bias && !l->normalized)) return NULL;
    Value *sum = lite_emit(op, OP_linear, bias ? 3 : 2, (Value *[]){input, weight, bias}, NULL);
    Value *extra = sum && aux ? gate_constants(op, l, l->at.aux_weights) : NULL;
    return aux ? two(op, OP_add, sum, extra ? lite_emit(op, OP_linear, 2, (Value *[]){aux, extra}, NULL) : NULL) : sum;
}

static bool read_lstm(const LiteOp *op, Value *input, Value *aux, int64_t activation, Lstm *l) {
    if (activation != 4) return lite_error(op, "its activation %lld is not supported; tanh is", (long long)activation);
    l->normalized = is_given(op, l->at.norms + FORGET_GATE), l->coupled = !is_given(op, l->at.weights);
    if (!read_sequence(op, input, l->time_major, &l->steps)) return false;
    l->inputs = gate_inputs(op, l, input, aux);
    l->recurrent = l->inputs ? gate_constants(op, l, l->at.recurrent) : NULL;
    l->state = l->recurrent ? lite_state_real(op, l->at.state) : NULL;
    l->cell = l->state ? lite_state_real(op, l->at.cell) : NULL;
    if (!l->cell) return false;
    l->units = l->inputs->type->shape[2] / (GATES - l->coupled);
    return true;
}

// The states after each step, in the order of the sequence.
static Value **lstm_outputs(const LiteOp *op, Lstm *l) {
    Value **outputs = ARENA_ARRAY(op->lite->scratch, Value *, l->steps);
    for (int64_t i = 0; i < l->steps; i++) {
        const int64_t step = l->backward ? l->steps - 1 - i : i;
        Value *gates = at_step(op, l->inputs, l->time_major, step);
        if (!gates || !lstm_step(op, l, gates)) return NULL;
        outputs[step] = l->state;
    }
    const bool kept = lite_state_set(op, l->at.state, l->kept_state) && lite_state_set(op, l->at.cell, l->kept_cell);
    return kept ? outputs : NULL;
}

bool tflite_sequence_lstm(const LiteOp *op) {
    Lstm l = {.at = plain_places, .time_major = lite_option(op, FLAT_UnidirectionalSequenceLSTMOptions_time_major) != 0,
              .cell_clip = (double)flat_float(op->options, FLAT_UnidirectionalSequenceLSTMOptions_cell_clip),
              .proj_clip = (double)flat_float(op->options, FLAT_UnidirectionalSequenceLSTMOptions_proj_clip)};
    const int64_t activation = lite_option(op, FLAT_UnidirectionalSequenceLSTMOptions_fused_activation_function);
    if (lite_option(op, FLAT_UnidirectionalSequenceLSTMOptions_diagonal_recurrent_tensors)) return lite_error(op, "diagonal weights are not supported");
    Value *input = lite_real(op, 0), **outputs = input && read_lstm(op, input, NULL, activation, &l) ? lstm_outputs(op, &l) : NULL;
    return outputs && bind_sequence(op, l.steps, outputs, l.time_major);
}

// A batch as a sequence of one step.
static Value *one_step(const LiteOp *op, Value *input) {
    if (!input) return NULL;
    const int64_t *shape = input->type->shape;
    if (input->type->rank != 2) return lite_error(op, "its input has %d dimensions, expected 2", input->type->rank), NULL;
    return lite_reshape(op, input, 3, (int64_t[]){1, shape[0], shape[1]});
}

bool tflite_lstm(const LiteOp *op) {
    Lstm l = {.at = plain_places, .time_major = true, .cell_clip = (double)flat_float(op->options, FLAT_LSTMOptions_cell_clip),
              .proj_clip = (double)flat_float(op->options, FLAT_LSTMOptions_proj_clip)};
    if (lite_option(op, FLAT_LSTMOptions_kernel_type)) return lite_error(op, "the kernel of five inputs is not supported; that of twenty-four is");
    Value *input = one_step(op, lite_real(op, 0));
    const int64_t activation = lite_option(op, FLAT_LSTMOptions_fused_activation_function);
    Value **outputs = input && read_lstm(op, input, NULL, activation, &l) ? lstm_outputs(op, &l) : NULL;
    return outputs && lite_bind(op, 0, outputs[0]);
}

// ---- both ways

// Two sequences as two results, or as one, side by side.
static bool bind_both(const LiteOp *op, int64_t steps, Value **forward, Value **backward, bool time_major, bool merged) {
    for (int64_t i = 0; merged && i < steps; i++)
        if (!(forward[i] = lite_concat(op, 2, (Value *[]){forward[i], backward[i]}, 1))) return false;
    return lite_bind(op, 0, sequence_of(op, steps, forward, time_major)) && (merged || lite_bind(op, 1, sequence_of(op, steps, backward, time_major)));
}

bool tflite_both_lstm(const LiteOp *op) {
    const bool time_major = lite_option(op, FLAT_BidirectionalSequenceLSTMOptions_time_major) != 0;
    Value *input = lite_real(op, 0), *aux = is_given(op, AUX_INPUT) ? lite_real(op, AUX_INPUT) : NULL, **outputs[2];
    if (!input || (!aux && is_given(op, AUX_INPUT))) return false;
    const bool weighed = aux && is_given(op, both_places[0].aux_weights + FORGET_GATE);
    int64_t steps = 0;
    for (int way = 0; way < 2; way++) {
        Lstm l = {.at = both_places[way], .time_major = time_major, .backward = way == 1,
                  .cell_clip = (double)flat_float(op->options, FLAT_BidirectionalSequenceLSTMOptions_cell_clip),
                  .proj_clip = (double)flat_float(op->options, FLAT_BidirectionalSequenceLSTMOptions_proj_clip)};
        // Without weights of its own, the second input is that of the way back.
        Value *own = way && aux && !weighed ? aux : input;
        const int64_t activation = lite_option(op, FLAT_BidirectionalSequenceLSTMOptions_fused_activation_function);
        outputs[way] = read_lstm(op, own, weighed ? aux : NULL, activation, &l) ? lstm_outputs(op, &l) : NULL;
        if (!outputs[way] || (way && l.steps != steps)) return outputs[way] && lite_error(op, "its inputs are of different lengths");
        steps = l.steps;
    }
    return bind_both(op, steps, outputs[0], outputs[1], time_major, lite_option(op, FLAT_BidirectionalSequenceLSTMOptions_merge_outputs) != 0);
}

// ---- RNN

// Where the inputs of one way stand.
typedef struct { int weight, recurrent, bias, state, aux_weight; } RnnPlaces;
static const RnnPlaces rnn_places = {1, 2, 3, 4, NOWHERE}, both_rnn_places[] = {{1, 2, 3, 4, 10}, {5, 6, 7, 8, 11}};
enum { RNN_AUX_INPUT = 9 };
typedef struct {
    RnnPlaces at;
    bool time_major, backward;
    int64_t activation, steps;
    Value *input, *aux; // aux: NULL: none
} Rnn;

static Value *rnn_gates(const LiteOp *op, const Rnn *r) {
    Value *operands[] = {r->input, lite_real(op, r->at.weight), lite_real(op, r->at.bias)};
    Value *gates = operands[1] && operands[2] ? lite_emit(op, OP_linear, 3, operands, NULL) : NULL;
    Value *weight = gates && r->aux ? lite_real(op, r->at.aux_weight) : NULL;
    return r->aux ? two(op, OP_add, gates, weight ? lite_emit(op, OP_linear, 2, (Value *[]){r->aux, weight}, NULL) : NULL) : gates;
}

static Value **rnn_outputs(const LiteOp *op, Rnn *r) {
    if (!r->input || !read_sequence(op, r->input, r->time_major, &r->steps)) return NULL;
    Value *gates = rnn_gates(op, r), *recurrent = gates ? lite_real(op, r->at.recurrent) : NULL;
    Value *state = recurrent ? lite_state_real(op, r->at.state) : NULL, *kept = NULL, **outputs = ARENA_ARRAY(op->lite->scratch, Value *, r->steps);
    for (int64_t i = 0; state && i < r->steps; i++) {
        const int64_t step = r->backward ? r->steps - 1 - i : i;
        Value *value = at_step(op, gates, r->time_major, step);
        value = two(op, OP_add, value, lite_emit(op, OP_linear, 2, (Value *[]){state, recurrent}, NULL));
        outputs[step] = state = rounded_state(op, lite_activate(op, value, r->activation, false), r->at.state, &kept);
    }
    return state && lite_state_set(op, r->at.state, kept) ? outputs : NULL;
}

bool tflite_sequence_rnn(const LiteOp *op) {
    Rnn r = {.at = rnn_places, .time_major = lite_option(op, FLAT_SequenceRNNOptions_time_major) != 0, .input = lite_real(op, 0),
             .activation = lite_option(op, FLAT_SequenceRNNOptions_fused_activation_function)};
    Value **outputs = rnn_outputs(op, &r);
    return outputs && bind_sequence(op, r.steps, outputs, r.time_major);
}

bool tflite_rnn(const LiteOp *op) {
    Rnn r = {.at = rnn_places, .time_major = true, .input = one_step(op, lite_real(op, 0)),
             .activation = lite_option(op, FLAT_RNNOptions_fused_activation_function)};
    Value **outputs = rnn_outputs(op, &r);
    return outputs && lite_bind(op, 0, outputs[0]);
}

bool tflite_both_rnn(const LiteOp *op) {
    Value *input = lite_real(op, 0), *aux = is_given(op, RNN_AUX_INPUT) ? lite_real(op, RNN_AUX_INPUT) : NULL, **outputs[2];
    if (!input || (!aux && is_given(op, RNN_AUX_INPUT))) return false;
    const bool weighed = aux && is_given(op, both_rnn_places[0].aux_weight);
    int64_t steps = 0;
    const bool time_major = lite_option(op, FLAT_BidirectionalSequenceRNNOptions_time_major) != 0;
    for (int way = 0; way < 2; way++) {
        Rnn r = {.at = both_rnn_places[way], .time_major = time_major, .backward = way == 1, .input = way && aux && !weighed ? aux : input,
                 .aux = weighed ? aux : NULL, .activation = lite_option(op, FLAT_BidirectionalSequenceRNNOptions_fused_activation_function)};
        outputs[way] = rnn_outputs(op, &r);
        if (!outputs[way] || (way && r.steps != steps)) return outputs[way] && lite_error(op, "its inputs are of different lengths");
        steps = r.steps;
    }
    return bind_both(op, steps, outputs[0], outputs[1], time_major, lite_option(op, FLAT_BidirectionalSequenceRNNOptions_merge_outputs) != 0);
}

// ---- SVDF

// Features of the input go into a memory of some steps, the oldest of which goes, and each unit is a weighted sum of it.
bool tflite_svdf(const LiteOp *op) {
    enum { STATE = 4 };
    Arena *arena = op->lite->arena;
    Value *input = lite_real(op, 0), *features = lite_real(op, 1), *times = lite_real(op, 2), *kept;
    int64_t rank = lite_option(op, FLAT_SVDFOptions_rank);
    Value *state = input && features && times ? lite_state_real(op, STATE) : NULL;
    if (!state) return false;
    if (times->type->rank != 2 || features->type->rank != 2 || times->type->shape[0] != features->type->shape[0] || times->type->shape[1] < 1)
        return lite_error(op, "its weights do not fit each other");
    const int64_t count = times->type->shape[0], steps = times->type->shape[1];
    if (rank < 1 || count % rank) return lite_error(op, "its rank %lld does not divide its %lld features", (long long)rank, (long long)count);
    Value *fresh = rounded_state(op, lite_emit(op, OP_linear, 2, (Value *[]){input, features}, NULL), STATE, &kept);
    if (!fresh) return false;
    const int64_t batch = fresh->type->shape[0], line[] = {batch, count, 1}, all[] = {batch, count, steps}, flat[] = {batch, count * steps};
    const int64_t units[] = {batch, count / rank, rank * steps};
    Value *older = part(op, lite_reshape(op, state, 3, all), 2, 1, steps);
    Value *memory = steps == 1 ? lite_reshape(op, fresh, 3, line) : older ? lite_concat(op, 2, (Value *[]){older, lite_reshape(op, fresh, 3, line)}, 2) : NULL;
    Value *next = memory ? lite_reshape(op, memory, 2, flat) : NULL;
    if (!next || !rounded_state(op, next, STATE, &kept) || !lite_state_set(op, STATE, kept)) return false;
    Attr *attrs = attr_ints(arena, attr_bool(arena, NULL, "keep_dims", false), "axes", 1, (int64_t[]){2});
    Value *value = lite_reshape(op, two(op, OP_mul, memory, times), 3, units);
    value = value ? lite_unary(op, OP_reduce_sum, value, attrs) : NULL;
    if (is_given(op, 3)) value = two(op, OP_add, value, lite_real(op, 3));
    return value && lite_bind(op, 0, lite_activate(op, value, lite_option(op, FLAT_SVDFOptions_fused_activation_function), false));
}
