// Emitting ops: in f32, or as integers where the operands' types say so.
#include <string.h>

#include "frontend/tflite/importer.h"

Value *lite_constant(Lite *lite, const Dense *dense, bool owned, const char *name) {
    Arena *arena = lite->arena;
    const Type *own = dense->type;
    if (!owned && !lite_take_bytes(lite, (int64_t)dense->bytes)) return NULL;
    const Type *type = own->quant ? type_quantized(arena, own->quant, own->rank, own->shape)
                                  : type_tensor(arena, own->elem, own->rank, own->shape);
    const void *data = owned ? dense->data : arena_copy(arena, dense->data, dense->bytes);
    Dense *kept = dense_new(arena, type, data, dense->splat);
    Op *op = op_new(&lite->builder, OP_constant, 0, NULL, 1, &type, attr_dense(arena, NULL, "value", kept));
    if (name) value_name_once(arena, lite->scratch, lite->names, op_result(op, 0), name);
    return op_result(op, 0);
}

static Value *emit_failed(const LiteOp *op) {
    Diag *quiet = op->lite->quiet;
    int count = diag_message_count(quiet);
    lite_error(op, "%s", count ? diag_message(quiet, count - 1)->text : "its shapes do not fit");
    return NULL;
}

static Value *folded(const LiteOp *op, Value *value) {
    if (!op_can_compute(value->def)) return value;
    const Dense *dense = op_compute(op->lite->scratch, op->lite->quiet, value->def);
    if (!dense) return value;
    op_erase(value->def);
    return lite_constant(op->lite, dense, false, NULL);
}

// Networks compute in f32; integers are for indices, masks and shapes.
static bool elem_is_supported(const char *class, const Type *type) {
    if (type->quant || type->elem == ELEM_F32) return true;
    if (!strcmp(class, "FLOAT") || !strcmp(class, "F32")) return false;
    return strcmp(class, "NUMBER") || !elem_is_float(type->elem);
}

static bool operands_fit(const LiteOp *op, OpKind kind, int count, Value *const *operands) {
    const OpInfo *info = op_info(kind);
    for (int i = 0; i < count; i++) {
        const OperandInfo *operand = &info->operands[i < info->operand_count ? i : info->operand_count - 1];
        if (!operands[i]) {
            if (operand->arity != OPERAND_OPTIONAL) return false;
        } else if (!elem_is_supported(operand->type, operands[i]->type))
            return lite_error(op, "%s of %s tensors is not supported", info->full_name, elem_name(operands[i]->type->elem));
    }
    return true;
}

Value *lite_emit_as(const LiteOp *op, const Quant *quant, OpKind kind, int count, Value *const *operands, Attr *attrs) {
    Lite *lite = op->lite;
    if (!operands_fit(op, kind, count, operands)) return NULL;
    if (--lite->ops_left < 0) return lite_stop(lite, "it comes to more than 2^21 operations, unrolled loops included"), NULL;
    Value *value = op_infer(&lite->builder, lite->quiet, kind, count, operands, attrs);
    if (!value) return emit_failed(op);
    if (dims_count(value->type->rank, value->type->shape) < 0) return lite_error(op, "its result would have more than 2^31 elements"), NULL;
    bool moved = op_has(value->def, MOVES_DATA);
    if (quant && operands[0]->type->quant && !moved) value->type = type_quantized(lite->arena, quant, value->type->rank, value->type->shape);
    return folded(op, value);
}

Value *lite_emit(const LiteOp *op, OpKind kind, int count, Value *const *operands, Attr *attrs) {
    return lite_emit_as(op, NULL, kind, count, operands, attrs);
}

Value *lite_unary(const LiteOp *op, OpKind kind, Value *input, Attr *attrs) { return lite_emit(op, kind, 1, &input, attrs); }

Value *lite_binary(const LiteOp *op, OpKind kind, Value *a, Value *b) { return lite_emit(op, kind, 2, (Value *[]){a, b}, NULL); }

// ---- integers or f32

static bool has_one_scale(const LiteTensor *tensor) { return tensor && tensor->quant && tensor->quant->axis < 0; }

bool lite_in_i8(const LiteOp *op, OpKind kind, int count, const int *inputs) {
    LiteTensor *output = lite_output(op, 0);
    bool fits = output && tensor_describe(op->lite, output) && has_one_scale(output) && op_computes_in(kind, output->quant->storage);
    for (int i = 0; fits && i < count; i++) {
        LiteTensor *input = lite_tensor(op, inputs ? inputs[i] : i);
        fits = input && tensor_describe(op->lite, input) && has_one_scale(input) && input->quant->storage == output->quant->storage;
    }
    return fits;
}

bool lite_forms(const LiteOp *op, OpKind kind, int count, Value **values) {
    bool whole = lite_in_i8(op, kind, count, NULL), all = true;
    for (int i = 0; i < count; i++) all &= (values[i] = whole ? lite_input(op, i) : lite_real(op, i)) != NULL;
    return all;
}

Value *lite_compute(const LiteOp *op, OpKind kind, int count, Attr *attrs) {
    Value **values = ARENA_ARRAY(op->lite->scratch, Value *, count + 1);
    const LiteTensor *output = lite_output(op, 0);
    if (!output) return lite_error(op, "it has no result"), NULL;
    return lite_forms(op, kind, count, values) ? lite_emit_as(op, output->quant, kind, count, values, attrs) : NULL;
}

