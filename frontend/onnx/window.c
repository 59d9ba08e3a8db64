// Ops with windows and channels: Conv, pooling, BatchNormalization, Resize. ONNX puts channels
// second, nn last: each op is emitted between two transpositions, which the passes sink and remove;
// filters are transposed here. One spatial dimension is read as two, the first of size 1; three are
// not supported.
#include <math.h>
#include <string.h>

#include "frontend/onnx/importer.h"

typedef struct {
    int64_t kernel[2], strides[2], pads[4], dilations[2]; // pads: top, left, bottom, right
    bool ceil_mode;
} Window;

// A list with one number a spatial dimension, to one of two: the absent first is `fallback`.
static bool read_pair(const Node *node, const char *name, int spatial, int64_t fallback,
                      int64_t out[2]) {
    Ints ints;
    out[0] = out[1] = fallback;
    if (!node_ints(node, name, &ints))
        return false;
    if (!ints.present)
        return true;
    if (ints.count != spatial)
        return node_error(node, "%s has %d numbers, expected %d", name, ints.count, spatial);
    for (int i = 0; i < spatial; i++) {
        out[2 - spatial + i] = ints.data[i];
        if (ints.data[i] < 1)
            return node_error(node, "%s must be at least 1", name);
    }
    return true;
}

// Padding so that there are ceil(input / stride) windows; an odd element goes to the end, or with
// SAME_LOWER to the start.
static void pad_same(Window *window, int i, int64_t input, bool lower) {
    int64_t stride = window->strides[i], reach = (window->kernel[i] - 1) * window->dilations[i] + 1;
    int64_t count = (input + stride - 1) / stride;
    int64_t total = (count - 1) * stride + reach - input;
    if (total < 0)
        total = 0;
    window->pads[i] = lower ? total - total / 2 : total / 2;
    window->pads[i + 2] = total - window->pads[i];
}

static bool read_pads(const Node *node, const Type *input, int spatial, Window *window) {
    const char *mode = node_string(node, "auto_pad", "NOTSET");
    bool lower = !strcmp(mode, "SAME_LOWER");
    const int64_t sizes[2] = {spatial == 1 ? 1 : input->shape[2], input->shape[input->rank - 1]};
    if (strcmp(mode, "NOTSET") && *mode)
        window->ceil_mode = false;
    if (!strcmp(mode, "VALID"))
        return true;
    if (lower || !strcmp(mode, "SAME_UPPER")) {
        for (int i = 0; i < 2; i++)
            pad_same(window, i, sizes[i], lower);
        return true;
    }
    if (strcmp(mode, "NOTSET") && *mode)
        return node_error(node, "auto_pad '%s' is not one of ONNX", mode);
    Ints ints;
    if (!node_ints(node, "pads", &ints) || !ints.present)
        return !ints.present;
    if (ints.count != 2 * spatial)
        return node_error(node, "pads has %d numbers, expected %d", ints.count, 2 * spatial);
    for (int i = 0; i < spatial; i++) {
        window->pads[2 - spatial + i] = ints.data[i];
        window->pads[4 - spatial + i] = ints.data[spatial + i];
        if (ints.data[i] < 0 || ints.data[spatial + i] < 0)
            return node_error(node, "pads must not be negative");
    }
    return true;
}

static bool check_spatial(const Node *node, const Type *input) {
    if (input->rank == 3 || input->rank == 4)
        return true;
    return node_error(node,
                      "an input of %d dimensions is not supported; 1 or 2 spatial dimensions are",
                      input->rank);
}

// `kernel` is preset by Conv from its weight; else the attribute must be there.
static bool read_window(const Node *node, const Type *input, Window *window) {
    int spatial = input->rank - 2;
    bool preset = window->kernel[0] > 0;
    if (!preset) {
        if (!node_attr(node, "kernel_shape"))
            return node_error(node, "attribute kernel_shape is missing");
        if (!read_pair(node, "kernel_shape", spatial, 1, window->kernel))
            return false;
    }
    window->ceil_mode = !preset && node_int(node, "ceil_mode", 0) != 0;
    return read_pair(node, "strides", spatial, 1, window->strides) &&
           read_pair(node, "dilations", spatial, 1, window->dilations) &&
           read_pads(node, input, spatial, window);
}

static Attr *window_attrs(Arena *arena, const Window *window) {
    Attr *attrs = attr_ints(arena, NULL, "dilations", 2, window->dilations);
    attrs = attr_ints(arena, attrs, "pads", 4, window->pads);
    return attr_ints(arena, attrs, "strides", 2, window->strides);
}

// ---- convolution

// The weight O I KH KW as a filter O KH KW I: a constant of its own, or a transposition of what is
// computed.
static Value *emit_filter(const Node *node) {
    Importer *importer = node->importer;
    const Dense *dense = node_dense(node, 1);
    if (!dense)
        return emit_to_nhwc(node, node_input(node, 1));
    const int64_t *shape = dense->type->shape;
    if (dense->type->rank == 3)
        dense = dense_reshape(importer->scratch, dense, 4,
                              (int64_t[]){shape[0], shape[1], 1, shape[2]});
    if (elem_bits(dense->type->elem) < 8)
        return node_error(node, "its weight has packed elements"), NULL;
    dense = dense_transpose(importer->arena, dense, (int[]){0, 2, 3, 1});
    return emit_constant(importer, dense, !dense->splat, take_name(node, 1));
}

