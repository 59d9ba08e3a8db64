// Weights with a zero point, as models of uint8 have them, rewritten exactly to weights without: fast kernels take no other.
// w - z is within [-255, 255]; what leaves [-127, 127] is the odd element. It is cut to that range, and the rest is the weight
// of a copy of the input's channel: x * (a + r) = x * a + x * r, in the same sum. Of depthwise convolutions the few channels that
// have such elements are computed apart.
#include <string.h>

#include "frontend/tflite/importer.h"

typedef struct {
    int8_t *near, *rest; // w - z = near + rest
    int64_t count, inner; // inner: of the last dimension
} Centered;

enum { MAX_APART = 8 };

// False where the weight is left as it is.
static bool center(const LiteOp *op, const Value *weight, Centered *c) {
    const Dense *dense = value_constant(weight);
    const Quant *quant = weight->type->quant;
    if (!dense || dense->splat || !quant || quant->axis >= 0 || !quant->zero_point[0] || !weight->type->rank) return false;
    *c = (Centered){.count = dense_count(dense), .inner = weight->type->shape[weight->type->rank - 1]};
    if (c->count > op->lite->constant_bytes_left / 4 || !lite_take_bytes(op->lite, 4 * c->count)) return false;
    c->near = arena_alloc(op->lite->scratch, (size_t)c->count + 1), c->rest = arena_alloc(op->lite->scratch, (size_t)c->count + 1);
    for (int64_t i = 0; i < c->count; i++) {
        int w = ((const int8_t *)dense->data)[i] - quant->zero_point[0], near = w > 127 ? 127 : w < -127 ? -127 : w;
        if (w - near > 127 || w - near < -127) return false;
        c->near[i] = (int8_t)near, c->rest[i] = (int8_t)(w - near);
    }
    return true;
}

// In place of `like`, whose name it takes where nothing else uses that.
static Value *centered_constant(const LiteOp *op, Value *like, int rank, const int64_t *shape, const int8_t *data) {
    Lite *lite = op->lite;
    if (like->name && !like->uses) {
        *map_get(lite->names, like->name) = NULL;
        like->name = NULL;
    }
    const Quant *quant = quant_per_tensor(lite->arena, ELEM_I8, like->type->quant->scale[0], 0);
    return lite_constant(lite, dense_new(lite->scratch, type_quantized(lite->arena, quant, rank, shape), data, false), false, lite_tensor(op, 1)->name);
}

static Value *channel_of(const LiteOp *op, Value *input, int64_t channel) {
    int64_t starts[MAX_RANK] = {0}, ends[MAX_RANK];
    int last = input->type->rank - 1;
    memcpy(ends, input->type->shape, sizeof(int64_t) * (size_t)(last + 1));
    starts[last] = channel, ends[last] = channel + 1;
    return lite_slice(op, input, starts, ends, NULL);
}

// Rows of `near`, each with what the channels of the list have left behind it.
static int8_t *widened(const LiteOp *op, const Centered *c, int64_t count, const int64_t *channels) {
    int64_t rows = c->count / c->inner, width = c->inner + count;
    int8_t *data = arena_alloc(op->lite->scratch, (size_t)(rows * width) + 1);
    for (int64_t row = 0; row < rows; row++) {
        memcpy(data + row * width, c->near + row * c->inner, (size_t)c->inner);
        for (int64_t i = 0; i < count; i++) data[row * width + c->inner + i] = c->rest[row * c->inner + channels[i]];
    }
    return data;
}

