// Dense elements in an arena: made, reshaped and transposed without the interpreter.
#include "frontend/dense.h"

#include <string.h>

int64_t dims_count(int rank, const int64_t *dims) {
    int64_t count = 1;
    bool empty = false;
    for (int i = 0; i < rank; i++) {
        if (dims[i] < 0 || dims[i] > MAX_IMPORT_ELEMS)
            return -1;
        count *= dims[i] ? dims[i] : 1;
        empty |= !dims[i];
        if (count > MAX_IMPORT_ELEMS)
            return -1;
    }
    return empty ? 0 : count;
}

int64_t dense_count(const Dense *dense) {
    return type_elem_count(dense->type);
}

Dense *dense_new(Arena *arena, const Type *type, const void *data, bool splat) {
    Dense *dense = ARENA_NEW(arena, Dense);
    *dense = (Dense){.type = type, .data = data, .bytes = type_bytes(type), .splat = splat};
    if (splat)
        dense->bytes = (size_t)(elem_bits(type->elem) + 7) / 8;
    return dense;
}

Dense *dense_alloc(Arena *arena, const Type *type) {
    return dense_new(arena, type, arena_alloc(arena, type_bytes(type) + 1), false);
}

const Dense *dense_splat(Arena *arena, const Type *type, double value) {
    Tensor one = tensor_new(arena, type_tensor(arena, type->elem, 0, NULL));
    tensor_set_f64(&one, 0, value);
    return dense_new(arena, type, one.data, true);
}

const Dense *dense_from_ints(Arena *arena, int count, const int64_t *values) {
    const Type *type = type_tensor(arena, ELEM_I64, 1, &(int64_t){count});
    return dense_new(arena, type, arena_copy(arena, values, sizeof *values * (size_t)count), false);
}

const Dense *dense_reshape(Arena *arena, const Dense *dense, int rank, const int64_t *dims) {
    Dense *copy = ARENA_NEW(arena, Dense);
    *copy = *dense;
    copy->type = type_tensor(arena, dense->type->elem, rank, dims);
    return copy;
}

// Copies elements of `size` bytes; innermost loop over the last result dimension.
static void transpose_bytes(char *dst, const char *src, size_t size, const int64_t dims[4],
                            const int64_t strides[4]) {
    for (int64_t a = 0; a < dims[0]; a++)
        for (int64_t b = 0; b < dims[1]; b++)
            for (int64_t c = 0; c < dims[2]; c++) {
                const char *row =
                    src + (a * strides[0] + b * strides[1] + c * strides[2]) * (int64_t)size;
                for (int64_t d = 0; d < dims[3]; d++, dst += size)
                    memcpy(dst, row + d * strides[3] * (int64_t)size, size);
            }
}

const Dense *dense_transpose(Arena *arena, const Dense *dense, const int *perm) {
    const Type *type = dense->type;
    int rank = type->rank;
    BUG_UNLESS(rank <= 4 && elem_bits(type->elem) >= 8, "transposing a constant of rank %d", rank);
    int64_t source_strides[4], dims[4] = {1, 1, 1, 1}, strides[4] = {0}, stride = 1;
    for (int i = rank - 1; i >= 0; i--)
        source_strides[i] = stride, stride *= type->shape[i];
    for (int i = 0; i < rank; i++) {
        dims[4 - rank + i] = type->shape[perm[i]];
        strides[4 - rank + i] = source_strides[perm[i]];
    }
    const Type *result = type_tensor(arena, type->elem, rank, dims + 4 - rank);
    if (dense->splat)
        return dense_new(arena, result, dense->data, true);
    Dense *out = dense_alloc(arena, result);
    transpose_bytes((char *)out->data, dense->data, (size_t)elem_bits(type->elem) / 8, dims,
                    strides);
    return out;
}

Tensor dense_to_tensor(Arena *arena, const Dense *dense) {
    if (!dense->splat)
        return (Tensor){dense->type, (void *)dense->data};
    Tensor tensor = tensor_new(arena, dense->type);
    double value = dense_f64(dense, 0);
    int64_t count = dense_count(dense);
    for (int64_t i = 0; i < count; i++)
        tensor_set_f64(&tensor, i, value);
    return tensor;
}
