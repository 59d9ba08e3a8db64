// Einsum: products of tensors whose dimensions are named by letters. Diagonals of repeated letters
// are taken and letters that nothing else needs are summed first; then factors are joined from the
// left, two at a time: letters that both have and nothing needs later are summed by a matrix
// product, the other shared ones are its batch. Without such letters it is an ordinary product.
#include <string.h>

#include "frontend/onnx/importer.h"

// Letters in the order of an implicit result, then the dimensions of `...`, aligned at the last.
enum { LETTERS = 52, LABELS = LETTERS + MAX_RANK };

typedef struct {
    int count, labels[LABELS];
} Labels;

typedef struct {
    Value *value;
    Labels dims;
} Term;

typedef struct {
    const Node *node;
    int count;
    Term *terms;
    int64_t sizes[LABELS]; // -1: no such label
    Labels result;
} Einsum;

static int find_label(const Labels *labels, int label) {
    for (int i = 0; i < labels->count; i++)
        if (labels->labels[i] == label)
            return i;
    return -1;
}

static void add_label(Labels *labels, int label) {
    labels->labels[labels->count++] = label;
}

static int letter_label(char c) {
    return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26 : -1;
}

// ---- the equation

// Reads one term up to a comma, an arrow or the end; `...` stands for `dots` dimensions. Returns
// where it ends, NULL if it is malformed.
static const char *read_term(const char *text, int dots, Labels *labels) {
    bool dotted = false;
    while (*text && *text != ',' && strncmp(text, "->", 2)) {
        bool ellipsis = !strncmp(text, "...", 3);
        if ((ellipsis && dotted) || (!ellipsis && letter_label(*text) < 0))
            return NULL;
        if (labels->count + (ellipsis ? dots : 1) > MAX_RANK)
            return NULL;
        for (int i = 0; ellipsis && i < dots; i++)
            add_label(labels, LABELS - dots + i);
        if (!ellipsis)
            add_label(labels, letter_label(*text));
        dotted |= ellipsis;
        text += ellipsis ? 3 : 1;
    }
    return text;
}

// Dimensions that `...` stands for in a term of a tensor of that rank; -1: it does not fit.
static int dots_of(const char *text, int rank) {
    int letters = 0;
    bool dotted = false;
    for (; *text && *text != ',' && strncmp(text, "->", 2); text++) {
        dotted |= *text == '.';
        letters += *text != '.';
    }
    return letters <= rank && (dotted || letters == rank) ? rank - letters : -1;
}

// A dimension of 1 broadcasts.
static bool take_sizes(Einsum *e, const Term *term) {
    for (int i = 0; i < term->dims.count; i++) {
        int64_t size = term->value->type->shape[i], *known = &e->sizes[term->dims.labels[i]];
        if (*known > 1 && size != 1 && size != *known)
            return node_error(e->node, "one letter stands for dimensions of %lld and %lld elements",
                              (long long)*known, (long long)size);
        if (*known < 0 || *known == 1)
            *known = size;
    }
    return true;
}

// The result of an equation without an arrow: `...`, then the letters that stand there once.
static void imply_result(Einsum *e) {
    int seen[LABELS] = {0};
    for (int i = 0; i < e->count; i++)
        for (int k = 0; k < e->terms[i].dims.count; k++)
            seen[e->terms[i].dims.labels[k]]++;
    for (int label = LETTERS; label < LABELS; label++)
        if (seen[label])
            add_label(&e->result, label);
    for (int label = 0; label < LETTERS; label++)
        if (seen[label] == 1)
            add_label(&e->result, label);
}

static bool read_result(Einsum *e, const char *text) {
    int dots = 0;
    for (int label = LETTERS; label < LABELS; label++)
        dots += e->sizes[label] >= 0;
    text = read_term(text, dots, &e->result);
    bool fits = text && !*text;
    for (int i = 0; fits && i < e->result.count; i++) {
        int label = e->result.labels[i];
        fits = e->sizes[label] >= 0 && find_label(&e->result, label) == i;
    }
    return fits;
}

static bool read_equation(Einsum *e, const char *text) {
    const char *at = text;
    for (int i = 0; i < e->count; i++) {
        Term *term = &e->terms[i];
        int dots = dots_of(at, term->value->type->rank);
        at = dots < 0 ? NULL : read_term(at, dots, &term->dims);
        bool last = i + 1 == e->count;
        if (!at || (last ? *at == ',' : *at != ','))
            return node_error(e->node, "its equation '%s' does not fit input %d", text, i);
        if (!take_sizes(e, term))
            return false;
        at += !last;
    }
    if (!*at)
        imply_result(e);
    else if (!read_result(e, at + 2))
        return node_error(e->node, "the result of its equation '%s' is malformed", text);
    return e->result.count <= MAX_RANK || node_error(e->node, "its result has too many dimensions");
}

