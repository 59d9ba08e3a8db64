// What the verifier asks of kn.call, by the tables of kernels and families: a known kernel; attributes that are fields of
// its family, of their kind, within 32 bits; as many buffers as the family has pointers.
#include <string.h>

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
