// LSTM, RNN and SVDF, unrolled, from a state of zeros. They compute in f32; where the state is quantized, it is rounded to its
// type after each step, as a runtime that keeps it so does.
#include <string.h>

#include "frontend/tflite/importer.h"

enum { MAX_STEPS = 4096, INPUT_GATE = 0, FORGET_GATE, CELL_GATE, OUTPUT_GATE, GATES };

// The places of an LSTM's inputs; the gates of each kind follow each other in the order above.
enum { LSTM_WEIGHTS = 1, LSTM_RECURRENT = 5, LSTM_PEEPHOLES = 9, LSTM_BIASES = 12, LSTM_PROJECTION = 16, LSTM_PROJECTION_BIAS = 17,
       LSTM_STATE = 18, LSTM_CELL = 19, LSTM_NORMS = 20 };

typedef struct {
    int64_t steps, batch, units;
    bool time_major, normalized, coupled; // coupled: the input gate is what the forget gate leaves
    double cell_clip, proj_clip;
    Value *inputs;             // of the gates: batch, steps, gates * units (steps first if time_major)
    Value *recurrent;          // gates * units, state
    Value *state, *cell;       // NULL: zeros
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

// A state rounded to the type that the model keeps it in.
static Value *rounded_state(const LiteOp *op, Value *value, const LiteTensor *state) {
    if (!value || !state) return value;
    if (state->quant) return (value = lite_quantize(op, value, state->quant)) ? lite_dequantize(op, value) : NULL;
    if (!state->wide) return value;
    Value *scale = lite_scalar(op, (double)state->wide->scale[0]);
    value = lite_unary(op, OP_round, two(op, OP_div, value, scale), NULL);
    value = value ? lite_cast(op, lite_cast(op, value, state->elem), ELEM_F32) : NULL;
    return two(op, OP_mul, value, scale);
}

static bool describe_state(const LiteOp *op, int index, const LiteTensor **state) {
    LiteTensor *tensor = lite_tensor(op, index);
    *state = tensor;
    if (!tensor || !tensor_describe(op->lite, tensor)) return !tensor;
    if (tensor->defined) return lite_error(op, "its state '%s' is computed by another operator, which is not supported", tensor->name);
    return true;
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
    if (gate != CELL_GATE && cell && is_given(op, LSTM_PEEPHOLES + peephole))
        value = two(op, OP_add, value, two(op, OP_mul, cell, lite_real(op, LSTM_PEEPHOLES + peephole)));
    if (l->normalized) {
        Arena *arena = op->lite->arena;
        Attr *attrs = attr_ints(arena, attr_float(arena, NULL, "epsilon", 1e-8), "axes", 1, (int64_t[]){1});
        value = value ? lite_unary(op, OP_normalize, value, attrs) : NULL;
        value = two(op, OP_mul, value, lite_real(op, LSTM_NORMS + gate));
        value = two(op, OP_add, value, lite_real(op, LSTM_BIASES + gate));
    }
    return value ? lite_unary(op, gate == CELL_GATE ? OP_tanh : OP_sigmoid, value, NULL) : NULL;
}

static Value *projected(const LiteOp *op, const Lstm *l, Value *value) {
    if (!value || !is_given(op, LSTM_PROJECTION)) return value;
    Value *bias = is_given(op, LSTM_PROJECTION_BIAS) ? lite_real(op, LSTM_PROJECTION_BIAS) : NULL;
    Value *operands[] = {value, lite_real(op, LSTM_PROJECTION), bias};
    return operands[1] ? clipped(op, lite_emit(op, OP_linear, bias ? 3 : 2, operands, NULL), l->proj_clip) : NULL;
}

// One step: the state and cell after it.
static bool lstm_step(const LiteOp *op, Lstm *l, Value *gates, const LiteTensor *state, const LiteTensor *cell) {
    if (l->state) gates = two(op, OP_add, gates, lite_emit(op, OP_linear, 2, (Value *[]){l->state, l->recurrent}, NULL));
    Value *forget = gate_of(op, l, gates, FORGET_GATE, l->cell), *fresh = gate_of(op, l, gates, CELL_GATE, NULL);
    Value *input = l->coupled ? two(op, OP_sub, lite_scalar(op, 1), forget) : gate_of(op, l, gates, INPUT_GATE, l->cell);
    Value *next = two(op, OP_mul, input, fresh);
    if (l->cell) next = two(op, OP_add, two(op, OP_mul, forget, l->cell), next);
    l->cell = rounded_state(op, clipped(op, next, l->cell_clip), cell);
    Value *output = gate_of(op, l, gates, OUTPUT_GATE, l->cell), *squashed = l->cell ? lite_unary(op, OP_tanh, l->cell, NULL) : NULL;
    l->state = rounded_state(op, projected(op, l, two(op, OP_mul, output, squashed)), state);
    return l->state && l->cell;
}

// Index `step` of a sequence, batch first or steps first.
static Value *at_step(const LiteOp *op, Value *sequence, bool time_major, int64_t step) {
    Value *value = part(op, sequence, time_major ? 0 : 1, step, step + 1);
    const int64_t *shape = sequence->type->shape;
    return lite_reshape(op, value, 2, (int64_t[]){shape[time_major ? 1 : 0], shape[2]});
}

static bool bind_sequence(const LiteOp *op, int64_t steps, Value **outputs, bool time_major) {
    for (int64_t i = 0; i < steps; i++) {
        const int64_t *s = outputs[i]->type->shape, time[] = {1, s[0], s[1]}, batch[] = {s[0], 1, s[1]};
        if (!(outputs[i] = lite_reshape(op, outputs[i], 3, time_major ? time : batch))) return false;
    }
    return lite_bind(op, 0, lite_concat(op, (int)steps, outputs, time_major ? 0 : 1));
}

static bool read_sequence(const LiteOp *op, const Value *input, bool time_major, int64_t *steps) {
    if (input->type->rank != 3) return lite_error(op, "its input has %d dimensions, expected 3", input->type->rank);
    *steps = input->type->shape[time_major ? 0 : 1];
    return (*steps > 0 && *steps <= MAX_STEPS) || lite_error(op, "it has %lld steps, expected 1 to %d", (long long)*steps, MAX_STEPS);
}

static bool read_lstm(const LiteOp *op, Value *input, Lstm *l) {
    *l = (Lstm){.time_major = lite_option(op, FLAT_UnidirectionalSequenceLSTMOptions_time_major) != 0,
                .normalized = is_given(op, LSTM_NORMS + FORGET_GATE), .coupled = !is_given(op, LSTM_WEIGHTS),
                .cell_clip = (double)flat_float(op->options, FLAT_UnidirectionalSequenceLSTMOptions_cell_clip),
                .proj_clip = (double)flat_float(op->options, FLAT_UnidirectionalSequenceLSTMOptions_proj_clip)};
    int64_t code = lite_option(op, FLAT_UnidirectionalSequenceLSTMOptions_fused_activation_function);
    if (code != 4) return lite_error(op, "its activation %lld is not supported; tanh is", (long long)code);
    if (lite_option(op, FLAT_UnidirectionalSequenceLSTMOptions_diagonal_recurrent_tensors)) return lite_error(op, "diagonal weights are not supported");
    if (!read_sequence(op, input, l->time_major, &l->steps)) return false;
    Value *weight = gate_constants(op, l, LSTM_WEIGHTS), *bias = l->normalized ? NULL : gate_constants(op, l, LSTM_BIASES);
    l->recurrent = gate_constants(op, l, LSTM_RECURRENT);
    if (!weight || !l->recurrent || (!bias && !l->normalized)) return false;
    l->units = weight->type->shape[0] / (GATES - l->coupled);
    l->inputs = lite_emit(op, OP_linear, bias ? 3 : 2, (Value *[]){input, weight, bias}, NULL);
    return l->inputs != NULL;
}

bool tflite_sequence_lstm(const LiteOp *op) {
    Lstm l;
    const LiteTensor *state, *cell;
    Value *input = lite_real(op, 0);
    if (!input || !describe_state(op, LSTM_STATE, &state) || !describe_state(op, LSTM_CELL, &cell) || !read_lstm(op, input, &l)) return false;
    Value **outputs = ARENA_ARRAY(op->lite->scratch, Value *, l.steps);
    for (int64_t step = 0; step < l.steps; step++) {
        Value *gates = at_step(op, l.inputs, l.time_major, step);
        if (!gates || !lstm_step(op, &l, gates, state, cell)) return false;
        outputs[step] = l.state;
    }
    return bind_sequence(op, l.steps, outputs, l.time_major);
}

// ---- RNN

enum { RNN_WEIGHT = 1, RNN_RECURRENT, RNN_BIAS, RNN_STATE };

bool tflite_sequence_rnn(const LiteOp *op) {
    bool time_major = lite_option(op, FLAT_SequenceRNNOptions_time_major) != 0;
    int64_t code = lite_option(op, FLAT_SequenceRNNOptions_fused_activation_function), steps;
    const LiteTensor *kept;
    Value *input = lite_real(op, 0), *recurrent = lite_real(op, RNN_RECURRENT), *state = NULL;
    Value *operands[] = {input, lite_real(op, RNN_WEIGHT), lite_real(op, RNN_BIAS)};
    if (!input || !recurrent || !operands[1] || !operands[2] || !describe_state(op, RNN_STATE, &kept) || !read_sequence(op, input, time_major, &steps)) return false;
    Value *gates = lite_emit(op, OP_linear, 3, operands, NULL), **outputs = ARENA_ARRAY(op->lite->scratch, Value *, steps);
    for (int64_t step = 0; gates && step < steps; step++) {
        Value *value = at_step(op, gates, time_major, step);
        if (state) value = two(op, OP_add, value, lite_emit(op, OP_linear, 2, (Value *[]){state, recurrent}, NULL));
        outputs[step] = state = rounded_state(op, lite_activate(op, value, code, false), kept);
        if (!state) return false;
    }
    return gates && bind_sequence(op, steps, outputs, time_major);
}

// ---- SVDF

// Features of the input go into a memory of some steps, and each unit is a weighted sum of it. From zeros, only the newest
// step counts.
bool tflite_svdf(const LiteOp *op) {
    const LiteTensor *kept;
    Value *input = lite_real(op, 0), *features = lite_real(op, 1), *times = lite_real(op, 2);
    int64_t rank = lite_option(op, FLAT_SVDFOptions_rank);
    if (!input || !features || !times || !describe_state(op, 4, &kept)) return false;
    if (times->type->rank != 2 || features->type->rank != 2 || times->type->shape[0] != features->type->shape[0] || times->type->shape[1] < 1)
        return lite_error(op, "its weights do not fit each other");
    int64_t count = times->type->shape[0], steps = times->type->shape[1];
    if (rank < 1 || count % rank) return lite_error(op, "its rank %lld does not divide its %lld features", (long long)rank, (long long)count);
    Value *fresh = rounded_state(op, lite_emit(op, OP_linear, 2, (Value *[]){input, features}, NULL), kept);
    Value *newest = lite_reshape(op, part(op, times, 1, steps - 1, steps), 1, (int64_t[]){count});
    Value *value = two(op, OP_mul, fresh, newest);
    if (!value) return false;
    value = lite_reshape(op, value, 3, (int64_t[]){value->type->shape[0], count / rank, rank});
    Attr *attrs = attr_ints(op->lite->arena, attr_bool(op->lite->arena, NULL, "keep_dims", false), "axes", 1, (int64_t[]){2});
    value = value ? lite_unary(op, OP_reduce_sum, value, attrs) : NULL;
    if (is_given(op, 3)) value = two(op, OP_add, value, lite_real(op, 3));
    return value && lite_bind(op, 0, lite_activate(op, value, lite_option(op, FLAT_SVDFOptions_fused_activation_function), false));
}
