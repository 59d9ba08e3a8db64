// Gemm and MatMul. A constant right factor becomes the weight of nn.linear, one row an output, with
// alpha and beta multiplied in; any other a matmul.
#include <string.h>

#include "frontend/onnx/importer.h"

// Multiplies elements in place (of a copy in the module's arena). f32 as ONNX computes.
static const Dense *scaled(Importer *importer, const Dense *dense, double factor) {
    if (factor == 1 || dense->type->elem != ELEM_F32)
        return dense;
    Dense *copy = dense_new(importer->arena, dense->type,
                            arena_alloc(importer->arena, dense->bytes + 16), dense->splat);
    int64_t count = dense->splat ? 1 : dense_count(dense);
    for (int64_t i = 0; i < count; i++)
        ((float *)copy->data)[i] = (float)(dense_f64(dense, i) * factor);
    return copy;
}

// A constant K N matrix (N K if `rows_are_outputs`) as weight N K.
static Value *emit_weight(const Node *node, int index, bool rows_are_outputs, double factor) {
    Importer *importer = node->importer;
    const Dense *stored = factor == 1 ? node_stored(node, index) : NULL;
    if (stored)
        return emit_stored(importer, stored_transpose(importer, stored, rows_are_outputs ? (int[]){0, 1} : (int[]){1, 0}),
                           take_name(node, index));
    const Dense *dense = scaled(importer, node_dense(node, index), factor);
    if (elem_bits(dense->type->elem) < 8)
        return node_error(node, "its weight has packed elements"), NULL;
    dense =
        dense_transpose(importer->arena, dense, rows_are_outputs ? (int[]){0, 1} : (int[]){1, 0});
    return emit_constant(importer, dense, !dense->splat, take_name(node, index));
}

static Value *emit_scaled(const Node *node, Value *value, double factor) {
    return factor == 1 ? value : emit_binary(node, OP_mul, value, emit_scalar(node, factor));
}

// The constant input C as a bias of `count` elements if it does not vary along rows; NULL
// otherwise.
static Value *emit_bias(const Node *node, int64_t count, double beta) {
    Importer *importer = node->importer;
    const Dense *dense = node_dense(node, 2), *stored = node_stored(node, 2);
    if (!dense || dense->type->elem != ELEM_F32 || dense->type->rank > 2)
        return NULL;
    if (stored && stored->type->rank == 1 && stored->type->shape[0] == count && beta == 1)
        return node_bias(node, 2);
    const Type *type = dense->type;
    int64_t rows = type->rank == 2 ? type->shape[0] : 1,
            columns = type->rank ? type->shape[type->rank - 1] : 1;
    if (rows != 1 || (columns != count && columns != 1))
        return NULL;
    const Dense *bias = scaled(importer, dense, beta);
    Dense *kept = dense_new(importer->arena, type_tensor(importer->arena, ELEM_F32, 1, &count),
                            bias->data, bias->splat || columns != count);
    return emit_constant(importer, kept, false, take_name(node, 2));
}

// Integers, which wrap: all pairs multiplied, then summed. Good for indices and masks, not for layers.
static Value *emit_integer_product(const Node *node, Value *a, Value *b) {
    enum { MAX_PAIRS = 1 << 24 };
    int64_t left[MAX_RANK], right[MAX_RANK], terms = a->type->shape[a->type->rank - 1];
    int ranks[2] = {a->type->rank, b->type->rank}, rank = ranks[0] > ranks[1] ? ranks[0] : ranks[1];
    Elem elem = a->type->elem;
    if (terms != b->type->shape[ranks[1] - 2])
        return node_error(node, "its factors have %lld columns and %lld rows", (long long)terms,
                          (long long)b->type->shape[ranks[1] - 2]), NULL;
    if (rank >= MAX_RANK || terms > MAX_PAIRS || type_elem_count(a->type) > MAX_PAIRS || type_elem_count(b->type) > MAX_PAIRS)
        return node_error(node, "a product of integers this large is not supported: cast its factors to float"), NULL;
    for (int i = 0; i <= ranks[0]; i++)
        left[i] = i < ranks[0] ? a->type->shape[i] : 1;
    for (int i = 0; i <= ranks[1]; i++)
        right[i] = i == ranks[1] - 2 ? 1 : b->type->shape[i - (i > ranks[1] - 2)];
    a = emit_reshape(node, emit_cast(node, a, ELEM_I64), ranks[0] + 1, left);
    b = emit_reshape(node, emit_cast(node, b, ELEM_I64), ranks[1] + 1, right);
    Value *pairs = emit_binary(node, OP_mul, a, b);
    if (pairs && type_elem_count(pairs->type) > MAX_PAIRS)
        return node_error(node, "a product of integers this large is not supported: cast its factors to float"), NULL;
    Attr *attrs = attr_ints(node->importer->arena, NULL, "axes", 1, (int64_t[]){rank - 1});
    attrs = attr_bool(node->importer->arena, attrs, "keep_dims", false);
    return emit_cast(node, pairs ? emit_unary(node, OP_reduce_sum, pairs, attrs) : NULL, elem);
}

