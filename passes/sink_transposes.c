// Moves transposes from operands to results, so that the pairs that frontends put around channels-last ops meet and
// vanish:   op(transpose(x)) -> transpose(op'(x))   for elementwise ops, concat, pad, slice, reductions, softmax and
// normalization, whose attributes are permuted. What can't pass (a reshape that mixes dimensions) keeps its transpose.
#include <stdlib.h>

#include "passes/rewrite.h"

typedef struct { int rank; int64_t to[MAX_RANK]; } Perm; // result dimension i is operand dimension to[i]

static bool perm_of(const Value *value, Perm *perm) {
    const Op *op = value_def(value, OP_transpose);
    if (!op) return false;
    IntList list = as_transpose(op).perm;
    perm->rank = list.count;
    memcpy(perm->to, list.data, sizeof(int64_t) * (size_t)list.count);
    return true;
}

static bool same_perm(const Perm *a, const Perm *b) {
    return a->rank == b->rank && !memcmp(a->to, b->to, sizeof(int64_t) * (size_t)a->rank);
}

static Perm inverse(const Perm *perm) {
    Perm result = {.rank = perm->rank};
    for (int i = 0; i < perm->rank; i++) result.to[perm->to[i]] = i;
    return result;
}

static Value *make_transpose(Builder *builder, Value *input, const Perm *perm) {
    Arena *arena = builder->func->module->arena;
    Attr *attrs = attr_ints(arena, NULL, "perm", perm->rank, perm->to);
    return &op_new(builder, OP_transpose, 1, &input, 1, NULL, attrs)->results[0];
}

// An attribute with one number a dimension, moved to the untransposed order.
static Attr *permuted(Arena *arena, Attr *next, const char *name, IntList list, const Perm *perm) {
    int64_t values[MAX_RANK];
    for (int i = 0; i < perm->rank; i++) values[perm->to[i]] = int_at(list, i);
    return attr_ints(arena, next, name, perm->rank, values);
}

static int64_t axis_of(int64_t axis, const Perm *perm) { return perm->to[axis < 0 ? axis + perm->rank : axis]; }

// A constant operand of an elementwise op: given full rank and transposed back, so that it fits the new order.
static Value *transposed_constant(Builder *builder, Value *constant, const Perm *perm) {
    Arena *arena = builder->func->module->arena;
    const Type *type = constant->type;
    if (type_elem_count(type) == 1 && type->rank == 0) return constant;
    if (type->rank < perm->rank) {
        int64_t shape[MAX_RANK];
        for (int i = 0; i < perm->rank; i++) {
            int from = i - (perm->rank - type->rank);
            shape[i] = from < 0 ? 1 : type->shape[from];
        }
        Attr *attrs = attr_ints(arena, NULL, "shape", perm->rank, shape);
        constant = &op_new(builder, OP_reshape, 1, &constant, 1, NULL, attrs)->results[0];
    }
    Perm back = inverse(perm);
    return make_transpose(builder, constant, &back);
}

// New operands for an elementwise op or concat: every operand is a transpose by one permutation, or a constant.
static bool untransposed_operands(Op *op, Perm *perm, Value **operands) {
    bool any = false;
    for (int i = 0; i < op->operand_count; i++) {
        Perm own;
        if (!perm_of(op_operand(op, i), &own)) continue;
        if (any && !same_perm(perm, &own)) return false;
        *perm = own;
        any = true;
    }
    if (!any || perm->rank != op->results[0].type->rank) return false;
    for (int i = 0; i < op->operand_count; i++) {
        const Value *operand = op_operand(op, i);
        if (!value_def(operand, OP_transpose) && !value_constant(operand)) return false;
    }
    Builder builder = builder_before(op);
    for (int i = 0; i < op->operand_count; i++) {
        Value *operand = op_operand(op, i);
        Op *transpose = value_def(operand, OP_transpose);
        operands[i] = transpose ? op_operand(transpose, 0) : transposed_constant(&builder, operand, perm);
    }
    return true;
}

