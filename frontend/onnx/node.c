// What conversions share: reading a node's inputs and attributes, and emitting ops. An op whose
// operands are all constant and small is computed at once by the interpreter, which is how shape
// arithmetic disappears.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/onnx/importer.h"
#include "ir/sizes.h"

bool node_error(const Node *node, const char *format, ...) {
    Importer *importer = node->importer;
    va_list args;
    va_start(args, format);
    const char *text = arena_vprintf(importer->scratch, format, args);
    va_end(args);
    return diag_error(importer->diag, loc_file(importer->path), "%s: %s", node->label, text);
}

// ---- inputs

int node_input_count(const Node *node) {
    return (int)node->proto->n_input;
}

bool node_has_input(const Node *node, int index) {
    if (index < 0 || index >= node_input_count(node) || !node->proto->input[index][0])
        return false;
    const Symbol *symbol = symbol_find(node->importer, node->proto->input[index]);
    return !symbol || !symbol->absent;
}

static Symbol *input_symbol(const Node *node, int index) {
    Symbol *symbol = node_has_input(node, index) ? symbol_find(node->importer, node->proto->input[index]) : NULL;
    if (symbol && node->moves_quantized && symbol->quantized)
        return symbol->quantized;
    if (symbol && node->takes_stored && symbol->stored)
        return symbol_dequantized(node->importer, symbol);
    return symbol && node->computes_f32 ? symbol_as_f32(node, symbol) : symbol;
}

Value *node_input_or_null(const Node *node, int index) {
    Symbol *symbol = input_symbol(node, index);
    return symbol ? symbol_value(node->importer, symbol) : NULL;
}

Value *node_input(const Node *node, int index) {
    if (!node_has_input(node, index)) {
        node_error(node, "input %d is missing", index);
        return NULL;
    }
    return node_input_or_null(node, index);
}

const Dense *node_dense(const Node *node, int index) {
    Symbol *symbol = input_symbol(node, index);
    return symbol ? symbol_dense(node->importer, symbol) : NULL;
}

const Type *node_input_type(const Node *node, int index) {
    Symbol *symbol = input_symbol(node, index);
    if (!symbol)
        return NULL;
    return symbol_type(node->importer, symbol);
}

const Type *node_constant_type(const Node *node, int index) {
    const Dense *stored = node_stored(node, index), *dense = stored ? NULL : node_dense(node, index);
    return stored || dense ? node_input_type(node, index) : NULL;
}

const Dense *node_stored(const Node *node, int index) {
    const Symbol *symbol = node_has_input(node, index) ? symbol_find(node->importer, node->proto->input[index]) : NULL;
    return symbol ? symbol->stored : NULL;
}

Elem node_origin(const Node *node, int index) {
    const Symbol *symbol = node_has_input(node, index) ? symbol_find(node->importer, node->proto->input[index]) : NULL;
    return symbol ? symbol->origin : (Elem)0;
}

Value *node_bias(const Node *node, int index) {
    const Dense *stored = node_stored(node, index);
    if (stored && stored->type->elem == ELEM_I32 && stored->type->rank == 1)
        return emit_stored(node->importer, stored, take_name(node, index));
    return node_input(node, index);
}

bool node_not_constant(const Node *node, int index, const char *what) {
    Arena *scratch = node->importer->scratch;
    const Symbol *symbol = input_symbol(node, index);
    const char *advice = symbol && symbol->value ? constant_advice(node->importer, symbol->value) : NULL;
    return node_error(node, "input '%s'%s must be constant%s", node->proto->input[index],
                      what ? arena_printf(scratch, " (%s)", what) : "",
                      advice ? arena_printf(scratch, ": give %s", advice) : "");
}

bool node_scalar(const Node *node, int index, double fallback, double *value) {
    *value = fallback;
    if (!node_has_input(node, index))
        return true;
    const Dense *dense = node_dense(node, index);
    if (!dense)
        return node_not_constant(node, index, NULL);
    if (dense_count(dense) != 1)
        return node_error(node, "input '%s' must be one number", node->proto->input[index]);
    *value = dense_f64(dense, 0);
    return true;
}

// ---- attributes

const Onnx__AttributeProto *node_attr(const Node *node, const char *name) {
    for (size_t i = 0; i < node->proto->n_attribute; i++) {
        const Onnx__AttributeProto *attr = node->proto->attribute[i];
        if (!attr->name || strcmp(attr->name, name))
            continue;
        bool refers = attr->ref_attr_name && *attr->ref_attr_name;
        return refers ? call_attr(node->importer, attr->ref_attr_name) : attr;
    }
    return NULL;
}

