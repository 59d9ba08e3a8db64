// Images put together and taken apart: CenterCropPad, Col2Im, AffineGrid.
#include <string.h>

#include "frontend/onnx/importer.h"

// ---- CenterCropPad

bool convert_center_crop_pad(Node *node) {
    Value *input = node_input(node, 0);
    Ints sizes, named;
    int axes[MAX_RANK];
    if (!input || !node_ints_or_input(node, "shape", 1, &sizes) || !node_ints(node, "axes", &named) ||
        !node_axes(node, named, input->type->rank, axes))
        return false;
    int rank = input->type->rank, count = named.present ? named.count : rank;
    if (sizes.count != count)
        return node_error(node, "its shape has %d numbers, expected %d", sizes.count, count);
    int64_t low[MAX_RANK] = {0}, high[MAX_RANK] = {0};
    for (int i = 0; i < count; i++) {
        int dim = named.present ? axes[i] : i;
        int64_t more = sizes.data[i] - input->type->shape[dim];
        if (sizes.data[i] < 0)
            return node_error(node, "its shape has a negative size");
        low[dim] = more / 2, high[dim] = more - more / 2;
    }
    Arena *arena = node->importer->arena;
    Attr *attrs = attr_ints(arena, attr_ints(arena, NULL, "high", rank, high), "low", rank, low);
    return node_bind(node, 0, emit_unary(node, OP_pad, input, attrs));
}

// ---- Col2Im: each dimension of the image sums elements of its blocks, by a table

typedef struct { int spatial; int64_t image[MAX_RANK], block[MAX_RANK], count[MAX_RANK]; Ints pads, strides, dilations; } Blocks;

static bool read_list(const Node *node, const char *name, int count, int64_t least, Ints *ints) {
    if (!node_ints(node, name, ints))
        return false;
    if (ints->present && ints->count != count)
        return node_error(node, "%s has %d numbers, expected %d", name, ints->count, count);
    for (int i = 0; i < ints->count; i++)
        if (ints->data[i] < least || ints->data[i] > 1 << 20)
            return node_error(node, "%s has the number %lld, which is out of bounds", name, (long long)ints->data[i]);
    return true;
}

static int64_t ints_at(const Ints *ints, int index, int64_t fallback) {
    return ints->present ? ints->data[index] : fallback;
}

static bool read_blocks(const Node *node, Blocks *b) {
    Ints image, block;
    if (!node_ints_or_input(node, "image_shape", 1, &image) || !node_ints_or_input(node, "block_shape", 2, &block))
        return false;
    b->spatial = image.count;
    if (b->spatial < 1 || b->spatial > (MAX_RANK - 2) / 2 || block.count != b->spatial)
        return node_error(node, "an image of %d dimensions and blocks of %d are not supported; both must have 1 to %d",
                          image.count, block.count, (MAX_RANK - 2) / 2);
    if (!read_list(node, "pads", 2 * b->spatial, 0, &b->pads) || !read_list(node, "strides", b->spatial, 1, &b->strides) ||
        !read_list(node, "dilations", b->spatial, 1, &b->dilations))
        return false;
    for (int i = 0; i < b->spatial; i++) {
        b->image[i] = image.data[i], b->block[i] = block.data[i];
        if (b->image[i] < 1 || b->block[i] < 1 || b->block[i] > 1 << 20)
            return node_error(node, "its image or its blocks have no elements");
        int64_t span = b->image[i] + ints_at(&b->pads, i, 0) + ints_at(&b->pads, i + b->spatial, 0) -
                       ((b->block[i] - 1) * ints_at(&b->dilations, i, 1) + 1);
        b->count[i] = span < 0 ? 0 : span / ints_at(&b->strides, i, 1) + 1;
    }
    return true;
}

// N, C * blocks' elements, blocks to N * C, then for each dimension its element in the block and the block in one.
static Value *emit_unfolded(const Node *node, Value *input, const Blocks *b) {
    int64_t elements = 1, blocks = 1, split[MAX_RANK], joined[MAX_RANK];
    int perm[MAX_RANK] = {0, 1};
    for (int i = 0; i < b->spatial; i++) {
        if (elements > MAX_IMPORT_ELEMS / b->block[i] || (b->count[i] && blocks > MAX_IMPORT_ELEMS / b->count[i]))
            return node_error(node, "its blocks have too many elements"), NULL;
        elements *= b->block[i], blocks *= b->count[i];
        split[2 + i] = b->block[i], split[2 + b->spatial + i] = b->count[i];
        perm[2 + 2 * i] = 2 + i, perm[3 + 2 * i] = 2 + b->spatial + i;
        joined[1 + i] = b->block[i] * b->count[i];
    }
    const Type *type = input->type;
    if (type->rank != 3 || type->shape[1] % elements || type->shape[2] != blocks || !blocks)
        return node_error(node, "its input is %s, expected a multiple of %lld channels and %lld blocks",
                          type_text(node->importer->scratch, type), (long long)elements, (long long)blocks), NULL;
    split[0] = type->shape[0], split[1] = type->shape[1] / elements;
    joined[0] = split[0] * split[1];
    Value *value = emit_transpose(node, emit_reshape(node, input, 2 + 2 * b->spatial, split), perm);
    return emit_reshape(node, value, 1 + b->spatial, joined);
}

