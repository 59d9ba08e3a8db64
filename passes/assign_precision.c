// Float network + tables -> the network in its precisions: each op that has an integer form, and whose table entry or
// default says i8, gets quantized operands and results; quantize and dequantize stand where precisions meet.
//
// Ops are rewritten in order into new ops before the old ones. For every value of the float network there is at most
// one float and one quantized form; either is made from the other when first asked for.
#include <math.h>

#include "ir/state.h"
#include "passes/explain.h"
#include "passes/quantize.h"
#include "passes/rewrite.h"

typedef struct {
    const Value *key;   // a value of the float network
    Value *real, *quant; // its forms; NULL until made
    const Quant *shared; // a concat's, that it takes; NULL: its own
    bool there;          // its op was rewritten
} Forms;

typedef struct {
    const PassContext *context;
    Arena *arena;
    Func *func;
    Forms *forms; // open addressing by key
    size_t capacity;
} State;

static Forms *forms_of(State *state, const Value *value) {
    size_t i = ((size_t)value >> 4) * 0x9E3779B97F4A7C15u % state->capacity;
    while (state->forms[i].key && state->forms[i].key != value) i = (i + 1) % state->capacity;
    state->forms[i].key = value;
    return &state->forms[i];
}

// ---- what the tables say

// The first few that the model lacks; a table of another model has little else.
static bool check_entries(const State *state, int count, const char *const *names) {
    enum { MOST = 5 };
    const PassContext *context = state->context;
    int cal = context->calibration ? context->calibration->count : 0, tab = context->qtable ? context->qtable->count : 0, strange = 0;
    Loc last = {0};
    for (int i = 0; i < cal + tab; i++) {
        const char *name = i < cal ? context->calibration->entries[i].name : context->qtable->entries[i - cal].name;
        Loc loc = i < cal ? context->calibration->entries[i].loc : context->qtable->entries[i - cal].loc;
        if (func_find_value(state->func, name) || context->constants) continue;
        if (strange++ >= MOST) {
            last = loc;
            continue;
        }
        const char *near = nearest_name(name, count, names);
        diag_error(context->diag, loc, near ? "no tensor '%s' in the model; did you mean '%s'" : "no tensor '%s' in the model", name, near);
    }
    if (strange > MOST)
        diag_error(context->diag, loc_file(last.file), "and %d more of %d names; the table may be of another model", strange - MOST, cal + tab);
    return !strange;
}

static bool check_names(State *state) {
    const PassContext *context = state->context;
    int count = 0;
    FOR_EACH_OP(state->func, op) count += op->result_count;
    const char **names = ARENA_ARRAY(context->scratch, const char *, count + state->func->arg_count);
    count = 0;
    for (int i = 0; i < state->func->arg_count; i++)
        if (state->func->args[i].name) names[count++] = state->func->args[i].name;
    FOR_EACH_OP(state->func, op)
        for (int i = 0; i < op->result_count; i++)
            if (op->results[i].name) names[count++] = op->results[i].name;
    return check_entries(state, count, names);
}

enum { MAX_BETWEEN = 8 }; // movers and softmaxes one behind the other
static bool serves_integers(const State *state, const Value *value, int between);

static bool wants_i8_within(const State *state, const Op *op, int between) {
    if (!op_has(op, INT8) || op->result_count != 1) return false;
    const Type *type = op->results[0].type;
    if (type->elem != ELEM_F32 || type->quant) return false;
    const QtableEntry *entry = state->context->qtable ? qtable_find(state->context->qtable, &op->results[0]) : NULL;
    if (entry) return entry->type == ELEM_I8;
    if (state->context->precision != ELEM_I8) return false;
    // Probabilities lose much in 8 bits, so what is read in f32 is computed so.
    return op->kind != OP_softmax || (between && serves_integers(state, &op->results[0], between - 1));
}

static bool wants_i8(const State *state, const Op *op) { return wants_i8_within(state, op, MAX_BETWEEN + 1); }

