// Nodes that --custom gives to a C function of the user: nn.custom, its results' types as the model states them.
#include <math.h>
#include <string.h>

#include "frontend/onnx/importer.h"
#include "ir/custom.h"

const CustomOption *custom_find_option(const Importer *importer, const Onnx__NodeProto *proto) {
    const ImportOptions *options = importer->options;
    for (int i = 0; options && i < options->custom_count; i++)
        if (!strcmp(options->customs[i].domain, proto->domain ? proto->domain : "") &&
            !strcmp(options->customs[i].op, proto->op_type ? proto->op_type : ""))
            return &options->customs[i];
    return NULL;
}

// ---- attributes as text

static const char *number_text(Arena *arena, double value) {
    const char *text = float_text(arena, (float)value);
    return strpbrk(text, ".ein") ? text : arena_printf(arena, "%s.0", text);
}

static const char *quoted_text(Arena *arena, const ProtobufCBinaryData *data) {
    const char *text = "";
    for (size_t i = 0; i < data->len; i++) {
        unsigned char c = data->data[i];
        const char *format = c == '"' || c == '\\' ? "%s\\%c" : c < ' ' || c > '~' ? "%s\\%02X" : "%s%c";
        text = arena_printf(arena, format, text, c);
    }
    return arena_printf(arena, "\"%s\"", text);
}

// NULL for what is no number, text or list of numbers.
static const char *attribute_text(Arena *arena, const Onnx__AttributeProto *attribute) {
    const char *text = "";
    switch (attribute->type) {
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT: return arena_printf(arena, "%lld", (long long)attribute->i);
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT: return number_text(arena, attribute->f);
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING: return quoted_text(arena, &attribute->s);
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS:
        for (size_t i = 0; i < attribute->n_ints; i++)
            text = arena_printf(arena, "%s%s%lld", text, i ? ", " : "", (long long)attribute->ints[i]);
        return arena_printf(arena, "[%s]", text);
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS:
        for (size_t i = 0; i < attribute->n_floats; i++)
            text = arena_printf(arena, "%s%s%s", text, i ? ", " : "", number_text(arena, attribute->floats[i]));
        return arena_printf(arena, "[%s]", text);
    default: return NULL;
    }
}

static const char *attributes_text(const Node *node) {
    enum { MAX_TEXT = 1 << 16 };
    Arena *scratch = node->importer->scratch;
    const char *all = "";
    for (size_t i = 0; i < node->proto->n_attribute; i++) {
        const Onnx__AttributeProto *attribute = node->proto->attribute[i];
        size_t elems = attribute->n_ints + attribute->n_floats + attribute->s.len;
        const char *text = elems < MAX_TEXT / 16 ? attribute_text(scratch, attribute) : NULL;
        if (!text) {
            node_error(node, "attribute '%s' is no number, text or short list of numbers: make it an input",
                       attribute->name ? attribute->name : "");
            return NULL;
        }
        all = arena_printf(scratch, "%s%s%s = %s", all, i ? ", " : "", attribute->name, text);
    }
    return all;
}

// ---- the node

// As the model states the input's type: what the nodes before it computed in f32 may be another float there.
static Value *read_operand(const Node *node, int index) {
    Value *value = node_input(node, index);
    const Symbol *symbol = value ? symbol_find(node->importer, node->proto->input[index]) : NULL;
    const Type *type = symbol ? stated_type(node->importer, symbol) : NULL;
    if (!node_has_fixed_size(node, index))
        return NULL;
    return type && elem_is_float(type->elem) && elem_is_float(value->type->elem) ? emit_cast(node, value, type->elem) : value;
}

static bool result_types(const Node *node, const Type **types) {
    for (size_t i = 0; i < node->proto->n_output; i++) {
        const char *name = node->proto->output[i];
        if (!*name)
            return node_error(node, "its output %zu has no name: give it one, and state its type and shape", i);
        const Symbol *symbol = symbol_find(node->importer, name);
        types[i] = symbol ? stated_type(node->importer, symbol) : NULL;
        if (!types[i])
            return node_error(node, "the model does not state the type and shape of its output '%s': add them to the "
                              "graph's value_info (a custom operator's can't be inferred)", name);
    }
    return true;
}

bool convert_custom(Node *node, const CustomOption *custom) {
    Importer *importer = node->importer;
    int inputs = node_input_count(node), outputs = (int)node->proto->n_output;
    if (inputs + outputs > MAX_CUSTOM_TENSORS || outputs < 1)
        return node_error(node, "%d inputs and %d outputs: a custom operator has at least one output and at most %d of both",
                          inputs, outputs, MAX_CUSTOM_TENSORS);
    Value *operands[MAX_CUSTOM_TENSORS];
    const Type *types[MAX_CUSTOM_TENSORS];
    for (int i = 0; i < inputs; i++)
        if (!(operands[i] = read_operand(node, i)))
            return false;
    const char *attributes = attributes_text(node);
    if (!attributes || !result_types(node, types))
        return false;
    Attr *attrs = attr_string(importer->arena, NULL, "symbol", custom->symbol);
    attrs = attr_string(importer->arena, attrs, "attributes", attributes);
    Op *op = op_new(&importer->builder, OP_custom, inputs, operands, outputs, types, attrs);
    for (int i = 0; i < outputs; i++)
        if (!node_bind(node, i, op_result(op, i)))
            return false;
    return true;
}
