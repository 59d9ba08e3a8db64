// From the parts of an op, as the grammar collects them, to ops in a module. Each op is checked against its row of
// ops.def when it is made, so that typed views are safe on whatever parse_qir returns. A faulty op is not made; its
// results are known to be faulty, and uses of them are not reported again.
#include <string.h>

#include "frontend/qir/qir.h"
#include "ir/verify.h"
#include "qir_parser.h"

// ---- faults

QirPlace qir_place_of(const QirState *state, const char *text) {
    QirPlace place = {1, 1, text};
    const char *line = state->text;
    for (const char *newline; (newline = memchr(line, '\n', (size_t)(text - line))); line = newline + 1) place.line++;
    place.column = (int)(text - line) + 1;
    return place;
}

static int errors(const QirState *state) { return diag_error_count(state->diag) - state->errors_before; }

bool qir_too_many_errors(const QirState *state) { return errors(state) >= QIR_MAX_ERRORS; }

// " did you mean 'x'?" or nothing.
static const char *suggestion(QirState *state, const char *name, int count, const char *const *names) {
    const char *nearest = nearest_name(name, count, names);
    return nearest ? arena_printf(state->scratch, "; did you mean '%s'?", nearest) : "";
}

// ---- attributes

QirAttr *qir_attr_of(QirState *state, AttrKind kind) {
    QirAttr *attr = ARENA_NEW(state->scratch, QirAttr);
    attr->attr.kind = kind;
    return attr;
}

// By its form: an integer (hexadecimal too) or a float. The op's row may turn an integer into a float later.
QirAttr *qir_attr_number(QirState *state, QirLiteral literal) {
    QirAttr *attr = qir_attr_of(state, literal.kind == LITERAL_INT ? ATTR_INT : ATTR_FLOAT);
    if (literal.kind == LITERAL_INT) qir_int(state, literal, &attr->attr.i);
    else attr->attr.f = qir_float(state, literal);
    return attr;
}

// The literals pushed since `first`: integers if all are, and when there is none.
QirAttr *qir_attr_numbers(QirState *state, size_t first) {
    size_t count = state->literal_count - first;
    const QirLiteral *literals = count ? state->literals + first : NULL;
    bool all_ints = true;
    for (size_t i = 0; i < count; i++) all_ints = all_ints && literals[i].kind == LITERAL_INT;
    QirAttr *attr = qir_attr_of(state, all_ints ? ATTR_INTS : ATTR_FLOATS);
    state->literal_count = first;
    if (all_ints) {
        int64_t *values = ARENA_ARRAY(state->arena, int64_t, count + 1);
        for (size_t i = 0; i < count; i++) qir_int(state, literals[i], &values[i]);
        attr->attr.ints = (IntList){(int)count, values, 0};
        return attr;
    }
    double *values = ARENA_ARRAY(state->arena, double, count);
    for (size_t i = 0; i < count; i++) values[i] = qir_float(state, literals[i]);
    attr->attr.floats.count = (int)count;
    attr->attr.floats.data = values;
    return attr;
}

static const AttrInfo *row_of(const OpInfo *info, const char *name) {
    for (int i = 0; info && i < info->attr_count; i++)
        if (!strcmp(info->attrs[i].name, name)) return &info->attrs[i];
    return NULL;
}

// An integer where the row says float.
static void coerce(Attr *attr, const AttrInfo *row) {
    if (!row || row->kind != ATTR_FLOAT || attr->kind != ATTR_INT) return;
    attr->kind = ATTR_FLOAT;
    attr->f = (double)attr->i;
}

// The list in the module's arena, in the order of the text; false after a reported error.
static bool make_attrs(QirState *state, const OpInfo *info, QirAttrs parsed, Attr **list) {
    bool good = true;
    Attr **end = list;
    *list = NULL;
    for (QirAttr *item = parsed.first; item; item = item->next) {
        Attr *attr = &item->attr;
        if (attr_find(*list, attr->name))
            good = diag_error(state->diag, qir_loc(state, item->place), "attribute '%s' is given twice", attr->name);
        if ((attr->kind == ATTR_TYPE || attr->kind == ATTR_DENSE) && !attr->type) good = false;
        else if (attr->kind == ATTR_DENSE) {
            attr->dense = qir_dense_make(state, item->dense, attr->type);
            good = attr->dense && good;
        }
        coerce(attr, row_of(info, attr->name));
        *end = arena_copy(state->arena, attr, sizeof *attr);
        (*end)->next = NULL;
        end = &(*end)->next;
    }
    return good;
}

