// import_onnx: an ONNX file to a module of nn ops with one function @main, named as in the graph.
// The nodes are converted in order, each by its row of onnx_ops.def; a node that fails is reported
// and its results are marked, so that one run reports every node that is not supported. Constants
// that nothing takes any more are removed at the end.
#include <ctype.h>
#include <string.h>

#include "frontend/onnx/importer.h"

enum { FIRST_OPSET = 7, NEWEST_OPSET = 28 };

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

static bool fail(const Importer *importer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool fail(const Importer *importer, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const char *text = arena_vprintf(importer->scratch, format, args);
    va_end(args);
    return diag_error(importer->diag, loc_file(importer->path), "%s", text);
}

static bool is_onnx_domain(const char *domain) {
    return !domain || !*domain || !strcmp(domain, "ai.onnx");
}

static bool read_opset(Importer *importer, const Onnx__ModelProto *model) {
    for (size_t i = 0; i < model->n_opset_import; i++)
        if (is_onnx_domain(model->opset_import[i]->domain))
            importer->opset = model->opset_import[i]->version;
    if (importer->opset == 0 && model->ir_version >= 3)
        return fail(
            importer,
            "the model does not say which opset of domain ai.onnx it uses: it may be damaged");
    if (importer->opset == 0) {
        importer->opset = 9;
        diag_warning(importer->diag, loc_file(importer->path),
                     "the model does not name its opset; 9 is assumed");
    }
    if (importer->opset < FIRST_OPSET)
        return fail(importer,
                    "opset %lld is older than %d, the oldest that is read: convert the model with "
                    "onnx.version_converter",
                    (long long)importer->opset, FIRST_OPSET);
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
    return fail(importer, "%s '%s' has the name of another tensor", what, name);
}

static bool declare_initializers(Importer *importer, const Onnx__GraphProto *graph) {
    if (graph->n_sparse_initializer)
        return fail(importer, "sparse initializers are not supported: make them dense");
    for (size_t i = 0; i < graph->n_initializer; i++) {
        const Onnx__TensorProto *proto = graph->initializer[i];
        if (!proto->name || !*proto->name)
            return fail(importer, "initializer %zu has no name", i);
        if (!declare(importer, proto->name, "initializer"))
            return false;
        Symbol *symbol = symbol_find(importer, proto->name);
        symbol->initializer = proto;
        symbol->defined = true;
    }
    return true;
}

static bool declare_outputs(Importer *importer, const Onnx__GraphProto *graph) {
    for (size_t i = 0; i < graph->n_node; i++)
        for (size_t j = 0; j < graph->node[i]->n_output; j++) {
            const char *name = graph->node[i]->output[j];
            if (*name && !declare(importer, name, "the result"))
                return false;
        }
    for (size_t i = 0; i < graph->n_value_info; i++) {
        Symbol *symbol =
            symbol_find(importer, graph->value_info[i]->name ? graph->value_info[i]->name : "");
        if (symbol)
            symbol->info = graph->value_info[i];
    }
    for (size_t i = 0; i < graph->n_output; i++) {
        const char *name = graph->output[i]->name ? graph->output[i]->name : "";
        Symbol *symbol = symbol_find(importer, name);
        if (!symbol)
            return fail(importer, "the graph's output '%s' is computed by no node", name);
        if (symbol->is_output)
            return fail(importer, "the graph gives its output '%s' twice", name);
        symbol->is_output = true;
    }
    return graph->n_output > 0 || fail(importer, "the graph has no outputs");
}

// ---- inputs and their shapes

typedef struct {
    const char *name;
    Elem elem;
    bool has_shape;
    int rank;
    int64_t dims[MAX_RANK];        // 0: not fixed
    const char *symbols[MAX_RANK]; // NULL: none
    const ShapeOption *option;
} Input;

// False if the element type or the number of dimensions is not supported.
static bool read_type(const Onnx__TypeProto__Tensor *tensor, Input *input) {
    if (!tensor || !elem_from_onnx(tensor->elem_type, &input->elem))
        return false;
    if (!tensor->shape)
        return true;
    if (tensor->shape->n_dim > MAX_RANK)
        return false;
    input->has_shape = true;
    input->rank = (int)tensor->shape->n_dim;
    for (int i = 0; i < input->rank; i++) {
        const Onnx__TensorShapeProto__Dimension *dim = tensor->shape->dim[i];
        if (dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE)
            input->dims[i] = dim->dim_value > 0 ? dim->dim_value : 0;
        else if (dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM &&
                 dim->dim_param[0])
            input->symbols[i] = dim->dim_param;
    }
    return true;
}

static bool read_input(Importer *importer, const Onnx__ValueInfoProto *info, Input *input) {
    if (!info->name || !*info->name)
        return fail(importer, "an input of the graph has no name");
    input->name = info->name;
    if (!info->type || info->type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE ||
        !info->type->tensor_type)
        return fail(importer, "input '%s' is not a tensor", input->name);
    const Onnx__TypeProto__Tensor *tensor = info->type->tensor_type;
    if (read_type(tensor, input))
        return true;
    return fail(
        importer, "input '%s' has elements of type %s and %zu dimensions, which is not supported",
        input->name, onnx_type_name(tensor->elem_type), tensor->shape ? tensor->shape->n_dim : 0);
}

static const char *dims_text(Importer *importer, int rank, const int64_t *dims,
                             const char *const *symbols) {
    const char *text = "";
    for (int i = 0; i < rank; i++) {
        const char *dim = dims[i] ? arena_printf(importer->scratch, "%lld", (long long)dims[i])
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
        return fail(importer, "--shape %s:%s has %d dimensions, the model's input has %d (%s)",
                    input->name, given, option->rank, input->rank, own);
    for (int i = 0; i < option->rank; i++) {
        if (option->dims[i] <= 0)
            return fail(importer, "--shape %s:%s: a dimension must be at least 1", input->name,
                        given);
        if (input->dims[i] && input->dims[i] != option->dims[i])
            return fail(importer,
                        "--shape %s:%s contradicts the model's input %s:%s in dimension %d",
                        input->name, given, input->name, own, i);
        input->dims[i] = option->dims[i];
    }
    input->rank = option->rank;
    input->has_shape = true;
    return true;
}

// The size that --shape gave to the symbol in some input; 0 if none, -1 after a message if two
// differ.
static int64_t symbol_size(Importer *importer, const Input *inputs, int count, const char *symbol) {
    int64_t size = 0;
    for (int i = 0; i < count; i++)
        for (int j = 0; j < inputs[i].rank && inputs[i].option; j++) {
            if (!inputs[i].symbols[j] || strcmp(inputs[i].symbols[j], symbol))
                continue;
            if (size && size != inputs[i].dims[j]) {
                fail(importer,
                     "--shape gives dimension '%s' two sizes: %lld, and %lld in input '%s'", symbol,
                     (long long)size, (long long)inputs[i].dims[j], inputs[i].name);
                return -1;
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
            return fail(
                importer,
                "--shape must name an input, as in --shape NAME:1,3,224,224; there are %d: %s",
                count, input_names(importer, inputs, count));
        for (int j = 0; j < count && !found; j++)
            if (!option->input || !strcmp(option->input, inputs[j].name))
                found = &inputs[j];
        if (!found)
            return fail(importer,
                        "--shape names the input '%s', which the model does not have; it has %s",
                        option->input, input_names(importer, inputs, count));
        if (found->option)
            return fail(importer, "--shape is given twice for the input '%s'", found->name);
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
            return fail(importer,
                        "input '%s' has no shape in the model: give one by --shape %s:1,3,224,224",
                        input->name, input->name);
        for (int j = 0; j < input->rank; j++) {
            const char *symbol = input->symbols[j];
            int64_t size = symbol ? symbol_size(importer, inputs, count, symbol) : 0;
            if (size < 0)
                return false;
            if (!input->dims[j])
                input->dims[j] = size ? size : 1;
        }
        if (dims_count(input->rank, input->dims) < 0)
            return fail(importer, "input '%s' would have more than 2^31 elements", input->name);
    }
    return true;
}

static bool declare_inputs(Importer *importer, const Onnx__GraphProto *graph,
                           const ImportOptions *options) {
    Input *inputs = ARENA_ARRAY(importer->scratch, Input, graph->n_input + 1);
    int count = 0;
    for (size_t i = 0; i < graph->n_input; i++) {
        const char *name = graph->input[i]->name;
        if (name && symbol_find(importer, name) && symbol_find(importer, name)->initializer)
            continue; // as IR 3 has it
        if (!read_input(importer, graph->input[i], &inputs[count]))
            return false;
        if (!declare(importer, inputs[count++].name, "input"))
            return false;
    }
    if (!match_options(importer, options, inputs, count) || !fix_dims(importer, inputs, count))
        return false;
    const Type **types = ARENA_ARRAY(importer->scratch, const Type *, count + 1);
    const char **names = ARENA_ARRAY(importer->scratch, const char *, count + 1);
    for (int i = 0; i < count; i++) {
        types[i] = type_tensor(importer->arena, inputs[i].elem, inputs[i].rank, inputs[i].dims);
        names[i] = inputs[i].name;
    }
    importer->func = func_new(importer->module, "main", count, types, names);
    importer->builder = builder_end(importer->func);
    for (int i = 0; i < count; i++) {
        Symbol *symbol = symbol_find(importer, names[i]);
        symbol->value = &importer->func->args[i];
        symbol->defined = symbol->named = true;
    }
    return true;
}

// ---- nodes

static const char *node_name(const Onnx__NodeProto *proto) {
    if (proto->name && *proto->name)
        return proto->name;
    for (size_t i = 0; i < proto->n_output; i++)
        if (proto->output[i][0])
            return proto->output[i];
    return "unnamed";
}

// Fit for a terminal.
static const char *printable(Arena *arena, const char *text) {
    char *copy = arena_strdup(arena, text);
    for (char *at = copy; *at; at++)
        if (iscntrl((unsigned char)*at))
            *at = '?';
    return copy;
}

// A stand-in of the type that the model states, so that the nodes behind a failed one are still
// examined; the module is dropped in the end. NULL if the model states none, or not all of it.
static Value *stand_in(Importer *importer, const Symbol *symbol) {
    Input input = {0};
    const Onnx__TypeProto *type = symbol->info ? symbol->info->type : NULL;
    if (!type || type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE ||
        !read_type(type->tensor_type, &input))
        return NULL;
    bool fixed = input.elem == ELEM_F32 && input.rank > 0 && dims_count(input.rank, input.dims) > 0;
    if (!fixed)
        return NULL;
    const Type *tensor = type_tensor(importer->arena, input.elem, input.rank, input.dims);
    return op_result(op_new(&importer->builder, OP_requantize, 0, NULL, 1, &tensor, NULL), 0);
}

static void mark_broken(Importer *importer, const Onnx__NodeProto *proto) {
    for (size_t i = 0; i < proto->n_output; i++) {
        Symbol *symbol = proto->output[i][0] ? symbol_find(importer, proto->output[i]) : NULL;
        if (!symbol)
            continue;
        symbol->defined = true;
        symbol->value = stand_in(importer, symbol);
        symbol->broken = !symbol->value;
    }
}

// True if all inputs can be used; says which name is unknown.
static bool inputs_ready(const Node *node) {
    for (int i = 0; i < node_input_count(node); i++) {
        if (!node_has_input(node, i))
            continue;
        const Symbol *symbol = symbol_find(node->importer, node->proto->input[i]);
        if (!symbol || !symbol->defined)
            return node_error(node, "its input '%s' is not computed before it",
                              node->proto->input[i]);
        if (symbol->broken)
            return false;
    }
    return true;
}

static bool is_supported(const Importer *importer, const Onnx__NodeProto *proto) {
    const OnnxOp *op = onnx_op_find(proto->op_type ? proto->op_type : "");
    return op && is_onnx_domain(proto->domain) && importer->opset >= op->first_opset;
}

static void convert_node(Importer *importer, const Onnx__NodeProto *proto) {
    const char *name = node_name(proto);
    Node node = {importer, proto,
                 arena_printf(importer->scratch, "node '%s' (%s)",
                              printable(importer->scratch, name),
                              printable(importer->scratch, proto->op_type ? proto->op_type : ""))};
    importer->builder.loc =
        (Loc){.file = importer->module->file, .name = arena_strdup(importer->arena, name)};
    bool done = is_supported(importer, proto) && inputs_ready(&node) &&
                onnx_op_find(proto->op_type)->convert(&node);
    if (!done)
        mark_broken(importer, proto);
}

static bool same_op(const Onnx__NodeProto *a, const Onnx__NodeProto *b) {
    return !strcmp(a->op_type ? a->op_type : "", b->op_type ? b->op_type : "") &&
           !strcmp(a->domain ? a->domain : "", b->domain ? b->domain : "");
}

// Nodes of one op that is not supported.
typedef struct Group {
    const Onnx__NodeProto *first;
    size_t count;
    struct Group *next;
} Group;

static void report_group(Importer *importer, const Group *group) {
    Arena *scratch = importer->scratch;
    const Onnx__NodeProto *proto = group->first;
    const char *type = printable(scratch, proto->op_type ? proto->op_type : "");
    const char *more =
        group->count > 1 ? arena_printf(scratch, " and %zu more like it", group->count - 1) : "";
    const char *domain =
        is_onnx_domain(proto->domain) ? "ai.onnx" : printable(scratch, proto->domain);
    const OnnxOp *op = is_onnx_domain(proto->domain) ? onnx_op_find(type) : NULL;
    if (op)
        fail(importer,
             "node '%s' (%s)%s: the op is in opset %d and later, the model's opset is %lld",
             printable(scratch, node_name(proto)), type, more, op->first_opset,
             (long long)importer->opset);
    else
        fail(importer,
             "node '%s' (%s)%s: op %s of domain %s is not supported; `qanat ops` lists what is",
             printable(scratch, node_name(proto)), type, more, type, domain);
}

// One message an op, however many nodes; of damaged files, not more than some hundred.
static void report_unsupported(Importer *importer, const Onnx__GraphProto *graph) {
    enum { MAX_GROUPS = 200 };
    Group *groups = NULL, **end = &groups;
    int group_count = 0;
    for (size_t i = 0; i < graph->n_node; i++) {
        const Onnx__NodeProto *proto = graph->node[i];
        if (is_supported(importer, proto))
            continue;
        Group *group = groups;
        while (group && !same_op(group->first, proto))
            group = group->next;
        if (!group && group_count++ < MAX_GROUPS) {
            *end = group = ARENA_NEW(importer->scratch, Group);
            group->first = proto;
            end = &group->next;
        }
        if (group)
            group->count++;
    }
    for (const Group *group = groups; group; group = group->next)
        report_group(importer, group);
}

// ---- outputs

// The value to return under the name of a graph's output: a copy where the value has another name
// to keep.
static Value *output_value(Importer *importer, Symbol *symbol) {
    Value *value = symbol_value(importer, symbol);
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
    Value **values = ARENA_ARRAY(importer->scratch, Value *, graph->n_output);
    importer->builder.loc = loc_file(importer->module->file);
    for (size_t i = 0; i < graph->n_output; i++) {
        Symbol *symbol = symbol_find(importer, graph->output[i]->name);
        values[i] = output_value(importer, symbol);
        if (!values[i])
            return fail(importer, "the graph's output '%s' is computed by no node", symbol->name);
    }
    op_new(&importer->builder, OP_return, (int)graph->n_output, values, 0, NULL, NULL);
    return true;
}

static bool is_unused(const Op *op) {
    if (!op_has(op, PURE))
        return false;
    for (int i = 0; i < op->result_count; i++)
        if (op->results[i].uses)
            return false;
    return true;
}

// Removes what is not used, and makes large constants resources under their names.
static void finish(Importer *importer) {
    for (Op *op = importer->func->last, *prev; op; op = prev) {
        prev = op->prev;
        if (is_unused(op)) {
            op_erase(op);
            continue;
        }
        Dense *dense = op->kind == OP_constant ? (Dense *)value_constant(op_result(op, 0)) : NULL;
        if (!dense || dense->splat || dense_count(dense) <= MAX_RESOURCE_INLINE)
            continue;
        if (!op_result(op, 0)->name)
            name_value(importer, op_result(op, 0), "constant");
        dense->resource = op_result(op, 0)->name;
        module_add_resource(importer->module, dense->resource, dense->data, dense->bytes);
    }
}

static bool import_graph(Importer *importer, const Onnx__GraphProto *graph,
                         const ImportOptions *options) {
    symbols_init(importer, graph->n_initializer + 2 * graph->n_node + graph->n_input);
    if (!declare_initializers(importer, graph) || !declare_inputs(importer, graph, options) ||
        !declare_outputs(importer, graph))
        return false;
    report_unsupported(importer, graph);
    for (size_t i = 0; i < graph->n_node; i++)
        convert_node(importer, graph->node[i]);
    if (diag_error_count(importer->diag) > importer->errors || !emit_return(importer, graph))
        return false;
    finish(importer);
    return true;
}

// A module's name: the file's, without folders and ending.
static const char *module_name(Arena *arena, const char *path) {
    const char *slash = strrchr(path, '/');
    char *name = arena_strdup(arena, slash ? slash + 1 : path);
    char *dot = strrchr(name, '.');
    if (dot && dot != name)
        *dot = 0;
    return name;
}

Module *import_onnx(Arena *arena, Diag *diag, const char *path, const void *data, size_t bytes,
                    const ImportOptions *options) {
    Arena *scratch = arena_new();
    Importer importer = {.arena = arena, .scratch = scratch, .diag = diag, .path = path};
    importer.quiet = diag_new(scratch, NULL);
    importer.errors = diag_error_count(diag);
    bool done = false;
    Onnx__ModelProto *model = onnx_unpack(scratch, diag, path, data, bytes);
    if (model && read_opset(&importer, model)) {
        importer.module = module_new(arena, module_name(scratch, path));
        importer.module->file = arena_strdup(arena, path);
        done = import_graph(&importer, model->graph, options);
    }
    arena_free(scratch);
    return done ? importer.module : NULL;
}
