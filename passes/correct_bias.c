// Bias correction: rounding weights shifts the means of a layer's channels, and no later layer averages that out. What calibration found
// of it is added to the layer's biases in its 32-bit sums, as far as these hold it. Layers that stay float are left alone. Corrections
// are found by quant/bias.c; see Nagel et al., ICCV 2019.
#include "passes/correct_bias.h"

#include <math.h>
#include <stdlib.h>

#include "passes/rewrite.h"

static bool is_layer(const Op *op) { return op && (op->kind == OP_conv2d || op->kind == OP_linear); }

static Op *maker_of(const Value *value) {
    Op *op = value ? value->def : NULL;
    return op && op->kind == OP_dequantize ? op_operand(op, 0)->def : op;
}

static Op *integer_maker(const Value *value) {
    Op *op = maker_of(value);
    const Dense *weights = is_layer(op) ? value_constant(op_operand(op, 1)) : NULL;
    return weights && weights->data && op_operand(op, 0)->type->quant && op_operand(op, 1)->type->quant ? op : NULL;
}

Op *integer_layer(Func *func, const char *name) {
    Op *layer = integer_maker(func_find_value(func, name));
    return layer ? layer : integer_maker(func_find_value(func, arena_printf(func->module->arena, "%s%s", name, ALONE_SUFFIX)));
}

double sum_scale(const Op *layer, int64_t channel) {
    const Quant *weight = op_operand(layer, 1)->type->quant;
    return (double)op_operand(layer, 0)->type->quant->scale[0] * weight->scale[weight->axis == 0 ? channel : 0];
}

bool takes_corrections(const PassContext *context) { return !context->per_tensor_weights && !context->mse_weights; }

// The largest bias with which no sum of the channel can leave 32 bits.
static int64_t room_of(const Op *layer, int64_t channel) {
    const Value *weight = op_operand(layer, 1);
    const Quant *input = op_operand(layer, 0)->type->quant, *quant = weight->type->quant;
    const int64_t below = (int64_t)input->zero_point[0] - input->storage_min, above = (int64_t)input->storage_max - input->zero_point[0];
    const int64_t each = type_elem_count(weight->type) / weight->type->shape[0], zero = quant->zero_point[quant->axis == 0 ? channel : 0];
    int64_t sum = 0;
    for (int64_t i = channel * each; i < (channel + 1) * each; i++) sum += llabs(dense_i64(value_constant(weight), i) - zero);
    return INT32_MAX - sum * (below > above ? below : above);
}

static bool check_entry(const PassContext *context, Func *func, const BiasCorrection *entry, const Op *layer) {
    const Value *value = func_find_value(func, entry->name);
    if (!value && context->constants) return true; // of sizes at which the network lacks it
    if (!value) return diag_error(context->diag, entry->loc, "no tensor '%s' in the model to correct", entry->name);
    if (!layer) return is_layer(maker_of(value)) || diag_error(context->diag, entry->loc, "'%s' has no bias to correct: no convolution or linear layer gives it", entry->name);
    const int64_t channels = op_operand(layer, 1)->type->shape[0];
    return entry->count == channels || diag_error(context->diag, entry->loc, "'%s' has %lld channels, and the line %d corrections", entry->name,
                                                  (long long)channels, entry->count);
}

// A tensor may have several names.
static bool check_once(const PassContext *context, Func *func, const CalibrationTable *table, int index) {
    const Value *value = func_find_value(func, table->corrected[index].name);
    for (int i = 0; value && i < index; i++)
        if (func_find_value(func, table->corrected[i].name) == value)
            return diag_error(context->diag, table->corrected[index].loc, "'%s' is corrected twice", table->corrected[index].name);
    return true;
}

static void explain(const PassContext *context, const BiasCorrection *entry) {
    float least = entry->shifts[0], most = entry->shifts[0];
    for (int c = 1; c < entry->count; c++) least = fminf(least, entry->shifts[c]), most = fmaxf(most, entry->shifts[c]);
    if (context->explain) fprintf(context->explain, "%s: biases corrected by %g to %g\n", entry->name, (double)least, (double)most);
}

static void correct(const BiasCorrection *entry, Op *layer) {
    Arena *arena = layer->func->module->arena;
    const int64_t channels = entry->count;
    Value *bias = op_operand(layer, 2);
    const Dense *old = bias ? value_constant(bias) : NULL;
    if (bias && !(old && old->data)) return; // computed at run time
    int32_t *sums = ARENA_ARRAY(arena, int32_t, channels);
    for (int64_t c = 0; c < channels; c++) {
        const int64_t before = old ? dense_i64(old, c) : 0, room = room_of(layer, c);
        const double shift = rint(entry->shifts[c] / sum_scale(layer, c));
        sums[c] = (int32_t)fmin(fmax((double)before + shift, (double)-room), (double)room);
    }
    Builder builder = builder_before(layer);
    const char *name = bias ? take_constant_name(bias) : NULL;
    op_set_operand(layer, 2, op_constant(&builder, type_tensor(arena, ELEM_I32, 1, &channels), sums, name));
}

bool correct_bias(Module *module, const PassContext *context) {
    Func *func = module_main(module);
    const CalibrationTable *table = context->calibration;
    for (int i = 0; func && table && takes_corrections(context) && i < table->corrected_count; i++) {
        const BiasCorrection *entry = &table->corrected[i];
        Op *layer = integer_layer(func, entry->name);
        if (!check_entry(context, func, entry, layer) || !check_once(context, func, table, i)) return false;
        if (!layer) continue;
        correct(entry, layer);
        explain(context, entry);
    }
    return true;
}
