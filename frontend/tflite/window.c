// Operators with windows: convolutions, pools; and fully connected layers. Both formats have channels last; padding SAME is
// made explicit here. A convolution is an integer one where input, weight and result are quantized (input and result of 8 or of 16
// bits); a weight alone is dequantized, and the layer computes in f32.
#include <string.h>

#include "frontend/tflite/importer.h"

typedef struct {
    int64_t kernel[2], strides[2], dilations[2], pads[4]; // top, left, bottom, right
} Window;

// The options that windows have in common; which fields they are differs from table to table.
typedef struct { FlatField padding, stride_w, stride_h, dilation_w, dilation_h; bool dilated; } WindowFields;
#define WINDOW_FIELDS(table) FLAT_##table##_padding, FLAT_##table##_stride_w, FLAT_##table##_stride_h
#define DILATION_FIELDS(table) FLAT_##table##_dilation_w_factor, FLAT_##table##_dilation_h_factor, true

// Padding so that there are ceil(input / stride) windows; an odd element goes to the end.
static void pad_same(Window *window, const int64_t *sizes) {
    for (int i = 0; i < 2; i++) {
        int64_t reach = (window->kernel[i] - 1) * window->dilations[i] + 1, stride = window->strides[i];
        int64_t total = ((sizes[i] + stride - 1) / stride - 1) * stride + reach - sizes[i];
        window->pads[i] = total > 0 ? total / 2 : 0;
        window->pads[i + 2] = total > 0 ? total - total / 2 : 0;
    }
}

// `kernel` is set already.
static bool read_window(const LiteOp *op, const Type *input, const WindowFields *fields, Window *window) {
    enum { MOST = 1 << 20, MOST_TAPS = 1 << 24 };
    if (input->rank != 4) return lite_error(op, "its input has %d dimensions, expected 4", input->rank);
    int64_t padding = lite_option(op, fields->padding);
    window->strides[0] = lite_option(op, fields->stride_h), window->strides[1] = lite_option(op, fields->stride_w);
    for (int i = 0; i < 2; i++) {
        window->dilations[i] = fields->dilated ? lite_option(op, i ? fields->dilation_w : fields->dilation_h) : 1;
        if (window->strides[i] < 1 || window->strides[i] > MOST || window->dilations[i] < 1 || window->dilations[i] > MOST ||
            window->kernel[i] < 1 || window->kernel[i] > MOST)
            return lite_error(op, "its window is out of bounds: kernel, strides and dilations must be 1 and more");
    }
    if (window->kernel[0] * window->kernel[1] > MOST_TAPS) return lite_error(op, "its window has more than 2^24 elements");
    if (padding != 0 && padding != 1) return lite_error(op, "its padding %lld is not one of TFLite", (long long)padding);
    if (padding == 0) pad_same(window, input->shape + 1);
    return true;
}

static Attr *window_attrs(Arena *arena, const Window *window) {
    Attr *attrs = attr_ints(arena, NULL, "dilations", 2, window->dilations);
    attrs = attr_ints(arena, attrs, "pads", 4, window->pads);
    return attr_ints(arena, attrs, "strides", 2, window->strides);
}

// ---- operands of products

// Biases of 64 bits, beside activations of 16, as 32; NULL where one is larger, or none is constant.
static const Dense *narrowed_bias(const LiteOp *op, int index) {
    const Dense *dense = lite_dense(op, index);
    if (!dense || dense->type->elem != ELEM_I64) return NULL;
    int64_t count = dense_count(dense);
    int32_t *data = ARENA_ARRAY(op->lite->scratch, int32_t, count + 1);
    for (int64_t i = 0; i < count; i++) {
        int64_t value = dense_i64(dense, i);
        if (value < -INT32_MAX || value > INT32_MAX) return NULL;
        data[i] = (int32_t)value;
    }
    return dense_new(op->lite->scratch, type_tensor(op->lite->scratch, ELEM_I32, dense->type->rank, dense->type->shape), data, false);
}

