// import_onnx: an ONNX file to a module of nn ops with one function @main, named as in the graph.
// Constants that nothing takes any more are removed at the end.
#include <string.h>

#include "frontend/onnx/importer.h"

enum { FIRST_OPSET = 1, NEWEST_OPSET = 28 };

static const OnnxOp ops[] = {
#define ONNX(name, first_opset, function) {name, first_opset, function},
#include "frontend/onnx/onnx_ops.def"
#undef ONNX
};

const OnnxOp *onnx_op_find(const char *name) {
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (!strcmp(ops[i].name, name))
            return &ops[i];
    return NULL;
}

const char *onnx_operator(int index, int *opset) {
    if (index < 0 || (size_t)index >= sizeof ops / sizeof *ops)
        return NULL;
    *opset = ops[index].first_opset;
    return ops[index].name;
}

static bool read_opset(Importer *importer, const Onnx__ModelProto *model) {
    for (size_t i = 0; i < model->n_opset_import; i++)
        if (is_onnx_domain(model->opset_import[i]->domain))
            importer->opset = model->opset_import[i]->version;
    if (importer->opset == 0 && model->ir_version > 0 && model->ir_version < 3)
        importer->opset = 1; // as the format has it
    if (importer->opset == 0 && model->ir_version >= 3)
        return import_error(
            importer,
            "the model does not say which opset of domain ai.onnx it uses: it may be damaged");
    if (importer->opset == 0) {
        importer->opset = 9;
        diag_warning(importer->diag, loc_file(importer->path),
                     "the model does not name its opset; 9 is assumed");
    }
    if (importer->opset < FIRST_OPSET)
        return import_error(importer, "opset %lld is not one of ONNX: the model may be damaged",
                            (long long)importer->opset);
    if (importer->opset > NEWEST_OPSET)
        diag_warning(importer->diag, loc_file(importer->path),
                     "opset %lld is newer than %d, the newest that is known; "
                     "the model is read as opset %d",
                     (long long)importer->opset, NEWEST_OPSET, NEWEST_OPSET);
    return true;
}

// ---- declaring names

static bool declare(Importer *importer, const char *name, const char *what) {
    if (symbol_add(importer, name))
        return true;
    return import_error(importer, "%s '%s' has the name of another tensor", what, name);
}

static bool declare_initializers(Importer *importer, const Onnx__GraphProto *graph) {
    for (size_t i = 0; i < graph->n_initializer; i++) {
        const Onnx__TensorProto *proto = graph->initializer[i];
        if (!proto->name || !*proto->name)
            return import_error(importer, "initializer %zu has no name", i);
        if (!declare(importer, proto->name, "initializer"))
            return false;
        Symbol *symbol = symbol_find(importer, proto->name);
        symbol->initializer = proto;
        symbol->defined = true;
    }
    for (size_t i = 0; i < graph->n_sparse_initializer; i++) {
        const char *name = sparse_name(graph->sparse_initializer[i]);
        if (!*name)
            return import_error(importer, "sparse initializer %zu has no name", i);
        if (!declare(importer, name, "initializer"))
            return false;
        Symbol *symbol = symbol_find(importer, name);
        symbol->sparse = graph->sparse_initializer[i];
        symbol->defined = true;
    }
    return true;
}

static void note_type(Importer *importer, const Onnx__ValueInfoProto *info) {
    Symbol *symbol = info->name ? symbol_find(importer, info->name) : NULL;
    if (symbol && !symbol->info)
        symbol->info = info;
}

void note_types(Importer *importer, const Onnx__GraphProto *graph) {
    for (size_t i = 0; i < graph->n_value_info; i++)
        note_type(importer, graph->value_info[i]);
    for (size_t i = 0; i < graph->n_output; i++)
        note_type(importer, graph->output[i]);
}

