// Any op of dialect nn, drawn from its row of ops.def: operands of the types that the row names, in shapes that go with the
// first one, and attributes of their kinds; hints.def has what must be known besides. Most attempts are refused by inference,
// by the verifier, or for want of a kernel; the next one differs.
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "test/differential/graph.h"

enum { MAX_OPERANDS = 8, POSITIVE = -1 };
typedef struct {
    OpKind kind;
    int count;
    const Type *types[MAX_OPERANDS]; // NULL: left out
    int64_t below[MAX_OPERANDS];     // elements are indices below it; 0: any numbers; POSITIVE: those
    Elem elems[MAX_OPERANDS];        // where a hint says so; else ELEM_COUNT
    Attr *attrs;
} Plan;

// ---- attributes

// One of the words that the op's summary puts between bars ("none | relu"), or any: inference refuses what it does not know.
static const char *random_word(Graph *graph, const char *text) {
    const char *words[128], *barred[128];
    int count = 0, barred_count = 0;
    char *copy = arena_strdup(graph->arena, text), *last = copy + strlen(copy);
    for (char *at = strtok(copy, " ,;:.()=+-*/<>?"); at && count < 128; at = strtok(NULL, " ,;:.()=+-*/<>?")) {
        if (*at == '|') {
            if (count && barred_count < 128) barred[barred_count++] = words[count - 1];
        } else if (isalpha((unsigned char)*at)) words[count++] = at;
        bool follows = last[0] == '|';
        if (follows && barred_count < 128 && *at != '|') barred[barred_count++] = at;
        last = at;
    }
    if (barred_count && random_chance(graph, 80)) return barred[random_int(graph, 0, barred_count - 1)];
    return count ? words[random_int(graph, 0, count - 1)] : "none";
}

static double random_number(Graph *graph, double usual) {
    if (!isfinite(usual)) return (float)random_real(graph, -3, 3);
    if (random_chance(graph, 30)) return (float)(usual * random_real(graph, 0.25, 2));
    return random_chance(graph, 20) ? 0 : (float)random_real(graph, -1, 2);
}

static Attr *ascending(Graph *graph, const char *name, int rank) {
    int64_t axes[MAX_RANK];
    int count = 0;
    for (int i = 0; i < rank; i++)
        if (random_chance(graph, 50)) axes[count++] = i;
    return attr_ints(graph->arena, NULL, name, count, axes);
}

static Attr *permutation(Graph *graph, const char *name, int rank) {
    int64_t perm[MAX_RANK];
    for (int i = 0; i < rank; i++) {
        int at = random_int(graph, 0, i);
        perm[i] = perm[at];
        perm[at] = i;
    }
    return attr_ints(graph->arena, NULL, name, rank, perm);
}

typedef enum { FREE, ASCENDING, PERMUTATION, KEPT } ValueRule;

