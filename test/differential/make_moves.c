// Random moves of data and changes of precision (graph.h).
#include <math.h>
#include <string.h>

#include "test/differential/graph.h"

static bool is_any(const Value *value) { return value != NULL; }
static bool has_dims(const Value *value) { return value->type->rank >= 1; }

// ---- moves

static Value *moved(Graph *graph, OpKind kind, int count, Value *const *operands, Attr *attrs) {
    bool exact = true;
    for (int i = 0; i < count; i++) exact = exact && graph_is_exact(graph, operands[i]);
    return graph_add(graph, graph_op(graph, kind, count, operands, attrs, natural_scale(operands[0])), exact);
}

Value *make_reshape(Graph *graph) {
    Value *input = graph_pick(graph, is_any);
    if (!input) return NULL;
    int64_t shape[MAX_RANK];
    int rank = 0;
    for (int i = 0; i < input->type->rank; i++) { // dimensions merged, split, and ones put between
        int64_t dim = input->type->shape[i];
        if (rank && random_chance(graph, 35)) shape[rank - 1] *= dim;
        else if (dim > 1 && rank < 5 && dim % 2 == 0 && random_chance(graph, 25)) shape[rank++] = 2, shape[rank++] = dim / 2;
        else if (rank < 7) shape[rank++] = dim;
        else return NULL;
        if (rank < 6 && random_chance(graph, 15)) shape[rank++] = 1;
    }
    if (random_chance(graph, 15)) rank = 1, shape[0] = type_elem_count(input->type);
    return moved(graph, OP_reshape, 1, &input, attr_ints(graph->arena, NULL, "shape", rank, shape));
}

Value *make_transpose(Graph *graph) {
    Value *input = graph_pick(graph, has_dims);
    if (!input) return NULL;
    int64_t perm[MAX_RANK];
    int rank = input->type->rank;
    for (int i = 0; i < rank; i++) perm[i] = i;
    for (int i = rank - 1; i > 0; i--) {
        int k = random_int(graph, 0, i);
        int64_t other = perm[i];
        perm[i] = perm[k];
        perm[k] = other;
    }
    return moved(graph, OP_transpose, 1, &input, attr_ints(graph->arena, NULL, "perm", rank, perm));
}

static Attr *slice_attrs(Graph *graph, const Type *type) {
    int64_t starts[MAX_RANK], ends[MAX_RANK], steps[MAX_RANK];
    for (int i = 0; i < type->rank; i++) {
        int size = (int)type->shape[i];
        starts[i] = 0, ends[i] = size, steps[i] = 1;
        if (!size || random_chance(graph, 40)) continue;
        steps[i] = RANDOM_OF(graph, 1, 1, 2, 3, -1, -1, -2, -3);
        int first = random_int(graph, 0, size - 1), second = random_int(graph, 0, size - 1);
        int low = first < second ? first : second, high = first < second ? second : first;
        starts[i] = steps[i] > 0 ? low : high;
        ends[i] = steps[i] > 0 ? high + 1 : low - 1;
    }
    Attr *attrs = attr_ints(graph->arena, NULL, "starts", type->rank, starts);
    attrs = attr_ints(graph->arena, attrs, "ends", type->rank, ends);
    return attr_ints(graph->arena, attrs, "steps", type->rank, steps);
}

Value *make_slice(Graph *graph) {
    Value *input = graph_pick(graph, has_dims);
    return input ? moved(graph, OP_slice, 1, &input, slice_attrs(graph, input->type)) : NULL;
}

Value *make_pad(Graph *graph) {
    Value *input = graph_pick(graph, has_dims);
    if (!input) return NULL;
    int64_t low[MAX_RANK], high[MAX_RANK];
    for (int i = 0; i < input->type->rank; i++) {
        bool kept = random_chance(graph, 40);
        low[i] = kept ? 0 : random_int(graph, -2, 3);
        high[i] = kept ? 0 : random_int(graph, -2, 3);
    }
    Attr *attrs = attr_ints(graph->arena, NULL, "low", input->type->rank, low);
    attrs = attr_ints(graph->arena, attrs, "high", input->type->rank, high);
    if (random_chance(graph, 50)) attrs = attr_float(graph->arena, attrs, "value", (float)random_int(graph, -5, 5));
    return moved(graph, OP_pad, 1, &input, attrs);
}

// With the input once more, slices of it, constants of other scales, and other values that fit.
Value *make_concat(Graph *graph) {
    Value *inputs[4] = {graph_pick(graph, has_dims)};
    if (!inputs[0]) return NULL;
    const Type *type = inputs[0]->type;
    int axis = random_int(graph, 0, type->rank - 1), count = random_int(graph, 1, 4);
    for (int i = 1; i < count; i++) {
        int64_t shape[MAX_RANK];
        memcpy(shape, type->shape, sizeof(int64_t) * (size_t)type->rank);
        shape[axis] = random_int(graph, random_chance(graph, 10) ? 0 : 1, 4);
        inputs[i] = random_chance(graph, 25) ? inputs[0] : graph_pick(graph, has_dims);
        bool fits = inputs[i]->type->rank == type->rank && is_quantized(inputs[i]) == is_quantized(inputs[0]) &&
                    inputs[i]->type->elem == type->elem;
        for (int k = 0; fits && k < type->rank; k++) fits = k == axis || inputs[i]->type->shape[k] == shape[k];
        if (fits) continue;
        inputs[i] = random_constant(graph, type->quant ? random_quantized(graph, type->quant->scale[0], type->rank, shape)
                                                       : type_tensor(graph->arena, type->elem, type->rank, shape));
    }
    return moved(graph, OP_concat, count, inputs, attr_int(graph->arena, NULL, "axis", axis));
}