int64_t node_int(const Node *node, const char *name, int64_t fallback) {
    const Onnx__AttributeProto *attr = node_attr(node, name);
    return attr && attr->has_i ? attr->i : fallback;
}

// The shortest decimal that is the same float, so that 1e-5f reads 1e-05 in the IR.
double node_float(const Node *node, const char *name, double fallback) {
    const Onnx__AttributeProto *attr = node_attr(node, name);
    if (!attr || !attr->has_f)
        return fallback;
    return isfinite(attr->f) ? strtod(float_text(node->importer->scratch, attr->f), NULL)
                             : (double)attr->f;
}

const char *node_string(const Node *node, const char *name, const char *fallback) {
    const Onnx__AttributeProto *attr = node_attr(node, name);
    if (!attr || !attr->has_s)
        return fallback;
    char *text = arena_alloc(node->importer->scratch, attr->s.len + 1);
    if (attr->s.len)
        memcpy(text, attr->s.data, attr->s.len);
    return text;
}

static int64_t clamp_int(int64_t value) {
    return value < -MAX_IMPORT_ELEMS  ? -MAX_IMPORT_ELEMS
           : value > MAX_IMPORT_ELEMS ? MAX_IMPORT_ELEMS
                                      : value;
}

bool node_ints(const Node *node, const char *name, Ints *ints) {
    *ints = (Ints){0};
    const Onnx__AttributeProto *attr = node_attr(node, name);
    if (!attr)
        return true;
    if (attr->n_ints > MAX_FOLD_ELEMS)
        return node_error(node, "attribute %s is too long", name);
    *ints = (Ints){true, (int)attr->n_ints,
                   ARENA_ARRAY(node->importer->scratch, int64_t, attr->n_ints + 1)};
    for (int i = 0; i < ints->count; i++)
        ints->data[i] = clamp_int(attr->ints[i]);
    return true;
}

bool node_ints_or_input(const Node *node, const char *name, int index, Ints *ints) {
    if (!node_has_input(node, index))
        return node_ints(node, name, ints);
    const Dense *dense = node_dense(node, index);
    if (!dense)
        return node_not_constant(node, index, name);
    if (elem_is_float(dense->type->elem) || dense_count(dense) > MAX_FOLD_ELEMS)
        return node_error(node, "input '%s' (%s) must be a short list of integers",
                          node->proto->input[index], name);
    *ints = (Ints){true, (int)dense_count(dense), NULL};
    ints->data = ARENA_ARRAY(node->importer->scratch, int64_t, ints->count + 1);
    for (int i = 0; i < ints->count; i++)
        ints->data[i] = clamp_int(dense_i64(dense, i));
    return true;
}

bool node_axis(const Node *node, int64_t axis, int rank, int *out) {
    if (axis < -rank || axis >= rank)
        return node_error(node, "axis %lld is out of range for %d dimensions", (long long)axis,
                          rank);
    *out = (int)(axis < 0 ? axis + rank : axis);
    return true;
}

bool node_axes(const Node *node, Ints axes, int rank, int *out) {
    bool seen[2 * MAX_RANK] = {false};
    if (axes.count > rank)
        return node_error(node, "%d axes for %d dimensions", axes.count, rank);
    for (int i = 0; i < axes.count; i++) {
        if (!node_axis(node, axes.data[i], rank, &out[i]))
            return false;
        if (seen[out[i]])
            return node_error(node, "axis %d is named twice", out[i]);
        seen[out[i]] = true;
    }
    return true;
}

// ---- outputs

static Symbol *output_symbol(const Node *node, int index) {
    if (index >= (int)node->proto->n_output || !node->proto->output[index][0])
        return NULL;
    return symbol_find(node->importer, node->proto->output[index]);
}

// Another name for a value that has one. The name of a graph's output wins.
static void bind_second_name(const Node *node, Value *value, Symbol *symbol) {
    Symbol *first = value->name ? symbol_find(node->importer, value->name) : NULL;
    if (!value->def || !symbol->is_output || !first || first->is_output ||
        map_find(node->importer->names, symbol->name)) {
        value_add_alias(value, symbol->name);
        return;
    }
    const char *old = value->name;
    value->name = NULL;
    name_value(node->importer, value, symbol->name);
    value_add_alias(value, old);
}

