// Ops that move data: reshaping, transposing, joining, cutting, padding, repeating.
#include <string.h>

#include "frontend/onnx/importer.h"

// The same tensor under another name.
static bool bind_same(Node *node) {
    const Dense *stored = node_stored(node, 0), *dense = stored ? NULL : node_dense(node, 0);
    if (stored || dense)
        return stored ? node_bind_stored(node, 0, stored) : node_bind_dense(node, 0, dense);
    return node_bind(node, 0, node_input(node, 0));
}

bool convert_identity(Node *node) {
    return bind_same(node);
}

// Inference: nothing is dropped, and the mask keeps all.
bool convert_dropout(Node *node) {
    double training = 0;
    const Type *type = node_input_type(node, 0);
    if (!type || !node_scalar(node, 2, 0, &training))
        return type == NULL && node_input(node, 0) && false;
    if (training != 0)
        return node_error(node, "training_mode is not supported: export the model for inference");
    Arena *scratch = node->importer->scratch;
    const Type *mask = type_tensor(scratch, node->importer->opset < 10 ? type->elem : ELEM_I1,
                                   type->rank, type->shape);
    return node_bind_dense(node, 1, dense_splat(scratch, mask, 1)) && bind_same(node);
}

static bool bind_cast(Node *node, const Type *type, Elem elem) {
    if (type->elem == elem)
        return bind_same(node);
    const Dense *dense = node_dense(node, 0);
    if (!dense && (elem_bits(elem) < 8 || elem_bits(type->elem) < 8))
        return node_error(node, "elements of type %s are supported in constants only",
                          elem_name(elem_bits(elem) < 8 ? elem : type->elem));
    if (dense && elem == ELEM_F32 && elem_is_float(type->elem)) // weights of 16 bits, however many
        return node_bind_dense(node, 0, dense_to_f32(node->importer->scratch, dense));
    return node_bind(node, 0, emit_cast(node, node_input(node, 0), elem));
}

bool convert_cast(Node *node) {
    Elem elem;
    const char *name = node_string(node, "to", NULL); // before opset 6
    int64_t to = name ? onnx_type_of_name(name) : node_int(node, "to", 0);
    const Type *type = node_input_type(node, 0);
    if (!type)
        return node_input(node, 0) && false;
    if (to < 0 || to > 1000 || !elem_from_onnx((int)to, &elem))
        return node_error(node, "the type %s (%lld) is not supported",
                          onnx_type_name((int)(to & 1023)), (long long)to);
    return bind_cast(node, type, elem);
}

bool convert_cast_like(Node *node) {
    const Type *type = node_input_type(node, 0), *like = node_input_type(node, 1);
    if (!type || !like)
        return node_input(node, type ? 1 : 0) && false;
    return bind_cast(node, type, like->elem);
}

// Bytes that stand for booleans are made 0 or 1.
bool convert_bit_cast(Node *node) {
    Value *input = node_input(node, 0);
    int64_t to = node_int(node, "to", 0);
    Elem elem;
    if (!input)
        return false;
    if (to < 0 || to > 1000 || !elem_from_onnx((int)to, &elem))
        return node_error(node, "the type %s (%lld) is not supported",
                          onnx_type_name((int)(to & 1023)), (long long)to);
    if (input->type->elem == elem || (elem == ELEM_I1 && elem_bits(input->type->elem) == 8))
        return bind_cast(node, input->type, elem);
    Arena *arena = node->importer->arena;
    Attr *attrs = attr_type(arena, NULL, "to", type_tensor(arena, elem, 0, NULL));
    return node_bind(node, 0, emit_unary(node, OP_bit_cast, input, attrs));
}

// ---- shapes

