// Computes pure nn ops whose operands are all constants, with the reference interpreter. Results much larger than
// their operands (a broadcast splat) are left to run time. Where sizes vary, and constants of each size were found not to be parts
// of those of the largest (context->unfolded), so are slices and what grows: their operands don't depend on the sizes.
#include "ir/eval.h"
#include "ir/sizes.h"
#include "passes/rewrite.h"

enum { ALWAYS_BYTES = 1 << 16 };

static bool is_foldable(const Op *op, const PassContext *context) {
    if (!op_has(op, PURE) || !op_info(op->kind)->eval || !op->operand_count || op->result_count != 1) return false;
    size_t operand_bytes = 0;
    for (int i = 0; i < op->operand_count; i++) {
        const Value *operand = op->operands[i].value;
        if (!operand) continue;
        if (!value_constant(operand)) return false;
        operand_bytes += type_bytes(operand->type);
    }
    size_t bytes = type_bytes(op->results[0].type);
    if (context->unfolded && op_follows_sizes(op)) return false;
    // Filters that are spread by zeros (a transposed convolution) grow more than that.
    size_t factor = op->kind == OP_pad ? 16 : 2;
    return operand_bytes && (bytes <= ALWAYS_BYTES || bytes <= factor * operand_bytes);
}

// The elements of a constant written out, as the interpreter wants them.
static Tensor tensor_of(Arena *arena, const Dense *dense) {
    Tensor tensor = {dense->type, (void *)dense->data};
    if (!dense->splat) return tensor;
    tensor = tensor_new(arena, dense->type);
    size_t bytes = type_bytes(dense->type);
    for (size_t at = 0; at < bytes; at += dense->bytes) memcpy((char *)tensor.data + at, dense->data, dense->bytes);
    return tensor;
}

static bool fold(Op *op, const PassContext *context) {
    Arena *arena = op->func->module->arena;
    Tensor *tensors = ARENA_ARRAY(context->scratch, Tensor, op->operand_count);
    const Tensor **operands = ARENA_ARRAY(context->scratch, const Tensor *, op->operand_count);
    for (int i = 0; i < op->operand_count; i++) {
        const Dense *dense = value_constant(op->operands[i].value);
        if (!dense) continue;
        tensors[i] = tensor_of(context->scratch, dense);
        operands[i] = &tensors[i];
    }
    Tensor result = tensor_new(arena, op->results[0].type), *results[] = {&result};
    if (!eval_op(context->diag, op, operands, results)) return false;
    Builder builder = builder_before(op);
    const char *name = op->results[0].name;
    op->results[0].name = NULL;
    Value *constant = op_constant(&builder, op->results[0].type, result.data, NULL);
    if (name) value_put_name(constant, name); // its own, also where another value answers to it
    op_replace(op, constant);
    return true;
}

bool fold_constants(Module *module, const PassContext *context) {
    for (Func *func = module->funcs; func; func = func->next)
        FOR_EACH_OP(func, op)
            if (is_foldable(op, context) && !fold(op, context)) return false;
    return true;
}