// ---- modules and functions

void qir_module(QirState *state, const char *name, QirAttrs attrs) {
    state->module = module_new(state->arena, name);
    state->module->file = state->path;
    make_attrs(state, NULL, attrs, &state->module->attrs);
}

static void define(QirState *state, const QirName *name, Value *value) {
    Map *map = name->numbered ? state->numbers : state->names;
    QirDefinition *old = map_find(map, name->text);
    if (old) {
        diag_error(state->diag, qir_loc(state, name->place), "'%%%s' is defined twice", name->text);
        diag_note(state->diag, qir_loc(state, old->place), "the first definition");
        return;
    }
    QirDefinition *definition = ARENA_NEW(state->scratch, QirDefinition);
    *definition = (QirDefinition){value, name->place};
    *map_get(map, name->text) = definition;
    if (value && !name->numbered) value_put_name(value, arena_strdup(state->arena, name->text));
}

void qir_func_begin(QirState *state, const char *name, QirPlace place, QirNames names, QirTypes types) {
    if (map_find(state->func_names, name))
        diag_error(state->diag, qir_loc(state, place), "function '@%s' is defined twice", name);
    *map_get(state->func_names, name) = state;
    state->names = map_new_texts(state->scratch);
    state->numbers = map_new_texts(state->scratch);
    state->unresolved = NULL;
    state->returned = false;
    static const Type scalar = {.kind = TYPE_TENSOR, .elem = ELEM_F32}; // stands in for a faulty type
    int count = 0;
    for (QirType *type = types.first; type; type = type->next) count++;
    const Type **arg_types = ARENA_ARRAY(state->scratch, const Type *, count);
    count = 0;
    for (QirType *type = types.first; type; type = type->next) {
        arg_types[count++] = type->type ? type->type : &scalar;
        if (type->type && type->type->kind == TYPE_NONE)
            diag_error(state->diag, qir_loc(state, type->place), "an argument needs a tensor or buffer type");
    }
    state->func = func_new(state->module, name, count, arg_types, NULL);
    QirType *type = types.first;
    Value *arg = state->func->args;
    for (QirName *item = names.first; item; item = item->next, type = type->next, arg++)
        define(state, item, type->type ? arg : NULL);
}

static void report_unresolved(QirState *state, const QirName *name) {
    QirDefinition *later = map_find(name->numbered ? state->numbers : state->names, name->text);
    Loc loc = qir_loc(state, name->place);
    if (later) {
        diag_error(state->diag, loc, "'%%%s' is used before its definition", name->text);
        diag_note(state->diag, qir_loc(state, later->place), "it is defined here");
        return;
    }
    int count = 0;
    Func *func = state->func;
    FOR_EACH_OP(func, op) count += op->result_count;
    const char **names = ARENA_ARRAY(state->scratch, const char *, count + func->arg_count);
    count = 0;
    for (int i = 0; i < func->arg_count; i++)
        if (func->args[i].name) names[count++] = func->args[i].name;
    FOR_EACH_OP(func, op)
        for (int i = 0; i < op->result_count; i++)
            if (op->results[i].name) names[count++] = op->results[i].name;
    diag_error(state->diag, loc, "'%%%s' is not defined%s", name->text,
               name->numbered ? "" : suggestion(state, name->text, count, names));
}

