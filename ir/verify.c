// The verifier of verify.h: rows of ops.def, result types against inference, and the order and names of a function's
// values. verify_quant.c holds what concerns quantization.
#include "ir/fused.h"
#include "ir/verify.h"

#include <math.h>
#include <string.h>

#include "ir/map.h"
#include "ir/state.h"

// ---- types

enum { MAX_TOTAL_LOG2 = 40 };

static bool shape_verify(const Type *type, Diag *diag, Loc loc) {
    if (type->rank < 0 || type->rank > MAX_RANK)
        return diag_error(diag, loc, "a tensor of %d dimensions, at most %d are supported", type->rank, MAX_RANK);
    int64_t count = 1, limit = (int64_t)1 << MAX_TOTAL_LOG2;
    for (int i = 0; i < type->rank; i++) {
        if (type->shape[i] < 0) return diag_error(diag, loc, "dimension %d is negative", i);
        if (type->shape[i] > limit || __builtin_mul_overflow(count, type->shape[i] ? type->shape[i] : 1, &count) || count > limit)
            return diag_error(diag, loc, "a tensor of more than 2^%d elements", MAX_TOTAL_LOG2);
    }
    return true;
}

static bool quant_verify(const Type *type, Diag *diag, Loc loc) {
    const Quant *quant = type->quant;
    if (quant->axis >= type->rank)
        return diag_error(diag, loc, "quantized along axis %d, but there are %d dimensions", quant->axis, type->rank);
    if (quant->axis >= 0 && type->shape[quant->axis] != quant->count)
        return diag_error(diag, loc, "%d scales along axis %d, whose size is %lld", quant->count, quant->axis,
                          (long long)type->shape[quant->axis]);
    if (quant->axis < 0 && quant->count != 1)
        return diag_error(diag, loc, "%d scales, but no axis", quant->count);
    for (int i = 0; i < quant->count; i++) {
        if (!(quant->scale[i] > 0) || !isnormal(quant->scale[i]))
            return diag_error(diag, loc, "scale %d is %.9g, expected a positive normal number", i, (double)quant->scale[i]);
        if (quant->zero_point[i] < quant->storage_min || quant->zero_point[i] > quant->storage_max)
            return diag_error(diag, loc, "zero point %d is %d, outside the storage range [%d, %d]", i,
                              quant->zero_point[i], quant->storage_min, quant->storage_max);
    }
    return true;
}

bool type_verify(const Type *type, Diag *diag, Loc loc) {
    if (type->kind == TYPE_NONE) return true;
    if (!shape_verify(type, diag, loc)) return false;
    bool halo = type->halo[0] | type->halo[1] | type->halo[2] | type->halo[3];
    if (halo && type->rank != 4) return diag_error(diag, loc, "only buffers of 4 dimensions have a halo");
    if (type->pixel && (type->rank != 4 || type->pixel <= type->shape[3]))
        return diag_error(diag, loc, "pixels of buffers of 4 dimensions lie more than their channels apart, or `pixel` is left out");
    if (type->kind == TYPE_TENSOR && type->quant && type->quant->storage != type->elem)
        return diag_error(diag, loc, "a tensor stored as %s, but quantized as %s", elem_name(type->elem),
                          elem_name(type->quant->storage));
    return !type->quant || quant_verify(type, diag, loc);
}

// ---- one op against its row

static bool op_fault(const Op *op, Diag *diag, const char *text) {
    return diag_error(diag, op->loc, "%s: %s", op_info(op->kind)->full_name, text);
}

static bool is_integer(const Type *type) { return !type->quant && !elem_is_float(type->elem); }

