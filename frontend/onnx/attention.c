// Attention, FlexAttention: softmax(scale * Q K^T, what may not be attended taken out) V, of products, softmax and
// elementwise ops. Heads of queries that share a head of keys are a dimension of their own, so that nothing is repeated.
// What may be attended is a mask of booleans: a constant wherever positions alone decide it.
#include <math.h>
#include <string.h>

#include "frontend/onnx/importer.h"

typedef struct {
    Value *query, *key, *value; // batch, heads, positions, elements; those of keys with the past ones
    int64_t batch, heads, key_heads, queries, keys, past;
    bool is_packed; // heads stand in the last dimension of the node's inputs and output
} Heads;

// Is query i allowed key j: i + offset - left <= j <= i + offset + right; -1: no bound.
typedef struct {
    int64_t left, right;
} Reach;

// ---- heads

static Value *emit_heads(const Node *node, int index, const char *count_name) {
    Value *value = node_input(node, index);
    if (!value || value->type->rank == 4)
        return value;
    int64_t count = node_int(node, count_name, 0);
    const int64_t *s = value->type->shape;
    if (value->type->rank != 3 || count < 1 || s[2] % count)
        return node_error(node, "input %d of %d dimensions, with %s %lld, is not one of heads", index,
                          value->type->rank, count_name, (long long)count), NULL;
    value = emit_reshape(node, value, 4, (int64_t[]){s[0], s[1], count, s[2] / count});
    return emit_transpose(node, value, (int[]){0, 2, 1, 3});
}

static Value *emit_after_past(const Node *node, Value *value, int past) {
    Value *before = node_has_input(node, past) ? node_input(node, past) : NULL;
    return value && before ? emit_concat(node, 2, (Value *[]){before, value}, 2) : value;
}

static bool check_heads(const Node *node, const Heads *heads) {
    const int64_t *q = heads->query->type->shape, *k = heads->key->type->shape, *v = heads->value->type->shape;
    bool fits = k[0] == q[0] && v[0] == q[0] && k[1] == v[1] && k[2] == v[2] && k[3] == q[3];
    if (fits && k[1] && q[1] % k[1] == 0)
        return true;
    return node_error(node, "its query, key and value have shapes that do not belong together");
}

// Past keys and values are inputs `past` and `past + 1`; -1: the operator has none.
static bool read_heads(const Node *node, int past, Heads *heads) {
    const Type *type = node_input_type(node, 0);
    *heads = (Heads){.query = emit_heads(node, 0, "q_num_heads"), .key = emit_heads(node, 1, "kv_num_heads"),
                     .value = emit_heads(node, 2, "kv_num_heads")};
    if (past >= 0 && node_has_input(node, past) != node_has_input(node, past + 1))
        return node_error(node, "it has one of past_key and past_value, expected both");
    if (past >= 0) {
        const Type *before = node_input_type(node, past);
        heads->past = before && before->rank == 4 ? before->shape[2] : 0;
        heads->key = emit_after_past(node, heads->key, past);
        heads->value = emit_after_past(node, heads->value, past + 1);
    }
    if (!heads->query || !heads->key || !heads->value || !check_heads(node, heads))
        return false;
    heads->is_packed = type->rank == 3;
    heads->batch = heads->query->type->shape[0];
    heads->heads = heads->query->type->shape[1];
    heads->queries = heads->query->type->shape[2];
    heads->key_heads = heads->key->type->shape[1];
    heads->keys = heads->key->type->shape[2];
    return true;
}

// a of query heads times b of key heads.
static Value *emit_head_product(const Node *node, const Heads *heads, Value *a, Value *b) {
    if (!a || !b || heads->heads == heads->key_heads)
        return emit_binary(node, OP_matmul, a, b);
    const int64_t *x = a->type->shape, *y = b->type->shape;
    int64_t group = heads->heads / heads->key_heads;
    a = emit_reshape(node, a, 5, (int64_t[]){x[0], heads->key_heads, group, x[2], x[3]});
    int64_t rows = x[2], columns = y[3];
    b = emit_reshape(node, b, 5, (int64_t[]){y[0], y[1], 1, y[2], y[3]});
    Value *product = emit_binary(node, OP_matmul, a, b);
    return emit_reshape(node, product, 4, (int64_t[]){heads->batch, heads->heads, rows, columns});
}

static Value *emit_scores(const Node *node, const Heads *heads) {
    int64_t size = heads->query->type->shape[3];
    double scale = node_float(node, "scale", 1 / sqrt((double)(size ? size : 1)));
    Value *query = scale == 1 ? heads->query : emit_binary(node, OP_mul, heads->query, emit_scalar(node, scale));
    return emit_head_product(node, heads, query, emit_transpose(node, heads->key, (int[]){0, 1, 3, 2}));
}

