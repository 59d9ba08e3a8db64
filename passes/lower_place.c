// Where values lie within others, so that nothing is copied: a concat's operand is computed in its part of the result, a
// slice is read in its operand's memory. Both take parts that strides describe: channels of images, whole images, rows of a
// single one; of other tensors what lies together. Decided before lowering, from the last op to the first.
#include "passes/lower.h"

// Ops whose kernels write through strides, and so can leave a halo around their result, or others' channels between pixels.
bool writes_strided(const Op *op) {
    switch (op->kind) {
    case OP_conv2d: case OP_max_pool2d: case OP_avg_pool2d:
    case OP_quantize: case OP_dequantize: case OP_requantize: case OP_fake_quant: case OP_transpose: case OP_slice:
    case OP_pad: case OP_concat: case OP_broadcast_to: case OP_lookup: return true;
    case OP_reshape: return is_joined_move(op);
    default: return op_has(op, ELEMENTWISE);
    }
}

static bool reads_strided(const Op *op) {
    return writes_strided(op) || op->kind == OP_reduce_mean || op->kind == OP_return;
}

static bool all_read_strided(const Value *value) {
    for (const Use *use = value->uses; use; use = use->next)
        if (!reads_strided(use->owner)) return false;
    return true;
}

static bool is_sum(const Lower *lower, const Op *op) { return is_quantized_binary(op) && !is_byte_function(lower, &op->results[0]); }

// 8-bit sums and the like take vectors of 64 bytes along a run: where runs of few channels would fill less than half of them, a
// copy takes less time.
static bool wastes_vectors(const Lower *lower, const Value *value, int64_t axis) {
    enum { LANES = 64 };
    const int64_t channels = value->type->rank == 4 && axis == 3 ? value->type->shape[3] : 0;
    if (!channels || 2 * channels > (channels + LANES - 1) / LANES * LANES) return false;
    bool sum = value->def && is_sum(lower, value->def);
    for (const Use *use = value->uses; use && !sum; use = use->next) sum = is_sum(lower, use->owner);
    return sum;
}

static bool has_halo(const int32_t halo[4]) { return halo[0] | halo[1] | halo[2] | halo[3]; }

// Is a part along `axis` one that strides describe?
static bool is_part(const Type *whole, int64_t axis) {
    if (whole->rank == 4 && (axis == 0 || axis == 3)) return true;
    if (whole->rank == 4 && axis != 1) return false;
    for (int64_t i = 0; i < axis; i++)
        if (whole->shape[i] != 1) return false;
    return true;
}

// Parts along these have the whole's halo.
static bool shares_halo(const Type *whole, int64_t axis) { return whole->rank == 4 && axis != 1; }

static bool can_have_halo(Lower *lower, const Value *value) {
    const Lowered *lowered = lowered_get(lower, value);
    if (lowered->buffer || value->type->rank != 4) return false;
    if (lowered->whole) return shares_halo(lowered->whole->type, lowered->axis) && can_have_halo(lower, lowered->whole);
    return value->def && writes_strided(value->def);
}

// Can the value lie in `whole`? Then what it needs around it, that has.
static bool make_room(Lower *lower, const Value *value, Value *whole, int64_t axis) {
    const int32_t *halo = lowered_get(lower, value)->halo;
    if (!has_halo(halo)) return true;
    if (!shares_halo(whole->type, axis) || !can_have_halo(lower, whole)) return false;
    while (lowered_get(lower, whole)->whole) whole = lowered_get(lower, whole)->whole;
    int32_t *wanted = lowered_get(lower, whole)->halo;
    for (int i = 0; i < 4; i++)
        if (halo[i] > wanted[i]) wanted[i] = halo[i];
    return true;
}

static void place(Lower *lower, Value *value, Value *whole, int64_t axis, int64_t from) {
    Lowered *lowered = lowered_get(lower, value);
    lowered->whole = whole;
    lowered->axis = (int)axis;
    lowered->from = from;
}

static bool is_free(Lower *lower, const Value *value) {
    const Lowered *lowered = lowered_get(lower, value);
    return !lowered->buffer && !lowered->whole && type_elem_count(value->type);
}

// ---- concat

static bool can_be_computed_in(Lower *lower, const Value *value, Value *result, int64_t axis) {
    if (!value->def || value->def->kind == OP_constant || !is_free(lower, value)) return false;
    const Type *type = value->type;
    if (type->elem != result->type->elem || !quant_equal(type->quant, result->type->quant)) return false;
    if (type->rank == 4 && (!writes_strided(value->def) || !all_read_strided(value))) return false;
    if (wastes_vectors(lower, value, axis)) return false;
    if (lowered_get(lower, result)->buffer && !value_has_one_use(value)) return false; // the caller's memory: not to be read
    return make_room(lower, value, result, axis);
}

