// ConvTranspose as a convolution. With stride s, output element q * s + r is a convolution of the
// input by the taps r, r + s, ... of the kernel in reverse order: one convolution computes the s
// phases as channels of their own, which are then put side by side, and the padding is cut away.
// No multiplication is by a stuffed zero.
#include <string.h>

#include "frontend/onnx/window.h"

typedef struct {
    int spatial;                 // dimensions, at the end of the arrays of three
    int64_t group, out_channels; // out_channels: of one group
    Window window;               // pads: what is cut from the full result
    int64_t out[3], taps[3];     // taps of one phase
} Transposed;

static Value *emit_pad_end(const Node *node, Value *input, const int64_t *high) {
    static const int64_t none[MAX_RANK];
    Arena *arena = node->importer->arena;
    int rank = input ? input->type->rank : 0;
    if (!input || !memcmp(high, none, sizeof *high * (size_t)rank))
        return input;
    Attr *attrs = attr_ints(arena, NULL, "high", rank, high);
    return emit_unary(node, OP_pad, input, attr_ints(arena, attrs, "low", rank, none));
}

static Value *emit_range(const Node *node, Value *input, const int64_t *starts, const int64_t *ends,
                         const int64_t *steps) {
    Arena *arena = node->importer->arena;
    int rank = input->type->rank;
    Attr *attrs = attr_ints(arena, NULL, "steps", rank, steps);
    attrs = attr_ints(arena, attrs, "ends", rank, ends);
    return emit_unary(node, OP_slice, input, attr_ints(arena, attrs, "starts", rank, starts));
}

// ---- the weight

// C O K... with dilation - 1 zeros between the taps, filled up to whole phases.
static Value *emit_spread(const Node *node, Value *weight, const Transposed *t) {
    int first = 3 - t->spatial;
    for (int i = first; weight && i < 3; i++) {
        int dim = 2 + i - first, rank = weight->type->rank;
        int64_t dilation = t->window.dilations[i], split[MAX_RANK + 1], high[MAX_RANK + 1] = {0};
        int64_t joined[MAX_RANK];
        memcpy(joined, weight->type->shape, sizeof *joined * (size_t)rank);
        memcpy(split, joined, sizeof *joined * (size_t)(dim + 1));
        split[dim + 1] = 1;
        memcpy(split + dim + 2, joined + dim + 1, sizeof *joined * (size_t)(rank - dim - 1));
        high[dim + 1] = dilation - 1;
        joined[dim] *= dilation;
        if (dilation > 1) {
            weight = emit_reshape(node, weight, rank + 1, split);
            weight = emit_reshape(node, emit_pad_end(node, weight, high), rank, joined);
        }
        int64_t rest[MAX_RANK] = {0};
        rest[dim] = t->taps[i] * t->window.strides[i] - joined[dim]; // negative: zeros beyond the last tap
        weight = weight ? emit_pad_end(node, weight, rest) : NULL;
    }
    return weight;
}

// [group, C, O, taps, phase, taps, phase ...] in the order [group, phases, O, taps reversed, C].
static Value *emit_phases(const Node *node, Value *weight, const Transposed *t) {
    int rank = 0, first = 3 - t->spatial, perm[MAX_RANK], to = 0;
    const int64_t channels = weight->type->shape[0] / t->group;
    int64_t split[MAX_RANK], starts[MAX_RANK] = {0}, ends[MAX_RANK], steps[MAX_RANK];
    if (t->group > 1 || t->spatial < 3)
        split[rank++] = t->group;
    int c = rank, o = rank + 1, taps = rank + 2;
    split[rank++] = channels;
    split[rank++] = t->out_channels;
    for (int i = first; i < 3; i++) {
        split[rank++] = t->taps[i];
        split[rank++] = t->window.strides[i];
    }
    for (int i = 0; i < rank; i++)
        ends[i] = split[i], steps[i] = 1;
    for (int i = 0; i < t->spatial; i++) {
        int dim = taps + 2 * i;
        starts[dim] = split[dim] - 1, ends[dim] = -1, steps[dim] = -1;
    }
    weight = emit_reshape(node, weight, rank, split);
    weight = weight ? emit_range(node, weight, starts, ends, steps) : NULL;
    if (c)
        perm[to++] = 0;
    for (int i = 0; i < t->spatial; i++)
        perm[to++] = taps + 2 * i + 1;
    perm[to++] = o;
    for (int i = 0; i < t->spatial; i++)
        perm[to++] = taps + 2 * i;
    perm[to] = c;
    return emit_transpose(node, weight, perm);
}

