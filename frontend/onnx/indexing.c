// Ops that read or write elements where indices say, and those that compute such indices or masks
// from positions: i64 series, sums and comparisons, which are constants wherever their parts are.
#include <string.h>

#include "frontend/onnx/importer.h"

bool node_check_indices(const Node *node, int index, int64_t depth, const int64_t *sizes) {
    const Dense *dense = node_dense(node, index);
    if (!dense)
        return true;
    if (elem_is_float(dense->type->elem))
        return node_error(node, "its indices are not integers");
    int64_t count = dense_count(dense);
    for (int64_t i = 0; i < (dense->splat && depth < count ? depth : count); i++) {
        int64_t at = dense_i64(dense, i), size = sizes[i % depth];
        if (at < -size || at >= size)
            return node_error(node, "index %lld is out of range for %lld elements", (long long)at,
                              (long long)size);
    }
    return true;
}

static Attr *axis_attr(const Node *node, Attr *next, int64_t axis) {
    return attr_int(node->importer->arena, next, "axis", axis);
}

static bool input_axis(const Node *node, const Value *input, int64_t fallback, int *axis) {
    return node_axis(node, node_int(node, "axis", fallback), input->type->rank, axis);
}

bool convert_gather_elements(Node *node) {
    Value *input = node_input(node, 0);
    int axis;
    if (!input || !input_axis(node, input, 0, &axis) ||
        !node_check_indices(node, 1, 1, &input->type->shape[axis]))
        return false;
    return node_bind(node, 0,
                     emit(node, OP_gather_elements, 2, (Value *[]){input, node_input(node, 1)},
                          axis_attr(node, NULL, axis)));
}

// Constant tuples of indices into the input's dimensions from `batch` on. Those that do not fit it
// at all are left to the op.
static bool check_tuples(const Node *node, const Value *input, int64_t batch) {
    const Type *indices = node_input_type(node, 1);
    int64_t depth = indices && indices->rank ? indices->shape[indices->rank - 1] : 0;
    if (depth < 1 || batch < 0 || batch >= input->type->rank || depth > input->type->rank - batch)
        return true;
    return node_check_indices(node, 1, depth, input->type->shape + batch);
}

bool convert_gather_nd(Node *node) {
    Value *input = node_input(node, 0);
    int64_t batch = node_int(node, "batch_dims", 0);
    if (!input || !check_tuples(node, input, batch))
        return false;
    Attr *attrs = attr_int(node->importer->arena, NULL, "batch_dims", batch);
    return node_bind(node, 0,
                     emit(node, OP_gather_nd, 2, (Value *[]){input, node_input(node, 1)}, attrs));
}

// ---- scatter

static bool bind_scatter(Node *node, OpKind kind, Value *input, Attr *attrs) {
    const char *reduction = node_string(node, "reduction", "none");
    if (strcmp(reduction, "none"))
        attrs = attr_string(node->importer->arena, attrs, "reduction", reduction);
    Value *operands[] = {input, node_input(node, 1), node_input(node, 2)};
    return node_bind(node, 0, emit(node, kind, 3, operands, attrs));
}

bool convert_scatter_elements(Node *node) {
    Value *input = node_input(node, 0);
    int axis;
    if (!input || !input_axis(node, input, 0, &axis) ||
        !node_check_indices(node, 1, 1, &input->type->shape[axis]))
        return false;
    return bind_scatter(node, OP_scatter_elements, input, axis_attr(node, NULL, axis));
}

bool convert_scatter_nd(Node *node) {
    Value *input = node_input(node, 0);
    if (!input || !check_tuples(node, input, 0))
        return false;
    return bind_scatter(node, OP_scatter_nd, input, NULL);
}

// ---- positions