// ---- one factor

static void drop_label(Labels *labels, int at) {
    for (int i = at; i + 1 < labels->count; i++)
        labels->labels[i] = labels->labels[i + 1];
    labels->count--;
}

// The dimensions in another order.
static Value *emit_ordered(const Einsum *e, const Term *term, const Labels *order) {
    int perm[MAX_RANK];
    for (int i = 0; i < order->count; i++)
        perm[i] = find_label(&term->dims, order->labels[i]);
    return emit_transpose(e->node, term->value, perm);
}

// Dimensions `first` and `second` have one letter: of both as one, every (n + 1)th element.
static void take_diagonal(const Einsum *e, Term *term, int first, int second) {
    int rank = term->value->type->rank, perm[MAX_RANK], at = 0;
    for (int i = 0; i < rank; i++)
        if (i != first && i != second)
            perm[at++] = i;
    perm[at] = first, perm[at + 1] = second;
    int64_t dims[MAX_RANK], starts[MAX_RANK] = {0}, steps[MAX_RANK];
    Value *value = emit_transpose(e->node, term->value, perm);
    for (int i = 0; value && i < rank; i++)
        dims[i] = value->type->shape[i], steps[i] = 1;
    int64_t size = value ? dims[rank - 1] : 0;
    dims[rank - 2] = size * size;
    value = emit_reshape(e->node, value, rank - 1, dims);
    steps[rank - 2] = size + 1;
    term->value = value ? emit_slice(e->node, value, starts, dims, steps) : NULL;
    int label = term->dims.labels[first];
    drop_label(&term->dims, second);
    drop_label(&term->dims, first);
    add_label(&term->dims, label);
}

static bool take_diagonals(const Einsum *e, Term *term) {
    for (int i = 0; term->value && i < term->dims.count; i++) {
        int first = find_label(&term->dims, term->dims.labels[i]);
        if (first == i)
            continue;
        const int64_t *shape = term->value->type->shape;
        if (shape[first] != shape[i])
            return node_error(e->node, "one letter stands for dimensions of %lld and %lld elements",
                              (long long)shape[first], (long long)shape[i]);
        take_diagonal(e, term, first, i);
        i = -1;
    }
    return term->value != NULL;
}

// Dimensions of 1 where another factor has more: its elements decide.
static bool drop_broadcast(const Einsum *e, Term *term) {
    for (int i = term->dims.count - 1; term->value && i >= 0; i--)
        if (term->value->type->shape[i] == 1 && e->sizes[term->dims.labels[i]] != 1) {
            term->value = emit_without_dim(e->node, term->value, i);
            drop_label(&term->dims, i);
        }
    return term->value != NULL;
}

static Value *emit_sum(const Node *node, Value *input, int count, const int64_t *axes) {
    Arena *arena = node->importer->arena;
    Attr *attrs = attr_bool(arena, NULL, "keep_dims", false);
    return count ? emit_unary(node, OP_reduce_sum, input,
                              attr_ints(arena, attrs, "axes", count, axes))
                 : input;
}

// Is a label wanted by the result, or by a factor from `next` on?
static bool is_needed(const Einsum *e, int label, int next) {
    bool needed = find_label(&e->result, label) >= 0;
    for (int i = next; i < e->count && !needed; i++)
        needed = find_label(&e->terms[i].dims, label) >= 0;
    return needed;
}

// Sums over what neither `other` (may be NULL) nor anything from factor `next` on needs.
static bool sum_unneeded(const Einsum *e, Term *term, const Term *other, int next) {
    int64_t axes[MAX_RANK];
    Labels kept = {0};
    int count = 0;
    for (int i = 0; i < term->dims.count; i++) {
        int label = term->dims.labels[i];
        if (is_needed(e, label, next) || (other && find_label(&other->dims, label) >= 0))
            add_label(&kept, label);
        else
            axes[count++] = i;
    }
    term->dims = kept;
    return (term->value = emit_sum(e->node, term->value, count, axes)) != NULL;
}

// ---- two factors

// The letters of two factors: shared and needed later, shared and summed, of one alone.
typedef struct {
    Labels batch, sum, left, right;
} Join;

static Join join_of(const Einsum *e, const Term *a, const Term *b, int next) {
    Join join = {0};
    for (int i = 0; i < a->dims.count; i++) {
        int label = a->dims.labels[i];
        bool shared = find_label(&b->dims, label) >= 0;
        add_label(!shared                     ? &join.left
                  : is_needed(e, label, next) ? &join.batch
                                              : &join.sum,
                  label);
    }
    for (int i = 0; i < b->dims.count; i++)
        if (find_label(&a->dims, b->dims.labels[i]) < 0)
            add_label(&join.right, b->dims.labels[i]);
    return join;
}

