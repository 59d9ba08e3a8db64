// The names of a graph: a hash table from tensor name to what it stands for, one for each graph
// within another. Initializers are
// decoded and become ops when something asks for them, so that what is folded away or transposed
// leaves no copy behind.
#include <string.h>

#include "frontend/onnx/importer.h"

static size_t hash_text(const char *text) {
    size_t hash = 1469598103934665603u;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    return hash;
}

Scope *scope_enter(Importer *importer, size_t expected, Scope *outer) {
    Scope *scope = ARENA_NEW(importer->scratch, Scope);
    scope->bucket_count = 16;
    while (scope->bucket_count < expected)
        scope->bucket_count *= 2;
    scope->buckets = ARENA_ARRAY(importer->scratch, Symbol *, scope->bucket_count);
    scope->outer = outer;
    return importer->scope = scope;
}

static Symbol *find_in(const Scope *scope, const char *name) {
    Symbol *symbol = scope->buckets[hash_text(name) & (scope->bucket_count - 1)];
    while (symbol && strcmp(symbol->name, name) != 0)
        symbol = symbol->next;
    return symbol;
}

Symbol *symbol_find(const Importer *importer, const char *name) {
    Symbol *symbol = NULL;
    for (const Scope *scope = importer->scope; scope && !symbol; scope = scope->outer)
        symbol = find_in(scope, name);
    return symbol;
}

Symbol *symbol_add(Importer *importer, const char *name) {
    Scope *scope = importer->scope;
    if (find_in(scope, name))
        return NULL;
    Symbol **bucket = &scope->buckets[hash_text(name) & (scope->bucket_count - 1)];
    Symbol *symbol = ARENA_NEW(importer->scratch, Symbol);
    *symbol = (Symbol){.name = name, .next = *bucket};
    return *bucket = symbol;
}

const Dense *symbol_dense(Importer *importer, Symbol *symbol) {
    if (symbol->broken)
        return NULL;
    if (symbol->value)
        return value_constant(symbol->value);
    if (!symbol->dense && symbol->stored)
        symbol->dense = stored_to_f32(importer->scratch, symbol->stored);
    if (!symbol->dense && (symbol->initializer || symbol->sparse)) {
        const char *what = arena_printf(importer->scratch, "initializer '%s'", symbol->name);
        symbol->dense = symbol->sparse ? dense_from_sparse(importer, symbol->sparse, what)
                                       : dense_from_proto(importer, symbol->initializer, what);
        symbol->broken = !symbol->dense;
    }
    return symbol->dense;
}

const Type *symbol_type(Importer *importer, Symbol *symbol) {
    if (symbol->value)
        return symbol->value->type;
    const Type *known = symbol->stored ? symbol->stored->type : symbol->quantized ? symbol->quantized->value->type : NULL;
    if (known)
        return type_with_elem(importer->arena, known, symbol->stored ? ELEM_F32 : symbol->integer);
    const Dense *dense = symbol_dense(importer, symbol);
    return dense ? dense->type : NULL;
}

void name_value(Importer *importer, Value *value, const char *name) {
    value_name_once(importer->arena, importer->scratch, importer->names, value, name);
}

const char *take_name(const Node *node, int index) {
    const char *name = node->proto->input[index];
    Symbol *symbol = symbol_find(node->importer, name);
    Value *value = symbol ? symbol->value : NULL;
    if (!value || !value->def || value->uses || !value->name || strcmp(value->name, name))
        return name;
    *map_get(node->importer->names, name) = NULL;
    value->name = NULL;
    return name;
}

Value *emit_constant(Importer *importer, const Dense *dense, bool owned, const char *name) {
    Arena *arena = importer->arena;
    const Type *type = type_tensor(arena, dense->type->elem, dense->type->rank, dense->type->shape);
    const void *data = owned ? dense->data : arena_copy(arena, dense->data, dense->bytes);
    Dense *kept = dense_new(arena, type, data, dense->splat);
    Op *op = op_new(&importer->builder, OP_constant, 0, NULL, 1, &type,
                    attr_dense(arena, NULL, "value", kept));
    if (name)
        name_value(importer, op_result(op, 0), name);
    return op_result(op, 0);
}

Value *symbol_value(Importer *importer, Symbol *symbol) {
    if (symbol->broken || symbol->value)
        return symbol->value;
    if (symbol->quantized)
        return symbol->value = symbol_plain(importer, symbol);
    const Dense *dense = symbol_dense(importer, symbol);
    if (dense)
        symbol->value = emit_constant(importer, dense, false, symbol->name);
    return symbol->value;
}
