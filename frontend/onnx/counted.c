// Tensors whose size depends on data: NonZero, Compress, Unique, NonMaxSuppression. Such a tensor is as large as it may
// have to be along one axis, and a scalar computed beside it says how many of its elements count. Ops that treat the
// elements along that axis alike and apart pass the count on, by one table of nn ops (counted_axis); others refuse
// the tensor. Where a counted tensor is an output of the graph, the count is one too.
#include <string.h>

#include "frontend/onnx/importer.h"

struct Counted {
    int axis;
    Value *count; // i64, rank 0
};

// ---- what passes a count on

static const Counted *value_counted(const Importer *importer, const Value *value) {
    return importer->counted && value ? map_find(importer->counted, value) : NULL;
}

static void set_counted(Importer *importer, const Value *value, int axis, Value *count) {
    Counted *counted = ARENA_NEW(importer->scratch, Counted);
    *counted = (Counted){axis, count};
    if (!importer->counted)
        importer->counted = map_new_pointers(importer->scratch);
    *map_get(importer->counted, value) = counted;
}

// The other operands of an elementwise op must repeat along the axis, or have the same count.
static int elementwise_axis(const Importer *importer, const Op *op, int operand, int axis) {
    const Type *out = op->results[0].type, *type = op_operand(op, operand)->type;
    int from_end = type->rank - axis;
    if (out->shape[out->rank - from_end] != type->shape[axis])
        return -1;
    for (int i = 0; i < op->operand_count; i++) {
        const Type *other = op_operand(op, i)->type;
        if (!value_counted(importer, op_operand(op, i)) && other->rank >= from_end &&
            other->shape[other->rank - from_end] != 1)
            return -1;
    }
    return out->rank - from_end;
}

static int reshaped_axis(const Type *from, const Type *to, int axis) {
    int64_t before = 1, at = 1;
    for (int i = 0; i < axis; i++)
        before *= from->shape[i];
    for (int i = 0; i < to->rank; at *= to->shape[i++])
        if (at == before && to->shape[i] == from->shape[axis])
            return i;
    return -1;
}

static int gathered_axis(const Op *op, int operand, int axis) {
    gather_view gather = as_gather(op);
    if (operand == 1)
        return (int)gather.axis + axis;
    return axis == gather.axis ? -1 : axis < gather.axis ? axis : axis - 1 + gather.indices->type->rank;
}

static int sliced_axis(const Op *op, int axis) {
    slice_view slice = as_slice(op);
    bool whole = !slice.starts.data[axis] && int_at(slice.steps, axis) == 1 &&
                 slice.ends.data[axis] == slice.input->type->shape[axis];
    return whole ? axis : -1;
}

static int transposed_axis(const Op *op, int axis) {
    IntList perm = as_transpose(op).perm;
    for (int i = 0; i < perm.count; i++)
        if (perm.data[i] == axis)
            return i;
    return -1;
}

static int joined_axis(const Importer *importer, const Op *op, int axis) {
    for (int i = 0; i < op->operand_count; i++)
        if (!value_counted(importer, op_operand(op, i)))
            return -1;
    return axis == as_concat(op).axis ? -1 : axis;
}

static int reduced_axis(const Op *op, int axis) {
    IntList axes = op_ints(op, "axes");
    int before = 0;
    for (int i = 0; i < axes.count; i++) {
        if (axes.data[i] == axis)
            return -1;
        before += axes.data[i] < axis;
    }
    return op_bool(op, "keep_dims") ? axis : axis - before;
}

// Ops along one axis, which may be negative.
static int along_axis(const Op *op, int axis) {
    int64_t own = op_int(op, "axis");
    int rank = op_operand(op, 0)->type->rank;
    return (own < 0 ? own + rank : own) == axis ? -1 : axis;
}

