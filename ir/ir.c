// Modules, functions, ops, values and their use lists.
#include "ir/ir.h"

#include <string.h>

Module *module_new(Arena *arena, const char *name) {
    Module *module = ARENA_NEW(arena, Module);
    module->arena = arena;
    module->name = arena_strdup(arena, name);
    return module;
}

Func *module_main(const Module *module) {
    for (Func *func = module->funcs; func; func = func->next)
        if (!strcmp(func->name, "main")) return func;
    return NULL;
}

Func *func_new(Module *module, const char *name, int arg_count, const Type *const *arg_types,
               const char *const *arg_names) {
    Arena *arena = module->arena;
    Func *func = ARENA_NEW(arena, Func);
    func->name = arena_strdup(arena, name);
    func->module = module;
    func->arg_count = arg_count;
    func->args = ARENA_ARRAY(arena, Value, arg_count);
    for (int i = 0; i < arg_count; i++) {
        func->args[i].type = arg_types[i];
        func->args[i].index = i;
        func->args[i].name = arg_names && arg_names[i] ? arena_strdup(arena, arg_names[i]) : NULL;
    }
    Func **end = &module->funcs;
    while (*end) end = &(*end)->next;
    *end = func;
    return func;
}

void module_add_resource(Module *module, const char *name, const void *data, size_t bytes) {
    Resource *resource = ARENA_NEW(module->arena, Resource);
    *resource = (Resource){arena_strdup(module->arena, name), data, bytes, module->resources};
    module->resources = resource;
}

const Resource *module_find_resource(const Module *module, const char *name) {
    for (const Resource *resource = module->resources; resource; resource = resource->next)
        if (!strcmp(resource->name, name)) return resource;
    return NULL;
}

// ---- use lists

static void use_link(Use *use, Value *value) {
    use->value = value;
    use->prev = use->next = NULL;
    if (!value) return;
    use->next = value->uses;
    if (value->uses) value->uses->prev = use;
    value->uses = use;
}

static void use_unlink(Use *use) {
    if (!use->value) return;
    if (use->prev) use->prev->next = use->next;
    else use->value->uses = use->next;
    if (use->next) use->next->prev = use->prev;
    use->value = NULL;
}

// Makes room for an optional operand that was left out at the end.
static void grow_operands(Op *op, int count) {
    Use *old = op->operands;
    op->operands = ARENA_ARRAY(op->func->module->arena, Use, count);
    for (int i = 0; i < count; i++) {
        op->operands[i].owner = op;
        op->operands[i].index = i;
        if (i >= op->operand_count) continue;
        Value *value = old[i].value;
        use_unlink(&old[i]);
        use_link(&op->operands[i], value);
    }
    op->operand_count = count;
}

void op_set_operand(Op *op, int index, Value *value) {
    if (index >= op->operand_count) grow_operands(op, index + 1);
    use_unlink(&op->operands[index]);
    use_link(&op->operands[index], value);
}

int value_use_count(const Value *value) {
    int count = 0;
    for (const Use *use = value->uses; use; use = use->next) count++;
    return count;
}

bool value_has_one_use(const Value *value) { return value->uses && !value->uses->next; }

void value_replace_uses(Value *value, Value *with) {
    FOR_EACH_USE(value, use) op_set_operand(use->owner, use->index, with);
}

// ---- ops

static void op_link(Builder *builder, Op *op) {
    Func *func = builder->func;
    op->func = func;
    op->next = builder->before;
    op->prev = builder->before ? builder->before->prev : func->last;
    if (op->prev) op->prev->next = op;
    else func->first = op;
    if (op->next) op->next->prev = op;
    else func->last = op;
}

static void op_unlink(Op *op) {
    if (op->prev) op->prev->next = op->next;
    else op->func->first = op->next;
    if (op->next) op->next->prev = op->prev;
    else op->func->last = op->prev;
}

// An op with its operands and `result_count` untyped results, linked in.
static Op *op_make(Builder *builder, OpKind kind, int operand_count, Value *const *operands, int result_count,
                   Attr *attrs) {
    Arena *arena = builder->func->module->arena;
    Op *op = ARENA_NEW(arena, Op);
    op->kind = kind;
    op->loc = builder->loc;
    op->attrs = attrs;
    op->operand_count = operand_count;
    op->operands = ARENA_ARRAY(arena, Use, operand_count);
    for (int i = 0; i < operand_count; i++) {
        op->operands[i].owner = op;
        op->operands[i].index = i;
        use_link(&op->operands[i], operands[i]);
    }
    op->result_count = result_count;
    op->results = ARENA_ARRAY(arena, Value, result_count);
    for (int i = 0; i < result_count; i++) {
        op->results[i].def = op;
        op->results[i].index = i;
    }
    op_link(builder, op);
    return op;
}

static bool op_infer_types(Op *op, Diag *diag) {
    const OpInfo *info = op_info(op->kind);
    BUG_UNLESS(info->infer, "%s: result types must be given", info->full_name);
    const Type *types[MAX_RANK] = {0};
    if (!info->infer(diag, op, op->func->module->arena, types)) return false;
    for (int i = 0; i < op->result_count; i++) op->results[i].type = types[i];
    return true;
}

Op *op_new(Builder *builder, OpKind kind, int operand_count, Value *const *operands, int result_count,
           const Type *const *result_types, Attr *attrs) {
    Op *op = op_make(builder, kind, operand_count, operands, result_count, attrs);
    if (result_types) {
        for (int i = 0; i < result_count; i++) op->results[i].type = result_types[i];
    } else if (result_count) {
        Diag *diag = diag_new(op->func->module->arena, stderr);
        if (!op_infer_types(op, diag)) BUG("%s: inference failed on an op built by a pass", op_info(kind)->full_name);
    }
    return op;
}

