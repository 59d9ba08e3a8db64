// Images read at places of their own: GridSample, DeformConv, RoiAlign; pooling that says where its maxima lie, and the
// way back; Det.
#include <string.h>

#include "frontend/onnx/window.h"

// ---- GridSample

static bool read_sampling(const Node *node, Attr **attrs) {
    static const char *const modes[][2] = {{"linear", "linear"}, {"bilinear", "linear"}, {"nearest", "nearest"},
                                           {"cubic", "cubic"}, {"bicubic", "cubic"}};
    const char *mode = node_string(node, "mode", "linear"), *padding = node_string(node, "padding_mode", "zeros");
    const char *own = NULL;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (!strcmp(mode, modes[i][0]))
            own = modes[i][1];
    if (!own)
        return node_error(node, "mode '%s' is not one of ONNX", mode);
    if (strcmp(padding, "zeros") && strcmp(padding, "border") && strcmp(padding, "reflection"))
        return node_error(node, "padding_mode '%s' is not one of ONNX", padding);
    Arena *arena = node->importer->arena;
    *attrs = attr_bool(arena, NULL, "align_corners", node_int(node, "align_corners", 0) != 0);
    *attrs = attr_string(arena, attr_string(arena, *attrs, "padding", padding), "mode", own);
    return true;
}

// From -1 .. 1 to elements; in the order of operations that other runtimes have.
static Value *emit_places(const Node *node, Value *grid, const Type *input) {
    int spatial = input->rank - 2;
    bool align_corners = node_int(node, "align_corners", 0) != 0;
    float sizes[3];
    for (int i = 0; i < spatial; i++)
        sizes[i] = (float)(input->shape[input->rank - 1 - i] - (align_corners ? 1 : 0));
    Value *size = emit_floats(node, 1, (int64_t[]){spatial}, sizes), *half = emit_scalar(node, 0.5), *one = emit_scalar(node, 1);
    Value *value = emit_binary(node, OP_add, grid, one);
    if (align_corners)
        return emit_binary(node, OP_mul, emit_binary(node, OP_mul, value, half), size);
    return emit_binary(node, OP_mul, emit_binary(node, OP_sub, emit_binary(node, OP_mul, value, size), one), half);
}

bool convert_grid_sample(Node *node) {
    Value *input = node_input(node, 0), *grid = node_input(node, 1);
    Attr *attrs = NULL;
    if (!input || !grid || !read_sampling(node, &attrs))
        return false;
    int rank = input->type->rank;
    if (rank < 4 || rank > 5 || grid->type->rank != rank || grid->type->shape[rank - 1] != rank - 2)
        return node_error(node, "its input is %s and its grid %s, expected 4 or 5 dimensions in both",
                          type_text(node->importer->scratch, input->type), type_text(node->importer->scratch, grid->type));
    Value *last = emit_to_nhwc(node, input), *operands[] = {last, emit_places(node, grid, input->type)};
    Value *value = emit(node, OP_sample, 2, operands, attrs);
    return value && node_bind_layout(node, value, emit_from_nhwc(node, value, rank));
}

// ---- DeformConv: the elements of every window are read at their places, then multiplied as those of any convolution

typedef struct { int64_t images, channels, parts, out[2], taps; Window window; } Deform;

// Channels by parts that have offsets of their own: N * parts, H, W, channels of one.
static Value *emit_parts(const Node *node, Value *last, const Deform *d) {
    const int64_t *s = last->type->shape;
    int64_t split[5] = {s[0], s[1], s[2], d->parts, s[3] / d->parts};
    int64_t joined[4] = {s[0] * d->parts, s[1], s[2], s[3] / d->parts};
    Value *value = emit_transpose(node, emit_reshape(node, last, 5, split), (int[]){0, 3, 1, 2, 4});
    return emit_reshape(node, value, 4, joined);
}

// The places (x, y) of the taps of all windows, without offsets.
static Value *emit_taps(const Node *node, const Deform *d) {
    const Window *w = &d->window;
    int64_t count = d->out[0] * d->out[1] * d->taps, shape[2] = {count, 2};
    if (count > MAX_FOLD_ELEMS * 1024)
        return node_error(node, "its windows have more than %lld elements", (long long)MAX_FOLD_ELEMS * 1024), NULL;
    float *data = ARENA_ARRAY(node->importer->scratch, float, 2 * count);
    for (int64_t i = 0; i < count; i++) {
        int64_t tap = i % d->taps, y = i / d->taps / d->out[1], x = i / d->taps % d->out[1];
        data[2 * i] = (float)(x * w->strides[2] - w->pads[2] + tap % w->kernel[2] * w->dilations[2]);
        data[2 * i + 1] = (float)(y * w->strides[1] - w->pads[1] + tap / w->kernel[2] * w->dilations[1]);
    }
    return emit_floats(node, 2, shape, data);
}

