// Activations, arithmetic with broadcasting, softmax and reductions.
#include <math.h>
#include <string.h>

#include "frontend/onnx/importer.h"

static bool convert_unary(Node *node, OpKind kind, Attr *attrs) {
    return node_bind(node, 0, emit_unary(node, kind, node_input(node, 0), attrs));
}

// Functions of one tensor without attributes.
bool convert_function(Node *node) {
    static const struct {
        const char *name;
        OpKind kind;
    } functions[] = {
        {"Abs", OP_abs},           {"Acos", OP_acos},         {"Acosh", OP_acosh},
        {"Asin", OP_asin},         {"Asinh", OP_asinh},       {"Atan", OP_atan},
        {"Atanh", OP_atanh},       {"BitwiseNot", OP_not},    {"Ceil", OP_ceil},
        {"Cos", OP_cos},           {"Cosh", OP_cosh},         {"Erf", OP_erf},
        {"Exp", OP_exp},           {"Floor", OP_floor},       {"HardSwish", OP_hard_swish},
        {"IsNaN", OP_is_nan},      {"Log", OP_log},           {"Mish", OP_mish},
        {"Neg", OP_neg},           {"Not", OP_not},           {"Reciprocal", OP_reciprocal},
        {"Round", OP_round},       {"Sigmoid", OP_sigmoid},   {"Sign", OP_sign},
        {"Sin", OP_sin},           {"Sinh", OP_sinh},         {"Softplus", OP_softplus},
        {"Softsign", OP_softsign}, {"Sqrt", OP_sqrt},         {"Tan", OP_tan},
        {"Tanh", OP_tanh},
    };
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (!strcmp(functions[i].name, node->proto->op_type))
            return convert_unary(node, functions[i].kind, NULL);
    BUG("%s has no row in convert_function", node->label);
}

// A rank-0 constant of the input's element type.
static Value *emit_like(const Node *node, const Value *input, double value) {
    Importer *importer = node->importer;
    if (!input)
        return NULL;
    const Type *type = type_tensor(importer->scratch, input->type->elem, 0, NULL);
    return emit_constant(importer, dense_splat(importer->scratch, type, value), false, NULL);
}

bool convert_relu(Node *node) {
    Value *input = node_input(node, 0);
    if (input && !elem_is_float(input->type->elem))
        return node_bind(node, 0, emit_binary(node, OP_max, input, emit_like(node, input, 0)));
    return convert_unary(node, OP_relu, NULL);
}

// Functions with one number besides the tensor.
static bool convert_with_alpha(Node *node, OpKind kind, double fallback) {
    double alpha = node_float(node, "alpha", fallback);
    return convert_unary(node, kind, attr_float(node->importer->arena, NULL, "alpha", alpha));
}

bool convert_elu(Node *node) {
    return convert_with_alpha(node, OP_elu, 1);
}
bool convert_celu(Node *node) {
    return convert_with_alpha(node, OP_celu, 1);
}
bool convert_swish(Node *node) {
    return convert_with_alpha(node, OP_swish, 1);
}
bool convert_thresholded_relu(Node *node) {
    return convert_with_alpha(node, OP_thresholded_relu, 1);
}

bool convert_selu(Node *node) {
    Arena *arena = node->importer->arena;
    bool old = node->importer->opset < 6;
    double alpha = node_float(node, "alpha", old ? 1.6732 : 1.67326319217681884765625),
           gamma = node_float(node, "gamma", old ? 1.0507 : 1.05070102214813232421875);
    return convert_unary(node, OP_selu,
                         attr_float(arena, attr_float(arena, NULL, "gamma", gamma), "alpha", alpha));
}

bool convert_shrink(Node *node) {
    Arena *arena = node->importer->arena;
    Attr *attrs = attr_float(arena, NULL, "lambda", node_float(node, "lambd", 0.5));
    return convert_unary(node, OP_shrink,
                         attr_float(arena, attrs, "bias", node_float(node, "bias", 0)));
}