// Whether a value of `type` may stand where the row says `class`.
static bool type_fits(const Type *type, const char *class) {
    if (type->kind == TYPE_NONE) return false;
    if (!strcmp(class, "BUFFER")) return type->kind == TYPE_BUFFER;
    if (!strcmp(class, "ANY")) return true;
    if (type->kind != TYPE_TENSOR) return false;
    if (!strcmp(class, "QUANT")) return type->quant != NULL;
    if (!strcmp(class, "INTEGER")) return is_integer(type) && (type->elem == ELEM_I32 || type->elem == ELEM_I64);
    if (!strcmp(class, "F32")) return !type->quant && elem_is_float(type->elem);
    if (!strcmp(class, "BOOL")) return !type->quant && type->elem == ELEM_I1;
    if (!strcmp(class, "BITS")) return is_integer(type);
    if (!strcmp(class, "NUMBER")) return type->elem != ELEM_I1;
    return type->quant || elem_is_float(type->elem); // FLOAT
}

static const char *class_text(const char *class) {
    static const char *const texts[][2] = {{"BUFFER", "a buffer"}, {"QUANT", "a quantized tensor"},
                                           {"INTEGER", "a tensor of i32 or i64"}, {"F32", "a tensor of floats"},
                                           {"FLOAT", "a tensor of floats or a quantized one"},
                                           {"NUMBER", "a tensor of numbers"}, {"BOOL", "a tensor of i1"},
                                           {"BITS", "a tensor of integers or i1"}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!strcmp(class, texts[i][0])) return texts[i][1];
    return "a value";
}

static bool value_verify(const Op *op, Diag *diag, const Value *value, const char *what, const OperandInfo *row) {
    Arena *scratch = arena_new();
    bool fits = value->type && type_fits(value->type, row->type);
    if (!fits)
        diag_error(diag, op->loc, "%s: %s '%s' is %s, expected %s", op_info(op->kind)->full_name, what, row->name,
                   value->type ? type_text(scratch, value->type) : "without a type", class_text(row->type));
    arena_free(scratch);
    return fits;
}

static const OperandInfo *row_at(const OperandInfo *rows, int count, int index) {
    return &rows[index < count ? index : count - 1];
}

static bool operands_verify(const Op *op, Diag *diag) {
    const OpInfo *info = op_info(op->kind);
    int rows = info->operand_count;
    bool variadic = rows && info->operands[rows - 1].arity == OPERAND_VARIADIC;
    if (op->operand_count > rows && !variadic)
        return diag_error(diag, op->loc, "%s takes at most %d operands, found %d", info->full_name, rows, op->operand_count);
    for (int i = 0; i < rows; i++)
        if (info->operands[i].arity == OPERAND_ONE && !op_operand(op, i))
            return diag_error(diag, op->loc, "%s: operand '%s' is missing", info->full_name, info->operands[i].name);
    for (int i = 0; i < op->operand_count; i++) {
        const Value *value = op->operands[i].value;
        const OperandInfo *row = row_at(info->operands, rows, i);
        if (!value && row->arity == OPERAND_VARIADIC && op->kind != OP_kn_call) // a call may leave out a buffer
            return diag_error(diag, op->loc, "%s: operand %d of '%s' is missing", info->full_name, i, row->name);
        if (value && !value_verify(op, diag, value, "operand", row)) return false;
    }
    return true;
}

static bool results_verify(const Op *op, Diag *diag) {
    const OpInfo *info = op_info(op->kind);
    int rows = info->result_count;
    bool variadic = rows && info->results[rows - 1].arity == OPERAND_VARIADIC;
    if (variadic ? op->result_count < rows - 1 : op->result_count != rows)
        return diag_error(diag, op->loc, "%s has %d results, found %d", info->full_name, rows, op->result_count);
    for (int i = 0; i < op->result_count; i++) {
        const Value *value = &op->results[i];
        if (value->type && value->type->kind == TYPE_NONE) continue; // being inferred by the parser
        if (!value_verify(op, diag, value, "result", row_at(info->results, rows, i))) return false;
        if (!type_verify(value->type, diag, op->loc)) return false;
    }
    return true;
}

static const char *kind_text(AttrKind kind) {
    static const char *const texts[] = {"an integer", "a number", "true or false", "a string", "a list of integers",
                                        "a list of numbers", "a type", "dense elements"};
    return texts[kind];
}

