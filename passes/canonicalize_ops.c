// Removes identities and rewrites ops to their simplest form, until nothing changes:
//   reshape, transpose, broadcast_to, slice, pad, cast, concat, requantize that change nothing    -> their operand
//   reshape of reshape, transpose of transpose, slice of slice                                    -> one
//   transpose of a reshape of a transpose, where the reshape splits and joins dimensions          -> one transpose
//   transpose that moves only dimensions of size 1                                                -> reshape
//   relu of relu or relu6, clip with no bounds                                                    -> operand
//   pad of zeros before conv2d                                                                    -> pads of conv2d
//   x * sigmoid(x), x * hard_sigmoid(x) of slope 1/6                                              -> swish, hard_swish
#include <math.h>

#include "passes/rewrite.h"

static bool changes_nothing(const Op *op) {
    const Value *input = op_operand(op, 0);
    const Type *type = op->results[0].type;
    if (!input || !type_equal(input->type, type)) return false; // another scale is a change too
    switch (op->kind) {
    case OP_reshape: case OP_broadcast_to: case OP_pad: return true;
    case OP_transpose: return is_identity_perm(as_transpose(op).perm);
    case OP_slice: {
        IntList steps = as_slice(op).steps;
        for (int i = 0; i < type->rank; i++)
            if (int_at(steps, i) != 1) return false;
        return true;
    }
    case OP_cast: case OP_requantize: return true;
    case OP_concat: return op->operand_count == 1;
    case OP_clip: return as_clip(op).min == -INFINITY && as_clip(op).max == INFINITY;
    case OP_relu:
        return input->def && (input->def->kind == OP_relu || attr_find(input->def->attrs, "activation")) &&
               (input->def->kind == OP_relu || is_activated(input->def)) && !input->type->quant;
    default: return false;
    }
}

// pad with crop and border of the same size keeps the shape but not the elements.
static bool pad_is_empty(const Op *op) {
    pad_view pad = as_pad(op);
    for (int i = 0; i < op->results[0].type->rank; i++)
        if (int_at(pad.low, i) || int_at(pad.high, i)) return false;
    return true;
}

static Value *make_reshape(Op *before, Value *input, const Type *type) {
    Builder builder = builder_before(before);
    Arena *arena = before->func->module->arena;
    Attr *attrs = attr_ints(arena, NULL, "shape", type->rank, type->shape);
    return &op_new(&builder, OP_reshape, 1, &input, 1, &type, attrs)->results[0];
}

static bool merge_reshapes(Op *op) {
    Op *inner = value_def(op_operand(op, 0), OP_reshape);
    if (!inner) return false;
    op_set_operand(op, 0, op_operand(inner, 0));
    return true;
}

static bool merge_transposes(Op *op) {
    Op *inner = value_def(op_operand(op, 0), OP_transpose);
    if (!inner) return false;
    IntList outer_perm = as_transpose(op).perm, inner_perm = as_transpose(inner).perm;
    int64_t perm[MAX_RANK];
    for (int i = 0; i < outer_perm.count; i++) perm[i] = inner_perm.data[outer_perm.data[i]];
    op_set_operand(op, 0, op_operand(inner, 0));
    op_set_attr(op, attr_ints(op->func->module->arena, NULL, "perm", outer_perm.count, perm));
    return true;
}

// How a reshape splits and joins dimensions: group g is operand dimensions [in[g], in[g + 1]) and result dimensions [out[g],
// out[g + 1]), one of which is a single dimension.
typedef struct { int count, in[MAX_RANK + 1], out[MAX_RANK + 1]; } Groups;

static bool find_groups(const Type *in, const Type *out, Groups *groups) {
    int i = 0, j = 0;
    for (groups->count = 0; i < in->rank && j < out->rank; groups->count++) {
        groups->in[groups->count] = i, groups->out[groups->count] = j;
        int64_t from = in->shape[i++], to = out->shape[j++];
        while (from != to) {
            if (from < to && i < in->rank) from *= in->shape[i++];
            else if (from > to && j < out->rank) to *= out->shape[j++];
            else return false;
        }
        if (i - groups->in[groups->count] > 1 && j - groups->out[groups->count] > 1) return false;
    }
    groups->in[groups->count] = i, groups->out[groups->count] = j;
    return i == in->rank && j == out->rank && type_elem_count(in) > 0;
}

