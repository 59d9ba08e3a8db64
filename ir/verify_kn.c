// What the verifier asks of custom operators; of kn.call, by the tables of kernels and families: a known kernel; attributes that are fields of
// its family, of their kind, within 32 bits; as many buffers as the family has pointers. And of sizes that vary: what is said of
// them can be read, and agrees at the largest with what the op is.
#include <string.h>

#include "ir/custom.h"
#include "ir/sizes.h"
#include "ir/targets.h"
#include "ir/verify.h"

static const FieldInfo *field_find(const FamilyInfo *family, const char *name) {
    for (int i = 0; i < family->field_count; i++)
        if (!strcmp(family->fields[i].name, name)) return &family->fields[i];
    return NULL;
}

static bool fits(const Attr *attr, const FieldInfo *field) {
    if (field->kind == 'F') return attr->kind == ATTR_FLOAT;
    if (attr->kind == ATTR_INT) return field->count == 1 && attr->i == (int32_t)attr->i;
    if (attr->kind != ATTR_INTS || attr->ints.count != field->count) return false;
    for (int i = 0; i < field->count; i++)
        if (attr->ints.data[i] != (int32_t)attr->ints.data[i]) return false;
    return true;
}

bool op_verify_call(const Op *op, Diag *diag) {
    if (op->kind != OP_kn_call) return true;
    const char *symbol = attr_find(op->attrs, "kernel")->s;
    const KernelInfo *kernel = kernel_find(symbol);
    if (!kernel) return diag_error(diag, op->loc, "kn.call: unknown kernel '%s'", symbol);
    const FamilyInfo *family = family_find(kernel->family);
    for (const Attr *attr = op->attrs; attr; attr = attr->next) {
        const FieldInfo *field = field_find(family, attr->name);
        if (field && !fits(attr, field))
            return diag_error(diag, op->loc, "kn.call: '%s' of family %s is %d %s of 32 bits", attr->name, family->name,
                              field->count, field->kind == 'F' ? "floats" : "integers");
        if (!field && strcmp(attr->name, "kernel") && strcmp(attr->name, "device") && !strchr(attr->name, '.'))
            return diag_error(diag, op->loc, "kn.call: family %s has no argument '%s'", family->name, attr->name);
    }
    if (op->operand_count != family->pointer_count || (op->operand_count && !op->operands[op->operand_count - 1].value))
        return diag_error(diag, op->loc, "kn.call: family %s takes %d buffers, the last written; found %d", family->name,
                          family->pointer_count, op->operand_count);
    return true;
}

// ---- sizes that vary

static bool value_is(const Varying *item, const int32_t *most, int64_t found) { return size_expr_at(&item->value, most) == found; }

static bool argument_verify(const Op *op, const Varying *item, const int32_t *most) {
    KernelArgs args;
    if (!args_from_op(&args, op)) return false;
    const FieldInfo *field = field_find(args.family, item->field);
    return field && field->kind == 'I' && item->index < field->count && value_is(item, most, args.words[field->word + item->index]);
}

static bool varying_verify(const Op *op, const Varying *item, const Sizes *sizes) {
    int32_t most[MAX_SIZES] = {0};
    for (int i = 0; i < sizes->count; i++) most[i] = sizes->items[i].most;
    bool is_place = op->kind == OP_kn_call && !strcmp(item->field, "buffer");
    if (size_expr_reach(&item->value, sizes) > (is_place ? 0x1p50 : (double)INT32_MAX)) return false;
    if (is_place) return item->index < op->operand_count && op_operand(op, item->index);
    if (op->kind == OP_kn_call) return argument_verify(op, item, most);
    const Type *type = op->results[0].type;
    return !strcmp(item->field, "shape") && item->index < type->rank && value_is(item, most, type->shape[item->index]);
}

static bool op_verify_varying(const Op *op, const Sizes *sizes, Diag *diag, Arena *scratch) {
    const Attr *attr = attr_find(op->attrs, "kn.varying");
    VaryingList list;
    if (!attr) return true;
    if (op->kind != OP_kn_call && op->kind != OP_kn_input && op->kind != OP_kn_output)
        return diag_error(diag, op->loc, "kn.varying: expected on kn.call, kn.input and kn.output only");
    if (attr->kind != ATTR_STRING || !varying_parse(scratch, attr->s, sizes, &list))
        return diag_error(diag, op->loc, "kn.varying: expected \"field[index] = expression; ...\" of the sizes in kn.sizes");
    for (int i = 0; i < list.count; i++)
        if (!varying_verify(op, &list.items[i], sizes))
            return diag_error(diag, op->loc, "kn.varying: '%s' is no integer argument of that op, or another at the largest sizes",
                              list.items[i].field);
    return true;
}

// False where kn.sizes can't be read; none where there is none.
static bool sizes_of(const Func *func, Arena *scratch, Sizes *sizes) {
    const Attr *attr = func->last ? attr_find(func->last->attrs, "kn.sizes") : NULL;
    *sizes = (Sizes){0};
    return !attr || (attr->kind == ATTR_STRING && sizes_parse(scratch, attr->s, sizes));
}

bool func_verify_sizes(const Func *func, Diag *diag, Arena *scratch) {
    const Func *main = module_main(func->module);
    Sizes sizes, whole;
    bool good = sizes_of(func, scratch, &sizes) && (!sizes.count || (main && sizes_of(main, scratch, &whole)));
    good = good && (!sizes.count || sizes.count == whole.count);
    for (int i = 0; good && i < sizes.count; i++) good = !strcmp(sizes.items[i].name, whole.items[i].name);
    if (!good)
        return diag_error(diag, func->last->loc, "kn.sizes of '@%s': expected \"name = least..most; ...\", the names those of @main", func->name);
    FOR_EACH_OP(func, op) good = op_verify_varying(op, &sizes, diag, scratch) && good;
    return good;
}

static bool can_be_custom(const Type *type) {
    return !type->quant && elem_code(type->elem) && !(type->halo[0] | type->halo[1] | type->halo[2] | type->halo[3]);
}

bool op_verify_custom(const Op *op, Diag *diag) {
    if (op->kind != OP_custom && op->kind != OP_kn_custom) return true;
    const char *name = op_info(op->kind)->full_name, *symbol = attr_find(op->attrs, "symbol")->s;
    int outputs = op->result_count;
    if (op->kind == OP_kn_custom) {
        int64_t inputs = attr_find(op->attrs, "inputs")->i;
        if (inputs < 0 || inputs > op->operand_count)
            return diag_error(diag, op->loc, "%s: %lld inputs among %d buffers", name, (long long)inputs, op->operand_count);
        outputs = op->operand_count - (int)inputs;
    }
    if (!can_name_custom(symbol))
        return diag_error(diag, op->loc, "%s: '%s' can't be the name of the user's C function", name, symbol);
    if (outputs < 1 || op->operand_count + op->result_count > MAX_CUSTOM_TENSORS)
        return diag_error(diag, op->loc, "%s: expected a result and at most %d inputs and results", name, MAX_CUSTOM_TENSORS);
    for (int i = 0; i < op->operand_count + op->result_count; i++) {
        const Value *value = i < op->operand_count ? op_operand(op, i) : &op->results[i - op->operand_count];
        if (!can_be_custom(value->type))
            return diag_error(diag, op->loc, "%s: a C function takes no tensor of these elements, or with a halo", name);
    }
    return true;
}
