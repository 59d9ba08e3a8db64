// The nodes of a graph, each by its row of onnx_ops.def; functions and graphs within nodes are
// converted in their place, in a scope of names of their own. A node that fails is reported and its
// results are marked, so that one run reports every node that is not supported.
#include <string.h>

#include "frontend/onnx/importer.h"

// Loops are unrolled and functions inlined; beyond this it is damage or malice.
enum { MAX_INLINED_NODES = 1 << 18, MAX_CALL_DEPTH = 64 };

static bool convert_call(Node *node, const Onnx__FunctionProto *function);

bool import_error(const Importer *importer, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const char *text = arena_vprintf(importer->scratch, format, args);
    va_end(args);
    return diag_error(importer->diag, loc_file(importer->path), "%s", text);
}

bool is_onnx_domain(const char *domain) {
    return !domain || !*domain || !strcmp(domain, "ai.onnx");
}

// ---- functions of the model

static const char *text_of(const char *text) {
    return text ? text : "";
}

static bool same_domain(const char *a, const char *b) {
    return !strcmp(text_of(a), text_of(b)) || (is_onnx_domain(a) && is_onnx_domain(b));
}

static const Onnx__FunctionProto *find_function(const Importer *importer,
                                                const Onnx__NodeProto *proto) {
    const Onnx__ModelProto *model = importer->model;
    for (size_t i = 0; i < model->n_functions; i++)
        if (!strcmp(text_of(model->functions[i]->name), text_of(proto->op_type)) &&
            same_domain(model->functions[i]->domain, proto->domain))
            return model->functions[i];
    return NULL;
}

// ---- nodes

const char *proto_name(const Onnx__NodeProto *proto) {
    if (proto->name && *proto->name)
        return proto->name;
    for (size_t i = 0; i < proto->n_output; i++)
        if (proto->output[i][0])
            return proto->output[i];
    return "unnamed";
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

// Rows of other domains than ai.onnx carry theirs before the name.
static const OnnxOp *find_op(const Importer *importer, const Onnx__NodeProto *proto) {
    const char *name = text_of(proto->op_type);
    if (is_onnx_domain(proto->domain))
        return strchr(name, '.') ? NULL : onnx_op_find(name);
    return onnx_op_find(arena_printf(importer->scratch, "%s.%s", proto->domain, name));
}

bool node_is_supported(const Importer *importer, const Onnx__NodeProto *proto) {
    if (find_function(importer, proto) || custom_find_option(importer, proto))
        return true;
    const OnnxOp *op = find_op(importer, proto);
    return op && importer->opset >= op->first_opset;
}

static void convert_node(Importer *importer, const Onnx__NodeProto *proto) {
    const char *name = proto_name(proto);
    const char *op = printable(importer->scratch, proto->op_type ? proto->op_type : "");
    Node node = {.importer = importer, .proto = proto};
    node.label = arena_printf(importer->scratch, "node '%s' (%s)", printable(importer->scratch, name), op);
    importer->builder.loc =
        (Loc){.file = importer->module->file, .name = arena_strdup(importer->arena, name)};
    const Onnx__FunctionProto *function = find_function(importer, proto);
    const CustomOption *custom = custom_find_option(importer, proto);
    bool ready = node_is_supported(importer, proto) && inputs_ready(&node);
    node.computes_f32 = ready && !function && !custom && node_computes_f32(&node);
    if (ready && !function && !custom)
        node_choose_forms(&node);
    bool done = ready && (custom     ? convert_custom(&node, custom)
                          : function ? convert_call(&node, function)
                                     : find_op(importer, proto)->convert(&node));
    if (!done)
        mark_broken(importer, proto);
}

bool convert_as(const Node *node, const Onnx__NodeProto *proto) {
    Node part = {.importer = node->importer, .proto = proto, .label = node->label};
    if (!inputs_ready(&part))
        return false;
    part.computes_f32 = node_computes_f32(&part);
    node_choose_forms(&part);
    return onnx_op_find(proto->op_type)->convert(&part);
}

void convert_nodes(Importer *importer, size_t count, Onnx__NodeProto *const *nodes) {
    report_unsupported(importer, count, nodes);
    for (size_t i = 0; i < count; i++)
        convert_node(importer, nodes[i]);
}

// ---- graphs within nodes

bool binding_of_input(const Node *node, int index, Binding *binding) {
    *binding = (Binding){.dense = node_dense(node, index)};
    if (!binding->dense)
        binding->value = node_input(node, index);
    return binding->dense || binding->value;
}

bool node_bind_binding(const Node *node, int index, Binding binding) {
    return binding.dense ? node_bind_dense(node, index, binding.dense)
                         : node_bind(node, index, binding.value);
}

Value *binding_value(const Node *node, Binding binding) {
    if (binding.value || !binding.dense)
        return binding.value;
    return emit_constant(node->importer, binding.dense, false, NULL);
}

static bool declare_name(const Node *node, const char *name, Symbol **symbol) {
    *symbol = symbol_add(node->importer, name);
    return *symbol || node_error(node, "the name '%s' is given twice in a graph within it", name);
}

static bool bind_name(const Node *node, const char *name, Binding binding) {
    Symbol *symbol;
    if (!declare_name(node, name, &symbol))
        return false;
    symbol->value = binding.value;
    symbol->dense = binding.dense;
    symbol->absent = !binding.value && !binding.dense;
    symbol->defined = true;
    return true;
}

static bool declare_results(const Node *node, size_t count, Onnx__NodeProto *const *nodes) {
    Symbol *symbol;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < nodes[i]->n_output; j++)
            if (nodes[i]->output[j][0] && !declare_name(node, nodes[i]->output[j], &symbol))
                return false;
    return true;
}