Value *lite_quantize(const LiteOp *op, Value *value, const Quant *quant) {
    Lite *lite = op->lite;
    if (value->type->quant && quant_equal(value->type->quant, quant)) return value;
    if (quant->axis >= 0) return lite_error(op, "its result is quantized along an axis, expected one scale"), NULL;
    const Type *type = type_quantized(lite->arena, quant, value->type->rank, value->type->shape);
    Op *made = op_new(&lite->builder, value->type->quant ? OP_requantize : OP_quantize, 1, &value, 1, &type, NULL);
    return op_result(made, 0);
}

Value *lite_dequantize(const LiteOp *op, Value *value) { return lite_unary(op, OP_dequantize, value, NULL); }

const char *lite_activation(int64_t code) { return code == 1 ? "relu" : code == 3 ? "relu6" : "none"; }

// Behind ops that have no activation of their own.
static Value *bounded(const LiteOp *op, Value *value, double least, double most) {
    Arena *arena = op->lite->arena;
    Attr *attrs = attr_float(arena, attr_float(arena, NULL, "max", most), "min", least);
    return lite_emit_as(op, value->type->quant, OP_clip, 1, &value, attrs);
}

Value *lite_activate(const LiteOp *op, Value *value, int64_t code, bool fused) {
    if (!value) return NULL;
    const Quant *quant = value->type->quant;
    switch (code) {
    case 0: return value;
    case 1: return fused ? value : lite_emit_as(op, quant, OP_relu, 1, &value, NULL);
    case 2: return bounded(op, value, -1, 1);
    case 3: return fused ? value : bounded(op, value, 0, 6);
    case 4: return lite_emit_as(op, quant, OP_tanh, 1, &value, NULL);
    default: return lite_error(op, "its fused activation %lld is not supported", (long long)code), NULL;
    }
}

// ---- moving data

Value *lite_reshape(const LiteOp *op, Value *input, int rank, const int64_t *dims) {
    if (!input) return NULL;
    const Type *type = input->type;
    if (rank <= MAX_RANK && type->rank == rank && (!rank || !memcmp(type->shape, dims, sizeof *dims * (size_t)rank))) return input;
    if (rank > MAX_RANK || dims_count(rank, dims) != type_elem_count(type))
        return lite_error(op, "a tensor of %lld elements cannot have the shape that is asked for", (long long)type_elem_count(type)), NULL;
    return lite_unary(op, OP_reshape, input, attr_ints(op->lite->arena, NULL, "shape", rank, dims));
}

Value *lite_transpose(const LiteOp *op, Value *input, const int *perm) {
    if (!input) return NULL;
    int64_t wide[MAX_RANK];
    bool identity = true;
    for (int i = 0; i < input->type->rank; i++) wide[i] = perm[i], identity &= perm[i] == i;
    return identity ? input : lite_unary(op, OP_transpose, input, attr_ints(op->lite->arena, NULL, "perm", input->type->rank, wide));
}

Value *lite_slice(const LiteOp *op, Value *input, const int64_t *starts, const int64_t *ends, const int64_t *steps) {
    static const int64_t ones[MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
    Arena *arena = op->lite->arena;
    int rank = input ? input->type->rank : 0;
    bool whole = true;
    for (int i = 0; i < rank; i++) whole &= starts[i] == 0 && ends[i] == input->type->shape[i] && (!steps || steps[i] == 1);
    if (whole) return input;
    Attr *attrs = attr_ints(arena, NULL, "steps", rank, steps ? steps : ones);
    attrs = attr_ints(arena, attrs, "ends", rank, ends);
    return lite_unary(op, OP_slice, input, attr_ints(arena, attrs, "starts", rank, starts));
}

Value *lite_broadcast(const LiteOp *op, Value *input, int rank, const int64_t *dims) {
    if (input && input->type->rank == rank && (!rank || !memcmp(input->type->shape, dims, sizeof *dims * (size_t)rank))) return input;
    return lite_unary(op, OP_broadcast_to, input, attr_ints(op->lite->arena, NULL, "shape", rank, dims));
}

Value *lite_concat(const LiteOp *op, int count, Value *const *inputs, int axis) {
    const Quant *quant = count && inputs[0] ? inputs[0]->type->quant : NULL;
    return count == 1 ? inputs[0] : lite_emit_as(op, quant, OP_concat, count, inputs, attr_int(op->lite->arena, NULL, "axis", axis));
}

Value *lite_cast(const LiteOp *op, Value *input, Elem elem) {
    Arena *arena = op->lite->arena;
    if (input && input->type->elem == elem && !input->type->quant) return input;
    return lite_unary(op, OP_cast, input, attr_type(arena, NULL, "to", type_tensor(arena, elem, 0, NULL)));
}

Value *lite_scalar(const LiteOp *op, double value) {
    return lite_floats(op, 0, NULL, (float[]){(float)value});
}

Value *lite_int_list(const LiteOp *op, int count, const int64_t *values) {
    return lite_constant(op->lite, dense_from_ints(op->lite->scratch, count, values), false, NULL);
}

Value *lite_floats(const LiteOp *op, int rank, const int64_t *shape, const float *values) {
    Lite *lite = op->lite;
    return lite_constant(lite, dense_new(lite->scratch, type_tensor(lite->scratch, ELEM_F32, rank, shape), values, false), false, NULL);
}
