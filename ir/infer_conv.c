// Shape inference of convolutions, matrix products and pooling.
#include "ir/infer.h"

#include <string.h>

static bool check_activation(Diag *diag, const Op *op, Arena *arena, const char *activation) {
    if (!strcmp(activation, "none") || !strcmp(activation, "relu") || !strcmp(activation, "relu6")) return true;
    return infer_fail(diag, op, arena, "'activation' is \"%s\", expected \"none\", \"relu\" or \"relu6\"", activation);
}

// Two factors of a product: both of one float type, or both quantized, the first per tensor.
static bool check_factors(Diag *diag, const Op *op, Arena *arena, const Type *a, const Type *b) {
    if (!a->quant != !b->quant)
        return infer_fail(diag, op, arena, "operands are %s and %s, expected both or neither quantized",
                          type_text(arena, a), type_text(arena, b));
    if (elem_expressed(a) != elem_expressed(b) || !elem_is_float(elem_expressed(a)))
        return infer_fail(diag, op, arena, "operands are of %s and %s, expected one float type",
                          elem_name(elem_expressed(a)), elem_name(elem_expressed(b)));
    if (a->quant && a->quant->axis >= 0)
        return infer_fail(diag, op, arena, "the first operand is quantized per axis, expected one scale");
    return true;
}

// Weights quantized per output channel carry one scale for each of dimension 0; the bias is O of i32 or float.
static bool check_weight(Diag *diag, const Op *op, Arena *arena, const Type *input, const Type *weight,
                         const Value *bias) {
    if (!check_factors(diag, op, arena, input, weight)) return false;
    if (weight->quant && weight->quant->axis > 0)
        return infer_fail(diag, op, arena, "weight is quantized along axis %d, expected axis 0 or one scale",
                          weight->quant->axis);
    if (!bias) return true;
    const Type *type = bias->type;
    if (type->rank != 1 || type->shape[0] != weight->shape[0])
        return infer_fail(diag, op, arena, "bias has shape %s, expected [%lld] for weight %s",
                          shape_text(arena, type), (long long)weight->shape[0], shape_text(arena, weight));
    Elem expected = input->quant ? ELEM_I32 : input->elem;
    if (type->elem != expected)
        return infer_fail(diag, op, arena, "bias is of %s, expected %s", elem_name(type->elem), elem_name(expected));
    return true;
}

// One spatial dimension (0: H, 1: W) of a window op, with its attributes.
static WindowDim window_dim(const Type *input, int i, int64_t kernel, IntList strides, IntList pads,
                            IntList dilations, bool ceil_mode) {
    return (WindowDim){input->shape[1 + i], kernel, int_at(strides, i), int_at(dilations, i),
                       int_at(pads, i), int_at(pads, i + 2), ceil_mode};
}

static bool check_window(Diag *diag, const Op *op, Arena *arena, IntList strides, IntList pads,
                         IntList dilations) {
    return infer_ints(diag, op, arena, "strides", strides, 2, true, 1) &&
           infer_ints(diag, op, arena, "pads", pads, 4, true, 0) &&
           infer_ints(diag, op, arena, "dilations", dilations, 2, true, 1);
}

static bool window_fits(Diag *diag, const Op *op, Arena *arena, const WindowDim *dim, int64_t *extent) {
    if (dim->kernel < 1 || dim->kernel > MAX_EXTENT)
        return infer_fail(diag, op, arena, "kernel extent is %lld, expected 1 to %d", (long long)dim->kernel,
                          MAX_EXTENT);
    *extent = window_count(dim);
    if (*extent > 0) return true;
    return infer_fail(diag, op, arena, "a window of %lld elements does not fit the padded input of %lld",
                      (long long)window_reach(dim), (long long)(dim->input + dim->low + dim->high));
}

static bool check_group(Diag *diag, const Op *op, Arena *arena, const Type *input, const Type *weight,
                        int64_t group) {
    int64_t in_c = input->shape[3], out_c = weight->shape[0];
    if (group < 1 || in_c % group || out_c % group)
        return infer_fail(diag, op, arena, "'group' is %lld, expected a divisor of %lld input and %lld output channels",
                          (long long)group, (long long)in_c, (long long)out_c);
    if (weight->shape[3] != in_c / group)
        return infer_fail(diag, op, arena, "weight has shape %s, expected %lld channels per group in its last dimension",
                          shape_text(arena, weight), (long long)(in_c / group));
    return true;
}

