// Sparse constants. Their elements stand in an order of levels: the dimensions, some of them cut into blocks, whose inner
// parts are levels of their own. A level is dense, or lists for each place of the one above which of its indices are there.
// Places are expanded a level at a time, each with where its elements go.
#include <string.h>

#include "frontend/tflite/importer.h"

enum { MAX_LEVELS = 2 * MAX_RANK, SPARSE_CSR = 1 };

typedef struct {
    int64_t size, stride; // stride: elements of the result from one index to the next
    bool sparse;
    FlatVector segments, indices;
} Level;

typedef struct {
    int64_t count, *offsets;
} Places;

// Whichever width the list has.
static FlatVector index_list(FlatTable table, FlatField type, FlatField field) {
    static const FlatField values[] = {FLAT_Int32Vector_values, FLAT_Uint16Vector_values, FLAT_Uint8Vector_values};
    int64_t kind = flat_int(table, type);
    if (kind < 1 || kind > 3) return (FlatVector){.file = table.file};
    return flat_vector(flat_table(table, field), values[kind - 1]);
}

static bool read_levels(const LiteTensor *tensor, FlatTable sparsity, int *count, Level *levels) {
    FlatVector order = flat_vector(sparsity, FLAT_SparsityParameters_traversal_order);
    FlatVector blocks = flat_vector(sparsity, FLAT_SparsityParameters_block_map);
    FlatVector dims = flat_vector(sparsity, FLAT_SparsityParameters_dim_metadata);
    int64_t strides[MAX_RANK], block[MAX_RANK], stride = 1;
    *count = (int)dims.count;
    if (order.count != dims.count || dims.count > MAX_LEVELS || dims.count != (uint32_t)tensor->rank + blocks.count) return false;
    for (int i = tensor->rank - 1; i >= 0; i--) strides[i] = stride, stride *= tensor->shape[i], block[i] = 1;
    for (int i = 0; i < *count; i++) {
        FlatTable table = flat_vector_table(dims, (uint32_t)i);
        int64_t dim = flat_vector_int(order, (uint32_t)i), inner = dim - tensor->rank;
        if (dim < 0 || dim >= *count) return false;
        int64_t outer = inner < 0 ? dim : flat_vector_int(blocks, (uint32_t)inner);
        if (outer < 0 || outer >= tensor->rank) return false;
        levels[i] = (Level){.stride = strides[outer], .sparse = flat_int(table, FLAT_DimensionMetadata_format) == SPARSE_CSR};
        levels[i].size = levels[i].sparse ? 0 : flat_int(table, FLAT_DimensionMetadata_dense_size);
        if (levels[i].size < 0) return false;
        levels[i].segments = index_list(table, FLAT_DimensionMetadata_array_segments_type, FLAT_DimensionMetadata_array_segments);
        levels[i].indices = index_list(table, FLAT_DimensionMetadata_array_indices_type, FLAT_DimensionMetadata_array_indices);
        if (inner >= 0 && !levels[i].sparse) block[outer] = levels[i].size;
    }
    for (int i = 0; i < *count; i++) {
        int64_t dim = flat_vector_int(order, (uint32_t)i);
        if (dim < tensor->rank) levels[i].stride *= block[dim];
        if (levels[i].stride > MAX_IMPORT_ELEMS) return false;
    }
    return true;
}

static bool expand_dense(Arena *scratch, const Level *level, int64_t limit, const Places *from, Places *to) {
    if (level->size && from->count > limit / level->size) return false;
    *to = (Places){from->count * level->size, ARENA_ARRAY(scratch, int64_t, from->count * level->size + 1)};
    for (int64_t i = 0; i < from->count; i++) {
        if (from->offsets[i] > MAX_IMPORT_ELEMS) return false;
        for (int64_t j = 0; j < level->size; j++) to->offsets[i * level->size + j] = from->offsets[i] + j * level->stride;
    }
    return true;
}

static bool expand_sparse(Arena *scratch, const Level *level, int64_t limit, const Places *from, Places *to) {
    if (level->segments.count != from->count + 1 || level->indices.count > limit) return false;
    *to = (Places){0, ARENA_ARRAY(scratch, int64_t, level->indices.count + 1)};
    for (int64_t i = 0; i < from->count; i++) {
        int64_t begin = flat_vector_int(level->segments, (uint32_t)i), end = flat_vector_int(level->segments, (uint32_t)i + 1);
        if (from->offsets[i] > MAX_IMPORT_ELEMS || begin != to->count || end < begin || end > level->indices.count) return false;
        for (int64_t j = begin; j < end; j++) {
            int64_t index = flat_vector_int(level->indices, (uint32_t)j);
            if (index < 0 || index > MAX_IMPORT_ELEMS) return false;
            to->offsets[to->count++] = from->offsets[i] + index * level->stride;
        }
    }
    return true;
}

const void *tensor_densify(Lite *lite, const LiteTensor *tensor, const void *values, size_t value_bytes, size_t bytes) {
    Level levels[MAX_LEVELS];
    int count;
    int64_t elements = dims_count(tensor->rank, tensor->shape), origin = 0;
    Places places = {1, &origin};
    bool fits = read_levels(tensor, flat_table(tensor->table, FLAT_Tensor_sparsity), &count, levels);
    for (int i = 0; fits && i < count; i++) {
        Places next = {0, NULL};
        fits = lite_take_bytes(lite, 8 * places.count) &&
               (levels[i].sparse ? expand_sparse : expand_dense)(lite->scratch, &levels[i], elements, &places, &next);
        places = next;
    }
    char *dense = arena_alloc(lite->scratch, (size_t)elements * bytes + 1);
    if (fits && (size_t)places.count * bytes > value_bytes) fits = false;
    for (int64_t i = 0; fits && i < places.count; i++) {
        fits = places.offsets[i] < elements;
        if (fits) memcpy(dense + (size_t)places.offsets[i] * bytes, (const char *)values + (size_t)i * bytes, bytes);
    }
    return fits ? dense : (lite_import_error(lite, "tensor '%s': the lists of its sparse elements do not fit its shape", tensor->name), NULL);
}
