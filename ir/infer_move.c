// Shape inference of ops that move data: the quantization of the operand passes through.
#include "ir/infer.h"

#include <string.h>

// Where the axis of a per-axis quantization lies after a reshape: the dimension with as many elements and as many in
// front of it; -1 when there is none.
static int reshaped_axis(const Type *input, int rank, const int64_t *shape) {
    int axis = input->quant ? input->quant->axis : -1;
    if (axis < 0) return -1;
    int64_t before = 1, outer = 1;
    for (int i = 0; i < axis; i++) before *= input->shape[i];
    for (int i = 0; i < rank; outer *= shape[i++])
        if (outer == before && shape[i] == input->shape[axis]) return i;
    return -1;
}

bool infer_reshape(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    const Type *input = op_operand(op, 0)->type;
    IntList shape = as_reshape(op).shape;
    if (!infer_shape(diag, op, arena, shape.count, shape.data)) return false;
    int64_t count = 1;
    for (int i = 0; i < shape.count; i++) count *= shape.data[i];
    if (count != type_elem_count(input))
        return infer_fail(diag, op, arena, "input of shape %s has %lld elements, result %s has %lld",
                          shape_text(arena, input), (long long)type_elem_count(input),
                          ints_text(arena, shape.count, shape.data), (long long)count);
    int axis = reshaped_axis(input, shape.count, shape.data);
    return infer_moved(diag, op, arena, input, shape.count, shape.data, axis, results);
}

bool infer_transpose(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    const Type *input = op_operand(op, 0)->type;
    IntList perm = as_transpose(op).perm;
    int64_t shape[MAX_RANK];
    int seen = 0, axis = -1;
    for (int i = 0; i < perm.count && i < MAX_RANK; i++) {
        int64_t from = perm.data[i];
        if (from < 0 || from >= input->rank) break;
        seen |= 1 << from;
        shape[i] = input->shape[from];
        if (input->quant && input->quant->axis == from) axis = i;
    }
    if (perm.count != input->rank || seen != (1 << input->rank) - 1)
        return infer_fail(diag, op, arena, "'perm' is %s, expected each of %d dimensions once",
                          ints_text(arena, perm.count, perm.data), input->rank);
    return infer_moved(diag, op, arena, input, input->rank, shape, axis, results);
}

// Elements that a slice takes of `size`; -1 when start and end are out of range.
static int64_t slice_count(int64_t size, int64_t start, int64_t end, int64_t step) {
    if (step > 0) {
        if (start < 0 || start > size || end < 0 || end > size) return -1;
        return end > start ? (end - start - 1) / step + 1 : 0;
    }
    if (start < 0 || end < -1 || end > size || (start >= size && end < start)) return -1;
    return start > end ? (start - end - 1) / -step + 1 : 0;
}

bool infer_slice(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    slice_view slice = as_slice(op);
    const Type *input = slice.input->type;
    int rank = input->rank;
    if (slice.starts.count != rank || slice.ends.count != rank || slice.steps.count > rank)
        return infer_fail(diag, op, arena, "'starts' has %d elements, 'ends' %d and 'steps' %d, expected %d each",
                          slice.starts.count, slice.ends.count, slice.steps.count, rank);
    int64_t shape[MAX_RANK];
    for (int i = 0; i < rank; i++) {
        int64_t start = slice.starts.data[i], end = slice.ends.data[i], step = int_at(slice.steps, i);
        if (!step || step > MAX_EXTENT || step < -MAX_EXTENT)
            return infer_fail(diag, op, arena, "step %lld in dimension %d, expected -%d to %d and not 0",
                              (long long)step, i, MAX_EXTENT, MAX_EXTENT);
        shape[i] = slice_count(input->shape[i], start, end, step);
        if (shape[i] < 0)
            return infer_fail(diag, op, arena, "elements %lld to %lld by %lld are out of range for dimension %d of size %lld",
                              (long long)start, (long long)end, (long long)step, i, (long long)input->shape[i]);
    }
    // A slice along the quantized axis keeps its scales only when it takes all of them, in order.
    int axis = input->quant ? input->quant->axis : -1;
    if (axis >= 0 && int_at(slice.steps, axis) < 0) axis = -1;
    return infer_moved(diag, op, arena, input, rank, shape, axis, results);
}

