// Weights with a zero point, as models of uint8 have them, rewritten exactly to weights without: fast kernels take no other.
// w - z is within [-255, 255]; what leaves i8 is the odd element. It is cut to that range, and the rest is the weight of a copy of
// the input's channel: x * (a + r) = x * a + x * r, in the same sum. Of depthwise convolutions the few channels that have such
// elements are computed apart. Where there are too many of them, or groups, weights stay as they are.
#include "passes/rewrite.h"

enum { MAX_APART = 8 };

typedef struct {
    Op *op; // conv2d or linear
    const PassContext *context;
    int8_t *near, *rest; // w - z = near + rest
    int64_t count, inner, rows; // inner: of the last dimension
    int64_t *apart, apart_count; // input channels that have a rest; of depthwise convolutions output channels
} Centered;

static Arena *arena_of(const Centered *c) { return c->op->func->module->arena; }

static bool has_zero_points(const Quant *quant) {
    for (int i = 0; quant && i < quant->count; i++)
        if (quant->zero_point[i]) return true;
    return false;
}

// False where the weight is left as it is.
static bool center(Centered *c) {
    const Value *weight = op_operand(c->op, 1);
    const Dense *dense = value_constant(weight);
    const Quant *quant = weight->type->quant;
    if (type_is_sums(c->op->results[0].type) || !dense || dense->splat || !has_zero_points(quant) || quant->storage != ELEM_I8 || quant->axis > 0) return false;
    c->count = type_elem_count(weight->type), c->inner = weight->type->shape[weight->type->rank - 1];
    if (!c->count) return false;
    c->rows = c->count / c->inner;
    c->near = arena_alloc(arena_of(c), (size_t)c->count + 1), c->rest = arena_alloc(c->context->scratch, (size_t)c->count + 1);
    const int64_t each = c->count / weight->type->shape[0];
    for (int64_t i = 0; i < c->count; i++) {
        int w = ((const int8_t *)dense->data)[i] - quant->zero_point[quant->axis < 0 ? 0 : i / each];
        int near = w > 127 ? 127 : w < -128 ? -128 : w;
        if (w - near > 127) return false;
        c->near[i] = (int8_t)near, c->rest[i] = (int8_t)(w - near);
    }
    return true;
}

// Those of `count` channels that have a rest: of each `each` elements `step` apart, beginning at `first` times its number.
static void find_apart(Centered *c, int64_t count, int64_t first, int64_t step, int64_t each) {
    c->apart = ARENA_ARRAY(c->context->scratch, int64_t, count + 1);
    for (int64_t channel = 0; channel < count; channel++) {
        int any = 0;
        for (int64_t i = 0; i < each; i++) any |= c->rest[channel * first + i * step];
        if (any) c->apart[c->apart_count++] = channel;
    }
}

// The scales of `count` output channels from `first` on.
static const Quant *scales_of(const Centered *c, int64_t first, int64_t count) {
    const Quant *own = op_operand(c->op, 1)->type->quant;
    const bool one = own->axis < 0;
    return quant_per_axis(arena_of(c), ELEM_I8, one ? -1 : 0, one ? 1 : (int)count, own->scale + (one ? 0 : first), NULL, -128, 127);
}

static Value *new_weight(const Centered *c, const Quant *quant, int rank, const int64_t *shape, const int8_t *data, const char *name) {
    Builder builder = builder_before(c->op);
    Value *value = op_constant(&builder, type_quantized(arena_of(c), quant, rank, shape), data, NULL);
    if (name) value_set_name(value, name);
    return value;
}

static void set_weight(const Centered *c, int64_t inner, const int8_t *data) {
    Value *old = op_operand(c->op, 1);
    int64_t shape[MAX_RANK];
    memcpy(shape, old->type->shape, sizeof(int64_t) * (size_t)old->type->rank);
    shape[old->type->rank - 1] = inner;
    const char *name = take_constant_name(old);
    op_set_operand(c->op, 1, new_weight(c, scales_of(c, 0, shape[0]), old->type->rank, shape, data, name));
}

static Value *part_of(const Centered *c, Value *value, int64_t from, int64_t to) {
    int64_t starts[MAX_RANK] = {0}, ends[MAX_RANK];
    const int last = value->type->rank - 1;
    memcpy(ends, value->type->shape, sizeof(int64_t) * (size_t)(last + 1));
    starts[last] = from, ends[last] = to;
    Attr *attrs = attr_ints(arena_of(c), attr_ints(arena_of(c), NULL, "ends", last + 1, ends), "starts", last + 1, starts);
    Builder builder = builder_before(c->op);
    return &op_new(&builder, OP_slice, 1, &value, 1, NULL, attrs)->results[0];
}

static Value *joined(const Centered *c, int count, Value *const *parts) {
    const Type *type = parts[0]->type;
    const int last = type->rank - 1;
    int64_t shape[MAX_RANK];
    memcpy(shape, type->shape, sizeof(int64_t) * (size_t)type->rank);
    for (int i = 1; i < count; i++) shape[last] += parts[i]->type->shape[last];
    Builder builder = builder_before(c->op);
    const Type *whole = type_quantized(arena_of(c), type->quant, type->rank, shape);
    return &op_new(&builder, OP_concat, count, parts, 1, &whole, attr_int(arena_of(c), NULL, "axis", last))->results[0];
}