bool infer_conv2d(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    conv2d_view conv = as_conv2d(op);
    if (conv.winograd && conv.winograd != 2 && conv.winograd != 4 && conv.winograd != 6)
        return infer_fail(diag, op, arena, "'winograd' is %lld, expected 0, 2, 4 or 6", (long long)conv.winograd);
    const Type *input = conv.input->type, *weight = conv.weight->type;
    if (!infer_rank(diag, op, arena, "input", input, 4) || !infer_rank(diag, op, arena, "weight", weight, 4) ||
        !check_window(diag, op, arena, conv.strides, conv.pads, conv.dilations) ||
        !check_group(diag, op, arena, input, weight, conv.group) ||
        !check_weight(diag, op, arena, input, weight, conv.bias) ||
        !check_activation(diag, op, arena, conv.activation))
        return false;
    int64_t shape[4] = {input->shape[0], 0, 0, weight->shape[0]};
    for (int i = 0; i < 2; i++) {
        WindowDim dim = window_dim(input, i, weight->shape[1 + i], conv.strides, conv.pads, conv.dilations, false);
        if (!window_fits(diag, op, arena, &dim, &shape[1 + i])) return false;
    }
    return infer_computed(diag, op, arena, input, 4, shape, results);
}

bool infer_linear(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    linear_view linear = as_linear(op);
    const Type *input = linear.input->type, *weight = linear.weight->type;
    if (!infer_rank(diag, op, arena, "weight", weight, 2)) return false;
    if (input->rank < 1 || input->shape[input->rank - 1] != weight->shape[1])
        return infer_fail(diag, op, arena, "input has shape %s, expected %lld in its last dimension for weight %s",
                          shape_text(arena, input), (long long)weight->shape[1], shape_text(arena, weight));
    if (!check_weight(diag, op, arena, input, weight, linear.bias) ||
        !check_activation(diag, op, arena, linear.activation))
        return false;
    int64_t shape[MAX_RANK];
    memcpy(shape, input->shape, sizeof(int64_t) * (size_t)input->rank);
    shape[input->rank - 1] = weight->shape[0];
    return infer_computed(diag, op, arena, input, input->rank, shape, results);
}

bool infer_matmul(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    const Type *a = as_matmul(op).a->type, *b = as_matmul(op).b->type;
    if (a->rank < 2 || b->rank < 2 || a->shape[a->rank - 1] != b->shape[b->rank - 2])
        return infer_fail(diag, op, arena, "operands have shapes %s and %s, expected ... M K and ... K N",
                          shape_text(arena, a), shape_text(arena, b));
    if (!check_factors(diag, op, arena, a, b)) return false;
    if (b->quant && b->quant->axis >= 0)
        return infer_fail(diag, op, arena, "the second operand is quantized per axis, expected one scale");
    int rank = a->rank > b->rank ? a->rank : b->rank;
    int64_t shape[MAX_RANK];
    for (int i = 0; i < rank - 2; i++) {
        int in_a = i - (rank - a->rank), in_b = i - (rank - b->rank);
        int64_t m = in_a < 0 ? 1 : a->shape[in_a], n = in_b < 0 ? 1 : b->shape[in_b];
        if (m != n && m != 1 && n != 1)
            return infer_fail(diag, op, arena, "batch dimensions of %s and %s do not broadcast",
                              shape_text(arena, a), shape_text(arena, b));
        shape[i] = m == 1 ? n : m;
    }
    shape[rank - 2] = a->shape[a->rank - 2];
    shape[rank - 1] = b->shape[b->rank - 1];
    return infer_computed(diag, op, arena, a, rank, shape, results);
}

// Every window must reach into the input: then no average is over nothing but padding, dilations of gaps apart.
static bool check_pool_pads(Diag *diag, const Op *op, Arena *arena, const WindowDim *dim) {
    int64_t reach = window_reach(dim);
    if (dim->low < reach && dim->high < reach) return true;
    return infer_fail(diag, op, arena, "padding of %lld and %lld elements, expected less than the window's %lld",
                      (long long)dim->low, (long long)dim->high, (long long)reach);
}

// max_pool2d and avg_pool2d: attributes of the same names.
bool infer_pool2d(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    const Type *input = op_operand(op, 0)->type;
    IntList kernel = op_ints(op, "kernel"), strides = op_ints(op, "strides"), pads = op_ints(op, "pads");
    IntList dilations = op_ints(op, "dilations");
    if (!infer_rank(diag, op, arena, "input", input, 4) ||
        !infer_ints(diag, op, arena, "kernel", kernel, 2, false, 1) ||
        !check_window(diag, op, arena, strides, pads, dilations))
        return false;
    int64_t shape[4] = {input->shape[0], 0, 0, input->shape[3]};
    for (int i = 0; i < 2; i++) {
        WindowDim dim = window_dim(input, i, kernel.data[i], strides, pads, dilations, op_bool(op, "ceil_mode"));
        if (!window_fits(diag, op, arena, &dim, &shape[1 + i]) || !check_pool_pads(diag, op, arena, &dim))
            return false;
    }
    if (op->kind == OP_max_pool2d) {
        bool channels = input->quant && input->quant->axis == 3;
        return infer_moved(diag, op, arena, input, 4, shape, channels ? 3 : -1, results);
    }
    if (!elem_is_float(elem_expressed(input)) || (input->quant && input->quant->axis >= 0))
        return infer_fail(diag, op, arena, "input is %s, expected floats or one scale", type_text(arena, input));
    return infer_computed(diag, op, arena, input, 4, shape, results);
}
