// Operators on integer tensors whose scales are inputs (QLinearConv, com.microsoft.QLinearAdd ...): each is what it says in
// other operators, DequantizeLinear of its operands, the operator itself, QuantizeLinear of the result. The pass fold_qdq makes
// one integer op of them.
#include <string.h>

#include "frontend/onnx/importer.h"

enum { MOST_OPERANDS = 256 };

// Operands and the result are a tensor, a scale and a zero point each, inputs that follow one another; the result is but the
// last two. -1: none.
typedef struct {
    const char *name, *op;
    int operands[2], result, bias;
} Recipe;

static const Recipe recipes[] = {
    {"QLinearConv", "Conv", {0, 3}, 6, 8},
    {"QLinearMatMul", "MatMul", {0, 3}, 6, -1},
    {"QGemm", "Gemm", {0, 3}, 7, 6},
    {"QLinearAdd", "Add", {0, 3}, 6, -1},
    {"QLinearMul", "Mul", {0, 3}, 6, -1},
    {"QLinearAveragePool", "AveragePool", {0, -1}, 3, -1},
    {"QLinearGlobalAveragePool", "GlobalAveragePool", {0, -1}, 3, -1},
    {"QLinearReduceMean", "ReduceMean", {0, -1}, 3, -1},
    {"QLinearLeakyRelu", "LeakyRelu", {0, -1}, 3, -1},
    {"QLinearSigmoid", "Sigmoid", {0, -1}, 3, -1},
    {"QLinearSoftmax", "Softmax", {0, -1}, 3, -1},
};

typedef struct {
    Node *node;
    int count; // of what the operator takes
    char *inputs[MOST_OPERANDS];
} Expansion;

static char *input_name(const Node *node, int index) {
    return node_has_input(node, index) ? node->proto->input[index] : (char *)"";
}

// A tensor between the parts; NULL after a message.
static char *new_name(const Node *node, const char *what) {
    Importer *importer = node->importer;
    const char *base = node->proto->n_output ? node->proto->output[0] : "";
    char *name = (char *)arena_printf(importer->scratch, "%s_%s", base, what);
    for (int i = 1; symbol_find(importer, name); i++)
        name = (char *)arena_printf(importer->scratch, "%s_%s_%d", base, what, i);
    return symbol_add(importer, name) ? name : (node_error(node, "it has no name for a tensor within it"), NULL);
}

static Onnx__AttributeProto *int_attr(Arena *arena, const char *name, int64_t value) {
    Onnx__AttributeProto *attr = ARENA_NEW(arena, Onnx__AttributeProto);
    onnx__attribute_proto__init(attr);
    attr->name = (char *)name;
    attr->has_i = true;
    attr->i = value;
    return attr;
}

static bool convert_part(const Node *node, const char *op, int count, char **inputs, char *output, int attr_count,
                         Onnx__AttributeProto **attrs) {
    Onnx__NodeProto *proto = ARENA_NEW(node->importer->scratch, Onnx__NodeProto);
    onnx__node_proto__init(proto);
    proto->name = node->proto->name;
    proto->op_type = (char *)op;
    proto->input = inputs;
    proto->n_input = (size_t)count;
    proto->output = arena_copy(node->importer->scratch, &output, sizeof output);
    proto->n_output = 1;
    proto->attribute = attrs;
    proto->n_attribute = (size_t)attr_count;
    return convert_as(node, proto);
}

// The operand at input `index`, in f32, is the next input of the operator.
static bool add_operand(Expansion *e, int index, int64_t axis) {
    const Node *node = e->node;
    Arena *scratch = node->importer->scratch;
    char **inputs = ARENA_ARRAY(scratch, char *, 3), *name = new_name(node, "operand");
    for (int i = 0; i < 3; i++)
        inputs[i] = input_name(node, index + i);
    Onnx__AttributeProto *attr = int_attr(scratch, "axis", axis), **attrs = arena_copy(scratch, &attr, sizeof attr);
    if (!name || !convert_part(node, "DequantizeLinear", 3, inputs, name, 1, attrs))
        return false;
    e->inputs[e->count++] = name;
    return true;
}

// Of a factor that makes no scale of it: the numbers that it stands for.
static bool add_real_bias(Expansion *e, int index, const Dense *scales) {
    const Node *node = e->node;
    Arena *scratch = node->importer->scratch;
    const Dense *bias = node_dense(node, index);
    char *name = new_name(node, "bias");
    if (!bias || !name)
        return false;
    Dense *real = dense_alloc(scratch, type_tensor(scratch, ELEM_F32, bias->type->rank, bias->type->shape));
    for (int64_t i = 0, count = dense_count(scales); i < dense_count(bias); i++)
        ((float *)real->data)[i] = (float)(dense_f64(bias, i) * dense_f64(scales, i % count));
    Symbol *symbol = symbol_find(node->importer, name);
    symbol->dense = real;
    symbol->defined = true;
    e->inputs[e->count++] = name;
    return true;
}