static ValueRule rule_of(const char *attr) {
    static const struct { const char *name; ValueRule rule; } rules[] = {
#define HINT(op, operand, shape)
#define VALUES(name, rule) {#name, rule},
#include "test/differential/hints.def"
#undef HINT
#undef VALUES
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (!strcmp(rules[i].name, attr)) return rules[i].rule;
    return FREE;
}

// As many as dimensions, spatial dimensions, or borders of either.
static Attr *random_list(Graph *graph, const AttrInfo *row, int rank) {
    ValueRule rule = rule_of(row->name);
    if (rule == ASCENDING || rule == PERMUTATION) return (rule == ASCENDING ? ascending : permutation)(graph, row->name, rank);
    int counts[] = {rank, rank - 2, 2 * (rank - 2), 2 * rank, 1, 2}, count = counts[random_int(graph, 0, 5)];
    int64_t values[2 * MAX_RANK];
    if (count < 0) count = 0;
    for (int i = 0; i < count; i++) values[i] = row->number == 0 && !row->required ? random_int(graph, 0, 2) : random_int(graph, 1, 3);
    return attr_ints(graph->arena, NULL, row->name, count, values);
}

static Attr *random_type_attr(Graph *graph, const char *name) {
    const Type *type = random_type_of(graph, "ANY");
    return attr_type(graph->arena, NULL, name, type->quant ? type_quantized(graph->arena, type->quant, 0, NULL)
                                                           : type_tensor(graph->arena, type->elem, 0, NULL));
}

static Attr *random_attr(Graph *graph, const OpInfo *info, const AttrInfo *row, const Type *first) {
    Arena *arena = graph->arena;
    int rank = first ? first->rank : 0;
    bool along = strstr(row->name, "axis") != NULL;
    switch (row->kind) {
    case ATTR_INT:
        if (along) return attr_int(arena, NULL, row->name, random_int(graph, row->required || row->number >= 0 ? 0 : -1, rank ? rank - 1 : 0));
        return attr_int(arena, NULL, row->name, random_int(graph, random_chance(graph, 20) ? -2 : 0, 4));
    case ATTR_BOOL: return attr_bool(arena, NULL, row->name, random_chance(graph, 50));
    case ATTR_FLOAT: return attr_float(arena, NULL, row->name, random_number(graph, row->number));
    case ATTR_STRING: return attr_string(arena, NULL, row->name, random_word(graph, info->summary));
    case ATTR_INTS: return random_list(graph, row, rank);
    case ATTR_TYPE: return random_type_attr(graph, row->name);
    default: return NULL;
    }
}

// Often left out where it may be.
static Attr *random_attrs(Graph *graph, const OpInfo *info, const Type *first) {
    Attr *list = NULL;
    for (int i = info->attr_count - 1; i >= 0; i--) {
        if (!info->attrs[i].required && (rule_of(info->attrs[i].name) == KEPT || random_chance(graph, 50))) continue;
        Attr *attr = random_attr(graph, info, &info->attrs[i], first);
        if (!attr) continue;
        attr->next = list;
        list = attr;
    }
    return list;
}

// ---- shapes

static int64_t axis_of(const Plan *plan) {
    const OpInfo *info = op_info(plan->kind);
    const Attr *attr = attr_find(plan->attrs, "axis");
    int64_t axis = attr ? attr->i : -1;
    for (int i = 0; !attr && i < info->attr_count; i++)
        if (!strcmp(info->attrs[i].name, "axis")) axis = (int64_t)info->attrs[i].number;
    return axis;
}

static int64_t dim_of(const Type *type, int64_t index) {
    if (!type || !type->rank) return 1;
    if (index < 0) index += type->rank;
    return type->shape[index < 0 ? 0 : index % type->rank];
}

// One word of a hint.
static int64_t hinted_dim(Graph *graph, const Plan *plan, const char *word) {
    if (!strcmp(word, "r")) return random_int(graph, 1, 4);
    if (!strcmp(word, "axis")) return dim_of(plan->types[0], axis_of(plan));
    const char *dot = strchr(word, '.');
    return dot ? dim_of(plan->types[atoi(word)], atoi(dot + 1)) : atoi(word);
}

static const char *hint_of(OpKind kind, int operand) {
    static const struct { OpKind kind; int operand; const char *shape; } hints[] = {
#define HINT(op, operand, shape) {OP_##op, operand, shape},
#define VALUES(name, rule)
#include "test/differential/hints.def"
#undef HINT
#undef VALUES
    };
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
        if (hints[i].kind == kind && hints[i].operand == operand) return hints[i].shape;
    return NULL;
}

// The shape with some dimensions 1, and some leading ones left out.
static int broadcastable(Graph *graph, const Type *type, int64_t *shape) {
    int skip = random_chance(graph, 30) && type->rank ? random_int(graph, 0, type->rank) : 0, rank = type->rank - skip;
    bool whole = random_chance(graph, 35);
    for (int i = 0; i < rank; i++) shape[i] = !whole && random_chance(graph, 35) ? 1 : type->shape[skip + i];
    return rank;
}

static int related_shape(Graph *graph, const OpInfo *info, const Type *first, int64_t *shape) {
    int way = random_int(graph, 0, 9), rank = first->rank;
    if (info->traits & ELEMENTWISE) return broadcastable(graph, first, shape);
    if (way < 2) { // along one dimension
        shape[0] = dim_of(first, rank ? random_int(graph, 0, rank - 1) : 0);
        return 1;
    }
    if (way < 3) return 0;
    if (way < 4) rank = random_int(graph, 1, 3);
    for (int i = 0; i < rank; i++) shape[i] = way < 4 || i >= first->rank ? random_int(graph, 1, 4) : first->shape[i];
    if (way >= 4 && way < 7 && rank) shape[random_int(graph, 0, rank - 1)] = random_int(graph, 1, 4);
    return rank;
}

static int append_dims(const Type *like, int from, int64_t *shape, int rank) {
    for (int i = from; like && i < like->rank; i++) shape[rank++] = like->shape[i];
    return rank;
}

static int hinted_shape(Graph *graph, Plan *plan, int operand, const char *hint, int64_t *shape) {
    int rank = 0;
    char *copy = arena_strdup(graph->arena, hint);
    if (random_chance(graph, 20)) return related_shape(graph, op_info(plan->kind), plan->types[0], shape);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) {
        if (elem_find(word, &plan->elems[operand])) continue;
        bool positive = *word == 'p';
        if (positive) plan->below[operand] = POSITIVE, word++;
        if (*word == 'i') plan->below[operand] = hinted_dim(graph, plan, word + 1);
        else if (*word == '=') {
            rank = append_dims(plan->types[atoi(word + 1)], 0, shape, rank);
        } else if (strchr(word, ':')) rank = append_dims(plan->types[atoi(word)], atoi(strchr(word, '.') + 1), shape, rank);
        else shape[rank++] = hinted_dim(graph, plan, word);
    }
    return rank;
}