static Value *emit_softmax(const Node *node, Value *scores) {
    return emit_unary(node, OP_softmax, scores, attr_int(node->importer->arena, NULL, "axis", 3));
}

static bool bind_result(Node *node, const Heads *heads, Value *weights) {
    Value *output = emit_head_product(node, heads, weights, heads->value);
    if (!output || !heads->is_packed)
        return node_bind(node, 0, output);
    int64_t width = heads->heads * output->type->shape[3];
    output = emit_transpose(node, output, (int[]){0, 2, 1, 3});
    return node_bind(node, 0, emit_reshape(node, output, 3, (int64_t[]){heads->batch, heads->queries, width}));
}

// ---- what may be attended

static Value *emit_where(const Node *node, Value *condition, Value *a, Value *b) {
    return emit(node, OP_where, 3, (Value *[]){condition, a, b}, NULL);
}

static Value *emit_both(const Node *node, Value *a, Value *b) {
    return !a ? b : !b ? a : emit_binary(node, OP_and, a, b);
}

// [queries, keys]: known now. *full: every query has a key.
static Value *emit_fixed_reach(const Node *node, const Heads *heads, Reach reach, bool *full) {
    Importer *importer = node->importer;
    int64_t dims[2] = {heads->queries, heads->keys};
    if (dims_count(2, dims) < 0)
        return node_error(node, "a mask of %lld by %lld is too large", (long long)dims[0], (long long)dims[1]), NULL;
    Dense *dense = dense_alloc(importer->arena, type_tensor(importer->arena, ELEM_I1, 2, dims));
    uint8_t *at = (uint8_t *)dense->data;
    *full = true;
    for (int64_t i = 0; i < dims[0]; i++) {
        int64_t place = i + heads->past, count = 0;
        for (int64_t j = 0; j < dims[1]; j++, at++)
            count += *at = (reach.left < 0 || place - reach.left <= j) && (reach.right < 0 || j <= place + reach.right);
        *full &= count > 0;
    }
    return emit_constant(importer, dense, true, NULL);
}

static Value *emit_i64(const Node *node, int64_t number) {
    Value *value = emit_ints(node, 1, &number);
    return emit_reshape(node, value, 0, NULL);
}

// [batch, 1, queries or 1, keys]: the count of keys that are there, `lengths`, is the batch's.
static Value *emit_counted_reach(const Node *node, const Heads *heads, Reach reach, Value *lengths) {
    lengths = emit_reshape(node, lengths, 4, (int64_t[]){heads->batch, 1, 1, 1});
    Value *keys = emit_iota(node, 4, 3, heads->keys), *allowed = emit_binary(node, OP_less, keys, lengths);
    if (reach.left < 0 && reach.right < 0)
        return allowed;
    Value *offset = emit_binary(node, OP_sub, lengths, emit_i64(node, heads->queries));
    Value *place = emit_binary(node, OP_add, emit_iota(node, 4, 2, heads->queries), offset);
    if (reach.left >= 0) {
        Value *first = emit_binary(node, OP_sub, place, emit_i64(node, reach.left));
        allowed = emit_binary(node, OP_and, allowed, emit_binary(node, OP_less_equal, first, keys));
    }
    if (reach.right >= 0) {
        Value *last = emit_binary(node, OP_add, place, emit_i64(node, reach.right));
        allowed = emit_binary(node, OP_and, allowed, emit_binary(node, OP_less_equal, keys, last));
    }
    return allowed;
}

// The mask's last dimension may be shorter than the keys are: the others are not attended.
static Value *emit_mask(const Node *node, const Heads *heads) {
    Value *mask = node_input(node, 3);
    if (!mask)
        return NULL;
    int rank = mask->type->rank;
    if (rank < 1 || rank > 4 || mask->type->shape[rank - 1] > heads->keys)
        return node_error(node, "its mask is %s, which does not fit %lld keys",
                          type_text(node->importer->scratch, mask->type), (long long)heads->keys), NULL;
    int64_t low[4] = {0}, high[4] = {0};
    high[rank - 1] = heads->keys - mask->type->shape[rank - 1];
    if (!high[rank - 1])
        return mask;
    Arena *arena = node->importer->arena;
    Attr *attrs = attr_ints(arena, attr_ints(arena, NULL, "high", rank, high), "low", rank, low);
    if (mask->type->elem != ELEM_I1)
        attrs = attr_float(arena, attrs, "value", -(double)INFINITY);
    return emit_unary(node, OP_pad, mask, attrs);
}

typedef struct {
    Value *allowed, *added; // booleans, floats; either may be absent
    bool full;              // every query has a key that it may attend
} Mask;

