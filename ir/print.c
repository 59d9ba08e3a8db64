// The printer of print.h: modules, functions and ops in MLIR's textual conventions (docs/language.md). What it writes
// parses back to the same module, and prints the same again. Attributes at their default are left out.
#include "ir/print.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "ir/binary.h"
#include "ir/print_dense.h"

// ---- names and types

static void type_print(Printer *printer, const Type *type) {
    if (!type) {
        fputs("none", printer->out);
        return;
    }
    void **text = map_get(printer->type_texts, type); // a per-axis type is long, and stands often
    if (!*text) *text = (void *)type_text(printer->scratch, type);
    fputs(*text, printer->out);
}

// %name where it is made of plain characters and not all digits, else %"name"; unnamed values are numbered.
static void value_print(Printer *printer, const Value *value) {
    if (!value) {
        fputs("none", printer->out);
        return;
    }
    fputc('%', printer->out);
    if (!value->name) {
        size_t number = (size_t)map_find(printer->numbers, value);
        if (number) fprintf(printer->out, "%zu", number - 1);
        else fputs("?", printer->out); // not of this function: a broken module, printed to be looked at
        return;
    }
    bool plain = *value->name, digits = true;
    for (const char *c = value->name; *c; c++) {
        plain = plain && (isalnum((unsigned char)*c) || strchr("_.$-", *c));
        digits = digits && isdigit((unsigned char)*c);
    }
    if (plain && !digits) fputs(value->name, printer->out);
    else string_print(printer->out, value->name);
}

static void number_values(Printer *printer, const Func *func) {
    size_t number = 0;
    printer->numbers = map_new_pointers(printer->scratch);
    for (int i = 0; i < func->arg_count; i++)
        if (!func->args[i].name) *map_get(printer->numbers, &func->args[i]) = (void *)++number;
    FOR_EACH_OP(func, op)
        for (int i = 0; i < op->result_count; i++)
            if (!op->results[i].name) *map_get(printer->numbers, &op->results[i]) = (void *)++number;
}

static void symbol_print(FILE *out, const char *name) {
    bool plain = *name;
    for (const char *c = name; *c; c++) plain = plain && (isalnum((unsigned char)*c) || strchr("_.$-", *c));
    fputc('@', out);
    if (plain) fputs(name, out);
    else string_print(out, name);
}

// ---- attributes

static void attr_value_print(Printer *printer, const Attr *attr, const char *hint) {
    FILE *out = printer->out;
    switch (attr->kind) {
    case ATTR_INT: fprintf(out, "%lld", (long long)attr->i); break;
    case ATTR_BOOL: fputs(attr->i ? "true" : "false", out); break;
    case ATTR_FLOAT: fputs(number_text(printer->scratch, attr->f, false), out); break;
    case ATTR_STRING: string_print(out, attr->s); break;
    case ATTR_TYPE: type_print(printer, attr->type); break;
    case ATTR_INTS:
        fputc('[', out);
        for (int i = 0; i < attr->ints.count; i++) fprintf(out, "%s%lld", i ? ", " : "", (long long)attr->ints.data[i]);
        fputc(']', out);
        break;
    case ATTR_FLOATS:
        fputc('[', out);
        for (int i = 0; i < attr->floats.count; i++)
            fprintf(out, "%s%s", i ? ", " : "", number_text(printer->scratch, attr->floats.data[i], false));
        fputc(']', out);
        break;
    case ATTR_DENSE:
        dense_print(printer, attr->dense, hint);
        fputs(" : ", out);
        type_print(printer, attr->dense->type);
        break;
    }
}

static bool is_default(const Attr *attr, const AttrInfo *row) {
    if (row->required || attr->kind != row->kind) return false;
    switch (attr->kind) {
    case ATTR_INT: case ATTR_BOOL: return (double)attr->i == row->number;
    case ATTR_FLOAT: return attr->f == row->number;
    case ATTR_STRING: return row->text && !strcmp(attr->s, row->text);
    case ATTR_INTS:
        for (int i = 0; i < attr->ints.count; i++)
            if ((double)attr->ints.data[i] != row->number) return false;
        return true;
    default: return false;
    }
}

