// Random convolutions, matrix products, pools and means (graph.h).
#include <math.h>
#include <string.h>

#include "test/differential/graph.h"

static bool is_image(const Value *value) { return is_real(value) && value->type->rank == 4; }
static bool has_rank(const Value *value) { return is_real(value) && value->type->rank >= 1; }
static bool has_rank_2(const Value *value) { return is_real(value) && value->type->rank >= 2; }

static const char *random_activation(Graph *graph) {
    static const char *const names[] = {"none", "relu", "relu6"};
    return names[random_chance(graph, 60) ? 0 : random_int(graph, 1, 2)];
}

// ---- weights

static const Type *weight_type(Graph *graph, const Value *input, int rank, const int64_t *shape) {
    if (!input->type->quant) return type_tensor(graph->arena, ELEM_F32, rank, shape);
    int count = random_chance(graph, 70) ? (int)shape[0] : 1;
    float scales[256];
    int32_t zeros[256] = {0};
    for (int c = 0; c < count; c++) scales[c] = (float)exp2(random_real(graph, -9, -2));
    bool own_zero = random_chance(graph, 12);
    for (int c = 0, zero = random_int(graph, -128, 127); c < count; c++) zeros[c] = own_zero ? zero : 0;
    int low = own_zero || random_chance(graph, 30) ? -128 : -127;
    const Quant *quant = quant_per_axis(graph->arena, ELEM_I8, count > 1 ? 0 : -1, count, scales, zeros, low, 127);
    return type_quantized(graph->arena, quant, rank, shape);
}

// Sometimes computed: reversed by a slice, which the lowering does not fold.
static Value *maybe_computed(Graph *graph, Value *constant) {
    int64_t starts[4], ends[4], steps[4];
    int rank = constant->type->rank;
    if (!random_chance(graph, 8)) return constant;
    for (int i = 0; i < rank; i++) {
        bool reversed = i == rank - 1 && (rank > 1 || !constant->type->quant);
        starts[i] = reversed ? constant->type->shape[i] - 1 : 0;
        ends[i] = reversed ? -1 : constant->type->shape[i];
        steps[i] = reversed ? -1 : 1;
        if (!constant->type->shape[i]) return constant;
    }
    Attr *attrs = attr_ints(graph->arena, NULL, "starts", rank, starts);
    attrs = attr_ints(graph->arena, attr_ints(graph->arena, attrs, "ends", rank, ends), "steps", rank, steps);
    Value *value = graph_op(graph, OP_slice, 1, &constant, attrs, 1);
    return value ? value : constant;
}

static Value *random_bias(Graph *graph, const Value *input, int64_t channels) {
    if (random_chance(graph, 30)) return NULL;
    return maybe_computed(graph, random_constant(graph, type_tensor(graph->arena, input->type->quant ? ELEM_I32 : ELEM_F32, 1, &channels)));
}

// About where results of sums over `taps` products lie.
static double product_scale(const Value *input, const Value *weight, double taps) {
    if (!input->type->quant) return 1;
    return natural_scale(input) * natural_scale(weight) * 60 * sqrt(taps + 1);
}

static Value *finish_product(Graph *graph, OpKind kind, Value *input, Value *weight, Value *bias, Attr *attrs) {
    double taps = weight->type->shape[0] ? (double)(type_elem_count(weight->type) / weight->type->shape[0]) : 1;
    Value *operands[] = {input, weight, bias};
    attrs = attr_string(graph->arena, attrs, "activation", random_activation(graph));
    return graph_add(graph, graph_op(graph, kind, bias ? 3 : 2, operands, attrs, product_scale(input, weight, taps)), false);
}

// ---- sums

// Makes a product's result its sums; false where it can't be. What is drawn next does not take them.
static bool set_sums(Graph *graph, Value *product) {
    const Op *op = product->def;
    const Type *type = product->type, *input = op_operand(op, 0)->type, *weight = op_operand(op, 1)->type;
    if (!type->quant || strcmp(op_string(op, "activation"), "none")) return false;
    const int last = type->rank - 1;
    const Quant *sums = quant_sums(graph->arena, input->quant, weight->quant, last, (int)type->shape[last]);
    for (int c = 0; c < sums->count; c++)
        if (!isnormal(sums->scale[c])) return false;
    product->type = type_quantized(graph->arena, sums, type->rank, type->shape);
    graph_forget(graph, product);
    return true;
}