bool convert_gelu(Node *node) {
    const char *approximate = node_string(node, "approximate", "none");
    return convert_unary(node, OP_gelu,
                         attr_string(node->importer->arena, NULL, "approximate", approximate));
}

bool convert_is_inf(Node *node) {
    Arena *arena = node->importer->arena;
    Attr *attrs = attr_bool(arena, NULL, "positive", node_int(node, "detect_positive", 1) != 0);
    return convert_unary(node, OP_is_inf,
                         attr_bool(arena, attrs, "negative", node_int(node, "detect_negative", 1) != 0));
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

// Whether bound `index` is absent or a constant number: an attribute of the clip.
static bool is_number(const Node *node, int index) {
    const Dense *dense = node_dense(node, index);
    return !node_has_input(node, index) || (dense && dense_count(dense) == 1);
}

// Bounds are attributes before opset 11, inputs since. Those that are computed, and bounds of integers, are maximum and
// minimum of two tensors.
bool convert_clip(Node *node) {
    Value *input = node_input(node, 0);
    double min = node_float(node, "min", -(double)INFINITY),
           max = node_float(node, "max", (double)INFINITY);
    if (!input)
        return false;
    if (!elem_is_float(input->type->elem) || !is_number(node, 1) || !is_number(node, 2)) {
        if (node_has_input(node, 1))
            input = emit_binary(node, OP_max, input, node_input(node, 1));
        if (node_has_input(node, 2))
            input = emit_binary(node, OP_min, input, node_input(node, 2));
        return node_bind(node, 0, input);
    }
    if (!node_scalar(node, 1, min, &min) || !node_scalar(node, 2, max, &max))
        return false;
    if (isnan(min) || isnan(max))
        return node_error(node, "a bound is not a number");
    return node_bind(node, 0, emit_clip(node, input, min, max));
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
    return node_bind(node, 0, emit_binary(node, OP_prelu, input, node_slope(node, input)));
}

// ---- arithmetic

// Functions of two tensors without attributes. Some are those of others with the operands exchanged.
// What ONNX Runtime sums as bytes, in a way of its own.
static Attr *sum_attrs(const Node *node) {
    Arena *arena = node->importer->arena;
    Elem a = node_origin(node, 0);
    if (strcmp(node->proto->op_type, "Add") || a != node_origin(node, 1) || (a != ELEM_I8 && a != ELEM_U8))
        return NULL;
    Attr *attrs = attr_bool(arena, NULL, "fused", true);
    return a == ELEM_U8 ? attr_bool(arena, attrs, "of_u8", true) : attrs;
}

bool convert_binary(Node *node) {
    static const struct {
        const char *name;
        OpKind kind;
        bool exchanged;
    } functions[] = {
        {"Add", OP_add, false},           {"And", OP_and, false},
        {"BitwiseAnd", OP_and, false},    {"BitwiseOr", OP_or, false},
        {"BitwiseXor", OP_xor, false},    {"Div", OP_div, false},
        {"Equal", OP_equal, false},       {"Greater", OP_less, true},
        {"GreaterOrEqual", OP_less_equal, true}, {"Less", OP_less, false},
        {"LessOrEqual", OP_less_equal, false},   {"Mul", OP_mul, false},
        {"Or", OP_or, false},             {"Sub", OP_sub, false},
        {"Xor", OP_xor, false},
    };
    Value *a = node_input(node, 0), *b = node_right(node, a);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (strcmp(functions[i].name, node->proto->op_type))
            continue;
        Value *operands[] = {functions[i].exchanged ? b : a, functions[i].exchanged ? a : b};
        return node_bind(node, 0, emit(node, functions[i].kind, 2, operands, sum_attrs(node)));
    }
    BUG("%s has no row in convert_binary", node->label);
}

bool convert_mod(Node *node) {
    Value *operands[] = {node_input(node, 0), node_input(node, 1)};
    Attr *attrs = attr_bool(node->importer->arena, NULL, "fmod", node_int(node, "fmod", 0) != 0);
    return node_bind(node, 0, emit(node, OP_mod, 2, operands, attrs));
}

