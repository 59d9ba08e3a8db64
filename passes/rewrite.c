// What several rewrites share: see rewrite.h.
#include "passes/rewrite.h"

const float *constant_f32(Arena *arena, const Value *value) {
    const Dense *dense = value_constant(value);
    if (!dense || dense->type->elem != ELEM_F32 || dense->type->quant) return NULL;
    if (!dense->splat) return dense->data;
    int64_t count = type_elem_count(dense->type);
    float *data = ARENA_ARRAY(arena, float, count), element = *(const float *)dense->data;
    for (int64_t i = 0; i < count; i++) data[i] = element;
    return data;
}

Value *new_constant_f32(Op *op, int rank, const int64_t *shape, const float *data, const char *name) {
    Builder builder = builder_before(op);
    Arena *arena = op->func->module->arena;
    const Type *type = type_tensor(arena, ELEM_F32, rank, shape);
    return op_constant(&builder, type, data, name);
}

const char *take_constant_name(Value *constant) {
    const char *name = constant->name;
    if (value_has_one_use(constant)) constant->name = NULL;
    return name;
}

void absorb(Op *op, Value *value) {
    Value *result = &op->results[0];
    const char *old_name = value->name, *new_name = result->name;
    for (int i = 0; i < result->alias_count; i++) value_add_alias(value, result->aliases[i]);
    value_replace_uses(result, value);
    op_erase(op);
    if (!new_name) return;
    value_put_name(value, new_name);
    if (old_name) value_add_alias(value, old_name);
}

void give_name(Value *to, Value *from) {
    const char *name = from->name;
    from->name = NULL;
    if (name && !to->name) value_put_name(to, name);
    else if (name) value_add_alias(to, name);
    for (int i = 0; i < from->alias_count; i++) value_add_alias(to, from->aliases[i]);
    from->alias_count = 0;
}

bool is_identity_perm(IntList perm) {
    for (int i = 0; i < perm.count; i++)
        if (perm.data[i] != i) return false;
    return true;
}

bool is_returned(const Value *value) {
    for (const Use *use = value->uses; use; use = use->next)
        if (use->owner->kind == OP_return) return true;
    return false;
}