static bool declare_outputs(Importer *importer, const Onnx__GraphProto *graph) {
    for (size_t i = 0; i < graph->n_node; i++)
        for (size_t j = 0; j < graph->node[i]->n_output; j++) {
            const char *name = graph->node[i]->output[j];
            if (*name && !declare(importer, name, "the result"))
                return false;
        }
    note_types(importer, graph);
    for (size_t i = 0; i < graph->n_output; i++) {
        const char *name = graph->output[i]->name ? graph->output[i]->name : "";
        Symbol *symbol = symbol_find(importer, name);
        if (!symbol)
            return import_error(importer, "the graph's output '%s' is computed by no node", name);
        if (symbol->is_output)
            return import_error(importer, "the graph gives its output '%s' twice", name);
        symbol->is_output = true;
    }
    return graph->n_output > 0 || import_error(importer, "the graph has no outputs");
}

// ---- inputs and their shapes

typedef struct Input {
    const char *name;
    Elem elem;
    bool has_shape;
    int rank;
    int64_t dims[MAX_RANK];        // -1: not fixed
    const char *symbols[MAX_RANK]; // NULL: none
    const ShapeOption *option;
} Input;

// False if the element type or the number of dimensions is not supported.
static bool read_type(const Onnx__TypeProto__Tensor *tensor, Input *input) {
    if (!tensor || !elem_from_onnx(tensor->elem_type, &input->elem) || elem_bits(input->elem) < 8)
        return false;
    if (!tensor->shape)
        return true;
    if (tensor->shape->n_dim > MAX_RANK)
        return false;
    input->has_shape = true;
    input->rank = (int)tensor->shape->n_dim;
    for (int i = 0; i < input->rank; i++) {
        const Onnx__TensorShapeProto__Dimension *dim = tensor->shape->dim[i];
        input->dims[i] = -1;
        if (dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE)
            input->dims[i] = dim->dim_value >= 0 ? dim->dim_value : -1;
        else if (dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM &&
                 dim->dim_param[0])
            input->symbols[i] = dim->dim_param;
    }
    return true;
}

static bool read_input(Importer *importer, const Onnx__ValueInfoProto *info, Input *input) {
    if (!info->name || !*info->name)
        return import_error(importer, "an input of the graph has no name");
    input->name = info->name;
    if (!info->type || info->type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE ||
        !info->type->tensor_type)
        return import_error(importer, "input '%s' is not a tensor", input->name);
    const Onnx__TypeProto__Tensor *tensor = info->type->tensor_type;
    if (read_type(tensor, input))
        return true;
    return import_error(
        importer, "input '%s' has elements of type %s and %zu dimensions, which is not supported",
        input->name, onnx_type_name(tensor->elem_type), tensor->shape ? tensor->shape->n_dim : 0);
}

static const char *dims_text(Importer *importer, int rank, const int64_t *dims,
                             const char *const *symbols) {
    const char *text = "";
    for (int i = 0; i < rank; i++) {
        const char *dim = dims[i] >= 0 ? arena_printf(importer->scratch, "%lld", (long long)dims[i])
                          : symbols && symbols[i] ? symbols[i]
                                                  : "?";
        text = arena_printf(importer->scratch, "%s%s%s", text, i ? "," : "", dim);
    }
    return text;
}

// Takes the shape that the user gave, if the model's fixed dimensions allow it.
static bool apply_option(Importer *importer, Input *input) {
    const ShapeOption *option = input->option;
    const char *given = dims_text(importer, option->rank, option->dims, NULL);
    const char *own = dims_text(importer, input->rank, input->dims, input->symbols);
    if (input->has_shape && input->rank != option->rank)
        return import_error(importer, "--shape %s:%s has %d dimensions, the model's input has %d (%s)",
                    input->name, given, option->rank, input->rank, own);
    for (int i = 0; i < option->rank; i++) {
        if (input->has_shape && input->dims[i] >= 0 && input->dims[i] != option->dims[i])
            return import_error(importer,
                        "--shape %s:%s contradicts the model's input %s:%s in dimension %d",
                        input->name, given, input->name, own, i);
        input->dims[i] = option->dims[i];
    }
    input->rank = option->rank;
    input->has_shape = true;
    return true;
}

enum { UNKNOWN_SIZE = -1, TWO_SIZES = -2 };