// The axis of the result along which the elements are those of operand's `axis`; -1: the op mixes them.
static int counted_axis(const Importer *importer, const Op *op, int operand, int axis) {
    const Type *type = op_operand(op, operand)->type, *out = op->results[0].type;
    switch (op->kind) {
    case OP_cast: return axis;
    case OP_transpose: return transposed_axis(op, axis);
    case OP_reshape: return reshaped_axis(type, out, axis);
    case OP_gather: return gathered_axis(op, operand, axis);
    case OP_gather_nd: return operand == 1 && axis < type->rank - 1 && !as_gather_nd(op).batch_dims ? axis : -1;
    case OP_slice: return sliced_axis(op, axis);
    case OP_concat: return joined_axis(importer, op, axis);
    case OP_softmax: case OP_log_softmax: case OP_hardmax: return along_axis(op, axis);
    case OP_linear: return operand == 0 && axis < type->rank - 1 ? axis : -1;
    case OP_matmul: return operand == 0 && axis == type->rank - 2 ? out->rank - 2 : -1;
    case OP_reduce_mean: case OP_reduce_sum: case OP_reduce_max: case OP_reduce_min: case OP_reduce_prod:
    case OP_reduce_l1: case OP_reduce_l2: case OP_reduce_sum_square: case OP_reduce_log_sum:
    case OP_reduce_log_sum_exp: return reduced_axis(op, axis);
    default: return op_has(op, ELEMENTWISE) ? elementwise_axis(importer, op, operand, axis) : -1;
    }
}

static bool refuse(const Node *node, const Type *type, int axis) {
    return node_error(node,
                      "dimension %d of its input has a size that depends on data (at most %lld), which it can't take: "
                      "end the model before it",
                      axis, (long long)type->shape[axis]);
}

bool node_pass_counted(const Node *node, const Value *result) {
    Importer *importer = node->importer;
    const Op *op = result->def;
    Counted found = {-1, NULL};
    for (int i = 0; importer->counted && i < op->operand_count; i++) {
        const Counted *own = value_counted(importer, op_operand(op, i));
        if (!own)
            continue;
        int axis = counted_axis(importer, op, i, own->axis);
        if (axis < 0 || (found.count && (found.count != own->count || found.axis != axis)))
            return refuse(node, op_operand(op, i)->type, own->axis);
        found = (Counted){axis, own->count};
    }
    if (found.count)
        set_counted(importer, result, found.axis, found.count);
    return true;
}

bool node_has_fixed_size(const Node *node, int index) {
    const Value *value = node_dense(node, index) || !node->importer->counted ? NULL : node_input_or_null(node, index);
    const Counted *counted = value_counted(node->importer, value);
    return !counted || refuse(node, value->type, counted->axis);
}

int emit_counts(Importer *importer, const Onnx__GraphProto *graph, int count, Value **values) {
    int64_t *axes = ARENA_ARRAY(importer->scratch, int64_t, count + 1);
    int added = 0;
    for (int i = 0; i < count; i++) {
        Symbol *symbol = symbol_find(importer, graph->output[i]->name);
        const Counted *counted = value_counted(importer, symbol->value);
        axes[i] = counted ? counted->axis : -1;
        if (!counted)
            continue;
        Value *operand = counted->count;
        Attr *attrs = attr_ints(importer->arena, NULL, "shape", 0, NULL);
        Value *copy = op_infer(&importer->builder, importer->quiet, OP_reshape, 1, &operand, attrs);
        name_value(importer, copy, arena_printf(importer->scratch, "%s_count", symbol->name));
        values[count + added++] = copy;
    }
    if (added)
        importer->module->attrs = attr_ints(importer->arena, importer->module->attrs, "qanat.counted", count, axes);
    return added;
}

// ---- what the conversions below share

static Value *emit_splat(const Node *node, Elem elem, double value) {
    Arena *scratch = node->importer->scratch;
    return emit_constant(node->importer, dense_splat(scratch, type_tensor(scratch, elem, 0, NULL), value), false, NULL);
}

static Value *emit_i64(const Node *node, int64_t value) {
    return emit_splat(node, ELEM_I64, (double)value);
}

// How many elements of a mask of one dimension are true.
static Value *emit_count(const Node *node, Value *mask) {
    Arena *arena = node->importer->arena;
    Attr *attrs = attr_ints(arena, attr_bool(arena, NULL, "keep_dims", false), "axes", 1, (int64_t[]){0});
    return emit_unary(node, OP_reduce_sum, emit_cast(node, mask, ELEM_I64), attrs);
}

static Value *emit_true_indices(const Node *node, Value *mask, int64_t rest) {
    return emit_unary(node, OP_true_indices, mask, attr_int(node->importer->arena, NULL, "rest", rest));
}

// Positions along dimension `dim` of `rank` that are below the count.
static Value *emit_counts_below(const Node *node, int rank, int dim, int64_t size, Value *count) {
    return emit_binary(node, OP_less, emit_iota(node, rank, dim, size), count);
}

