// Floats other than f32. Networks compute in f32: what a node computes on is made f32 where it is read, results stay f32,
// and the graph's inputs and outputs keep the types of the model. Nodes that only move data, and casts, take elements as
// they are.
#include <string.h>

#include "frontend/onnx/importer.h"

static bool moves_data(const char *op) {
    static const char *const movers[] = {
        "BitCast", "Cast", "CastLike", "CenterCropPad", "Compress", "Concat", "Constant", "ConstantOfShape",
        "DepthToSpace", "Dropout", "Expand", "EyeLike", "Flatten", "Gather", "GatherElements", "GatherND", "Identity",
        "If", "Loop", "OneHot", "Pad", "Range", "Reshape", "ReverseSequence", "Scan", "Scatter", "ScatterElements",
        "ScatterND", "Shape", "Size", "Slice", "SpaceToDepth", "Split", "Squeeze", "TensorScatter", "Tile", "Transpose",
        "Trilu", "Unsqueeze", "Where",
    };
    for (size_t i = 0; i < sizeof movers / sizeof *movers; i++)
        if (!strcmp(movers[i], op))
            return true;
    return false;
}

// What kernels compute in f64: times and places in large ranges are told apart and compared there.
static bool computes_f64(const char *op) {
    static const char *const known[] = {"Add", "CumSum", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual",
                                        "Max", "Min", "Mul", "Sub", "Sum"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i], op))
            return true;
    return false;
}

bool op_takes_f64(OpKind kind) {
    switch (kind) {
    case OP_add: case OP_sub: case OP_mul: case OP_div: case OP_min: case OP_max: case OP_equal: case OP_less:
    case OP_less_equal: case OP_cum_sum: return true;
    default: return false;
    }
}

// Whether all inputs are small constants, which the import computes in their own type.
static bool is_folded(const Node *node) {
    for (int i = 0; i < node_input_count(node); i++) {
        const Dense *dense = node_dense(node, i);
        if (node_has_input(node, i) && (!dense || dense_count(dense) > MAX_FOLD_ELEMS))
            return false;
    }
    return true;
}

// What a cast of the network itself made narrower or wider; NULL if it is none of f32.
static Value *before_cast(const Symbol *symbol) {
    const Op *cast = symbol->value ? symbol->value->def : NULL;
    Value *value = cast && cast->kind == OP_cast ? op_operand(cast, 0) : NULL;
    return value && value->type->elem == ELEM_F32 ? value : NULL;
}

// The one float type of its inputs; f32 if there are none, or several. In a network of two precisions what was not rounded to
// 16 bits is as good, and costs no cast.
static Elem common_float(const Node *node) {
    Elem common = ELEM_F32;
    bool found = false;
    for (int i = 0; i < node_input_count(node); i++) {
        const Type *type = node_input_type(node, i);
        if (!type || !elem_is_float(type->elem))
            continue;
        Elem elem = type->elem;
        if (elem != ELEM_F64 && before_cast(symbol_find(node->importer, node->proto->input[i])))
            elem = ELEM_F32;
        if (found && elem != common)
            return ELEM_F32;
        common = elem;
        found = true;
    }
    return common;
}

bool node_computes_f32(const Node *node) {
    const char *op = node->proto->op_type;
    Elem elem = common_float(node);
    if (!strcmp(op, "Cast") || !strcmp(op, "CastLike") || !strcmp(op, "BitCast"))
        return false;
    if (elem == ELEM_F64 && computes_f64(op))
        return false;
    bool moves = moves_data(op) && !strcmp(node_string(node, "reduction", "none"), "none");
    return elem == ELEM_F32 || !(moves || is_folded(node));
}

const Dense *dense_to_f32(Arena *arena, const Dense *dense) {
    const Type *type = type_tensor(arena, ELEM_F32, dense->type->rank, dense->type->shape);
    if (dense->splat)
        return dense_splat(arena, type, dense_f64(dense, 0));
    Dense *single = dense_alloc(arena, type);
    int64_t count = dense_count(dense);
    for (int64_t i = 0; i < count; i++)
        ((float *)single->data)[i] = (float)dense_f64(dense, i);
    return single;
}

static void warn_of_f64(const Node *node) {
    Importer *importer = node->importer;
    if (!importer->warned_of_f64)
        diag_warning(importer->diag, loc_file(importer->path), "%s computes in f64: such nodes compute in f32 here",
                     node->label);
    importer->warned_of_f64 = true;
}

static Symbol *symbol_of_value(Importer *importer, const char *name, Value *value) {
    Symbol *symbol = ARENA_NEW(importer->scratch, Symbol);
    *symbol = (Symbol){.name = name, .defined = true, .value = value};
    return symbol;
}

Symbol *symbol_as_f32(const Node *node, Symbol *symbol) {
    Importer *importer = node->importer;
    const Type *type = symbol_type(importer, symbol);
    if (!type || type->elem == ELEM_F32 || !elem_is_float(type->elem))
        return symbol;
    if (symbol->as_f32)
        return symbol->as_f32;
    const Dense *dense = symbol_dense(importer, symbol);
    if (before_cast(symbol))
        return symbol->as_f32 = symbol_of_value(importer, symbol->name, before_cast(symbol));
    if (type->elem == ELEM_F64)
        warn_of_f64(node);
    Value *value = dense ? NULL : emit_cast(node, symbol->value, ELEM_F32);
    if (value)
        name_value(importer, value, arena_printf(importer->scratch, "%s_f32", symbol->name));
    symbol->as_f32 = symbol_of_value(importer, symbol->name, value);
    symbol->as_f32->dense = dense ? dense_to_f32(importer->scratch, dense) : NULL;
    symbol->as_f32->broken = !dense && !value;
    return symbol->as_f32;
}

Value *output_of_type(Importer *importer, Value *value, Elem elem, const char *name) {
    if (!value || value->type->elem == elem || !elem_is_float(value->type->elem) || !elem_is_float(elem))
        return value;
    if (value->def && value->name && !strcmp(value->name, name)) { // the name is the output's
        *map_get(importer->names, name) = NULL;
        value->name = NULL;
        name_value(importer, value, arena_printf(importer->scratch, "%s_f32", name));
    }
    Attr *attrs = attr_type(importer->arena, NULL, "to", type_tensor(importer->arena, elem, 0, NULL));
    Value *cast = op_infer(&importer->builder, importer->quiet, OP_cast, 1, &value, attrs);
    if (cast && !map_find(importer->names, name))
        name_value(importer, cast, name);
    return cast;
}