// The size that --shape gave to the symbol in some input; UNKNOWN_SIZE if none, TWO_SIZES after a message if two differ.
static int64_t symbol_size(Importer *importer, const Input *inputs, int count, const char *symbol) {
    int64_t size = UNKNOWN_SIZE;
    for (int i = 0; i < count; i++)
        for (int j = 0; j < inputs[i].rank && inputs[i].option; j++) {
            if (!inputs[i].symbols[j] || strcmp(inputs[i].symbols[j], symbol))
                continue;
            if (size >= 0 && size != inputs[i].dims[j]) {
                import_error(importer,
                     "--shape gives dimension '%s' two sizes: %lld, and %lld in input '%s'", symbol,
                     (long long)size, (long long)inputs[i].dims[j], inputs[i].name);
                return TWO_SIZES;
            }
            size = inputs[i].dims[j];
        }
    return size;
}

static const char *input_names(Importer *importer, const Input *inputs, int count) {
    const char *text = count ? "" : "none";
    for (int i = 0; i < count && i < 8; i++)
        text = arena_printf(importer->scratch, "%s%s'%s'", text, i ? ", " : "", inputs[i].name);
    return text;
}

static bool match_options(Importer *importer, const ImportOptions *options, Input *inputs,
                          int count) {
    for (int i = 0; options && i < options->shape_count; i++) {
        const ShapeOption *option = &options->shapes[i];
        Input *found = NULL;
        if (!option->input && count != 1)
            return import_error(
                importer,
                "--shape must name an input, as in --shape NAME:1,3,224,224; there are %d: %s",
                count, input_names(importer, inputs, count));
        for (int j = 0; j < count && !found; j++)
            if (!option->input || !strcmp(option->input, inputs[j].name))
                found = &inputs[j];
        if (!found)
            return import_error(importer,
                        "--shape names the input '%s', which the model does not have; it has %s",
                        option->input, input_names(importer, inputs, count));
        if (found->option)
            return import_error(importer, "--shape is given twice for the input '%s'", found->name);
        found->option = option;
        if (!apply_option(importer, found))
            return false;
    }
    return true;
}

// Dimensions that nothing fixes become 1.
static bool fix_dims(Importer *importer, Input *inputs, int count) {
    for (int i = 0; i < count; i++) {
        Input *input = &inputs[i];
        if (!input->has_shape)
            return import_error(importer,
                        "input '%s' has no shape in the model: give one by --shape %s:1,3,224,224",
                        input->name, input->name);
        for (int j = 0; j < input->rank; j++) {
            const char *symbol = input->symbols[j];
            int64_t size = symbol ? symbol_size(importer, inputs, count, symbol) : UNKNOWN_SIZE;
            if (size == TWO_SIZES)
                return false;
            if (input->dims[j] < 0)
                input->dims[j] = size >= 0 ? size : 1;
        }
        if (dims_count(input->rank, input->dims) < 0)
            return import_error(importer, "input '%s' would have more than 2^31 elements", input->name);
    }
    return true;
}

static void give_symbols(Importer *importer, const Input *inputs, int count, InputSymbols *symbols) {
    for (int i = 0; i < count && i < MAX_NAMED_INPUTS; i++) {
        symbols[i] = (InputSymbols){arena_strdup(importer->arena, inputs[i].name), inputs[i].rank, {0}};
        for (int j = 0; j < inputs[i].rank; j++)
            if (inputs[i].symbols[j])
                symbols[i].symbols[j] = arena_strdup(importer->arena, inputs[i].symbols[j]);
    }
}

