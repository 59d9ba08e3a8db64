// Activations, arithmetic with broadcasting (opset 7 on), softmax and reductions.
#include <math.h>
#include <string.h>

#include "frontend/onnx/importer.h"

static bool convert_unary(Node *node, OpKind kind, Attr *attrs) {
    return node_bind(node, 0, emit_unary(node, kind, node_input(node, 0), attrs));
}

bool convert_relu(Node *node) {
    return convert_unary(node, OP_relu, NULL);
}
bool convert_sigmoid(Node *node) {
    return convert_unary(node, OP_sigmoid, NULL);
}
bool convert_hard_swish(Node *node) {
    return convert_unary(node, OP_hard_swish, NULL);
}
bool convert_tanh(Node *node) {
    return convert_unary(node, OP_tanh, NULL);
}
bool convert_exp(Node *node) {
    return convert_unary(node, OP_exp, NULL);
}
bool convert_sqrt(Node *node) {
    return convert_unary(node, OP_sqrt, NULL);
}

bool convert_leaky_relu(Node *node) {
    double alpha = node_float(node, "alpha", 0.01);
    return convert_unary(node, OP_leaky_relu,
                         attr_float(node->importer->arena, NULL, "alpha", alpha));
}

bool convert_hard_sigmoid(Node *node) {
    Arena *arena = node->importer->arena;
    Attr *attrs = attr_float(arena, NULL, "beta", node_float(node, "beta", 0.5));
    return convert_unary(node, OP_hard_sigmoid,
                         attr_float(arena, attrs, "alpha", node_float(node, "alpha", 0.2)));
}

static Value *emit_clip(const Node *node, Value *input, double min, double max) {
    Arena *arena = node->importer->arena;
    Attr *attrs = max < (double)INFINITY ? attr_float(arena, NULL, "max", max) : NULL;
    if (min > max)
        min = max; // all elements become max
    if (min > -(double)INFINITY)
        attrs = attr_float(arena, attrs, "min", min);
    return attrs ? emit_unary(node, OP_clip, input, attrs) : input;
}

// Bounds are attributes before opset 11, inputs since.
bool convert_clip(Node *node) {
    double min = node_float(node, "min", -(double)INFINITY),
           max = node_float(node, "max", (double)INFINITY);
    if (!node_scalar(node, 1, min, &min) || !node_scalar(node, 2, max, &max))
        return false;
    if (isnan(min) || isnan(max))
        return node_error(node, "a bound is not a number");
    return node_bind(node, 0, emit_clip(node, node_input(node, 0), min, max));
}

// x < 0 ? slope * x : x, the slope broadcast to x.
bool convert_prelu(Node *node) {
    Value *input = node_input(node, 0);
    const Dense *slope = node_dense(node, 1);
    if (!input)
        return false;
    if (slope && (slope->splat || dense_count(slope) == 1) && dense_count(slope)) {
        Attr *attrs = attr_float(node->importer->arena, NULL, "alpha", dense_f64(slope, 0));
        return node_bind(node, 0, emit_unary(node, OP_leaky_relu, input, attrs));
    }
    Value *negative = emit_clip(node, input, -(double)INFINITY, 0);
    Value *scaled = emit_binary(node, OP_mul, negative, node_input(node, 1));
    Value *output = emit_binary(node, OP_add, emit_unary(node, OP_relu, input, NULL), scaled);
    return node_bind(node, 0, output);
}

// ---- arithmetic

static bool convert_binary(Node *node, OpKind kind) {
    Value *a = node_input(node, 0), *b = node_input(node, 1);
    return node_bind(node, 0, emit_binary(node, kind, a, b));
}

bool convert_add(Node *node) {
    return convert_binary(node, OP_add);
}
bool convert_sub(Node *node) {
    return convert_binary(node, OP_sub);
}
// An integer times a constant 0 is 0, whatever it is: exporters keep unused inputs so.
static bool is_integer_zero(const Node *node, int index) {
    const Dense *dense = node_dense(node, index);
    return dense && !elem_is_float(dense->type->elem) && dense_count(dense) == 1 && dense_i64(dense, 0) == 0;
}

bool convert_mul(Node *node) {
    for (int i = 0; i < 2; i++) {
        const Type *other = node_input_type(node, 1 - i);
        if (is_integer_zero(node, i) && other && other->rank >= node_input_type(node, i)->rank)
            return node_bind_dense(node, 0, dense_splat(node->importer->scratch, other, 0));
    }
    return convert_binary(node, OP_mul);
}
bool convert_div(Node *node) {
    return convert_binary(node, OP_div);
}

bool convert_sum(Node *node) {
    Value *sum = node_input(node, 0);
    for (int i = 1; sum && i < node_input_count(node); i++)
        sum = emit_binary(node, OP_add, sum, node_input(node, i));
    return node_bind(node, 0, sum);
}

// A rank-0 constant of the input's element type.
static Value *emit_like(const Node *node, const Value *input, double value) {
    Importer *importer = node->importer;
    if (!input)
        return NULL;
    const Type *type = type_tensor(importer->scratch, input->type->elem, 0, NULL);
    return emit_constant(importer, dense_splat(importer->scratch, type, value), false, NULL);
}

bool convert_neg(Node *node) {
    Value *input = node_input(node, 0);
    return node_bind(node, 0, emit_binary(node, OP_mul, input, emit_like(node, input, -1)));
}

bool convert_reciprocal(Node *node) {
    Value *input = node_input(node, 0);
    return node_bind(node, 0, emit_binary(node, OP_div, emit_like(node, input, 1), input));
}

// |x| = relu(x) + relu(-x)
Value *emit_absolute(const Node *node, Value *input) {
    Value *negated = emit_binary(node, OP_mul, input, emit_like(node, input, -1));
    Value *right = emit_unary(node, OP_relu, negated, NULL);
    return emit_binary(node, OP_add, emit_unary(node, OP_relu, input, NULL), right);
}