// Whether something in i8 reads the value, where it is or moved.
static bool serves_integers(const State *state, const Value *value, int between) {
    FOR_EACH_USE((Value *)value, use) {
        const Op *user = use->owner;
        bool is_moved = op_has(user, MOVES_DATA) && user->result_count == 1;
        if (user == state->func->last ? state->context->output_type != ELEM_F32 && use->index < module_output_count(state->func->module)
            : is_moved                ? between && serves_integers(state, &user->results[0], between - 1)
                                      : wants_i8_within(state, user, between))
            return true;
    }
    return false;
}

static bool check_qtable_types(const State *state) {
    const Qtable *table = state->context->qtable;
    bool fine = true;
    for (int i = 0; table && i < table->count; i++)
        if (table->entries[i].type != ELEM_F32 && table->entries[i].type != ELEM_I8)
            fine = diag_error(state->context->diag, table->entries[i].loc, "precision %s is not supported yet; use f32 or i8",
                              elem_name(table->entries[i].type));
    return fine;
}

// A range that holds two.
static const CalibrationEntry *joined_ranges(Arena *arena, const CalibrationEntry *a, const CalibrationEntry *b) {
    if (!a || !b) return a ? a : b;
    CalibrationEntry *both = arena_copy(arena, a, sizeof *a);
    if (b->min < both->min) both->min = b->min;
    if (b->max > both->max) both->max = b->max;
    if (b->threshold > both->threshold) both->threshold = b->threshold;
    return both;
}

// A state begins a run with what the one before left.
static const CalibrationEntry *range_over_runs(const State *state, const Value *value) {
    const CalibrationTable *table = state->context->calibration;
    const Module *module = state->func->module;
    const int number = value->index - module_input_count(module);
    const CalibrationEntry *entry = table ? calibration_find(table, value) : NULL;
    if (!table || value->def || number < 0) return entry;
    return joined_ranges(state->arena, entry, calibration_find(table, module_next_state(module, number)));
}

// The quantization that the calibration gives a value of the float network; NULL with a message.
static const Quant *calibrated(State *state, const Value *value) {
    const PassContext *context = state->context;
    Loc loc = loc_file(state->func->module->file);
    loc.name = value->name;
    if (forms_of(state, value)->shared) return forms_of(state, value)->shared;
    const CalibrationEntry *entry = range_over_runs(state, value);
    if (entry) return activation_quant(state->arena, entry, context->symmetric);
    const CalibrationTable *table = context->calibration;
    if (table && table->count && table->entries[0].loc.file) loc.file = table->entries[0].loc.file;
    diag_error(context->diag, loc, table ? "the calibration table has no entry for this tensor; add one, or calibrate this model again"
                                         : "quantization to i8 needs a calibration table");
    return NULL;
}

// ---- one scale for what is concatenated

static const Quant *own_quant(State *state, const Value *value) {
    const PassContext *context = state->context;
    const Quant *shared = forms_of(state, value)->shared;
    const CalibrationEntry *entry = shared || !context->calibration ? NULL : calibration_find(context->calibration, value);
    return entry ? activation_quant(state->arena, entry, context->symmetric) : shared;
}

// The value whose quantization `value` has, through ops that move it there alone.
static const Value *moved_from(const State *state, const Value *value) {
    while (value->def && op_has(value->def, MOVES_DATA) && wants_i8(state, value->def) && value_has_one_use(value))
        value = op_operand(value->def, 0);
    return value;
}

// What else reads the value loses at most one bit: the scale is at most twice its own, and the range holds its own.
static bool loses_little(const Quant *own, const Quant *wide) {
    const double scale = wide->scale[0], step = 0.51 * scale;
    const double low = (-128.0 - own->zero_point[0]) * own->scale[0], high = (127.0 - own->zero_point[0]) * own->scale[0];
    return scale <= 2.0 * own->scale[0] && (-128.0 - wide->zero_point[0]) * scale <= low + step &&
           (127.0 - wide->zero_point[0]) * scale >= high - step;
}