bool convert_reshape(Node *node) {
    Value *input = node_input(node, 0);
    Ints ints;
    if (!input || !node_ints_or_input(node, "shape", 1, &ints))
        return false;
    if (ints.count > MAX_RANK)
        return node_error(node, "%d dimensions are not supported; %d are", ints.count, MAX_RANK);
    int64_t dims[MAX_RANK], known = 1;
    int unknown = -1;
    for (int i = 0; i < ints.count; i++) {
        dims[i] = ints.data[i];
        if (dims[i] == 0 && !node_int(node, "allowzero", 0)) {
            if (i >= input->type->rank)
                return node_error(node, "dimension %d of its shape is 0, but its input has %d", i,
                                  input->type->rank);
            dims[i] = input->type->shape[i];
        }
        if (dims[i] < -1 || (dims[i] == -1 && unknown >= 0))
            return node_error(node, "its shape has more than one unknown dimension");
        if (dims[i] == -1)
            unknown = i;
        else if (__builtin_mul_overflow(known, dims[i], &known))
            return node_error(node, "its shape is too large");
    }
    if (unknown >= 0)
        dims[unknown] = known ? type_elem_count(input->type) / known : 0;
    return node_bind(node, 0, emit_reshape(node, input, ints.count, dims));
}

bool convert_flatten(Node *node) {
    Value *input = node_input(node, 0);
    if (!input)
        return false;
    int64_t rank = input->type->rank, axis = node_int(node, "axis", 1), dims[2] = {1, 1};
    if (axis < -rank || axis > rank)
        return node_error(node, "axis %lld is out of range for %lld dimensions", (long long)axis,
                          (long long)rank);
    if (axis < 0)
        axis += rank;
    for (int i = 0; i < rank; i++)
        dims[i >= axis] *= input->type->shape[i];
    return node_bind(node, 0, emit_reshape(node, input, 2, dims));
}

bool convert_squeeze(Node *node) {
    Value *input = node_input(node, 0);
    Ints ints;
    int axes[MAX_RANK], kept = 0;
    bool drop[MAX_RANK] = {false};
    if (!input || !node_ints_or_input(node, "axes", 1, &ints))
        return false;
    int rank = input->type->rank;
    int64_t dims[MAX_RANK];
    if (!node_axes(node, ints, rank, axes))
        return false;
    for (int i = 0; i < ints.count; i++) {
        drop[axes[i]] = true;
        if (input->type->shape[axes[i]] != 1)
            return node_error(node, "dimension %d has %lld elements, expected 1", axes[i],
                              (long long)input->type->shape[axes[i]]);
    }
    for (int i = 0; i < rank; i++)
        if (!(drop[i] || (!ints.present && input->type->shape[i] == 1)))
            dims[kept++] = input->type->shape[i];
    return node_bind(node, 0, emit_reshape(node, input, kept, dims));
}

bool convert_unsqueeze(Node *node) {
    Value *input = node_input(node, 0);
    Ints ints;
    int axes[2 * MAX_RANK];
    bool added[2 * MAX_RANK] = {false};
    if (!input || !node_ints_or_input(node, "axes", 1, &ints))
        return false;
    int rank = input->type->rank + ints.count, next = 0;
    int64_t dims[MAX_RANK];
    if (rank > MAX_RANK)
        return node_error(node, "its result would have %d dimensions; %d are supported", rank,
                          MAX_RANK);
    if (!node_axes(node, ints, rank, axes))
        return false;
    for (int i = 0; i < ints.count; i++)
        added[axes[i]] = true;
    for (int i = 0; i < rank; i++)
        dims[i] = added[i] ? 1 : input->type->shape[next++];
    return node_bind(node, 0, emit_reshape(node, input, rank, dims));
}

bool convert_transpose(Node *node) {
    const Dense *stored = node_stored(node, 0);
    Value *input = stored ? NULL : node_input(node, 0);
    Ints ints;
    int perm[MAX_RANK];
    if ((!stored && !input) || !node_ints(node, "perm", &ints))
        return false;
    int rank = stored ? stored->type->rank : input->type->rank;
    if (ints.present && ints.count != rank)
        return node_error(node, "perm has %d numbers, expected %d", ints.count, rank);
    if (!node_axes(node, ints, rank, perm))
        return false;
    for (int i = 0; !ints.present && i < rank; i++)
        perm[i] = rank - 1 - i;
    if (stored && rank <= 4)
        return node_bind_stored(node, 0, stored_transpose(node->importer, stored, perm));
    return node_bind(node, 0, emit_transpose(node, stored ? node_input(node, 0) : input, perm));
}

