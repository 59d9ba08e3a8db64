// Integer tensors with a scale, as nn has them. What QuantizeLinear gives is nn's i8 or i16 (of u8 the elements and zero point moved
// by 128, of u16 by 32768); what only moves elements takes it as it is, and its plain integers are made of it where something else asks. A
// constant behind DequantizeLinear stays integers, too, for the ops that have an integer form; others see floats.
#include <math.h>
#include <string.h>

#include "frontend/onnx/importer.h"

// Scales beyond these are none of real networks; what they would make of f32 is not worth a second form.
bool scale_is_plain(float scale) {
    return scale > 1e-30f && scale < 1e30f;
}

// What unsigned elements and their zero points are more than nn's.
static int32_t offset_of(Elem elem) { return elem == ELEM_U8 ? 128 : elem == ELEM_U16 ? 32768 : 0; }

const Quant *tensor_quant(const Node *node, int scale_index, int zero_index, Elem elem) {
    Arena *arena = node->importer->arena;
    const Dense *scale = node_dense(node, scale_index), *zero = node_dense(node, zero_index);
    const bool bytes = elem == ELEM_I8 || elem == ELEM_U8, words = elem == ELEM_I16 || elem == ELEM_U16;
    if ((!bytes && !words) || !scale || scale->type->elem != ELEM_F32 || dense_count(scale) != 1 ||
        !scale_is_plain((float)dense_f64(scale, 0)))
        return NULL;
    if (node_has_input(node, zero_index) && (!zero || zero->type->elem != elem || dense_count(zero) != 1))
        return NULL;
    int64_t point = zero ? dense_i64(zero, 0) : 0;
    return quant_per_tensor(arena, bytes ? ELEM_I8 : ELEM_I16, (float)dense_f64(scale, 0), (int32_t)(point - offset_of(elem)));
}

// ---- constants

static bool is_stored(Elem elem) {
    return elem == ELEM_I8 || elem == ELEM_U8 || elem == ELEM_I4 || elem == ELEM_U4 || elem == ELEM_I32;
}

// One scale in all (axis -1), or one an index of `axis`.
static const Quant *constant_quant(const Node *node, Elem elem, const Dense *scale, const Dense *zero, int axis) {
    Arena *arena = node->importer->arena;
    int64_t count = dense_count(scale), least, most;
    float *scales = ARENA_ARRAY(arena, float, count + 1);
    int32_t *zeros = ARENA_ARRAY(arena, int32_t, count + 1);
    Elem storage = elem == ELEM_I32 ? ELEM_I32 : ELEM_I8;
    for (int64_t i = 0; i < count; i++) {
        int64_t point = zero ? dense_i64(zero, i) : 0;
        scales[i] = (float)dense_f64(scale, i);
        zeros[i] = (int32_t)(elem == ELEM_U8 ? point - 128 : point);
        if (!scale_is_plain(scales[i]) || (elem == ELEM_I32 && point))
            return NULL;
    }
    elem_range(storage, &least, &most);
    return quant_per_axis(arena, storage, axis, (int)count, scales, zeros, (int32_t)least, (int32_t)most);
}

const Dense *stored_constant(const Node *node, const Dense *input, const Dense *scale, const Dense *zero, int axis) {
    Arena *arena = node->importer->arena;
    const Type *type = input->type;
    bool one = dense_count(scale) == 1 && scale->type->rank <= 1;
    if (!is_stored(type->elem) || scale->type->elem != ELEM_F32 || (!one && scale->type->rank != 1))
        return NULL;
    const Quant *quant = constant_quant(node, type->elem, scale, zero, one ? -1 : axis);
    if (!quant)
        return NULL;
    Dense *stored = dense_alloc(arena, type_quantized(arena, quant, type->rank, type->shape));
    for (int64_t i = 0, count = dense_count(input); i < count; i++) {
        int64_t element = dense_i64(input, i);
        if (type->elem == ELEM_I32)
            ((int32_t *)stored->data)[i] = (int32_t)element;
        else
            ((int8_t *)stored->data)[i] = (int8_t)(type->elem == ELEM_U8 ? element - 128 : element);
    }
    return stored;
}

