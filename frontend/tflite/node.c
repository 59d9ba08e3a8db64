// An operator's inputs, options and results.
#include <string.h>

#include "frontend/tflite/importer.h"

bool lite_error(const LiteOp *op, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const char *text = arena_vprintf(op->lite->scratch, format, args);
    va_end(args);
    return lite_import_error(op->lite, "%s: %s", op->label, text);
}

// ---- inputs

int lite_input_count(const LiteOp *op) { return op->inputs.count > 1 << 20 ? 1 << 20 : (int)op->inputs.count; }

static LiteTensor *tensor_of(const LiteOp *op, FlatVector list, int index) {
    if (index < 0 || (uint32_t)index >= list.count) return NULL;
    int64_t number = flat_vector_int(list, (uint32_t)index);
    return number >= 0 && number < op->lite->tensor_count ? &op->lite->tensors[number] : NULL;
}

LiteTensor *lite_tensor(const LiteOp *op, int index) { return tensor_of(op, op->inputs, index); }
LiteTensor *lite_output(const LiteOp *op, int index) { return tensor_of(op, op->outputs, index); }

const Dense *lite_dense(const LiteOp *op, int index) {
    LiteTensor *tensor = lite_tensor(op, index);
    return tensor ? tensor_dense(op->lite, tensor) : NULL;
}

static Value *value_of(const LiteOp *op, LiteTensor *tensor) {
    if (tensor->value || tensor->broken) return tensor->value;
    const Dense *dense = tensor_dense(op->lite, tensor);
    if (dense) tensor->value = lite_constant(op->lite, dense, false, tensor->name);
    else if (!tensor->broken) lite_error(op, "its input '%s' is computed by nothing before it", tensor->name);
    return tensor->value;
}

Value *lite_input(const LiteOp *op, int index) {
    LiteTensor *tensor = lite_tensor(op, index);
    if (tensor) return value_of(op, tensor);
    lite_error(op, "input %d is missing", index);
    return NULL;
}

// A constant in f32, computed here: its scales may go along an axis.
static const Dense *real_constant(const LiteOp *op, const Dense *dense, const Quant *quant) {
    Lite *lite = op->lite;
    const Type *type = type_tensor(lite->scratch, ELEM_F32, dense->type->rank, dense->type->shape);
    int64_t count = type_elem_count(type), inner = 1;
    if (!lite_take_bytes(lite, 4 * count)) return NULL;
    Dense *real = dense_alloc(lite->scratch, type);
    float *data = (float *)real->data;
    for (int i = quant ? quant->axis + 1 : 0; quant && quant->axis >= 0 && i < type->rank; i++) inner *= type->shape[i];
    for (int64_t i = 0; i < count; i++) {
        int64_t at = quant && quant->axis >= 0 ? i / inner % quant->count : 0;
        double stored = dense_f64(dense, i);
        data[i] = quant ? (float)(stored - quant->zero_point[at]) * quant->scale[at] : (float)stored;
    }
    return real;
}

static Value *make_real(const LiteOp *op, LiteTensor *tensor) {
    const Dense *dense = tensor_dense(op->lite, tensor);
    if (dense && (tensor->quant || dense->type->elem != ELEM_F32)) {
        const Quant *quant = tensor->quant ? tensor->quant : tensor->wide;
        dense = real_constant(op, dense, quant);
        return dense ? lite_constant(op->lite, dense, false, tensor->name) : NULL;
    }
    Value *value = value_of(op, tensor);
    if (!value || value->type->quant) return value ? lite_dequantize(op, value) : NULL;
    if (!tensor->wide || elem_is_float(value->type->elem)) return value->type->elem == ELEM_F32 ? value : lite_cast(op, value, ELEM_F32);
    value = lite_cast(op, value, ELEM_F32);
    return value ? lite_binary(op, OP_mul, value, lite_scalar(op, (double)tensor->wide->scale[0])) : NULL;
}

Value *lite_real(const LiteOp *op, int index) {
    LiteTensor *tensor = lite_tensor(op, index);
    if (!tensor) return lite_input(op, index);
    bool number = tensor->quant || tensor->wide || tensor->elem == ELEM_F16 || tensor->elem == ELEM_F64 || tensor->elem == ELEM_BF16;
    if (!tensor_describe(op->lite, tensor) || (!number && !tensor->quant)) return value_of(op, tensor);
    if (!tensor->real) tensor->real = make_real(op, tensor);
    return tensor->real;
}

