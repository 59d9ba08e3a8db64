// Names of values. A function's names are indexed from the first time that one is looked for: models have tens of
// thousands of values, and every new name is compared with all others. The index holds every name that the function has
// had, each with the value that bore it last; when that one is gone, the function is walked.
#include <string.h>

#include "ir/ir.h"
#include "ir/map.h"

struct NameIndex {
    Map *values;   // name → the value that bore it last
    Map *suffixes; // name → the number that was last appended to make it unique
};

static void index_alias(NameIndex *names, Value *value, const char *alias) {
    void **known = map_get(names->values, alias);
    if (!*known) *known = value; // an alias doesn't hide a name
}

static void index_value(NameIndex *names, Value *value) {
    if (value->name) *map_get(names->values, value->name) = value;
    for (int i = 0; i < value->alias_count; i++) index_alias(names, value, value->aliases[i]);
}

static NameIndex *index_get(Func *func) {
    if (func->names) return func->names;
    Arena *arena = func->module->arena;
    func->names = ARENA_NEW(arena, NameIndex);
    *func->names = (NameIndex){map_new_texts(arena), map_new_texts(arena)};
    for (int i = 0; i < func->arg_count; i++) index_value(func->names, &func->args[i]);
    FOR_EACH_OP(func, op)
        for (int i = 0; i < op->result_count; i++) index_value(func->names, &op->results[i]);
    return func->names;
}

bool value_is_called(const Value *value, const char *name) {
    if (value->name && !strcmp(value->name, name)) return true;
    for (int i = 0; i < value->alias_count; i++)
        if (!strcmp(value->aliases[i], name)) return true;
    return false;
}

static Value *walk_for(Func *func, const char *name) {
    for (int i = 0; i < func->arg_count; i++)
        if (value_is_called(&func->args[i], name)) return &func->args[i];
    FOR_EACH_OP(func, op)
        for (int i = 0; i < op->result_count; i++)
            if (value_is_called(&op->results[i], name)) return &op->results[i];
    return NULL;
}

Value *func_find_value(Func *func, const char *name) {
    Map *values = index_get(func)->values;
    Value *value = map_find(values, name);
    if (!value) return NULL;
    bool alive = !value->def || value->def->func == func;
    if (alive && value_is_called(value, name)) return value;
    value = walk_for(func, name);
    if (value) *map_get(values, name) = value;
    return value;
}

static Func *value_func(const Value *value) { return value->def ? value->def->func : NULL; }

void value_put_name(Value *value, const char *name) {
    Func *func = value_func(value);
    value->name = name;
    if (func && func->names) *map_get(func->names->values, name) = value;
}

static const char *given_name(const Value *edge) { return edge->def && edge->def->loc.name ? edge->def->loc.name : edge->name; }

const char *edge_name(const Value *const *edges, int index) {
    const char *name = given_name(edges[index]);
    for (int i = 0; name && i < index; i++) {
        const char *given = edges[i] ? given_name(edges[i]) : NULL;
        if (given && (!strcmp(given, name) || (edges[i]->name && !strcmp(edges[i]->name, name)))) return edges[index]->name;
    }
    return name;
}

void value_set_name(Value *value, const char *name) {
    Func *func = value_func(value);
    BUG_UNLESS(func, "a function's argument is named when the function is made");
    Arena *arena = func->module->arena;
    value->name = NULL;
    const char *unique = name;
    if (func_find_value(func, name)) {
        char *base = arena_strdup(arena, name);
        void **last = map_get(func->names->suffixes, base);
        for (uintptr_t i = (uintptr_t)*last + 1; func_find_value(func, unique); i++) {
            unique = arena_printf(arena, "%s_%d", name, (int)i);
            *last = (void *)i;
        }
    }
    value_put_name(value, arena_strdup(arena, unique));
}

void value_add_alias(Value *value, const char *alias) {
    Func *func = value_func(value);
    if (!func || value_is_called(value, alias)) return;
    Arena *arena = func->module->arena;
    if (value->alias_count >= value->alias_capacity) {
        int capacity = 2 * value->alias_count + 2;
        const char **aliases = ARENA_ARRAY(arena, const char *, capacity);
        if (value->alias_count) memcpy(aliases, value->aliases, sizeof(char *) * (size_t)value->alias_count);
        value->aliases = aliases;
        value->alias_capacity = capacity;
    }
    alias = arena_strdup(arena, alias);
    value->aliases[value->alias_count++] = alias;
    if (func->names) index_alias(func->names, value, alias);
}

void value_take_names(Value *value, Value *from) {
    if (!value->alias_count) {
        value->aliases = from->aliases;
        value->alias_count = from->alias_count;
        value->alias_capacity = from->alias_capacity;
        from->alias_count = from->alias_capacity = 0;
    }
    for (int i = 0; i < from->alias_count; i++) value_add_alias(value, from->aliases[i]);
    if (from->name) value_add_alias(value, from->name);
}