// N, parts * taps * numbers, OH, OW to N * parts, OH * OW * taps, numbers.
static Value *emit_by_place(const Node *node, Value *input, const Deform *d, int64_t numbers) {
    int64_t split[6] = {d->images, d->parts, d->taps, numbers, d->out[0], d->out[1]};
    int64_t joined[3] = {d->images * d->parts, d->out[0] * d->out[1] * d->taps, numbers};
    Value *value = emit_transpose(node, emit_reshape(node, input, 6, split), (int[]){0, 1, 4, 5, 2, 3});
    return emit_reshape(node, value, 3, joined);
}

static Value *emit_deformed(const Node *node, Value *last, Value *offset, Value *mask, const Deform *d) {
    Attr *axis = attr_int(node->importer->arena, NULL, "axis", 2);
    Value *moved = emit_by_place(node, offset, d, 2); // y, x
    moved = emit(node, OP_gather, 2, (Value *[]){moved, emit_ints(node, 2, (int64_t[]){1, 0})}, axis);
    Value *places = emit_binary(node, OP_add, moved, emit_taps(node, d));
    Value *value = emit(node, OP_sample, 2, (Value *[]){emit_parts(node, last, d), places}, NULL);
    if (value && mask)
        value = emit_binary(node, OP_mul, value, emit_by_place(node, mask, d, 1));
    int64_t split[5] = {d->images, d->parts, d->out[0] * d->out[1], d->taps, d->channels / d->parts};
    const int64_t *k = d->window.kernel;
    value = emit_transpose(node, emit_reshape(node, value, 5, split), (int[]){0, 2, 3, 1, 4});
    return emit_reshape(node, value, 4, (int64_t[]){d->images * d->out[0] * d->out[1], k[1], k[2], d->channels});
}

static bool has_shape(const Node *node, const Value *value, const char *name, const int64_t *dims) {
    if (value->type->rank == 4 && !memcmp(value->type->shape, dims, 4 * sizeof *dims))
        return true;
    return node_error(node, "its %s is %s, expected %lld x %lld x %lld x %lld", name, type_text(node->importer->scratch, value->type),
                      (long long)dims[0], (long long)dims[1], (long long)dims[2], (long long)dims[3]);
}

static bool read_deform(const Node *node, const Type *input, const Type *weight, const Value *offset, const Value *mask, Deform *d) {
    if (input->rank != 4 || weight->rank != 4)
        return node_error(node, "its input has %d dimensions and its weight %d, expected 4", input->rank, weight->rank);
    if (!window_from_weight(node, weight, &d->window) || !read_window(node, input, &d->window))
        return false;
    const Window *w = &d->window;
    *d = (Deform){.images = input->shape[0], .channels = input->shape[1], .parts = node_int(node, "offset_group", 1),
                  .taps = w->kernel[1] * w->kernel[2], .window = *w};
    for (int i = 0; i < 2; i++) {
        int64_t span = input->shape[2 + i] + w->pads[1 + i] + w->pads[4 + i] - ((w->kernel[1 + i] - 1) * w->dilations[1 + i] + 1);
        if (span < 0 || input->shape[2 + i] < 1)
            return node_error(node, "its window does not fit its padded input");
        d->out[i] = span / w->strides[1 + i] + 1;
    }
    if (d->parts < 1 || d->channels % d->parts || !type_elem_count(input))
        return node_error(node, "offset_group %lld does not divide its %lld channels", (long long)d->parts, (long long)d->channels);
    int64_t dims[4] = {d->images, 2 * d->parts * d->taps, d->out[0], d->out[1]}, once[4] = {dims[0], dims[1] / 2, dims[2], dims[3]};
    return has_shape(node, offset, "offset", dims) && (!mask || has_shape(node, mask, "mask", once));
}

bool convert_deform_conv(Node *node) {
    Value *input = node_input(node, 0), *weight = node_input(node, 1), *offset = node_input(node, 2), *bias = NULL, *mask = NULL;
    Deform d = {0};
    if (!input || !weight || !offset || (node_has_input(node, 3) && !(bias = node_input(node, 3))) ||
        (node_has_input(node, 4) && !(mask = node_input(node, 4))) || !read_deform(node, input->type, weight->type, offset, mask, &d))
        return false;
    Value *windows = emit_deformed(node, emit_to_nhwc(node, input), offset, mask, &d);
    Window whole = {.kernel = {1, d.window.kernel[1], d.window.kernel[2]}, .strides = {1, 1, 1}, .dilations = {1, 1, 1}};
    Value *value = emit_conv(node, windows, emit_to_nhwc(node, weight), bias, &whole, node_int(node, "group", 1));
    value = value ? emit_reshape(node, value, 4, (int64_t[]){d.images, d.out[0], d.out[1], weight->type->shape[0]}) : NULL;
    return value && node_bind_layout(node, value, emit_from_nhwc(node, value, 4));
}

