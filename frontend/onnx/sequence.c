// What transformers and their like have besides attention: rotary embedding, gates, and two operators that carry a state
// from one piece of a sequence to the next.
#include <math.h>
#include <string.h>

#include "frontend/onnx/window.h"

// Elements [first, first + count * step) of one dimension.
static Value *emit_range_of(const Node *node, Value *value, int axis, int64_t first, int64_t count, int64_t step) {
    int64_t starts[MAX_RANK] = {0}, ends[MAX_RANK], steps[MAX_RANK];
    if (!value)
        return NULL;
    for (int i = 0; i < value->type->rank; i++)
        ends[i] = value->type->shape[i], steps[i] = 1;
    starts[axis] = first;
    ends[axis] = first + count * step;
    steps[axis] = step;
    if (ends[axis] > value->type->shape[axis])
        ends[axis] = value->type->shape[axis];
    return emit_slice(node, value, starts, ends, steps);
}

bool convert_swiglu(Node *node) {
    Value *a = node_input(node, 0), *b = node_input(node, 1);
    if (!a || !b)
        return false;
    if (!type_same_shape(a->type, b->type))
        return node_error(node, "its inputs differ in shape");
    Attr *attrs = attr_float(node->importer->arena, NULL, "alpha", node_float(node, "alpha", 1));
    return node_bind(node, 0, emit_binary(node, OP_mul, emit_unary(node, OP_swish, a, attrs), b));
}

// ---- RotaryEmbedding

// Input `index`, cosines or sines: by position ids or as they are; [batch, sequence, half] with a dimension of heads added,
// at 1 or 2.
static Value *emit_angles(const Node *node, int index, int64_t half, int heads_at) {
    Value *cache = node_input(node, index);
    int64_t dims[4];
    if (!cache)
        return NULL;
    if (node_has_input(node, 3)) {
        if (cache->type->rank != 2 || !node_check_indices(node, 3, 1, cache->type->shape))
            return cache->type->rank != 2 ? node_error(node, "with position_ids, its caches have 2 dimensions"), NULL : NULL;
        cache = emit(node, OP_gather, 2, (Value *[]){cache, node_input(node, 3)}, NULL);
    }
    if (!cache)
        return NULL;
    if (cache->type->rank != 3 || cache->type->shape[2] != half)
        return node_error(node, "its caches are %s, expected batch, sequence and %lld elements",
                          type_text(node->importer->scratch, cache->type), (long long)half), NULL;
    for (int i = 0, from = 0; i < 4; i++)
        dims[i] = i == heads_at ? 1 : cache->type->shape[from++];
    return emit_reshape(node, cache, 4, dims);
}

// The first 2 * half elements of each head as pairs, turned; the others follow as they are.
static Value *emit_rotated(const Node *node, Value *x, int64_t half, bool interleaved, Value *cosine, Value *sine) {
    const int64_t *s = x->type->shape;
    Value *a = emit_range_of(node, x, 3, 0, half, interleaved ? 2 : 1);
    Value *b = emit_range_of(node, x, 3, interleaved ? 1 : half, half, interleaved ? 2 : 1);
    Value *real = emit_binary(node, OP_mul, cosine, a), *imaginary = emit_binary(node, OP_mul, sine, a);
    real = emit_binary(node, OP_sub, real, emit_binary(node, OP_mul, sine, b));
    imaginary = emit_binary(node, OP_add, imaginary, emit_binary(node, OP_mul, cosine, b));
    if (interleaved) {
        int64_t pairs[5] = {s[0], s[1], s[2], half, 1};
        real = emit_reshape(node, real, 5, pairs);
        imaginary = emit_reshape(node, imaginary, 5, pairs);
    }
    if (!real || !imaginary)
        return NULL;
    Value *turned = emit_concat(node, 2, (Value *[]){real, imaginary}, interleaved ? 4 : 3);
    turned = emit_reshape(node, turned, 4, (int64_t[]){s[0], s[1], s[2], 2 * half});
    int64_t rest = s[3] - 2 * half;
    if (!turned || !rest)
        return turned;
    Value *others = emit_range_of(node, x, 3, 2 * half, rest, 1);
    return others ? emit_concat(node, 2, (Value *[]){turned, others}, 3) : NULL;
}