bool convert_bit_shift(Node *node) {
    const char *direction = node_string(node, "direction", "");
    if (strcmp(direction, "LEFT") && strcmp(direction, "RIGHT"))
        return node_error(node, "direction '%s' is neither 'LEFT' nor 'RIGHT'", direction);
    OpKind kind = *direction == 'L' ? OP_shift_left : OP_shift_right;
    return node_bind(node, 0, emit_binary(node, kind, node_input(node, 0), node_input(node, 1)));
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
    return convert_binary(node);
}

bool convert_where(Node *node) {
    Value *operands[] = {node_input(node, 0), node_input(node, 1), node_input(node, 2)};
    return node_bind(node, 0, emit(node, OP_where, 3, operands, NULL));
}

bool convert_sum(Node *node) {
    Value *sum = node_input(node, 0);
    for (int i = 1; sum && i < node_input_count(node); i++)
        sum = emit_binary(node, OP_add, sum, node_input(node, i));
    return node_bind(node, 0, sum);
}

bool convert_mean(Node *node) {
    Value *sum = node_input(node, 0);
    int count = node_input_count(node);
    for (int i = 1; sum && i < count; i++)
        sum = emit_binary(node, OP_add, sum, node_input(node, i));
    return node_bind(node, 0,
                     count > 1 ? emit_binary(node, OP_div, sum, emit_like(node, sum, count)) : sum);
}

// Small constant exponents as products and roots; NULL: not one of those.
static Value *emit_simple_power(const Node *node, Value *input, const Dense *dense) {
    bool single = dense && dense_count(dense) == 1 && dense->type->rank <= input->type->rank;
    double exponent = single && elem_is_float(input->type->elem) ? dense_f64(dense, 0) : 0;
    if (exponent == 1)
        return input;
    if (exponent == 2)
        return emit_binary(node, OP_mul, input, input);
    if (exponent == 3)
        return emit_binary(node, OP_mul, emit_binary(node, OP_mul, input, input), input);
    return exponent == 0.5 ? emit_unary(node, OP_sqrt, input, NULL) : NULL;
}

// The result has the type of the base; between an integer and a float the power is taken in f32.
bool convert_pow(Node *node) {
    Value *base = node_input(node, 0), *exponent = node_right(node, base);
    if (!base || !exponent)
        return false;
    Value *simple = emit_simple_power(node, base, node_dense(node, 1));
    if (simple)
        return node_bind(node, 0, simple);
    Elem elem = base->type->elem, common = elem;
    if (!elem_is_float(elem) && elem_is_float(exponent->type->elem))
        common = exponent->type->elem;
    Value *from = emit_cast(node, base, common), *to = emit_cast(node, exponent, common);
    Value *power = emit_binary(node, OP_pow, from, to);
    return node_bind(node, 0, emit_cast(node, power, elem));
}

// ---- minimum and maximum: with a constant number a clip

static Value *emit_extremum(const Node *node, Value *a, Value *b, bool maximum) {
    if (!a || !b)
        return NULL;
    if (value_constant(a) && !value_constant(b))
        return emit_extremum(node, b, a, maximum);
    const Dense *bound = value_constant(b);
    bool is_clip = bound && dense_count(bound) == 1 && !isnan(dense_f64(bound, 0)) &&
                   a->type->rank >= b->type->rank && a->type->elem == ELEM_F32 && b->type->elem == ELEM_F32;
    if (!is_clip || value_constant(a))
        return emit_binary(node, maximum ? OP_max : OP_min, a, b);
    double value = dense_f64(bound, 0), infinity = (double)INFINITY;
    return maximum ? emit_clip(node, a, value, infinity) : emit_clip(node, a, -infinity, value);
}