Value *emit_iota(const Node *node, int rank, int dim, int64_t count) {
    Importer *importer = node->importer;
    int64_t dims[MAX_RANK];
    if (count > MAX_IMPORT_ELEMS / 8 || rank > MAX_RANK)
        return node_error(node, "a series of %lld positions in %d dimensions is too large",
                          (long long)count, rank),
               NULL;
    for (int i = 0; i < rank; i++)
        dims[i] = i == dim ? count : 1;
    Dense *dense = dense_alloc(importer->arena, type_tensor(importer->arena, ELEM_I64, rank, dims));
    for (int64_t i = 0; i < count; i++)
        ((int64_t *)dense->data)[i] = i;
    return emit_constant(importer, dense, true, NULL);
}

static Value *emit_i64(const Node *node, int64_t value) {
    Importer *importer = node->importer;
    const Type *type = type_tensor(importer->scratch, ELEM_I64, 0, NULL);
    return emit_constant(
        importer,
        dense_new(importer->arena, type, arena_copy(importer->arena, &value, sizeof value), false),
        true, NULL);
}

static Value *emit_where(const Node *node, Value *condition, Value *a, Value *b) {
    return emit(node, OP_where, 3, (Value *[]){condition, a, b}, NULL);
}

// As tuples: a last dimension of two indices, each broadcast to `dims`.
static Value *emit_pairs(const Node *node, Value *first, Value *second, int rank,
                         const int64_t *dims) {
    int64_t tuple[MAX_RANK + 1];
    memcpy(tuple, dims, sizeof *dims * (size_t)rank);
    tuple[rank] = 1;
    Value *pair[2];
    pair[0] = emit_reshape(node, emit_broadcast(node, first, rank, dims), rank + 1, tuple);
    pair[1] = emit_reshape(node, emit_broadcast(node, second, rank, dims), rank + 1, tuple);
    return emit_concat(node, 2, pair, rank);
}

// TensorScatter without places: the update, then what the cache holds behind it.
static Value *emit_prefix(const Node *node, Value *cache, Value *update, int axis) {
    const Type *type = cache->type;
    int64_t starts[MAX_RANK] = {0}, steps[MAX_RANK];
    for (int i = 0; i < type->rank; i++)
        steps[i] = 1;
    starts[axis] = update->type->shape[axis];
    if (starts[axis] == type->shape[axis])
        return update;
    Value *rest = emit_slice(node, cache, starts, type->shape, steps);
    return emit_concat(node, 2, (Value *[]){update, rest}, axis);
}

// The update's rows go to sequence places that run on from one place for each of the batch.
static Value *emit_written(const Node *node, Value *cache, Value *update, int axis, bool circular) {
    const int64_t *dims = cache->type->shape;
    int64_t batch = dims[0], outer = 1, inner = 1, size = dims[axis];
    int64_t steps = update->type->shape[axis];
    for (int i = 0; i < cache->type->rank; i++)
        *(i < axis ? &outer : &inner) *= i == axis ? 1 : dims[i];
    Value *places = emit_cast(node, node_input(node, 2), ELEM_I64);
    places = emit_reshape(node, places, 3, (int64_t[]){batch, 1, 1});
    places = emit_binary(node, OP_add, places, emit_iota(node, 3, 2, steps));
    if (circular)
        places = emit_binary(node, OP_mod, places, emit_i64(node, size));
    places = emit_broadcast(node, places, 3, (int64_t[]){batch, batch ? outer / batch : 1, steps});
    places = emit_reshape(node, places, 2, (int64_t[]){outer, steps});
    Value *pairs =
        emit_pairs(node, emit_iota(node, 2, 0, outer), places, 2, (int64_t[]){outer, steps});
    Value *rows = emit_reshape(node, cache, 3, (int64_t[]){outer, size, inner});
    update = emit_reshape(node, update, 3, (int64_t[]){outer, steps, inner});
    rows = emit(node, OP_scatter_nd, 3, (Value *[]){rows, pairs, update}, NULL);
    return emit_reshape(node, rows, cache->type->rank, dims);
}