bool convert_rotary_embedding(Node *node) {
    Value *input = node_input(node, 0), *x = input;
    int64_t heads = node_int(node, "num_heads", 0), size = node_int(node, "rotary_embedding_dim", 0);
    if (!input)
        return false;
    const Type *type = input->type;
    if (type->rank == 3 && (heads < 1 || type->shape[2] % heads))
        return node_error(node, "num_heads %lld does not divide its input", (long long)heads);
    if (type->rank == 3)
        x = emit_reshape(node, input, 4, (int64_t[]){type->shape[0], type->shape[1], heads, type->shape[2] / heads});
    if (!x || x->type->rank != 4)
        return x && node_error(node, "its input has %d dimensions, expected 3 or 4", type->rank);
    size = size ? size : x->type->shape[3];
    if (size < 2 || size % 2 || size > x->type->shape[3])
        return node_error(node, "it turns %lld of %lld elements, expected an even number of them", (long long)size,
                          (long long)x->type->shape[3]);
    int heads_at = type->rank == 3 ? 2 : 1;
    Value *cosine = emit_angles(node, 1, size / 2, heads_at), *sine = cosine ? emit_angles(node, 2, size / 2, heads_at) : NULL;
    Value *turned = sine ? emit_rotated(node, x, size / 2, node_int(node, "interleaved", 0) != 0, cosine, sine) : NULL;
    return node_bind(node, 0, emit_reshape(node, turned, type->rank, type->shape));
}

// ---- CausalConvWithState: a depthwise convolution along a sequence, after the end of the sequence before

static Value *emit_zeros(const Node *node, int rank, const int64_t *dims) {
    Importer *importer = node->importer;
    if (dims_count(rank, dims) < 0)
        return node_error(node, "its state is too large"), NULL;
    return emit_constant(importer, dense_splat(importer->scratch, type_tensor(importer->scratch, ELEM_F32, rank, dims), 0),
                         false, NULL);
}

static Value *emit_continued(const Node *node, Value *input, int64_t before) {
    const int64_t *s = input->type->shape;
    Value *past = node_has_input(node, 3) ? node_input(node, 3) : NULL;
    if (!before)
        return input;
    if (!past)
        past = emit_zeros(node, 3, (int64_t[]){s[0], s[1], before});
    if (!past)
        return NULL;
    if (past->type->rank != 3 || past->type->shape[2] != before)
        return node_error(node, "past_state is %s, expected %lld elements of each channel",
                          type_text(node->importer->scratch, past->type), (long long)before), NULL;
    return emit_concat(node, 2, (Value *[]){past, input}, 2);
}

bool convert_causal_conv_with_state(Node *node) {
    Value *input = node_input(node, 0), *bias = node_has_input(node, 2) ? node_input(node, 2) : NULL;
    const Type *weight = node_input_type(node, 1);
    const char *activation = node_string(node, "activation", "none");
    bool swish = !strcmp(activation, "silu") || !strcmp(activation, "swish");
    if (!input || !weight)
        return input && node_input(node, 1) && false;
    if (input->type->rank != 3 || weight->rank != 3 || weight->shape[0] != input->type->shape[1] || weight->shape[2] < 1)
        return node_error(node, "its input and weight are not of 3 dimensions, or differ in channels");
    if (!swish && strcmp(activation, "none"))
        return node_error(node, "activation '%s' is not one of ONNX", activation);
    int64_t taps = weight->shape[2];
    Value *whole = emit_continued(node, input, taps - 1);
    if (!whole)
        return false;
    Window window = {.kernel = {1, 1, taps}, .strides = {1, 1, 1}, .dilations = {1, 1, 1}};
    Value *filter = emit_to_nhwc(node, node_input(node, 1));
    Value *output = emit_conv(node, emit_to_nhwc(node, whole), filter, bias, &window, input->type->shape[1]);
    output = output && swish ? emit_unary(node, OP_swish, output, NULL) : output;
    if (!output || !node_bind_layout(node, output, emit_from_nhwc(node, output, 3)))
        return false;
    return node_bind(node, 1, emit_range_of(node, whole, 2, whole->type->shape[2] - (taps - 1), taps - 1, 1));
}

// ---- LinearAttention: a state of keys by values, renewed with each position, and read by the queries; unrolled

typedef struct {
    Value *query, *key, *value, *decay, *beta; // [batch, positions, heads * elements]; decay as a factor
    int64_t batch, heads, key_heads, positions, key_size, value_size;
    double scale;
} Linear;