static bool check_kernel_shape(const Node *node, const Type *weight) {
    Ints ints;
    if (!node_ints(node, "kernel_shape", &ints))
        return false;
    for (int i = 0; ints.present && i < weight->rank - 2; i++)
        if (ints.count != weight->rank - 2 || ints.data[i] != weight->shape[2 + i])
            return node_error(node, "kernel_shape differs from the shape of the weight");
    return true;
}

bool convert_conv(Node *node) {
    Value *input = node_input(node, 0);
    const Type *weight = node_input_type(node, 1);
    if (!input)
        return false;
    if (!weight)
        return node_input(node, 1) && false;
    if (!check_spatial(node, input->type))
        return false;
    if (weight->rank != input->type->rank)
        return node_error(node, "its weight has %d dimensions, its input %d", weight->rank,
                          input->type->rank);
    int rank = input->type->rank;
    Window window = {.kernel = {rank == 3 ? 1 : weight->shape[2], weight->shape[rank - 1]}};
    if (window.kernel[0] < 1 || window.kernel[1] < 1)
        return node_error(node, "its weight has no elements");
    if (!check_kernel_shape(node, weight) || !read_window(node, input->type, &window))
        return false;
    Arena *arena = node->importer->arena;
    Attr *attrs =
        attr_int(arena, window_attrs(arena, &window), "group", node_int(node, "group", 1));
    Value *operands[3] = {emit_to_nhwc(node, input), emit_filter(node), NULL};
    if (node_has_input(node, 2) && !(operands[2] = node_input(node, 2)))
        return false;
    Value *output = emit(node, OP_conv2d, 3, operands, attrs);
    return output && node_bind_layout(node, output, emit_from_nhwc(node, output, rank));
}

// ---- pooling

static bool convert_pool(Node *node, OpKind kind) {
    Value *input = node_input(node, 0);
    Window window = {0};
    if (!input || !check_spatial(node, input->type) || !read_window(node, input->type, &window))
        return false;
    Arena *arena = node->importer->arena;
    Attr *attrs = attr_ints(arena, window_attrs(arena, &window), "kernel", 2, window.kernel);
    if (window.ceil_mode)
        attrs = attr_bool(arena, attrs, "ceil_mode", true);
    if (kind == OP_avg_pool2d && node_int(node, "count_include_pad", 0))
        attrs = attr_bool(arena, attrs, "count_include_pad", true);
    Value *output = emit_unary(node, kind, emit_to_nhwc(node, input), attrs);
    return output &&
           node_bind_layout(node, output, emit_from_nhwc(node, output, input->type->rank));
}

bool convert_max_pool(Node *node) {
    return convert_pool(node, OP_max_pool2d);
}
bool convert_average_pool(Node *node) {
    return convert_pool(node, OP_avg_pool2d);
}

bool convert_global_average_pool(Node *node) {
    Value *input = node_input(node, 0);
    if (!input)
        return false;
    int rank = input->type->rank;
    if (rank < 3)
        return node_error(node, "its input has %d dimensions, expected at least 3", rank);
    Arena *arena = node->importer->arena;
    int64_t axes[MAX_RANK];
    for (int i = 2; i < rank; i++)
        axes[i - 2] = i;
    if (rank > 4)
        return node_bind(node, 0,
                         emit_unary(node, OP_reduce_mean, input,
                                    attr_ints(arena, NULL, "axes", rank - 2, axes)));
    Attr *attrs = attr_ints(arena, NULL, "axes", 2, (int64_t[]){1, 2});
    Value *output = emit_unary(node, OP_reduce_mean, emit_to_nhwc(node, input), attrs);
    return output && node_bind_layout(node, output, emit_from_nhwc(node, output, rank));
}

bool convert_global_max_pool(Node *node) {
    Value *input = node_input(node, 0);
    if (!input || !check_spatial(node, input->type))
        return false;
    Value *last = emit_to_nhwc(node, input);
    if (!last)
        return false;
    Attr *attrs = attr_ints(node->importer->arena, NULL, "kernel", 2, last->type->shape + 1);
    Value *output = emit_unary(node, OP_max_pool2d, last, attrs);
    return output &&
           node_bind_layout(node, output, emit_from_nhwc(node, output, input->type->rank));
}

// ---- normalization