bool convert_tensor_scatter(Node *node) {
    Value *cache = node_input(node, 0), *update = node_input(node, 1);
    const char *mode = node_string(node, "mode", "linear");
    int axis;
    if (!cache || !update || !input_axis(node, cache, -2, &axis))
        return false;
    bool circular = !strcmp(mode, "circular"), fits = update->type->rank == cache->type->rank;
    for (int i = 0; fits && i < cache->type->rank; i++)
        fits = update->type->shape[i] == cache->type->shape[i] ||
               (i == axis && update->type->shape[i] < cache->type->shape[i]);
    if (!fits || !axis)
        return node_error(node, "its update does not fit its cache along axis %d", axis);
    if (!circular && strcmp(mode, "linear"))
        return node_error(node, "mode '%s' is not one of ONNX", mode);
    return node_bind(node, 0,
                     node_has_input(node, 2) ? emit_written(node, cache, update, axis, circular)
                                             : emit_prefix(node, cache, update, axis));
}

// ---- TopK

// The indices; the values are gathered by them, so that quantized ones stay so.
bool convert_top_k(Node *node) {
    Value *input = node_input(node, 0);
    double k;
    int axis;
    if (!input || !node_scalar(node, 1, (double)node_int(node, "k", -1), &k) ||
        !input_axis(node, input, -1, &axis))
        return false;
    if (!(k >= 0 && k <= (double)input->type->shape[axis]))
        return node_error(node, "its k is %.0f, expected 0 to the %lld elements of axis %d", k,
                          (long long)input->type->shape[axis], axis);
    Arena *arena = node->importer->arena;
    Attr *attrs = attr_bool(arena, NULL, "largest", node_int(node, "largest", 1) != 0);
    attrs = attr_int(arena, axis_attr(node, attrs, axis), "k", (int64_t)k);
    Value *indices = emit_unary(node, OP_top_k, input, attrs);
    Value *values = emit(node, OP_gather_elements, 2, (Value *[]){input, indices},
                         axis_attr(node, NULL, axis));
    return node_bind(node, 0, values) && node_bind(node, 1, indices);
}

// ---- masks of positions

bool convert_one_hot(Node *node) {
    Value *indices = node_input(node, 0), *values = node_input(node, 2);
    double depth;
    int axis, rank = indices ? indices->type->rank : 0;
    if (!indices || !values || !node_scalar(node, 1, 0, &depth) ||
        !node_axis(node, node_int(node, "axis", -1), rank + 1, &axis))
        return false;
    if (!node_has_input(node, 1) || !(depth >= 1 && depth <= (double)MAX_IMPORT_ELEMS))
        return node_error(node, "its depth must be at least 1");
    if (values->type->rank != 1 || values->type->shape[0] != 2 || rank + 1 > MAX_RANK)
        return node_error(node, "it needs 2 values, and indices of less than %d dimensions",
                          MAX_RANK);
    int64_t dims[MAX_RANK + 1], size = (int64_t)depth;
    for (int i = 0; i <= rank; i++)
        dims[i] = i == axis ? 1 : indices->type->shape[i - (i > axis)];
    indices = emit_reshape(node, emit_cast(node, indices, ELEM_I64), rank + 1, dims);
    Value *from_end = emit_binary(node, OP_less, indices, emit_i64(node, 0));
    indices = emit_where(node, from_end, emit_binary(node, OP_add, indices, emit_i64(node, size)),
                         indices);
    Value *hit = emit_binary(node, OP_equal, indices, emit_iota(node, rank + 1, axis, size));
    Value *off = emit_slice(node, values, (int64_t[]){0}, (int64_t[]){1}, (int64_t[]){1});
    Value *on = emit_slice(node, values, (int64_t[]){1}, (int64_t[]){2}, (int64_t[]){1});
    return node_bind(node, 0, emit_where(node, hit, on, off));
}