static bool read_linear(const Node *node, Linear *linear) {
    const char *rule = node_string(node, "update_rule", "gated_delta");
    bool gated = strstr(rule, "gated") != NULL, delta = strstr(rule, "delta") != NULL;
    bool known = gated || delta || !strcmp(rule, "linear");
    *linear = (Linear){.query = node_input(node, 0), .key = node_input(node, 1), .value = node_input(node, 2),
                       .heads = node_int(node, "q_num_heads", 0), .key_heads = node_int(node, "kv_num_heads", 0)};
    if (!linear->query || !linear->key || !linear->value)
        return false;
    if (!known || node_has_input(node, 4) != gated || node_has_input(node, 5) != delta)
        return node_error(node, "update_rule '%s' does not fit its inputs", rule);
    const Type *q = linear->query->type, *k = linear->key->type, *v = linear->value->type;
    bool fits = q->rank == 3 && k->rank == 3 && v->rank == 3 && linear->key_heads > 0 && linear->heads > 0 &&
                linear->heads % linear->key_heads == 0 && q->shape[2] % linear->heads == 0 &&
                k->shape[2] % linear->key_heads == 0 && v->shape[2] % linear->key_heads == 0;
    fits = fits && k->shape[2] / linear->key_heads == q->shape[2] / linear->heads && k->shape[1] == q->shape[1] &&
           v->shape[1] == q->shape[1] && k->shape[0] == q->shape[0] && v->shape[0] == q->shape[0];
    if (!fits)
        return node_error(node, "its query, key and value have shapes that do not belong together");
    linear->batch = q->shape[0], linear->positions = q->shape[1];
    linear->key_size = q->shape[2] / linear->heads, linear->value_size = v->shape[2] / linear->key_heads;
    double scale = node_float(node, "scale", 0);
    linear->scale = scale == 0 ? 1 / sqrt((double)linear->key_size) : scale;
    if (gated && !(linear->decay = emit_unary(node, OP_exp, node_input(node, 4), NULL)))
        return false;
    return !delta || (linear->beta = node_input(node, 5));
}

// Position t of a packed tensor as [batch, a, b, c].
static Value *emit_position(const Node *node, Value *packed, int64_t t, int64_t a, int64_t b, int64_t c) {
    Value *one = packed && packed->type->rank == 3 ? emit_range_of(node, packed, 1, t, 1, 1) : NULL;
    return one ? emit_reshape(node, one, 4, (int64_t[]){one->type->shape[0], a, b, c}) : NULL;
}

static Value *emit_next_state(const Node *node, const Linear *linear, Value *state, int64_t t) {
    int64_t heads = linear->key_heads, keys = linear->key_size;
    Value *value = emit_position(node, linear->value, t, heads, 1, linear->value_size);
    if (linear->decay) {
        int64_t each = linear->decay->type->rank == 3 && linear->decay->type->shape[2] == heads ? 1 : keys;
        state = emit_binary(node, OP_mul, state, emit_position(node, linear->decay, t, heads, each, 1));
    }
    if (linear->beta) {
        int64_t each = linear->beta->type->rank == 3 && linear->beta->type->shape[2] == 1 ? 1 : heads;
        Value *known = emit_binary(node, OP_matmul, emit_position(node, linear->key, t, heads, 1, keys), state);
        value = emit_binary(node, OP_sub, value, known);
        value = emit_binary(node, OP_mul, value, emit_position(node, linear->beta, t, each, 1, 1));
    }
    Value *written = emit_binary(node, OP_mul, emit_position(node, linear->key, t, heads, keys, 1), value);
    return emit_binary(node, OP_add, state, written);
}

bool convert_linear_attention(Node *node) {
    enum { MAX_POSITIONS = 4096 };
    Linear linear;
    if (!read_linear(node, &linear))
        return false;
    if (linear.positions > MAX_POSITIONS || linear.positions < 1)
        return node_error(node, "%lld positions are not supported; 1 to %d are", (long long)linear.positions, MAX_POSITIONS);
    int64_t dims[4] = {linear.batch, linear.key_heads, linear.key_size, linear.value_size};
    Value *state = node_has_input(node, 3) ? node_input(node, 3) : emit_zeros(node, 4, dims);
    Value **rows = ARENA_ARRAY(node->importer->scratch, Value *, linear.positions);
    int64_t group = linear.heads / linear.key_heads, width = linear.heads * linear.value_size;
    if (!state || state->type->rank != 4)
        return state && node_error(node, "past_state has %d dimensions, expected 4", state->type->rank);
    Value *query = linear.scale == 1 ? linear.query : emit_binary(node, OP_mul, linear.query, emit_scalar(node, linear.scale));
    for (int64_t t = 0; t < linear.positions; t++) {
        state = emit_next_state(node, &linear, state, t);
        Value *row = emit_position(node, query, t, linear.key_heads, group, linear.key_size);
        row = emit_binary(node, OP_matmul, row, state);
        if (!(rows[t] = emit_reshape(node, row, 3, (int64_t[]){linear.batch, 1, width})))
            return false;
    }
    Value *output = linear.positions == 1 ? rows[0] : emit_concat(node, (int)linear.positions, rows, 1);
    return node_bind(node, 0, output) && node_bind(node, 1, state);
}