// What op gives, in the order before the transposition `perm` of its result.
static const Type *sunk_type(const Op *op, const Perm *perm) {
    const Type *type = op->results[0].type;
    int64_t shape[MAX_RANK];
    for (int i = 0; i < perm->rank; i++) shape[perm->to[i]] = type->shape[i];
    return type_with_shape(op->func->module->arena, type, perm->rank, shape);
}

static int compare_i64(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

// A list of axes in the untransposed order, ascending.
static void permuted_axes(IntList axes, const Perm *perm, int64_t *out) {
    for (int i = 0; i < axes.count; i++) out[i] = perm->to[axes.data[i]];
    qsort(out, (size_t)axes.count, sizeof *out, compare_i64);
}

// Attributes of the op in the untransposed order.
static Attr *sunk_attrs(const Op *op, const Perm *perm) {
    Arena *arena = op->func->module->arena;
    switch (op->kind) {
    case OP_concat: return attr_int(arena, NULL, "axis", axis_of(as_concat(op).axis, perm));
    case OP_normalize: {
        normalize_view normalize = as_normalize(op);
        int64_t axes[MAX_RANK];
        permuted_axes(normalize.axes, perm, axes);
        Attr *attrs = attr_bool(arena, attr_float(arena, NULL, "epsilon", normalize.epsilon), "center", normalize.center);
        return attr_ints(arena, attrs, "axes", normalize.axes.count, axes);
    }
    case OP_softmax: case OP_log_softmax: case OP_hardmax:
        return attr_int(arena, NULL, "axis", axis_of(op_int(op, "axis"), perm));
    case OP_pad: {
        pad_view pad = as_pad(op);
        Attr *attrs = attr_float(arena, NULL, "value", pad.value);
        return permuted(arena, permuted(arena, attrs, "low", pad.low, perm), "high", pad.high, perm);
    }
    case OP_slice: {
        slice_view slice = as_slice(op);
        Attr *attrs = permuted(arena, NULL, "steps", slice.steps, perm);
        return permuted(arena, permuted(arena, attrs, "starts", slice.starts, perm), "ends", slice.ends, perm);
    }
    case OP_batch_norm: {
        batch_norm_view bn = as_batch_norm(op);
        return attr_float(arena, attr_int(arena, NULL, "axis", axis_of(bn.axis, perm)), "epsilon", bn.epsilon);
    }
    default: return op->attrs;
    }
}

// The moved op is what the model's name means to tables; a name of the model's output stays with the output.
static void replace_by_transposed(Op *op, Value *sunk, const Perm *perm) {
    Builder builder = builder_before(op);
    Value *result = &op->results[0], *back = make_transpose(&builder, sunk, perm);
    Value *named = is_returned(result) ? back : sunk;
    if (result->name) value_put_name(named, result->name);
    named->aliases = result->aliases;
    named->alias_count = result->alias_count;
    result->name = NULL;
    value_replace_uses(result, back);
    op_erase(op);
}

static bool sink_elementwise(Op *op) {
    Perm perm;
    Value **operands = ARENA_ARRAY(op->func->module->arena, Value *, op->operand_count);
    if (!untransposed_operands(op, &perm, operands)) return false;
    Builder builder = builder_before(op);
    const Type *type = sunk_type(op, &perm);
    Op *sunk = op_new(&builder, op->kind, op->operand_count, operands, 1, &type, sunk_attrs(op, &perm));
    replace_by_transposed(op, &sunk->results[0], &perm);
    return true;
}

// One tensor operand, the others (if any) are per-channel vectors.
static bool sink_unary(Op *op) {
    Perm perm;
    if (!perm_of(op_operand(op, 0), &perm)) return false;
    Value *operands[8];
    for (int i = 0; i < op->operand_count; i++) operands[i] = op_operand(op, i);
    operands[0] = op_operand(operands[0]->def, 0);
    Builder builder = builder_before(op);
    const Type *type = sunk_type(op, &perm);
    Op *sunk = op_new(&builder, op->kind, op->operand_count, operands, 1, &type, sunk_attrs(op, &perm));
    replace_by_transposed(op, &sunk->results[0], &perm);
    return true;
}

static bool sink_reduce(Op *op) {
    Perm perm;
    const struct { Value *input; IntList axes; bool keep_dims; } reduce = {op_operand(op, 0), op_ints(op, "axes"), op_bool(op, "keep_dims")};
    if (!perm_of(reduce.input, &perm)) return false;
    int64_t axes[MAX_RANK];
    bool reduced[MAX_RANK] = {false};
    for (int i = 0; i < reduce.axes.count; i++) {
        axes[i] = perm.to[reduce.axes.data[i]];
        reduced[axes[i]] = true;
    }
    qsort(axes, (size_t)reduce.axes.count, sizeof *axes, compare_i64);
    Perm rest = perm;
    if (!reduce.keep_dims) { // the permutation of what is left
        int64_t position[MAX_RANK];
        int64_t left = 0;
        for (int i = 0; i < perm.rank; i++) position[i] = reduced[i] ? -1 : left++;
        rest.rank = 0;
        for (int i = 0; i < perm.rank; i++)
            if (position[perm.to[i]] >= 0) rest.to[rest.rank++] = position[perm.to[i]];
    }
    Arena *arena = op->func->module->arena;
    Attr *attrs = attr_ints(arena, attr_bool(arena, NULL, "keep_dims", reduce.keep_dims), "axes", reduce.axes.count, axes);
    Builder builder = builder_before(op);
    Value *input = op_operand(reduce.input->def, 0);
    const Type *type = sunk_type(op, &rest);
    Op *sunk = op_new(&builder, op->kind, 1, &input, 1, &type, attrs);
    replace_by_transposed(op, &sunk->results[0], &rest);
    return true;
}

// The kernel wants its axes side by side.
static bool axes_stay_adjacent(const Op *op) {
    Perm perm;
    int64_t axes[MAX_RANK];
    IntList list = as_normalize(op).axes;
    if (!perm_of(op_operand(op, 0), &perm)) return false;
    permuted_axes(list, &perm, axes);
    for (int i = 1; i < list.count; i++)
        if (axes[i] != axes[i - 1] + 1) return false;
    return true;
}

static bool sink(Op *op) {
    if (op->result_count != 1 || (op->results[0].type->quant && op->results[0].type->quant->axis >= 0)) return false;
    switch (op->kind) {
    case OP_dequantize: return !is_returned(&op->results[0]) && sink_unary(op); // i8 is moved sooner than f32
    case OP_quantize: case OP_requantize:
    case OP_pad: case OP_slice: case OP_softmax: case OP_log_softmax: case OP_hardmax: case OP_batch_norm: case OP_cast: return sink_unary(op);
    case OP_normalize: return axes_stay_adjacent(op) && sink_unary(op);
    case OP_reduce_mean: case OP_reduce_sum: case OP_reduce_max: case OP_reduce_min: case OP_reduce_prod:
    case OP_reduce_l1: case OP_reduce_l2: case OP_reduce_sum_square: case OP_reduce_log_sum:
    case OP_reduce_log_sum_exp: return sink_reduce(op);
    case OP_concat: return sink_elementwise(op);
    default: return op_has(op, ELEMENTWISE) ? sink_elementwise(op) : false;
    }
}

bool sink_transposes(Module *module, const PassContext *context) {
    for (bool changed = true; changed;) {
        changed = false;
        for (Func *func = module->funcs; func; func = func->next)
            FOR_EACH_OP(func, op) changed |= sink(op);
        if (!canonicalize_ops(module, context) || !fold_constants(module, context)) return false;
    }
    return true;
}