bool lite_ints(const LiteOp *op, int index, const char *what, LiteInts *ints) {
    const LiteTensor *tensor = lite_tensor(op, index);
    const Dense *dense = lite_dense(op, index);
    if (!tensor) return lite_error(op, "it has no %s", what);
    if (!dense) return !tensor->broken && lite_error(op, "input '%s' (%s) must be constant", tensor->name, what);
    if (elem_is_float(dense->type->elem) || dense_count(dense) > MAX_FOLD_ELEMS)
        return lite_error(op, "input '%s' (%s) must be a short list of integers", tensor->name, what);
    if (!lite_take_bytes(op->lite, 8 * dense_count(dense))) return false;
    *ints = (LiteInts){(int)dense_count(dense), ARENA_ARRAY(op->lite->scratch, int64_t, dense_count(dense) + 1)};
    for (int i = 0; i < ints->count; i++) {
        int64_t value = dense_i64(dense, i);
        ints->data[i] = value > MAX_IMPORT_ELEMS ? MAX_IMPORT_ELEMS : value < -MAX_IMPORT_ELEMS ? -MAX_IMPORT_ELEMS : value;
    }
    return true;
}

bool lite_axis(const LiteOp *op, int64_t axis, int rank, int *out) {
    if (axis < -rank || axis >= rank) return lite_error(op, "axis %lld is out of range for %d dimensions", (long long)axis, rank);
    *out = (int)(axis < 0 ? axis + rank : axis);
    return true;
}

int64_t lite_option(const LiteOp *op, FlatField field) { return flat_int(op->options, field); }

// ---- results

// f32 as integers of 16 or 32 bits of one scale.
static Value *as_wide(const LiteOp *op, Value *value, const LiteTensor *tensor) {
    const double scale = (double)tensor->wide->scale[0];
    value = lite_unary(op, OP_round, lite_binary(op, OP_div, value, lite_scalar(op, scale)), NULL);
    return lite_cast(op, value, tensor->elem);
}

static Value *as_stated(const LiteOp *op, Value *value, const LiteTensor *tensor) {
    Elem elem = value->type->elem;
    bool is_real = value->type->quant || elem == ELEM_F32;
    if (tensor->quant && is_real) return lite_quantize(op, value, tensor->quant);
    if (value->type->quant) value = lite_dequantize(op, value);
    if (!value || tensor->elem == value->type->elem || tensor->elem == ELEM_COUNT) return value;
    if (tensor->wide && is_real && tensor->wide->axis < 0) return as_wide(op, value, tensor);
    return lite_cast(op, value, tensor->elem);
}

static bool has_stated_shape(const LiteOp *op, const Value *value, const LiteTensor *tensor) {
    if (!tensor->rank || !tensor->fixed || op->lite->reshaped) return true;
    if (tensor->rank == value->type->rank && !memcmp(tensor->shape, value->type->shape, sizeof(int64_t) * (size_t)tensor->rank)) return true;
    Arena *scratch = op->lite->scratch;
    return lite_error(op, "its result '%s' has the type %s, but the model states %s", tensor->name, type_text(scratch, value->type),
                      type_text(scratch, type_tensor(scratch, value->type->elem, tensor->rank, tensor->shape)));
}

bool lite_bind(const LiteOp *op, int index, Value *value) {
    LiteTensor *tensor = lite_output(op, index);
    Lite *lite = op->lite;
    if (!value || !tensor) return value != NULL;
    if (tensor->defined) return lite_error(op, "its result '%s' is already computed", tensor->name);
    if (!tensor_describe(lite, tensor) || !has_stated_shape(op, value, tensor)) return false;
    value = as_stated(op, value, tensor);
    if (!value) return false;
    tensor->value = value, tensor->defined = true;
    if (value->def && !value->name) value_name_once(lite->arena, lite->scratch, lite->names, value, tensor->name);
    else if (value->name && strcmp(value->name, tensor->name) != 0) value_add_alias(value, arena_strdup(lite->arena, tensor->name));
    return true;
}
