// Ops that give constants, and those that are supported only on constants: shapes, ranges,
// comparisons. Their results exist while importing and leave no op unless something takes them as
// data.
#include <math.h>
#include <string.h>

#include "frontend/onnx/importer.h"

// ---- constants

static const Dense *dense_from_floats(Arena *arena, bool scalar, size_t count,
                                      const float *values) {
    const Type *type = type_tensor(arena, ELEM_F32, scalar ? 0 : 1, &(int64_t){(int64_t)count});
    return dense_new(arena, type, arena_copy(arena, values, sizeof *values * count), false);
}

static const Dense *dense_from_int_list(Arena *arena, bool scalar, size_t count,
                                        const int64_t *values) {
    const Type *type = type_tensor(arena, ELEM_I64, scalar ? 0 : 1, &(int64_t){(int64_t)count});
    return dense_new(arena, type, arena_copy(arena, values, sizeof *values * count), false);
}

bool convert_constant(Node *node) {
    Importer *importer = node->importer;
    Arena *arena = importer->scratch;
    for (size_t i = 0; i < node->proto->n_attribute; i++) {
        const Onnx__AttributeProto *attr = node->proto->attribute[i];
        const char *name = attr->name ? attr->name : "";
        if (!strcmp(name, "value") && attr->t)
            return node_bind_dense(node, 0, dense_from_proto(importer, attr->t, node->label));
        if (!strcmp(name, "value_float"))
            return node_bind_dense(node, 0, dense_from_floats(arena, true, 1, &attr->f));
        if (!strcmp(name, "value_int"))
            return node_bind_dense(node, 0, dense_from_int_list(arena, true, 1, &attr->i));
        if (!strcmp(name, "value_floats"))
            return node_bind_dense(node, 0,
                                   dense_from_floats(arena, false, attr->n_floats, attr->floats));
        if (!strcmp(name, "value_ints"))
            return node_bind_dense(node, 0,
                                   dense_from_int_list(arena, false, attr->n_ints, attr->ints));
        if (!strncmp(name, "value_string", 12))
            return node_error(node, "strings are not supported");
        if (!strcmp(name, "sparse_value"))
            return node_error(node, "sparse constants are not supported");
    }
    return node_error(node, "it has no value");
}

bool convert_constant_of_shape(Node *node) {
    Importer *importer = node->importer;
    const Onnx__AttributeProto *attr = node_attr(node, "value");
    Ints shape;
    if (!node_has_input(node, 0))
        return node_error(node, "input 0 is missing");
    if (!node_ints_or_input(node, "shape", 0, &shape))
        return false;
    if (shape.count > MAX_RANK || dims_count(shape.count, shape.data) < 0)
        return node_error(node,
                          "its shape is out of bounds: at most %d dimensions, none negative, and "
                          "at most 2^31 elements "
                          "are supported",
                          MAX_RANK);
    Elem elem = ELEM_F32;
    double value = 0;
    if (attr && attr->t) {
        const Dense *dense = dense_from_proto(importer, attr->t, node->label);
        if (!dense)
            return false;
        if (dense_count(dense) != 1)
            return node_error(node, "its value must be one element");
        elem = dense->type->elem;
        value = dense_f64(dense, 0);
    }
    const Type *type = type_tensor(importer->scratch, elem, shape.count, shape.data);
    return node_bind_dense(node, 0, dense_splat(importer->scratch, type, value));
}

// ---- shapes

bool convert_shape(Node *node) {
    const Type *type = node_input_type(node, 0);
    if (!type)
        return node_input(node, 0) && false;
    int64_t rank = type->rank, start = node_int(node, "start", 0),
            end = node_int(node, "end", rank);
    start = start < -rank ? 0 : start < 0 ? start + rank : start > rank ? rank : start;
    end = end < -rank ? 0 : end < 0 ? end + rank : end > rank ? rank : end;
    int count = end > start ? (int)(end - start) : 0;
    return node_bind_dense(
        node, 0,
        dense_from_ints(node->importer->scratch, count, type->shape + (count ? start : 0)));
}

bool convert_size(Node *node) {
    const Type *type = node_input_type(node, 0);
    if (!type)
        return node_input(node, 0) && false;
    int64_t count = type_elem_count(type);
    return node_bind_dense(node, 0, dense_from_int_list(node->importer->scratch, true, 1, &count));
}

