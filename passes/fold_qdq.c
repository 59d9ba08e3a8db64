// An imported model says where it is quantized by pairs: y = op(dequantize(x)), quantize(y). What comes out computes on the
// integers, with the model's own scales:
//   mover(dequantize(x))                          -> dequantize(mover(x))
//   quantize(transpose, reshape or maximum of x)  -> the same of quantize(x)
//   quantize(relu(x)), where quantize clamps so   -> quantize(x)
//   quantize(op(dequantize(x), ...))              -> op(x, ...), where op has an integer form
//   quantize(dequantize(x))                       -> requantize(x)
// What has none, or is read as floats elsewhere too, stays float between the two, as the model says. Runs first: the dequantized
// constants are constants to other passes from then on.
#include <math.h>

#include "ir/eval.h"
#include "ir/verify.h"
#include "passes/rewrite.h"
#include "runtime/rounding.h"

typedef struct {
    Module *module;
    const PassContext *context;
} Fold;

// Of 8 or of 16 bits, with one scale.
static bool is_stored(const Type *type) {
    return type->quant && type->quant->axis < 0 && (type->quant->storage == ELEM_I8 || type->quant->storage == ELEM_I16);
}

// The integers that `value` is dequantized from; NULL.
static Value *integers(const Value *value) {
    const Op *op = value_def(value, OP_dequantize);
    return op && is_stored(op_operand(op, 0)->type) ? op_operand(op, 0) : NULL;
}

static bool is_plain_f32(const Type *type) { return type->elem == ELEM_F32 && !type->quant; }

static const Type *quantized_like(const Fold *fold, const Type *shape, const Quant *quant) {
    return type_quantized(fold->module->arena, quant, shape->rank, shape->shape);
}

// ---- names: a tensor is called as the model calls its real numbers; an output keeps its own

static void give_names(Value *made, Value *real, Value *quantized) {
    bool output = is_returned(quantized);
    give_name(made, output ? quantized : real);
    give_name(made, output ? real : quantized);
}

// The one type that all readers quantize it to; NULL.
static const Type *wanted_type(const Value *value) {
    const Type *type = NULL;
    for (const Use *use = value->uses; use; use = use->next) {
        const Type *own = use->owner->kind == OP_quantize ? use->owner->results[0].type : NULL;
        if (!own || !is_stored(own) || (type && !type_equal(type, own))) return NULL;
        type = own;
    }
    return type;
}

// ---- moving the pairs together

// Of padding: the number that stands in for `value` is exactly that.
static bool pads_exactly(const Op *op, const Quant *quant) {
    if (op->kind != OP_pad) return true;
    float value = (float)as_pad(op).value;
    int32_t q = qn_quantize(value, quant->scale[0], quant->zero_point[0], quant->storage_min, quant->storage_max);
    return (float)(q - quant->zero_point[0]) * quant->scale[0] == value;
}

static bool is_joined_alike(const Op *op) {
    for (int i = 1; i < op->operand_count; i++) {
        const Value *first = integers(op_operand(op, 0)), *other = integers(op_operand(op, i));
        if (!first || !other || !quant_equal(first->type->quant, other->type->quant)) return false;
    }
    return op->operand_count > 1;
}

static bool sink_dequantize(const Fold *fold, Op *op) {
    Value *result = op->result_count ? &op->results[0] : NULL, *input = integers(op_operand(op, 0));
    bool joins = op->kind == OP_concat && is_joined_alike(op) && !wanted_type(result);
    if (!input || (!op_has(op, MOVES_DATA) && !joins) || !is_plain_f32(result->type) || !pads_exactly(op, input->type->quant)) return false;
    Value **operands = ARENA_ARRAY(fold->context->scratch, Value *, op->operand_count);
    for (int i = 0; i < op->operand_count; i++) operands[i] = i && !joins ? op_operand(op, i) : integers(op_operand(op, i));
    const Type *type = quantized_like(fold, result->type, input->type->quant);
    Builder builder = builder_before(op);
    Value *moved = &op_new(&builder, op->kind, op->operand_count, operands, 1, &type, op->attrs)->results[0];
    Value *real = &op_new(&builder, OP_dequantize, 1, &moved, 1, NULL, NULL)->results[0];
    give_name(is_returned(result) ? real : moved, result);
    value_replace_uses(result, real);
    op_erase(op);
    return true;
}

static bool commutes(const Op *op) {
    return op->kind == OP_reshape || op->kind == OP_transpose || op->kind == OP_max_pool2d || op->kind == OP_reduce_max ||
           op->kind == OP_reduce_min;
}