static void attr_print(Printer *printer, const Attr *attr, int *count, const char *hint) {
    fputs((*count)++ ? ", " : " {", printer->out);
    if (is_identifier(attr->name)) fputs(attr->name, printer->out);
    else string_print(printer->out, attr->name);
    fputs(" = ", printer->out);
    attr_value_print(printer, attr, hint);
}

static const AttrInfo *row_of(const OpInfo *info, const char *name) {
    for (int i = 0; i < info->attr_count; i++)
        if (!strcmp(info->attrs[i].name, name)) return &info->attrs[i];
    return NULL;
}

// Those of the row in its order, then others in theirs.
static void attrs_print(Printer *printer, const Op *op, const char *hint) {
    const OpInfo *info = op_info(op->kind);
    int count = 0;
    for (int i = 0; i < info->attr_count; i++) {
        const Attr *attr = attr_find(op->attrs, info->attrs[i].name);
        if (attr && !is_default(attr, &info->attrs[i])) attr_print(printer, attr, &count, hint);
    }
    for (const Attr *attr = op->attrs; attr; attr = attr->next)
        if (!row_of(info, attr->name)) attr_print(printer, attr, &count, hint);
    if (count) fputc('}', printer->out);
}

// ---- ops

// `: T` for ops without operands, `: T, T` (of the operands) for those without results, else `: (T, T) -> T`.
static void signature_print(Printer *printer, const Op *op) {
    FILE *out = printer->out;
    bool both = op->operand_count && op->result_count;
    if (!op->operand_count && !op->result_count) return;
    fputs(both ? " : (" : " : ", out);
    for (int i = 0; i < op->operand_count; i++) {
        const Value *value = op->operands[i].value;
        if (i) fputs(", ", out);
        type_print(printer, value ? value->type : NULL);
    }
    if (both) fputs(op->result_count > 1 ? ") -> (" : ") -> ", out);
    for (int i = 0; i < op->result_count; i++) {
        if (i) fputs(", ", out);
        type_print(printer, op->results[i].type);
    }
    if (both && op->result_count > 1) fputc(')', out);
}

// The op's name in the model; with the aliases of its result, fused["name" or unknown, aliases…].
static void loc_print(Printer *printer, const Op *op) {
    FILE *out = printer->out;
    int aliases = op->result_count ? op->results[0].alias_count : 0;
    if (!op->loc.name && !aliases) return;
    fputs(aliases ? " loc(fused[" : " loc(", out);
    if (op->loc.name) string_print(out, op->loc.name);
    else fputs("unknown", out);
    for (int i = 0; i < aliases; i++) {
        fputs(", ", out);
        string_print(out, op->results[0].aliases[i]);
    }
    fputs(aliases ? "])" : ")", out);
}

static void print_op(Printer *printer, const Op *op, int number) {
    FILE *out = printer->out;
    const OpInfo *info = op_info(op->kind);
    const char *hint = op->result_count && op->results[0].name ? op->results[0].name
                                                               : arena_printf(printer->scratch, "constant_%d", number);
    for (int i = 0; i < op->result_count; i++) {
        if (i) fputs(", ", out);
        value_print(printer, &op->results[i]);
    }
    fprintf(out, "%s%s", op->result_count ? " = " : "", info->full_name);
    for (int i = 0; i < op->operand_count; i++) {
        fputs(i ? ", " : " ", out);
        value_print(printer, op->operands[i].value);
    }
    const Dense *dense = op->kind == OP_constant ? value_constant(&op->results[0]) : NULL;
    if (dense && type_equal(dense->type, op->results[0].type) && !op->attrs->next) {
        fputc(' ', out);
        dense_print(printer, dense, hint);
    } else attrs_print(printer, op, hint);
    signature_print(printer, op);
    if (printer->options.locations) loc_print(printer, op);
    fputc('\n', out);
}

// ---- functions and modules