// Attributes that any op may have: `device`, and those of other tools, which carry a dot.
static bool is_discardable(const char *name) { return !strcmp(name, "device") || strchr(name, '.'); }

static bool attr_unknown(const Op *op, Diag *diag, const char *name) {
    const OpInfo *info = op_info(op->kind);
    Arena *scratch = arena_new();
    const char *known = "";
    for (int i = 0; i < info->attr_count; i++)
        known = arena_printf(scratch, "%s%s%s", known, i ? ", " : "", info->attrs[i].name);
    diag_error(diag, op->loc, "%s has no attribute '%s'%s%s", info->full_name, name,
               info->attr_count ? "; it has: " : "", known);
    arena_free(scratch);
    return false;
}

static bool attrs_verify(const Op *op, Diag *diag) {
    const OpInfo *info = op_info(op->kind);
    for (int i = 0; i < info->attr_count; i++) {
        const AttrInfo *row = &info->attrs[i];
        const Attr *attr = attr_find(op->attrs, row->name);
        if (!attr && row->required)
            return diag_error(diag, op->loc, "%s: attribute '%s' is missing, %s", info->full_name, row->name, kind_text(row->kind));
        if (attr && attr->kind != row->kind)
            return diag_error(diag, op->loc, "%s: attribute '%s' is %s, expected %s", info->full_name, row->name,
                              kind_text(attr->kind), kind_text(row->kind));
    }
    for (const Attr *attr = op->attrs; attr; attr = attr->next) {
        bool known = op->kind == OP_kn_call || is_discardable(attr->name);
        for (int i = 0; !known && i < info->attr_count; i++) known = !strcmp(info->attrs[i].name, attr->name);
        if (!known) return attr_unknown(op, diag, attr->name);
    }
    return true;
}

static bool activation_verify(const Op *op, Diag *diag) {
    const Attr *attr = attr_find(op->attrs, "activation");
    if (!attr || attr->kind != ATTR_STRING) return true;
    if (!strcmp(attr->s, "none") || !strcmp(attr->s, "relu") || !strcmp(attr->s, "relu6")) return true;
    return diag_error(diag, op->loc, "%s: activation \"%s\" is unknown, expected \"none\", \"relu\" or \"relu6\"",
                      op_info(op->kind)->full_name, attr->s);
}

static bool constant_verify(const Op *op, Diag *diag) {
    if (op->kind != OP_constant) return true;
    const Dense *dense = attr_find(op->attrs, "value")->dense;
    const Type *type = op->results[0].type;
    if (!type_same_shape(dense->type, type) || dense->type->elem != type->elem)
        return op_fault(op, diag, "the elements' type is not the result's");
    size_t expected = dense->splat ? ((size_t)elem_bits(type->elem) + 7) / 8 : type_bytes(type);
    if (dense->bytes != expected) return op_fault(op, diag, "the elements have the wrong size in bytes");
    return true;
}

bool op_verify_row(const Op *op, Diag *diag) {
    return operands_verify(op, diag) && attrs_verify(op, diag) && activation_verify(op, diag) && results_verify(op, diag) &&
           constant_verify(op, diag) && op_verify_call(op, diag) && op_verify_custom(op, diag);
}

// ---- result types against inference

static Elem expressed(const Type *type) { return type->quant ? type->quant->expressed : type->elem; }

// A result may be quantized otherwise than inferred: its shape and the elements that it stands for must agree.
static bool inference_verify(const Op *op, Diag *diag, Arena *scratch) {
    const OpInfo *info = op_info(op->kind);
    if (!info->infer) return true;
    const Type *types[MAX_RANK] = {0};
    if (!info->infer(diag, op, scratch, types)) return false;
    for (int i = 0; i < op->result_count && i < MAX_RANK; i++) {
        const Type *found = op->results[i].type;
        if (type_same_shape(found, types[i]) && expressed(found) == expressed(types[i])) continue;
        return diag_error(diag, op->loc, "%s: result is %s, inferred %s", info->full_name, type_text(scratch, found),
                          type_text(scratch, types[i]));
    }
    return true;
}