static void set_value(const Node *node, Symbol *symbol, Value *value) {
    symbol->defined = true;
    if (node->moves_quantized && value->type->quant)
        symbol_set_quantized(node->importer, symbol, value, node->integer);
    else
        symbol->value = value;
}

bool node_has_output(const Node *node, int index) {
    return output_symbol(node, index) != NULL;
}

bool node_bind_quantized(const Node *node, int index, Value *value, Elem elem) {
    Node mover = *node;
    mover.moves_quantized = true;
    mover.integer = elem;
    return node_bind(&mover, index, value);
}

bool node_bind(const Node *node, int index, Value *value) {
    Symbol *symbol = output_symbol(node, index);
    if (!value)
        return false;
    if (!symbol)
        return true;
    set_value(node, symbol, value);
    if (value->def && !value->name)
        name_value(node->importer, value, symbol->name);
    else
        bind_second_name(node, value, symbol);
    return true;
}

bool node_bind_dense(const Node *node, int index, const Dense *dense) {
    Symbol *symbol = output_symbol(node, index);
    if (!dense)
        return false;
    if (!symbol)
        return true;
    symbol->dense = dense;
    symbol->defined = true;
    return true;
}

bool node_bind_stored(const Node *node, int index, const Dense *stored) {
    Symbol *symbol = output_symbol(node, index);
    if (!stored || !symbol)
        return stored != NULL;
    symbol->stored = stored;
    symbol->defined = true;
    return true;
}

bool node_bind_layout(const Node *node, Value *inner, Value *outer) {
    Symbol *symbol = output_symbol(node, 0);
    if (!inner || !outer)
        return false;
    if (!symbol || inner == outer)
        return node_bind(node, 0, outer);
    Importer *importer = node->importer;
    Value *named = symbol->is_output ? outer : inner, *derived = symbol->is_output ? inner : outer;
    if (!named->name)
        name_value(importer, named, symbol->name);
    const char *suffix = symbol->is_output ? "nhwc" : "nchw";
    if (!derived->name)
        name_value(importer, derived,
                   arena_printf(importer->scratch, "%s_%s", symbol->name, suffix));
    set_value(node, symbol, outer);
    return true;
}

// ---- emitting

// Replaces `op`, whose operands are constants, by its value.
static Value *fold(const Node *node, Op *op) {
    Importer *importer = node->importer;
    const Dense *dense = op_compute(importer->scratch, importer->quiet, op);
    if (!dense)
        return op_result(op, 0);
    op_erase(op);
    return emit_constant(importer, dense, false, NULL);
}

// Networks compute in f32; integers are for indices, masks and shapes.
static bool elem_is_supported(const Op *op, const char *class, const Type *type) {
    if (type->elem == ELEM_F32 || type->quant)
        return true;
    if (!strcmp(class, "FLOAT") || !strcmp(class, "F32"))
        return false;
    return strcmp(class, "NUMBER") || !elem_is_float(type->elem) ||
           (type->elem == ELEM_F64 && op_takes_f64(op->kind));
}

static bool check_elems(const Node *node, const Op *op) {
    const OpInfo *info = op_info(op->kind);
    for (int i = 0; i < op->operand_count; i++) {
        const OperandInfo *operand =
            &info->operands[i < info->operand_count ? i : info->operand_count - 1];
        const Value *value = op_operand(op, i);
        if (!value || elem_is_supported(op, operand->type, value->type))
            continue;
        return node_error(
            node,
            "%s of %s tensors is supported only where all of its inputs are constant; others must "
            "be f32",
            info->full_name, elem_name(value->type->elem));
    }
    return true;
}

static bool operands_present(OpKind kind, int count, Value *const *operands) {
    const OpInfo *info = op_info(kind);
    for (int i = 0; i < count; i++) {
        bool optional = i < info->operand_count && info->operands[i].arity == OPERAND_OPTIONAL;
        if (!operands[i] && !optional)
            return false;
    }
    return true;
}

static Value *emit_failed(const Node *node) {
    Diag *quiet = node->importer->quiet;
    int count = diag_message_count(quiet);
    node_error(node, "%s", count ? diag_message(quiet, count - 1)->text : "its shapes do not fit");
    return NULL;
}

Value *emit(const Node *node, OpKind kind, int count, Value *const *operands, Attr *attrs) {
    if (!operands_present(kind, count, operands))
        return NULL;
    Importer *importer = node->importer;
    Value *value = op_infer(&importer->builder, importer->quiet, kind, count, operands, attrs);
    if (!value)
        return emit_failed(node);
    if (dims_count(value->type->rank, value->type->shape) < 0) {
        node_error(node, "its result would have more than 2^31 elements");
        return NULL;
    }
    if (op_can_compute(value->def) && !(node->importer->unfolded && op_follows_sizes(value->def)))
        return fold(node, value->def);
    return check_elems(node, value->def) && node_pass_counted(node, value) ? value : NULL;
}