// ---- RoiAlign

bool convert_roi_align(Node *node) {
    Value *input = node_input(node, 0), *rois = node_input(node, 1), *images = node_input(node, 2);
    bool old = node->importer->opset < 16;
    const char *mode = node_string(node, "mode", "avg");
    const char *where = old ? "output_half_pixel" : node_string(node, "coordinate_transformation_mode", "half_pixel");
    if (!input || !rois || !images)
        return false;
    if (strcmp(mode, "avg") && strcmp(mode, "max"))
        return node_error(node, "mode '%s' is not one of ONNX", mode);
    if (strcmp(where, "half_pixel") && strcmp(where, "output_half_pixel"))
        return node_error(node, "coordinate_transformation_mode '%s' is not one of ONNX", where);
    Arena *arena = node->importer->arena;
    Attr *attrs = attr_bool(arena, NULL, "max", !strcmp(mode, "max"));
    attrs = attr_bool(arena, attrs, "half_pixel", !strcmp(where, "half_pixel"));
    attrs = attr_float(arena, attrs, "spatial_scale", node_float(node, "spatial_scale", 1));
    attrs = attr_int(arena, attrs, "sampling_ratio", node_int(node, "sampling_ratio", 0));
    attrs = attr_int(arena, attrs, "width", node_int(node, "output_width", 1));
    attrs = attr_int(arena, attrs, "height", node_int(node, "output_height", 1));
    Value *last = emit_to_nhwc(node, input), *operands[] = {last, rois, emit_cast(node, images, ELEM_I64)};
    Value *value = emit(node, OP_roi_align, 3, operands, attrs);
    return value && node_bind_layout(node, value, emit_from_nhwc(node, value, 4));
}

// ---- MaxPool's second output, MaxUnpool

static Value *emit_i64(const Node *node, int64_t value) {
    Arena *scratch = node->importer->scratch;
    return emit_constant(node->importer, dense_splat(scratch, type_tensor(scratch, ELEM_I64, 0, NULL), (double)value), false, NULL);
}

// Places in an image as ONNX counts them in the whole tensor: (n * C + c) * elements more, and with storage_order 1 column
// by column. `index`: N OD OH OW C.
static Value *emit_flat_places(const Node *node, Value *index, const Type *input) {
    const int64_t *s = input->shape;
    int64_t elements = 1, rows = s[input->rank - 2], columns = s[input->rank - 1], dims[5] = {s[0], 1, 1, 1, s[1]};
    for (int i = 2; i < input->rank; i++)
        elements *= s[i];
    if (node_int(node, "storage_order", 0) && input->rank == 4) {
        Value *row = emit_binary(node, OP_div, index, emit_i64(node, columns));
        Value *column = emit_binary(node, OP_mod, index, emit_i64(node, columns));
        index = emit_binary(node, OP_add, emit_binary(node, OP_mul, column, emit_i64(node, rows)), row);
    }
    if (s[0] * s[1] > MAX_FOLD_ELEMS * 64)
        return node_error(node, "it has more than %lld images and channels", (long long)MAX_FOLD_ELEMS * 64), NULL;
    int64_t *firsts = ARENA_ARRAY(node->importer->scratch, int64_t, s[0] * s[1] + 1);
    for (int64_t i = 0; i < s[0] * s[1]; i++)
        firsts[i] = i * elements;
    return emit_binary(node, OP_add, index, emit_reshape(node, emit_ints(node, (int)(s[0] * s[1]), firsts), 5, dims));
}