static void place_operands(Lower *lower, Op *op) {
    concat_view concat = as_concat(op);
    int64_t axis = concat.axis < 0 ? concat.axis + concat.output->type->rank : concat.axis, from = 0;
    if (!is_part(concat.output->type, axis)) return;
    for (int i = 0; i < concat.inputs.count; i++) {
        Value *value = concat.inputs.uses[i].value;
        if (can_be_computed_in(lower, value, concat.output, axis)) place(lower, value, concat.output, axis, from);
        from += value->type->shape[axis];
    }
}

// ---- reshape

// What a reshape reads is computed where the result has a place, or else the result has none: it is a view. Another reshape's
// result is no such value: nothing is computed there.
static void place_reshaped(Lower *lower, Op *op) {
    Value *value = op_operand(op, 0), *result = &op->results[0];
    if (!lowered_get(lower, result)->whole) return;
    bool good = value->def && value->def->kind != OP_constant && value_has_one_use(value) && is_free(lower, value);
    good = good && (value->def->kind != OP_reshape || is_joined_move(value->def));
    good = good && !has_halo(lowered_get(lower, value)->halo);
    if (good) place(lower, value, result, -1, 0);
    else lowered_get(lower, result)->whole = NULL;
}

// ---- slice

// The one axis that a slice is shorter along; -1: none or several, or not every element between.
static int sliced_axis(const Op *op) {
    slice_view slice = as_slice(op);
    int axis = -1;
    for (int i = 0; i < slice.output->type->rank; i++) {
        if (slice.output->type->shape[i] == slice.input->type->shape[i] && int_at(slice.steps, i) == 1) continue;
        if (axis >= 0 || int_at(slice.steps, i) != 1) return -1;
        axis = i;
    }
    return axis;
}

// Rows of a single image that the caller brings lie together: also kernels that read no strides read them there.
static bool are_rows_of_input(const Value *input, int axis) { return !input->def && axis == 1 && input->type->shape[0] == 1; }

static void place_slice(Lower *lower, Op *op) {
    Value *input = op_operand(op, 0), *result = &op->results[0];
    const int axis = sliced_axis(op);
    if (axis < 0 || !is_part(input->type, axis) || !is_free(lower, result) || value_constant(input)) return;
    if (wastes_vectors(lower, result, axis)) return;
    bool reads = input->type->rank != 4 || all_read_strided(result) || are_rows_of_input(input, axis);
    if (!reads || !make_room(lower, result, input, axis)) return;
    place(lower, result, input, axis, int_at(as_slice(op).starts, axis));
}

void plan_places(Lower *lower) {
    if (lower->context->bounded || lower->context->watched) return; // what lies together hangs on sizes
    for (Op *op = lower->from->last; op; op = op->prev) {
        if (op->kind == OP_concat) place_operands(lower, op);
        if (op->kind == OP_reshape && !is_joined_move(op)) place_reshaped(lower, op);
        if (op->kind == OP_slice) place_slice(lower, op);
    }
}

// ---- buffers

Value *part_buffer(Lower *lower, const Value *value) {
    const Lowered *lowered = lowered_get(lower, value);
    Value *whole = result_buffer(lower, lowered->whole);
    const Type *type = whole->type;
    if (lowered->axis < 0) return buffer_view(lower, whole, type_buffer(lower->arena, value->type, type->elem, NULL), 0);
    int64_t strides[MAX_RANK];
    int32_t halo[4] = {0, type->halo[1], 0, type->halo[3]};
    if (shares_halo(type, lowered->axis)) memcpy(halo, type->halo, sizeof halo);
    buffer_strides(type, strides);
    const int64_t bytes = lowered->from * strides[lowered->axis] * (elem_bits(type->elem) / 8);
    return buffer_view(lower, whole, type_buffer_part(lower->arena, type, value->type, halo), bytes);
}

Layout layout_of(Lower *lower, const Value *value) {
    const Lowered *lowered = lowered_get(lower, value);
    Layout layout = {.pixel = value->type->rank == 4 ? value->type->shape[3] : 0};
    if (lowered->buffer) {
        memcpy(layout.halo, lowered->buffer->type->halo, sizeof layout.halo);
        if (value->type->rank == 4) layout.pixel = buffer_pixel(lowered->buffer->type);
        return layout;
    }
    if (!lowered->whole) {
        memcpy(layout.halo, lowered->halo, sizeof layout.halo);
        return layout;
    }
    if (lowered->axis < 0) return layout;
    layout = layout_of(lower, lowered->whole);
    if (!shares_halo(lowered->whole->type, lowered->axis)) layout.halo[0] = layout.halo[2] = 0;
    return layout;
}
