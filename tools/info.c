// qanat info: what a model is: inputs, outputs, operators by kind, multiply-accumulates, weights; or which of its operators
// are not supported, and what to do about them.
#include <stdlib.h>
#include <string.h>

#include "ir/state.h"
#include "tools/data/npy.h"
#include "tools/dot.h"
#include "tools/json.h"
#include "tools/prepare.h"

static const OptionId ids[] = {OPT_json, OPT_dot, MODEL_OPTIONS, OPT_COUNT};

typedef struct {
    int op_count, kinds[OP_COUNT];
    int64_t macs, weight_elems;
    size_t weight_bytes;
    const Value **outputs;
    int output_count;
} Facts;

static int64_t op_macs(const Op *op) {
    int64_t outputs = type_elem_count(op->results[0].type);
    if (op->kind == OP_conv2d) {
        const int64_t *w = as_conv2d(op).weight->type->shape; // O KH KW I/group
        return outputs * w[1] * w[2] * w[3];
    }
    if (op->kind == OP_linear)
        return outputs * as_linear(op).weight->type->shape[1];
    if (op->kind == OP_matmul) {
        const Type *a = as_matmul(op).a->type;
        return outputs * a->shape[a->rank - 1];
    }
    return 0;
}

static void gather(const Model *model, Facts *facts) {
    *facts = (Facts){0};
    FOR_EACH_OP(module_main(model->imported), op) {
        if (op->kind == OP_constant) {
            facts->weight_elems += type_elem_count(op->results[0].type);
            facts->weight_bytes += type_bytes(op->results[0].type);
        } else if (op->kind == OP_return) {
            facts->outputs = ARENA_ARRAY(model->arena, const Value *, op->operand_count + 1);
            facts->output_count = op->operand_count;
            for (int i = 0; i < op->operand_count; i++)
                facts->outputs[i] = op_operand(op, i);
        } else {
            facts->op_count++;
            facts->kinds[op->kind]++;
            facts->macs += op->result_count ? op_macs(op) : 0;
        }
    }
}

static void print_tensor(const Model *model, const char *what, const Value *value) {
    char text[160];
    shape_text(text, sizeof text, value->type->elem, value->type->rank, value->type->shape);
    printf("%-9s %s %s\n", what, printable(model->arena, value->name ? value->name : ""), text);
}

static void print_text(const Model *model, const Facts *facts) {
    const Func *main = module_main(model->imported);
    printf("model     %s\n", model->path);
    const int inputs = module_input_count(model->imported);
    for (int i = 0; i < inputs; i++)
        print_tensor(model, "input", &main->args[i]);
    for (int i = 0; i < module_output_count(model->imported); i++)
        print_tensor(model, "output", facts->outputs[i]);
    for (int i = inputs; i < main->arg_count; i++)
        print_tensor(model, "state", &main->args[i]);
    printf("weights   %lld elements, %zu bytes\n", (long long)facts->weight_elems, facts->weight_bytes);
    printf("work      %lld multiply-accumulates\n", (long long)facts->macs);
    printf("operators %d, after folding and fusing:\n", facts->op_count);
    for (int kind = 0; kind < OP_COUNT; kind++)
        if (facts->kinds[kind])
            printf("  %5d  %s\n", facts->kinds[kind], op_info((OpKind)kind)->full_name);
}

static void json_tensor(const Value *value, bool first) {
    printf("%s{\"name\": ", first ? "" : ", ");
    json_string(stdout, value->name ? value->name : "");
    printf(", \"type\": \"%s\", \"shape\": [", elem_name(value->type->elem));
    for (int i = 0; i < value->type->rank; i++)
        printf("%s%lld", i ? ", " : "", (long long)value->type->shape[i]);
    printf("]}");
}

static void print_json(const Model *model, const Facts *facts) {
    const Func *main = module_main(model->imported);
    bool first = true;
    printf("{\"model\": ");
    json_string(stdout, model->path);
    printf(", \"inputs\": [");
    const int inputs = module_input_count(model->imported);
    for (int i = 0; i < inputs; i++)
        json_tensor(&main->args[i], i == 0);
    printf("], \"outputs\": [");
    for (int i = 0; i < module_output_count(model->imported); i++)
        json_tensor(facts->outputs[i], i == 0);
    printf("], \"states\": [");
    for (int i = inputs; i < main->arg_count; i++)
        json_tensor(&main->args[i], i == inputs);
    printf("], \"weight_elems\": %lld, \"weight_bytes\": %zu, \"macs\": %lld, \"ops\": {",
           (long long)facts->weight_elems, facts->weight_bytes, (long long)facts->macs);
    for (int kind = 0; kind < OP_COUNT; kind++)
        if (facts->kinds[kind]) {
            printf("%s\"%s\": %d", first ? "" : ", ", op_info((OpKind)kind)->full_name, facts->kinds[kind]);
            first = false;
        }
    printf("}}\n");
}

// ---- what is not supported

static void print_unsupported(const Model *model, const UnsupportedList *list) {
    printf("model     %s\nnot supported: %d operators\n", model->path, list->count);
    for (int i = 0; i < list->count; i++) {
        const Unsupported *item = &list->items[i];
        char opset[32] = "";
        if (item->opset)
            snprintf(opset, sizeof opset, ", opset %lld", (long long)item->opset);
        printf("  %5d  %s (domain %s%s), first '%s': %s\n", item->count, item->op, item->domain, opset, item->first,
               item->advice);
    }
}

static void json_field(const char *name, const char *text, bool last) {
    printf("\"%s\": ", name);
    json_string(stdout, text);
    printf("%s", last ? "}" : ", ");
}

static void json_unsupported(const Model *model, const UnsupportedList *list) {
    printf("{\"model\": ");
    json_string(stdout, model->path);
    printf(", \"unsupported\": [");
    for (int i = 0; i < list->count; i++) {
        const Unsupported *item = &list->items[i];
        printf("%s{\"count\": %d, \"opset\": %lld, ", i ? ", " : "", item->count, (long long)item->opset);
        json_field("op", item->op, false);
        json_field("domain", item->domain, false);
        json_field("first", item->first, false);
        json_field("advice", item->advice, true);
    }
    printf("]}\n");
}

int cmd_info(int argc, char **argv) {
    Options options;
    Model model;
    Facts facts;
    UnsupportedList unsupported = {0};
    int status;
    if (!cli_parse(argc, argv, ids, &options, &status))
        return status;
    if ((status = model_open(&model, &options, 1)) == STATUS_DONE) {
        model.import.unsupported = &unsupported;
        if (model_import(&model)) {
            gather(&model, &facts);
            if (options.dot)
                print_dot(module_main(model.imported));
            else
                (options.json ? print_json : print_text)(&model, &facts);
        } else {
            status = STATUS_INPUT; // its messages say what is wrong with single nodes
            if (unsupported.count)
                (options.json ? json_unsupported : print_unsupported)(&model, &unsupported);
        }
    }
    model_close(&model);
    return status;
}