// a and b have at least two dimensions.
static Value *emit_matmul(const Node *node, Value *a, Value *b) {
    bool whole = a && b && !elem_is_float(a->type->elem) && a->type->elem == b->type->elem && a->type->elem != ELEM_I1;
    return whole ? emit_integer_product(node, a, b) : emit_binary(node, OP_matmul, a, b);
}

static Value *emit_plain_gemm(const Node *node, Value *a, bool transposed, double alpha) {
    Value *b = node_input(node, 1);
    if (!b)
        return NULL;
    if (b->type->rank != 2)
        return node_error(node, "B has %d dimensions, expected 2", b->type->rank), NULL;
    if (transposed)
        b = emit_transpose(node, b, (int[]){1, 0});
    return emit_scaled(node, emit_matmul(node, a, b), alpha);
}

// alpha * A * B + beta * C
bool convert_gemm(Node *node) {
    Value *a = node_input(node, 0);
    if (!a)
        return false;
    if (a->type->rank != 2)
        return node_error(node, "A has %d dimensions, expected 2", a->type->rank);
    bool transposed = node_int(node, "transB", 0) != 0;
    double alpha = node_float(node, "alpha", 1), beta = node_float(node, "beta", 1);
    if (node_int(node, "transA", 0))
        a = emit_transpose(node, a, (int[]){1, 0});
    const Type *b = node_constant_type(node, 1);
    bool has_c = node_has_input(node, 2) && beta != 0,
         is_linear = b && b->rank == 2 && b->elem == ELEM_F32;
    Value *bias =
        is_linear && has_c ? emit_bias(node, b->shape[transposed ? 0 : 1], beta) : NULL;
    Value *output;
    if (is_linear)
        output = emit(node, OP_linear, 3,
                      (Value *[]){a, emit_weight(node, 1, transposed, alpha), bias}, NULL);
    else
        output = emit_plain_gemm(node, a, transposed, alpha);
    if (output && has_c && !bias)
        output = emit_binary(node, OP_add, output, emit_scaled(node, node_input(node, 2), beta));
    return node_bind(node, 0, output);
}

// ---- MatMul: as numpy.matmul, where a factor of one dimension is a row or a column that the
// result drops

static Value *emit_matmul_2d(const Node *node, Value *a) {
    const Type *type = node_constant_type(node, 1);
    if (type && type->rank == 2 && type->elem == ELEM_F32 &&
        a->type->elem == ELEM_F32)
        return emit(node, OP_linear, 3, (Value *[]){a, emit_weight(node, 1, false, 1), NULL}, NULL);
    Value *b = node_input(node, 1);
    if (b && b->type->rank == 1)
        b = emit_reshape(node, b, 2, (int64_t[]){b->type->shape[0], 1});
    return emit_matmul(node, a, b);
}

bool convert_matmul(Node *node) {
    Value *a = node_input(node, 0);
    const Type *b = node_input_type(node, 1);
    if (!a)
        return false;
    if (!b)
        return node_input(node, 1) && false;
    if (!a->type->rank || !b->rank)
        return node_error(node, "a factor has no dimensions");
    bool drop_row = a->type->rank == 1, drop_column = b->rank == 1;
    if (drop_row)
        a = emit_reshape(node, a, 2, (int64_t[]){1, a->type->shape[0]});
    Value *output = a ? emit_matmul_2d(node, a) : NULL;
    if (!output)
        return false;
    int64_t dims[MAX_RANK];
    int rank = 0, full = output->type->rank;
    for (int i = 0; i < full; i++)
        if (!(i == full - 2 && drop_row) && !(i == full - 1 && drop_column))
            dims[rank++] = output->type->shape[i];
    return node_bind(node, 0, emit_reshape(node, output, rank, dims));
}
