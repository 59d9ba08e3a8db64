// The opposite of fold_qdq and assign_precision: ops on integers become ops on floats, between dequantize and quantize. Of those that
// the quantization table names with f32; or of all, and then the pairs between them go as well, and with them every scale that
// the model brought: it is a float network, to be calibrated anew (--requantize, drop_quantization{all}).
#include <math.h>

#include "ir/state.h"
#include "passes/rewrite.h"

typedef struct {
    Func *func;
    const PassContext *context;
    Arena *arena;
    bool all;
} Drop;

static bool is_quantized(const Value *value) { return value && value->type->quant; }

static const Type *real_type(const Drop *drop, const Value *value) { return type_with_elem(drop->arena, value->type, ELEM_F32); }

// The real numbers of a constant, before `op`; NULL after a message.
static Value *real_constant(const Drop *drop, Op *op, Value *constant) {
    const Type *type = real_type(drop, constant);
    float *data = ARENA_ARRAY(drop->arena, float, type_elem_count(type) + 1);
    Dense whole = *value_constant(constant);
    int8_t *copy = NULL;
    if (whole.splat) {
        size_t bytes = type_bytes(whole.type);
        copy = arena_alloc(drop->context->scratch, bytes + 1);
        for (size_t at = 0; at < bytes; at += whole.bytes) memcpy(copy + at, whole.data, whole.bytes);
    }
    const Op dequantize = {.kind = OP_dequantize, .loc = {.name = constant->name}};
    Tensor from = {constant->type, copy ? copy : (void *)whole.data}, to = {type, data}, *results[] = {&to};
    const Tensor *operands[] = {&from};
    if (!eval_op(drop->context->diag, &dequantize, operands, results)) return NULL;
    Builder builder = builder_before(op);
    return op_constant(&builder, type, data, take_constant_name(constant));
}

static Value *real_operand(const Drop *drop, Op *op, Value *value) {
    if (!is_quantized(value)) return value;
    if (value_constant(value)) return real_constant(drop, op, value);
    Builder builder = builder_before(op);
    return &op_new(&builder, OP_dequantize, 1, &value, 1, NULL, NULL)->results[0];
}

// A bias of i32, of the scale of the product.
static Value *real_bias(const Drop *drop, Op *op) {
    Value *bias = op_operand(op, 2);
    const Dense *dense = value_constant(bias);
    const Quant *x = op_operand(op, 0)->type->quant, *w = op_operand(op, 1)->type->quant;
    if (is_quantized(bias)) return real_operand(drop, op, bias);
    if (!dense) return diag_error(drop->context->diag, op->loc, "its bias is no constant: its scale can't be dropped"), NULL;
    int64_t channels = type_elem_count(bias->type);
    float *data = ARENA_ARRAY(drop->arena, float, channels + 1);
    for (int64_t c = 0; c < channels; c++) data[c] = (float)((double)dense_i64(dense, c) * x->scale[0] * w->scale[w->axis < 0 ? 0 : c]);
    return new_constant_f32(op, 1, bias->type->shape, data, take_constant_name(bias));
}

// An activation that the range of the result stood for: the tool that quantized the model took it out.
static Attr *with_activation(const Drop *drop, const Op *op) {
    const Quant *quant = op->results[0].type->quant;
    bool clamps = op->kind == OP_conv2d || op->kind == OP_linear || op->kind == OP_add || op->kind == OP_sub || op->kind == OP_mul;
    if (!clamps || is_activated(op) || quant->zero_point[0] != quant->storage_min) return op->attrs;
    double most = (double)(quant->storage_max - quant->zero_point[0]) * quant->scale[0];
    bool six = fabs(most - 6) <= 0.5 * quant->scale[0];
    return attr_string(drop->arena, op->attrs, "activation", six ? "relu6" : "relu");
}

static Value *make_real(const Drop *drop, Op *op) {
    Value **operands = ARENA_ARRAY(drop->context->scratch, Value *, op->operand_count), *result = &op->results[0];
    bool product = op->kind == OP_conv2d || op->kind == OP_linear;
    for (int i = 0; i < op->operand_count; i++) {
        Value *operand = op_operand(op, i);
        operands[i] = product && i == 2 && operand ? real_bias(drop, op) : real_operand(drop, op, operand);
        if (operand && !operands[i]) return NULL;
    }
    if (op->kind == OP_requantize) return operands[0];
    Builder builder = builder_before(op);
    const Type *type = real_type(drop, result);
    return &op_new(&builder, op->kind, op->operand_count, operands, 1, &type, with_activation(drop, op))->results[0];
}