static int64_t count_of(const Einsum *e, const Labels *labels) {
    int64_t count = 1;
    for (int i = 0; i < labels->count; i++)
        count *= e->sizes[labels->labels[i]];
    return count;
}

static void append(Labels *labels, const Labels *more) {
    for (int i = 0; i < more->count; i++)
        add_label(labels, more->labels[i]);
}

// A factor as [batch, rows, columns], without the batch where there is none.
static Value *emit_matrix(const Einsum *e, const Term *term, const Join *join, const Labels *rows,
                          const Labels *columns) {
    Labels order = {0};
    append(&order, &join->batch);
    append(&order, rows);
    append(&order, columns);
    int64_t dims[3] = {count_of(e, &join->batch), count_of(e, rows), count_of(e, columns)};
    int skip = !join->batch.count;
    return emit_reshape(e->node, emit_ordered(e, term, &order), 3 - skip, dims + skip);
}

static Value *emit_contraction(const Einsum *e, const Term *a, const Term *b, const Join *join) {
    const Node *node = e->node;
    Value *left = emit_matrix(e, a, join, &join->left, &join->sum);
    if (value_constant(b->value) && !join->batch.count && b->value->type->elem == ELEM_F32) {
        Value *weight = emit_matrix(e, b, join, &join->right, &join->sum);
        if (weight && value_constant(weight))
            return emit(node, OP_linear, 3, (Value *[]){left, weight, NULL}, NULL);
    }
    Value *right = emit_matrix(e, b, join, &join->sum, &join->right);
    if (!left || !right || elem_is_float(left->type->elem))
        return emit_binary(node, OP_matmul, left, right);
    // Integers have no matrix product: all products, then their sums.
    int64_t rows[4] = {count_of(e, &join->batch), count_of(e, &join->left), count_of(e, &join->sum),
                       1};
    int64_t columns[4] = {rows[0], 1, rows[2], count_of(e, &join->right)}, axes[] = {2};
    left = emit_reshape(node, left, 4, rows);
    right = emit_reshape(node, right, 4, columns);
    return emit_sum(node, emit_binary(node, OP_mul, left, right), 1, axes);
}

static Value *emit_product(const Einsum *e, const Term *a, const Term *b, const Join *join) {
    const Labels none = {0};
    Value *left = emit_matrix(e, a, join, &join->left, &none);
    Value *right = emit_matrix(e, b, join, &none, &join->right);
    return emit_binary(e->node, OP_mul, left, right);
}

static bool join_terms(const Einsum *e, Term *a, const Term *b, int next) {
    Term second = *b;
    // A constant factor is the weight of a linear layer.
    if (value_constant(a->value)) {
        second = *a;
        *a = *b;
    }
    Join join = join_of(e, a, &second, next);
    Value *value = join.sum.count ? emit_contraction(e, a, &second, &join)
                                  : emit_product(e, a, &second, &join);
    a->dims = join.batch;
    append(&a->dims, &join.left);
    append(&a->dims, &join.right);
    int64_t dims[LABELS];
    for (int i = 0; i < a->dims.count; i++)
        dims[i] = e->sizes[a->dims.labels[i]];
    return (a->value = emit_reshape(e->node, value, a->dims.count, dims)) != NULL;
}

static Value *emit_einsum(Einsum *e) {
    for (int i = 0; i < e->count; i++)
        if (!take_diagonals(e, &e->terms[i]) || !drop_broadcast(e, &e->terms[i]))
            return NULL;
    Term *result = &e->terms[0];
    for (int i = 1; i < e->count; i++) {
        Term *next = &e->terms[i];
        if (!sum_unneeded(e, result, next, i) || !sum_unneeded(e, next, result, i + 1) ||
            !join_terms(e, result, next, i + 1))
            return NULL;
    }
    if (!sum_unneeded(e, result, NULL, e->count))
        return NULL;
    return emit_ordered(e, result, &e->result);
}

static const char *without_spaces(const Node *node, const char *text) {
    char *copy = arena_alloc(node->importer->scratch, strlen(text) + 1), *to = copy;
    for (; *text; text++)
        if (*text != ' ')
            *to++ = *text;
    *to = 0;
    return copy;
}

bool convert_einsum(Node *node) {
    Einsum e = {.node = node, .count = node_input_count(node)};
    e.terms = ARENA_ARRAY(node->importer->scratch, Term, e.count + 1);
    if (!e.count)
        return node_error(node, "it has no inputs");
    for (int label = 0; label < LABELS; label++)
        e.sizes[label] = -1;
    for (int i = 0; i < e.count; i++)
        if (!(e.terms[i].value = node_input(node, i)))
            return false;
    return read_equation(&e, without_spaces(node, node_string(node, "equation", ""))) &&
           node_bind(node, 0, emit_einsum(&e));
}