// ---- products of all input channels

// Rows of `near`, each with what the channels apart have left behind it; the input has copies of these channels there.
static void widen(const Centered *c) {
    const int64_t width = c->inner + c->apart_count;
    int8_t *data = arena_alloc(arena_of(c), (size_t)(c->rows * width) + 1);
    for (int64_t row = 0; row < c->rows; row++) {
        memcpy(data + row * width, c->near + row * c->inner, (size_t)c->inner);
        for (int64_t i = 0; i < c->apart_count; i++) data[row * width + c->inner + i] = c->rest[row * c->inner + c->apart[i]];
    }
    Value **parts = ARENA_ARRAY(c->context->scratch, Value *, c->apart_count + 1), *input = op_operand(c->op, 0);
    parts[0] = input;
    for (int64_t i = 0; i < c->apart_count; i++) parts[1 + i] = part_of(c, input, c->apart[i], c->apart[i] + 1);
    op_set_operand(c->op, 0, joined(c, (int)c->apart_count + 1, parts));
    set_weight(c, width, data);
}

// ---- depthwise convolutions

// Those of the op, but that it has one group.
static Attr *ungrouped(const Centered *c) {
    Attr *attrs = NULL, **end = &attrs;
    for (const Attr *attr = c->op->attrs; attr; attr = attr->next) {
        if (!strcmp(attr->name, "group")) continue;
        *end = arena_copy(arena_of(c), attr, sizeof *attr);
        end = &(*end)->next;
    }
    *end = NULL;
    return attrs;
}

// One output channel, of two copies of its input channel.
static Value *alone(const Centered *c, int64_t channel, int64_t multiplier) {
    const Value *weight = op_operand(c->op, 1);
    const int64_t *s = weight->type->shape, taps = c->count / s[0], shape[] = {1, s[1], s[2], 2};
    int8_t *data = arena_alloc(arena_of(c), (size_t)(2 * taps) + 1);
    for (int64_t i = 0; i < taps; i++) data[2 * i] = c->near[channel * taps + i], data[2 * i + 1] = c->rest[channel * taps + i];
    Value *one = part_of(c, op_operand(c->op, 0), channel / multiplier, channel / multiplier + 1), *bias = op_operand(c->op, 2);
    Value *operands[] = {joined(c, 2, (Value *[]){one, one}), new_weight(c, scales_of(c, channel, 1), 4, shape, data, weight->name),
                         bias ? part_of(c, bias, channel, channel + 1) : NULL};
    const Type *type = c->op->results[0].type;
    const int64_t *out = type->shape;
    type = type_with_shape(arena_of(c), type, 4, (int64_t[]){out[0], out[1], out[2], 1});
    Builder builder = builder_before(c->op);
    Op *made = op_new(&builder, OP_conv2d, bias ? 3 : 2, operands, 1, &type, ungrouped(c));
    return &made->results[0];
}

static void compute_apart(Centered *c, int64_t multiplier) {
    Op *op = c->op;
    Value *result = &op->results[0], *parts[2 * MAX_APART + 1], *singles[MAX_APART];
    const int64_t outputs = result->type->shape[3];
    for (int64_t i = 0; i < c->apart_count; i++) singles[i] = alone(c, c->apart[i], multiplier);
    set_weight(c, 1, c->near);
    Builder builder = builder_before(op);
    Value *rest = &op_new(&builder, OP_conv2d, op->operand_count, (Value *[]){op_operand(op, 0), op_operand(op, 1), op_operand(op, 2)}, 1, &result->type, op->attrs)->results[0];
    int count = 0;
    int64_t from = 0;
    for (int64_t i = 0; i < c->apart_count; from = c->apart[i++] + 1) {
        if (c->apart[i] > from) parts[count++] = part_of(c, rest, from, c->apart[i]);
        parts[count++] = singles[i];
    }
    if (from < outputs) parts[count++] = part_of(c, rest, from, outputs);
    absorb(op, joined(c, count, parts));
}

// ---- the pass

static void center_op(Op *op, const PassContext *context) {
    Centered c = {.op = op, .context = context};
    const int64_t group = op->kind == OP_conv2d ? as_conv2d(op).group : 1, outputs = op_operand(op, 1)->type->shape[0];
    if (!op_operand(op, 0)->type->quant || !center(&c)) return;
    if (group == 1) find_apart(&c, c.inner, 1, c.inner, c.rows);
    else find_apart(&c, outputs, c.count / outputs, 1, c.count / outputs);
    if (!c.apart_count) set_weight(&c, c.inner, c.near);
    else if (group == 1 && c.apart_count <= MAX_APART + c.inner / 8) widen(&c);
    else if (group > 1 && c.inner == 1 && c.apart_count <= MAX_APART) compute_apart(&c, outputs / group);
}

bool center_weights(Module *module, const PassContext *context) {
    for (Func *func = module->funcs; func; func = func->next)
        FOR_EACH_OP(func, op)
            if (op->kind == OP_conv2d || op->kind == OP_linear) center_op(op, context);
    return true;
}