// ---- functions

typedef struct {
    Diag *diag;
    Arena *scratch;
    Map *defined; // values
    Map *names;
    bool good;
} Verifier;

static void name_verify(Verifier *verifier, const Value *value, Loc loc) {
    if (!value->name) return;
    void **slot = map_get(verifier->names, value->name);
    if (*slot) verifier->good = diag_error(verifier->diag, loc, "two values are named '%s'", value->name);
    *slot = (void *)value;
}

static bool uses_verify(Verifier *verifier, const Op *op) {
    for (int i = 0; i < op->operand_count; i++) {
        const Use *use = &op->operands[i];
        if (!use->value) continue;
        bool linked = use->owner == op && use->index == i &&
                      (use->prev ? use->prev->next == use : use->value->uses == use) && (!use->next || use->next->prev == use);
        if (!linked) return op_fault(op, verifier->diag, "the use list of an operand is broken");
        if (!map_find(verifier->defined, use->value))
            return diag_error(verifier->diag, op->loc, "%s: operand %d ('%s') is not defined before its use",
                              op_info(op->kind)->full_name, i, use->value->name ? use->value->name : "unnamed");
    }
    return true;
}

static bool place_verify(Verifier *verifier, const Func *func, const Op *op) {
    bool ends = op_has(op, TERMINATOR);
    if (op->func != func) return op_fault(op, verifier->diag, "the op is linked into another function");
    if (ends && op != func->last) return op_fault(op, verifier->diag, "ends the function, but ops follow");
    if (!ends && op == func->last)
        return diag_error(verifier->diag, op->loc, "function '@%s' does not end in `return`", func->name);
    return true;
}

static void func_verify(Verifier *verifier, const Func *func) {
    Loc loc = {.file = func->module->file};
    verifier->defined = map_new_pointers(verifier->scratch);
    verifier->names = map_new_texts(verifier->scratch);
    if (!func->last) verifier->good = diag_error(verifier->diag, loc, "function '@%s' is empty", func->name);
    for (int i = 0; i < func->arg_count; i++) {
        verifier->good = type_verify(func->args[i].type, verifier->diag, loc) && verifier->good;
        name_verify(verifier, &func->args[i], loc);
        *map_get(verifier->defined, &func->args[i]) = verifier;
    }
    FOR_EACH_OP(func, op) {
        bool good = uses_verify(verifier, op) && place_verify(verifier, func, op) && op_verify_row(op, verifier->diag) &&
                    inference_verify(op, verifier->diag, verifier->scratch) && op_verify_quantized(op, verifier->diag);
        verifier->good = verifier->good && good;
        for (int i = 0; i < op->result_count; i++) {
            name_verify(verifier, &op->results[i], op->loc);
            *map_get(verifier->defined, &op->results[i]) = verifier;
        }
    }
    FOR_EACH_OP(func, op) verifier->good = verifier->good && op_verify_rows(op, verifier->diag);
    if (verifier->good && func->last) verifier->good = func_verify_sizes(func, verifier->diag, verifier->scratch);
}

bool module_verify(const Module *module, Diag *diag) {
    Verifier verifier = {.diag = diag, .scratch = arena_new(), .good = true};
    Map *funcs = map_new_texts(verifier.scratch);
    for (const Func *func = module->funcs; func; func = func->next) {
        void **slot = map_get(funcs, func->name);
        if (*slot) verifier.good = diag_error(diag, loc_file(module->file), "two functions are named '@%s'", func->name);
        *slot = (void *)func;
        func_verify(&verifier, func);
    }
    if (verifier.good) verifier.good = module_verify_states(module, diag);
    arena_free(verifier.scratch);
    return verifier.good;
}