Value *op_infer(Builder *builder, Diag *diag, OpKind kind, int operand_count, Value *const *operands, Attr *attrs) {
    Op *op = op_make(builder, kind, operand_count, operands, 1, attrs);
    if (op_infer_types(op, diag)) return &op->results[0];
    op_erase(op);
    return NULL;
}

void op_erase(Op *op) {
    for (int i = 0; i < op->result_count; i++)
        BUG_UNLESS(!op->results[i].uses, "%s erased while its result is used", op_info(op->kind)->full_name);
    for (int i = 0; i < op->operand_count; i++) use_unlink(&op->operands[i]);
    op_unlink(op);
    op->func = NULL; // its names are free
}

void op_move_before(Op *op, Op *before) {
    op_unlink(op);
    Builder builder = {before->func, before, {0}};
    op_link(&builder, op);
}

void op_replace(Op *op, Value *with) {
    Value *old = &op->results[0];
    if (with->def) value_take_names(with, old);
    value_replace_uses(old, with);
    op_erase(op);
}

Value *op_constant(Builder *builder, const Type *type, const void *data, const char *name) {
    Arena *arena = builder->func->module->arena;
    Dense *dense = ARENA_NEW(arena, Dense);
    *dense = (Dense){.type = type, .data = data, .bytes = type_bytes(type)};
    Op *op = op_new(builder, OP_constant, 0, NULL, 1, &type, attr_dense(arena, NULL, "value", dense));
    if (name) value_set_name(&op->results[0], name);
    return &op->results[0];
}

static void write_elem(Elem elem, void *out, double value) {
    switch (elem) {
    case ELEM_F64: *(double *)out = value; break;
    case ELEM_F32: *(float *)out = (float)value; break;
    case ELEM_I64: case ELEM_U64: *(int64_t *)out = (int64_t)value; break;
    case ELEM_I32: case ELEM_U32: *(int32_t *)out = (int32_t)value; break;
    case ELEM_I16: case ELEM_U16: *(int16_t *)out = (int16_t)value; break;
    case ELEM_I8: case ELEM_U8: case ELEM_I1: *(int8_t *)out = (int8_t)value; break;
    default: BUG("splat of %s", elem_name(elem));
    }
}

Value *op_constant_splat(Builder *builder, const Type *type, double value, const char *name) {
    Arena *arena = builder->func->module->arena;
    void *data = arena_alloc(arena, 16);
    write_elem(type->elem, data, value);
    Value *result = op_constant(builder, type, data, name);
    Dense *dense = (Dense *)result->def->attrs->dense;
    dense->splat = true;
    dense->bytes = (size_t)elem_bits(type->elem) / 8;
    return result;
}

const Dense *value_constant(const Value *value) {
    if (!value || !value->def || value->def->kind != OP_constant) return NULL;
    const Attr *attr = attr_find(value->def->attrs, "value");
    return attr ? attr->dense : NULL;
}

// ---- copies

typedef struct { const Value *from; Value *to; } Pair;
typedef struct { Pair *pairs; size_t capacity; } ValueMap; // open addressing by pointer

static Pair *map_slot(ValueMap *map, const Value *key) {
    size_t i = ((size_t)key >> 4) * 0x9E3779B97F4A7C15u % map->capacity;
    while (map->pairs[i].from && map->pairs[i].from != key) i = (i + 1) % map->capacity;
    return &map->pairs[i];
}

static void map_put(ValueMap *map, const Value *from, Value *to) { *map_slot(map, from) = (Pair){from, to}; }

static void clone_func(Module *copy, const Func *func) {
    Arena *arena = copy->arena;
    size_t count = (size_t)func->arg_count;
    FOR_EACH_OP(func, op) count += (size_t)op->result_count;
    Arena *scratch = arena_new();
    ValueMap map = {ARENA_ARRAY(scratch, Pair, 2 * count + 8), 2 * count + 8};
    const Type **types = ARENA_ARRAY(scratch, const Type *, func->arg_count);
    const char **names = ARENA_ARRAY(scratch, const char *, func->arg_count);
    for (int i = 0; i < func->arg_count; i++) types[i] = func->args[i].type, names[i] = func->args[i].name;
    Func *to = func_new(copy, func->name, func->arg_count, types, names);
    for (int i = 0; i < func->arg_count; i++) map_put(&map, &func->args[i], &to->args[i]);
    FOR_EACH_OP(func, op) {
        Builder builder = {to, NULL, op->loc};
        Value **operands = ARENA_ARRAY(scratch, Value *, op->operand_count);
        for (int i = 0; i < op->operand_count; i++)
            operands[i] = op->operands[i].value ? map_slot(&map, op->operands[i].value)->to : NULL;
        Attr *attrs = NULL, **end = &attrs;
        for (const Attr *attr = op->attrs; attr; attr = attr->next) {
            *end = arena_copy(arena, attr, sizeof *attr);
            end = &(*end)->next;
        }
        Op *made = op_make(&builder, op->kind, op->operand_count, operands, op->result_count, attrs);
        for (int i = 0; i < op->result_count; i++) {
            Value *result = &made->results[i];
            const Value *from = &op->results[i];
            result->type = from->type;
            result->name = from->name;
            result->alias_count = from->alias_count;
            result->aliases = from->aliases;
            map_put(&map, from, result);
        }
    }
    arena_free(scratch);
}

// Types, names and attribute payloads are immutable and stay in the original's arena, which must outlive the copy.
Module *module_clone(Arena *arena, const Module *module) {
    Module *copy = module_new(arena, module->name);
    copy->attrs = module->attrs;
    copy->resources = module->resources;
    copy->file = module->file;
    for (const Func *func = module->funcs; func; func = func->next) clone_func(copy, func);
    return copy;
}