// An operand that nothing else reads takes the result's scale: it is rounded once, not twice, and lowering needs no copy.
static void share_scale(State *state, const Op *concat) {
    const Quant *whole = own_quant(state, &concat->results[0]);
    if (!whole || !wants_i8(state, concat)) return;
    for (int i = 0; i < concat->operand_count; i++) {
        const Value *value = moved_from(state, op_operand(concat, i));
        Forms *forms = forms_of(state, value);
        const Quant *own = own_quant(state, value);
        if (forms->shared || !own || value_constant(value)) continue;
        if (value_has_one_use(value) || loses_little(own, whole)) forms->shared = whole;
    }
}

static void share_scales(State *state) {
    for (const Op *op = state->func->last; op; op = op->prev)
        if (op->kind == OP_concat) share_scale(state, op);
}

// ---- the two forms of a value

static Builder after(State *state, const Value *value) {
    Op *op = value->def;
    return (Builder){state->func, op ? op->next : state->func->first, {.name = value->name}};
}

static Value *constant_quantized(State *state, const Value *value, const Quant *quant) {
    Builder builder = builder_before(state->func->last);
    Arena *arena = state->arena;
    int64_t count = type_elem_count(value->type);
    const float *data = constant_f32(state->context->scratch, value);
    int8_t *q = ARENA_ARRAY(arena, int8_t, count);
    Type input = *value->type;
    const Type *type = type_quantized(arena, quant, value->type->rank, value->type->shape);
    Op op = {.kind = OP_quantize, .loc = {.name = value->name}};
    Tensor from = {&input, (void *)data}, to = {type, q}, *results[] = {&to};
    const Tensor *operands[] = {&from};
    if (!eval_op(state->context->diag, &op, operands, results)) return NULL;
    Value *constant = op_constant(&builder, type, q, value->name);
    op_move_before(constant->def, state->func->first);
    return constant;
}

static CalibrationEntry range_of(const Value *value, const float *data) {
    CalibrationEntry entry = {.name = value->name};
    for (int64_t i = 0, count = type_elem_count(value->type); i < count; i++) {
        if (data[i] < entry.min) entry.min = data[i];
        if (data[i] > entry.max) entry.max = data[i];
    }
    entry.threshold = entry.max > -entry.min ? entry.max : -entry.min;
    return entry;
}

// A constant has no calibration entry: its own range is exact.
static const Quant *constant_range(State *state, const Value *value) {
    const PassContext *context = state->context;
    const float *data = constant_f32(context->scratch, value);
    if (!data) return NULL;
    const CalibrationEntry *known = calibration_find(context->constants, value);
    CalibrationEntry own = known ? *known : range_of(value, data);
    return activation_quant(state->arena, &own, context->symmetric);
}

static bool is_read_as_activation(const Value *value) {
    FOR_EACH_USE((Value *)value, use)
        if (!use->index || (use->owner->kind != OP_conv2d && use->owner->kind != OP_linear)) return true;
    return false;
}

CalibrationTable constant_ranges(Arena *arena, const Module *module) {
    CalibrationTable table = {0};
    int count = 0;
    FOR_EACH_OP(module_main(module), op)
        if (op->kind == OP_constant) count += 1 + op->results[0].alias_count;
    table.entries = ARENA_ARRAY(arena, CalibrationEntry, count);
    FOR_EACH_OP(module_main(module), op) {
        const Value *value = op->result_count ? &op->results[0] : NULL;
        if (op->kind != OP_constant || !value->name || !is_read_as_activation(value)) continue;
        const float *data = constant_f32(arena, value);
        CalibrationEntry entry = data ? range_of(value, data) : (CalibrationEntry){0};
        for (int i = -1; data && i < value->alias_count; i++) {
            entry.name = i < 0 ? value->name : value->aliases[i];
            table.entries[table.count++] = entry;
        }
    }
    return table;
}

