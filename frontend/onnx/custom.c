// Nodes that --custom gives to a C function of the user: nn.custom, its results' types as the model states them.
#include <stdarg.h>
#include <stdio.h>
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

enum { MAX_TEXT = 1 << 16 };

typedef struct {
    char data[MAX_TEXT];
    int size;
    bool full; // more was added than there is room for
} Text;

static void add(Text *text, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int room = MAX_TEXT - text->size;
    int size = text->full ? room : vsnprintf(text->data + text->size, (size_t)room, format, args);
    va_end(args);
    text->full = size >= room;
    text->size += text->full ? 0 : size;
}

static void add_number(Arena *scratch, Text *text, float value) {
    const char *number = float_text(scratch, value);
    add(text, strpbrk(number, ".ein") ? "%s" : "%s.0", number);
}

static void add_quoted(Text *text, const ProtobufCBinaryData *data) {
    add(text, "\"");
    for (size_t i = 0; i < data->len && !text->full; i++) {
        unsigned char c = data->data[i];
        add(text, c == '"' || c == '\\' ? "\\%c" : c < ' ' || c > '~' ? "\\%02X" : "%c", c);
    }
    add(text, "\"");
}

// False for what is no number, text or list of numbers.
static bool add_attribute(Arena *scratch, Text *text, const Onnx__AttributeProto *attribute) {
    switch (attribute->type) {
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT: return add(text, "%lld", (long long)attribute->i), true;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT: return add_number(scratch, text, attribute->f), true;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING: return add_quoted(text, &attribute->s), true;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS:
        for (size_t i = 0; i < attribute->n_ints && !text->full; i++)
            add(text, "%s%lld", i ? ", " : "[", (long long)attribute->ints[i]);
        return add(text, attribute->n_ints ? "]" : "[]"), true;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS:
        for (size_t i = 0; i < attribute->n_floats && !text->full; i++) {
            add(text, i ? ", " : "[");
            add_number(scratch, text, attribute->floats[i]);
        }
        return add(text, attribute->n_floats ? "]" : "[]"), true;
    default: return false;
    }
}

static const char *attributes_text(const Node *node) {
    Arena *scratch = node->importer->scratch;
    Text text;
    text.data[0] = 0, text.size = 0, text.full = false;
    for (size_t i = 0; i < node->proto->n_attribute; i++) {
        const Onnx__AttributeProto *attribute = node->proto->attribute[i];
        add(&text, "%s%s = ", i ? ", " : "", attribute->name ? attribute->name : "");
        if (add_attribute(scratch, &text, attribute) && !text.full)
            continue;
        node_error(node, "attribute '%s' is no number, text or short list of numbers: make it an input",
                   attribute->name ? attribute->name : "");
        return NULL;
    }
    return arena_strdup(scratch, text.data);
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
