// What front ends share: computing small constants while importing, names, the end of an import.
#include "frontend/build.h"

#include <string.h>

// Products and windows are left to the passes: their cost is not bounded by the size of their
// result.
bool op_can_compute(const Op *op) {
    const OpInfo *info = op_info(op->kind);
    switch (op->kind) {
    case OP_conv2d:
    case OP_linear:
    case OP_matmul:
    case OP_max_pool2d:
    case OP_avg_pool2d: return false;
    default: break;
    }
    if (!(info->traits & PURE) || !info->eval ||
        type_elem_count(op->results[0].type) > MAX_FOLD_ELEMS)
        return false;
    for (int i = 0; i < op->operand_count; i++) {
        const Value *operand = op_operand(op, i);
        if (!operand)
            continue;
        const Dense *dense = value_constant(operand);
        if (!dense || dense_count(dense) > MAX_FOLD_ELEMS)
            return false;
    }
    return true;
}

const Dense *op_compute(Arena *scratch, Diag *quiet, const Op *op) {
    Tensor *tensors = ARENA_ARRAY(scratch, Tensor, op->operand_count);
    const Tensor **operands = ARENA_ARRAY(scratch, const Tensor *, op->operand_count);
    for (int i = 0; i < op->operand_count; i++) {
        if (!op_operand(op, i))
            continue;
        tensors[i] = dense_to_tensor(scratch, value_constant(op_operand(op, i)));
        operands[i] = &tensors[i];
    }
    Tensor result = tensor_new(scratch, op->results[0].type), *results[] = {&result};
    return eval_op(quiet, op, operands, results) ? dense_new(scratch, result.type, result.data, false) : NULL;
}

void value_name_once(Arena *arena, Arena *scratch, Map *names, Value *value, const char *name) {
    const char *own = name;
    for (int i = 1; map_find(names, own); i++)
        own = arena_printf(scratch, "%s_%d", name, i);
    own = arena_strdup(arena, own);
    *map_get(names, own) = value;
    value_put_name(value, own);
}

static bool is_unused(const Op *op) {
    if (!op_has(op, PURE))
        return false;
    for (int i = 0; i < op->result_count; i++)
        if (op->results[i].uses)
            return false;
    return true;
}

void name_resources(Module *module, Func *func, Map *names, Arena *scratch) {
    for (Op *op = func->last, *prev; op; op = prev) {
        prev = op->prev;
        if (is_unused(op)) {
            op_erase(op);
            continue;
        }
        Dense *dense = op->kind == OP_constant ? (Dense *)value_constant(op_result(op, 0)) : NULL;
        if (!dense || dense->splat || dense_count(dense) <= MAX_RESOURCE_INLINE)
            continue;
        if (!op_result(op, 0)->name)
            value_name_once(module->arena, scratch, names, op_result(op, 0), "constant");
        dense->resource = op_result(op, 0)->name;
        module_add_resource(module, dense->resource, dense->data, dense->bytes);
    }
}

const char *module_name_of(Arena *arena, const char *path) {
    const char *slash = strrchr(path, '/');
    char *name = arena_strdup(arena, slash ? slash + 1 : path);
    char *dot = strrchr(name, '.');
    if (dot && dot != name)
        *dot = 0;
    return name;
}