// ---- operands

static const Type *shaped(Graph *graph, const Type *like, int rank, const int64_t *shape) {
    if (like->quant) return random_quantized(graph, like->quant->scale[0], rank, shape);
    return type_tensor(graph->arena, like->elem, rank, shape);
}

// The type of the first operand that is no mask and no list of indices: further ones of the same class have it too.
static const Type *leading_type(const Plan *plan, const OpInfo *info, const char *class) {
    for (int i = 0; i < plan->count; i++)
        if (plan->types[i] && !strcmp(info->operands[i < info->operand_count ? i : info->operand_count - 1].type, class)) return plan->types[i];
    return NULL;
}

static bool is_large(int rank, const int64_t *shape) {
    int64_t count = 1;
    for (int i = 0; i < rank && count <= MAX_ELEMS; i++) count *= shape[i];
    return count > MAX_ELEMS;
}

static const Type *operand_type(Graph *graph, Plan *plan, int operand, const OperandInfo *row) {
    const OpInfo *info = op_info(plan->kind);
    const char *hint = hint_of(plan->kind, operand);
    int64_t shape[2 * MAX_RANK];
    plan->elems[operand] = ELEM_COUNT;
    int rank = hint ? hinted_shape(graph, plan, operand, hint, shape) : related_shape(graph, info, plan->types[0], shape);
    if (rank > MAX_RANK) rank = MAX_RANK;
    if (is_large(rank, shape)) rank = 0;
    if (plan->elems[operand] != ELEM_COUNT) return type_tensor(graph->arena, plan->elems[operand], rank, shape);
    const Type *like = leading_type(plan, info, row->type);
    if (!strcmp(row->type, "INTEGER")) {
        if (!plan->below[operand]) plan->below[operand] = dim_of(plan->types[0], axis_of(plan));
        like = NULL;
    }
    if (like && !(strcmp(row->type, "ANY") == 0 && !plan->below[operand] && random_chance(graph, 10))) return shaped(graph, like, rank, shape);
    const Type *own = random_type_of(graph, row->type);
    return shaped(graph, own, rank, shape);
}

static void plan_rest(Graph *graph, Plan *plan) {
    const OpInfo *info = op_info(plan->kind);
    plan->attrs = random_attrs(graph, info, plan->types[0]);
    for (int i = 1; i < info->operand_count && i < MAX_OPERANDS; i++) {
        const OperandInfo *row = &info->operands[i];
        if (row->arity == OPERAND_VARIADIC) {
            for (int more = random_int(graph, 0, 2); more > 0 && plan->count < MAX_OPERANDS; more--, plan->count++)
                plan->types[plan->count] = operand_type(graph, plan, plan->count, row);
            return;
        }
        bool absent = row->arity == OPERAND_OPTIONAL && random_chance(graph, 40);
        plan->types[i] = absent ? NULL : operand_type(graph, plan, i, row);
        plan->count = i + 1;
    }
}