static Value *quant_form(State *state, Value *value) {
    Forms *forms = forms_of(state, value);
    if (forms->quant) return forms->quant;
    const Quant *quant = value_constant(value) ? constant_range(state, value) : calibrated(state, value);
    if (!quant) return NULL;
    if (value_constant(value)) return forms->quant = constant_quantized(state, value, quant);
    const Type *type = type_quantized(state->arena, quant, value->type->rank, value->type->shape);
    Value *real = forms->real = forms->real ? forms->real : value;
    Builder builder = after(state, real);
    Op *op = op_new(&builder, OP_quantize, 1, &real, 1, &type, NULL);
    if (value->name) value_set_name(&op->results[0], arena_printf(state->arena, "%s_i8", value->name));
    return forms->quant = &op->results[0];
}

static Value *real_form(State *state, Value *value) {
    Forms *forms = forms_of(state, value);
    if (forms->real) return forms->real;
    if (!forms->quant) return value;
    Builder builder = after(state, forms->quant);
    Op *op = op_new(&builder, OP_dequantize, 1, &forms->quant, 1, NULL, NULL);
    const char *name = forms->quant->name;
    if (name) value_set_name(&op->results[0], arena_printf(state->arena, "%s_f32", name));
    return forms->real = &op->results[0];
}

// ---- ops

// A new op like `op` on the given operands; its result takes the old one's name and aliases.
static Value *remake(Op *op, int operand_count, Value *const *operands, const Type *type) {
    Builder builder = builder_before(op);
    Op *made = op_new(&builder, op->kind, operand_count, operands, 1, &type, op->attrs);
    Value *old = &op->results[0], *result = &made->results[0];
    if (old->name) value_put_name(result, old->name);
    result->aliases = old->aliases;
    result->alias_count = old->alias_count;
    old->name = NULL;
    old->alias_count = 0;
    return result;
}

static bool are_finite(State *state, const Value *constant, const float *data, int64_t count) {
    Loc loc = loc_file(state->func->module->file);
    loc.name = constant->name;
    for (int64_t i = is_finite(data, count) ? count : 0; i < count; i++)
        if (!isfinite(data[i]))
            return diag_error(state->context->diag, loc, "element %lld is %g: a constant that is not finite can't be quantized",
                              (long long)i, (double)data[i]);
    return true;
}

// conv2d and linear: weights and bias are constants, quantized here. `output` of i32: the result is the sums, whose multipliers are
// by that scale.
static Value *quantize_weighted(State *state, Op *op, Value *input, const Quant *output) {
    Arena *arena = state->arena, *scratch = state->context->scratch;
    Value *weight = op_operand(op, 1), *bias = op_operand(op, 2);
    const float *w = constant_f32(scratch, weight), *b = bias ? constant_f32(scratch, bias) : NULL;
    int64_t channels = weight->type->shape[0], count = type_elem_count(weight->type);
    if (!are_finite(state, weight, w, count) || (b && !are_finite(state, bias, b, channels))) return NULL;
    int8_t *q = ARENA_ARRAY(arena, int8_t, count);
    int32_t *q_bias = ARENA_ARRAY(arena, int32_t, channels);
    const Quant *quant = weight_quant(arena, channels, channels ? count / channels : 0, w, b, input->type->quant, output,
                                      (WeightScales){state->context->per_tensor_weights, state->context->mse_weights,
                                                     value_constant(weight)->splat ? NULL : state->context->weights}, q, q_bias);
    Builder builder = builder_before(op);
    const Type *weight_type = type_quantized(arena, quant, weight->type->rank, weight->type->shape);
    const Type *bias_type = type_tensor(arena, ELEM_I32, 1, &channels);
    const char *name = take_constant_name(weight), *bias_name = bias ? take_constant_name(bias) : NULL;
    if (!bias_name) bias_name = arena_printf(arena, "%s_bias", name ? name : "weight");
    Value *operands[] = {input, op_constant(&builder, weight_type, q, name),
                         op_constant(&builder, bias_type, q_bias, bias_name)};
    const int rank = op->results[0].type->rank;
    if (output->storage == ELEM_I32) output = quant_sums(arena, input->type->quant, quant, rank - 1, (int)channels);
    return remake(op, 3, operands, type_quantized(arena, output, rank, op->results[0].type->shape));
}

