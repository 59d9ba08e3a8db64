// The reference interpreter: running a function, and one op. The meaning of each op is eval_<op> in eval_<family>.c.
// Guarantees: results are quantized where quantized ops need them; memory in use is that of the values still to be
// read, each freed after its last use.
#include "ir/eval.h"

#include <stdint.h>
#include <string.h>

#include "ir/eval_common.h"

// ---- one op

static bool check_same_shape(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    if (type_same_shape(operands[0]->type, results[0]->type)) return true;
    return eval_fail(diag, op, "operand and result have different shapes");
}

// Computed quantized results have one scale, and are quantized exactly when the operands are.
static bool check_quantization(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    if (!op->result_count || !op->operand_count || op->kind == OP_lookup) return true; // a lookup's result is of the table's type
    const Quant *in = operands[0]->type->quant, *out = results[0]->type->quant;
    if (op->kind == OP_quantize || op->kind == OP_requantize || op->kind == OP_dequantize) {
        if (!in != (op->kind == OP_quantize) || !out != (op->kind == OP_dequantize))
            return eval_fail(diag, op, "operand and result are not quantized as this op needs");
        return check_same_shape(diag, op, operands, results);
    }
    if (!in != !out) return eval_fail(diag, op, "one of operand and result is quantized and the other is not");
    if (!out) return true;
    if (!op_has(op, INT8)) return eval_fail(diag, op, "this op has no quantized form");
    if (op_has(op, MOVES_DATA))
        return in->storage == out->storage || eval_fail(diag, op, "operand and result are stored differently");
    if (op->kind == OP_add && type_is_sums(operands[0]->type)) in = operands[1]->type->quant;
    if ((op->kind == OP_conv2d || op->kind == OP_linear) && type_is_sums(results[0]->type)) out = in;
    if (out->axis >= 0) return eval_fail(diag, op, "result is quantized along an axis, expected one scale");
    if (elem_bits(out->storage) > 16 || elem_bits(in->storage) > 16)
        return eval_fail(diag, op, "operand or result is stored in more than 16 bits");
    return true;
}

bool eval_op(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    const OpInfo *info = op_info(op->kind);
    if (!info->eval) return eval_fail(diag, op, "belongs to a program of one target, which the interpreter does not run");
    return check_quantization(diag, op, operands, results) && info->eval(diag, op, operands, results);
}

bool eval_fail(Diag *diag, const Op *op, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return diag_error(diag, op->loc, "%s: %s", op_info(op->kind)->full_name, text);
}

// ---- one function

// A value's tensor and the memory that is freed with it.
typedef struct {
    const Value *value;
    Tensor tensor;
    Arena *memory;
    int uses_left;
} Slot;

typedef struct {
    Slot *slots; // open addressing; size a power of two, at most half full
    size_t size;
} Frame;

static Slot *frame_slot(const Frame *frame, const Value *value) {
    size_t mask = frame->size - 1, at = ((uintptr_t)value >> 4) * 0x9E3779B97F4A7C15u & mask;
    while (frame->slots[at].value && frame->slots[at].value != value) at = (at + 1) & mask;
    return &frame->slots[at];
}

static void frame_define(const Frame *frame, const Value *value) {
    Slot *slot = frame_slot(frame, value);
    slot->value = value;
    slot->uses_left = value_use_count(value);
}

static Frame frame_new(Arena *arena, const Func *func) {
    size_t count = (size_t)func->arg_count, size = 16;
    FOR_EACH_OP(func, op) count += (size_t)op->result_count;
    while (size < 2 * count) size *= 2;
    Frame frame = {ARENA_ARRAY(arena, Slot, size), size};
    for (int i = 0; i < func->arg_count; i++) frame_define(&frame, &func->args[i]);
    FOR_EACH_OP(func, op)
        for (int i = 0; i < op->result_count; i++) frame_define(&frame, &op->results[i]);
    return frame;
}

static void slot_free(Slot *slot) {
    arena_free(slot->memory);
    slot->memory = NULL;
    slot->tensor.data = NULL;
}

