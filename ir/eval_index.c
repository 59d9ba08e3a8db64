// The meaning of ops that read or write elements where indices say. Negative indices count from the end; one that is
// still out of range takes the nearest, so that run-time indices are never an error.
#include <math.h>
#include <string.h>

#include "ir/eval_common.h"

static int64_t index_within(const Tensor *indices, int64_t at, int64_t size) {
    int64_t index = tensor_i64(indices, at);
    if (index < 0) index += size;
    return index >= size ? size - 1 : index < 0 ? 0 : index;
}

bool eval_gather(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag;
    AxisView view = axis_view(operands[0]->type, as_gather(op).axis);
    int64_t count = type_elem_count(operands[1]->type);
    for (int64_t i = 0; i < count; i++) {
        int64_t index = index_within(operands[1], i, view.size);
        for (int64_t o = 0; o < view.outer; o++)
            copy_elems(results[0], (o * count + i) * view.inner, operands[0], (o * view.size + index) * view.inner, view.inner);
    }
    return true;
}

bool eval_lookup(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag, (void)op;
    const Type *in = operands[0]->type;
    int64_t inputs = in->shape[in->rank - 1], outputs = operands[1]->type->shape[0], count = type_elem_count(results[0]->type);
    for (int64_t i = 0; i < count; i++) {
        int64_t channel = index_within(operands[2], i % outputs, inputs);
        copy_elems(results[0], i, operands[1], i % outputs * 256 + tensor_i64(operands[0], i / outputs * inputs + channel), 1);
    }
    return true;
}

// A walk over the indices of a whole tensor; its offset is that of the element in `type`, but for the index along `axis`.
static Walk walk_along(const Type *indices, const Type *type, int64_t axis, int64_t *stride) {
    int64_t strides[MAX_RANK];
    dense_strides(type, strides);
    *stride = strides[axis];
    strides[axis] = 0;
    Walk walk;
    walk_begin(&walk, indices->rank, indices->shape);
    walk_add(&walk, 0, strides);
    return walk;
}

bool eval_gather_elements(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag;
    int64_t axis = as_gather_elements(op).axis, stride;
    const Type *type = operands[0]->type;
    Walk walk = walk_along(operands[1]->type, type, axis, &stride);
    for (int64_t i = 0; i < walk.count; i++, walk_next(&walk))
        copy_elems(results[0], i, operands[0], walk.offset[0] + index_within(operands[1], i, type->shape[axis]) * stride, 1);
    return true;
}

// Tuples of indices into `type`, after `batch` dimensions that go with the indices' own.
typedef struct {
    const Tensor *indices;
    const Type *type;
    int batch, depth;
    int64_t count, per_batch, slice; // tuples, those of one batch, and elements of a slice
} Tuples;

static Tuples tuples_new(const Tensor *indices, const Type *type, int64_t batch) {
    const Type *shape = indices->type;
    Tuples tuples = {indices, type, (int)batch, (int)shape->shape[shape->rank - 1], 1, 1, 1};
    for (int i = 0; i + 1 < shape->rank; i++) {
        tuples.count *= shape->shape[i];
        if (i >= batch) tuples.per_batch *= shape->shape[i];
    }
    for (int i = tuples.batch + tuples.depth; i < type->rank; i++) tuples.slice *= type->shape[i];
    return tuples;
}

// The first element of the slice that tuple `at` points at.
static int64_t tuple_offset(const Tuples *tuples, int64_t at) {
    int64_t slice = at / tuples->per_batch;
    for (int d = 0; d < tuples->depth; d++) {
        int64_t size = tuples->type->shape[tuples->batch + d];
        slice = slice * size + index_within(tuples->indices, at * tuples->depth + d, size);
    }
    return slice * tuples->slice;
}

bool eval_gather_nd(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag;
    Tuples tuples = tuples_new(operands[1], operands[0]->type, as_gather_nd(op).batch_dims);
    for (int64_t i = 0; i < tuples.count; i++)
        copy_elems(results[0], i * tuples.slice, operands[0], tuple_offset(&tuples, i), tuples.slice);
    return true;
}

// ---- scatter

static double combine_f64(const char *reduction, double x, double y) {
    if (!strcmp(reduction, "add")) return x + y;
    if (!strcmp(reduction, "mul")) return x * y;
    return (reduction[1] == 'i' ? y < x : y > x) || isnan(y) ? y : x;
}

static int64_t combine_i64(const char *reduction, Elem elem, int64_t x, int64_t y) {
    if (!strcmp(reduction, "add")) return (int64_t)((uint64_t)x + (uint64_t)y);
    if (!strcmp(reduction, "mul")) return (int64_t)((uint64_t)x * (uint64_t)y);
    bool less = elem == ELEM_U64 ? (uint64_t)y < (uint64_t)x : y < x;
    return less == (reduction[1] == 'i') ? y : x;
}

static void combine(const char *reduction, Tensor *result, int64_t at, const Tensor *updates, int64_t from) {
    Elem elem = result->type->elem;
    if (!strcmp(reduction, "none")) copy_elems(result, at, updates, from, 1);
    else if (elem_is_float(elem)) tensor_set_f64(result, at, combine_f64(reduction, tensor_f64(result, at), tensor_f64(updates, from)));
    else tensor_set_i64(result, at, combine_i64(reduction, elem, tensor_i64(result, at), tensor_i64(updates, from)));
}

bool eval_scatter_elements(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag;
    scatter_elements_view scatter = as_scatter_elements(op);
    const Type *type = results[0]->type;
    int64_t stride;
    Walk walk = walk_along(operands[1]->type, type, scatter.axis, &stride);
    copy_elems(results[0], 0, operands[0], 0, type_elem_count(type));
    for (int64_t i = 0; i < walk.count; i++, walk_next(&walk)) {
        int64_t at = walk.offset[0] + index_within(operands[1], i, type->shape[scatter.axis]) * stride;
        combine(scatter.reduction, results[0], at, operands[2], i);
    }
    return true;
}

bool eval_scatter_nd(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag;
    const char *reduction = as_scatter_nd(op).reduction;
    Tuples tuples = tuples_new(operands[1], results[0]->type, 0);
    copy_elems(results[0], 0, operands[0], 0, type_elem_count(results[0]->type));
    for (int64_t i = 0; i < tuples.count; i++) {
        int64_t first = tuple_offset(&tuples, i);
        for (int64_t k = 0; k < tuples.slice; k++) combine(reduction, results[0], first + k, operands[2], i * tuples.slice + k);
    }
    return true;
}