bool lite_center_product(const LiteOp *op, Value **input, Value **weight) {
    Centered c;
    if (!center(op, *weight, &c)) return true;
    const Type *type = (*weight)->type;
    int64_t *channels = ARENA_ARRAY(op->lite->scratch, int64_t, c.inner + 1), count = 0, shape[MAX_RANK];
    for (int64_t channel = 0; channel < c.inner; channel++) {
        int any = 0;
        for (int64_t i = channel; i < c.count; i += c.inner) any |= c.rest[i];
        if (any) channels[count++] = channel;
    }
    if (count > MAX_APART + c.inner / 8) return true;
    memcpy(shape, type->shape, sizeof(int64_t) * (size_t)type->rank);
    shape[type->rank - 1] += count;
    Value **parts = ARENA_ARRAY(op->lite->scratch, Value *, count + 1);
    parts[0] = *input;
    for (int64_t i = 0; i < count; i++)
        if (!(parts[1 + i] = channel_of(op, *input, channels[i]))) return false;
    *weight = centered_constant(op, *weight, type->rank, shape, widened(op, &c, count, channels));
    *input = lite_concat(op, (int)count + 1, parts, (*input)->type->rank - 1);
    return *input && *weight;
}

// The output channels, in order, of which some are computed apart.
typedef struct {
    const LiteOp *op;
    Value *const *operands;
    Attr *attrs; // of the windows and activation
    const Centered *c;
    int64_t taps, multiplier;
    const Quant *quant;
} Apart;

static Value *alone(const Apart *a, int64_t channel) {
    const LiteOp *op = a->op;
    int8_t *data = arena_alloc(op->lite->scratch, (size_t)(2 * a->taps) + 1);
    for (int64_t i = 0; i < a->taps; i++) data[2 * i] = a->c->near[channel * a->taps + i], data[2 * i + 1] = a->c->rest[channel * a->taps + i];
    const int64_t *s = a->operands[1]->type->shape, shape[] = {1, s[1], s[2], 2};
    Value *one = channel_of(op, a->operands[0], channel / a->multiplier), *twice = one ? lite_concat(op, 2, (Value *[]){one, one}, 3) : NULL;
    Value *operands[] = {twice, centered_constant(op, a->operands[1], 4, shape, data), NULL};
    if (a->operands[2] && !(operands[2] = lite_slice(op, a->operands[2], &channel, (int64_t[]){channel + 1}, NULL))) return NULL;
    return lite_emit_as(op, a->quant, OP_conv2d, operands[2] ? 3 : 2, operands, a->attrs);
}

static Value *range_of(const LiteOp *op, Value *value, int64_t from, int64_t to) {
    const int64_t *s = value->type->shape;
    return lite_slice(op, value, (int64_t[]){0, 0, 0, from}, (int64_t[]){s[0], s[1], s[2], to}, NULL);
}

Value *lite_center_depthwise(const LiteOp *op, Value *const *operands, Attr *attrs, int64_t group, const Quant *quant) {
    Centered c;
    int64_t channels[MAX_APART], count = 0, outputs = operands[1]->type->shape[0];
    if (!center(op, operands[1], &c) || !outputs || operands[1]->type->shape[3] != 1) return NULL;
    Apart a = {op, operands, attrs, &c, c.count / outputs, outputs / group, quant};
    for (int64_t channel = 0; channel < outputs; channel++) {
        int any = 0;
        for (int64_t i = 0; i < a.taps; i++) any |= c.rest[channel * a.taps + i];
        if (any && count == MAX_APART) return NULL;
        if (any) channels[count++] = channel;
    }
    Value *rest[] = {operands[0], centered_constant(op, operands[1], 4, operands[1]->type->shape, c.near), operands[2]};
    Value *value = lite_emit_as(op, quant, OP_conv2d, operands[2] ? 3 : 2, rest, attr_int(op->lite->arena, attrs, "group", group));
    Value *parts[2 * MAX_APART + 1];
    int part_count = 0;
    int64_t from = 0;
    for (int64_t i = 0; value && i < count; from = channels[i++] + 1) {
        if (channels[i] > from && !(parts[part_count++] = range_of(op, value, from, channels[i]))) return NULL;
        if (!(parts[part_count++] = alone(&a, channels[i]))) return NULL;
    }
    if (value && count && from < outputs && !(parts[part_count++] = range_of(op, value, from, outputs))) return NULL;
    return value && count ? lite_concat(op, part_count, parts, 3) : value;
}