static bool bias_fits(const LiteOp *op, int index) {
    LiteTensor *bias = lite_tensor(op, index);
    if (!bias) return true;
    if (!tensor_describe(op->lite, bias) || bias->elem != ELEM_I64) return !bias->broken;
    return lite_take_bytes(op->lite, 4 * dims_count(bias->rank, bias->shape)) && narrowed_bias(op, index) != NULL;
}

// Weights of i8 with a scale in all or one for each of dimension `axis`, the output channels'.
static bool product_in_i8(const LiteOp *op, OpKind kind, int input, int weight, int axis, int bias) {
    const LiteTensor *weights = lite_tensor(op, weight);
    return lite_in_i8(op, kind, 1, &input) && weights && weights->quant && weights->quant->storage == ELEM_I8 &&
           (weights->quant->axis < 0 || weights->quant->axis == axis) && bias_fits(op, bias);
}

static Value *product_bias(const LiteOp *op, int index, bool whole) {
    const LiteTensor *bias = lite_tensor(op, index);
    if (!bias) return NULL;
    if (whole && bias->elem == ELEM_I64) return lite_constant(op->lite, narrowed_bias(op, index), false, bias->name);
    return whole ? lite_input(op, index) : lite_real(op, index);
}

static const Quant *result_quant(const LiteOp *op) { return lite_output(op, 0) ? lite_output(op, 0)->quant : NULL; }

// Input, weight and bias to a result with the activation `code`.
static Value *emit_product(const LiteOp *op, OpKind kind, Value *const *operands, Attr *attrs, int64_t code) {
    if (!operands[0] || !operands[1]) return NULL;
    attrs = attr_string(op->lite->arena, attrs, "activation", lite_activation(code));
    return lite_activate(op, lite_emit_as(op, result_quant(op), kind, operands[2] ? 3 : 2, operands, attrs), code, true);
}

static bool has_bias(const LiteOp *op, int index, const Value *bias) { return bias || !lite_tensor(op, index); }

// ---- convolutions

static bool emit_conv(const LiteOp *op, Value **operands, const Window *window, int64_t group, int64_t code) {
    Arena *arena = op->lite->arena;
    if (!operands[0] || !operands[1] || !has_bias(op, 2, operands[2])) return false;
    return lite_bind(op, 0, emit_product(op, OP_conv2d, operands, attr_int(arena, window_attrs(arena, window), "group", group), code));
}

bool tflite_conv_2d(const LiteOp *op) {
    static const WindowFields fields = {WINDOW_FIELDS(Conv2DOptions), DILATION_FIELDS(Conv2DOptions)};
    bool whole = product_in_i8(op, OP_conv2d, 0, 1, 0, 2);
    Value *input = whole ? lite_input(op, 0) : lite_real(op, 0), *weight = whole ? lite_input(op, 1) : lite_real(op, 1);
    if (!input || !weight) return false;
    const Type *type = weight->type;
    Window window = {0};
    if (type->rank != 4) return lite_error(op, "its weight has %d dimensions, expected 4", type->rank);
    memcpy(window.kernel, type->shape + 1, sizeof window.kernel);
    if (!read_window(op, input->type, &fields, &window)) return false;
    int64_t group = type->shape[3] > 0 ? input->type->shape[3] / type->shape[3] : 0;
    Value *operands[] = {input, weight, product_bias(op, 2, whole)};
    return emit_conv(op, operands, &window, group, lite_option(op, FLAT_Conv2DOptions_fused_activation_function));
}

// A weight 1 KH KW O as O KH KW 1, with its scales along the other axis.
static Value *depthwise_weight(const LiteOp *op, bool whole) {
    Lite *lite = op->lite;
    Value *value = NULL;
    const LiteTensor *tensor = lite_tensor(op, 1);
    const Dense *dense = whole ? lite_dense(op, 1) : NULL;
    static const int perm[] = {3, 1, 2, 0};
    if (tensor->rank != 4 || tensor->shape[0] != 1) return lite_error(op, "its weight has not the shape 1, height, width, channels"), NULL;
    if (!dense && !(value = lite_real(op, 1))) return NULL;
    if (!dense && value->type->rank != 4) return lite_error(op, "its weight has %d dimensions, expected 4", value->type->rank), NULL;
    if (!dense) return lite_transpose(op, value, perm);
    if (!lite_take_bytes(lite, (int64_t)dense->bytes)) return NULL;
    const Quant *own = tensor->quant;
    Dense *moved = (Dense *)dense_transpose(lite->arena, dense, perm);
    const Quant *quant = quant_per_axis(lite->arena, ELEM_I8, own->axis < 0 ? -1 : 0, own->count, own->scale, own->zero_point,
                                        own->storage_min, own->storage_max);
    moved->type = type_quantized(lite->arena, quant, 4, moved->type->shape);
    return lite_constant(lite, moved, true, tensor->name);
}

