// Ops that give constants: shapes, ranges. Their results exist while importing and leave no op unless
// something takes them as data.
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
        if (!strcmp(name, "sparse_value") && attr->sparse_tensor)
            return node_bind_dense(node, 0, dense_from_sparse(importer, attr->sparse_tensor, node->label));
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
    if (!node_has_fixed_size(node, 0))
        return false;
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
    if (!node_has_fixed_size(node, 0))
        return false;
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