static Value *emit_weight(const Node *node, Value *weight, const Transposed *t) {
    weight = emit_spread(node, weight, t);
    weight = weight ? emit_phases(node, weight, t) : NULL;
    if (!weight)
        return NULL;
    const int64_t *s = t->window.strides, *taps = t->taps;
    int64_t outputs = t->group * s[0] * s[1] * s[2] * t->out_channels;
    int64_t channels = weight->type->shape[weight->type->rank - 1];
    if (t->spatial == 3)
        return emit_reshape(node, weight, 5, (int64_t[]){outputs, taps[0], taps[1], taps[2], channels});
    return emit_reshape(node, weight, 4, (int64_t[]){outputs, taps[1], taps[2], channels});
}

// One element for each phase of each output channel.
static Value *emit_bias(const Node *node, const Transposed *t) {
    Value *bias = node_input(node, 2);
    const int64_t *s = t->window.strides;
    int64_t phases = s[0] * s[1] * s[2], all = t->group * t->out_channels;
    if (!bias || phases == 1)
        return bias;
    bias = emit_reshape(node, bias, 3, (int64_t[]){t->group, 1, t->out_channels});
    Attr *attrs = attr_ints(node->importer->arena, NULL, "shape", 3,
                            (int64_t[]){t->group, phases, t->out_channels});
    bias = bias ? emit_unary(node, OP_broadcast_to, bias, attrs) : NULL;
    return emit_reshape(node, bias, 1, &(int64_t){all * phases});
}

// ---- the result

// N H W (group phases O) to N (H phase) (W phase) (group O).
static Value *emit_interleaved(const Node *node, Value *value, const Transposed *t) {
    int first = 3 - (t->spatial < 2 ? 2 : t->spatial), spatial = 3 - first, rank = 0, perm[MAX_RANK];
    const int64_t *s = t->window.strides, *shape = value->type->shape;
    int64_t split[MAX_RANK], joined[5];
    bool grouped = t->group > 1 || spatial < 3;
    if (s[0] * s[1] * s[2] == 1)
        return value;
    for (int i = 0; i <= spatial; i++)
        joined[i] = split[rank++] = shape[i];
    int group = rank, phase = rank + grouped, channel = phase + spatial;
    if (grouped)
        split[rank++] = t->group;
    for (int i = first; i < 3; i++)
        split[rank++] = s[i];
    split[rank++] = t->out_channels;
    int to = 0;
    perm[to++] = 0;
    for (int i = 0; i < spatial; i++) {
        perm[to++] = 1 + i;
        perm[to++] = phase + i;
        joined[1 + i] *= s[first + i];
    }
    if (grouped)
        perm[to++] = group;
    perm[to] = channel;
    joined[1 + spatial] = t->group * t->out_channels;
    value = emit_reshape(node, value, rank, split);
    return emit_reshape(node, emit_transpose(node, value, perm), 2 + spatial, joined);
}

static Value *emit_cropped(const Node *node, Value *value, const Transposed *t) {
    if (!value)
        return NULL;
    int rank = value->type->rank, first = 3 - (rank - 2);
    int64_t starts[5] = {0}, ends[5], steps[5];
    bool whole = true;
    for (int i = 0; i < rank; i++)
        ends[i] = value->type->shape[i], steps[i] = 1;
    for (int i = first; i < 3; i++) {
        int dim = 1 + i - first;
        starts[dim] = t->window.pads[i];
        whole &= starts[dim] == 0 && ends[dim] == starts[dim] + t->out[i];
        ends[dim] = starts[dim] + t->out[i];
    }
    return whole ? value : emit_range(node, value, starts, ends, steps);
}

// The convolution's own padding: all windows that touch the input, and as many behind as the result
// needs.
static Value *emit_computed(const Node *node, Value *input, const Transposed *t) {
    Window window = {.strides = {1, 1, 1}, .dilations = {1, 1, 1}};
    int rank = input->type->rank, first = 3 - (rank - 2);
    for (int i = first; i < 3; i++) {
        int64_t size = input->type->shape[1 + i - first], stride = t->window.strides[i];
        int64_t needed = (t->window.pads[i] + t->out[i] + stride - 1) / stride;
        int64_t more = needed - (size + t->taps[i] - 1);
        window.pads[i] = t->taps[i] - 1;
        window.pads[i + 3] = t->taps[i] - 1 + (more > 0 ? more : 0);
    }
    memcpy(window.kernel, t->taps, sizeof window.kernel);
    Value *weight = node_input(node, 1), *bias = NULL;
    weight = weight ? emit_weight(node, weight, t) : NULL;
    if (node_has_input(node, 2) && !(bias = emit_bias(node, t)))
        return NULL;
    return emit_conv(node, input, weight, bias, &window, t->group);
}