static bool takes_more(const OpInfo *info) { return info->operand_count && info->operands[info->operand_count - 1].arity == OPERAND_VARIADIC; }

static Value *indices(Graph *graph, const Type *type, int64_t below) {
    int64_t count = type_elem_count(type);
    Tensor tensor = tensor_new(graph->arena, type);
    bool negative = random_chance(graph, 30);
    for (int64_t i = 0; i < count; i++) tensor_set_f64(&tensor, i, random_int(graph, negative ? -(int)below : 0, (int)below - 1));
    return op_constant(&graph->builder, type, tensor.data, "indices");
}

static Value *positive(Graph *graph, const Type *type) {
    Tensor tensor = tensor_new(graph->arena, type);
    for (int64_t i = 0; i < type_elem_count(type); i++) tensor_set_f64(&tensor, i, random_real(graph, 0.1, 4));
    return op_constant(&graph->builder, type, tensor.data, "positive");
}

static bool can_take(const Value *value, const Type *type) {
    if (!type_same_shape(value->type, type) || !value->type->quant != !type->quant) return false;
    return value->type->elem == type->elem;
}

// A value of the network where one fits, or a constant.
static Value *operand_value(Graph *graph, const Type *type, int64_t below) {
    if (!type) return NULL;
    if (below == POSITIVE) return positive(graph, type);
    if (below > 0 && !type->quant && !elem_is_float(type->elem)) return indices(graph, type, below);
    for (int i = graph->value_count - 1; i >= 0; i--)
        if (can_take(graph->values[i], type) && random_chance(graph, 60)) return graph->values[i];
    return random_constant(graph, type);
}

// ---- the op

// The bits of a float that an op made: those of a NaN are not defined.
static bool looks_at_made_bits(OpKind kind, const Value *first) {
    return kind == OP_bit_cast && elem_is_float(first->type->elem) && first->def && first->def->kind != OP_constant;
}

static Value *build(Graph *graph, const Plan *plan, Value *const *operands) {
    const OpInfo *info = op_info(plan->kind);
    if (!info->infer || (plan->count && looks_at_made_bits(plan->kind, operands[0]))) return NULL;
    Op shape_of_op = {.kind = plan->kind};
    bool inexact = false;
    for (int i = 0; i < plan->count; i++) inexact |= operands[i] && !graph_is_exact(graph, operands[i]);
    if (inexact && !float_takes_inexact(&shape_of_op)) return NULL;
    return graph_add_results(graph, graph_op(graph, plan->kind, plan->count, operands, plan->attrs, 0));
}

static Value *pick_of(Graph *graph, const char *class) {
    Value *fitting[MAX_VALUES];
    int count = 0;
    for (int i = 0; i < graph->value_count; i++)
        if (class_takes(class, graph->values[i]->type)) fitting[count++] = graph->values[i];
    if (!count) return NULL;
    return fitting[random_chance(graph, 60) ? count - 1 : random_int(graph, 0, count - 1)];
}

Value *make_any(Graph *graph, OpKind kind) {
    const OpInfo *info = op_info(kind);
    if (!info->operand_count) return build(graph, &(Plan){.kind = kind, .attrs = random_attrs(graph, info, NULL)}, NULL);
    Value *first = pick_of(graph, info->operands[0].type);
    for (int attempts = 0; first && attempts < 8; attempts++) {
        Plan plan = {.kind = kind, .count = 1, .types = {first->type}};
        Value *operands[MAX_OPERANDS] = {first};
        plan_rest(graph, &plan);
        if (takes_more(info) && info->operand_count == 1) plan.count = 1;
        for (int i = 1; i < plan.count; i++) operands[i] = operand_value(graph, plan.types[i], plan.below[i]);
        Value *made = build(graph, &plan, operands);
        if (made) return made;
    }
    return NULL;
}