static bool convert_body(const Node *node, size_t count, Onnx__NodeProto *const *nodes) {
    Importer *importer = node->importer;
    int errors = diag_error_count(importer->diag);
    importer->inlined_nodes += (int64_t)count + 1;
    if (importer->inlined_nodes > MAX_INLINED_NODES)
        return node_error(node, "its loops and functions come to more than %d nodes",
                          MAX_INLINED_NODES);
    Loc loc = importer->builder.loc;
    convert_nodes(importer, count, nodes);
    importer->builder.loc = loc;
    return diag_error_count(importer->diag) == errors;
}

static bool read_result(const Node *node, const char *name, Binding *out) {
    Symbol *symbol = symbol_find(node->importer, text_of(name));
    if (!symbol || !symbol->defined)
        return node_error(node, "the result '%s' of a graph within it is computed by no node",
                          text_of(name));
    *out = (Binding){.dense = symbol_dense(node->importer, symbol)};
    if (!out->dense)
        out->value = symbol_value(node->importer, symbol);
    return out->dense || out->value;
}

static bool fill_scope(const Node *node, const Onnx__GraphProto *graph, int input_count,
                       const Binding *inputs) {
    for (int i = 0; i < input_count; i++)
        if (!bind_name(node, text_of(graph->input[i]->name), inputs[i]))
            return false;
    for (size_t i = 0; i < graph->n_initializer; i++) {
        Symbol *symbol;
        if (!declare_name(node, text_of(graph->initializer[i]->name), &symbol))
            return false;
        symbol->initializer = graph->initializer[i];
        symbol->defined = true;
    }
    for (size_t i = 0; i < graph->n_sparse_initializer; i++) {
        Symbol *symbol;
        if (!declare_name(node, sparse_name(graph->sparse_initializer[i]), &symbol))
            return false;
        symbol->sparse = graph->sparse_initializer[i];
        symbol->defined = true;
    }
    return declare_results(node, graph->n_node, graph->node);
}

bool convert_graph(const Node *node, const Onnx__GraphProto *graph, int input_count,
                   const Binding *inputs, int output_count, Binding *outputs) {
    Importer *importer = node->importer;
    if (!graph || graph->n_input != (size_t)input_count ||
        graph->n_output != (size_t)output_count)
        return node_error(node,
                          "a graph within it has %zu inputs and %zu outputs, expected %d and %d",
                          graph ? graph->n_input : 0, graph ? graph->n_output : 0, input_count,
                          output_count);
    Scope *outer = importer->scope;
    scope_enter(importer, graph->n_initializer + 2 * graph->n_node, outer);
    bool done = fill_scope(node, graph, input_count, inputs);
    note_types(importer, graph);
    done = done && convert_body(node, graph->n_node, graph->node);
    for (int i = 0; done && i < output_count; i++)
        done = read_result(node, graph->output[i]->name, &outputs[i]);
    importer->scope = outer;
    return done;
}

