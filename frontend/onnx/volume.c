// Three spatial dimensions by means of two. A convolution over D is one over H and W whose channels
// are those of all the slices of D that a window sees; a pool over D comes after one over H and W
// (for an average: the count of elements inside is a product).
#include "frontend/onnx/window.h"

// The elements that tap `tap` of every window of dimension `axis` reads.
static Value *emit_tap(const Node *node, Value *input, int axis, int64_t first, int64_t count,
                       int64_t step) {
    Arena *arena = node->importer->arena;
    const Type *type = input->type;
    int64_t starts[MAX_RANK] = {0}, ends[MAX_RANK], steps[MAX_RANK];
    for (int i = 0; i < type->rank; i++)
        ends[i] = type->shape[i], steps[i] = 1;
    starts[axis] = first;
    ends[axis] = first + (count - 1) * step + 1;
    steps[axis] = step;
    Attr *attrs = attr_ints(arena, NULL, "steps", type->rank, steps);
    attrs = attr_ints(arena, attrs, "ends", type->rank, ends);
    return emit_unary(node, OP_slice, input, attr_ints(arena, attrs, "starts", type->rank, starts));
}

static Value *emit_pad_depth(const Node *node, Value *input, int64_t low, int64_t high) {
    Arena *arena = node->importer->arena;
    if (!low && !high)
        return input;
    Attr *attrs = attr_ints(arena, NULL, "high", 5, (int64_t[]){0, high, 0, 0, 0});
    return emit_unary(node, OP_pad, input, attr_ints(arena, attrs, "low", 5, (int64_t[]){0, low, 0, 0, 0}));
}

// [..., taps * channels], by group first, as a grouped convolution wants them.
static Value *emit_by_group(const Node *node, Value *value, int64_t taps, int64_t group) {
    const int64_t *s = value->type->shape;
    int64_t each = s[3] / taps / group;
    if (group == 1 || taps == 1)
        return value;
    int64_t dims[4] = {s[0], s[1], s[2], s[3]}, split[6] = {s[0], s[1], s[2], taps, group, each};
    value = emit_reshape(node, value, 6, split);
    value = emit_transpose(node, value, (int[]){0, 1, 2, 4, 3, 5});
    return emit_reshape(node, value, 4, dims);
}

// All taps side by side: N * OD, H, W, KD * C.
static Value *emit_stack(const Node *node, Value *input, const Window *window, int64_t depth,
                         int64_t group) {
    int64_t taps = window->kernel[0];
    Value **slices = ARENA_ARRAY(node->importer->scratch, Value *, taps);
    for (int64_t k = 0; k < taps; k++)
        if (!(slices[k] = emit_tap(node, input, 1, k * window->dilations[0], depth, window->strides[0])))
            return NULL;
    Attr *attrs = attr_int(node->importer->arena, NULL, "axis", 4);
    Value *joined = taps == 1 ? slices[0] : emit(node, OP_concat, (int)taps, slices, attrs);
    if (!joined)
        return NULL;
    const int64_t *s = joined->type->shape;
    joined = emit_reshape(node, joined, 4, (int64_t[]){s[0] * s[1], s[2], s[3], s[4]});
    return joined ? emit_by_group(node, joined, taps, group) : NULL;
}

Value *emit_conv3d(const Node *node, Value *input, Value *weight, Value *bias,
                   const Window *window, int64_t group) {
    enum { MAX_TAPS = 4096 };
    int64_t taps = window->kernel[0], reach = (taps - 1) * window->dilations[0] + 1;
    input = emit_pad_depth(node, input, window->pads[0], window->pads[3]);
    if (!input)
        return NULL;
    int64_t depth = (input->type->shape[1] - reach) / window->strides[0] + 1;
    if (input->type->shape[1] < reach || taps > MAX_TAPS)
        return node_error(node, "a window of %lld elements does not fit its padded input of %lld",
                          (long long)reach, (long long)input->type->shape[1]), NULL;
    if (group < 1 || input->type->shape[4] % group)
        return node_error(node, "group %lld does not divide its channels", (long long)group), NULL;
    int64_t images = input->type->shape[0];
    const int64_t *w = weight->type->shape; // O KD KH KW I, to O KH KW (KD I)
    int64_t flat[4] = {w[0], w[2], w[3], w[1] * w[4]};
    weight = emit_transpose(node, weight, (int[]){0, 2, 3, 1, 4});
    weight = emit_reshape(node, weight, 4, flat);
    Value *stack = emit_stack(node, input, window, depth, group);
    Value *output = emit_conv(node, stack, weight, bias, window, group);
    if (!output)
        return NULL;
    const int64_t *y = output->type->shape;
    return emit_reshape(node, output, 5, (int64_t[]){images, depth, y[1], y[2], y[3]});
}

Value *emit_pool3d(const Node *node, OpKind kind, Value *input, const Window *window) {
    if (!input)
        return NULL;
    const int64_t *x = input->type->shape;
    int64_t images = x[0], depth = x[1], channels = x[4];
    Value *plane = emit_reshape(node, input, 4, (int64_t[]){images * depth, x[2], x[3], channels});
    plane = plane ? emit_pool2d(node, kind, plane, window) : NULL;
    if (!plane)
        return NULL;
    int64_t h = plane->type->shape[1], w = plane->type->shape[2];
    Value *line = emit_reshape(node, plane, 4, (int64_t[]){images, depth, h * w, channels});
    Window along = {.kernel = {1, window->kernel[0], 1}, .strides = {1, window->strides[0], 1},
                    .dilations = {1, window->dilations[0], 1},
                    .pads = {0, window->pads[0], 0, 0, window->pads[3], 0}, .ceil_mode = window->ceil_mode};
    line = line ? emit_pool2d(node, kind, line, &along) : NULL;
    if (!line)
        return NULL;
    return emit_reshape(node, line, 5, (int64_t[]){images, line->type->shape[1], h, w, channels});
}
