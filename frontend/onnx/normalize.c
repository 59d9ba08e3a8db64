// Normalizations: nn.normalize over the axes that are meant, then scale and bias by broadcasting.
#include <string.h>

#include "frontend/onnx/importer.h"

static Value *emit_normalize(const Node *node, Value *input, int count, const int64_t *axes, double epsilon,
                             bool center) {
    Arena *arena = node->importer->arena;
    Attr *attrs = center ? NULL : attr_bool(arena, NULL, "center", false);
    attrs = attr_float(arena, attrs, "epsilon", epsilon);
    return input ? emit_unary(node, OP_normalize, input, attr_ints(arena, attrs, "axes", count, axes)) : NULL;
}

// value * scale + bias; either may be absent.
static Value *emit_affine(const Node *node, Value *value, Value *scale, Value *bias) {
    if (value && scale)
        value = emit_binary(node, OP_mul, value, scale);
    return value && bias ? emit_binary(node, OP_add, value, bias) : value;
}

// All spatial axes are one, so that they lie side by side; channels last where that is an image.
bool convert_instance_normalization(Node *node) {
    Value *input = node_input(node, 0), *scale = node_input(node, 1), *bias = node_input(node, 2);
    if (!input || !scale || !bias)
        return false;
    int rank = input->type->rank, spatial = rank - 2;
    if (rank < 3)
        return node_error(node, "its input has %d dimensions, expected at least 3", rank);
    double epsilon = node_float(node, "epsilon", 1e-5);
    if (rank <= 5) {
        int64_t axes[3] = {1, 2, 3};
        Value *last = emit_to_nhwc(node, input);
        Value *value = emit_normalize(node, last, spatial < 2 ? 2 : spatial, axes, epsilon, true);
        value = emit_affine(node, value, scale, bias);
        return value && node_bind_layout(node, value, emit_from_nhwc(node, value, rank));
    }
    int64_t axes[MAX_RANK], dims[MAX_RANK];
    for (int i = 0; i < spatial; i++)
        axes[i] = 2 + i, dims[i + 1] = 1;
    dims[0] = input->type->shape[1];
    scale = emit_reshape(node, scale, spatial + 1, dims);
    bias = emit_reshape(node, bias, spatial + 1, dims);
    return node_bind(node, 0, emit_affine(node, emit_normalize(node, input, spatial, axes, epsilon, true), scale, bias));
}

static int trailing_axes(const Type *type, int axis, int64_t *axes) {
    for (int i = axis; i < type->rank; i++)
        axes[i - axis] = i;
    return type->rank - axis;
}

// The optional results of LayerNormalization.
static bool bind_statistics(Node *node, Value *input, int count, const int64_t *axes, double epsilon) {
    Arena *arena = node->importer->arena;
    if (node->proto->n_output < 2)
        return true;
    Attr *attrs = attr_ints(arena, NULL, "axes", count, axes);
    Value *mean = emit_unary(node, OP_reduce_mean, input, attrs);
    if (!mean || !node_bind(node, 1, mean))
        return false;
    if (node->proto->n_output < 3)
        return true;
    Value *centered = emit_binary(node, OP_sub, input, mean);
    Value *square = centered ? emit_binary(node, OP_mul, centered, centered) : NULL;
    Value *variance = square ? emit_unary(node, OP_reduce_mean, square, attrs) : NULL;
    variance = variance ? emit_binary(node, OP_add, variance, emit_scalar(node, epsilon)) : NULL;
    Value *deviation = variance ? emit_unary(node, OP_sqrt, variance, NULL) : NULL;
    return deviation && node_bind(node, 2, emit_binary(node, OP_div, emit_scalar(node, 1), deviation));
}