static bool declare_inputs(Importer *importer, const Onnx__GraphProto *graph,
                           const ImportOptions *options) {
    Input *inputs = ARENA_ARRAY(importer->scratch, Input, graph->n_input + 1);
    int count = 0;
    for (size_t i = 0; i < graph->n_input; i++) {
        const char *name = graph->input[i]->name;
        const Symbol *symbol = name ? symbol_find(importer, name) : NULL;
        if (symbol && (symbol->initializer || symbol->sparse || symbol->dense))
            continue; // as IR 3 has it, or --constant
        if (!read_input(importer, graph->input[i], &inputs[count]))
            return false;
        if (!declare(importer, inputs[count++].name, "input"))
            return false;
    }
    if (!match_options(importer, options, inputs, count) || !fix_dims(importer, inputs, count))
        return false;
    importer->inputs = inputs;
    importer->input_count = count;
    if (options && options->symbols)
        give_symbols(importer, inputs, count, options->symbols);
    const Type **types = ARENA_ARRAY(importer->scratch, const Type *, count + 1);
    const char **names = ARENA_ARRAY(importer->scratch, const char *, count + 1);
    for (int i = 0; i < count; i++) {
        types[i] = input_type(importer, graph, type_tensor(importer->arena, inputs[i].elem, inputs[i].rank, inputs[i].dims), inputs[i].name);
        names[i] = inputs[i].name;
    }
    importer->func = func_new(importer->module, "main", count, types, names);
    importer->builder = builder_end(importer->func);
    for (int i = 0; i < count; i++) {
        Symbol *symbol = symbol_find(importer, names[i]);
        Value *arg = &importer->func->args[i];
        symbol->defined = true;
        *map_get(importer->names, names[i]) = arg;
        if (arg->type->quant)
            symbol_set_quantized(importer, symbol, emit_edge(importer, arg, elem_bits(arg->type->elem) == 8 ? ELEM_I8 : ELEM_I16), inputs[i].elem);
        else
            symbol->value = arg;
    }
    return true;
}

// ---- outputs

// What an input has where it names the dimension so; -1 if none does.
static int64_t input_size(const Importer *importer, const char *name) {
    for (int i = 0; i < importer->input_count; i++)
        for (int j = 0; j < importer->inputs[i].rank; j++)
            if (importer->inputs[i].symbols[j] && !strcmp(importer->inputs[i].symbols[j], name))
                return importer->inputs[i].dims[j];
    return -1;
}

const Type *stated_type(Importer *importer, const Symbol *symbol) {
    Input input = {0};
    const Onnx__TypeProto *type = symbol->info ? symbol->info->type : NULL;
    bool read = type && type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE && read_type(type->tensor_type, &input);
    for (int i = 0; read && i < input.rank; i++)
        if (input.symbols[i])
            input.dims[i] = input_size(importer, input.symbols[i]);
    if (!read || !input.has_shape || dims_count(input.rank, input.dims) < 0)
        return NULL;
    return type_tensor(importer->arena, input.elem, input.rank, input.dims);
}

// A stand-in of the type that the model states, so that the nodes behind a failed one are still
// examined; the module is dropped in the end. NULL if the model states none, or not all of it.
Value *stand_in(Importer *importer, const Symbol *symbol) {
    const Type *type = stated_type(importer, symbol);
    if (!type || !elem_is_float(type->elem) || !type->rank || !type_elem_count(type))
        return NULL;
    const Type *single = type_with_elem(importer->arena, type, ELEM_F32);
    return op_result(op_new(&importer->builder, OP_requantize, 0, NULL, 1, &single, NULL), 0);
}

// Integers with a scale as the model has them, but those of u16 without; the name is theirs.
static Value *quantized_output(Importer *importer, Symbol *symbol) {
    Value *inner = symbol->quantized->value;
    Value *value = symbol->integer == ELEM_U16 ? symbol_plain(importer, symbol) : emit_edge(importer, inner, symbol->integer);
    if (value == inner)
        return value;
    if (inner->def && inner->name && !strcmp(inner->name, symbol->name)) {
        *map_get(importer->names, symbol->name) = NULL;
        inner->name = NULL;
        name_value(importer, inner, arena_printf(importer->scratch, "%s_i8", symbol->name));
    }
    if (!map_find(importer->names, symbol->name))
        name_value(importer, value, symbol->name);
    return value;
}