// Sometimes what makes floats of a product's sums, or adds a constant to them, in place of the product.
static Value *maybe_unrounded(Graph *graph, Value *product) {
    const Type *rounded = product ? product->type : NULL;
    if (!product || graph->whole || !random_chance(graph, 20) || !set_sums(graph, product)) return product;
    Value *operands[] = {product, NULL};
    const bool adds = random_chance(graph, 40);
    if (adds) operands[1] = random_constant(graph, random_quantized(graph, rounded->quant->scale[0], rounded->rank, rounded->shape));
    Value *read = graph_op(graph, adds ? OP_add : OP_dequantize, adds ? 2 : 1, operands, NULL, rounded->quant->scale[0]);
    if (!read) product->type = rounded;
    return read ? graph_add(graph, read, true) : product;
}

// ---- windows

typedef struct { int64_t kernel[2], strides[2], dilations[2], pads[4]; } Window;

static Window random_window(Graph *graph, const Type *image, int largest) {
    Window window;
    bool plain = random_chance(graph, 40);
    for (int d = 0; d < 2; d++) {
        window.kernel[d] = plain && d ? window.kernel[0] : random_int(graph, 1, largest);
        window.strides[d] = plain && d ? window.strides[0] : random_chance(graph, 60) ? 1 : random_int(graph, 1, 3);
        window.dilations[d] = plain || random_chance(graph, 70) ? 1 : random_int(graph, 1, 3);
        int64_t reach = (window.kernel[d] - 1) * window.dilations[d];
        int most = random_chance(graph, 10) ? (int)reach + 2 : (int)reach;
        window.pads[d] = plain ? reach / 2 : random_int(graph, 0, most);
        window.pads[d + 2] = plain ? reach / 2 : random_int(graph, 0, most);
        if (image->shape[1 + d] + window.pads[d] + window.pads[d + 2] <= reach) window.pads[d] = reach + 1;
    }
    return window;
}

static Attr *window_attrs(Graph *graph, const Window *window) {
    Attr *attrs = attr_ints(graph->arena, NULL, "strides", 2, window->strides);
    attrs = attr_ints(graph->arena, attrs, "dilations", 2, window->dilations);
    return attr_ints(graph->arena, attrs, "pads", 4, window->pads);
}

// A residual: the convolution's input where that fits, or another convolution of it.
static Value *maybe_summed(Graph *graph, Value *conv, Value *input) {
    if (!conv || !random_chance(graph, 35)) return conv;
    const Op *op = conv->def;
    const double natural = natural_scale(conv);
    Value *other = input;
    if (!type_same_shape(input->type, conv->type) || !input->type->quant != !conv->type->quant) {
        Value *weight = random_constant(graph, op_operand(op, 1)->type);
        other = finish_product(graph, OP_conv2d, input, weight, random_bias(graph, input, conv->type->shape[3]), op->attrs);
    }
    if (!other) return conv;
    if (conv->type->quant && random_chance(graph, 50)) set_sums(graph, other == input ? conv : other); // the later one
    Value *operands[] = {conv, other};
    if (random_chance(graph, 50)) operands[0] = other, operands[1] = conv;
    Attr *attrs = attr_string(graph->arena, NULL, "activation", random_activation(graph));
    Value *sum = graph_op(graph, OP_add, 2, operands, attrs, natural);
    return sum ? graph_add(graph, sum, false) : type_is_sums(conv->type) ? NULL : conv;
}

// A window that Winograd's method takes, and how many outputs a side its tiles have; 0: it is not asked for.
static int random_winograd(Graph *graph, const Value *input, Window *window) {
    if (!random_chance(graph, 20)) return 0;
    for (int d = 0; d < 2; d++) {
        window->kernel[d] = 3, window->strides[d] = window->dilations[d] = 1;
        window->pads[d] = random_int(graph, 0, 2), window->pads[d + 2] = random_int(graph, 0, 2);
        if (input->type->shape[1 + d] + window->pads[d] + window->pads[d + 2] <= 2) window->pads[d] = 3;
    }
    return input->type->quant ? 2 : RANDOM_OF(graph, 2, 4, 6);
}