bool tflite_depthwise_conv_2d(const LiteOp *op) {
    static const WindowFields fields = {WINDOW_FIELDS(DepthwiseConv2DOptions), DILATION_FIELDS(DepthwiseConv2DOptions)};
    bool whole = product_in_i8(op, OP_conv2d, 0, 1, 3, 2) && lite_dense(op, 1);
    Value *input = whole ? lite_input(op, 0) : lite_real(op, 0);
    Value *weight = input && (lite_dense(op, 1) || lite_input(op, 1)) ? depthwise_weight(op, whole) : NULL;
    if (!weight) return false;
    Window window = {0};
    memcpy(window.kernel, weight->type->shape + 1, sizeof window.kernel);
    if (!read_window(op, input->type, &fields, &window)) return false;
    Value *operands[] = {input, weight, product_bias(op, 2, whole)};
    return emit_conv(op, operands, &window, input->type->shape[3], lite_option(op, FLAT_DepthwiseConv2DOptions_fused_activation_function));
}

// ---- transposed convolution

// With stride s, output element q * s + r is a convolution of the input by the taps r, r + s, ... of the kernel in reverse
// order: one convolution computes the s phases as channels of their own, which are then put side by side.
typedef struct {
    Window window;  // pads: what is cut from the start of the full result
    int64_t out[2], taps[2], phases, channels, in_channels;
} Transposed;

static bool read_transposed(const LiteOp *op, const Type *input, const Type *weight, Transposed *t) {
    static const WindowFields fields = {WINDOW_FIELDS(TransposeConvOptions), 0, 0, false};
    LiteInts shape;
    if (weight->rank != 4) return lite_error(op, "its weight has %d dimensions, expected 4", weight->rank);
    memcpy(t->window.kernel, weight->shape + 1, sizeof t->window.kernel);
    if (!read_window(op, input, &fields, &t->window) || !lite_ints(op, 0, "the shape of the result", &shape)) return false;
    if (shape.count != 4) return lite_error(op, "the shape of its result has %d dimensions, expected 4", shape.count);
    for (int i = 0; i < 2; i++) {
        int64_t stride = t->window.strides[i], kernel = t->window.kernel[i];
        t->out[i] = shape.data[1 + i], t->taps[i] = (kernel + stride - 1) / stride;
        int64_t extra = (input->shape[1 + i] - 1) * stride + kernel - t->out[i];
        t->window.pads[i] = extra > 0 ? extra / 2 : 0;
        if (t->out[i] < 1 || t->out[i] > 1 << 24) return lite_error(op, "the shape of its result is out of bounds");
    }
    t->phases = t->window.strides[0] * t->window.strides[1];
    t->channels = weight->shape[0], t->in_channels = weight->shape[3];
    if (dims_count(4, (int64_t[]){t->phases, t->channels, t->taps[0] * t->taps[1], t->in_channels}) < 1)
        return lite_error(op, "its strides and weight are out of bounds");
    return true;
}

static void fill_phase(const Transposed *t, int64_t phase, int64_t elem_bytes, const char *from, char *to) {
    int64_t row = t->in_channels * elem_bytes, stride_w = t->window.strides[1];
    for (int64_t c = 0; c < t->channels; c++)
        for (int64_t y = 0; y < t->taps[0]; y++)
            for (int64_t x = 0; x < t->taps[1]; x++) {
                int64_t ky = phase / stride_w + (t->taps[0] - 1 - y) * t->window.strides[0];
                int64_t kx = phase % stride_w + (t->taps[1] - 1 - x) * stride_w;
                char *place = to + ((c * t->taps[0] + y) * t->taps[1] + x) * row;
                if (ky < t->window.kernel[0] && kx < t->window.kernel[1])
                    memcpy(place, from + ((c * t->window.kernel[0] + ky) * t->window.kernel[1] + kx) * row, (size_t)row);
            }
}