static bool convert_trailing(Node *node, bool center) {
    Value *input = node_input(node, 0), *scale = node_input(node, 1), *bias = NULL;
    int64_t axes[MAX_RANK];
    int axis;
    if (!input || !scale || (center && node_has_input(node, 2) && !(bias = node_input(node, 2))))
        return false;
    if (!node_axis(node, node_int(node, "axis", -1), input->type->rank, &axis))
        return false;
    double epsilon = node_float(node, "epsilon", 1e-5);
    int count = trailing_axes(input->type, axis, axes);
    Value *value = emit_affine(node, emit_normalize(node, input, count, axes, epsilon, center), scale, bias);
    return value && node_bind(node, 0, value) && bind_statistics(node, input, count, axes, epsilon);
}

bool convert_layer_normalization(Node *node) {
    return convert_trailing(node, true);
}
bool convert_rms_normalization(Node *node) {
    return convert_trailing(node, false);
}

// [N, groups, C / groups * spatial], normalized along the last. Scale and bias are of channels, or before opset 21 of
// groups.
bool convert_group_normalization(Node *node) {
    Value *input = node_input(node, 0), *scale = node_input(node, 1), *bias = node_input(node, 2);
    int64_t groups = node_int(node, "num_groups", 0), channels[MAX_RANK];
    if (!input || !scale || !bias)
        return false;
    const Type *type = input->type;
    if (type->rank < 2 || groups < 1 || type->shape[1] % groups || !type->shape[0])
        return node_error(node, "num_groups %lld does not divide its channels", (long long)groups);
    bool by_group = node->importer->opset < 21;
    int64_t each = type_elem_count(type) / type->shape[0] / groups;
    Value *value = emit_reshape(node, input, 3, (int64_t[]){type->shape[0], groups, each});
    value = emit_normalize(node, value, 1, (int64_t[]){2}, node_float(node, "epsilon", 1e-5), true);
    for (int i = 0; i < MAX_RANK; i++)
        channels[i] = i ? 1 : type->shape[1];
    if (by_group) {
        scale = emit_reshape(node, scale, 2, (int64_t[]){groups, 1});
        bias = emit_reshape(node, bias, 2, (int64_t[]){groups, 1});
        value = emit_affine(node, value, scale, bias);
        return value && node_bind(node, 0, emit_reshape(node, value, type->rank, type->shape));
    }
    value = value ? emit_reshape(node, value, type->rank, type->shape) : NULL;
    scale = emit_reshape(node, scale, type->rank - 1, channels);
    bias = emit_reshape(node, bias, type->rank - 1, channels);
    return node_bind(node, 0, emit_affine(node, value, scale, bias));
}

// The standard deviation has 1e-9 added in ONNX, which only keeps a constant tensor from giving NaN. The axes are
// brought side by side.
bool convert_mean_variance_normalization(Node *node) {
    Value *input = node_input(node, 0);
    Ints ints;
    int named[MAX_RANK], perm[MAX_RANK], back[MAX_RANK], to = 0;
    bool taken[MAX_RANK] = {false};
    int64_t axes[MAX_RANK], usual[] = {0, 2, 3};
    if (!input || !node_ints(node, "axes", &ints))
        return false;
    int rank = input->type->rank;
    if (!ints.present)
        ints = (Ints){true, 3, usual};
    if (!node_axes(node, ints, rank, named))
        return false;
    for (int i = 0; i < ints.count; i++)
        taken[named[i]] = true;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < rank; i++)
            if (taken[i] == (pass == 0)) {
                back[i] = to;
                perm[to++] = i;
            }
    for (int i = 0; i < ints.count; i++)
        axes[i] = i;
    Value *value = emit_normalize(node, emit_transpose(node, input, perm), ints.count, axes, 1e-18, true);
    return node_bind(node, 0, emit_transpose(node, value, back));
}

// ---- LRN: x / (bias + alpha / size * the sum of squares over a window of channels) ^ beta

