// Functions of one and of two tensors, softmax, reductions, conversions.
#include <string.h>

#include "frontend/tflite/importer.h"

// What the schema calls the operators that a table of this file maps by number.
enum {
    CODE_ADD = 0, CODE_FLOOR = 8, CODE_LOGISTIC = 14, CODE_MUL = 18, CODE_RELU = 19, CODE_RELU_N1_TO_1 = 20, CODE_RELU6 = 21, CODE_TANH = 28,
    CODE_MEAN = 40, CODE_SUB = 41, CODE_DIV = 42, CODE_EXP = 47, CODE_LOG_SOFTMAX = 50, CODE_PRELU = 54, CODE_MAXIMUM = 55, CODE_ARG_MAX = 56, CODE_MINIMUM = 57,
    CODE_LESS = 58, CODE_NEG = 59, CODE_GREATER = 61, CODE_GREATER_EQUAL = 62, CODE_LESS_EQUAL = 63, CODE_SIN = 66, CODE_EQUAL = 71,
    CODE_NOT_EQUAL = 72, CODE_LOG = 73, CODE_SUM = 74, CODE_SQRT = 75, CODE_POW = 78, CODE_REDUCE_PROD = 81, CODE_REDUCE_MAX = 82,
    CODE_LOGICAL_OR = 84, CODE_LOGICAL_AND = 86, CODE_LOGICAL_NOT = 87, CODE_REDUCE_MIN = 89, CODE_REDUCE_ANY = 91, CODE_FLOOR_MOD = 95,
    CODE_ABS = 101, CODE_CEIL = 104, CODE_COS = 108, CODE_ELU = 111, CODE_ROUND = 116, CODE_HARD_SWISH = 117, CODE_REDUCE_ALL = 140,
    CODE_RELU_0_TO_1 = 152, CODE_SIGN = 158, CODE_BITWISE_XOR = 160,
};

typedef struct { int code; OpKind kind; } KindRow;

static OpKind kind_in(const KindRow *table, int code) {
    while (table->code != code) table++;
    return table->kind;
}

// ---- of one tensor

bool tflite_function(const LiteOp *op) {
    static const KindRow functions[] = {
        {CODE_FLOOR, OP_floor}, {CODE_LOGISTIC, OP_sigmoid}, {CODE_RELU, OP_relu}, {CODE_TANH, OP_tanh}, {CODE_EXP, OP_exp},
        {CODE_NEG, OP_neg},     {CODE_SIN, OP_sin},          {CODE_LOG, OP_log},   {CODE_SQRT, OP_sqrt}, {CODE_LOGICAL_NOT, OP_not},
        {CODE_ABS, OP_abs},     {CODE_CEIL, OP_ceil},        {CODE_COS, OP_cos},   {CODE_ELU, OP_elu},   {CODE_ROUND, OP_round},
        {CODE_HARD_SWISH, OP_hard_swish}, {CODE_SIGN, OP_sign},
    };
    return lite_bind(op, 0, lite_compute(op, kind_in(functions, op->code), 1, NULL));
}

bool tflite_clip(const LiteOp *op) {
    Arena *arena = op->lite->arena;
    double most = op->code == CODE_RELU6 ? 6 : 1, least = op->code == CODE_RELU_N1_TO_1 ? -1 : 0;
    return lite_bind(op, 0, lite_compute(op, OP_clip, 1, attr_float(arena, attr_float(arena, NULL, "max", most), "min", least)));
}

bool tflite_leaky_relu(const LiteOp *op) {
    Attr *attrs = attr_float(op->lite->arena, NULL, "alpha", (double)flat_float(op->options, FLAT_LeakyReluOptions_alpha));
    return lite_bind(op, 0, lite_compute(op, OP_leaky_relu, 1, attrs));
}

bool tflite_gelu(const LiteOp *op) {
    const char *kind = lite_option(op, FLAT_GeluOptions_approximate) ? "tanh" : "none";
    return lite_bind(op, 0, lite_compute(op, OP_gelu, 1, attr_string(op->lite->arena, NULL, "approximate", kind)));
}

bool tflite_rsqrt(const LiteOp *op) {
    Value *input = lite_real(op, 0), *root = input ? lite_unary(op, OP_sqrt, input, NULL) : NULL;
    return root && lite_bind(op, 0, lite_unary(op, OP_reciprocal, root, NULL));
}