// ---- calls of functions

static bool fill_call(const Node *node, const Onnx__FunctionProto *function,
                      const Binding *inputs) {
    for (size_t i = 0; i < function->n_input; i++)
        if (!bind_name(node, function->input[i], inputs[i]))
            return false;
    return declare_results(node, function->n_node, function->node);
}

static int64_t opset_of(const Onnx__FunctionProto *function, int64_t fallback) {
    for (size_t i = 0; i < function->n_opset_import; i++)
        if (is_onnx_domain(function->opset_import[i]->domain))
            return function->opset_import[i]->version;
    return fallback;
}

static bool check_call(const Node *node, const Onnx__FunctionProto *function) {
    int depth = 0;
    for (const Call *call = node->importer->call; call; call = call->outer)
        depth++;
    if (depth >= MAX_CALL_DEPTH)
        return node_error(node, "functions call each other more than %d deep", MAX_CALL_DEPTH);
    if (node->proto->n_input <= function->n_input && node->proto->n_output <= function->n_output)
        return true;
    return node_error(node, "it has %zu inputs and %zu outputs, its function has %zu and %zu",
                      node->proto->n_input, node->proto->n_output, function->n_input,
                      function->n_output);
}

static bool convert_call(Node *node, const Onnx__FunctionProto *function) {
    Importer *importer = node->importer;
    size_t count = node->proto->n_output;
    Binding *inputs = ARENA_ARRAY(importer->scratch, Binding, function->n_input + 1);
    Binding *outputs = ARENA_ARRAY(importer->scratch, Binding, count + 1);
    if (!check_call(node, function))
        return false;
    for (size_t i = 0; i < function->n_input; i++)
        if (node_has_input(node, (int)i) && !binding_of_input(node, (int)i, &inputs[i]))
            return false;
    Importer outer = *importer;
    Call call = {node->proto, function, outer.call};
    importer->opset = opset_of(function, outer.opset);
    scope_enter(importer, 2 * function->n_node, NULL);
    bool done = fill_call(node, function, inputs);
    importer->call = &call;
    done = done && convert_body(node, function->n_node, function->node);
    for (size_t i = 0; done && i < count; i++)
        done = !node->proto->output[i][0] || read_result(node, function->output[i], &outputs[i]);
    importer->call = outer.call;
    importer->scope = outer.scope;
    importer->opset = outer.opset;
    for (size_t i = 0; done && i < count; i++)
        done = !node->proto->output[i][0] || node_bind_binding(node, (int)i, outputs[i]);
    return done;
}

// The attribute of the call that an attribute within a function refers to, or the function's
// default, which protobuf messages older than the field hold as unknown data (field 11).
const Onnx__AttributeProto *call_attr(const Importer *importer, const char *name) {
    const Call *call = importer->call;
    if (!call)
        return NULL;
    for (size_t i = 0; i < call->proto->n_attribute; i++) {
        const Onnx__AttributeProto *attr = call->proto->attribute[i];
        if (strcmp(text_of(attr->name), name))
            continue;
        if (!attr->ref_attr_name || !*attr->ref_attr_name)
            return attr;
        Importer outer = *importer;
        outer.call = call->outer;
        return call_attr(&outer, attr->ref_attr_name);
    }
    ProtobufCAllocator allocator = {arena_allocate, arena_release, importer->scratch};
    for (unsigned i = 0; i < call->function->base.n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *field = &call->function->base.unknown_fields[i];
        size_t skip = 0;
        while (skip < field->len && field->data[skip] & 0x80)
            skip++;
        if (field->tag != 11 || skip >= field->len)
            continue;
        Onnx__AttributeProto *attr = onnx__attribute_proto__unpack(
            &allocator, field->len - skip - 1, field->data + skip + 1);
        if (attr && !strcmp(text_of(attr->name), name))
            return attr;
    }
    return NULL;
}