bool convert_depth_to_space(Node *node) {
    Value *input = node_input(node, 0);
    if (!input)
        return false;
    int64_t block = node_int(node, "blocksize", 0);
    const int64_t *s = input->type->shape;
    const char *mode = node_string(node, "mode", "DCR");
    if (input->type->rank != 4)
        return node_error(node, "its input has %d dimensions, expected 4", input->type->rank);
    if (block < 1 || block > 65536 || s[1] % (block * block))
        return node_error(node, "blocksize %lld does not divide its channels", (long long)block);
    bool dcr = !strcmp(mode, "DCR");
    if (!dcr && strcmp(mode, "CRD"))
        return node_error(node, "mode '%s' is not one of ONNX", mode);
    int64_t depth = s[1] / (block * block);
    int64_t split_dcr[6] = {s[0], block, block, depth, s[2], s[3]},
            split_crd[6] = {s[0], depth, block, block, s[2], s[3]};
    Value *value = emit_reshape(node, input, 6, dcr ? split_dcr : split_crd);
    value =
        emit_transpose(node, value, dcr ? (int[]){0, 3, 4, 1, 5, 2} : (int[]){0, 1, 4, 2, 5, 3});
    return node_bind(
        node, 0,
        emit_reshape(node, value, 4, (int64_t[]){s[0], depth, s[2] * block, s[3] * block}));
}

// C H block W block to (block block C) H W, or with mode CRD to (C block block) H W.
bool convert_space_to_depth(Node *node) {
    Value *input = node_input(node, 0);
    if (!input)
        return false;
    int64_t block = node_int(node, "blocksize", 0);
    const int64_t *s = input->type->shape;
    if (input->type->rank != 4)
        return node_error(node, "its input has %d dimensions, expected 4", input->type->rank);
    if (block < 1 || block > 65536 || s[2] % block || s[3] % block)
        return node_error(node, "blocksize %lld does not divide its height and width", (long long)block);
    int64_t dims[4] = {s[0], s[1] * block * block, s[2] / block, s[3] / block};
    int64_t split[6] = {s[0], s[1], dims[2], block, dims[3], block};
    Value *value = emit_reshape(node, input, 6, split);
    bool dcr = !strcmp(node_string(node, "mode", "DCR"), "DCR");
    value =
        emit_transpose(node, value, dcr ? (int[]){0, 3, 5, 1, 2, 4} : (int[]){0, 1, 3, 5, 2, 4});
    return node_bind(node, 0, emit_reshape(node, value, 4, dims));
}

// ---- joining and repeating

Value *emit_concat(const Node *node, int count, Value *const *inputs, int axis) {
    return emit(node, OP_concat, count, inputs, attr_int(node->importer->arena, NULL, "axis", axis));
}

bool convert_concat(Node *node) {
    int count = node_input_count(node), axis;
    Value **inputs = ARENA_ARRAY(node->importer->scratch, Value *, count + 1);
    if (count == 0)
        return node_error(node, "it has no inputs");
    for (int i = 0; i < count; i++)
        if (!(inputs[i] = node_input(node, i)))
            return false;
    if (!node_axis(node, node_int(node, "axis", 1), inputs[0]->type->rank, &axis))
        return false;
    if (count == 1)
        return bind_same(node);
    return node_bind(node, 0, emit_concat(node, count, inputs, axis));
}

Value *emit_broadcast(const Node *node, Value *input, int rank, const int64_t *dims) {
    if (!input)
        return NULL;
    const Type *type = input->type;
    if (type->rank == rank && !memcmp(type->shape, dims, sizeof *dims * (size_t)rank))
        return input;
    if (rank > MAX_RANK || dims_count(rank, dims) < 0) {
        node_error(
            node,
            "its result is out of bounds: at most %d dimensions and 2^31 elements are supported",
            MAX_RANK);
        return NULL;
    }
    return emit_unary(node, OP_broadcast_to, input,
                      attr_ints(node->importer->arena, NULL, "shape", rank, dims));
}