// What is computed is quantized where it is computed. The op that does so now; NULL.
static Op *raised(const Fold *fold, Op *op) {
    Value *moved = op_operand(op, 0), *source = moved && moved->def && commutes(moved->def) ? op_operand(moved->def, 0) : NULL;
    if (op->kind != OP_quantize || !is_stored(op->results[0].type) || !source || !value_has_one_use(moved)) return NULL;
    if (!source->def || !value_has_one_use(source) || value_constant(source) || value_def(source, OP_dequantize)) return NULL;
    Op *mover = moved->def;
    const Type *type = quantized_like(fold, source->type, op->results[0].type->quant);
    Builder builder = builder_before(op);
    Value *small = &op_new(&builder, OP_quantize, 1, &source, 1, &type, NULL)->results[0];
    Value *made = &op_new(&builder, mover->kind, 1, &small, 1, &op->results[0].type, mover->attrs)->results[0];
    give_names(made, moved, &op->results[0]);
    value_replace_uses(&op->results[0], made);
    op_erase(op);
    op_erase(mover);
    return small->def;
}

static bool raise_quantize(const Fold *fold, Op *op) {
    bool any = false;
    while ((op = raised(fold, op))) any = true;
    return any;
}

// ---- activations

static bool clamp_of(const Op *op, double *low, double *high) {
    *low = 0, *high = INFINITY;
    if (op->kind == OP_clip) *low = as_clip(op).min, *high = as_clip(op).max;
    return op->kind == OP_clip || op->kind == OP_relu;
}

// Every element gives the same integer with the clamp as without.
static bool covers(const Quant *quant, double low, double high) {
    const float scale = quant->scale[0];
    const int32_t zero = quant->zero_point[0], least = quant->storage_min, most = quant->storage_max;
    bool below = low == -INFINITY || qn_quantize((float)low, scale, zero, least, most) == least;
    bool above = high == INFINITY || qn_quantize((float)high, scale, zero, least, most) == most;
    return below && above;
}

static bool drop_clamp(Op *op) {
    double low, high;
    Value *clamped = op_operand(op, 0);
    if (op->kind != OP_quantize || !is_stored(op->results[0].type) || !clamped->def || !value_has_one_use(clamped)) return false;
    if (!clamp_of(clamped->def, &low, &high) || !covers(op->results[0].type->quant, low, high)) return false;
    Value *source = op_operand(clamped->def, 0);
    op_set_operand(op, 0, source);
    give_name(&op->results[0], clamped);
    op_erase(clamped->def);
    return true;
}

// An activation behind the transpose of a product goes before it, where it can become part of the product.
static bool raise_clamp(Op *op) {
    double low, high;
    Value *moved = op_operand(op, 0), *result = op->result_count ? &op->results[0] : NULL;
    if (!clamp_of(op, &low, &high) || !is_plain_f32(result->type)) return false;
    if (!moved->def || (moved->def->kind != OP_transpose && moved->def->kind != OP_reshape) || !value_has_one_use(moved)) return false;
    Value *source = op_operand(moved->def, 0);
    if (!value_def(source, OP_conv2d) || !value_has_one_use(source)) return false;
    Op *mover = moved->def;
    Builder builder = builder_before(op);
    Value *clamped = &op_new(&builder, op->kind, 1, &source, 1, &source->type, op->attrs)->results[0];
    Value *made = &op_new(&builder, mover->kind, 1, &clamped, 1, &result->type, mover->attrs)->results[0];
    give_name(is_returned(result) ? made : clamped, result);
    value_replace_uses(result, made);
    op_erase(op);
    op_erase(mover);
    return true;
}

// ---- integer ops

static bool replace_quantized(Op *op, Value *made) {
    Value *real = &op->results[0];
    FOR_EACH_USE(real, use) {
        Op *quantize = use->owner;
        give_names(made, real, &quantize->results[0]);
        value_replace_uses(&quantize->results[0], made);
        op_erase(quantize);
    }
    op_erase(op);
    return true;
}

static bool is_usual(double multiplier) { return multiplier > 1e-30 && multiplier < 1e25; }