// Which (element, block) pairs fall on each place of dimension `i`.
static Value *emit_folded(const Node *node, Value *value, const Blocks *b, int i) {
    Arena *scratch = node->importer->scratch;
    int64_t size = b->image[i], cells = b->block[i] * b->count[i];
    if (size > MAX_FOLD_ELEMS * 64 || cells > MAX_FOLD_ELEMS * 64)
        return node_error(node, "its image or its blocks have more than %lld elements in a dimension", (long long)MAX_FOLD_ELEMS * 64), NULL;
    int64_t *taken = ARENA_ARRAY(scratch, int64_t, size), most = 1;
    int32_t *place = ARENA_ARRAY(scratch, int32_t, cells);
    for (int64_t k = 0; k < cells; k++) {
        int64_t at = k / b->count[i] * ints_at(&b->dilations, i, 1) + k % b->count[i] * ints_at(&b->strides, i, 1) -
                     ints_at(&b->pads, i, 0);
        place[k] = at >= 0 && at < size ? (int32_t)at : -1;
        if (place[k] >= 0 && ++taken[at] > most)
            most = taken[at];
    }
    if (size * most > MAX_FOLD_ELEMS * 64)
        return node_error(node, "too many of its blocks fall on one place"), NULL;
    int64_t shape[2] = {size, most};
    int32_t *indices = ARENA_ARRAY(scratch, int32_t, size * most);
    float *weights = ARENA_ARRAY(scratch, float, size * most);
    memset(taken, 0, sizeof *taken * (size_t)size);
    for (int64_t k = 0; k < cells; k++) {
        if (place[k] < 0)
            continue;
        int64_t cell = place[k] * most + taken[place[k]]++;
        indices[cell] = (int32_t)k, weights[cell] = 1;
    }
    Dense *table = dense_new(scratch, type_tensor(scratch, ELEM_I32, 2, shape), indices, false);
    Value *places = emit_constant(node->importer, table, false, NULL);
    Value *operands[] = {value, places, emit_floats(node, 2, shape, weights)};
    return emit(node, OP_resample, 3, operands, attr_int(node->importer->arena, NULL, "axis", 1 + i));
}

bool convert_col2im(Node *node) {
    Value *input = node_input(node, 0);
    Blocks b;
    if (!input || !read_blocks(node, &b))
        return false;
    Value *value = emit_unfolded(node, input, &b);
    for (int i = 0; value && i < b.spatial; i++)
        value = emit_folded(node, value, &b, i);
    int64_t shape[MAX_RANK] = {input->type->shape[0], value ? value->type->shape[0] / (input->type->shape[0] ? input->type->shape[0] : 1) : 0};
    memcpy(shape + 2, b.image, sizeof *shape * (size_t)b.spatial);
    return node_bind(node, 0, emit_reshape(node, value, 2 + b.spatial, shape));
}

// ---- AffineGrid

// Coordinate `i` of `size` elements between -1 and 1: their centers, or with align_corners up to both ends.
static float grid_at(int64_t i, int64_t size, bool align_corners) {
    if (align_corners)
        return size > 1 ? (float)(-1 + 2.0 * (double)i / (double)(size - 1)) : -1;
    return (float)((2.0 * (double)i + 1) / (double)size - 1);
}

// Of each place x, y (, z) and a 1.
static Value *emit_places(const Node *node, int spatial, const int64_t *sizes, int64_t count) {
    bool align_corners = node_int(node, "align_corners", 0) != 0;
    int64_t shape[2] = {count, spatial + 1};
    float *data = ARENA_ARRAY(node->importer->scratch, float, shape[0] * shape[1]), *at = data;
    for (int64_t i = 0; i < count; i++, at += spatial + 1) {
        int64_t rest = i;
        for (int k = 0; k < spatial; k++) {
            int64_t size = sizes[spatial - 1 - k];
            at[k] = grid_at(rest % size, size, align_corners);
            rest /= size;
        }
        at[spatial] = 1;
    }
    return emit_floats(node, 2, shape, data);
}

bool convert_affine_grid(Node *node) {
    Value *theta = node_input(node, 0);
    Ints size;
    if (!theta || !node_ints_or_input(node, "size", 1, &size))
        return false;
    int spatial = size.count - 2;
    const Type *type = theta->type;
    if (!size.present || spatial < 2 || spatial > 3 || type->rank != 3 || type->shape[0] != size.data[0] ||
        type->shape[1] != spatial || type->shape[2] != spatial + 1)
        return node_error(node, "theta is %s, which does not fit a size of %d numbers: expected N, 2, 3 for 4 and N, 3, 4 for 5",
                          type_text(node->importer->scratch, type), size.count);
    int64_t count = dims_count(spatial, size.data + 2), shape[MAX_RANK] = {type->shape[0]};
    if (count < 1 || count > MAX_FOLD_ELEMS * 64)
        return node_error(node, "a grid of that size is not supported; 1 to %lld places are", (long long)MAX_FOLD_ELEMS * 64);
    memcpy(shape + 1, size.data + 2, sizeof *shape * (size_t)spatial);
    shape[1 + spatial] = spatial;
    Value *columns = emit_transpose(node, theta, (int[]){0, 2, 1});
    Value *grid = columns ? emit_binary(node, OP_matmul, emit_places(node, spatial, size.data + 2, count), columns) : NULL;
    return node_bind(node, 0, emit_reshape(node, grid, spatial + 2, shape));
}