bool convert_expand(Node *node) {
    Value *input = node_input(node, 0);
    Ints ints;
    if (!input || !node_ints_or_input(node, "shape", 1, &ints))
        return false;
    int own = input->type->rank, rank = ints.count > own ? ints.count : own;
    int64_t dims[MAX_RANK];
    if (rank > MAX_RANK)
        return node_error(node, "%d dimensions are not supported; %d are", rank, MAX_RANK);
    for (int i = 0; i < rank; i++) {
        int64_t size = i < rank - own ? 1 : input->type->shape[i - (rank - own)];
        int64_t wanted = i < rank - ints.count ? 1 : ints.data[i - (rank - ints.count)];
        dims[i] = wanted == 1 ? size : wanted;
    }
    return node_bind(node, 0, emit_broadcast(node, input, rank, dims));
}

// A repeated dimension of more than one element is given a dimension of 1 in front, which is
// broadcast.
bool convert_tile(Node *node) {
    Value *input = node_input(node, 0);
    Ints ints;
    if (!input)
        return false;
    const Type *type = input->type;
    if (!(node->importer->opset < 6 ? old_tile_repeats(node, type, &ints)
                                    : node_ints_or_input(node, "repeats", 1, &ints)))
        return false;
    if (ints.count != type->rank)
        return node_error(node, "it has %d repeats for %d dimensions", ints.count, type->rank);
    int64_t split[2 * MAX_RANK], wide[2 * MAX_RANK], joined[MAX_RANK];
    int rank = 0;
    for (int i = 0; i < type->rank; i++) {
        int64_t size = type->shape[i], repeat = ints.data[i];
        if (repeat < 0)
            return node_error(node, "it repeats dimension %d %lld times", i, (long long)repeat);
        if (repeat > 1 && size > 1)
            split[rank] = 1, wide[rank++] = repeat;
        split[rank] = size;
        wide[rank++] = size == 1 || repeat == 0 ? repeat : size;
        joined[i] = size * repeat;
        if (repeat == 0 && size > 1)
            return node_error(node, "it repeats dimension %d 0 times", i);
    }
    if (rank > MAX_RANK)
        return node_error(node, "it repeats too many dimensions");
    Value *value = emit_reshape(node, input, rank, split);
    if (value)
        value = emit_broadcast(node, value, rank, wide);
    return node_bind(node, 0, emit_reshape(node, value, type->rank, joined));
}

// ---- cutting

Value *emit_slice(const Node *node, Value *input, const int64_t *starts, const int64_t *ends,
                  const int64_t *steps) {
    Arena *arena = node->importer->arena;
    int rank = input->type->rank;
    bool whole = !(node->importer->unfolded && value_constant(input)); // a part at other sizes
    for (int i = 0; i < rank; i++)
        whole &= starts[i] == 0 && ends[i] == input->type->shape[i] && steps[i] == 1;
    if (whole)
        return input;
    Attr *attrs = attr_ints(arena, NULL, "steps", rank, steps);
    attrs = attr_ints(arena, attrs, "ends", rank, ends);
    return emit_unary(node, OP_slice, input, attr_ints(arena, attrs, "starts", rank, starts));
}

static void whole_slice(const Type *type, int64_t *starts, int64_t *ends, int64_t *steps) {
    for (int i = 0; i < type->rank; i++)
        starts[i] = 0, ends[i] = type->shape[i], steps[i] = 1;
}

static int64_t clamp_to(int64_t value, int64_t low, int64_t high) {
    return value < low ? low : value > high ? high : value;
}

// As Python slices: negative positions count from the end, and all are clamped.
static void clamp_slice(int64_t size, int64_t *start, int64_t *end, int64_t *step) {
    if (*start < 0)
        *start += size;
    if (*end < 0)
        *end += size;
    bool backward = *step < 0;
    *start = clamp_to(*start, 0, backward && size ? size - 1 : size);
    *end = clamp_to(*end, backward ? -1 : 0, size);
    if (!size)
        *start = *end = 0;
    *step = clamp_to(*step, size ? -size : -1, size ? size : 1);
}

