// What operators meant in opsets 1 to 6, where it differs: broadcasting by attributes, numbers as attributes of other
// names; and the experimental operators of opset 1 that published networks use.
#include <math.h>

#include "frontend/onnx/importer.h"

// ---- broadcasting before opset 7: only where `broadcast` is set, and from `axis` of the left operand on

// The dimensions of `type` as those of a tensor of `rank`, from `axis` on.
static Value *emit_from_axis(const Node *node, Value *value, int rank, int axis) {
    int64_t dims[MAX_RANK];
    int own = value->type->rank;
    if (axis + own > rank) {
        node_error(node, "an operand of %d dimensions from axis %d on exceeds the %d of the other", own, axis, rank);
        return NULL;
    }
    for (int i = axis; i < rank; i++)
        dims[i - axis] = i - axis < own ? value->type->shape[i - axis] : 1;
    return emit_reshape(node, value, rank - axis, dims);
}

Value *node_right(const Node *node, const Value *left) {
    Value *right = node_input(node, 1);
    int axis;
    if (!left || !right || node->importer->opset >= 7 || !node_int(node, "broadcast", 0) || !node_attr(node, "axis"))
        return right;
    if (!node_axis(node, node_int(node, "axis", 0), left->type->rank, &axis))
        return NULL;
    return emit_from_axis(node, right, left->type->rank, axis);
}

Value *node_slope(const Node *node, const Value *input) {
    Value *slope = node_input(node, 1);
    bool channels = slope && slope->type->rank == 1 && slope->type->shape[0] > 1 && input->type->rank > 2;
    return channels && node->importer->opset < 7 ? emit_from_axis(node, slope, input->type->rank, 1) : slope;
}

// ---- numbers in other places

// Tile of opset 1: so many copies along one axis, both inputs.
bool old_tile_repeats(const Node *node, const Type *type, Ints *repeats) {
    double tiles, axis;
    int dim;
    if (!node_scalar(node, 1, 1, &tiles) || !node_scalar(node, 2, 0, &axis))
        return false;
    if (!(tiles >= 0 && tiles <= (double)MAX_IMPORT_ELEMS) || !(fabs(axis) <= MAX_RANK))
        return node_error(node, "%g copies along axis %g are out of bounds", tiles, axis);
    if (!node_axis(node, (int64_t)axis, type->rank, &dim))
        return false;
    *repeats = (Ints){true, type->rank, ARENA_ARRAY(node->importer->scratch, int64_t, type->rank + 1)};
    for (int i = 0; i < type->rank; i++)
        repeats->data[i] = i == dim ? (int64_t)tiles : 1;
    return true;
}

// Normalization of each element of a sample by its own mean and variance (BatchNormalization with spatial = 0).
bool old_batch_normalization(Node *node) {
    Value *operands[5];
    for (int i = 0; i < 5; i++)
        if (!(operands[i] = node_input(node, i)))
            return false;
    Value *variance = emit_binary(node, OP_add, operands[4], emit_scalar(node, node_float(node, "epsilon", 1e-5)));
    Value *deviation = variance ? emit_unary(node, OP_sqrt, variance, NULL) : NULL;
    Value *scale = deviation ? emit_binary(node, OP_div, operands[1], deviation) : NULL;
    Value *centered = scale ? emit_binary(node, OP_sub, operands[0], operands[3]) : NULL;
    Value *scaled = centered ? emit_binary(node, OP_mul, centered, scale) : NULL;
    return scaled && node_bind(node, 0, emit_binary(node, OP_add, scaled, operands[2]));
}

// ---- experimental operators

static Value *emit_scaled(const Node *node, Value *value, double factor) {
    return value && factor != 1 ? emit_binary(node, OP_mul, value, emit_scalar(node, factor)) : value;
}

// alpha * x + beta
bool convert_affine(Node *node) {
    Value *value = emit_scaled(node, node_input(node, 0), node_float(node, "alpha", 1));
    double beta = node_float(node, "beta", 0);
    return node_bind(node, 0, value && beta != 0 ? emit_binary(node, OP_add, value, emit_scalar(node, beta)) : value);
}

bool convert_scale(Node *node) {
    return node_bind(node, 0, emit_scaled(node, node_input(node, 0), node_float(node, "scale", 1)));
}

// alpha * tanh(beta * x)
bool convert_scaled_tanh(Node *node) {
    Value *value = emit_scaled(node, node_input(node, 0), node_float(node, "beta", 1));
    value = value ? emit_unary(node, OP_tanh, value, NULL) : NULL;
    return node_bind(node, 0, emit_scaled(node, value, node_float(node, "alpha", 1)));
}

// alpha * ln(exp(beta * x) + 1)
bool convert_parametric_softplus(Node *node) {
    Value *value = emit_scaled(node, node_input(node, 0), node_float(node, "beta", 1));
    value = value ? emit_unary(node, OP_softplus, value, NULL) : NULL;
    return node_bind(node, 0, emit_scaled(node, value, node_float(node, "alpha", 1)));
}

// scale * x + bias, one bias a channel of an image.
bool convert_image_scaler(Node *node) {
    Value *value = emit_scaled(node, node_input(node, 0), node_float(node, "scale", 1));
    const Onnx__AttributeProto *bias = node_attr(node, "bias");
    if (!value || !bias)
        return node_bind(node, 0, value);
    const Type *type = value->type;
    if (type->rank != 4 || (int64_t)bias->n_floats != type->shape[1])
        return node_error(node, "its bias has %zu numbers, expected one a channel", bias->n_floats);
    Arena *scratch = node->importer->scratch;
    const Type *channels = type_tensor(scratch, ELEM_F32, 3, (int64_t[]){type->shape[1], 1, 1});
    const Dense *dense = dense_new(scratch, channels, bias->floats, false);
    return node_bind(node, 0, emit_binary(node, OP_add, value, emit_constant(node->importer, dense, false, NULL)));
}

// Cuts `border` (left, top, right, bottom) off, to the size `scale` (height, width) where that is given.
bool convert_crop(Node *node) {
    Value *input = node_input(node, 0);
    Ints border, scale;
    if (!input || !node_ints(node, "border", &border) || !node_ints(node, "scale", &scale))
        return false;
    if (input->type->rank != 4 || border.count != 4 || (scale.present && scale.count != 2))
        return node_error(node, "expected an image of 4 dimensions, a border of 4 numbers and a scale of 2");
    const int64_t *s = input->type->shape, *b = border.data;
    int64_t starts[4] = {0, 0, b[1], b[0]}, ends[4] = {s[0], s[1], s[2] - b[3], s[3] - b[2]};
    for (int i = 0; i < 2; i++) {
        if (scale.present)
            ends[2 + i] = starts[2 + i] + scale.data[i];
        if (starts[2 + i] < 0 || ends[2 + i] > s[2 + i] || starts[2 + i] > ends[2 + i])
            return node_error(node, "its border and scale lie outside the image");
    }
    Arena *arena = node->importer->arena;
    Attr *attrs = attr_ints(arena, NULL, "steps", 4, (int64_t[]){1, 1, 1, 1});
    attrs = attr_ints(arena, attr_ints(arena, attrs, "ends", 4, ends), "starts", 4, starts);
    return node_bind(node, 0, emit_unary(node, OP_slice, input, attrs));
}