enum { MAX_WEIGHTS = 4 << 20 }; // of one channel: the sum of as many products fits 32 bits at some scale

static bool has_constant_weights(const State *state, const Op *op) {
    const Value *weight = op_operand(op, 1), *bias = op_operand(op, 2);
    int64_t channels = weight->type->shape[0];
    if (channels && type_elem_count(weight->type) / channels > MAX_WEIGHTS) return false;
    return constant_f32(state->context->scratch, weight) && (!bias || constant_f32(state->context->scratch, bias));
}

// Operands that are indices or tables of floats in every precision stay as they are.
static bool is_activation(const Op *op, int index) {
    const OpInfo *info = op_info(op->kind);
    const char *type = info->operands[index < info->operand_count ? index : info->operand_count - 1].type;
    return strcmp(type, "INTEGER") && strcmp(type, "F32");
}

// Whether op can be made i8 where it stands: movers follow their operand, weighted ops need constant weights.
static bool can_be_i8(State *state, Op *op) {
    const Value *moved = op_has(op, MOVES_DATA) ? forms_of(state, op_operand(op, 0))->quant : NULL;
    if (op_has(op, MOVES_DATA)) return moved && !type_is_sums(moved->type) && !state->context->alone;
    if (op->kind == OP_conv2d || op->kind == OP_linear) return has_constant_weights(state, op);
    if (op->kind == OP_quantize || op->kind == OP_dequantize || op->kind == OP_requantize) return false;
    for (int i = 0; i < op->operand_count; i++)
        if (is_activation(op, i) && op_operand(op, i)->type->elem != ELEM_F32) return false;
    return true;
}

static Value *make_i8(State *state, Op *op) {
    Value **operands = ARENA_ARRAY(state->context->scratch, Value *, op->operand_count);
    int tensors = op->kind == OP_conv2d || op->kind == OP_linear || op_has(op, MOVES_DATA) ? 1 : op->operand_count;
    for (int i = 0; i < op->operand_count; i++) operands[i] = op_operand(op, i);
    for (int i = 0; i < tensors; i++)
        if (is_activation(op, i) && !(operands[i] = quant_form(state, operands[i]))) return NULL;
    const Type *old = op->results[0].type;
    if (op_has(op, MOVES_DATA)) return remake(op, op->operand_count, operands, type_quantized(state->arena, operands[0]->type->quant, old->rank, old->shape));
    const Quant *output = calibrated(state, &op->results[0]);
    if (!output) return NULL;
    if (tensors == 1 && (op->kind == OP_conv2d || op->kind == OP_linear)) return quantize_weighted(state, op, operands[0], output);
    return remake(op, op->operand_count, operands, type_quantized(state->arena, output, old->rank, old->shape));
}

// ---- sums that are not rounded

static bool gives_sums(const Op *op) {
    if (op->kind != OP_linear && (op->kind != OP_conv2d || as_conv2d(op).group != 1)) return false;
    return !strcmp(op_string(op, "activation"), "none");
}

// The add that alone reads the op's result, where its other operand is there already: of two convolutions, the later one gives sums.
static const Op *add_of_sums(State *state, const Op *op) {
    const Value *value = &op->results[0];
    Op *user = value_has_one_use(value) ? value->uses->owner : NULL;
    if (!user || user->kind != OP_add || !wants_i8(state, user) || !can_be_i8(state, user)) return NULL;
    const Value *other = op_operand(user, op_operand(user, 0) == value);
    if (value_constant(other) || !type_same_shape(other->type, value->type)) return NULL;
    return !other->def || forms_of(state, other)->there ? user : NULL;
}

