// Ops that move data: strided copies, views, gather; and casts.
#include "ir/eval.h"
#include "passes/lower.h"
#include "runtime/rounding.h"

static int elem_bytes(const Value *buffer) { return elem_bits(buffer->type->elem) / 8; }

bool is_joined_move(const Op *op) {
    if (op->kind != OP_reshape) return false;
    const Value *moved = op_operand(op, 0);
    const Type *from = moved->type, *to = op->results[0].type;
    if (!moved->def || (moved->def->kind != OP_transpose && moved->def->kind != OP_broadcast_to)) return false;
    if (!value_has_one_use(moved) || !type_elem_count(from)) return false;
    int i = 0;
    for (int j = 0; j < to->rank; j++) {
        int64_t size = 1;
        while (i < from->rank && size * from->shape[i] <= to->shape[j]) size *= from->shape[i++];
        if (size != to->shape[j]) return false;
    }
    return i == from->rank;
}

// The op before writes where the reshape's result lies, of whose dimensions it has the parts.
static void copy_joined(Lower *lower, const Op *op) {
    const Type *from = op_operand(op, 0)->type, *to = op->results[0].type;
    Value *out = result_buffer(lower, &op->results[0]);
    const Type *types[] = {from, from};
    Walk walk = walk_new(from, 2, types);
    int64_t strides[MAX_RANK];
    buffer_strides(out->type, strides);
    for (int i = from->rank - 1, j = to->rank - 1; j >= 0; j--) {
        int64_t stride = strides[j];
        for (int64_t size = 1; i >= 0 && size * from->shape[i] <= to->shape[j]; i--) {
            walk.strides[1][i] = stride;
            size *= from->shape[i], stride *= from->shape[i];
        }
    }
    Value *in = moved_operand(lower, op_operand(op, 0)->def, &walk);
    emit_copy(lower, &walk, elem_bytes(out), 0, in, out);
}

// A reshape of dense memory is a view of it.
void lower_reshape(Lower *lower, Op *op) {
    reshape_view reshape = as_reshape(op);
    if (is_joined_move(op)) {
        copy_joined(lower, op);
        return;
    }
    if (lowered_get(lower, reshape.input)->whole == reshape.output) return; // computed in its place
    Value *in = operand_dense(lower, reshape.input);
    const Type *type = type_buffer(lower->arena, reshape.output->type, in->type->elem, NULL);
    result_is(lower, reshape.output, buffer_view(lower, in, type, 0));
}

// The same bytes under another element type.
void lower_bit_cast(Lower *lower, Op *op) {
    Value *in = operand_any(lower, op_operand(op, 0)), *out = result_buffer(lower, &op->results[0]);
    const Type *types[] = {in->type, out->type};
    Walk walk = walk_new(op->results[0].type, 2, types);
    emit_copy(lower, &walk, elem_bytes(out), 0, in, out);
}

bool is_read_through(const Lower *lower, const Value *value) {
    if (!value->def) return false;
    if (value->uses && !value->uses->next && is_joined_move(value->uses->owner)) return true;
    if (value->def->kind != OP_transpose && value->def->kind != OP_slice) return false;
    FOR_EACH_USE((Value *)value, use)
        if ((use->owner->kind != OP_quantize && use->owner->kind != OP_dequantize) || is_read_by_order(lower, &use->owner->results[0])) return false;
    return true;
}

Value *moved_operand(Lower *lower, const Op *op, Walk *walk) {
    Value *in = operand_any(lower, op_operand(op, 0));
    int64_t strides[MAX_RANK], offset = 0;
    buffer_strides(in->type, strides);
    if (op->kind == OP_transpose) {
        IntList perm = as_transpose(op).perm;
        for (int i = 0; i < perm.count; i++) walk->strides[0][i] = strides[perm.data[i]];
        return in;
    }
    if (op->kind == OP_broadcast_to) {
        const Type *types[] = {in->type};
        const Walk repeated = walk_new(op->results[0].type, 1, types);
        memcpy(walk->strides[0], repeated.strides[0], sizeof walk->strides[0]);
        return in;
    }
    slice_view slice = as_slice(op);
    for (int i = 0; i < walk->rank; i++) {
        walk->strides[0][i] = strides[i] * int_at(slice.steps, i);
        offset += strides[i] * int_at(slice.starts, i);
    }
    return buffer_view(lower, in, in->type, offset * elem_bytes(in));
}

void copy_moved(Lower *lower, const Op *op) {
    Value *out = result_buffer(lower, &op->results[0]);
    if (!type_elem_count(op->results[0].type)) return;
    const Type *types[] = {out->type, out->type};
    Walk walk = walk_new(op->results[0].type, 2, types);
    Value *in = moved_operand(lower, op, &walk);
    emit_copy(lower, &walk, elem_bytes(out), 0, in, out);
}

void lower_move(Lower *lower, Op *op) {
    Value *result = &op->results[0];
    if (lowered_get(lower, result)->whole == op_operand(op, 0)) result_buffer(lower, result); // a part of its operand's memory
    else if (!is_read_through(lower, result)) copy_moved(lower, op);
}

// ---- pad