// Weights whose zero points can be taken off within i8, or are one for all channels (pass center_weights).
static Value *weights_of(const Fold *fold, Op *op) {
    const Op *real = value_def(op_operand(op, 1), OP_dequantize);
    Value *stored = real ? op_operand(real, 0) : NULL;
    const Dense *dense = stored ? value_constant(stored) : NULL;
    const Quant *quant = dense ? stored->type->quant : NULL;
    if (!quant || quant->storage != ELEM_I8 || quant->axis > 0 || dense->splat) return NULL;
    int64_t count = type_elem_count(stored->type), channels = stored->type->shape[0], each = channels ? count / channels : 0;
    bool centered = true, one = true;
    for (int c = 0; c < quant->count; c++) centered &= !quant->zero_point[c], one &= quant->zero_point[c] == quant->zero_point[0];
    if (centered) return stored;
    int8_t *data = arena_alloc(fold->module->arena, (size_t)count + 1);
    for (int64_t i = 0; i < count; i++) {
        int64_t w = dense_i64(dense, i) - quant->zero_point[quant->axis < 0 ? 0 : i / each];
        if (w < -128 || w > 127) return one ? stored : NULL;
        data[i] = (int8_t)w;
    }
    quant = quant_per_axis(fold->module->arena, ELEM_I8, quant->axis, quant->count, quant->scale, NULL, -128, 127);
    Builder builder = builder_before(op);
    const Type *type = quantized_like(fold, stored->type, quant);
    return op_constant(&builder, type, data, take_constant_name(stored));
}

static double product_scale(const Value *input, const Value *weight, int64_t channel) {
    const Quant *quant = weight->type->quant;
    return (double)input->type->quant->scale[0] * quant->scale[quant->axis < 0 ? 0 : channel];
}

// A bias of i32 at the scale of the product; NULL where it does not fit.
static Value *bias_of(const Fold *fold, Op *op, const Value *input, const Value *weight) {
    Value *bias = op_operand(op, 2);
    const Op *real = value_def(bias, OP_dequantize);
    Value *stored = real ? op_operand(real, 0) : bias;
    const Dense *dense = value_constant(stored);
    const Quant *quant = stored->type->quant;
    if (!dense || stored->type->rank != 1 || (!quant && stored->type->elem != ELEM_F32)) return NULL;
    int64_t channels = stored->type->shape[0];
    int32_t *data = ARENA_ARRAY(fold->module->arena, int32_t, channels + 1);
    for (int64_t c = 0; c < channels; c++) {
        double scale = product_scale(input, weight, c), own = quant ? (double)quant->scale[quant->axis < 0 ? 0 : c] : 0;
        double q = quant ? (double)(dense_i64(dense, c) - quant->zero_point[quant->axis < 0 ? 0 : c]) : dense_f64(dense, c) / scale;
        // The product of two scales, rounded to f32: those of the model are its own integers.
        if (quant && !(fabs(own / scale - 1) < 1e-6)) q *= own / scale;
        if (!(fabs(q) < 2147483647.0)) return NULL;
        data[c] = (int32_t)rint(q);
    }
    Builder builder = builder_before(op);
    return op_constant(&builder, type_tensor(fold->module->arena, ELEM_I32, 1, &channels), data, take_constant_name(stored));
}

// ONNX Runtime computes the multiplier in f32. Where that is another number, the last quantum may be another.
static Attr *product_attrs(const Fold *fold, const Op *op, const Value *input, const Value *weight, const Type *type) {
    const Quant *quant = weight->type->quant;
    const float s_x = input->type->quant->scale[0], s_y = type->quant->scale[0];
    bool differs = false;
    if (type->quant->storage == ELEM_I16) return op->attrs; // which it computes in floats
    for (int c = 0; c < quant->count; c++) {
        if (s_x * quant->scale[c] < 1e-35f || s_x * quant->scale[c] > 1e35f) return op->attrs;
        differs |= product_multiplier_f32(s_x, quant->scale[c], s_y) != product_multiplier(s_x, quant->scale[c], s_y);
    }
    return differs ? attr_bool(fold->module->arena, op->attrs, "f32_scales", true) : op->attrs;
}

static bool fold_product(const Fold *fold, Op *op, const Type *type) {
    Value *input = integers(op_operand(op, 0)), *weight = input ? weights_of(fold, op) : NULL, *bias = NULL;
    if (!weight || input->type->quant->storage != type->quant->storage) return false;
    for (int64_t c = 0; c < weight->type->quant->count; c++)
        if (!is_usual(product_scale(input, weight, c) / type->quant->scale[0])) return false;
    if (op_operand(op, 2) && !(bias = bias_of(fold, op, input, weight))) return false;
    Builder builder = builder_before(op);
    Op *made = op_new(&builder, op->kind, bias ? 3 : 2, (Value *[]){input, weight, bias}, 1, &type, product_attrs(fold, op, input, weight, type));
    if (op_verify_quantized(made, diag_new(fold->context->scratch, NULL))) return replace_quantized(op, &made->results[0]);
    op_erase(made); // its sums may leave 32 bits
    return false;
}