static void check_returned(QirState *state, QirPlace end) {
    const Op *last = state->func->last;
    if (!state->func_results_given || !last || last->kind != OP_return) return;
    int count = 0;
    for (QirType *type = state->func_results.first; type; type = type->next, count++) {
        if (count >= last->operand_count || !type->type) continue;
        const Type *given = last->operands[count].value->type;
        if (!type_equal(type->type, given))
            diag_error(state->diag, qir_loc(state, type->place), "result %d is declared as %s, but %s is returned", count,
                       type_text(state->scratch, type->type), type_text(state->scratch, given));
    }
    if (count != last->operand_count)
        diag_error(state->diag, count ? qir_loc(state, state->func_results.first->place) : qir_loc(state, end),
                   "function '@%s' declares %d results, but returns %d", state->func->name, count, last->operand_count);
}

void qir_func_end(QirState *state, QirPlace place) {
    QirUse *ordered = NULL;
    for (QirUse *use = state->unresolved, *next; use; use = next) {
        next = use->next;
        use->next = ordered;
        ordered = use;
    }
    for (; ordered && !qir_too_many_errors(state); ordered = ordered->next) report_unresolved(state, ordered->name);
    if (!state->returned)
        diag_error(state->diag, qir_loc(state, place), "function '@%s' does not end in `return`", state->func->name);
    check_returned(state, place);
}

// ---- ops

// One op while it is made.
typedef struct {
    const QirOp *parsed;
    OpKind kind;
    const OpInfo *info;
    int operand_count, result_count;
    Value **operands;
    const Type **result_types; // NULL: inferred
    Attr *attrs;
    Builder builder;
} Making;

static bool find_kind(QirState *state, Making *making) {
    const QirOp *parsed = making->parsed;
    if (op_find(parsed->name, &making->kind)) {
        making->info = op_info(making->kind);
        return true;
    }
    const char *names[OP_COUNT];
    for (int i = 0; i < OP_COUNT; i++) names[i] = op_info((OpKind)i)->full_name;
    return diag_error(state->diag, qir_loc(state, parsed->place), "unknown operator '%s'%s", parsed->name,
                      suggestion(state, parsed->name, OP_COUNT, names));
}

static int type_count(QirTypes types) {
    int count = 0;
    for (QirType *type = types.first; type; type = type->next) count++;
    return count;
}

static bool has_dense_operand(const QirOp *parsed) {
    for (const QirOperand *operand = parsed->operands.first; operand; operand = operand->next)
        if (operand->dense) return true;
    return false;
}

// The declared type of operand `index`; NULL when there is none. A single type after the colon of an op without
// results stands for all operands, or for the dense ones where there are any.
static QirType *operand_type(const Making *making, int index) {
    const QirSignature *signature = &making->parsed->signature;
    if (!signature->arrow && making->info->result_count) return NULL;
    QirType *type = signature->arrow ? signature->operands.first : signature->results.first;
    if (!signature->arrow && type && !type->next) return type;
    while (type && index--) type = type->next;
    return type;
}

static Value *dense_operand(QirState *state, Making *making, const QirOperand *operand, int index) {
    QirType *declared = operand_type(making, index);
    const Type *type = declared ? declared->type : index && making->operands[0] ? making->operands[0]->type : NULL;
    if (!type) {
        if (!declared) diag_error(state->diag, qir_loc(state, operand->place), "the type of the elements is not given");
        return NULL;
    }
    const Dense *dense = qir_dense_make(state, operand->dense, type);
    if (!dense) return NULL;
    Op *op = op_new(&making->builder, OP_constant, 0, NULL, 1, &type, attr_dense(state->arena, NULL, "value", dense));
    return op_result(op, 0);
}

// False when the value is faulty or unknown; unknown ones are reported when the function ends.
static bool named_operand(QirState *state, const QirName *name, Value **value) {
    QirDefinition *definition = map_find(name->numbered ? state->numbers : state->names, name->text);
    if (definition) {
        *value = definition->value;
        return *value != NULL;
    }
    QirUse *use = ARENA_NEW(state->scratch, QirUse);
    *use = (QirUse){name, state->unresolved};
    state->unresolved = use;
    return false;
}