static const Quant *repeated_quant(Arena *arena, const Quant *quant, int64_t times) {
    if (!quant || quant->axis < 0) return quant;
    float *scale = ARENA_ARRAY(arena, float, quant->count * times + 1);
    int32_t *zero = ARENA_ARRAY(arena, int32_t, quant->count * times + 1);
    for (int64_t i = 0; i < quant->count * times; i++) scale[i] = quant->scale[i % quant->count], zero[i] = quant->zero_point[i % quant->count];
    return quant_per_axis(arena, quant->storage, 0, (int)(quant->count * times), scale, zero, quant->storage_min, quant->storage_max);
}

// Phases, channels, taps, input channels; taps that a phase lacks are zero.
static Value *phase_weights(const LiteOp *op, const Dense *weight, const Transposed *t) {
    Lite *lite = op->lite;
    int64_t shape[] = {t->phases * t->channels, t->taps[0], t->taps[1], t->in_channels}, count = dims_count(4, shape);
    int64_t elem_bytes = elem_bits(weight->type->elem) / 8;
    if (count < 0 || !lite_take_bytes(lite, count * elem_bytes)) return NULL;
    const Quant *quant = repeated_quant(lite->arena, weight->type->quant, t->phases);
    const Type *type = quant ? type_quantized(lite->arena, quant, 4, shape) : type_tensor(lite->arena, weight->type->elem, 4, shape);
    Dense *dense = dense_alloc(lite->arena, type);
    if (quant) memset((void *)dense->data, quant->zero_point[0], dense->bytes);
    for (int64_t phase = 0; phase < t->phases; phase++)
        fill_phase(t, phase, elem_bytes, weight->data, (char *)dense->data + phase * (int64_t)(dense->bytes / (size_t)t->phases));
    return lite_constant(lite, dense, true, lite_tensor(op, 1)->name);
}

static Value *phase_bias(const LiteOp *op, Value *bias, const Transposed *t) {
    if (!bias) return NULL;
    bias = lite_broadcast(op, lite_reshape(op, bias, 2, (int64_t[]){1, t->channels}), 2, (int64_t[]){t->phases, t->channels});
    return lite_reshape(op, bias, 1, (int64_t[]){t->phases * t->channels});
}

static Value *interleaved(const LiteOp *op, Value *value, const Transposed *t) {
    const int64_t *s = value->type->shape, *stride = t->window.strides, n = s[0], h = s[1], w = s[2];
    value = lite_reshape(op, value, 6, (int64_t[]){n, h, w, stride[0], stride[1], t->channels});
    value = lite_transpose(op, value, (int[]){0, 1, 3, 2, 4, 5});
    value = lite_reshape(op, value, 4, (int64_t[]){n, h * stride[0], w * stride[1], t->channels});
    const int64_t starts[] = {0, t->window.pads[0], t->window.pads[1], 0};
    return lite_slice(op, value, starts, (int64_t[]){n, starts[1] + t->out[0], starts[2] + t->out[1], t->channels}, NULL);
}

bool tflite_transpose_conv(const LiteOp *op) {
    Transposed t = {0};
    int64_t code = lite_option(op, FLAT_TransposeConvOptions_fused_activation_function);
    bool whole = product_in_i8(op, OP_conv2d, 2, 1, 0, 3) && lite_dense(op, 1);
    Value *input = whole ? lite_input(op, 2) : lite_real(op, 2), *weight = whole ? lite_input(op, 1) : lite_real(op, 1);
    if (!input || !weight || !read_transposed(op, input->type, weight->type, &t)) return false;
    const Dense *dense = value_constant(weight);
    if (!dense) return lite_error(op, "its weight must be constant");
    Window window = {.strides = {1, 1}, .dilations = {1, 1}};
    for (int i = 0; i < 2; i++) {
        int64_t stride = t.window.strides[i], more = (t.window.pads[i] + t.out[i] + stride - 1) / stride - input->type->shape[1 + i];
        window.pads[i] = t.taps[i] - 1, window.pads[i + 2] = more > 0 ? more : 0;
    }
    Value *bias = product_bias(op, 3, whole), *operands[] = {input, phase_weights(op, dense, &t), phase_bias(op, bias, &t)};
    if (!has_bias(op, 3, operands[2])) return false;
    Value *value = emit_product(op, OP_conv2d, operands, window_attrs(op->lite->arena, &window), code);
    return value && lite_bind(op, 0, interleaved(op, value, &t));
}