// The counted elements, then `rest`.
static Value *emit_kept(const Node *node, Value *value, int axis, Value *count, double rest) {
    if (!value || !count)
        return NULL;
    Value *below = emit_counts_below(node, value->type->rank, axis, value->type->shape[axis], count);
    return emit(node, OP_where, 3, (Value *[]){below, value, emit_splat(node, value->type->elem, rest)}, NULL);
}

static Value *emit_gather(const Node *node, Value *input, Value *indices, int axis) {
    return emit(node, OP_gather, 2, (Value *[]){input, indices}, attr_int(node->importer->arena, NULL, "axis", axis));
}

// The elements from `first` to before `end` along one axis.
static Value *emit_part(const Node *node, Value *value, int axis, int64_t first, int64_t end) {
    int64_t starts[MAX_RANK] = {0}, ends[MAX_RANK], steps[MAX_RANK];
    if (!value)
        return NULL;
    for (int i = 0; i < value->type->rank; i++)
        ends[i] = value->type->shape[i], steps[i] = 1;
    starts[axis] = first, ends[axis] = end;
    return emit_slice(node, value, starts, ends, steps);
}

// A count that is known already makes an ordinary tensor.
static bool bind_counted(const Node *node, int index, Value *value, int axis, Value *count) {
    if (!value || !count)
        return false;
    const Dense *known = value_constant(count);
    if (known)
        value = emit_part(node, value, axis, 0, dense_i64(known, 0));
    else
        set_counted(node->importer, value, axis, count);
    return node_bind(node, index, value);
}

// ---- NonZero, Compress

// Of positions in C order the index along each dimension: [rank, positions].
static Value *emit_coordinates(const Node *node, Value *positions, const Type *type) {
    int64_t strides[MAX_RANK], sizes[MAX_RANK], stride = 1, shape[2] = {type->rank, 1};
    for (int i = type->rank - 1; i >= 0; stride *= type->shape[i--])
        strides[i] = stride, sizes[i] = type->shape[i];
    Value *row = emit_reshape(node, positions, 2, (int64_t[]){1, positions->type->shape[0]});
    Value *by = emit_reshape(node, emit_ints(node, type->rank, strides), 2, shape);
    Value *size = emit_reshape(node, emit_ints(node, type->rank, sizes), 2, shape);
    return type->rank == 1 ? row : emit_binary(node, OP_mod, emit_binary(node, OP_div, row, by), size);
}

static Value *emit_flat(const Node *node, Value *value) {
    return value ? emit_reshape(node, value, 1, (int64_t[]){type_elem_count(value->type)}) : NULL;
}

bool convert_non_zero(Node *node) {
    Value *input = node_input(node, 0);
    if (!input)
        return false;
    if (!input->type->rank || !type_elem_count(input->type))
        return node_error(node, "its input is %s, expected some elements in at least one dimension",
                          type_text(node->importer->scratch, input->type));
    Value *mask = emit_flat(node, emit_cast(node, input, ELEM_I1)), *positions = mask ? emit_true_indices(node, mask, 0) : NULL;
    Value *coordinates = positions ? emit_coordinates(node, positions, input->type) : NULL;
    return coordinates && bind_counted(node, 0, coordinates, 1, emit_count(node, mask));
}

bool convert_compress(Node *node) {
    Value *input = node_input(node, 0), *mask = node_input(node, 1);
    int axis = 0;
    if (!input || !mask)
        return false;
    if (!node_attr(node, "axis"))
        input = emit_flat(node, input);
    else if (!node_axis(node, node_int(node, "axis", 0), input->type->rank, &axis))
        return false;
    if (!input)
        return false;
    const Type *type = mask->type;
    if (type->rank != 1 || type->elem != ELEM_I1 || type->shape[0] < 1 || type->shape[0] > input->type->shape[axis])
        return node_error(node, "its condition is %s, expected one dimension of 1 to %lld of i1",
                          type_text(node->importer->scratch, type), (long long)input->type->shape[axis]);
    Value *count = emit_count(node, mask), *value = emit_gather(node, input, emit_true_indices(node, mask, 0), axis);
    return bind_counted(node, 0, emit_kept(node, value, axis, count, 0), axis, count);
}

// ---- Unique: tuples are sorted; where one differs from that before it, a new one starts

typedef struct { Value *order, *starts, *is_new, *count; int64_t n; } Groups;