static bool make_operands(QirState *state, Making *making) {
    bool good = true;
    for (QirOperand *item = making->parsed->operands.first; item; item = item->next) making->operand_count++;
    making->operands = ARENA_ARRAY(state->scratch, Value *, making->operand_count);
    int index = 0;
    for (QirOperand *item = making->parsed->operands.first; item; item = item->next, index++) {
        if (item->name) good = named_operand(state, item->name, &making->operands[index]) && good;
        else if (item->dense) good = (making->operands[index] = dense_operand(state, making, item, index)) && good;
    }
    return good;
}

static bool check_operand_types(QirState *state, const Making *making) {
    const QirSignature *signature = &making->parsed->signature;
    if (!signature->given || (!signature->arrow && making->info->result_count)) return true;
    QirTypes declared = signature->arrow ? signature->operands : signature->results;
    int count = type_count(declared);
    bool for_all = !signature->arrow && count == 1;
    if (for_all && has_dense_operand(making->parsed)) return true;
    if (!for_all && count != making->operand_count)
        return diag_error(state->diag, qir_loc(state, signature->place), "%d operand types for %d operands", count,
                          making->operand_count);
    const QirOperand *operand = making->parsed->operands.first;
    for (int i = 0; i < making->operand_count; i++, operand = operand->next) {
        const Value *value = making->operands[i];
        const QirType *type = operand_type(making, i);
        if (!type->type) return false;
        bool same = value ? type_equal(value->type, type->type) : type->type->kind == TYPE_NONE;
        if (!same)
            return diag_error(state->diag, qir_loc(state, operand->place), "operand %d of %s has type %s, but is declared as %s", i,
                              making->info->full_name, value ? type_text(state->scratch, value->type) : "none",
                              type_text(state->scratch, type->type));
    }
    return true;
}

static bool has_outputs(const OpInfo *info, int count) {
    bool variadic = info->result_count && info->results[info->result_count - 1].arity == OPERAND_VARIADIC;
    return variadic ? count >= info->result_count - 1 : count == info->result_count;
}

static bool make_result_types(QirState *state, Making *making) {
    const QirSignature *signature = &making->parsed->signature;
    bool declared = signature->given && (signature->arrow || making->info->result_count);
    int named = 0;
    for (QirName *name = making->parsed->results.first; name; name = name->next) named++;
    making->result_count = declared ? type_count(signature->results) : named ? named : making->info->result_count;
    if (!has_outputs(making->info, making->result_count) || (named && named != making->result_count))
        return diag_error(state->diag, qir_loc(state, making->parsed->place), "%s has %d results, found %d",
                          making->info->full_name, making->info->result_count, named && named != making->result_count ? named : making->result_count);
    if (!declared) {
        if (making->result_count && !making->info->infer)
            return diag_error(state->diag, qir_loc(state, making->parsed->place),
                              "the result type of %s cannot be inferred: give it after a colon", making->info->full_name);
        return true;
    }
    making->result_types = ARENA_ARRAY(state->scratch, const Type *, making->result_count + 1);
    int index = 0;
    for (QirType *type = signature->results.first; type; type = type->next) {
        if (!type->type) return false;
        if (type->type->kind == TYPE_NONE)
            return diag_error(state->diag, qir_loc(state, type->place), "a result needs a tensor or buffer type");
        making->result_types[index++] = type->type;
    }
    return true;
}

// `constant dense<…> : type`: the elements are the attribute, not an operand.
static bool take_constant(QirState *state, Making *making) {
    const QirOp *parsed = making->parsed;
    QirOperand *operand = parsed->operands.first;
    if (making->kind != OP_constant || !operand) return true;
    if (operand->name || !operand->dense || operand->next || parsed->attrs.first)
        return diag_error(state->diag, qir_loc(state, operand->place), "expected `constant dense<…> : type`");
    making->operand_count = 0;
    QirType *type = parsed->signature.results.first;
    if (!type)
        return diag_error(state->diag, qir_loc(state, operand->place), "a constant needs its type: `constant dense<…> : type`");
    const Dense *dense = qir_dense_make(state, operand->dense, type->type);
    if (dense) making->attrs = attr_dense(state->arena, NULL, "value", dense);
    return dense != NULL;
}

