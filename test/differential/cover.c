// Counts of ops and kernel rows (cover.h).
#include "test/differential/cover.h"

#include <string.h>

#include "ir/targets.h"

static Form form_of(const Op *op) {
    const Value *first = op_operand(op, 0);
    const Type *type = first ? first->type : op->results[0].type;
    if (type->quant) return FORM_QUANTIZED;
    return elem_is_float(type->elem) ? FORM_FLOAT : FORM_INTEGER;
}

void cover_network(Cover *cover, const Func *main) {
    FOR_EACH_OP(main, op)
        if (op->result_count) cover->ops[op->kind][form_of(op)]++;
}

void cover_program(Cover *cover, const Func *kn) {
    FOR_EACH_OP(kn, op)
        for (int i = 0; op->kind == OP_kn_call && i < kernel_count(); i++)
            if (!strcmp(kernel_at(i)->symbol, as_kn_call(op).kernel)) cover->rows[i]++;
}

void cover_print(const Cover *cover) {
    printf("%-24s %9s %9s %9s\n", "op", "float", "quantized", "integer");
    for (int kind = 0; kind < OP_COUNT; kind++)
        if (!strcmp(op_info((OpKind)kind)->dialect, "nn"))
            printf("%-24s %9ld %9ld %9ld\n", op_info((OpKind)kind)->name, cover->ops[kind][FORM_FLOAT], cover->ops[kind][FORM_QUANTIZED],
                   cover->ops[kind][FORM_INTEGER]);
    for (int i = 0; i < kernel_count(); i++) printf("%-56s %9ld\n", kernel_at(i)->symbol, cover->rows[i]);
}

static int missing(FILE *out, const char *name, const char *form) {
    if (out) fprintf(out, "%s never ran%s\n", name, form);
    return 1;
}

int cover_missing(const Cover *cover, FILE *out) {
    int count = 0;
    for (int kind = 0; kind < OP_COUNT; kind++) {
        const OpInfo *info = op_info((OpKind)kind);
        const long *forms = cover->ops[kind];
        if (strcmp(info->dialect, "nn") || !(info->traits & PURE)) continue;
        const char *class = info->operand_count ? info->operands[0].type : "ANY";
        if (strcmp(class, "QUANT") && forms[FORM_FLOAT] + forms[FORM_INTEGER] == 0) count += missing(out, info->full_name, "");
        if (info->traits & INT8 && info->operand_count && strcmp(class, "F32") && !forms[FORM_QUANTIZED])
            count += missing(out, info->full_name, " in its quantized form");
    }
    for (int i = 0; i < kernel_count(); i++)
        if (!cover->rows[i] && target_for_isa(kernel_at(i)->isa)) count += missing(out, kernel_at(i)->symbol, "");
    return count;
}