static bool read_mask(const Node *node, const Heads *heads, Mask *mask) {
    bool causal = node_int(node, "is_causal", 0) != 0;
    Reach reach = {node_int(node, "left_window_size", -1), node_int(node, "right_window_size", -1)};
    *mask = (Mask){.full = true};
    if (reach.left < -1 || reach.right < -1 || reach.left > MAX_IMPORT_ELEMS || reach.right > MAX_IMPORT_ELEMS)
        return node_error(node, "a window size is out of bounds: -1 is none");
    if (causal)
        reach.right = 0;
    if (node_has_input(node, 6)) {
        mask->allowed = emit_counted_reach(node, heads, reach, node_input(node, 6));
        mask->full = false;
    } else if (reach.left >= 0 || reach.right >= 0) {
        mask->allowed = emit_fixed_reach(node, heads, reach, &mask->full);
    }
    if (!mask->allowed && (node_has_input(node, 6) || reach.left >= 0 || reach.right >= 0))
        return false;
    if (!node_has_input(node, 3))
        return true;
    Value *given = emit_mask(node, heads);
    mask->full = false;
    if (given && given->type->elem == ELEM_I1)
        mask->allowed = emit_both(node, mask->allowed, given);
    else
        mask->added = given;
    return given && (mask->allowed || mask->added);
}

static Value *emit_masked(const Node *node, const Mask *mask, Value *scores) {
    if (mask->added)
        scores = emit_binary(node, OP_add, scores, mask->added);
    return mask->allowed ? emit_where(node, mask->allowed, scores, emit_scalar(node, -(double)INFINITY)) : scores;
}

// Where a query has no key at all, softmax gives NaN; its weights are 0.
static Value *emit_weights(const Node *node, const Mask *mask, Value *scores) {
    Value *weights = emit_softmax(node, scores);
    if (mask->full || !weights)
        return weights;
    Value *nothing = emit_scalar(node, -(double)INFINITY), *bias = mask->added ? mask->added : emit_scalar(node, 0);
    bias = mask->allowed ? emit_where(node, mask->allowed, bias, nothing) : bias;
    if (!bias)
        return NULL;
    Attr *attrs = attr_ints(node->importer->arena, NULL, "axes", 1, (int64_t[]){bias->type->rank - 1});
    Value *empty = emit_binary(node, OP_equal, emit_unary(node, OP_reduce_max, bias, attrs), nothing);
    return emit_where(node, empty, emit_scalar(node, 0), weights);
}

// ---- the operators

static Value *emit_softcap(const Node *node, Value *scores) {
    double cap = node_float(node, "softcap", 0);
    if (!(cap > 0))
        return scores;
    Value *ratio = emit_binary(node, OP_div, scores, emit_scalar(node, cap));
    Value *bent = emit_unary(node, OP_tanh, ratio, NULL);
    return emit_binary(node, OP_mul, bent, emit_scalar(node, cap));
}

bool convert_attention(Node *node) {
    Heads heads;
    Mask mask;
    int64_t mode = node_int(node, "qk_matmul_output_mode", 0);
    if (mode < 0 || mode > 3)
        return node_error(node, "qk_matmul_output_mode is %lld, expected 0 to 3", (long long)mode);
    if (node_has_input(node, 6) && node_has_input(node, 4))
        return node_error(node, "nonpad_kv_seqlen and past_key are both given");
    if (!read_heads(node, 4, &heads) || !read_mask(node, &heads, &mask))
        return false;
    Value *stages[4] = {emit_scores(node, &heads)};
    stages[1] = emit_softcap(node, stages[0]);
    stages[2] = stages[1] ? emit_masked(node, &mask, stages[1]) : NULL;
    stages[3] = stages[2] ? emit_weights(node, &mask, stages[2]) : NULL;
    if (!stages[3] || !bind_result(node, &heads, stages[3]))
        return false;
    if (!node_bind(node, 1, heads.key) || !node_bind(node, 2, heads.value))
        return false;
    return node_bind(node, 3, stages[mode]);
}

// What a graph of one input and one output makes of `value`; itself where the node has none.
static Value *emit_modified(const Node *node, const char *name, Value *value) {
    const Onnx__AttributeProto *attr = node_attr(node, name);
    Binding in = {.value = value}, out = {0};
    if (!attr || !value)
        return value;
    if (!convert_graph(node, attr->g, 1, &in, 1, &out))
        return NULL;
    Value *result = binding_value(node, out);
    if (result && !type_same_shape(result->type, value->type))
        return node_error(node, "%s gives another shape than it takes", name), NULL;
    return emit_cast(node, result, ELEM_F32);
}

bool convert_flex_attention(Node *node) {
    Heads heads;
    const Type *type = node_input_type(node, 0);
    if (type && type->rank != 4)
        return node_error(node, "its query has %d dimensions, expected 4", type->rank);
    if (!read_heads(node, -1, &heads))
        return false;
    Value *scores = emit_modified(node, "score_mod", emit_scores(node, &heads));
    return bind_result(node, &heads, emit_modified(node, "prob_mod", emit_softmax(node, scores)));
}