bool infer_pad(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    pad_view pad = as_pad(op);
    const Type *input = pad.input->type;
    int rank = input->rank, axis = input->quant ? input->quant->axis : -1;
    if (!infer_ints(diag, op, arena, "low", pad.low, rank, false, -MAX_EXTENT) ||
        !infer_ints(diag, op, arena, "high", pad.high, rank, false, -MAX_EXTENT))
        return false;
    int64_t shape[MAX_RANK];
    for (int i = 0; i < rank; i++) {
        int64_t low = pad.low.data[i], high = pad.high.data[i], size = input->shape[i];
        if (-low > size || -high > size)
            return infer_fail(diag, op, arena, "%lld and %lld elements can't be cropped from dimension %d of size %lld",
                              (long long)-low, (long long)-high, i, (long long)size);
        shape[i] = size + low + high;
        if (i == axis && low) axis = -1;
    }
    // A border of one real value is no one integer for all scales.
    if (axis >= 0)
        for (int i = 0; i < rank; i++)
            if (pad.low.data[i] > 0 || pad.high.data[i] > 0) axis = -1;
    return infer_moved(diag, op, arena, input, rank, shape, axis, results);
}

bool infer_concat(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!op->operand_count) return infer_fail(diag, op, arena, "no inputs, expected at least one");
    if (!infer_tensors(diag, op, arena)) return false;
    const Type *first = op_operand(op, 0)->type;
    int64_t axis = as_concat(op).axis, shape[MAX_RANK];
    if (!infer_axis(diag, op, arena, "axis", axis, first->rank)) return false;
    memcpy(shape, first->shape, sizeof(int64_t) * (size_t)first->rank);
    shape[axis] = 0;
    for (int i = 0; i < op->operand_count; i++) {
        const Type *type = op_operand(op, i)->type;
        bool fits = type->rank == first->rank && elem_expressed(type) == elem_expressed(first) &&
                    !type->quant == !first->quant && !(type->quant && type->quant->axis >= 0);
        for (int j = 0; fits && j < first->rank; j++) fits = j == axis || type->shape[j] == first->shape[j];
        if (!fits)
            return infer_fail(diag, op, arena, "input %d is %s, which can't be joined to %s along axis %lld", i,
                              type_text(arena, type), type_text(arena, first), (long long)axis);
        shape[axis] += type->shape[axis];
    }
    return infer_computed(diag, op, arena, first, first->rank, shape, results);
}

bool infer_broadcast_to(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    const Type *input = op_operand(op, 0)->type;
    IntList shape = as_broadcast_to(op).shape;
    int shift = shape.count - input->rank;
    bool fits = shift >= 0;
    for (int i = 0; fits && i < input->rank; i++)
        fits = input->shape[i] == 1 || input->shape[i] == shape.data[i + shift];
    if (!fits)
        return infer_fail(diag, op, arena, "input of shape %s does not broadcast to %s", shape_text(arena, input),
                          ints_text(arena, shape.count, shape.data));
    int axis = input->quant && input->quant->axis >= 0 ? input->quant->axis + shift : -1;
    return infer_moved(diag, op, arena, input, shape.count, shape.data, axis, results);
}

bool infer_in_range(Diag *diag, const Op *op, Arena *arena, const Value *indices, int64_t axis, int64_t size) {
    const Dense *known = value_constant(indices);
    for (int64_t i = 0; known && i < type_elem_count(indices->type); i++) {
        const int64_t index = dense_i64(known, i);
        if (index < 0 || index >= size)
            return infer_fail(diag, op, arena, "index %lld is out of range for axis %lld of size %lld", (long long)index, (long long)axis, (long long)size);
    }
    return true;
}