static bool make_parts(QirState *state, Making *making) {
    if (!find_kind(state, making)) return false;
    bool constant = making->kind == OP_constant && making->parsed->operands.first;
    bool good = constant ? take_constant(state, making) : make_operands(state, making);
    good = make_attrs(state, making->info, making->parsed->attrs, constant ? &(Attr *){NULL} : &making->attrs) && good;
    return good && (constant || check_operand_types(state, making)) && make_result_types(state, making);
}

// Results whose types were left out: inferred once the row holds.
static bool infer_results(QirState *state, Op *op) {
    const OpInfo *info = op_info(op->kind);
    const Type *types[MAX_RANK] = {0};
    if (op->result_count > MAX_RANK) return false;
    if (!info->infer(state->diag, op, state->arena, types)) return false;
    for (int i = 0; i < op->result_count; i++) {
        if (!type_verify(types[i], state->diag, op->loc)) return false;
        op->results[i].type = types[i];
    }
    return true;
}

static Op *make_op(QirState *state, Making *making) {
    static const Type unknown = {.kind = TYPE_NONE};
    if (!make_parts(state, making)) return NULL;
    const Type **types = making->result_types;
    if (!types) {
        types = ARENA_ARRAY(state->scratch, const Type *, making->result_count + 1);
        for (int i = 0; i < making->result_count; i++) types[i] = &unknown;
    }
    Op *op = op_new(&making->builder, making->kind, making->operand_count, making->operands, making->result_count, types,
                    making->attrs);
    if (op_verify_row(op, state->diag) && (making->result_types || !making->result_count || infer_results(state, op)))
        return op;
    op_erase(op);
    return NULL;
}

static void set_aliases(Op *op, QirLoc loc) {
    if (!op->result_count) return;
    op->results[0].alias_count = loc.alias_count;
    op->results[0].aliases = loc.aliases;
}

void qir_op(QirState *state, const QirOp *parsed) {
    Loc loc = qir_loc(state, parsed->place);
    if (parsed->loc.name) loc.name = arena_strdup(state->arena, parsed->loc.name);
    Making making = {.parsed = parsed, .builder = {state->func, NULL, loc}};
    if (state->returned) {
        diag_error(state->diag, qir_loc(state, parsed->place), "nothing may follow `return`");
        return;
    }
    state->returned = state->returned || !strcmp(parsed->name, "return");
    Op *op = make_op(state, &making);
    if (op) set_aliases(op, parsed->loc);
    int index = 0;
    for (QirName *name = parsed->results.first; name; name = name->next, index++)
        define(state, name, op && index < op->result_count ? &op->results[index] : NULL);
    state->literal_count = 0;
}

// ---- the whole text

Module *parse_qir(Arena *arena, Diag *diag, const char *path, const char *text, size_t bytes) {
    return is_qir_binary(text, bytes) ? parse_qir_binary(arena, diag, path, text, bytes)
                                      : parse_qir_text(arena, diag, path, text, bytes, NULL);
}

Module *parse_qir_text(Arena *arena, Diag *diag, const char *path, const char *text, size_t bytes, QirBlobs *blobs) {
    Arena *scratch = arena_new();
    QirState state = {.arena = arena, .scratch = scratch, .diag = diag, .text = text, .bytes = bytes, .line = 1,
                      .line_start = text, .errors_before = diag_error_count(diag)};
    state.path = arena_strdup(arena, path);
    state.blobs = blobs;
    state.func_names = map_new_texts(scratch);
    state.resources = map_new_texts(scratch);
    diag_set_source(diag, state.path, text, bytes);
    if (qir_scan_begin(&state)) {
        int status = qir_parse(&state);
        qir_scan_end(&state);
        if (status && !errors(&state)) diag_error(diag, loc_file(state.path), "the text is too deeply nested or too large");
        if (qir_too_many_errors(&state)) diag_note(diag, loc_file(state.path), "stopped after %d errors", QIR_MAX_ERRORS);
    }
    bool good = !errors(&state);
    arena_free(scratch);
    return good ? state.module : NULL;
}