// ---- fully connected

bool tflite_fully_connected(const LiteOp *op) {
    if (lite_option(op, FLAT_FullyConnectedOptions_weights_format) != 0)
        return lite_error(op, "its weight is shuffled for another machine; convert the model without that");
    bool whole = product_in_i8(op, OP_linear, 0, 1, 0, 2);
    Value *input = whole ? lite_input(op, 0) : lite_real(op, 0), *weight = whole ? lite_input(op, 1) : lite_real(op, 1);
    if (!input || !weight) return false;
    const Type *type = weight->type;
    if (type->rank != 2 || type->shape[1] < 1) return lite_error(op, "its weight has not the shape outputs, inputs");
    int64_t depth = type->shape[1], count = type_elem_count(input->type), shape[MAX_RANK];
    if (count % depth) return lite_error(op, "its input's %lld elements are no rows of %lld", (long long)count, (long long)depth);
    int rank = input->type->rank;
    memcpy(shape, input->type->shape, sizeof(int64_t) * (size_t)rank);
    bool keep = lite_option(op, FLAT_FullyConnectedOptions_keep_num_dims) && rank && shape[rank - 1] == depth;
    Value *rows = keep ? input : lite_reshape(op, input, 2, (int64_t[]){count / depth, depth});
    Value *operands[] = {rows, weight, product_bias(op, 2, whole)};
    if (!rows || !has_bias(op, 2, operands[2])) return false;
    return lite_bind(op, 0, emit_product(op, OP_linear, operands, NULL, lite_option(op, FLAT_FullyConnectedOptions_fused_activation_function)));
}

// ---- pools

static bool read_pool(const LiteOp *op, const Type *input, Window *window) {
    static const WindowFields fields = {WINDOW_FIELDS(Pool2DOptions), 0, 0, false};
    window->kernel[0] = lite_option(op, FLAT_Pool2DOptions_filter_height);
    window->kernel[1] = lite_option(op, FLAT_Pool2DOptions_filter_width);
    return read_window(op, input, &fields, window);
}

static Value *emit_pool(const LiteOp *op, OpKind kind, Value *input) {
    Window window = {0};
    Arena *arena = op->lite->arena;
    if (!input || !read_pool(op, input->type, &window)) return NULL;
    Attr *attrs = attr_ints(arena, window_attrs(arena, &window), "kernel", 2, window.kernel);
    return lite_emit_as(op, result_quant(op), kind, 1, &input, attrs);
}

static bool pool(const LiteOp *op, OpKind kind) {
    Value *input;
    if (!lite_forms(op, kind, 1, &input)) return false;
    Value *value = emit_pool(op, kind, input);
    return value && lite_bind(op, 0, lite_activate(op, value, lite_option(op, FLAT_Pool2DOptions_fused_activation_function), false));
}

bool tflite_average_pool_2d(const LiteOp *op) { return pool(op, OP_avg_pool2d); }
bool tflite_max_pool_2d(const LiteOp *op) { return pool(op, OP_max_pool2d); }

bool tflite_l2_pool_2d(const LiteOp *op) {
    Value *input = lite_real(op, 0), *mean = emit_pool(op, OP_avg_pool2d, input ? lite_binary(op, OP_mul, input, input) : NULL);
    Value *value = mean ? lite_unary(op, OP_sqrt, mean, NULL) : NULL;
    return value && lite_bind(op, 0, lite_activate(op, value, lite_option(op, FLAT_Pool2DOptions_fused_activation_function), false));
}