bool tflite_square(const LiteOp *op) {
    Value *input = lite_real(op, 0);
    return input && lite_bind(op, 0, lite_binary(op, OP_mul, input, input));
}

bool tflite_softmax(const LiteOp *op) {
    bool log = op->code == CODE_LOG_SOFTMAX;
    float beta = log ? 1 : flat_float(op->options, FLAT_SoftmaxOptions_beta);
    if (!log && beta == 1) return lite_bind(op, 0, lite_compute(op, OP_softmax, 1, NULL));
    Value *input = lite_real(op, 0);
    if (input && beta != 1) input = lite_binary(op, OP_mul, input, lite_scalar(op, (double)beta));
    return input && lite_bind(op, 0, lite_unary(op, log ? OP_log_softmax : OP_softmax, input, attr_int(op->lite->arena, NULL, "axis", -1)));
}

// Rows of the last dimension by their length, which is at least 1e-6 here.
bool tflite_l2_normalization(const LiteOp *op) {
    Value *input = lite_real(op, 0);
    if (!input || !input->type->rank) return input && lite_error(op, "its input has no dimensions");
    Attr *attrs = attr_ints(op->lite->arena, NULL, "axes", 1, (int64_t[]){input->type->rank - 1});
    Value *sum = lite_unary(op, OP_reduce_sum_square, input, attrs);
    Value *least = sum ? lite_binary(op, OP_max, sum, lite_scalar(op, 1e-12)) : NULL, *root = least ? lite_unary(op, OP_sqrt, least, NULL) : NULL;
    Value *value = root ? lite_binary(op, OP_div, input, root) : NULL;
    return value && lite_bind(op, 0, lite_activate(op, value, lite_option(op, FLAT_L2NormOptions_fused_activation_function), false));
}

// ---- of two tensors

static int64_t activation_of(const LiteOp *op) {
    switch (op->code) {
    case CODE_ADD: return lite_option(op, FLAT_AddOptions_fused_activation_function);
    case CODE_SUB: return lite_option(op, FLAT_SubOptions_fused_activation_function);
    case CODE_MUL: return lite_option(op, FLAT_MulOptions_fused_activation_function);
    case CODE_DIV: return lite_option(op, FLAT_DivOptions_fused_activation_function);
    default: return 0;
    }
}

bool tflite_binary(const LiteOp *op) {
    static const KindRow functions[] = {
        {CODE_ADD, OP_add}, {CODE_SUB, OP_sub}, {CODE_MUL, OP_mul}, {CODE_DIV, OP_div}, {CODE_MAXIMUM, OP_max}, {CODE_MINIMUM, OP_min},
        {CODE_POW, OP_pow}, {CODE_PRELU, OP_prelu}, {CODE_FLOOR_MOD, OP_mod}, {CODE_LOGICAL_OR, OP_or}, {CODE_LOGICAL_AND, OP_and},
        {CODE_BITWISE_XOR, OP_xor},
    };
    int64_t code = activation_of(op);
    bool fused = op->code == CODE_ADD || op->code == CODE_SUB || op->code == CODE_MUL;
    Attr *attrs = fused && code ? attr_string(op->lite->arena, NULL, "activation", lite_activation(code)) : NULL;
    return lite_bind(op, 0, lite_activate(op, lite_compute(op, kind_in(functions, op->code), 2, attrs), code, fused));
}

// In f32, so that tensors of two scales compare.
static bool two_reals(const LiteOp *op, Value **a, Value **b) {
    *a = lite_real(op, 0), *b = lite_real(op, 1);
    return *a && *b;
}

bool tflite_compare(const LiteOp *op) {
    Value *a, *b;
    if (!two_reals(op, &a, &b)) return false;
    switch (op->code) {
    case CODE_LESS: return lite_bind(op, 0, lite_binary(op, OP_less, a, b));
    case CODE_LESS_EQUAL: return lite_bind(op, 0, lite_binary(op, OP_less_equal, a, b));
    case CODE_GREATER: return lite_bind(op, 0, lite_binary(op, OP_less, b, a));
    case CODE_GREATER_EQUAL: return lite_bind(op, 0, lite_binary(op, OP_less_equal, b, a));
    case CODE_EQUAL: return lite_bind(op, 0, lite_binary(op, OP_equal, a, b));
    default: break;
    }
    Value *equal = lite_binary(op, OP_equal, a, b);
    return equal && lite_bind(op, 0, lite_unary(op, OP_not, equal, NULL));
}

