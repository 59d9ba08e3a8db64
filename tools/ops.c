// qanat ops: the operators, from the table of ir/ops.def, and those of ONNX; with --markdown, the text of docs/ops.md.
#include <math.h>
#include <string.h>

#include "frontend/frontend.h"
#include "ir/ir.h"
#include "tools/cli.h"

static const OptionId ids[] = {OPT_markdown, OPT_COUNT};

static const char *arity_mark(OperandArity arity) {
    return arity == OPERAND_OPTIONAL ? "?" : arity == OPERAND_VARIADIC ? "..." : "";
}

static void print_operands(int count, const OperandInfo *operands, const char *quote) {
    for (int i = 0; i < count; i++)
        printf("%s%s%s%s%s: %s", i ? ", " : "", quote, operands[i].name, arity_mark(operands[i].arity), quote,
               operands[i].type);
}

static void print_default(const AttrInfo *attr) {
    if (attr->required)
        return;
    if (attr->text)
        printf(" = \"%s\"", attr->text);
    else if (attr->kind == ATTR_BOOL)
        printf(" = %s", attr->number != 0 ? "true" : "false");
    else if (isinf(attr->number))
        printf(" = %sinfinity", attr->number < 0 ? "-" : "");
    else
        printf(" = %g", attr->number);
}

static void print_text(const OpInfo *info) {
    printf("%s(", info->full_name);
    print_operands(info->operand_count, info->operands, "");
    printf(") -> (");
    print_operands(info->result_count, info->results, "");
    printf(")");
    for (int i = 0; i < info->attr_count; i++) {
        printf("%s%s", i ? ", " : " {", info->attrs[i].name);
        print_default(&info->attrs[i]);
    }
    printf("%s\n    %s\n", info->attr_count ? "}" : "", info->summary);
}

static void print_markdown(const OpInfo *info) {
    printf("\n## %s\n\n%s.\n", info->full_name, info->summary);
    if (info->operand_count) {
        printf("\n- operands: ");
        print_operands(info->operand_count, info->operands, "`");
    }
    if (info->result_count) {
        printf("\n- results: ");
        print_operands(info->result_count, info->results, "`");
    }
    for (int i = 0; i < info->attr_count; i++) {
        printf("%s`%s`", i ? ", " : "\n- attributes: ", info->attrs[i].name);
        print_default(&info->attrs[i]);
    }
    if (info->traits & INT8)
        printf("\n- has an i8 form%s", info->traits & TABLE ? ": a 256-entry table" : "");
    printf("\n");
}

static void print_onnx(bool markdown) {
    int opset;
    printf(markdown ? "\n# ONNX\n\nOperators of domain `ai.onnx` that are imported, opsets 1 to the newest:\n\n"
                    : "\noperators of ONNX (domain ai.onnx) that are imported, opsets 1 to the newest:\n    ");
    const char *name;
    for (int i = 0; (name = onnx_operator(i, &opset)); i++)
        printf(markdown ? "%s`%s`" : "%s%s", i == 0 ? "" : i % 8 ? ", " : markdown ? ",\n" : ",\n    ", name);
    printf("\n");
}

static void print_tflite(bool markdown) {
    printf(markdown ? "\n# TFLite\n\nBuiltin operators that are imported, and custom ones by their own names:\n\n"
                    : "\noperators of TFLite that are imported:\n    ");
    const char *name;
    for (int i = 0; (name = tflite_operator(i)); i++)
        printf(markdown ? "%s`%s`" : "%s%s", i == 0 ? "" : i % 6 ? ", " : markdown ? ",\n" : ",\n    ", name);
    printf("\n");
}

int cmd_ops(int argc, char **argv) {
    Options options;
    int status;
    if (!cli_parse(argc, argv, ids, &options, &status))
        return status;
    if (options.markdown)
        printf("# Operators\n\nMade by `qanat ops --markdown` from `ir/ops.def`. `?` marks an optional operand, `...` any "
               "number of them.\n");
    for (int kind = 0; kind < OP_COUNT; kind++)
        (options.markdown ? print_markdown : print_text)(op_info((OpKind)kind));
    print_onnx(options.markdown);
    print_tflite(options.markdown);
    return STATUS_DONE;
}