bool bind_pool_places(const Node *node, const Window *window) {
    Value *input = node_input(node, 0), *last = emit_to_nhwc(node, input);
    if (last && elem_bits(last->type->elem) == 8) // exact, and in the same order
        last = emit_cast(node, last, ELEM_F32);
    if (!last || last->type->elem != ELEM_F32)
        return last && node_error(node, "its second output (Indices) needs an input of f32 or 8 bits");
    const int64_t *s = last->type->shape;
    int rank = input->type->rank;
    if (rank == 5 && node_int(node, "storage_order", 0))
        return node_error(node, "storage_order 1 is supported for two spatial dimensions");
    if (rank < 5)
        last = emit_reshape(node, last, 5, (int64_t[]){s[0], 1, s[1], s[2], s[3]});
    Arena *arena = node->importer->arena;
    Attr *attrs = attr_bool(arena, NULL, "ceil_mode", window->ceil_mode);
    attrs = attr_ints(arena, attr_ints(arena, attrs, "dilations", 3, window->dilations), "pads", 6, window->pads);
    attrs = attr_ints(arena, attr_ints(arena, attrs, "strides", 3, window->strides), "kernel", 3, window->kernel);
    Value *index = last ? emit_unary(node, OP_max_pool_index, last, attrs) : NULL;
    index = index ? emit_flat_places(node, index, input->type) : NULL;
    if (!index)
        return false;
    s = index->type->shape;
    if (rank < 5)
        index = emit_reshape(node, index, 4, (int64_t[]){s[0], s[2], s[3], s[4]});
    return index && node_bind(node, 1, emit_from_nhwc(node, index, rank));
}

// What a pool of that window takes to the input's size, with the output's size where that is given.
static bool read_unpooled(const Node *node, const Type *input, int64_t *inner, Ints *outer) {
    Window w = {0};
    if (!check_spatial(node, input) || !read_window(node, input, &w) || !node_ints_or_input(node, "output_shape", 2, outer))
        return false;
    int rank = input->rank;
    inner[0] = input->shape[0], inner[1] = input->shape[1];
    for (int i = 2; i < rank; i++) {
        int k = 5 - rank + i - 2;
        inner[i] = (input->shape[i] - 1) * w.strides[k] - w.pads[k] - w.pads[k + 3] + w.kernel[k];
        if (inner[i] < 1)
            return node_error(node, "its result would have no elements");
    }
    if (outer->present && outer->count != rank)
        return node_error(node, "its output_shape has %d numbers, expected %d", outer->count, rank);
    for (int i = 0; outer->present && i < rank; i++)
        if (outer->data[i] < 1)
            return node_error(node, "its output_shape has a size below 1");
    return dims_count(rank, inner) > 0 || node_error(node, "its result would have no elements, or too many");
}

bool convert_max_unpool(Node *node) {
    Value *input = node_input(node, 0), *index = node_input(node, 1);
    int64_t inner[MAX_RANK], none[MAX_RANK] = {0}, more[MAX_RANK];
    Ints outer;
    if (!input || !index || !read_unpooled(node, input->type, inner, &outer))
        return false;
    Importer *importer = node->importer;
    int rank = input->type->rank;
    int64_t from = type_elem_count(input->type), to = dims_count(rank, inner);
    const Type *flat = type_tensor(importer->scratch, input->type->elem, 1, &to);
    Value *operands[3];
    operands[0] = emit_constant(importer, dense_splat(importer->scratch, flat, 0), false, NULL);
    operands[1] = emit_reshape(node, index, 1, &from);
    operands[2] = emit_reshape(node, input, 1, &from);
    Value *value = emit_reshape(node, emit(node, OP_scatter_elements, 3, operands, NULL), rank, inner);
    bool same = true;
    for (int i = 0; i < rank; i++)
        more[i] = outer.present ? outer.data[i] - inner[i] : 0, same = same && !more[i];
    Attr *attrs = attr_ints(importer->arena, attr_ints(importer->arena, NULL, "high", rank, more), "low", rank, none);
    return value && node_bind(node, 0, same ? value : emit_unary(node, OP_pad, value, attrs));
}

// ---- Det

bool convert_det(Node *node) {
    Value *input = node_input(node, 0), *value = input ? emit_unary(node, OP_eliminate, input, NULL) : NULL;
    if (!value)
        return false;
    const Type *type = value->type;
    int64_t n = type->shape[type->rank - 1], batch = type_elem_count(type) / (n ? n * n : 1);
    if (!n)
        return node_error(node, "its matrices have no elements");
    Arena *arena = node->importer->arena;
    value = emit_reshape(node, value, 2, (int64_t[]){batch, n * n});
    value = value ? emit_slice(node, value, (int64_t[]){0, 0}, (int64_t[]){batch, n * n}, (int64_t[]){1, n + 1}) : NULL;
    Attr *attrs = attr_ints(arena, attr_bool(arena, NULL, "keep_dims", false), "axes", 1, (int64_t[]){1});
    value = value ? emit_unary(node, OP_reduce_prod, value, attrs) : NULL;
    return node_bind(node, 0, emit_reshape(node, value, type->rank - 2, type->shape));
}
