// Nodes whose operator is not imported: one message an operator, however many nodes, with what to do about it. A graph
// within a node is looked into when it is converted: a branch that is not taken may hold anything.
#include <string.h>

#include "frontend/onnx/importer.h"

// Of damaged files, no more than some hundred operators are listed.
enum { MAX_GROUPS = MAX_UNSUPPORTED };

// Nodes of one operator.
typedef struct Group {
    const Onnx__NodeProto *first;
    int count;
    struct Group *next;
} Group;

typedef struct {
    Importer *importer;
    Group *groups, **end;
    int group_count;
} Groups;

static const char *text_or_empty(const char *text) {
    return text ? text : "";
}

static bool same_op(const Onnx__NodeProto *a, const Onnx__NodeProto *b) {
    return !strcmp(text_or_empty(a->op_type), text_or_empty(b->op_type)) &&
           !strcmp(text_or_empty(a->domain), text_or_empty(b->domain));
}

static void add_node(Groups *groups, const Onnx__NodeProto *proto) {
    Group *group = groups->groups;
    while (group && !same_op(group->first, proto))
        group = group->next;
    if (!group && groups->group_count++ < MAX_GROUPS) {
        *groups->end = group = ARENA_NEW(groups->importer->scratch, Group);
        group->first = proto;
        groups->end = &group->next;
    }
    if (group)
        group->count++;
}

// ---- what to do

static bool begins_with_one_of(const char *text, const char *const *starts) {
    for (; *starts; starts++)
        if (!strncmp(text, *starts, strlen(*starts)))
            return true;
    return false;
}

static const char *advice_for(const Importer *importer, const Onnx__NodeProto *proto) {
    static const char *const containers[] = {"Sequence", "Optional", "SplitToSequence", "ConcatFromSequence", NULL};
    static const char *const texts[] = {"String", "Regex", "TfIdf", "ImageDecoder", NULL};
    static const char *const chance[] = {"Random", "Bernoulli", "Multinomial", NULL};
    const char *op = text_or_empty(proto->op_type), *domain = text_or_empty(proto->domain);
    if (!strcmp(domain, "ai.onnx.ml"))
        return "trees, support vectors and the like are not compiled: leave them outside of the network";
    if (strstr(domain, "training"))
        return "training is not compiled: export the model for inference";
    if (!is_onnx_domain(domain))
        return arena_printf(importer->scratch, "a C function may compute it: --custom %s.%s=SYMBOL",
                            printable(importer->scratch, domain), printable(importer->scratch, op));
    if (begins_with_one_of(op, containers))
        return "sequences and optional values are not compiled: export the model with tensors only";
    if (begins_with_one_of(op, texts))
        return "texts and files are not compiled: prepare the input outside of the network";
    if (begins_with_one_of(op, chance))
        return "random numbers are not compiled: make its result an input of the model";
    const OnnxOp *row = onnx_op_find(op);
    if (row)
        return arena_printf(importer->scratch, "the op is in opset %d and later, the model's opset is %lld",
                            row->first_opset, (long long)importer->opset);
    return "`qanat ops` lists what is";
}

// ---- messages

static void report_group(Importer *importer, const Group *group) {
    Arena *scratch = importer->scratch;
    const char *op = printable(scratch, text_or_empty(group->first->op_type));
    bool own = is_onnx_domain(group->first->domain);
    const char *domain = own ? "ai.onnx" : printable(scratch, group->first->domain);
    const char *name = printable(scratch, proto_name(group->first)), *advice = advice_for(importer, group->first);
    const char *more = group->count > 1 ? arena_printf(scratch, " and %d more like it", group->count - 1) : "";
    if (own && onnx_op_find(op))
        import_error(importer, "node '%s' (%s)%s: %s", name, op, more, advice);
    else
        import_error(importer, "node '%s' (%s)%s: op %s of domain %s is not supported; %s", name, op, more, op, domain,
                     advice);
    UnsupportedList *list = importer->unsupported;
    if (!list || list->count == MAX_UNSUPPORTED)
        return;
    Arena *arena = importer->arena;
    list->items[list->count++] = (Unsupported){
        .op = arena_strdup(arena, op), .domain = arena_strdup(arena, domain), .first = arena_strdup(arena, name),
        .advice = arena_strdup(arena, advice), .opset = own ? importer->opset : 0, .count = group->count};
}

void report_unsupported(Importer *importer, size_t count, Onnx__NodeProto *const *nodes) {
    Groups groups = {.importer = importer};
    groups.end = &groups.groups;
    for (size_t i = 0; i < count; i++)
        if (!node_is_supported(importer, nodes[i]))
            add_node(&groups, nodes[i]);
    for (const Group *group = groups.groups; group; group = group->next)
        report_group(importer, group);
}