bool tflite_squared_difference(const LiteOp *op) {
    Value *a, *b, *difference = two_reals(op, &a, &b) ? lite_binary(op, OP_sub, a, b) : NULL;
    return difference && lite_bind(op, 0, lite_binary(op, OP_mul, difference, difference));
}

// Down, also of negative integers.
bool tflite_floor_div(const LiteOp *op) {
    Value *a, *b;
    if (!two_reals(op, &a, &b)) return false;
    if (elem_is_float(a->type->elem)) {
        Value *quotient = lite_binary(op, OP_div, a, b);
        return quotient && lite_bind(op, 0, lite_unary(op, OP_floor, quotient, NULL));
    }
    // One less where the rest of division towards zero is not the one of division down; nothing here overflows.
    Value *whole = lite_binary(op, OP_div, a, b), *product = whole ? lite_binary(op, OP_mul, whole, b) : NULL;
    Value *rest = product ? lite_binary(op, OP_sub, a, product) : NULL, *down = rest ? lite_binary(op, OP_mod, a, b) : NULL;
    Value *same = down ? lite_binary(op, OP_equal, rest, down) : NULL, *differ = same ? lite_unary(op, OP_not, same, NULL) : NULL;
    Value *less = differ ? lite_cast(op, differ, a->type->elem) : NULL;
    return less && lite_bind(op, 0, lite_binary(op, OP_sub, whole, less));
}

bool tflite_add_n(const LiteOp *op) {
    Value *sum = lite_real(op, 0);
    for (int i = 1; sum && i < lite_input_count(op); i++) {
        Value *next = lite_real(op, i);
        sum = next ? lite_binary(op, OP_add, sum, next) : NULL;
    }
    return lite_bind(op, 0, sum);
}

// A condition of fewer dimensions is of rows in SELECT, and broadcasts in SELECT_V2.
bool tflite_select(const LiteOp *op) {
    enum { CODE_SELECT = 64 };
    Value *condition = lite_input(op, 0), *a = lite_real(op, 1), *b = lite_real(op, 2);
    if (!condition || !a || !b) return false;
    const Type *type = condition->type;
    if (op->code == CODE_SELECT && type->rank == 1 && a->type->rank > 1) {
        int64_t shape[MAX_RANK] = {type->shape[0], 1, 1, 1, 1, 1, 1, 1};
        condition = lite_reshape(op, condition, a->type->rank, shape);
    }
    return condition && lite_bind(op, 0, lite_emit(op, OP_where, 3, (Value *[]){condition, a, b}, NULL));
}