// The type of the result where nothing needs it in 8 bits: *reader is the add that takes the sums, or NULL: floats are made of them.
static bool wants_sums(State *state, const Op *op, const Op **reader) {
    const PassContext *context = state->context;
    *reader = NULL;
    if (!gives_sums(op)) return false;
    if (!context->no_residual_sums && (*reader = add_of_sums(state, op))) return true;
    return !context->no_output_sums && !serves_integers(state, &op->results[0], MAX_BETWEEN + 1);
}

// Weights' scales are such that those of the sums, and their multipliers, are normal.
static Value *make_sums(State *state, Op *op, const Op *reader) {
    Value *input = quant_form(state, op_operand(op, 0));
    const Quant *sum = reader ? calibrated(state, &reader->results[0]) : NULL;
    if (!input || (reader && !sum)) return NULL;
    return quantize_weighted(state, op, input, quant_per_tensor(state->arena, ELEM_I32, sum && sum->scale[0] > 1 ? sum->scale[0] : 1, 0));
}

// Why op is not made i8, for --explain.
static const char *why_float(State *state, const Op *op) {
    const PassContext *context = state->context;
    if (!op_has(op, INT8)) return "it has no integer form";
    const QtableEntry *entry = context->qtable ? qtable_find(context->qtable, &op->results[0]) : NULL;
    if (entry && entry->type == ELEM_F32) return "the quantization table says so";
    if (op->results[0].type->elem != ELEM_F32) return "it does not compute real numbers";
    if (op->kind == OP_softmax && context->precision == ELEM_I8 && !entry) return "what reads it is f32";
    if (!wants_i8(state, op)) return "f32 is the precision of what the quantization table does not name";
    if (op->kind == OP_conv2d || op->kind == OP_linear) return "its weights are no constants, or too many";
    const Value *first = op_operand(op, 0);
    return op_has(op, MOVES_DATA) && first->name ? arena_printf(context->scratch, "it moves data, and '%s' is f32", first->name)
                                                 : "its operands are no real numbers";
}

// What the table asked for and does not get is worth a warning.
static void stays_float(State *state, const Op *op) {
    const PassContext *context = state->context;
    const QtableEntry *entry = context->qtable && op->result_count ? qtable_find(context->qtable, &op->results[0]) : NULL;
    if (!entry && !context->explain) return;
    const char *why = why_float(state, op);
    if (entry && entry->type == ELEM_I8)
        diag_warning(context->diag, entry->loc, "%s '%s' stays f32: %s", op_info(op->kind)->full_name, entry->name, why);
    explain_float(context, op, why);
}

// The i8 op is an output of its own, and everything else goes on with the float one, which comes first: what watches both has its
// result then.
static void set_alone(State *state, Op *op, Value *quant) {
    Value *real = &op->results[0];
    const char *name = quant->name;
    Op *ret = state->func->last;
    if (!name) return;
    value_set_name(quant, arena_printf(state->arena, "%s%s", name, ALONE_SUFFIX));
    value_put_name(real, name);
    real->aliases = quant->aliases;
    real->alias_count = quant->alias_count;
    quant->alias_count = 0;
    op_set_operand(ret, ret->operand_count, quant);
    op_move_before(quant->def, op->next);
}

