// Inputs that the user makes constants (--constant): their values in the element type and shape that the model states, so
// that what is made of them - axes, shapes, lengths - is known while importing.
#include <math.h>
#include <string.h>

#include "frontend/onnx/importer.h"

static const Onnx__ValueInfoProto *find_input(const Onnx__GraphProto *graph, const char *name) {
    for (size_t i = 0; i < graph->n_input; i++)
        if (graph->input[i]->name && !strcmp(graph->input[i]->name, name))
            return graph->input[i];
    return NULL;
}

static const Onnx__TypeProto__Tensor *tensor_of(const Onnx__ValueInfoProto *info) {
    const Onnx__TypeProto *type = info->type;
    return type && type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE ? type->tensor_type : NULL;
}

// The size that the model states; -1 if none.
static int64_t stated_size(const Onnx__TensorShapeProto__Dimension *dim) {
    bool stated = dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
    return stated && dim->dim_value >= 0 ? dim->dim_value : -1;
}

static bool shape_fits(const Onnx__TensorShapeProto *shape, int rank, const int64_t *dims) {
    if (!shape)
        return true;
    if (shape->n_dim != (size_t)rank)
        return false;
    for (int i = 0; i < rank; i++)
        if (stated_size(shape->dim[i]) >= 0 && stated_size(shape->dim[i]) != dims[i])
            return false;
    return true;
}

// A list of numbers from the command line takes the stated shape of as many elements.
static const Dense *shape_list(Importer *importer, const Dense *list, const Onnx__TensorShapeProto *shape) {
    int64_t dims[MAX_RANK];
    if (!shape || shape->n_dim == 1 || shape->n_dim > MAX_RANK)
        return list;
    for (size_t i = 0; i < shape->n_dim; i++)
        dims[i] = stated_size(shape->dim[i]);
    if (dims_count((int)shape->n_dim, dims) != dense_count(list))
        return list;
    return dense_reshape(importer->scratch, list, (int)shape->n_dim, dims);
}

static bool same_number(const Dense *a, const Dense *b, int64_t index) {
    if (elem_is_float(b->type->elem))
        return dense_f64(a, index) == dense_f64(b, index);
    return dense_i64(a, index) == dense_i64(b, index);
}

// The same numbers in another element type; floats may round, integers must be what they were.
static const Dense *convert_elems(Importer *importer, const char *name, const Dense *dense, Elem elem) {
    if (dense->type->elem == elem)
        return dense;
    const Type *type = type_tensor(importer->scratch, elem, dense->type->rank, dense->type->shape);
    Tensor tensor = tensor_new(importer->scratch, type);
    const Dense *converted = dense_new(importer->scratch, type, tensor.data, false);
    for (int64_t i = 0; i < dense_count(dense); i++) {
        tensor_set_f64(&tensor, i, dense_f64(dense, i));
        if (elem_is_float(elem) || same_number(converted, dense, i))
            continue;
        import_error(importer, "--constant %s: its element %lld, %g, is not a number of type %s, which the input has",
                     name, (long long)i, dense_f64(dense, i), elem_name(elem));
        return NULL;
    }
    return converted;
}

static const char *stated_text(Importer *importer, const Onnx__TensorShapeProto *shape) {
    const char *text = "";
    for (size_t i = 0; i < shape->n_dim; i++) {
        int64_t size = stated_size(shape->dim[i]);
        const char *dim = size < 0 ? "?" : arena_printf(importer->scratch, "%lld", (long long)size);
        text = arena_printf(importer->scratch, "%s%s%s", text, i ? "," : "", dim);
    }
    return text;
}

static bool take_constant(Importer *importer, const Onnx__GraphProto *graph, const ConstantOption *option) {
    const char *name = option->input;
    const Onnx__ValueInfoProto *info = find_input(graph, name);
    Elem elem;
    if (!info)
        return import_error(importer, "--constant names the input '%s', which the model does not have", name);
    const Onnx__TypeProto__Tensor *stated = tensor_of(info);
    if (!stated || !elem_from_onnx(stated->elem_type, &elem))
        return import_error(importer, "--constant %s: the input is not a tensor of numbers", name);
    const Dense *dense = option->list ? shape_list(importer, option->value, stated->shape) : option->value;
    if (!shape_fits(stated->shape, dense->type->rank, dense->type->shape))
        return import_error(importer, "--constant %s: its value is of type %s, the input of shape %s[%s]", name,
                            type_text(importer->scratch, dense->type), elem_name(elem),
                            stated_text(importer, stated->shape));
    dense = convert_elems(importer, name, dense, elem);
    if (!dense)
        return false;
    Symbol *symbol = symbol_add(importer, name);
    if (!symbol)
        return import_error(importer, "--constant %s: the value of the input is given twice", name);
    symbol->dense = dense;
    symbol->defined = true;
    return true;
}

bool take_constants(Importer *importer, const Onnx__GraphProto *graph, const ImportOptions *options) {
    for (int i = 0; options && i < options->constant_count; i++)
        if (!take_constant(importer, graph, &options->constants[i]))
            return false;
    return true;
}

// ---- what to do about an input that must be constant

enum { MAX_WALK = 64, MAX_SOURCES = 4, SHORT_ELEMS = 64 };

typedef struct {
    const Value *seen[MAX_WALK];
    int count;
} Walk;

static bool walk_add(Walk *walk, const Value *value) {
    for (int i = 0; i < walk->count; i++)
        if (walk->seen[i] == value)
            return true;
    if (walk->count == MAX_WALK)
        return false;
    walk->seen[walk->count++] = value;
    return true;
}

// Names the inputs of the graph that the value is made of, if they are few and short; NULL otherwise: then no constant
// makes a network that is of use.
const char *constant_advice(const Importer *importer, const Value *value) {
    Walk walk = {.seen = {value}, .count = 1};
    const char *text = NULL;
    int sources = 0;
    for (int i = 0; i < walk.count; i++) {
        const Value *at = walk.seen[i];
        for (int k = 0; at->def && k < at->def->operand_count; k++)
            if (op_operand(at->def, k) && !walk_add(&walk, op_operand(at->def, k)))
                return NULL;
        if (at->def)
            continue;
        if (type_elem_count(at->type) > SHORT_ELEMS || ++sources > MAX_SOURCES)
            return NULL;
        text = arena_printf(importer->scratch, "%s%s--constant %s=VALUE", text ? text : "", text ? " and " : "", at->name);
    }
    return text;
}