bool convert_abs(Node *node) {
    Value *input = node_input(node, 0);
    return input && node_bind(node, 0, emit_absolute(node, input));
}

// Constant exponents for which there is an exact form.
bool convert_pow(Node *node) {
    if (node_is_constant(node))
        return fold_pow(node);
    Value *input = node_input(node, 0), *output = NULL;
    const Dense *dense = node_dense(node, 1);
    if (!input)
        return false;
    bool single = dense && dense_count(dense) == 1 && dense->type->rank <= input->type->rank;
    double exponent = single ? dense_f64(dense, 0) : 0;
    if (exponent == 1)
        output = input;
    else if (exponent == 2)
        output = emit_binary(node, OP_mul, input, input);
    else if (exponent == 3)
        output = emit_binary(node, OP_mul, emit_binary(node, OP_mul, input, input), input);
    else if (exponent == 0.5)
        output = emit_unary(node, OP_sqrt, input, NULL);
    else
        return node_error(node, "only the constant exponents 0.5, 1, 2 and 3 are supported");
    return node_bind(node, 0, output);
}

// ---- minimum and maximum: of constants, or with a constant number, as a clip

static Value *emit_extremum(const Node *node, Value *a, Value *b, bool maximum) {
    if (!a || !b)
        return NULL;
    if (value_constant(a) && !value_constant(b))
        return emit_extremum(node, b, a, maximum);
    const Dense *bound = value_constant(b);
    if (bound && dense_count(bound) == 1 && !isnan(dense_f64(bound, 0)) &&
        a->type->rank >= b->type->rank) {
        double value = dense_f64(bound, 0), infinity = (double)INFINITY;
        return maximum ? emit_clip(node, a, value, infinity) : emit_clip(node, a, -infinity, value);
    }
    node_error(node, "only one tensor and constant numbers are supported");
    return NULL;
}

static bool convert_extremum(Node *node, bool maximum) {
    if (node_is_constant(node))
        return fold_extremum(node);
    Value *value = node_input(node, 0);
    for (int i = 1; value && i < node_input_count(node); i++)
        value = emit_extremum(node, value, node_input(node, i), maximum);
    return node_bind(node, 0, value);
}

bool convert_min(Node *node) {
    return convert_extremum(node, false);
}
bool convert_max(Node *node) {
    return convert_extremum(node, true);
}

// ---- softmax: before opset 13 over all dimensions from `axis` on

bool convert_softmax(Node *node) {
    Value *input = node_input(node, 0);
    bool flat = node->importer->opset < 13;
    if (!input)
        return false;
    int rank = input->type->rank, axis;
    Arena *arena = node->importer->arena;
    if (!node_axis(node, node_int(node, "axis", flat ? 1 : -1), rank, &axis))
        return false;
    if (!flat || axis == rank - 1)
        return node_bind(node, 0,
                         emit_unary(node, OP_softmax, input, attr_int(arena, NULL, "axis", axis)));
    int64_t rows = 1, columns = 1;
    for (int i = 0; i < rank; i++)
        *(i < axis ? &rows : &columns) *= input->type->shape[i];
    Value *matrix = emit_reshape(node, input, 2, (int64_t[]){rows, columns});
    Value *output = emit_unary(node, OP_softmax, matrix, attr_int(arena, NULL, "axis", 1));
    if (!output)
        return false;
    return node_bind(node, 0, emit_reshape(node, output, rank, input->type->shape));
}

// ---- reductions

// The axes in ascending order; all where none are given, unless noop_with_empty_axes.
static bool reduce_axes(Node *node, int rank, int *count, int64_t *sorted) {
    Ints ints;
    int axes[MAX_RANK];
    bool reduced[MAX_RANK] = {false};
    if (!node_ints_or_input(node, "axes", 1, &ints) || !node_axes(node, ints, rank, axes))
        return false;
    for (int i = 0; i < ints.count; i++)
        reduced[axes[i]] = true;
    bool all = ints.count == 0 && !node_int(node, "noop_with_empty_axes", 0);
    *count = 0;
    for (int i = 0; i < rank; i++)
        if (reduced[i] || all)
            sorted[(*count)++] = i;
    return true;
}

// The mean; `elements` receives how many elements each is of.
static Value *emit_mean(Node *node, Value *input, double *elements) {
    int64_t axes[MAX_RANK];
    int count, rank = input->type->rank;
    *elements = 1;
    if (!reduce_axes(node, rank, &count, axes))
        return NULL;
    if (count == 0)
        return input;
    Arena *arena = node->importer->arena;
    for (int i = 0; i < count; i++)
        *elements *= (double)input->type->shape[axes[i]];
    Attr *attrs = attr_ints(arena, NULL, "axes", count, axes);
    if (!node_int(node, "keepdims", 1))
        attrs = attr_bool(arena, attrs, "keep_dims", false);
    return emit_unary(node, OP_reduce_mean, input, attrs);
}

bool convert_reduce_mean(Node *node) {
    Value *input = node_input(node, 0);
    double elements;
    return input && node_bind(node, 0, emit_mean(node, input, &elements));
}

bool convert_reduce_sum(Node *node) {
    Value *input = node_input(node, 0);
    double elements;
    if (!input)
        return false;
    if (input->type->elem != ELEM_F32)
        return node_error(node, "sums of %s tensors are not supported",
                          elem_name(input->type->elem));
    Value *mean = emit_mean(node, input, &elements);
    if (!mean || elements == 1)
        return node_bind(node, 0, mean);
    return node_bind(node, 0, emit_binary(node, OP_mul, mean, emit_scalar(node, elements)));
}
