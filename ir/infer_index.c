// Shape inference of ops that read or write elements where indices say.
#include <string.h>

#include "ir/infer.h"

static bool check_indices(Diag *diag, const Op *op, Arena *arena, const Type *indices) {
    if (!indices->quant && (indices->elem == ELEM_I32 || indices->elem == ELEM_I64)) return true;
    return infer_fail(diag, op, arena, "indices are %s, expected i32 or i64", type_text(arena, indices));
}

// The indices have the input's shape but along `axis`, where any number may be taken, and elsewhere at most as many.
static bool check_along(Diag *diag, const Op *op, Arena *arena, const Type *input, const Type *indices, int64_t axis) {
    if (!infer_axis(diag, op, arena, "axis", axis, input->rank) || !check_indices(diag, op, arena, indices)) return false;
    bool fits = indices->rank == input->rank;
    for (int i = 0; fits && i < input->rank; i++) fits = i == axis || indices->shape[i] <= input->shape[i];
    if (!fits)
        return infer_fail(diag, op, arena, "indices have shape %s, expected at most %s but for dimension %lld", shape_text(arena, indices),
                          shape_text(arena, input), (long long)axis);
    if (type_elem_count(indices) && !input->shape[axis])
        return infer_fail(diag, op, arena, "dimension %lld of the input has no elements to index", (long long)axis);
    return true;
}

bool infer_gather_elements(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    gather_elements_view gather = as_gather_elements(op);
    const Type *input = gather.input->type, *indices = gather.indices->type;
    if (!check_along(diag, op, arena, input, indices, gather.axis)) return false;
    int axis = input->quant && input->quant->axis != gather.axis ? input->quant->axis : -1;
    return infer_moved(diag, op, arena, input, indices->rank, indices->shape, axis, results);
}

// What tuples along the last dimension of `indices` point at: `depth` dimensions of the input from `batch` on.
typedef struct { int batch, depth; } Tuples;

static bool check_tuples(Diag *diag, const Op *op, Arena *arena, const Type *input, const Type *indices, int64_t batch, Tuples *tuples) {
    if (!check_indices(diag, op, arena, indices)) return false;
    if (!indices->rank || batch < 0 || batch >= indices->rank || batch >= input->rank)
        return infer_fail(diag, op, arena, "%lld batch dimensions, expected fewer than the %d of the input and the %d of the indices",
                          (long long)batch, input->rank, indices->rank);
    int64_t depth = indices->shape[indices->rank - 1];
    if (depth < 1 || depth > input->rank - batch)
        return infer_fail(diag, op, arena, "the indices' last dimension is %lld, expected 1 to %lld", (long long)depth,
                          (long long)(input->rank - batch));
    for (int i = 0; i < batch; i++)
        if (indices->shape[i] != input->shape[i])
            return infer_fail(diag, op, arena, "batch dimension %d has %lld elements in the input and %lld in the indices", i,
                              (long long)input->shape[i], (long long)indices->shape[i]);
    for (int64_t i = batch; i < batch + depth; i++)
        if (!input->shape[i] && type_elem_count(indices))
            return infer_fail(diag, op, arena, "dimension %lld of the input has no elements to index", (long long)i);
    *tuples = (Tuples){(int)batch, (int)depth};
    return true;
}

// The shape of the slices that tuples point at: those of the indices but the last, then what is left of the input's.
static int sliced_shape(const Type *input, const Type *indices, Tuples tuples, int64_t shape[2 * MAX_RANK]) {
    int rank = 0;
    for (int i = 0; i + 1 < indices->rank; i++) shape[rank++] = indices->shape[i];
    for (int i = tuples.batch + tuples.depth; i < input->rank; i++) shape[rank++] = input->shape[i];
    return rank;
}

bool infer_gather_nd(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    gather_nd_view gather = as_gather_nd(op);
    const Type *input = gather.input->type, *indices = gather.indices->type;
    Tuples tuples;
    int64_t shape[2 * MAX_RANK];
    if (!check_tuples(diag, op, arena, input, indices, gather.batch_dims, &tuples)) return false;
    int rank = sliced_shape(input, indices, tuples, shape), axis = input->quant ? input->quant->axis : -1;
    if (axis >= tuples.batch) axis -= tuples.batch + tuples.depth - (indices->rank - 1);
    if (input->quant && input->quant->axis >= tuples.batch && input->quant->axis < tuples.batch + tuples.depth) axis = -1;
    return infer_moved(diag, op, arena, input, rank, shape, axis, results);
}

// Updates are combined with elements of the input, so both are of one plain type; what is computed must be numbers.
static bool check_updates(Diag *diag, const Op *op, Arena *arena, const Type *input, const Type *updates, int rank, const int64_t *shape) {
    static const char *const reductions[] = {"none", "add", "mul", "min", "max"};
    const char *reduction = op_string(op, "reduction");
    bool known = false;
    for (size_t i = 0; i < sizeof reductions / sizeof *reductions; i++) known = known || !strcmp(reduction, reductions[i]);
    if (!known) return infer_fail(diag, op, arena, "'reduction' is \"%s\", expected none, add, mul, min or max", reduction);
    if (input->quant || updates->quant || input->elem != updates->elem)
        return infer_fail(diag, op, arena, "input is %s and updates are %s, expected one plain element type", type_text(arena, input),
                          type_text(arena, updates));
    if (strcmp(reduction, "none") && input->elem == ELEM_I1)
        return infer_fail(diag, op, arena, "'reduction' is \"%s\", which booleans do not have", reduction);
    bool fits = updates->rank == rank;
    for (int i = 0; fits && i < rank; i++) fits = updates->shape[i] == shape[i];
    if (fits) return true;
    return infer_fail(diag, op, arena, "updates have shape %s, expected %s", shape_text(arena, updates), ints_text(arena, rank, shape));
}

bool infer_scatter_elements(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    scatter_elements_view scatter = as_scatter_elements(op);
    const Type *input = scatter.input->type, *indices = scatter.indices->type;
    return check_along(diag, op, arena, input, indices, scatter.axis) &&
           check_updates(diag, op, arena, input, scatter.updates->type, indices->rank, indices->shape) &&
           infer_moved(diag, op, arena, input, input->rank, input->shape, -1, results);
}

bool infer_scatter_nd(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    scatter_nd_view scatter = as_scatter_nd(op);
    const Type *input = scatter.input->type, *indices = scatter.indices->type;
    Tuples tuples;
    int64_t shape[2 * MAX_RANK];
    if (!check_tuples(diag, op, arena, input, indices, 0, &tuples)) return false;
    int rank = sliced_shape(input, indices, tuples, shape);
    return check_updates(diag, op, arena, input, scatter.updates->type, rank, shape) &&
           infer_moved(diag, op, arena, input, input->rank, input->shape, -1, results);
}