bool convert_batch_normalization(Node *node) {
    if (node->importer->opset >= 14 && node_int(node, "training_mode", 0))
        return node_error(node, "training_mode is not supported: export the model for inference");
    if (node->importer->opset < 9 && !node_int(node, "spatial", 1))
        return node_error(node, "spatial = 0 is not supported");
    Value *operands[5];
    for (int i = 0; i < 5; i++)
        if (!(operands[i] = node_input(node, i)))
            return false;
    Value *input = operands[0];
    int rank = input->type->rank;
    if (rank < 2)
        return node_error(node, "its input has %d dimensions, expected at least 2", rank);
    Arena *arena = node->importer->arena;
    Attr *attrs = attr_float(arena, NULL, "epsilon", node_float(node, "epsilon", 1e-5));
    bool moved = rank == 3 || rank == 4;
    if (moved)
        operands[0] = emit_to_nhwc(node, input);
    else
        attrs = attr_int(arena, attrs, "axis", 1);
    Value *output = emit(node, OP_batch_norm, 5, operands, attrs);
    if (!output)
        return false;
    return node_bind_layout(node, output, moved ? emit_from_nhwc(node, output, rank) : output);
}

// ---- nearest-neighbour enlargement by whole factors: each element repeated

static bool emit_enlarged(const Node *node, Value *input, const int64_t factors[2]) {
    Arena *arena = node->importer->arena;
    Value *last = emit_to_nhwc(node, input);
    if (!last)
        return false;
    const int64_t *s = last->type->shape;
    int64_t split[6] = {s[0], s[1], 1, s[2], 1, s[3]},
            wide[6] = {s[0], s[1], factors[0], s[2], factors[1], s[3]};
    int64_t joined[4] = {s[0], s[1] * factors[0], s[2] * factors[1], s[3]};
    if (dims_count(6, wide) < 0)
        return node_error(node, "its result would have more than 2^31 elements");
    Value *repeated = emit_unary(node, OP_broadcast_to, emit_reshape(node, last, 6, split),
                                 attr_ints(arena, NULL, "shape", 6, wide));
    Value *output = emit_reshape(node, repeated, 4, joined);
    return output && node_bind_layout(node, output, emit_from_nhwc(node, output, 4));
}

static bool factor_from_scale(double scale, int64_t *factor) {
    *factor = scale >= 1 && scale < 65536 ? (int64_t)scale : 0;
    return *factor > 0 && (double)*factor == scale;
}

// The scales input `index`, or, for Resize, the sizes in the next one; both relative to a rank-4
// input.
static bool read_factors(const Node *node, const Type *input, int index, int64_t factors[2]) {
    const Dense *dense = node_dense(node, index), *sizes = node_dense(node, index + 1);
    const Onnx__AttributeProto *attr = node_attr(node, "scales");
    bool by_sizes = !(dense && dense_count(dense)) && sizes && !attr;
    int64_t count = attr       ? (int64_t)attr->n_floats
                    : by_sizes ? dense_count(sizes)
                    : dense    ? dense_count(dense)
                               : 0;
    bool stretched = !strcmp(node_string(node, "keep_aspect_ratio_policy", "stretch"), "stretch");
    if (count != 4 || input->rank != 4 || node_attr(node, "axes") || !stretched)
        return node_error(
            node, "only images with constant sizes or scales of all 4 dimensions are supported");
    for (int i = 0; i < 4; i++) {
        int64_t size = input->shape[i], factor;
        double scale = attr        ? (double)attr->floats[i]
                       : !by_sizes ? dense_f64(dense, i)
                       : size      ? dense_f64(sizes, i) / (double)size
                                   : 0;
        if (!factor_from_scale(scale, &factor) || (i < 2 && factor != 1))
            return node_error(node,
                              "scale %g of dimension %d is not supported: height and width can be "
                              "enlarged by whole "
                              "factors",
                              scale, i);
        if (i >= 2)
            factors[i - 2] = factor;
    }
    return true;
}

static bool check_nearest(const Node *node) {
    const char *mode = node_string(node, "mode", "nearest");
    const char *where = node_string(node, "coordinate_transformation_mode", "half_pixel");
    const char *rounding = node_string(node, "nearest_mode", "round_prefer_floor");
    bool shifts =
        !strcmp(where, "asymmetric") && strcmp(rounding, "floor"); // others agree for whole factors
    if (strcmp(mode, "nearest"))
        return node_error(node, "mode '%s' is not supported; 'nearest' is", mode);
    if (node->importer->opset < 11)
        return true;
    bool known = !strcmp(where, "asymmetric") ||
                 (!strcmp(where, "half_pixel") && !strncmp(rounding, "round", 5));
    if (known && !shifts)
        return true;
    return node_error(node,
                      "coordinate_transformation_mode '%s' with nearest_mode '%s' is not supported",
                      where, rounding);
}

bool convert_resize(Node *node) {
    Value *input = node_input(node, 0);
    int64_t factors[2];
    int index = node->importer->opset < 11 ? 1 : 2;
    return input && check_nearest(node) && read_factors(node, input->type, index, factors) &&
           emit_enlarged(node, input, factors);
}

bool convert_upsample(Node *node) {
    Value *input = node_input(node, 0);
    int64_t factors[2];
    return input && check_nearest(node) && read_factors(node, input->type, 1, factors) &&
           emit_enlarged(node, input, factors);
}