// ---- attributes

typedef struct { Ints extra, shape; bool lower, same; } Options;

static bool read_options(const Node *node, Transposed *t, Options *options) {
    const char *mode = node_string(node, "auto_pad", "NOTSET");
    options->lower = !strcmp(mode, "SAME_LOWER");
    options->same = options->lower || !strcmp(mode, "SAME_UPPER");
    bool none = !strcmp(mode, "VALID");
    if (!options->same && !none && *mode && strcmp(mode, "NOTSET"))
        return node_error(node, "auto_pad '%s' is not one of ONNX", mode);
    if (!node_ints(node, "output_padding", &options->extra) ||
        !node_ints(node, "output_shape", &options->shape))
        return false;
    if ((options->extra.present && options->extra.count != t->spatial) ||
        (options->shape.present && options->shape.count != t->spatial &&
         options->shape.count != t->spatial + 2))
        return node_error(node, "output_padding or output_shape differs in length from the input");
    return options->same || none || read_pads(node, t->spatial, t->window.pads);
}

// Total padding is shared between both ends, an odd element at the end, or at the start with
// SAME_LOWER; without auto_pad, as ONNX has it, at the start.
static bool set_extent(const Node *node, Transposed *t, const Options *options, int i, int64_t size) {
    int at = i - (3 - t->spatial);
    int64_t extra = options->extra.present ? options->extra.data[at] : 0;
    int64_t stride = t->window.strides[i], kernel = t->window.kernel[i], *pads = t->window.pads;
    int64_t full = (size - 1) * stride + extra + (kernel - 1) * t->window.dilations[i] + 1;
    t->out[i] = full - pads[i] - pads[i + 3];
    t->taps[i] = ((kernel - 1) * t->window.dilations[i] + stride) / stride;
    if (options->shape.present || options->same) {
        int offset = options->shape.count - t->spatial;
        t->out[i] = options->shape.present ? options->shape.data[offset + at] : size * stride;
        int64_t total = full > t->out[i] ? full - t->out[i] : 0;
        bool end = options->same && !options->lower;
        pads[i] = end ? total / 2 : total - total / 2;
    }
    if (extra >= 0 && t->out[i] > 0 && t->out[i] <= MAX_IMPORT_ELEMS)
        return true;
    return node_error(node, "its result would have %lld elements in a dimension", (long long)t->out[i]);
}

static bool read_transposed(const Node *node, const Type *input, const Type *weight, Transposed *t) {
    Options options;
    *t = (Transposed){.spatial = input->rank - 2, .group = node_int(node, "group", 1),
                      .out_channels = weight->shape[1], .out = {1, 1, 1}, .taps = {1, 1, 1}};
    if (t->group < 1 || weight->shape[0] % t->group || weight->shape[0] != input->shape[1])
        return node_error(node, "a weight of %lld channels and group %lld do not fit %lld channels",
                          (long long)weight->shape[0], (long long)t->group, (long long)input->shape[1]);
    if (t->spatial == 3 && t->group > 1)
        return node_error(node, "groups are supported with 1 and 2 spatial dimensions only");
    if (!window_from_weight(node, weight, &t->window) || !read_strides(node, t->spatial, &t->window) ||
        !read_options(node, t, &options))
        return false;
    for (int i = 3 - t->spatial; i < 3; i++)
        if (!set_extent(node, t, &options, i, input->shape[2 + i - (3 - t->spatial)]))
            return false;
    return true;
}

bool convert_conv_transpose(Node *node) {
    Value *input = node_input(node, 0);
    const Type *weight = node_input_type(node, 1);
    Transposed t;
    if (!input || !weight)
        return input && node_input(node, 1) && false;
    if (!check_spatial(node, input->type))
        return false;
    int rank = input->type->rank;
    if (weight->rank != rank)
        return node_error(node, "its weight has %d dimensions, its input %d", weight->rank, rank);
    if (!read_transposed(node, input->type, weight, &t))
        return false;
    Value *last = emit_to_nhwc(node, input), *value = last ? emit_computed(node, last, &t) : NULL;
    value = value ? emit_interleaved(node, value, &t) : NULL;
    value = emit_cropped(node, value, &t);
    return value && node_bind_layout(node, value, emit_from_nhwc(node, value, rank));
}
