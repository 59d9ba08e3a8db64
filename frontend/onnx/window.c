// Ops with windows and channels: Conv, pooling, BatchNormalization. ONNX puts channels second, nn
// last: each op is emitted between two transpositions, which the passes sink and remove; filters are
// transposed here. One spatial dimension is read as two, the first of size 1; three are made of two
// (volume.c).
#include <math.h>
#include <string.h>

#include "frontend/onnx/window.h"

// A list with one number a spatial dimension, to the last of three; the others stay 1.
static bool read_sizes(const Node *node, const char *name, int spatial, int64_t out[3]) {
    Ints ints;
    if (!node_ints(node, name, &ints))
        return false;
    for (int i = 0; i < 3; i++)
        if (ints.present || i < 3 - spatial || out[i] < 1)
            out[i] = 1;
    if (!ints.present)
        return true;
    if (ints.count != spatial)
        return node_error(node, "%s has %d numbers, expected %d", name, ints.count, spatial);
    for (int i = 0; i < spatial; i++) {
        out[3 - spatial + i] = ints.data[i];
        if (ints.data[i] < 1)
            return node_error(node, "%s must be at least 1", name);
    }
    return true;
}

bool read_pads(const Node *node, int spatial, int64_t pads[6]) {
    Ints ints;
    if (!node_ints(node, "pads", &ints) || !ints.present)
        return !ints.present;
    if (ints.count != 2 * spatial)
        return node_error(node, "pads has %d numbers, expected %d", ints.count, 2 * spatial);
    for (int i = 0; i < spatial; i++) {
        pads[3 - spatial + i] = ints.data[i];
        pads[6 - spatial + i] = ints.data[spatial + i];
        if (ints.data[i] < 0 || ints.data[spatial + i] < 0)
            return node_error(node, "pads must not be negative");
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
    window->pads[i + 3] = total - window->pads[i];
}

static bool read_padding(const Node *node, const Type *input, int spatial, Window *window) {
    const char *mode = node_string(node, "auto_pad", "NOTSET");
    bool lower = !strcmp(mode, "SAME_LOWER");
    if (strcmp(mode, "NOTSET") && *mode)
        window->ceil_mode = false;
    if (!strcmp(mode, "VALID"))
        return true;
    if (lower || !strcmp(mode, "SAME_UPPER")) {
        for (int i = 0; i < spatial; i++)
            pad_same(window, 3 - spatial + i, input->shape[2 + i], lower);
        return true;
    }
    if (strcmp(mode, "NOTSET") && *mode)
        return node_error(node, "auto_pad '%s' is not one of ONNX", mode);
    return read_pads(node, spatial, window->pads);
}

bool check_spatial(const Node *node, const Type *input) {
    if (input->rank >= 3 && input->rank <= 5)
        return true;
    return node_error(node,
                      "an input of %d dimensions is not supported; 1 to 3 spatial dimensions are",
                      input->rank);
}

bool read_strides(const Node *node, int spatial, Window *window) {
    return read_sizes(node, "strides", spatial, window->strides) &&
           read_sizes(node, "dilations", spatial, window->dilations);
}

// `kernel` is preset by Conv from its weight; else the attribute must be there.
bool read_window(const Node *node, const Type *input, Window *window) {
    int spatial = input->rank - 2;
    bool preset = window->kernel[2] > 0;
    if (!preset) {
        if (!node_attr(node, "kernel_shape"))
            return node_error(node, "attribute kernel_shape is missing");
        if (!read_sizes(node, "kernel_shape", spatial, window->kernel))
            return false;
    }
    window->ceil_mode = !preset && node_int(node, "ceil_mode", 0) != 0;
    return read_strides(node, spatial, window) && read_padding(node, input, spatial, window);
}

static Attr *window_attrs(Arena *arena, const Window *window) {
    const int64_t *pads = window->pads;
    Attr *attrs = attr_ints(arena, NULL, "dilations", 2, window->dilations + 1);
    attrs = attr_ints(arena, attrs, "pads", 4, (int64_t[]){pads[1], pads[2], pads[4], pads[5]});
    return attr_ints(arena, attrs, "strides", 2, window->strides + 1);
}

// ---- convolution

// O I K as O I 1 K, whose scales stay where they are.
static const Type *widened_type(Arena *arena, const Type *type) {
    const Quant *q = type->quant;
    const int64_t shape[] = {type->shape[0], type->shape[1], 1, type->shape[2]};
    const int axis = q->axis == 2 ? 3 : q->axis;
    q = quant_per_axis(arena, q->storage, axis, q->count, q->scale, q->zero_point, q->storage_min, q->storage_max);
    return type_quantized(arena, q, 4, shape);
}

// The same of dequantized integers.
static Value *emit_stored_filter(const Node *node, const Dense *stored) {
    Importer *importer = node->importer;
    Dense *wide = ARENA_NEW(importer->scratch, Dense);
    *wide = *stored;
    if (stored->type->rank == 3)
        wide->type = widened_type(importer->arena, stored->type);
    return emit_stored(importer, stored_transpose(importer, wide, (int[]){0, 2, 3, 1}), take_name(node, 1));
}

// The weight O I KH KW as a filter O KH KW I: a constant of its own, or a transposition of what is
// computed.
static Value *emit_filter(const Node *node) {
    Importer *importer = node->importer;
    const Dense *stored = node_stored(node, 1);
    if (stored && stored->type->rank < 5)
        return emit_stored_filter(node, stored);
    const Dense *dense = node_dense(node, 1);
    if (!dense || dense->type->rank == 5)
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

bool window_from_weight(const Node *node, const Type *weight, Window *window) {
    Ints ints;
    int spatial = weight->rank - 2;
    for (int i = 0; i < 3; i++) {
        window->kernel[i] = i < 3 - spatial ? 1 : weight->shape[2 + i - (3 - spatial)];
        if (window->kernel[i] < 1)
            return node_error(node, "its weight has no elements");
    }
    if (!node_ints(node, "kernel_shape", &ints))
        return false;
    for (int i = 0; ints.present && i < spatial; i++)
        if (ints.count != spatial || ints.data[i] != weight->shape[2 + i])
            return node_error(node, "kernel_shape differs from the shape of the weight");
    return true;
}

Value *emit_conv(const Node *node, Value *input, Value *weight, Value *bias, const Window *window,
                 int64_t group) {
    if (!input || !weight)
        return NULL;
    if (input->type->rank == 5)
        return emit_conv3d(node, input, weight, bias, window, group);
    Arena *arena = node->importer->arena;
    Attr *attrs = attr_int(arena, window_attrs(arena, window), "group", group);
    return emit(node, OP_conv2d, 3, (Value *[]){input, weight, bias}, attrs);
}

bool convert_conv(Node *node) {
    Value *input = node_input(node, 0), *bias = NULL;
    const Type *weight = node_input_type(node, 1);
    Window window = {0};
    if (!input)
        return false;
    if (!weight)
        return node_input(node, 1) && false;
    if (!check_spatial(node, input->type))
        return false;
    if (weight->rank != input->type->rank)
        return node_error(node, "its weight has %d dimensions, its input %d", weight->rank,
                          input->type->rank);
    if (!window_from_weight(node, weight, &window) || !read_window(node, input->type, &window))
        return false;
    int rank = input->type->rank;
    Value *last = emit_to_nhwc(node, input), *filter = emit_filter(node);
    if (node_has_input(node, 2) && !(bias = node_bias(node, 2)))
        return false;
    Value *output = emit_conv(node, last, filter, bias, &window, node_int(node, "group", 1));
    return output && node_bind_layout(node, output, emit_from_nhwc(node, output, rank));
}

// ---- pooling

Value *emit_pool2d(const Node *node, OpKind kind, Value *input, const Window *window) {
    Arena *arena = node->importer->arena;
    Attr *attrs = attr_ints(arena, window_attrs(arena, window), "kernel", 2, window->kernel + 1);
    if (window->ceil_mode)
        attrs = attr_bool(arena, attrs, "ceil_mode", true);
    if (kind == OP_avg_pool2d && node_int(node, "count_include_pad", 0))
        attrs = attr_bool(arena, attrs, "count_include_pad", true);
    return emit_unary(node, kind, input, attrs);
}

static bool convert_pool(Node *node, OpKind kind) {
    Value *input = node_input(node, 0);
    Window window = {0};
    if (!input || !check_spatial(node, input->type) || !read_window(node, input->type, &window))
        return false;
    int rank = input->type->rank;
    Elem elem = input->type->elem;
    if (!elem_is_float(elem) && elem_bits(elem) <= 16 && !input->type->quant)
        input = emit_cast(node, input, ELEM_F32); // exactly
    Value *last = emit_to_nhwc(node, input);
    Value *output = rank == 5 ? emit_pool3d(node, kind, last, &window)
                              : emit_pool2d(node, kind, last, &window);
    output = emit_cast(node, output, elem);
    return output && node_bind_layout(node, output, emit_from_nhwc(node, output, rank));
}

bool convert_max_pool(Node *node) {
    if (!convert_pool(node, OP_max_pool2d))
        return false;
    Window window = {0};
    bool places = node->proto->n_output > 1 && node->proto->output[1][0];
    return !places || (read_window(node, node_input(node, 0)->type, &window) && bind_pool_places(node, &window));
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

// What a global pool sees: all spatial dimensions but the first two as one, so that there are two.
Value *emit_plane(const Node *node, Value *input) {
    int64_t dims[4] = {1, 1, 1, 1};
    if (!input)
        return NULL;
    if (input->type->rank < 3)
        return node_error(node, "its input has %d dimensions, expected at least 3", input->type->rank), NULL;
    for (int i = 0; i < input->type->rank; i++)
        dims[i < 3 ? i : 3] *= input->type->shape[i];
    return input->type->rank <= 4 ? input : emit_reshape(node, input, 4, dims);
}

// N C and a 1 for each spatial dimension.
Value *emit_global_result(const Node *node, Value *value, int rank) {
    if (!value || value->type->rank == rank)
        return value;
    const int64_t *s = value->type->shape;
    return emit_reshape(node, value, rank, (int64_t[]){s[0], s[1], 1, 1, 1, 1, 1, 1});
}

bool convert_global_max_pool(Node *node) {
    Value *plane = emit_plane(node, node_input(node, 0)), *last = emit_to_nhwc(node, plane);
    if (!last)
        return false;
    Attr *attrs = attr_ints(node->importer->arena, NULL, "kernel", 2, last->type->shape + 1);
    Value *output = emit_unary(node, OP_max_pool2d, last, attrs);
    if (!output)
        return false;
    Value *outer = emit_from_nhwc(node, output, plane->type->rank);
    return node_bind_layout(node, output, emit_global_result(node, outer, node_input(node, 0)->type->rank));
}

// ---- normalization

bool convert_batch_normalization(Node *node) {
    if (node->importer->opset >= 14 && node_int(node, "training_mode", 0))
        return node_error(node, "training_mode is not supported: export the model for inference");
    if (node->importer->opset < 9 && !node_int(node, "spatial", 1))
        return old_batch_normalization(node);
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