static void func_print(Printer *printer, const Func *func) {
    FILE *out = printer->out;
    int number = 0;
    number_values(printer, func);
    fputs("  func ", out);
    symbol_print(out, func->name);
    fputc('(', out);
    for (int i = 0; i < func->arg_count; i++) {
        if (i) fputs(", ", out);
        value_print(printer, &func->args[i]);
        fputs(": ", out);
        type_print(printer, func->args[i].type);
    }
    fputc(')', out);
    int results = func->last && func->last->kind == OP_return ? func->last->operand_count : 0;
    if (results) fputs(results > 1 ? " -> (" : " -> ", out);
    for (int i = 0; i < results; i++) {
        if (i) fputs(", ", out);
        type_print(printer, func->last->operands[i].value->type);
    }
    fputs(results > 1 ? ") {\n" : " {\n", out);
    FOR_EACH_OP(func, op) {
        fputs("    ", out);
        print_op(printer, op, number++);
    }
    fputs("  }\n", out);
}

static Printer printer_new(FILE *out, PrintOptions options) {
    Arena *scratch = arena_new();
    return (Printer){.out = out, .options = options, .scratch = scratch, .blob_names = map_new_texts(scratch),
                     .numbers = map_new_pointers(scratch), .type_texts = map_new_pointers(scratch)};
}

static void body_print(Printer *printer, const Module *module) {
    FILE *out = printer->out;
    int count = 0;
    fputs("module ", out);
    symbol_print(out, module->name);
    if (module->attrs) fputs(" attributes", out);
    for (const Attr *attr = module->attrs; attr; attr = attr->next) attr_print(printer, attr, &count, attr->name);
    fputs(count ? "} {\n" : " {\n", out);
    for (const Func *func = module->funcs; func; func = func->next) func_print(printer, func);
    fputs("}\n", out);
}

void module_print(FILE *out, const Module *module, PrintOptions options) {
    Printer printer = printer_new(out, options);
    body_print(&printer, module);
    blobs_print(&printer);
    arena_free(printer.scratch);
}

static bool pad_to(FILE *out, size_t from, size_t to) {
    for (; from < to; from++)
        if (fputc(0, out) == EOF) return false;
    return true;
}

bool module_write_binary(FILE *out, const Module *module, PrintOptions options) {
    char *text = NULL;
    size_t text_bytes = 0, at = 0;
    FILE *memory = open_memstream(&text, &text_bytes);
    BUG_UNLESS(memory, "out of memory");
    options.blobs_apart = true;
    Printer printer = printer_new(memory, options);
    body_print(&printer, module);
    QirHeader header = {.magic = QIR_MAGIC, .version = QIR_VERSION, .header_bytes = sizeof header};
    header.blobs_bytes = blobs_place(&printer);
    blobs_print(&printer);
    fclose(memory);
    header.text_bytes = text_bytes;
    header.blobs_offset = (sizeof header + text_bytes + QIR_ALIGNMENT - 1) / QIR_ALIGNMENT * QIR_ALIGNMENT;
    header.text_checksum = qir_checksum(QIR_CHECKSUM_SEED, text, text_bytes);
    header.blobs_checksum = QIR_CHECKSUM_SEED;
    for (const Blob *blob = printer.blobs; blob; blob = blob->next)
        header.blobs_checksum = qir_checksum(header.blobs_checksum, blob->data, blob->bytes);
    bool good = fwrite(&header, sizeof header, 1, out) == 1 && fwrite(text, 1, text_bytes, out) == text_bytes &&
                pad_to(out, sizeof header + text_bytes, header.blobs_offset);
    for (const Blob *blob = printer.blobs; blob && good; blob = blob->next) {
        good = pad_to(out, at, blob->offset) && fwrite(blob->data, 1, blob->bytes, out) == blob->bytes;
        at = blob->offset + blob->bytes;
    }
    free(text);
    arena_free(printer.scratch);
    return good;
}

void op_print(FILE *out, const Op *op) {
    Printer printer = printer_new(out, (PrintOptions){.elide_constants = true, .locations = true});
    number_values(&printer, op->func);
    print_op(&printer, op, 0);
    arena_free(printer.scratch);
}