// k of EyeLike and Trilu: which diagonal, 0 the main one, above it positive.
static int64_t clamp_diagonal(double k) {
    double limit = (double)MAX_IMPORT_ELEMS;
    return (int64_t)(k < -limit ? -limit : k > limit ? limit : k);
}

bool convert_eye_like(Node *node) {
    const Type *type = node_input_type(node, 0);
    int64_t dtype = node_int(node, "dtype", 0), k = clamp_diagonal((double)node_int(node, "k", 0));
    if (!type)
        return node_input(node, 0) && false;
    Elem elem = type->elem;
    if (type->rank != 2)
        return node_error(node, "its input has %d dimensions, expected 2", type->rank);
    if (dtype && (dtype < 0 || dtype > 1000 || !elem_from_onnx((int)dtype, &elem)))
        return node_error(node, "the type %s is not supported",
                          onnx_type_name((int)(dtype & 1023)));
    Value *row = emit_iota(node, 2, 0, type->shape[0]), *column = emit_binary(node, OP_add, row, emit_i64(node, k));
    Value *mask = emit_binary(node, OP_equal, column, emit_iota(node, 2, 1, type->shape[1]));
    return node_bind(node, 0, emit_cast(node, mask, elem));
}

bool convert_trilu(Node *node) {
    Value *input = node_input(node, 0);
    double k;
    if (!input || !node_scalar(node, 1, 0, &k))
        return false;
    Importer *importer = node->importer;
    const Type *type = input->type;
    if (type->rank < 2)
        return node_error(node, "its input has %d dimensions, expected at least 2", type->rank);
    Value *rows = emit_iota(node, 2, 0, type->shape[type->rank - 2]),
          *columns = emit_iota(node, 2, 1, type->shape[type->rank - 1]);
    rows = emit_binary(node, OP_add, rows, emit_i64(node, clamp_diagonal(k)));
    bool upper = node_int(node, "upper", 1) != 0;
    Value *kept = emit_binary(node, OP_less_equal, upper ? rows : columns, upper ? columns : rows);
    Value *zero = emit_constant(
        importer,
        dense_splat(importer->scratch, type_tensor(importer->scratch, type->elem, 0, NULL), 0),
        false, NULL);
    return node_bind(node, 0, emit_where(node, kept, input, zero));
}

// ---- ReverseSequence

bool convert_reverse_sequence(Node *node) {
    Value *input = node_input(node, 0), *lengths = node_input(node, 1);
    int batch_axis, time_axis;
    if (!input || !lengths ||
        !node_axis(node, node_int(node, "batch_axis", 1), input->type->rank, &batch_axis) ||
        !node_axis(node, node_int(node, "time_axis", 0), input->type->rank, &time_axis))
        return false;
    const int64_t *dims = input->type->shape;
    if (batch_axis + time_axis != 1)
        return node_error(node, "its axes are %d and %d, expected 0 and 1", batch_axis, time_axis);
    if (lengths->type->rank != 1 || lengths->type->shape[0] != dims[batch_axis])
        return node_error(node, "sequence_lens must have a length for each of %lld sequences",
                          (long long)dims[batch_axis]);
    int64_t column[2] = {batch_axis ? 1 : dims[0], batch_axis ? dims[1] : 1};
    lengths = emit_reshape(node, emit_cast(node, lengths, ELEM_I64), 2, column);
    Value *times = emit_iota(node, 2, time_axis, dims[time_axis]),
          *batches = emit_iota(node, 2, batch_axis, dims[batch_axis]);
    Value *last = emit_binary(node, OP_sub, lengths, emit_i64(node, 1));
    Value *turned = emit_binary(node, OP_sub, last, times), *inside = emit_binary(node, OP_less, times, lengths);
    Value *places = emit_where(node, inside, turned, times);
    Value *pairs =
        emit_pairs(node, time_axis ? batches : places, time_axis ? places : batches, 2, dims);
    return node_bind(node, 0, emit(node, OP_gather_nd, 2, (Value *[]){input, pairs}, NULL));
}