// Operands that are indices, or tables of floats in every precision, stay as they are.
static bool is_tensor_operand(const Op *op, int index) {
    const OpInfo *info = op_info(op->kind);
    const char *type = info->operands[index < info->operand_count ? index : info->operand_count - 1].type;
    return strcmp(type, "INTEGER") && strcmp(type, "F32");
}

enum { MOST_TERMS = 1 << 15 }; // of a sum of products of two tensors of i8, within 32 bits

static bool multipliers_fit(const Op *op, Value *const *operands, const Type *type) {
    double product = 1;
    bool multiplies = op->kind == OP_mul || op->kind == OP_matmul || op->kind == OP_prelu;
    for (int i = 0; i < op->operand_count; i++) {
        if (!is_tensor_operand(op, i)) continue;
        double scale = operands[i]->type->quant->scale[0];
        if (!is_usual(scale / type->quant->scale[0])) return false;
        product *= scale;
    }
    const Type *first = operands[0]->type;
    if (op->kind == OP_matmul && first->shape[first->rank - 1] >= MOST_TERMS) return false;
    if (!op_has(op, ELEMENTWISE) && type_elem_count(first) >= 1 << 23) return op->kind == OP_concat || op->kind == OP_resample || op->kind == OP_avg_pool2d;
    return !multiplies || is_usual(product / type->quant->scale[0]);
}

static bool has_integer_form(const Op *op) {
    return op_has(op, INT8) && !op_has(op, MOVES_DATA) && op->result_count == 1 && is_plain_f32(op->results[0].type) &&
           op->kind != OP_quantize && op->kind != OP_dequantize && op->kind != OP_requantize;
}

static bool fold_op(const Fold *fold, Op *op) {
    const Type *type = has_integer_form(op) ? wanted_type(&op->results[0]) : NULL;
    if (!type) return false;
    if (op->kind == OP_conv2d || op->kind == OP_linear) return fold_product(fold, op, type);
    Value **operands = ARENA_ARRAY(fold->context->scratch, Value *, op->operand_count);
    for (int i = 0; i < op->operand_count; i++)
        if (!(operands[i] = is_tensor_operand(op, i) ? integers(op_operand(op, i)) : op_operand(op, i))) return false;
    if (!op_computes_in(op->kind, type->quant->storage) || !multipliers_fit(op, operands, type)) return false;
    for (int i = 0; i < op->operand_count; i++)
        if (is_tensor_operand(op, i) && operands[i]->type->quant->storage != type->quant->storage) return false;
    Builder builder = builder_before(op);
    return replace_quantized(op, &op_new(&builder, op->kind, op->operand_count, operands, 1, &type, op->attrs)->results[0]);
}

static bool fold_pair(Op *op) {
    Value *input = op->kind == OP_quantize ? integers(op_operand(op, 0)) : NULL;
    if (!input || !is_stored(op->results[0].type)) return false;
    Builder builder = builder_before(op);
    Value *made = &op_new(&builder, OP_requantize, 1, &input, 1, &op->results[0].type, NULL)->results[0];
    give_name(made, &op->results[0]);
    value_replace_uses(&op->results[0], made);
    op_erase(op);
    return true;
}

// ---- the pass

static bool is_quantized(const Func *func) {
    FOR_EACH_OP(func, op)
        if (op->kind == OP_quantize || op->kind == OP_dequantize) return true;
    return false;
}

typedef bool Rewrite(const Fold *fold, Op *op);

static bool rewrite_all(const Fold *fold, Func *func, Rewrite *rewrite) {
    bool changed = false;
    FOR_EACH_OP(func, op)
        if (op->func) changed |= rewrite(fold, op);
    return changed;
}

static bool move_pairs(const Fold *fold, Op *op) {
    return raise_clamp(op) || drop_clamp(op) || raise_quantize(fold, op) || sink_dequantize(fold, op);
}

static bool fold_pairs(const Fold *fold, Op *op) { return fold_op(fold, op) || fold_pair(op); }

bool fold_qdq(Module *module, const PassContext *context) {
    const Fold fold = {module, context};
    for (Func *func = module->funcs; func; func = func->next) {
        if (!is_quantized(func)) continue;
        for (bool changed = true; changed;) {
            changed = false;
            while (rewrite_all(&fold, func, move_pairs)) changed = true;
            if (!fuse_activation(module, context) || !canonicalize_ops(module, context)) return false;
            changed |= rewrite_all(&fold, func, fold_pairs);
        }
    }
    return true;
}