// The element that stands for the padding's value, as it is stored.
static uint64_t stored_value(const Lower *lower, const Type *type, double value) {
    if (type->quant) {
        const Quant *q = type->quant;
        int32_t stored = qn_quantize((float)value, q->scale[0], q->zero_point[0], q->storage_min, q->storage_max);
        return (uint64_t)(uint32_t)stored ^ (uint64_t)(type->elem == ELEM_I8 ? lower->flip : 0);
    }
    Arena *arena = lower->context->scratch;
    Tensor one = tensor_new(arena, type_tensor(arena, type->elem, 0, NULL));
    tensor_set_f64(&one, 0, value);
    uint64_t bits = 0;
    memcpy(&bits, one.data, (size_t)elem_bits(type->elem) / 8);
    return bits;
}

static void emit_fill(Lower *lower, Value *out, const Type *tensor, uint64_t bits) {
    static const char *const names[] = {"out"};
    const Type *types[] = {out->type};
    Walk walk = walk_new(tensor, 1, types);
    KernelArgs args;
    args_begin(&args, "fill");
    if (!walk_args(&walk, &args, names)) BUG("fill of a buffer that is not dense");
    args_int(&args, "elem_bytes", elem_bytes(out));
    args_int(&args, "value_lo", (int32_t)(uint32_t)bits);
    args_int(&args, "value_hi", (int32_t)(uint32_t)(bits >> 32));
    emit_kernel(lower, "any", "any", &args, 1, &out);
}

void lower_pad(Lower *lower, Op *op) {
    pad_view pad = as_pad(op);
    Value *in = operand_any(lower, pad.input), *out = result_buffer(lower, pad.output);
    const Type *type = pad.output->type;
    emit_fill(lower, out, type, stored_value(lower, type, pad.value));
    int64_t in_strides[MAX_RANK], out_strides[MAX_RANK], in_offset = 0, out_offset = 0;
    Walk walk = {.rank = type->rank, .count = 2};
    buffer_strides(in->type, in_strides);
    buffer_strides(out->type, out_strides);
    for (int i = 0; i < type->rank; i++) { // what is left of the input, negative pads cropped
        int64_t low = int_at(pad.low, i), high = int_at(pad.high, i);
        walk.shape[i] = pad.input->type->shape[i] + (low < 0 ? low : 0) + (high < 0 ? high : 0);
        if (walk.shape[i] <= 0) return;
        in_offset += in_strides[i] * (low < 0 ? -low : 0);
        out_offset += out_strides[i] * (low > 0 ? low : 0);
        walk.strides[0][i] = in_strides[i];
        walk.strides[1][i] = out_strides[i];
    }
    emit_copy(lower, &walk, elem_bytes(out), 0, buffer_view(lower, in, in->type, in_offset * elem_bytes(in)),
              buffer_view(lower, out, out->type, out_offset * elem_bytes(out)));
}

// ---- gather, cast

void lower_gather(Lower *lower, Op *op) {
    gather_view gather = as_gather(op);
    const Type *type = gather.input->type, *index = gather.indices->type;
    int64_t axis = gather.axis < 0 ? gather.axis + type->rank : gather.axis, outer = 1, inner = 1;
    for (int i = 0; i < type->rank; i++) {
        if (i < axis) outer *= type->shape[i];
        if (i > axis) inner *= type->shape[i];
    }
    Value *in = operand_dense(lower, gather.input), *indices = operand_dense(lower, gather.indices);
    int64_t count = type_elem_count(index);
    KernelArgs args;
    args_begin(&args, "gather");
    args_int(&args, "rows", outer * count);
    args_int(&args, "size", type->shape[axis]);
    args_int(&args, "count", count);
    args_int(&args, "inner_bytes", inner * elem_bytes(in));
    args_int(&args, "index_bytes", elem_bits(index->elem) / 8);
    Value *buffers[] = {in, indices, result_buffer(lower, gather.output)};
    emit_kernel(lower, "any", "any", &args, 3, buffers);
}

static int cast_elem(Elem elem) {
    switch (elem) {
    case ELEM_F32: return QN_E_F32;
    case ELEM_F64: return QN_E_F64;
    case ELEM_F16: return QN_E_F16;
    case ELEM_BF16: return QN_E_BF16;
    case ELEM_I64: return QN_E_I64;
    case ELEM_I32: return QN_E_I32;
    case ELEM_I16: return QN_E_I16;
    case ELEM_I8: return QN_E_I8;
    case ELEM_U64: return QN_E_U64;
    case ELEM_U32: return QN_E_U32;
    case ELEM_U16: return QN_E_U16;
    case ELEM_U8: return QN_E_U8;
    case ELEM_I1: return QN_E_I1;
    default: return -1;
    }
}

void lower_cast(Lower *lower, Op *op) {
    cast_view cast = as_cast(op);
    int from = cast_elem(cast.input->type->elem), to = cast_elem(cast.output->type->elem);
    if (from < 0 || to < 0) {
        lower->failed = true;
        diag_error(lower->context->diag, op->loc, "cast from %s to %s has no kernel", elem_name(cast.input->type->elem),
                   elem_name(cast.output->type->elem));
        return;
    }
    KernelArgs args;
    args_begin(&args, "cast");
    args_int(&args, "rows", type_elem_count(cast.output->type));
    args_int(&args, "from", from);
    args_int(&args, "to", to);
    Value *buffers[] = {operand_dense(lower, cast.input), result_buffer(lower, cast.output)};
    emit_kernel(lower, "any", "any", &args, 2, buffers);
}