// The value to return under the name of a graph's output: a copy where the value has another name
// to keep, a cast where it is to be another float.
static Value *output_value(Importer *importer, Symbol *symbol, const Onnx__ValueInfoProto *info) {
    Elem stated;
    Value *value = symbol->quantized ? quantized_output(importer, symbol) : symbol_value(importer, symbol);
    if (value && info->type && info->type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE && info->type->tensor_type &&
        elem_from_onnx(info->type->tensor_type->elem_type, &stated))
        value = output_of_type(importer, value, stated, symbol->name);
    if (!value || (value->name && !strcmp(value->name, symbol->name)))
        return value;
    const Type *type = value->type;
    Attr *attrs = attr_ints(importer->arena, NULL, "shape", type->rank, type->shape);
    Value *copy = op_infer(&importer->builder, importer->quiet, OP_reshape, 1, &value, attrs);
    if (copy)
        name_value(importer, copy, symbol->name);
    return copy;
}

static bool emit_return(Importer *importer, const Onnx__GraphProto *graph) {
    int count = (int)graph->n_output;
    Value **values = ARENA_ARRAY(importer->scratch, Value *, 2 * graph->n_output);
    importer->builder.loc = loc_file(importer->module->file);
    for (size_t i = 0; i < graph->n_output; i++) {
        Symbol *symbol = symbol_find(importer, graph->output[i]->name);
        values[i] = output_value(importer, symbol, graph->output[i]);
        if (!values[i])
            return import_error(importer, "the graph's output '%s' is computed by no node", symbol->name);
        if (elem_bits(values[i]->type->elem) < 8)
            return import_error(importer, "the graph's output '%s' has elements of type %s, which are supported in constants only",
                                symbol->name, elem_name(values[i]->type->elem));
    }
    count += emit_counts(importer, graph, count, values);
    op_new(&importer->builder, OP_return, count, values, 0, NULL, NULL);
    return true;
}

static void note_nodes(const Importer *importer, const Onnx__GraphProto *graph, const ImportOptions *options) {
    for (size_t i = 0; options && options->node_outputs && i < graph->n_node; i++) {
        const Onnx__NodeProto *node = graph->node[i];
        if (!node->name || !*node->name || !node->n_output)
            continue;
        char *name = arena_strdup(importer->arena, node->name), *output = arena_strdup(importer->arena, node->output[0]);
        *map_get(options->node_outputs, name) = output;
        *map_get(options->output_nodes, output) = name;
    }
}

static bool import_graph(Importer *importer, const Onnx__GraphProto *graph,
                         const ImportOptions *options) {
    importer->names = map_new_texts(importer->scratch);
    scope_enter(importer, graph->n_initializer + 2 * graph->n_node + graph->n_input, NULL);
    if (!declare_initializers(importer, graph) || !take_constants(importer, graph, options) ||
        !declare_inputs(importer, graph, options) || !declare_outputs(importer, graph))
        return false;
    note_nodes(importer, graph, options);
    convert_nodes(importer, graph->n_node, graph->node);
    if (diag_error_count(importer->diag) > importer->errors || !emit_return(importer, graph))
        return false;
    name_resources(importer->module, importer->func, importer->names, importer->scratch);
    return true;
}

Module *import_onnx(Arena *arena, Diag *diag, const char *path, const void *data, size_t bytes,
                    const ImportOptions *options) {
    Arena *scratch = arena_new();
    Importer importer = {.arena = arena, .scratch = scratch, .diag = diag, .path = path};
    importer.quiet = diag_new(scratch, NULL);
    importer.unsupported = options ? options->unsupported : NULL;
    importer.unfolded = options && options->unfolded;
    importer.errors = diag_error_count(diag);
    bool done = false;
    Onnx__ModelProto *model = onnx_unpack(scratch, diag, path, data, bytes);
    importer.model = model;
    importer.options = options;
    if (model && read_opset(&importer, model)) {
        importer.module = module_new(arena, module_name_of(scratch, path));
        importer.module->file = arena_strdup(arena, path);
        done = import_graph(&importer, model->graph, options);
    }
    forget_externals(&importer);
    arena_free(scratch);
    return done ? importer.module : NULL;
}