const Dense *stored_transpose(Importer *importer, const Dense *stored, const int *perm) {
    const Quant *quant = stored->type->quant;
    Dense *moved = (Dense *)dense_transpose(importer->arena, stored, perm);
    int axis = -1;
    for (int i = 0; quant->axis >= 0 && i < stored->type->rank; i++)
        axis = perm[i] == quant->axis ? i : axis;
    quant = quant_per_axis(importer->arena, quant->storage, axis, quant->count, quant->scale, quant->zero_point,
                           quant->storage_min, quant->storage_max);
    moved->type = type_quantized(importer->arena, quant, moved->type->rank, moved->type->shape);
    return moved;
}

const Dense *stored_to_f32(Arena *arena, const Dense *stored) {
    const Type *type = stored->type;
    const Quant *quant = type->quant;
    Dense *real = dense_alloc(arena, type_tensor(arena, ELEM_F32, type->rank, type->shape));
    int64_t inner = 1;
    for (int i = quant->axis + 1; quant->axis >= 0 && i < type->rank; i++)
        inner *= type->shape[i];
    for (int64_t i = 0, count = dense_count(stored); i < count; i++) {
        int64_t c = quant->axis < 0 ? 0 : i / inner % quant->count;
        ((float *)real->data)[i] = (float)(dense_i64(stored, i) - quant->zero_point[c]) * quant->scale[c];
    }
    return real;
}

Value *emit_stored(Importer *importer, const Dense *stored, const char *name) {
    Op *constant = op_new(&importer->builder, OP_constant, 0, NULL, 1, &stored->type,
                          attr_dense(importer->arena, NULL, "value", stored));
    Value *value = op_result(constant, 0);
    name_value(importer, value, name);
    return op_result(op_new(&importer->builder, OP_dequantize, 1, &value, 1, NULL, NULL), 0);
}

// ---- the forms of a tensor

static Symbol *other_form(Importer *importer, const Symbol *symbol, Value *value) {
    Symbol *form = ARENA_NEW(importer->scratch, Symbol);
    *form = (Symbol){.name = symbol->name, .value = value, .defined = true};
    return form;
}

void symbol_set_quantized(Importer *importer, Symbol *symbol, Value *value, Elem elem) {
    symbol->quantized = other_form(importer, symbol, value);
    symbol->integer = elem;
}

Symbol *symbol_dequantized(Importer *importer, Symbol *symbol) {
    if (!symbol->dequantized)
        symbol->dequantized = other_form(importer, symbol, emit_stored(importer, symbol->stored, symbol->name));
    return symbol->dequantized;
}

static Value *one_op(Importer *importer, OpKind kind, Value *a, Value *b, Attr *attrs) {
    return op_result(op_new(&importer->builder, kind, b ? 2 : 1, (Value *[]){a, b}, 1, NULL, attrs), 0);
}

static Value *number(Importer *importer, double value) {
    return emit_constant(importer, dense_splat(importer->scratch, type_tensor(importer->scratch, ELEM_F32, 0, NULL), value), false, NULL);
}

// rne((q - z) * s / s) + z: the quotient is off by less than one part in 2^22, of 65535 at most.
Value *symbol_plain(Importer *importer, const Symbol *symbol) {
    Value *quantized = symbol->quantized->value;
    const Quant *quant = quantized->type->quant;
    Value *value = one_op(importer, OP_dequantize, quantized, NULL, NULL);
    value = one_op(importer, OP_div, value, number(importer, (double)quant->scale[0]), NULL);
    value = one_op(importer, OP_round, value, NULL, NULL);
    value = one_op(importer, OP_add, value, number(importer, quant->zero_point[0] + offset_of(symbol->integer)), NULL);
    const Type *to = type_tensor(importer->arena, symbol->integer, 0, NULL);
    return one_op(importer, OP_cast, value, NULL, attr_type(importer->arena, NULL, "to", to));
}

