// LpPool and GlobalLpPool: the p-th root of the sum of |x|^p over windows. The sum is a
// convolution with ones, one channel at a time.
#include <math.h>

#include "frontend/onnx/window.h"

static bool read_p(const Node *node, int64_t *p) {
    *p = node->importer->opset < 2 ? (int64_t)fmin(fmax(node_float(node, "p", 2), 0), 1e6) : node_int(node, "p", 2);
    return *p >= 1 || node_error(node, "p is %lld, expected at least 1", (long long)*p);
}

static Value *emit_power(const Node *node, Value *value, int64_t p) {
    if (p == 2)
        return emit_binary(node, OP_mul, value, value);
    Value *magnitude = emit_unary(node, OP_abs, value, NULL);
    return p == 1 || !magnitude ? magnitude : emit_binary(node, OP_pow, magnitude, emit_scalar(node, (double)p));
}

static Value *emit_root(const Node *node, Value *value, int64_t p) {
    if (!value || p == 1)
        return value;
    return p == 2 ? emit_unary(node, OP_sqrt, value, NULL)
                  : emit_binary(node, OP_pow, value, emit_scalar(node, 1.0 / (double)p));
}

// With ceil_mode one more window may start inside the padded input: zeros are added behind.
static void pad_for_ceil(Window *window, int i, int64_t input) {
    int64_t reach = (window->kernel[i] - 1) * window->dilations[i] + 1, stride = window->strides[i];
    int64_t span = input + window->pads[i] + window->pads[i + 3] - reach;
    if (!window->ceil_mode || span < 0 || span % stride == 0)
        return;
    int64_t count = (span + stride - 1) / stride; // of the last window, from 0
    if (count * stride < input + window->pads[i])
        window->pads[i + 3] += count * stride - span;
}

static Value *emit_sums(const Node *node, Value *last, const Window *window) {
    int rank = last->type->rank;
    int64_t channels = last->type->shape[rank - 1];
    const int64_t *k = window->kernel;
    int64_t image[4] = {channels, k[1], k[2], 1}, volume[5] = {channels, k[0], k[1], k[2], 1};
    Arena *scratch = node->importer->scratch;
    const Type *type = type_tensor(scratch, ELEM_F32, rank, rank == 5 ? volume : image);
    Value *ones = emit_constant(node->importer, dense_splat(scratch, type, 1), false, NULL);
    return emit_conv(node, last, ones, NULL, window, channels);
}

bool convert_lp_pool(Node *node) {
    Value *input = node_input(node, 0);
    Window window = {0};
    int64_t p;
    if (!input || !check_spatial(node, input->type) || !read_p(node, &p) || !read_window(node, input->type, &window))
        return false;
    int rank = input->type->rank;
    for (int i = 5 - rank; i < 3; i++)
        pad_for_ceil(&window, i, input->type->shape[2 + i - (5 - rank)]);
    Value *last = emit_to_nhwc(node, input), *power = last ? emit_power(node, last, p) : NULL;
    Value *value = power ? emit_root(node, emit_sums(node, power, &window), p) : NULL;
    return value && node_bind_layout(node, value, emit_from_nhwc(node, value, rank));
}

bool convert_global_lp_pool(Node *node) {
    Value *plane = emit_plane(node, node_input(node, 0)), *last = emit_to_nhwc(node, plane);
    int64_t p;
    if (!last || !read_p(node, &p))
        return false;
    Value *power = emit_power(node, last, p);
    Attr *attrs = attr_ints(node->importer->arena, NULL, "axes", 2, (int64_t[]){1, 2});
    Value *value = power ? emit_unary(node, OP_reduce_mean, power, attrs) : NULL;
    double count = (double)last->type->shape[1] * (double)last->type->shape[2];
    value = emit_root(node, value ? emit_binary(node, OP_mul, value, emit_scalar(node, count)) : NULL, p);
    if (!value)
        return false;
    Value *outer = emit_from_nhwc(node, value, plane->type->rank);
    return node_bind_layout(node, value, emit_global_result(node, outer, node_input(node, 0)->type->rank));
}