Value *make_broadcast_to(Graph *graph) {
    Value *input = graph_pick(graph, is_any);
    if (!input || input->type->rank > 5) return NULL;
    int64_t shape[MAX_RANK];
    int more = random_int(graph, 0, 2), rank = more + input->type->rank;
    for (int i = 0; i < rank; i++) shape[i] = i < more || input->type->shape[i - more] == 1 ? random_int(graph, 1, 3) : input->type->shape[i - more];
    return moved(graph, OP_broadcast_to, 1, &input, attr_ints(graph->arena, NULL, "shape", rank, shape));
}

Value *make_gather(Graph *graph) {
    Value *input = graph_pick(graph, has_dims);
    if (!input) return NULL;
    int axis = random_int(graph, 0, input->type->rank - 1), size = (int)input->type->shape[axis];
    if (!size) return NULL;
    int64_t shape[] = {random_int(graph, 1, 4), random_int(graph, 1, 3)};
    bool wide = random_chance(graph, 50);
    const Type *type = type_tensor(graph->arena, wide ? ELEM_I64 : ELEM_I32, random_int(graph, 0, 2), shape);
    int64_t count = type_elem_count(type), *data = ARENA_ARRAY(graph->arena, int64_t, count);
    for (int64_t i = 0; i < count; i++) {
        int index = random_int(graph, -size, size - 1);
        if (wide) data[i] = index;
        else ((int32_t *)data)[i] = index;
    }
    Value *operands[] = {input, op_constant(&graph->builder, type, data, "indices")};
    if (is_quantized(input) && input->type->rank + type->rank - 1 > MAX_RANK) return NULL;
    return moved(graph, OP_gather, 2, operands, attr_int(graph->arena, NULL, "axis", axis));
}

// ---- types

static bool is_plain(const Value *value) { return !value->type->quant; }

Value *make_cast(Graph *graph) {
    static const Elem elems[] = {ELEM_I32, ELEM_I64, ELEM_I8, ELEM_U8, ELEM_I1, ELEM_F32, ELEM_F32};
    Value *input = graph_pick(graph, is_plain);
    if (!input || !graph_is_exact(graph, input)) return NULL;
    Elem to = elems[is_f32(input) ? random_int(graph, 0, 4) : random_int(graph, 0, 6)];
    return moved(graph, OP_cast, 1, &input, attr_type(graph->arena, NULL, "to", type_tensor(graph->arena, to, 0, NULL)));
}

static Value *typed(Graph *graph, OpKind kind, Value *input, const Type *type) {
    Op *op = op_new(&graph->builder, kind, 1, &input, 1, &type, NULL);
    value_set_name(&op->results[0], op_info(kind)->name);
    return graph_add(graph, &op->results[0], true);
}

// quantize, dequantize, requantize, fake_quant
Value *make_precision(Graph *graph) {
    Value *input = graph_pick(graph, is_real);
    if (!input || graph->whole || !graph_is_exact(graph, input)) return NULL;
    int rank = input->type->rank;
    const int64_t *shape = input->type->shape;
    double natural = is_quantized(input) ? natural_scale(input) : exp2(random_int(graph, -7, 0));
    const bool words = graph->words;
    if (words && is_quantized(input) && random_chance(graph, 40)) graph->words = input->type->elem == ELEM_I8; // to the other number of bits
    const Type *type = random_quantized(graph, natural, rank, shape);
    graph->words = words;
    if (is_quantized(input) && random_chance(graph, 50)) return typed(graph, OP_requantize, input, type);
    if (is_quantized(input)) return graph_add(graph, graph_op(graph, OP_dequantize, 1, &input, NULL, 1), true);
    if (random_chance(graph, 70)) return typed(graph, OP_quantize, input, type);
    return moved(graph, OP_fake_quant, 1, &input, attr_type(graph->arena, NULL, "as", type_quantized(graph->arena, type->quant, 0, NULL)));
}

static bool has_planes(const Value *value) { return is_f32(value) && value->type->rank == 4 && value->type->shape[1] == 3; }

// An image of three planes, quantized side by side.
Value *make_planes(Graph *graph) {
    static const int64_t channels_last[] = {0, 2, 3, 1};
    Value *input = graph_pick(graph, has_planes);
    if (!input || graph->whole || !graph_is_exact(graph, input)) return NULL;
    Value *turned = graph_op(graph, OP_transpose, 1, &input, attr_ints(graph->arena, NULL, "perm", 4, channels_last), 1);
    return turned ? typed(graph, OP_quantize, turned, random_quantized(graph, 0.02, 4, turned->type->shape)) : NULL;
}