// Operands that are no indices are arguments, mostly.
bool make_first(Graph *graph, OpKind kind) {
    const OpInfo *info = op_info(kind);
    Plan plan = {.kind = kind};
    const Type *types[MAX_OPERANDS];
    Value *operands[MAX_OPERANDS] = {0};
    int args = 0, arg[MAX_OPERANDS];
    const char *hint = hint_of(kind, 0);
    int64_t shape[2 * MAX_RANK];
    if (info->operand_count) plan.types[0] = random_type_of(graph, info->operands[0].type), plan.count = 1;
    if (hint) {
        int rank = hinted_shape(graph, &plan, 0, hint, shape);
        plan.types[0] = shaped(graph, plan.types[0], rank, shape);
    }
    plan_rest(graph, &plan);
    for (int i = 0; i < plan.count; i++) {
        bool constant = i && (plan.below[i] || random_chance(graph, 40));
        arg[i] = plan.types[i] && !constant ? args : -1;
        if (arg[i] >= 0) types[args++] = plan.types[i];
    }
    if (!args) types[args++] = random_argument(graph);
    graph_begin(graph, args, types);
    Func *main = module_main(graph->module);
    for (int i = 0; i < plan.count; i++) operands[i] = arg[i] >= 0 ? &main->args[arg[i]] : operand_value(graph, plan.types[i], plan.below[i]);
    return build(graph, &plan, operands) != NULL;
}

// ---- scales

static void fill_sample(Graph *graph, const Value *operand, Tensor *tensor) {
    const Quant *quant = operand->type->quant;
    int64_t count = type_elem_count(tensor->type);
    for (int64_t i = 0; i < count; i++) {
        double stored = random_int(graph, quant ? quant->storage_min : -3, quant ? quant->storage_max : 3);
        tensor_set_f64(tensor, i, quant ? (stored - quant->zero_point[0]) * (double)quant->scale[0] : stored);
    }
}

double sampled_scale(Graph *graph, const Op *op, int index) {
    Arena *arena = arena_new();
    Func *func = func_new(module_new(arena, "sample"), "main", 0, NULL, NULL);
    Builder builder = builder_end(func);
    Value *operands[MAX_OPERANDS];
    Tensor tensors[MAX_OPERANDS], outs[MAX_RANK], *results[MAX_RANK];
    const Tensor *ins[MAX_OPERANDS] = {0};
    const Type *types[MAX_RANK];
    double largest = 0;
    for (int i = 0; i < op->operand_count && i < MAX_OPERANDS; i++) {
        const Value *operand = op_operand(op, i);
        const Dense *dense = operand && !operand->type->quant ? value_constant(operand) : NULL;
        if (!(operands[i] = (Value *)operand)) continue;
        ins[i] = &tensors[i];
        tensors[i] = tensor_new(arena, operand->type->quant ? type_tensor(arena, ELEM_F32, operand->type->rank, operand->type->shape) : operand->type);
        if (dense && !dense->splat) memcpy(tensors[i].data, dense->data, dense->bytes);
        else fill_sample(graph, operand, &tensors[i]);
        operands[i] = op_constant(&builder, tensors[i].type, tensors[i].data, NULL);
    }
    for (int i = 0; i < op->result_count; i++) {
        const Type *type = op->results[i].type;
        types[i] = type->quant ? type_tensor(arena, ELEM_F32, type->rank, type->shape) : type;
        outs[i] = tensor_new(arena, types[i]);
        results[i] = &outs[i];
    }
    const Op *copy = op_new(&builder, op->kind, op->operand_count, operands, op->result_count, types, op->attrs);
    if (eval_op(diag_new(arena, NULL), copy, ins, results))
        for (int64_t i = 0; i < type_elem_count(types[index]); i++)
            if (isfinite(tensor_f64(&outs[index], i))) largest = fmax(largest, fabs(tensor_f64(&outs[index], i)));
    arena_free(arena);
    return largest > 0 ? fmin(fmax(largest, 0x1p-50), 0x1p50) / 127 : 1;
}
