// NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss: what the classes of the target have along
// dimension 1, weighted, and summed or averaged over all elements.
#include <string.h>

#include "frontend/onnx/importer.h"

typedef struct {
    Value *ignored; // which elements have the class that does not count; NULL: none
    Value *classes; // of every element, i64, one that exists where ignored
    Value *weights; // of every element; NULL: all 1
} Targets;

static Value *emit_where(const Node *node, Value *condition, Value *a, Value *b) {
    return emit(node, OP_where, 3, (Value *[]){condition, a, b}, NULL);
}

static bool read_targets(const Node *node, Targets *targets) {
    Value *classes = emit_cast(node, node_input(node, 1), ELEM_I64);
    Importer *importer = node->importer;
    *targets = (Targets){.classes = classes};
    if (!classes)
        return false;
    if (node_attr(node, "ignore_index")) {
        const Type *type = type_tensor(importer->scratch, ELEM_I64, 0, NULL);
        int64_t *ignored = arena_alloc(importer->arena, sizeof *ignored);
        *ignored = node_int(node, "ignore_index", 0);
        Value *index =
            emit_constant(importer, dense_new(importer->arena, type, ignored, false), true, NULL);
        Value *first =
            emit_constant(importer, dense_splat(importer->scratch, type, 0), false, NULL);
        targets->ignored = emit_binary(node, OP_equal, classes, index);
        targets->classes = emit_where(node, targets->ignored, first, classes);
    }
    if (node_has_input(node, 2))
        targets->weights =
            emit(node, OP_gather, 2, (Value *[]){node_input(node, 2), targets->classes}, NULL);
    else if (targets->ignored)
        targets->weights = emit_scalar(node, 1);
    if (targets->ignored)
        targets->weights =
            emit_where(node, targets->ignored, emit_scalar(node, 0), targets->weights);
    return targets->classes && (targets->weights || !(targets->ignored || node_has_input(node, 2)));
}

static Value *emit_over_all(const Node *node, OpKind kind, Value *input) {
    Arena *arena = node->importer->arena;
    int64_t axes[MAX_RANK];
    for (int i = 0; i < MAX_RANK; i++)
        axes[i] = i;
    if (!input)
        return NULL;
    Attr *attrs = attr_bool(arena, NULL, "keep_dims", false);
    return emit_unary(node, kind, input, attr_ints(arena, attrs, "axes", input->type->rank, axes));
}

// -scores[n, classes[n, ...], ...]
static Value *emit_picked(const Node *node, Value *scores, Value *classes) {
    int64_t column[MAX_RANK];
    int rank = scores->type->rank;
    for (int i = 0; i < rank; i++)
        column[i] = i == 1 ? 1 : classes->type->shape[i - (i > 1)];
    Value *indices = emit_reshape(node, classes, rank, column);
    Attr *axis = attr_int(node->importer->arena, NULL, "axis", 1);
    Value *picked = emit(node, OP_gather_elements, 2, (Value *[]){scores, indices}, axis);
    picked = emit_reshape(node, picked, rank - 1, classes->type->shape);
    return picked ? emit_unary(node, OP_neg, picked, NULL) : NULL;
}

static bool fits(const Node *node, const Type *scores, const Type *classes, const Type *weights) {
    bool same = scores->rank >= 2 && classes->rank == scores->rank - 1;
    for (int i = 0; same && i < classes->rank; i++)
        same = classes->shape[i] == scores->shape[i + (i > 0)];
    if (!same)
        return node_error(node, "its target does not have the shape of its scores without dimension 1");
    return !weights || (weights->rank == 1 && weights->shape[0] == scores->shape[1]) ||
           node_error(node, "its weights are %s, expected one for each of %lld classes",
                      type_text(node->importer->scratch, weights), (long long)scores->shape[1]);
}

static bool bind_loss(Node *node, Value *scores) {
    const char *reduction = node_string(node, "reduction", "mean");
    bool mean = !strcmp(reduction, "mean"), sum = !strcmp(reduction, "sum");
    Targets targets;
    const Type *classes = node_input_type(node, 1);
    if (!scores || !classes)
        return scores && node_input(node, 1) && false;
    if (!fits(node, scores->type, classes, node_input_type(node, 2)) || !read_targets(node, &targets))
        return false;
    if (!mean && !sum && strcmp(reduction, "none"))
        return node_error(node, "reduction '%s' is not one of ONNX", reduction);
    Value *loss = emit_picked(node, scores, targets.classes);
    if (targets.weights)
        loss = emit_binary(node, OP_mul, loss, targets.weights);
    if (targets.ignored) // not 0 * infinity
        loss = emit_where(node, targets.ignored, emit_scalar(node, 0), loss);
    if (sum || (mean && targets.weights))
        loss = emit_over_all(node, OP_reduce_sum, loss);
    else if (mean)
        loss = emit_over_all(node, OP_reduce_mean, loss);
    if (mean && targets.weights)
        loss = emit_binary(node, OP_div, loss, emit_over_all(node, OP_reduce_sum, targets.weights));
    return node_bind(node, 0, loss);
}

bool convert_negative_log_likelihood_loss(Node *node) {
    return bind_loss(node, node_input(node, 0));
}

bool convert_softmax_cross_entropy_loss(Node *node) {
    Value *scores = node_input(node, 0);
    if (!scores)
        return false;
    Attr *axis = attr_int(node->importer->arena, NULL, "axis", 1);
    Value *logarithms = emit_unary(node, OP_log_softmax, scores, axis);
    return bind_loss(node, logarithms) && node_bind(node, 1, logarithms);
}