// Powers in steps of a quarter, by square roots.
static Value *emit_quarters(const Node *node, Value *value, double exponent) {
    double quarters = exponent * 4;
    Value *result = NULL;
    if (!(quarters >= 1 && quarters <= 64) || quarters != (double)(int)quarters)
        return node_error(node, "beta is %g, expected a multiple of 0.25 up to 16", exponent), NULL;
    Value *part = value ? emit_unary(node, OP_sqrt, value, NULL) : NULL;
    part = part && (int)quarters % 2 ? emit_unary(node, OP_sqrt, part, NULL) : part;
    int left = (int)quarters % 2 ? (int)quarters : (int)quarters / 2;
    for (int bit = 1; part && bit <= left; bit *= 2) {
        if (left & bit)
            result = result ? emit_binary(node, OP_mul, result, part) : part;
        if (2 * bit <= left)
            part = emit_binary(node, OP_mul, part, part);
    }
    return result;
}

// The sum over the window divided by its size, channels last: an average over an image of one channel.
static Value *emit_window_mean(const Node *node, Value *last, int64_t size) {
    Arena *arena = node->importer->arena;
    const Type *type = last->type;
    int64_t channels = type->shape[type->rank - 1], low = (size - 1) / 2, high = size - 1 - low;
    Value *line = emit_reshape(node, last, 4, (int64_t[]){1, channels ? type_elem_count(type) / channels : 0, channels, 1});
    Attr *attrs = attr_bool(arena, NULL, "count_include_pad", true);
    attrs = attr_ints(arena, attrs, "pads", 4, (int64_t[]){0, low, 0, high});
    attrs = attr_ints(arena, attrs, "kernel", 2, (int64_t[]){1, size});
    line = line ? emit_unary(node, OP_avg_pool2d, line, attrs) : NULL;
    return line ? emit_reshape(node, line, type->rank, type->shape) : NULL;
}

bool convert_lrn(Node *node) {
    Value *input = node_input(node, 0);
    int64_t size = node_int(node, "size", 0);
    if (!input)
        return false;
    int rank = input->type->rank;
    if (rank < 3 || rank > 5)
        return node_error(node, "its input has %d dimensions, expected 3 to 5", rank);
    if (size < 1 || size > MAX_FOLD_ELEMS)
        return node_error(node, "size is %lld, expected at least 1", (long long)size);
    Value *last = emit_to_nhwc(node, input), *square = last ? emit_binary(node, OP_mul, last, last) : NULL;
    Value *mean = square ? emit_window_mean(node, square, size) : NULL;
    mean = mean ? emit_binary(node, OP_mul, mean, emit_scalar(node, node_float(node, "alpha", 1e-4))) : NULL;
    mean = mean ? emit_binary(node, OP_add, mean, emit_scalar(node, node_float(node, "bias", 1))) : NULL;
    Value *divisor = emit_quarters(node, mean, node_float(node, "beta", 0.75));
    Value *value = divisor ? emit_binary(node, OP_div, last, divisor) : NULL;
    return value && node_bind_layout(node, value, emit_from_nhwc(node, value, rank));
}

// ---- LpNormalization: x / (sum of |x|^p along one axis)^(1/p), p 1 or 2; zeros stay zeros

bool convert_lp_normalization(Node *node) {
    Value *input = node_input(node, 0);
    int64_t p = node_int(node, "p", 2);
    int axis;
    if (!input || !node_axis(node, node_int(node, "axis", -1), input->type->rank, &axis))
        return false;
    if (p != 1 && p != 2)
        return node_error(node, "p is %lld, expected 1 or 2", (long long)p);
    Arena *arena = node->importer->arena;
    Value *size = p == 2 ? emit_binary(node, OP_mul, input, input) : emit_unary(node, OP_abs, input, NULL);
    Attr *attrs = attr_ints(arena, NULL, "axes", 1, (int64_t[]){axis});
    Value *sum = size ? emit_unary(node, OP_reduce_mean, size, attrs) : NULL;
    sum = sum ? emit_binary(node, OP_mul, sum, emit_scalar(node, (double)input->type->shape[axis])) : NULL;
    if (p == 2)
        sum = sum ? emit_unary(node, OP_sqrt, sum, NULL) : NULL;
    sum = sum ? emit_unary(node, OP_clip, sum, attr_float(arena, NULL, "min", 1.17549435e-38)) : NULL;
    return sum && node_bind(node, 0, emit_binary(node, OP_div, input, sum));
}