// A bias of i32, whose scale is the product of those of the operands.
static bool add_bias(Expansion *e, int index, double factor) {
    const Node *node = e->node;
    Arena *scratch = node->importer->scratch;
    const Dense *a = node_dense(node, 1), *b = node_dense(node, 4);
    const Type *type = node_input_type(node, index);
    char *scale = new_name(node, "bias_scale"), *name = new_name(node, "bias");
    char **inputs = ARENA_ARRAY(scratch, char *, 2);
    if (!type || !scale || !name)
        return type ? false : node_input(node, index) && false;
    int64_t count = dense_count(b);
    if (count != 1 && (type->rank < 1 || type->shape[type->rank - 1] != count))
        return node_error(node, "it has %lld scales of its weight, and a bias of %lld elements", (long long)count,
                          (long long)type_elem_count(type));
    Dense *product = dense_alloc(scratch, type_tensor(scratch, ELEM_F32, count == 1 ? 0 : 1, &count));
    for (int64_t i = 0; i < count; i++)
        ((float *)product->data)[i] = (float)(dense_f64(a, 0) * dense_f64(b, i) * factor);
    if (factor <= 0)
        return add_real_bias(e, index, product);
    Symbol *symbol = symbol_find(node->importer, scale);
    symbol->dense = product;
    symbol->defined = true;
    inputs[0] = input_name(node, index), inputs[1] = scale;
    Onnx__AttributeProto *attr = int_attr(scratch, "axis", -1), **attrs = arena_copy(scratch, &attr, sizeof attr);
    if (!convert_part(node, "DequantizeLinear", 2, inputs, name, 1, attrs))
        return false;
    e->inputs[e->count++] = name;
    return true;
}

// The op that computes bears the model's name of the result, except that an output of the model keeps it.
static void pass_name(const Node *node, const char *real) {
    Importer *importer = node->importer;
    const Symbol *symbol = symbol_find(importer, node->proto->output[0]);
    Value *value = map_find(importer->names, real), *quantized = symbol->quantized ? symbol->quantized->value : NULL;
    if (!value || !value->def || !quantized || symbol->is_output || !quantized->name || strcmp(quantized->name, symbol->name))
        return;
    *map_get(importer->names, real) = *map_get(importer->names, symbol->name) = NULL;
    value->name = quantized->name = NULL;
    name_value(importer, value, symbol->name);
    name_value(importer, quantized, arena_printf(importer->scratch, "%s_i8", symbol->name));
}

static bool finish(Expansion *e, const char *op, int result) {
    Node *node = e->node;
    char *real, **inputs = ARENA_ARRAY(node->importer->scratch, char *, 3);
    if (!node_has_output(node, 0) || !(real = new_name(node, "f32")))
        return true; // nothing asks for it
    char **operands = arena_copy(node->importer->scratch, e->inputs, sizeof *e->inputs * (size_t)(e->count + 1));
    if (!convert_part(node, op, e->count, operands, real, (int)node->proto->n_attribute, node->proto->attribute))
        return false;
    inputs[0] = real, inputs[1] = input_name(node, result), inputs[2] = input_name(node, result + 1);
    if (!convert_part(node, "QuantizeLinear", 3, inputs, node->proto->output[0], 0, NULL))
        return false;
    pass_name(node, real);
    return true;
}

// ---- the operators

static const Recipe *recipe_of(const Node *node) {
    for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++)
        if (!strcmp(recipes[i].name, node->proto->op_type))
            return &recipes[i];
    BUG("%s has no recipe", node->label);
}

static bool has_inputs(const Node *node, int last) {
    for (int i = 0; i <= last; i++)
        if (i % 3 != 2 && !node_has_input(node, i))
            return node_error(node, "input %d is missing", i);
    return true;
}

// Where the scales of the second operand, a weight, go along.
static int64_t weight_axis(const Node *node) {
    const char *op = node->proto->op_type;
    return !strcmp(op, "QLinearConv") || (!strcmp(op, "QGemm") && node_int(node, "transB", 0)) ? 0 : -1;
}

bool convert_qoperator(Node *node) {
    const Recipe *recipe = recipe_of(node);
    Expansion e = {.node = node};
    int64_t opset = node->importer->opset, own = node_int(node, "opset", opset);
    if (node_int(node, "channels_last", 0))
        return node_error(node, "channels_last is not supported: export the model with channels first");
    for (int i = 0; i < 2 && recipe->operands[i] >= 0; i++)
        if (!has_inputs(node, recipe->operands[i] + 1) || !add_operand(&e, recipe->operands[i], i ? weight_axis(node) : 0))
            return false;
    if (recipe->bias >= 0 && node_has_input(node, recipe->bias) && !add_bias(&e, recipe->bias, node_float(node, "alpha", 1)))
        return false;
    node->importer->opset = own; // QLinearSoftmax says of which it is
    bool done = finish(&e, recipe->op, recipe->result);
    node->importer->opset = opset;
    return done;
}

// Everything about operands and result that a quantized type says is constant.
bool has_constant_scales(const Node *node) {
    const Recipe *recipe = recipe_of(node);
    int bias = recipe->bias, scales[] = {1, 4, recipe->result};
    for (int i = 0; i < 3; i++) {
        const Dense *scale = node_dense(node, scales[i]), *zero = node_dense(node, scales[i] + 1);
        if (!scale || (!zero && node_has_input(node, scales[i] + 1)))
            return false;
        bool one = dense_count(scale) == 1 && (!zero || dense_count(zero) == 1);
        if (!one && (i != 1 || !node_dense(node, 3) || scale->type->rank != 1))
            return false;
    }
    return bias < 0 || !node_has_input(node, bias) || node_dense(node, bias);
}

bool convert_qgemm(Node *node) {
    const Type *weight = node_input_type(node, 3);
    if (!has_inputs(node, 4) || !weight)
        return false;
    if (!has_constant_scales(node))
        return node_error(node, "its scales and zero points must be constant");
    return convert_qoperator(node);
}

bool convert_qlinear_concat(Node *node) {
    Expansion e = {.node = node};
    int count = (node_input_count(node) - 2) / 3;
    if (count < 1 || node_input_count(node) != 2 + 3 * count || count >= MOST_OPERANDS)
        return node_error(node, "it has %d inputs, expected 2 and 3 for each tensor, of at most %d", node_input_count(node), MOST_OPERANDS - 1);
    for (int i = 0; i < count; i++)
        if (!add_operand(&e, 2 + 3 * i, 0))
            return false;
    return finish(&e, "Concat", 0);
}