static bool drop_op(const Drop *drop, Op *op) {
    Value *result = &op->results[0], *real = make_real(drop, op);
    if (!real) return false;
    const char *name = result->name;
    Builder builder = builder_before(op);
    Value *again = &op_new(&builder, OP_quantize, 1, &real, 1, &result->type, NULL)->results[0];
    bool output = is_returned(result) || real->name;
    give_name(output ? again : real, result);
    if (output && !real->name && name) value_set_name(real, arena_printf(drop->arena, "%s_f32", name));
    value_replace_uses(result, again);
    op_erase(op);
    return true;
}

static bool is_dropped(const Drop *drop, const Op *op) {
    if (op->result_count != 1 || !op->results[0].type->quant || op->kind == OP_constant || op->kind == OP_quantize) return false;
    if (drop->all) return true;
    const QtableEntry *entry = drop->context->qtable ? qtable_find(drop->context->qtable, &op->results[0]) : NULL;
    return entry && entry->type == ELEM_F32 && !op_has(op, MOVES_DATA) && op->kind != OP_requantize;
}

// ---- what is between ops on floats

static bool can_be_output(const Value *value) { return value->def && !is_returned(value) && !value_constant(value); }

static Value *copy_of(const Drop *drop, Op *before, Value *value) {
    Builder builder = builder_before(before);
    Attr *attrs = attr_ints(drop->arena, NULL, "shape", value->type->rank, value->type->shape);
    return &op_new(&builder, OP_reshape, 1, &value, 1, NULL, attrs)->results[0];
}

static void drop_pairs(const Drop *drop) {
    FOR_EACH_OP(drop->func, op) {
        const Op *quantize = op->kind == OP_dequantize ? value_def(op_operand(op, 0), OP_quantize) : NULL;
        if (!quantize) continue;
        Value *real = op_operand(quantize, 0);
        if (!is_returned(&op->results[0])) op_replace(op, real);
        else absorb(op, can_be_output(real) ? real : copy_of(drop, op, real));
    }
}

// A state that began with integers begins with what they stand for.
static bool drop_start(const Drop *drop, Module *module, int index) {
    const Dense *start = module_state_start(module, index);
    if (!start || !start->type->quant) return true;
    const Op dequantize = {.kind = OP_dequantize, .loc = {.name = module_state(module, index)->name}};
    const Type *type = type_with_elem(drop->arena, start->type, ELEM_F32);
    Tensor from = module_start_tensor(drop->context->scratch, module, index, start->type), to = tensor_new(drop->arena, type), *results[] = {&to};
    const Tensor *operands[] = {&from};
    if (!eval_op(drop->context->diag, &dequantize, operands, results)) return false;
    Dense *real = ARENA_NEW(drop->arena, Dense);
    *real = (Dense){.type = type, .data = to.data, .bytes = type_bytes(type)};
    module_set_state_start(module, index, real);
    return true;
}

static void drop_input(const Drop *drop, Value *arg) {
    if (!is_quantized(arg)) return;
    FOR_EACH_USE(arg, use)
        if (use->owner->kind == OP_dequantize) op_replace(use->owner, arg);
    arg->type = real_type(drop, arg);
}

// The output keeps its name; what has one to keep is copied.
static void drop_output(const Drop *drop, Op *ret, int index) {
    Value *value = op_operand(ret, index);
    Op *quantize = value_def(value, OP_quantize);
    const char *name = value->name;
    if (!quantize) return;
    Value *real = op_operand(quantize, 0);
    value->name = NULL;
    if (!can_be_output(real)) real = copy_of(drop, ret, real);
    const char *old = real->name;
    real->name = NULL;
    if (name) value_put_name(real, name);
    if (old) value_add_alias(real, old);
    op_set_operand(ret, index, real);
}

bool drop_quantization(Module *module, const PassContext *context) {
    Func *func = module_main(module);
    Drop drop = {func, context, module->arena, context->requantize || (context->options && !strcmp(context->options, "all"))};
    if (!func || (!drop.all && !context->qtable)) return true;
    FOR_EACH_OP(func, op)
        if (is_dropped(&drop, op) && !drop_op(&drop, op)) return false;
    if (!drop.all) return true;
    drop_pairs(&drop);
    for (int i = 0; i < module_state_count(module); i++)
        if (!drop_start(&drop, module, i)) return false;
    for (int i = 0; i < func->arg_count; i++) drop_input(&drop, &func->args[i]);
    for (int i = 0; i < func->last->operand_count; i++) drop_output(&drop, func->last, i);
    return dead_code(module, context);
}