static int find_group(const int *starts, int count, int64_t dim) {
    int g = 0;
    while (g + 1 < count && starts[g + 1] <= dim) g++;
    return g;
}

// x, of which the reshape's operand is a transpose, split as the reshape splits; start[i]: where the parts of the operand's
// dimension i begin. Returns the rank.
static int split_shape(const Groups *groups, IntList inner_perm, const Op *reshape, int *start, int64_t *shape) {
    const Type *from = op_operand(reshape, 0)->type, *to = reshape->results[0].type;
    int rank = 0;
    for (int64_t d = 0; d < inner_perm.count; d++) {
        int i = 0;
        while (inner_perm.data[i] != d) i++;
        const int g = find_group(groups->in, groups->count, i), first = groups->out[g], last = groups->out[g + 1];
        start[i] = rank;
        if (last - first == 1) shape[rank++] = from->shape[i];
        for (int k = first; last - first > 1 && k < last; k++) shape[rank++] = to->shape[k];
    }
    return rank;
}

// The order of those dimensions in the result of the transpose behind the reshape.
static void joined_perm(const Groups *groups, IntList outer_perm, const int *start, int64_t *perm) {
    int rank = 0;
    for (int j = 0; j < outer_perm.count; j++) {
        const int g = find_group(groups->out, groups->count, outer_perm.data[j]);
        const int64_t part = outer_perm.data[j] - groups->out[g];
        if (groups->out[g + 1] - groups->out[g] > 1) perm[rank++] = start[groups->in[g]] + part;
        else
            for (int i = groups->in[g]; i < groups->in[g + 1]; i++) perm[rank++] = start[i];
    }
}

// transpose(reshape(transpose(x))) = reshape(transpose(reshape(x))), whose reshapes split x and join the result.
static bool merge_around_reshape(Op *op) {
    Op *reshape = value_def(op_operand(op, 0), OP_reshape);
    Op *inner = reshape && value_has_one_use(op_operand(op, 0)) ? value_def(op_operand(reshape, 0), OP_transpose) : NULL;
    Groups groups;
    if (!inner || (op->results[0].type->quant && op->results[0].type->quant->axis >= 0)) return false;
    if (!find_groups(inner->results[0].type, reshape->results[0].type, &groups)) return false;
    int start[MAX_RANK];
    int64_t shape[2 * MAX_RANK], perm[2 * MAX_RANK];
    const int rank = split_shape(&groups, as_transpose(inner).perm, reshape, start, shape);
    if (rank > MAX_RANK) return false;
    joined_perm(&groups, as_transpose(op).perm, start, perm);
    Arena *arena = op->func->module->arena;
    Value *value = make_reshape(op, op_operand(inner, 0), type_with_shape(arena, op->results[0].type, rank, shape));
    Builder builder = builder_before(op);
    value = &op_new(&builder, OP_transpose, 1, &value, 1, NULL, attr_ints(arena, NULL, "perm", rank, perm))->results[0];
    absorb(op, make_reshape(op, value, op->results[0].type));
    return true;
}

// Element i of the outer one is element start + i * step of the inner one's operand. Of a single element the step is 1: the
// product may be larger than a slice's may.
static bool merge_slices(Op *op) {
    Op *inner = value_def(op_operand(op, 0), OP_slice);
    const Type *type = op->results[0].type;
    if (!inner || !type_elem_count(type)) return false;
    slice_view outer_view = as_slice(op), inner_view = as_slice(inner);
    int64_t starts[MAX_RANK], ends[MAX_RANK], steps[MAX_RANK];
    for (int i = 0; i < type->rank; i++) {
        steps[i] = type->shape[i] == 1 ? 1 : int_at(inner_view.steps, i) * int_at(outer_view.steps, i);
        starts[i] = int_at(inner_view.starts, i) + int_at(inner_view.steps, i) * int_at(outer_view.starts, i);
        ends[i] = starts[i] + (type->shape[i] - 1) * steps[i] + (steps[i] < 0 ? -1 : 1);
    }
    Arena *arena = op->func->module->arena;
    op_set_operand(op, 0, op_operand(inner, 0));
    op_set_attr(op, attr_ints(arena, NULL, "starts", type->rank, starts));
    op_set_attr(op, attr_ints(arena, NULL, "ends", type->rank, ends));
    op_set_attr(op, attr_ints(arena, NULL, "steps", type->rank, steps));
    return true;
}