Value *make_conv2d(Graph *graph) {
    Value *input = graph_pick(graph, is_image);
    if (!input || !input->type->shape[3]) return NULL;
    Window window = random_window(graph, input->type, random_chance(graph, 40) ? 3 : 7);
    int64_t in_c = input->type->shape[3], out_c = RANDOM_OF(graph, 1, 2, 3, 5, 8, 16, 17, 32, 33, 48, 65), group = 1;
    const int winograd = random_winograd(graph, input, &window);
    if (!winograd && random_chance(graph, 40)) {
        group = in_c;
        out_c = in_c * (random_chance(graph, 65) ? 1 : random_int(graph, 2, 3));
    } else if (!winograd && random_chance(graph, 20)) {
        group = random_int(graph, 1, 4);
        if (in_c % group) return NULL;
        out_c = group * random_int(graph, 1, 9);
    }
    int64_t shape[] = {out_c, window.kernel[0], window.kernel[1], in_c / group};
    if (shape[0] * shape[1] * shape[2] * shape[3] > 60000 || shape[0] > 255) return NULL;
    Value *weight = maybe_computed(graph, random_constant(graph, weight_type(graph, input, 4, shape)));
    Attr *attrs = attr_int(graph->arena, window_attrs(graph, &window), "group", group);
    if (winograd) attrs = attr_int(graph->arena, attrs, "winograd", winograd);
    Value *conv = finish_product(graph, OP_conv2d, input, weight, random_bias(graph, input, out_c), attrs);
    Value *sum = maybe_summed(graph, conv, input);
    return sum == conv ? maybe_unrounded(graph, conv) : sum;
}

Value *make_pool2d(Graph *graph) {
    Value *input = graph_pick(graph, is_image);
    if (!input) return NULL;
    Window window = random_window(graph, input->type, random_chance(graph, 70) ? 3 : 6);
    bool average = random_chance(graph, 50);
    Attr *attrs = attr_ints(graph->arena, window_attrs(graph, &window), "kernel", 2, window.kernel);
    attrs = attr_bool(graph->arena, attrs, "ceil_mode", random_chance(graph, 40));
    if (average) attrs = attr_bool(graph->arena, attrs, "count_include_pad", random_chance(graph, 40));
    Value *value = graph_op(graph, average ? OP_avg_pool2d : OP_max_pool2d, 1, &input, attrs, natural_scale(input));
    return graph_add(graph, value, !average && graph_is_exact(graph, input));
}

// ---- products of matrices

Value *make_linear(Graph *graph) {
    Value *input = graph_pick(graph, has_rank);
    if (!input) return NULL;
    int64_t shape[] = {RANDOM_OF(graph, 1, 2, 3, 10, 16, 31, 32, 33, 64), input->type->shape[input->type->rank - 1]};
    Value *weight = maybe_computed(graph, random_constant(graph, weight_type(graph, input, 2, shape)));
    Value *linear = finish_product(graph, OP_linear, input, weight, random_bias(graph, input, shape[0]), NULL);
    if (linear && type_same_shape(linear->type, input->type) && random_chance(graph, 50)) return maybe_summed(graph, linear, input);
    return maybe_unrounded(graph, linear);
}

static Value *swapped_last(Graph *graph, Value *value) {
    int64_t perm[MAX_RANK];
    int rank = value->type->rank;
    for (int i = 0; i < rank; i++) perm[i] = i < rank - 2 ? i : i == rank - 2 ? rank - 1 : rank - 2;
    return graph_op(graph, OP_transpose, 1, &value, attr_ints(graph->arena, NULL, "perm", rank, perm), 1);
}

// A constant of other rank, a value of the network, or the first operand itself, transposed.
Value *make_matmul(Graph *graph) {
    Value *a = graph_pick(graph, has_rank_2), *b = NULL;
    if (!a) return NULL;
    if (random_chance(graph, 25)) b = swapped_last(graph, a);
    else if (random_chance(graph, 10)) b = graph_pick(graph, has_rank_2);
    else {
        int64_t shape[MAX_RANK];
        int rank = random_int(graph, 2, a->type->rank > 4 ? a->type->rank : 5);
        for (int i = 0; i < rank - 2; i++) {
            int own = i - (rank - a->type->rank);
            shape[i] = own < 0 ? random_int(graph, 1, 3) : random_chance(graph, 40) ? 1 : a->type->shape[own];
        }
        shape[rank - 2] = a->type->shape[a->type->rank - 1];
        shape[rank - 1] = random_int(graph, 1, 20);
        b = random_constant(graph, a->type->quant ? random_quantized(graph, 0.02, rank, shape) : type_tensor(graph->arena, ELEM_F32, rank, shape));
    }
    if (!b || is_quantized(a) != is_quantized(b)) return NULL;
    if (random_chance(graph, 20) && a->type->rank == 2) { // the other way round
        Value *turned = swapped_last(graph, b);
        Value *left = swapped_last(graph, a);
        if (turned && left) b = left, a = turned;
    }
    Value *operands[] = {a, b};
    double taps = (double)a->type->shape[a->type->rank - 1];
    Value *value = graph_op(graph, OP_matmul, 2, operands, NULL, product_scale(a, b, taps));
    return graph_add(graph, value, false);
}