static bool convert_extremum(Node *node, bool maximum) {
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

// ---- softmax and its like: before opset 13 over all dimensions from `axis` on

static bool convert_along(Node *node, OpKind kind) {
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
                         emit_unary(node, kind, input, attr_int(arena, NULL, "axis", axis)));
    int64_t rows = 1, columns = 1;
    for (int i = 0; i < rank; i++)
        *(i < axis ? &rows : &columns) *= input->type->shape[i];
    Value *matrix = emit_reshape(node, input, 2, (int64_t[]){rows, columns});
    Value *output = emit_unary(node, kind, matrix, attr_int(arena, NULL, "axis", 1));
    if (!output)
        return false;
    return node_bind(node, 0, emit_reshape(node, output, rank, input->type->shape));
}

bool convert_softmax(Node *node) {
    return convert_along(node, OP_softmax);
}
bool convert_log_softmax(Node *node) {
    return convert_along(node, OP_log_softmax);
}
bool convert_hardmax(Node *node) {
    return convert_along(node, OP_hardmax);
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

bool convert_reduce(Node *node) {
    static const struct {
        const char *name;
        OpKind kind;
    } reductions[] = {
        {"ReduceL1", OP_reduce_l1},
        {"ReduceL2", OP_reduce_l2},
        {"ReduceLogSum", OP_reduce_log_sum},
        {"ReduceLogSumExp", OP_reduce_log_sum_exp},
        {"ReduceMax", OP_reduce_max},
        {"ReduceMean", OP_reduce_mean},
        {"ReduceMin", OP_reduce_min},
        {"ReduceProd", OP_reduce_prod},
        {"ReduceSum", OP_reduce_sum},
        {"ReduceSumSquare", OP_reduce_sum_square},
    };
    Value *input = node_input(node, 0);
    int64_t axes[MAX_RANK];
    int count;
    if (!input || !reduce_axes(node, input->type->rank, &count, axes))
        return false;
    bool noop = node_int(node, "noop_with_empty_axes", 0) != 0;
    Arena *arena = node->importer->arena;
    Attr *attrs = attr_ints(arena, NULL, "axes", count, axes);
    if (!node_int(node, "keepdims", 1))
        attrs = attr_bool(arena, attrs, "keep_dims", false);
    for (size_t i = 0; i < sizeof reductions / sizeof *reductions; i++) {
        OpKind kind = reductions[i].kind;
        if (strcmp(reductions[i].name, node->proto->op_type))
            continue;
        bool changes = kind != OP_reduce_sum && kind != OP_reduce_max && kind != OP_reduce_min &&
                       kind != OP_reduce_mean && kind != OP_reduce_prod;
        if (count == 0 && noop && !changes)
            return node_bind(node, 0, input);
        return node_bind(node, 0, emit_unary(node, kind, input, attrs));
    }
    BUG("%s has no row in convert_reduce", node->label);
}

bool convert_arg(Node *node) {
    Value *input = node_input(node, 0);
    Arena *arena = node->importer->arena;
    int axis;
    if (!input || !node_axis(node, node_int(node, "axis", 0), input->type->rank, &axis))
        return false;
    Attr *attrs = attr_bool(arena, NULL, "last", node_int(node, "select_last_index", 0) != 0);
    attrs = attr_bool(arena, attrs, "keep_dims", node_int(node, "keepdims", 1) != 0);
    OpKind kind = !strcmp(node->proto->op_type, "ArgMax") ? OP_arg_max : OP_arg_min;
    return node_bind(node, 0, emit_unary(node, kind, input, attr_int(arena, attrs, "axis", axis)));
}

bool convert_cumulative(Node *node) {
    OpKind kind = strcmp(node->proto->op_type, "CumProd") ? OP_cum_sum : OP_cum_prod;
    Value *input = node_input(node, 0);
    Arena *arena = node->importer->arena;
    double given;
    int axis;
    if (!input || !node_scalar(node, 1, 0, &given) ||
        !node_axis(node, (int64_t)given, input->type->rank, &axis))
        return false;
    Attr *attrs = attr_bool(arena, NULL, "reverse", node_int(node, "reverse", 0) != 0);
    attrs = attr_bool(arena, attrs, "exclusive", node_int(node, "exclusive", 0) != 0);
    return node_bind(node, 0, emit_unary(node, kind, input, attr_int(arena, attrs, "axis", axis)));
}
