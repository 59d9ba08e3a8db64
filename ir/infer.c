// Shape inference: what all families share, see infer.h.
#include "ir/infer.h"

#include <stdarg.h>

bool infer_fail(Diag *diag, const Op *op, Arena *arena, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const char *text = arena_vprintf(arena, format, args);
    va_end(args);
    return diag_error(diag, op->loc, "%s: %s", op_info(op->kind)->full_name, text);
}

const char *ints_text(Arena *arena, int count, const int64_t *values) {
    const char *text = "[";
    for (int i = 0; i < count; i++)
        text = arena_printf(arena, "%s%s%lld", text, i ? ", " : "", (long long)values[i]);
    return arena_printf(arena, "%s]", text);
}

bool infer_tensors(Diag *diag, const Op *op, Arena *arena) {
    const OpInfo *info = op_info(op->kind);
    for (int i = 0; i < info->operand_count; i++)
        if (info->operands[i].arity == OPERAND_ONE && !op_operand(op, i))
            return infer_fail(diag, op, arena, "operand '%s' is missing", info->operands[i].name);
    for (int i = 0; i < op->operand_count; i++) {
        const Value *value = op_operand(op, i);
        if (value && (!value->type || value->type->kind != TYPE_TENSOR))
            return infer_fail(diag, op, arena, "operand %d is not a tensor", i);
    }
    return true;
}

bool infer_rank(Diag *diag, const Op *op, Arena *arena, const char *what, const Type *type, int rank) {
    if (type->rank == rank) return true;
    return infer_fail(diag, op, arena, "%s has shape %s, expected %d dimensions", what,
                      shape_text(arena, type), rank);
}

bool infer_shape(Diag *diag, const Op *op, Arena *arena, int rank, const int64_t *shape) {
    if (rank > MAX_RANK)
        return infer_fail(diag, op, arena, "result has %d dimensions, at most %d are supported", rank, MAX_RANK);
    int64_t limit = (int64_t)1 << MAX_ELEMS_LOG2, count = 1;
    for (int i = 0; i < rank; i++) {
        if (shape[i] < 0)
            return infer_fail(diag, op, arena, "dimension %d of the result would be %lld", i, (long long)shape[i]);
        // Dimensions of size 0 don't excuse others that overflow when multiplied in another order.
        if (shape[i] >= limit || (shape[i] && count >= (limit + shape[i] - 1) / shape[i]))
            return infer_fail(diag, op, arena, "result of shape %s would have 2^%d elements or more",
                              ints_text(arena, rank, shape), MAX_ELEMS_LOG2);
        if (shape[i]) count *= shape[i];
    }
    return true;
}

bool infer_ints(Diag *diag, const Op *op, Arena *arena, const char *name, IntList list, int count,
                bool optional, int64_t min) {
    if (list.count != count && !(optional && !list.count))
        return infer_fail(diag, op, arena, "'%s' has %d elements, expected %d", name, list.count, count);
    for (int i = 0; i < list.count; i++)
        if (list.data[i] < min || list.data[i] > MAX_EXTENT)
            return infer_fail(diag, op, arena, "'%s' is %s, expected elements from %lld to %d", name,
                              ints_text(arena, list.count, list.data), (long long)min, MAX_EXTENT);
    return true;
}

bool infer_axis(Diag *diag, const Op *op, Arena *arena, const char *name, int64_t axis, int rank) {
    if (axis >= 0 && axis < rank) return true;
    return infer_fail(diag, op, arena, "'%s' is %lld, out of range for %d dimensions", name, (long long)axis, rank);
}

bool infer_computed(Diag *diag, const Op *op, Arena *arena, const Type *like, int rank,
                    const int64_t *shape, const Type **results) {
    if (!infer_shape(diag, op, arena, rank, shape)) return false;
    results[0] = type_tensor(arena, elem_expressed(like), rank, shape);
    return true;
}

bool infer_moved(Diag *diag, const Op *op, Arena *arena, const Type *input, int rank,
                 const int64_t *shape, int axis, const Type **results) {
    if (!infer_shape(diag, op, arena, rank, shape)) return false;
    const Quant *quant = input->quant;
    if (quant && quant->axis >= 0) {
        if (axis < 0 || shape[axis] != quant->count)
            return infer_fail(diag, op, arena,
                              "input is quantized along axis %d, which this op doesn't keep; dequantize first",
                              quant->axis);
        quant = quant_per_axis(arena, quant->storage, axis, quant->count, quant->scale, quant->zero_point,
                               quant->storage_min, quant->storage_max);
    }
    results[0] = quant ? type_quantized(arena, quant, rank, shape) : type_tensor(arena, input->elem, rank, shape);
    return true;
}

int64_t window_reach(const WindowDim *dim) { return (dim->kernel - 1) * dim->dilation + 1; }

int64_t window_count(const WindowDim *dim) {
    int64_t span = dim->input + dim->low + dim->high - window_reach(dim);
    if (span < 0) return 0;
    int64_t count = (span + (dim->ceil_mode ? dim->stride - 1 : 0)) / dim->stride + 1;
    // A window that would start beyond the input and its leading padding is dropped (ONNX, ceil_mode).
    if (dim->ceil_mode && (count - 1) * dim->stride >= dim->input + dim->low) count--;
    return count;
}