static Value *emit_arg_sort(const Node *node, Value *tuples, int64_t batch, int64_t n, int64_t width, bool descending) {
    Value *value = emit_reshape(node, tuples, 3, (int64_t[]){batch, n, width});
    Attr *attrs = descending ? attr_bool(node->importer->arena, NULL, "descending", true) : NULL;
    return value ? emit_unary(node, OP_arg_sort, value, attrs) : NULL;
}

// Of one dimension.
static Value *emit_order(const Node *node, Value *keys, int64_t n) {
    return emit_flat(node, emit_arg_sort(node, keys, 1, n, type_elem_count(keys->type) / n, false));
}

static bool find_groups(const Node *node, Value *tuples, Groups *g) {
    int64_t n = g->n = tuples->type->shape[0];
    Arena *arena = node->importer->arena;
    g->order = emit_order(node, tuples, n);
    Value *sorted = emit_gather(node, tuples, g->order, 0);
    Value *later = emit_part(node, sorted, 0, 1, n), *earlier = emit_part(node, sorted, 0, 0, n - 1);
    Value *same = emit_binary(node, OP_equal, later, earlier);
    Attr *attrs = attr_ints(arena, attr_bool(arena, NULL, "keep_dims", false), "axes", 1, (int64_t[]){1});
    same = same ? emit_unary(node, OP_reduce_min, same, attrs) : NULL;
    Value *first = emit_reshape(node, emit_splat(node, ELEM_I1, 1), 1, (int64_t[]){1});
    Value *differs = same ? emit_unary(node, OP_not, same, NULL) : NULL;
    g->is_new = differs && n > 1 ? emit_concat(node, 2, (Value *[]){first, differs}, 0) : differs ? first : NULL;
    g->count = g->is_new ? emit_count(node, g->is_new) : NULL;
    g->starts = g->is_new ? emit_true_indices(node, g->is_new, n) : NULL;
    return g->count && g->starts;
}

// The first of the equal tuples in the input, for each group; n behind the last group.
static Value *emit_firsts(const Node *node, const Groups *g) {
    Value *inside = emit_binary(node, OP_min, g->starts, emit_i64(node, g->n - 1));
    return emit_kept(node, emit_gather(node, g->order, inside, 0), 0, g->count, (double)g->n);
}

static Value *emit_group_sizes(const Node *node, const Groups *g) {
    Value *end = emit_reshape(node, emit_i64(node, g->n), 1, (int64_t[]){1}), *rest = emit_part(node, g->starts, 0, 1, g->n);
    Value *ends = g->n > 1 ? emit_concat(node, 2, (Value *[]){rest, end}, 0) : end;
    return emit_binary(node, OP_sub, ends, g->starts);
}

// For each tuple of the input its group.
static Value *emit_group_of(const Node *node, const Groups *g) {
    Attr *axis = attr_int(node->importer->arena, NULL, "axis", 0);
    Value *nth = emit_unary(node, OP_cum_sum, emit_cast(node, g->is_new, ELEM_I64), axis);
    nth = emit_binary(node, OP_sub, nth, emit_i64(node, 1));
    return emit_gather(node, nth, emit_order(node, g->order, g->n), 0);
}

static bool bind_unique(const Node *node, Value *tuples, const Groups *g, Value **unique) {
    Value *firsts = emit_firsts(node, g), *sizes = emit_group_sizes(node, g), *group = emit_group_of(node, g);
    if (!firsts || !sizes || !group)
        return false;
    if (!node_int(node, "sorted", 1)) { // groups in the order of their firsts
        Value *order = emit_order(node, firsts, g->n);
        firsts = emit_gather(node, firsts, order, 0);
        sizes = emit_gather(node, sizes, order, 0);
        group = order ? emit_gather(node, emit_order(node, order, g->n), group, 0) : NULL;
    }
    Value *kept = emit_kept(node, firsts, 0, g->count, 0);
    *unique = emit_kept(node, emit_gather(node, tuples, kept, 0), 0, g->count, 0);
    return bind_counted(node, 1, kept, 0, g->count) && node_bind(node, 2, group) &&
           bind_counted(node, 3, sizes, 0, g->count) && *unique;
}