bool convert_range(Node *node) {
    double start, limit, delta;
    const Type *type = node_input_type(node, 0);
    if (!type || !node_has_input(node, 2))
        return node_error(node, "it needs three constant inputs");
    if (!node_scalar(node, 0, 0, &start) || !node_scalar(node, 1, 0, &limit) ||
        !node_scalar(node, 2, 1, &delta))
        return false;
    double count = ceil((limit - start) / delta);
    if (!(delta != 0) || !(count <= (double)MAX_FOLD_ELEMS))
        return node_error(node, "its range is too long, or endless");
    Importer *importer = node->importer;
    int64_t dim = count > 0 ? (int64_t)count : 0;
    Tensor tensor =
        tensor_new(importer->scratch, type_tensor(importer->scratch, type->elem, 1, &dim));
    for (int64_t i = 0; i < dim; i++)
        tensor_set_f64(&tensor, i, start + (double)i * delta);
    return node_bind_dense(node, 0, dense_new(importer->scratch, tensor.type, tensor.data, false));
}

// ---- elementwise on constants, with broadcasting

enum { MAX_CONSTANT_OPERANDS = 16 };

typedef struct {
    int count, rank;
    const Dense *dense[MAX_CONSTANT_OPERANDS];
    int64_t shape[MAX_RANK];
} Constants;

static bool broadcast_dim(int64_t *dim, int64_t other) {
    if (*dim == 1)
        *dim = other;
    return other == 1 || other == *dim;
}

static bool read_constants(Node *node, int count, Constants *constants) {
    *constants = (Constants){.count = count};
    for (int i = 0; i < MAX_RANK; i++)
        constants->shape[i] = 1;
    for (int i = 0; i < count; i++) {
        const Dense *dense = constants->dense[i] = node_dense(node, i);
        if (!node_has_input(node, i))
            return node_error(node, "input %d is missing", i);
        if (!dense)
            return node_error(node,
                              "input '%s' is not constant; the op is supported on constants only",
                              node->proto->input[i]);
        if (dense_count(dense) > MAX_FOLD_ELEMS)
            return node_error(node, "input '%s' is too large", node->proto->input[i]);
        if (dense->type->rank > constants->rank)
            constants->rank = dense->type->rank;
        for (int j = 0; j < dense->type->rank; j++) // aligned at the last dimension
            if (!broadcast_dim(&constants->shape[MAX_RANK - dense->type->rank + j],
                               dense->type->shape[j]))
                return node_error(node, "its shapes do not broadcast");
    }
    int64_t total = dims_count(MAX_RANK, constants->shape);
    return (total >= 0 && total <= MAX_FOLD_ELEMS) || node_error(node, "its result is too large");
}

// The element of a constant that element `index` of the broadcast result takes.
static double constant_at(const Constants *constants, int which, int64_t index) {
    const Dense *dense = constants->dense[which];
    int64_t at = 0, stride = 1;
    for (int i = MAX_RANK - 1; i >= MAX_RANK - dense->type->rank; i--) {
        int64_t size = dense->type->shape[i - (MAX_RANK - dense->type->rank)];
        if (size > 1)
            at += index % constants->shape[i] * stride;
        index /= constants->shape[i];
        stride *= size;
    }
    return dense_f64(dense, at);
}

typedef double ConstantFn(const Node *node, const double *operands);

static bool bind_constants(Node *node, const Constants *constants, Elem elem,
                           ConstantFn *function) {
    Importer *importer = node->importer;
    const Type *type = type_tensor(importer->scratch, elem, constants->rank,
                                   constants->shape + MAX_RANK - constants->rank);
    Tensor tensor = tensor_new(importer->scratch, type);
    int64_t total = type_elem_count(type);
    for (int64_t i = 0; i < total; i++) {
        double operands[MAX_CONSTANT_OPERANDS];
        for (int j = 0; j < constants->count; j++)
            operands[j] = constant_at(constants, j, i);
        tensor_set_f64(&tensor, i, function(node, operands));
    }
    return node_bind_dense(node, 0, dense_new(importer->scratch, type, tensor.data, false));
}