Value *emit_unary(const Node *node, OpKind kind, Value *input, Attr *attrs) {
    return emit(node, kind, 1, &input, attrs);
}

Value *emit_binary(const Node *node, OpKind kind, Value *a, Value *b) {
    return emit(node, kind, 2, (Value *[]){a, b}, NULL);
}

Value *emit_reshape(const Node *node, Value *input, int rank, const int64_t *dims) {
    if (!input)
        return NULL;
    Importer *importer = node->importer;
    const Type *type = input->type;
    if (type->rank == rank && (!rank || !memcmp(type->shape, dims, sizeof *dims * (size_t)rank)))
        return input;
    if (rank > MAX_RANK || dims_count(rank, dims) != type_elem_count(type)) {
        node_error(node, "a tensor of %lld elements cannot have the shape %s",
                   (long long)type_elem_count(type),
                   rank > MAX_RANK
                       ? "of so many dimensions"
                       : type_text(importer->scratch,
                                   type_tensor(importer->scratch, type->elem, rank, dims)));
        return NULL;
    }
    const Dense *dense = value_constant(input);
    if (dense)
        return emit_constant(importer, dense_reshape(importer->scratch, dense, rank, dims), true,
                             NULL);
    return emit_unary(node, OP_reshape, input,
                      attr_ints(importer->arena, NULL, "shape", rank, dims));
}

Value *emit_transpose(const Node *node, Value *input, const int *perm) {
    if (!input)
        return NULL;
    Importer *importer = node->importer;
    const Dense *dense = value_constant(input);
    int rank = input->type->rank;
    int64_t wide[MAX_RANK];
    bool identity = true;
    for (int i = 0; i < rank; i++)
        wide[i] = perm[i], identity &= perm[i] == i;
    if (identity)
        return input;
    if (dense && rank <= 4 && elem_bits(dense->type->elem) >= 8)
        return emit_constant(importer, dense_transpose(importer->arena, dense, perm), true, NULL);
    return emit_unary(node, OP_transpose, input,
                      attr_ints(importer->arena, NULL, "perm", rank, wide));
}

Value *emit_cast(const Node *node, Value *input, Elem elem) {
    Arena *arena = node->importer->arena;
    if (!input || input->type->elem == elem)
        return input;
    return emit_unary(node, OP_cast, input,
                      attr_type(arena, NULL, "to", type_tensor(arena, elem, 0, NULL)));
}

Value *emit_scalar(const Node *node, double value) {
    Importer *importer = node->importer;
    const Type *type = type_tensor(importer->scratch, ELEM_F32, 0, NULL);
    return emit_constant(importer, dense_splat(importer->scratch, type, value), false, NULL);
}

Value *emit_ints(const Node *node, int count, const int64_t *values) {
    return emit_constant(node->importer, dense_from_ints(node->importer->scratch, count, values),
                         false, NULL);
}

Value *emit_floats(const Node *node, int rank, const int64_t *shape, const float *values) {
    Importer *importer = node->importer;
    const Type *type = type_tensor(importer->scratch, ELEM_F32, rank, shape);
    return emit_constant(importer, dense_new(importer->scratch, type, values, false), false, NULL);
}

// ---- layout

Value *emit_to_nhwc(const Node *node, Value *input) {
    if (!input)
        return NULL;
    const int64_t *shape = input->type->shape;
    if (input->type->rank == 3)
        input = emit_reshape(node, input, 4, (int64_t[]){shape[0], shape[1], 1, shape[2]});
    if (input && input->type->rank == 5)
        return emit_transpose(node, input, (int[]){0, 2, 3, 4, 1});
    return emit_transpose(node, input, (int[]){0, 2, 3, 1});
}

Value *emit_from_nhwc(const Node *node, Value *input, int rank) {
    if (rank == 5)
        return emit_transpose(node, input, (int[]){0, 4, 1, 2, 3});
    Value *value = emit_transpose(node, input, (int[]){0, 3, 1, 2});
    if (!value || rank == 4)
        return value;
    const int64_t *shape = value->type->shape;
    return emit_reshape(node, value, 3, (int64_t[]){shape[0], shape[1], shape[3]});
}