static bool rewrite(State *state, Op *op) {
    if (op->kind == OP_dequantize || op->kind == OP_requantize) return true; // already between precisions
    if (state->context->alone && op->result_count && op->results[0].type->quant) return true; // set_alone's
    if (wants_i8(state, op) && can_be_i8(state, op)) {
        const Op *reader;
        Value *quant = wants_sums(state, op, &reader) ? make_sums(state, op, reader) : make_i8(state, op);
        if (quant && state->context->alone) {
            set_alone(state, op, quant);
            return true;
        }
        forms_of(state, &op->results[0])->quant = quant;
        return quant != NULL;
    }
    stays_float(state, op);
    for (int i = 0; i < op->operand_count; i++) {
        Value *operand = op_operand(op, i);
        if (operand && forms_of(state, operand)->quant) op_set_operand(op, i, real_form(state, operand));
    }
    return true;
}

// ---- edges

static bool quantize_input(State *state, Value *arg) {
    Elem wanted = state->context->input_type;
    const bool is_state = arg->index >= module_input_count(state->func->module);
    if (wanted == ELEM_F32 || arg->type->elem != ELEM_F32 || is_state) return true;
    const Quant *quant = calibrated(state, arg);
    if (!quant) return false;
    Forms *forms = forms_of(state, arg);
    forms->quant = arg;
    arg->type = type_quantized(state->arena, quant, arg->type->rank, arg->type->shape);
    Builder builder = {state->func, state->func->first, {.name = arg->name}};
    forms->real = &op_new(&builder, OP_dequantize, 1, &arg, 1, NULL, NULL)->results[0];
    // Uses in the old graph keep meaning the float network's value; rewrite() picks the form.
    return true;
}

// The model's output keeps its name in the type that the user sees; the integers it is made of get another, unless they are
// the model's input.
static void keep_output_name(State *state, Value *output, Value *quant) {
    if (!quant || !quant->def || !quant->name || !value_def(output, OP_dequantize) || op_operand(output->def, 0) != quant) return;
    const char *name = quant->name;
    value_set_name(quant, arena_printf(state->arena, "%s_%s", name, type_is_sums(quant->type) ? "sums" : "i8"));
    value_set_name(output, name);
}

static bool finish_outputs(State *state) {
    Op *ret = state->func->last;
    const int outputs = module_output_count(state->func->module);
    for (int i = 0; i < ret->operand_count; i++) {
        Value *value = op_operand(ret, i);
        bool is_float = value->type->elem == ELEM_F32 && i < outputs; // states stay as they are
        if (is_float && state->context->output_type != ELEM_F32) {
            value = quant_form(state, value);
            if (!value) return false;
        } else {
            Value *quant = forms_of(state, value)->quant;
            value = real_form(state, value);
            keep_output_name(state, value, quant);
        }
        op_set_operand(ret, i, value);
    }
    return true;
}

// Old ops whose results were replaced are dead now; their operands may be too.
static void remove_old(Func *func) {
    for (Op *op = func->last, *prev; op; op = prev) {
        prev = op->prev;
        bool used = !op_has(op, PURE);
        for (int i = 0; i < op->result_count; i++) used = used || op->results[i].uses;
        if (!used) op_erase(op);
    }
}

bool assign_precision(Module *module, const PassContext *context) {
    Func *func = module_main(module);
    if (!func) return diag_error(context->diag, loc_file(module->file), "the module has no function @main");
    State state = {.context = context, .arena = module->arena, .func = func, .capacity = 64};
    FOR_EACH_OP(func, op) state.capacity += 8 * (size_t)op->result_count;
    state.capacity += 8 * (size_t)func->arg_count;
    state.forms = ARENA_ARRAY(context->scratch, Forms, state.capacity);
    if (!check_names(&state) || !check_qtable_types(&state)) return false;
    share_scales(&state);
    bool fine = true;
    for (int i = 0; i < func->arg_count; i++) fine = quantize_input(&state, &func->args[i]) && fine;
    FOR_EACH_OP(func, op) {
        if (op != func->last && fine) fine = rewrite(&state, op);
        for (int i = 0; i < op->result_count; i++) forms_of(&state, &op->results[i])->there = true;
    }
    if (!fine || !finish_outputs(&state)) return false;
    remove_old(func);
    explain_precisions(context, func);
    return true;
}
