// Attributes: lists of named values, and typed access by the rows of ops.def.
#include <string.h>

#include "ir/ir.h"

const Attr *attr_find(const Attr *list, const char *name) {
    for (; list; list = list->next)
        if (!strcmp(list->name, name)) return list;
    return NULL;
}

static Attr *attr_new(Arena *arena, Attr *next, const char *name, AttrKind kind) {
    Attr *attr = ARENA_NEW(arena, Attr);
    attr->name = arena_strdup(arena, name);
    attr->kind = kind;
    attr->next = next;
    return attr;
}

Attr *attr_int(Arena *arena, Attr *next, const char *name, int64_t value) {
    Attr *attr = attr_new(arena, next, name, ATTR_INT);
    attr->i = value;
    return attr;
}

Attr *attr_bool(Arena *arena, Attr *next, const char *name, bool value) {
    Attr *attr = attr_new(arena, next, name, ATTR_BOOL);
    attr->i = value;
    return attr;
}

Attr *attr_float(Arena *arena, Attr *next, const char *name, double value) {
    Attr *attr = attr_new(arena, next, name, ATTR_FLOAT);
    attr->f = value;
    return attr;
}

Attr *attr_string(Arena *arena, Attr *next, const char *name, const char *value) {
    Attr *attr = attr_new(arena, next, name, ATTR_STRING);
    attr->s = arena_strdup(arena, value);
    return attr;
}

Attr *attr_ints(Arena *arena, Attr *next, const char *name, int count, const int64_t *values) {
    Attr *attr = attr_new(arena, next, name, ATTR_INTS);
    attr->ints = (IntList){count, arena_copy(arena, values, sizeof(int64_t) * (size_t)count), 0};
    return attr;
}

Attr *attr_floats(Arena *arena, Attr *next, const char *name, int count, const double *values) {
    Attr *attr = attr_new(arena, next, name, ATTR_FLOATS);
    attr->floats.count = count;
    attr->floats.data = arena_copy(arena, values, sizeof(double) * (size_t)count);
    return attr;
}

Attr *attr_type(Arena *arena, Attr *next, const char *name, const Type *type) {
    Attr *attr = attr_new(arena, next, name, ATTR_TYPE);
    attr->type = type;
    return attr;
}

Attr *attr_dense(Arena *arena, Attr *next, const char *name, const Dense *dense) {
    Attr *attr = attr_new(arena, next, name, ATTR_DENSE);
    attr->dense = dense;
    return attr;
}

void op_remove_attr(Op *op, const char *name) {
    for (Attr **link = &op->attrs; *link; link = &(*link)->next)
        if (!strcmp((*link)->name, name)) {
            *link = (*link)->next;
            return;
        }
}

void op_set_attr(Op *op, Attr *attr) {
    op_remove_attr(op, attr->name);
    attr->next = op->attrs;
    op->attrs = attr;
}

static const AttrInfo *attr_info(const Op *op, const char *name) {
    const OpInfo *info = op_info(op->kind);
    for (int i = 0; i < info->attr_count; i++)
        if (!strcmp(info->attrs[i].name, name)) return &info->attrs[i];
    BUG("%s has no attribute '%s'", info->full_name, name);
}

int64_t op_int(const Op *op, const char *name) {
    const Attr *attr = attr_find(op->attrs, name);
    return attr ? attr->i : (int64_t)attr_info(op, name)->number;
}

bool op_bool(const Op *op, const char *name) { return op_int(op, name) != 0; }

double op_float(const Op *op, const char *name) {
    const Attr *attr = attr_find(op->attrs, name);
    return attr ? attr->f : attr_info(op, name)->number;
}

const char *op_string(const Op *op, const char *name) {
    const Attr *attr = attr_find(op->attrs, name);
    return attr ? attr->s : attr_info(op, name)->text;
}

IntList op_ints(const Op *op, const char *name) {
    const Attr *attr = attr_find(op->attrs, name);
    int64_t fill = (int64_t)attr_info(op, name)->number;
    return attr ? (IntList){attr->ints.count, attr->ints.data, fill} : (IntList){0, NULL, fill};
}