bool convert_slice(Node *node) {
    Value *input = node_input(node, 0);
    Ints starts, ends, axes, steps;
    if (!input || !node_ints_or_input(node, "starts", 1, &starts) ||
        !node_ints_or_input(node, "ends", 2, &ends) ||
        !node_ints_or_input(node, "axes", 3, &axes) ||
        !node_ints_or_input(node, "steps", 4, &steps))
        return false;
    const Type *type = input->type;
    int64_t first[MAX_RANK], last[MAX_RANK], by[MAX_RANK];
    int dims[MAX_RANK];
    bool fits = starts.count == ends.count && (!axes.present || axes.count == starts.count) &&
                (!steps.present || steps.count == starts.count) && starts.count <= type->rank;
    if (!fits)
        return node_error(
            node, "starts, ends, axes and steps differ in length, or have more than %d numbers",
            type->rank);
    if (!node_axes(node, axes, type->rank, dims))
        return false;
    whole_slice(type, first, last, by);
    for (int i = 0; i < starts.count; i++) {
        int dim = axes.present ? dims[i] : i;
        first[dim] = starts.data[i];
        last[dim] = ends.data[i];
        by[dim] = steps.present ? steps.data[i] : 1;
        if (!by[dim])
            return node_error(node, "a step is 0");
        clamp_slice(type->shape[dim], &first[dim], &last[dim], &by[dim]);
    }
    return node_bind(node, 0, emit_slice(node, input, first, last, by));
}

// Sizes of the parts: given, or equal with a shorter last one.
static bool split_sizes(Node *node, int64_t total, Ints *sizes) {
    if (!node_ints_or_input(node, "split", 1, sizes))
        return false;
    int count = (int)node->proto->n_output;
    if (!sizes->present) {
        int64_t size = (total + count - 1) / count;
        *sizes = (Ints){true, count, ARENA_ARRAY(node->importer->scratch, int64_t, count)};
        for (int i = 0; i < count; i++)
            sizes->data[i] = clamp_to(total - i * size, 0, size);
        if (total % count && !node_attr(node, "num_outputs"))
            return node_error(node, "%lld elements cannot be split into %d equal parts",
                              (long long)total, count);
    }
    int64_t sum = 0;
    for (int i = 0; i < sizes->count; i++) {
        if (sizes->data[i] < 0)
            return node_error(node, "a part has a negative size");
        sum += sizes->data[i];
    }
    if (sum == total && sizes->count == count)
        return true;
    return node_error(
        node,
        "its %d parts have %lld elements in all, its %d outputs and dimension of %lld do not fit",
        sizes->count, (long long)sum, count, (long long)total);
}

bool convert_split(Node *node) {
    Value *input = node_input(node, 0);
    int axis;
    Ints sizes;
    if (!input || !node->proto->n_output)
        return false;
    const Type *type = input->type;
    if (!node_axis(node, node_int(node, "axis", 0), type->rank, &axis))
        return false;
    if (!split_sizes(node, type->shape[axis], &sizes))
        return false;
    int64_t starts[MAX_RANK], ends[MAX_RANK], steps[MAX_RANK], at = 0;
    whole_slice(type, starts, ends, steps);
    for (int i = 0; i < sizes.count; i++) {
        starts[axis] = at;
        ends[axis] = at += sizes.data[i];
        if (!node_bind(node, i, emit_slice(node, input, starts, ends, steps)))
            return false;
    }
    return true;
}

// Constant indices of at most one dimension that are evenly spaced, as a slice; NULL if they are
// not.
static Value *emit_even_gather(const Node *node, Value *input, const Dense *indices, int axis) {
    const Type *type = input->type;
    int64_t count = dense_count(indices), size = type->shape[axis];
    if (indices->splat || indices->type->rank > 1 || !count || count > size)
        return NULL;
    int64_t first = dense_i64(indices, 0), starts[MAX_RANK], ends[MAX_RANK], steps[MAX_RANK];
    if (first < 0)
        first += size;
    int64_t step = count > 1 ? dense_i64(indices, 1) : 1, at = first;
    if (count > 1)
        step = (step < 0 ? step + size : step) - first;
    for (int64_t i = 0; i < count; i++, at += step) {
        int64_t index = dense_i64(indices, i);
        if ((index < 0 ? index + size : index) != at)
            return NULL;
    }
    if (!step)
        return NULL;
    whole_slice(type, starts, ends, steps);
    starts[axis] = first;
    ends[axis] = first + (count - 1) * step + (step > 0 ? 1 : -1);
    steps[axis] = step;
    return emit_slice(node, input, starts, ends, steps);
}

Value *emit_without_dim(const Node *node, Value *input, int axis) {
    int64_t dims[MAX_RANK];
    int rank = 0;
    for (int i = 0; input && i < input->type->rank; i++)
        if (i != axis)
            dims[rank++] = input->type->shape[i];
    return emit_reshape(node, input, rank, dims);
}