// The dimensions larger than 1 keep their order.
static bool transpose_is_reshape(const Op *op) {
    IntList perm = as_transpose(op).perm;
    const Type *type = op_operand(op, 0)->type;
    int64_t last = -1;
    for (int i = 0; i < perm.count; i++) {
        if (type->shape[perm.data[i]] == 1) continue;
        if (perm.data[i] < last) return false;
        last = perm.data[i];
    }
    return !type->quant || type->quant->axis < 0;
}

static bool is_spatial_zero_pad(const Op *pad) {
    pad_view view = as_pad(pad);
    if (view.value != 0 || pad->results[0].type->rank != 4) return false;
    for (int i = 0; i < 4; i++) {
        int64_t low = int_at(view.low, i), high = int_at(view.high, i);
        if (low < 0 || high < 0 || ((i == 0 || i == 3) && (low || high))) return false;
    }
    return true;
}

static bool merge_pad_into_conv(Op *op) {
    Op *pad = value_def(op_operand(op, 0), OP_pad);
    if (!pad || !is_spatial_zero_pad(pad)) return false;
    pad_view view = as_pad(pad);
    IntList old = as_conv2d(op).pads;
    int64_t pads[4] = {int_at(old, 0) + int_at(view.low, 1), int_at(old, 1) + int_at(view.low, 2),
                       int_at(old, 2) + int_at(view.high, 1), int_at(old, 3) + int_at(view.high, 2)};
    op_set_operand(op, 0, view.input);
    op_set_attr(op, attr_ints(op->func->module->arena, NULL, "pads", 4, pads));
    return true;
}

static bool is_hard_swish_gate(const Op *op) {
    return op->kind == OP_hard_sigmoid && fabs(as_hard_sigmoid(op).alpha - 1.0 / 6) < 1e-6 && as_hard_sigmoid(op).beta == 0.5;
}

// A factor computed from the other alone.
static bool merge_gate(Op *op) {
    if (is_activated(op) || op->results[0].type->elem != ELEM_F32) return false;
    for (int i = 0; i < 2; i++) {
        Value *x = op_operand(op, i), *gate = op_operand(op, 1 - i);
        if (!gate->def || (gate->def->kind != OP_sigmoid && !is_hard_swish_gate(gate->def))) continue;
        if (op_operand(gate->def, 0) != x || !value_has_one_use(gate) || x->type->elem != ELEM_F32) continue;
        Builder builder = builder_before(op);
        const OpKind kind = gate->def->kind == OP_sigmoid ? OP_swish : OP_hard_swish;
        absorb(op, &op_new(&builder, kind, 1, &x, 1, &op->results[0].type, NULL)->results[0]);
        return true;
    }
    return false;
}

static bool simplify(Op *op) {
    if (op->result_count == 1 && op_has(op, PURE) && changes_nothing(op) && (op->kind != OP_pad || pad_is_empty(op))) {
        Value *input = op_operand(op, 0);
        bool returned = is_returned(&op->results[0]); // the model's output keeps its name, and its own memory
        if (returned && (!input->def || is_returned(input))) return false;
        if (returned) absorb(op, input);
        else op_replace(op, input);
        return true;
    }
    if (op->kind == OP_reshape) return merge_reshapes(op);
    if (op->kind == OP_slice) return merge_slices(op);
    if (op->kind == OP_conv2d) return merge_pad_into_conv(op);
    if (op->kind == OP_mul) return merge_gate(op);
    if (op->kind != OP_transpose) return false;
    if (merge_transposes(op) || merge_around_reshape(op)) return true;
    if (!transpose_is_reshape(op)) return false;
    Value *reshaped = make_reshape(op, op_operand(op, 0), op->results[0].type);
    absorb(op, reshaped);
    return true;
}

// Where constants follow sizes: all of one at the largest size is a part of it at others.
static bool is_kept(const Op *op, const PassContext *context) {
    return context->unfolded && op->kind == OP_slice && value_constant(op_operand(op, 0));
}

bool canonicalize_ops(Module *module, const PassContext *context) {
    for (bool changed = true; changed;) {
        changed = false;
        for (Func *func = module->funcs; func; func = func->next)
            FOR_EACH_OP(func, op) changed |= !is_kept(op, context) && simplify(op);
        dead_code(module, context);
    }
    return true;
}