Value *emit_edge(Importer *importer, Value *value, Elem elem) {
    const Quant *own = value->type->quant;
    if (value->type->elem == elem)
        return value;
    int32_t offset = elem == ELEM_U8 ? 128 : -128;
    const Quant *quant = quant_per_tensor(importer->arena, elem, own->scale[0], own->zero_point[0] + offset);
    const Type *type = type_quantized(importer->arena, quant, value->type->rank, value->type->shape);
    return op_result(op_new(&importer->builder, OP_requantize, 1, &value, 1, &type, NULL), 0);
}

// ---- which nodes see which form

static bool is_among(const Onnx__NodeProto *proto, int count, const char *const *names) {
    for (int i = 0; i < count; i++)
        if (is_onnx_domain(proto->domain) && !strcmp(names[i], proto->op_type))
            return true;
    return false;
}

// They move elements of one tensor, or take the largest of them: what they give has its scale.
static bool moves_one(const Onnx__NodeProto *proto) {
    static const char *const names[] = {
        "DepthToSpace", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "GlobalMaxPool", "Identity", "MaxPool",
        "Reshape", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
    };
    return is_among(proto, (int)(sizeof names / sizeof *names), names);
}

static bool takes_stored(const Onnx__NodeProto *proto) {
    static const char *const names[] = {"Add", "Concat", "Max", "Min", "Mul", "PRelu", "Sub", "Sum"};
    return is_among(proto, (int)(sizeof names / sizeof *names), names);
}

void node_choose_forms(Node *node) {
    const Symbol *first = node_has_input(node, 0) ? symbol_find(node->importer, node->proto->input[0]) : NULL;
    bool places = node->proto->n_output > 1 && !strcmp(node->proto->op_type, "MaxPool") && node_has_output(node, 1);
    node->moves_quantized = first && first->quantized && moves_one(node->proto) && !places;
    node->integer = first ? first->integer : ELEM_COUNT;
    bool any = false; // one tensor that is computed: what is constant throughout is folded
    for (int i = 0; i < node_input_count(node); i++) {
        const Symbol *symbol = node_has_input(node, i) ? symbol_find(node->importer, node->proto->input[i]) : NULL;
        any |= symbol && symbol->value && !value_constant(symbol->value) && !symbol->stored;
    }
    node->takes_stored = any && takes_stored(node->proto);
}

// ---- inputs of the graph

// Of its readers only DequantizeLinear is one that takes it with its scale.
static const Onnx__NodeProto *only_reader(const Onnx__GraphProto *graph, const char *name) {
    const Onnx__NodeProto *reader = NULL;
    for (size_t i = 0; i < graph->n_node; i++)
        for (size_t j = 0; j < graph->node[i]->n_input; j++)
            if (!strcmp(graph->node[i]->input[j], name)) {
                if (reader || j || strcmp(graph->node[i]->op_type ? graph->node[i]->op_type : "", "DequantizeLinear"))
                    return NULL;
                reader = graph->node[i];
            }
    return reader;
}

const Type *input_type(Importer *importer, const Onnx__GraphProto *graph, const Type *plain, const char *name) {
    bool fits = plain->elem == ELEM_I8 || plain->elem == ELEM_U8 || plain->elem == ELEM_I16;
    const Onnx__NodeProto *proto = fits ? only_reader(graph, name) : NULL;
    if (!proto)
        return plain;
    const Node node = {.importer = importer, .proto = proto};
    const Quant *quant = tensor_quant(&node, 1, 2, plain->elem);
    if (!quant)
        return plain;
    int32_t point = quant->zero_point[0] + offset_of(plain->elem);
    return type_quantized(importer->arena, quant_per_tensor(importer->arena, plain->elem, quant->scale[0], point), plain->rank, plain->shape);
}