bool convert_unique(Node *node) {
    Value *input = node_input(node, 0), *value;
    int axis = 0, perm[MAX_RANK], back[MAX_RANK];
    if (!input)
        return false;
    if (!node_attr(node, "axis"))
        input = emit_flat(node, input);
    else if (!node_axis(node, node_int(node, "axis", 0), input->type->rank, &axis))
        return false;
    if (!input || !type_elem_count(input->type))
        return input && node_error(node, "its input has no elements");
    int rank = input->type->rank;
    for (int i = 0; i < rank; i++)
        perm[i] = i == 0 ? axis : i <= axis ? i - 1 : i, back[perm[i]] = i;
    Value *moved = emit_transpose(node, input, perm);
    if (!moved)
        return false;
    int64_t n = moved->type->shape[0], width = type_elem_count(moved->type) / n;
    Value *tuples = emit_reshape(node, moved, 2, (int64_t[]){n, width});
    Groups groups;
    if (!tuples || !find_groups(node, tuples, &groups) || !bind_unique(node, tuples, &groups, &value))
        return false;
    value = emit_transpose(node, emit_reshape(node, value, rank, moved->type->shape), back);
    return bind_counted(node, 0, value, axis, groups.count);
}

// ---- NonMaxSuppression

typedef struct { int64_t batches, classes, boxes, most; } Boxes;

static bool read_boxes(const Node *node, const Type *boxes, const Type *scores, Boxes *b, Attr **attrs) {
    Arena *arena = node->importer->arena;
    double most, iou, score;
    if (boxes->rank != 3 || scores->rank != 3 || boxes->shape[2] != 4 || boxes->shape[0] != scores->shape[0] ||
        boxes->shape[1] != scores->shape[2])
        return node_error(node, "boxes are %s and scores %s, expected batch, n, 4 and batch, classes, n",
                          type_text(node->importer->scratch, boxes), type_text(node->importer->scratch, scores));
    if (!node_scalar(node, 2, 0, &most) || !node_scalar(node, 3, 0, &iou) || !node_scalar(node, 4, 0, &score))
        return false;
    *b = (Boxes){boxes->shape[0], scores->shape[1], boxes->shape[1], 0};
    b->most = most < 0 ? 0 : most > (double)b->boxes ? b->boxes : (int64_t)most;
    *attrs = node_has_input(node, 4) ? attr_float(arena, NULL, "score_threshold", score) : NULL;
    if (node_int(node, "center_point_box", 0))
        *attrs = attr_bool(arena, *attrs, "center", true);
    *attrs = attr_int(arena, attr_float(arena, *attrs, "iou_threshold", iou), "most", b->most);
    return true;
}

// Batch, class and box of each that is chosen.
static bool bind_chosen(const Node *node, Value *chosen, const Boxes *b) {
    Value *flat = emit_flat(node, chosen), *mask = emit_binary(node, OP_less, emit_i64(node, -1), flat);
    if (!mask)
        return false;
    int64_t n = flat->type->shape[0], shape[3] = {b->batches, b->classes, b->most};
    Value *positions = emit_true_indices(node, mask, 0), *count = emit_count(node, mask);
    if (!positions)
        return false;
    const Type *places = type_tensor(node->importer->scratch, ELEM_I64, 3, shape);
    Value *first = emit_part(node, emit_coordinates(node, positions, places), 0, 0, 2);
    Value *box = emit_reshape(node, emit_gather(node, flat, positions, 0), 2, (int64_t[]){1, n});
    Value *parts[] = {first, box}, *rows = first && box ? emit_concat(node, 2, parts, 0) : NULL;
    return bind_counted(node, 0, emit_kept(node, emit_transpose(node, rows, (int[]){1, 0}), 0, count, -1), 0, count);
}

bool convert_non_max_suppression(Node *node) {
    Value *boxes = node_input(node, 0), *scores = node_input(node, 1);
    Boxes b = {0};
    Attr *attrs = NULL;
    if (!boxes || !scores || !read_boxes(node, boxes->type, scores->type, &b, &attrs))
        return false;
    if (!b.batches || !b.classes || !b.most) {
        const Type *none = type_tensor(node->importer->scratch, ELEM_I64, 2, (int64_t[]){0, 3});
        return node_bind_dense(node, 0, dense_alloc(node->importer->scratch, none));
    }
    Value *order = emit_arg_sort(node, scores, b.batches * b.classes, b.boxes, 1, true);
    order = emit_reshape(node, order, 3, (int64_t[]){b.batches, b.classes, b.boxes});
    Value *chosen = emit(node, OP_non_max_suppression, 3, (Value *[]){boxes, scores, order}, attrs);
    return chosen && bind_chosen(node, chosen, &b);
}