static void frame_free(const Frame *frame) {
    for (size_t i = 0; i < frame->size; i++)
        if (frame->slots[i].memory) slot_free(&frame->slots[i]);
}

// A constant's own bytes where they are aligned, else a copy, with a splat spelled out.
static void load_constant(Slot *slot, const Dense *dense) {
    size_t bytes = type_bytes(slot->value->type);
    BUG_UNLESS(dense->splat || dense->bytes >= bytes, "constant of %zu bytes has %zu", bytes, dense->bytes);
    slot->tensor.type = slot->value->type;
    slot->tensor.data = (void *)dense->data;
    if (!dense->splat && !((uintptr_t)dense->data & 7)) return;
    slot->memory = arena_new();
    slot->tensor = tensor_new(slot->memory, slot->value->type);
    if (!dense->splat) memcpy(slot->tensor.data, dense->data, bytes);
    else {
        Tensor element = {dense->type, (void *)dense->data};
        int64_t count = type_elem_count(slot->tensor.type);
        for (int64_t i = 0; i < count; i++) copy_elems(&slot->tensor, i, &element, 0, 1);
    }
}

static bool run_op(Diag *diag, const Frame *frame, const Op *op) {
    Arena *scratch = arena_new();
    const Tensor **operands = ARENA_ARRAY(scratch, const Tensor *, op->operand_count);
    Tensor **results = ARENA_ARRAY(scratch, Tensor *, op->result_count);
    for (int i = 0; i < op->operand_count; i++)
        if (op_operand(op, i)) operands[i] = &frame_slot(frame, op_operand(op, i))->tensor;
    for (int i = 0; i < op->result_count; i++) {
        Slot *slot = frame_slot(frame, &op->results[i]);
        slot->memory = arena_new();
        slot->tensor = tensor_new(slot->memory, op->results[i].type);
        results[i] = &slot->tensor;
    }
    bool done = eval_op(diag, op, operands, results);
    arena_free(scratch);
    return done;
}

static void release_operands(const Frame *frame, const Op *op) {
    for (int i = 0; i < op->operand_count; i++) {
        if (!op_operand(op, i)) continue;
        Slot *slot = frame_slot(frame, op_operand(op, i));
        if (!--slot->uses_left) slot_free(slot);
    }
    for (int i = 0; i < op->result_count; i++) {
        Slot *slot = frame_slot(frame, &op->results[i]);
        if (!slot->uses_left) slot_free(slot);
    }
}

static void copy_outputs(Arena *arena, const Frame *frame, const Op *ret, Tensor *outputs) {
    for (int i = 0; i < ret->operand_count; i++) {
        const Tensor *from = &frame_slot(frame, op_operand(ret, i))->tensor;
        outputs[i].type = from->type;
        outputs[i].data = arena_copy(arena, from->data, type_bytes(from->type));
    }
}

bool eval_func(Diag *diag, Arena *arena, const Func *func, const Tensor *inputs, Tensor *outputs, EvalTap *tap,
               void *context) {
    Arena *scratch = arena_new();
    Frame frame = frame_new(scratch, func);
    for (int i = 0; i < func->arg_count; i++) {
        frame_slot(&frame, &func->args[i])->tensor = (Tensor){func->args[i].type, inputs[i].data};
        if (tap) tap(context, &func->args[i], &frame_slot(&frame, &func->args[i])->tensor);
    }
    bool done = true;
    FOR_EACH_OP(func, op) {
        if (op->kind == OP_constant) {
            load_constant(frame_slot(&frame, &op->results[0]), as_constant(op).value);
            continue;
        }
        if (op->kind == OP_return) {
            copy_outputs(arena, &frame, op, outputs);
            break;
        }
        // A failed check does not hide the ones behind it.
        if (!run_op(diag, &frame, op)) {
            done = false;
            if (op->result_count) break;
        }
        for (int i = 0; tap && i < op->result_count; i++)
            tap(context, &op->results[i], &frame_slot(&frame, &op->results[i])->tensor);
        release_operands(&frame, op);
    }
    frame_free(&frame);
    arena_free(scratch);
    return done;
}