bool tflite_batch_matmul(const LiteOp *op) {
    enum { MOST_TERMS = 1 << 15 }; // of products of 16 bits, within 48
    Value *values[2];
    if (!lite_forms(op, OP_matmul, 2, values)) return false;
    const Type *first = values[0]->type;
    if (first->quant && first->elem == ELEM_I16 && first->rank && (first->shape[first->rank - 1] >= MOST_TERMS || first->shape[first->rank > 1 ? first->rank - 2 : 0] >= MOST_TERMS))
        return lite_error(op, "sums of more than %d products of 16 bits are not supported", MOST_TERMS - 1);
    for (int i = 0; i < 2; i++) {
        int rank = values[i]->type->rank, perm[MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
        if (rank < 2) return lite_error(op, "its inputs have less than 2 dimensions");
        if (!lite_option(op, i ? FLAT_BatchMatMulOptions_adj_y : FLAT_BatchMatMulOptions_adj_x)) continue;
        perm[rank - 1] = rank - 2, perm[rank - 2] = rank - 1;
        if (!(values[i] = lite_transpose(op, values[i], perm))) return false;
    }
    return lite_bind(op, 0, lite_emit_as(op, lite_output(op, 0) ? lite_output(op, 0)->quant : NULL, OP_matmul, 2, values, NULL));
}

// ---- along axes

bool tflite_reduce(const LiteOp *op) {
    static const KindRow functions[] = {
        {CODE_MEAN, OP_reduce_mean}, {CODE_SUM, OP_reduce_sum}, {CODE_REDUCE_PROD, OP_reduce_prod}, {CODE_REDUCE_MAX, OP_reduce_max},
        {CODE_REDUCE_MIN, OP_reduce_min}, {CODE_REDUCE_ANY, OP_reduce_max}, {CODE_REDUCE_ALL, OP_reduce_min},
    };
    LiteInts given;
    OpKind kind = kind_in(functions, op->code);
    Value *input;
    if (!lite_forms(op, kind, 1, &input) || !lite_ints(op, 1, "axes", &given)) return false;
    bool named[MAX_RANK] = {false};
    int64_t axes[MAX_RANK];
    int count = 0;
    for (int i = 0, axis; i < given.count; i++) {
        if (!lite_axis(op, given.data[i], input->type->rank, &axis)) return false;
        named[axis] = true;
    }
    for (int i = 0; i < input->type->rank; i++)
        if (named[i]) axes[count++] = i;
    if (!count) return lite_bind(op, 0, input);
    Arena *arena = op->lite->arena;
    Attr *attrs = attr_ints(arena, attr_bool(arena, NULL, "keep_dims", lite_option(op, FLAT_ReducerOptions_keep_dims) != 0), "axes", count, axes);
    const LiteTensor *output = lite_output(op, 0);
    return lite_bind(op, 0, lite_emit_as(op, output ? output->quant : NULL, kind, 1, &input, attrs));
}

// The only axis that input 1 gives.
static bool one_axis(const LiteOp *op, const Value *input, int *axis) {
    LiteInts given;
    if (!lite_ints(op, 1, "axis", &given)) return false;
    if (given.count != 1) return lite_error(op, "it has %d axes, expected 1", given.count);
    return lite_axis(op, given.data[0], input->type->rank, axis);
}

bool tflite_arg(const LiteOp *op) {
    Value *input = lite_real(op, 0);
    int axis;
    if (!input || !one_axis(op, input, &axis)) return false;
    Arena *arena = op->lite->arena;
    Attr *attrs = attr_int(arena, attr_bool(arena, NULL, "keep_dims", false), "axis", axis);
    return lite_bind(op, 0, lite_unary(op, op->code == CODE_ARG_MAX ? OP_arg_max : OP_arg_min, input, attrs));
}

bool tflite_cumsum(const LiteOp *op) {
    Value *input = lite_real(op, 0);
    int axis;
    if (!input || !one_axis(op, input, &axis)) return false;
    Arena *arena = op->lite->arena;
    Attr *attrs = attr_bool(arena, NULL, "reverse", lite_option(op, FLAT_CumsumOptions_reverse) != 0);
    attrs = attr_bool(arena, attrs, "exclusive", lite_option(op, FLAT_CumsumOptions_exclusive) != 0);
    return lite_bind(op, 0, lite_unary(op, OP_cum_sum, input, attr_int(arena, attrs, "axis", axis)));
}

// ---- conversions

bool tflite_cast(const LiteOp *op) {
    const LiteTensor *output = lite_output(op, 0);
    Value *input = lite_input(op, 0);
    if (!input || !output || output->elem == ELEM_COUNT) return input && lite_error(op, "its result has a type that is not supported");
    return lite_bind(op, 0, input->type->quant ? input : lite_cast(op, input, output->elem));
}

// Between what the types of input and result say: bound, a value is converted.
bool tflite_quantize(const LiteOp *op) {
    const LiteTensor *input = lite_tensor(op, 0);
    bool narrow = input && input->quant && input->quant->axis < 0;
    return lite_bind(op, 0, narrow ? lite_input(op, 0) : lite_real(op, 0));
}

bool tflite_dequantize(const LiteOp *op) { return lite_bind(op, 0, lite_real(op, 0)); }

// Sparse constants are dense already.
bool tflite_densify(const LiteOp *op) {
    if (!lite_dense(op, 0)) return lite_input(op, 0) && lite_error(op, "its input must be constant");
    return lite_bind(op, 0, lite_input(op, 0));
}