static bool infer_resampled(Diag *diag, const Op *op, Arena *arena, int64_t axis, Elem weight, const Type **results) {
    const Type *input = op_operand(op, 0)->type, *indices = op_operand(op, 1)->type, *weights = op_operand(op, 2)->type;
    if (!infer_axis(diag, op, arena, "axis", axis, input->rank) ||
        !infer_rank(diag, op, arena, "indices", indices, 2) || !infer_rank(diag, op, arena, "weights", weights, 2))
        return false;
    if (indices->quant || indices->elem != ELEM_I32 || weights->elem != weight || !type_same_shape(indices, weights))
        return infer_fail(diag, op, arena, "indices are %s and weights %s, expected i32 and %s of one shape",
                          type_text(arena, indices), type_text(arena, weights), elem_name(weight));
    if (!input->shape[axis] && type_elem_count(indices))
        return infer_fail(diag, op, arena, "input of shape %s has no elements along axis %lld to take", shape_text(arena, input), (long long)axis);
    if (!infer_in_range(diag, op, arena, op_operand(op, 1), axis, input->shape[axis])) return false;
    int64_t shape[MAX_RANK];
    memcpy(shape, input->shape, sizeof(int64_t) * (size_t)input->rank);
    shape[axis] = indices->shape[0];
    return infer_computed(diag, op, arena, input, input->rank, shape, results);
}

bool infer_resample(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    const Type *input = op_operand(op, 0)->type;
    if (!elem_is_float(elem_expressed(input)) || (input->quant && input->quant->axis >= 0))
        return infer_fail(diag, op, arena, "input is %s, expected floats or one scale", type_text(arena, input));
    return infer_resampled(diag, op, arena, as_resample(op).axis, ELEM_F32, results);
}

static bool infer_pixels(Diag *diag, const Op *op, Arena *arena) {
    const Type *input = op_operand(op, 0)->type;
    return (!input->quant && input->elem == ELEM_U8) || infer_fail(diag, op, arena, "input is %s, expected u8", type_text(arena, input));
}

bool infer_resample_u8(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    return infer_tensors(diag, op, arena) && infer_pixels(diag, op, arena) &&
           infer_resampled(diag, op, arena, as_resample_u8(op).axis, ELEM_I32, results);
}

bool infer_lookup(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena) || !infer_pixels(diag, op, arena)) return false;
    lookup_view view = as_lookup(op);
    const Type *input = view.input->type, *table = view.table->type, *channels = view.channels->type;
    int last = input->rank - 1;
    if (last < 0 || !input->shape[last]) return infer_fail(diag, op, arena, "input is %s, expected pixels of channels", type_text(arena, input));
    if (table->rank != 2 || table->shape[1] != 256 || (table->quant && table->quant->axis >= 0))
        return infer_fail(diag, op, arena, "table is %s, expected channels x 256 of one scale", type_text(arena, table));
    if (channels->quant || channels->elem != ELEM_I32 || channels->rank != 1 || channels->shape[0] != table->shape[0])
        return infer_fail(diag, op, arena, "channels are %s, expected i32, one for each of the table's %lld", type_text(arena, channels),
                          (long long)table->shape[0]);
    int64_t shape[MAX_RANK];
    memcpy(shape, input->shape, sizeof(int64_t) * (size_t)input->rank);
    shape[last] = table->shape[0];
    return infer_moved(diag, op, arena, table, input->rank, shape, -1, results);
}

bool infer_gather(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    gather_view gather = as_gather(op);
    const Type *input = gather.input->type, *indices = gather.indices->type;
    if (!infer_axis(diag, op, arena, "axis", gather.axis, input->rank)) return false;
    if (indices->quant || (indices->elem != ELEM_I32 && indices->elem != ELEM_I64))
        return infer_fail(diag, op, arena, "indices are %s, expected i32 or i64", type_text(arena, indices));
    if (type_elem_count(indices) && !input->shape[gather.axis])
        return infer_fail(diag, op, arena, "dimension %lld of the input has no elements to index", (long long)gather.axis);
    int rank = 0, axis = -1, quant_axis = input->quant ? input->quant->axis : -1;
    int64_t shape[2 * MAX_RANK];
    for (int i = 0; i < input->rank; i++) {
        if (i == quant_axis && i != gather.axis) axis = rank;
        if (i != gather.axis) shape[rank++] = input->shape[i];
        else
            for (int j = 0; j < indices->rank; j++) shape[rank++] = indices->shape[j];
    }
    return infer_moved(diag, op, arena, input, rank, shape, axis, results);
}