// The rest has the sign of the dividend with attribute fmod, else that of the divisor.
static double modulo(const Node *node, double a, double b) {
    double rest = fmod(a, b);
    if (node_int(node, "fmod", 0))
        return rest;
    if (rest == 0)
        return copysign(0, b);
    return (rest < 0) != (b < 0) ? rest + b : rest;
}

static double compare(const Node *node, const double *x) {
    const char *op = node->proto->op_type;
    if (!strcmp(op, "Equal"))
        return x[0] == x[1];
    if (!strcmp(op, "Less"))
        return x[0] < x[1];
    if (!strcmp(op, "LessOrEqual"))
        return x[0] <= x[1];
    if (!strcmp(op, "Greater"))
        return x[0] > x[1];
    if (!strcmp(op, "GreaterOrEqual"))
        return x[0] >= x[1];
    if (!strcmp(op, "And"))
        return x[0] != 0 && x[1] != 0;
    if (!strcmp(op, "Or"))
        return x[0] != 0 || x[1] != 0;
    return modulo(node, x[0], x[1]);
}

bool convert_compare(Node *node) {
    Constants constants;
    bool is_mod = !strcmp(node->proto->op_type, "Mod");
    return read_constants(node, 2, &constants) &&
           bind_constants(node, &constants, is_mod ? constants.dense[0]->type->elem : ELEM_I1,
                          compare);
}

static double negate(const Node *node, const double *x) {
    return (void)node, x[0] == 0;
}

bool convert_not(Node *node) {
    Constants constants;
    return read_constants(node, 1, &constants) && bind_constants(node, &constants, ELEM_I1, negate);
}

static double choose(const Node *node, const double *x) {
    return (void)node, x[0] != 0 ? x[1] : x[2];
}

bool convert_where(Node *node) {
    Constants constants;
    return read_constants(node, 3, &constants) &&
           bind_constants(node, &constants, constants.dense[1]->type->elem, choose);
}

static double round_toward(const Node *node, const double *x) {
    return strcmp(node->proto->op_type, "Floor") ? ceil(x[0]) : floor(x[0]);
}

bool convert_rounding(Node *node) {
    Constants constants;
    return read_constants(node, 1, &constants) &&
           bind_constants(node, &constants, constants.dense[0]->type->elem, round_toward);
}

// ---- ops that also have a form on tensors: on constants alone

static double power(const Node *node, const double *x) {
    return (void)node, pow(x[0], x[1]);
}

bool fold_pow(Node *node) {
    Constants constants;
    return read_constants(node, 2, &constants) &&
           bind_constants(node, &constants, constants.dense[0]->type->elem, power);
}

static double extremum(const Node *node, const double *x) {
    bool maximum = !strcmp(node->proto->op_type, "Max");
    double result = x[0];
    for (int i = 1; i < node_input_count(node); i++)
        if (isnan(x[i]) || (maximum ? x[i] > result : x[i] < result))
            result = x[i];
    return result;
}

bool fold_extremum(Node *node) {
    Constants constants;
    return read_constants(node, node_input_count(node), &constants) &&
           bind_constants(node, &constants, constants.dense[0]->type->elem, extremum);
}

bool node_is_constant(const Node *node) {
    int count = node_input_count(node);
    for (int i = 0; i < count; i++)
        if (!node_dense(node, i))
            return false;
    return count > 0 && count <= MAX_CONSTANT_OPERANDS;
}

// Of all elements of a constant: sizes of shapes.
bool convert_reduce_prod(Node *node) {
    const Dense *dense = node_dense(node, 0);
    Importer *importer = node->importer;
    Ints axes;
    if (!dense || dense_count(dense) > MAX_FOLD_ELEMS)
        return node_error(node, "its input must be a small constant");
    if (!node_ints_or_input(node, "axes", 1, &axes))
        return false;
    if (dense->type->rank > 1 && axes.count && axes.count != dense->type->rank)
        return node_error(node, "only products of all elements are supported");
    double product = 1;
    for (int64_t i = 0; i < dense_count(dense); i++)
        product *= dense_f64(dense, i);
    int64_t ones[MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
    int rank = node_int(node, "keepdims", 1) ? dense->type->rank : 0;
    return node_bind_dense(
        node, 0,
        dense_splat(importer->scratch,
                    type_tensor(importer->scratch, dense->type->elem, rank, ones), product));
}