bool convert_gather(Node *node) {
    Value *input = node_input(node, 0);
    const Dense *indices = node_dense(node, 1);
    int axis;
    if (!input || !node_axis(node, node_int(node, "axis", 0), input->type->rank, &axis))
        return false;
    if (!node_check_indices(node, 1, 1, &input->type->shape[axis]))
        return false;
    Value *even = indices ? emit_even_gather(node, input, indices, axis) : NULL;
    if (even)
        return node_bind(node, 0, indices->type->rank ? even : emit_without_dim(node, even, axis));
    Attr *attrs = attr_int(node->importer->arena, NULL, "axis", axis);
    return node_bind(node, 0,
                     emit(node, OP_gather, 2, (Value *[]){input, node_input(node, 1)}, attrs));
}

// ---- padding

// Where element `at` of a padded dimension comes from.
static int64_t padded_source(const char *mode, int64_t at, int64_t size) {
    if (!strcmp(mode, "edge") || size == 1)
        return clamp_to(at, 0, size - 1);
    int64_t period = strcmp(mode, "wrap") ? 2 * (size - 1) : size;
    at = ((at % period) + period) % period;
    return at < size ? at : period - at;
}

// Modes that repeat elements: a gather along each padded dimension.
static Value *emit_repeated_pad(const Node *node, Value *input, const char *mode, const int64_t *low,
                                const int64_t *high) {
    for (int dim = 0; input && dim < input->type->rank; dim++) {
        int64_t size = input->type->shape[dim], count = low[dim] + size + high[dim];
        if (!low[dim] && !high[dim])
            continue;
        if (count < 0 || count > MAX_IMPORT_ELEMS || !size)
            return node_error(node, "its padding does not fit dimension %d of %lld elements", dim, (long long)size), NULL;
        int64_t *indices = ARENA_ARRAY(node->importer->scratch, int64_t, count + 1);
        for (int64_t i = 0; i < count; i++)
            indices[i] = padded_source(mode, i - low[dim], size);
        Attr *attrs = attr_int(node->importer->arena, NULL, "axis", dim);
        input = emit(node, OP_gather, 2, (Value *[]){input, emit_ints(node, (int)count, indices)}, attrs);
    }
    return input;
}

bool convert_pad(Node *node) {
    Value *input = node_input(node, 0);
    Ints pads, named;
    int axes[MAX_RANK];
    double value = node_float(node, "value", 0);
    const char *mode = node_string(node, "mode", "constant");
    if (!input)
        return false;
    int rank = input->type->rank;
    bool repeats = !strcmp(mode, "reflect") || !strcmp(mode, "edge") || !strcmp(mode, "wrap");
    if (!repeats && strcmp(mode, "constant"))
        return node_error(node, "mode '%s' is not one of ONNX", mode);
    const char *list = node->importer->opset < 2 ? "paddings" : "pads";
    if (!node_ints_or_input(node, list, 1, &pads) || !node_scalar(node, 2, value, &value) ||
        !node_ints_or_input(node, "axes", 3, &named) || !node_axes(node, named, rank, axes))
        return false;
    int count = named.present ? named.count : rank;
    if (pads.count != 2 * count)
        return node_error(node, "pads has %d numbers, expected %d", pads.count, 2 * count);
    int64_t low[MAX_RANK] = {0}, high[MAX_RANK] = {0};
    bool none = true;
    for (int i = 0; i < count; i++) {
        int dim = named.present ? axes[i] : i;
        low[dim] = pads.data[i];
        high[dim] = pads.data[count + i];
        none &= !low[dim] && !high[dim];
    }
    if (none)
        return bind_same(node);
    if (repeats)
        return node_bind(node, 0, emit_repeated_pad(node, input, mode, low, high));
    Arena *arena = node->importer->arena;
    Attr *attrs = value != 0 ? attr_float(arena, NULL, "value", value) : NULL;
    attrs = attr_ints(arena, attr_ints(arena, attrs, "high", rank, high), "low", rank, low);
    return node_bind(node, 0, emit_unary(node, OP_pad, input, attrs));
}
