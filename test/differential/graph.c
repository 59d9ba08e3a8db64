// Random networks: numbers, tensors, and the choice of ops (graph.h).
#include "test/differential/graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/verify.h"

uint32_t random_bits(Graph *graph) {
    graph->random += 0x9E3779B97F4A7C15u; // splitmix64
    uint64_t z = graph->random;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (uint32_t)((z ^ (z >> 31)) >> 16);
}
int random_int(Graph *graph, int low, int high) {
    return low + (int)(random_bits(graph) % (uint32_t)(high - low + 1));
}
bool random_chance(Graph *graph, int percent) { return random_int(graph, 0, 99) < percent; }
double random_real(Graph *graph, double low, double high) {
    return low + (high - low) * ((double)(random_bits(graph) >> 8) / 16777216.0);
}

// ---- tensors

const Type *random_quantized(Graph *graph, double natural, int rank, const int64_t *shape) {
    double scale = natural * exp2(random_real(graph, -2, 3));
    if (random_chance(graph, 15)) scale = natural * exp2(random_real(graph, -40, 40));
    scale = fmin(fmax(scale, 0x1p-60), 0x1p60); // quotients and products of two stay normal
    int32_t zero = random_chance(graph, 40) ? RANDOM_OF(graph, -128, 127, 0) : random_int(graph, -128, 127);
    int low = -128, high = 127;
    if (random_chance(graph, 10)) low = -127, zero = zero < low ? low : zero;
    float rounded = (float)scale;
    const Quant *quant = quant_per_axis(graph->arena, ELEM_I8, -1, 1, &rounded, &zero, low, high);
    return type_quantized(graph->arena, quant, rank, shape);
}

static float random_float(Graph *graph, int kind) {
    if (kind == 0) return (float)random_real(graph, -4, 4);
    if (kind == 1) return (float)random_int(graph, -3, 3);
    if (kind == 2) return (float)(random_real(graph, -1, 1) * exp2(random_int(graph, -10, 10)));
    if (kind == 4 && random_chance(graph, 10)) return random_chance(graph, 50) ? NAN : random_chance(graph, 50) ? INFINITY : -INFINITY;
    static const float special[] = {0.0f, -0.0f, 1e-20f, -1e10f, 0.5f, 1.5f, 2.5f, -0.5f};
    return special[random_int(graph, 0, 7)];
}

static void fill_i8(Graph *graph, const Type *type, int8_t *data, int64_t count) {
    int low = type->quant ? type->quant->storage_min : -128, high = type->quant ? type->quant->storage_max : 127;
    int kind = random_int(graph, 0, 9), one = random_chance(graph, 50) ? low : high;
    for (int64_t i = 0; i < count; i++) {
        int value = random_int(graph, low, high);
        if (kind == 0) value = one;
        if (kind == 1 || kind == 2) value = random_chance(graph, 50) ? low : high;
        data[i] = (int8_t)value;
    }
}

void random_fill(Graph *graph, const Type *type, void *data) {
    int64_t count = type_elem_count(type);
    int kind = random_int(graph, 0, 3);
    switch (type->elem) {
    case ELEM_F32:
        if (!graph->module && random_chance(graph, 4)) kind = 4; // arguments; what an infinite weight makes of padding is nobody's business
        for (int64_t i = 0; i < count; i++) ((float *)data)[i] = random_float(graph, kind);
        break;
    case ELEM_I32: for (int64_t i = 0; i < count; i++) ((int32_t *)data)[i] = random_int(graph, -1000, 1000); break;
    case ELEM_I64: for (int64_t i = 0; i < count; i++) ((int64_t *)data)[i] = random_int(graph, -1000, 1000); break;
    default: fill_i8(graph, type, data, count);
    }
}

Value *random_constant(Graph *graph, const Type *type) {
    void *data = arena_alloc(graph->arena, type_bytes(type) + 8);
    random_fill(graph, type, data);
    Value *value = op_constant(&graph->builder, type, data, "c");
    if (random_chance(graph, 10)) { // one element for all
        Dense *dense = (Dense *)value->def->attrs->dense;
        dense->splat = true;
        dense->bytes = (size_t)elem_bits(type->elem) / 8;
    }
    return value;
}

// ---- building

Value *graph_op(Graph *graph, OpKind kind, int count, Value *const *operands, Attr *attrs, double natural) {
    Value *value = op_infer(&graph->builder, graph->quiet, kind, count, operands, attrs);
    if (!value) return NULL;
    if (operands[0]->type->quant && !value->type->quant && kind != OP_dequantize)
        value->type = random_quantized(graph, natural, value->type->rank, value->type->shape);
    if (type_elem_count(value->type) > 40000) {
        op_erase(value->def);
        return NULL;
    }
    value_set_name(value, op_info(kind)->name);
    return value;
}

Value *graph_add(Graph *graph, Value *value, bool exact) {
    if (!value || graph->value_count == MAX_VALUES) return value;
    graph->values[graph->value_count] = value;
    graph->exact[graph->value_count++] = exact || !is_f32(value);
    return value;
}

bool graph_is_exact(const Graph *graph, const Value *value) {
    for (int i = 0; i < graph->value_count; i++)
        if (graph->values[i] == value) return graph->exact[i];
    return true; // a constant
}

Value *graph_pick(Graph *graph, Accepts *accepts) {
    Value *fitting[MAX_VALUES];
    int count = 0;
    for (int i = 0; i < graph->value_count; i++)
        if (accepts(graph->values[i])) fitting[count++] = graph->values[i];
    if (!count) return NULL;
    return fitting[random_chance(graph, 60) ? count - 1 : random_int(graph, 0, count - 1)];
}

// ---- a network

static int random_channels(Graph *graph) {
    return random_chance(graph, 50) ? random_int(graph, 1, 8) : RANDOM_OF(graph, 3, 15, 16, 17, 24, 31, 32, 33, 48, 64, 65, 80);
}

static const Type *random_argument(Graph *graph) {
    int64_t shape[MAX_RANK];
    int rank = random_chance(graph, 60) ? 4 : random_int(graph, 1, 6);
    for (int i = 0; i < rank; i++) shape[i] = random_int(graph, 1, 5);
    if (rank == 4) {
        shape[0] = random_int(graph, 1, 3);
        shape[1] = random_chance(graph, 15) ? 1 : random_int(graph, 1, 11);
        shape[2] = random_chance(graph, 15) ? shape[1] : random_int(graph, 1, 11);
        shape[3] = random_channels(graph);
    }
    if (rank && random_chance(graph, 2)) shape[random_int(graph, 0, rank - 1)] = 0;
    if (random_chance(graph, 55)) return random_quantized(graph, exp2(random_int(graph, -8, 2)), rank, shape);
    return type_tensor(graph->arena, random_chance(graph, 4) ? ELEM_I32 : ELEM_F32, rank, shape);
}

static const struct { MakeOp *make; int weight; } makers[] = {
    {make_conv2d, 30}, {make_linear, 8}, {make_matmul, 8},    {make_pool2d, 8},       {make_reduce_mean, 8}, {make_binary, 14},
    {make_unary, 8},   {make_softmax, 3}, {make_reshape, 8},  {make_transpose, 8},    {make_slice, 6},       {make_pad, 6},
    {make_concat, 8},  {make_gather, 4},  {make_broadcast_to, 4}, {make_cast, 3},     {make_precision, 12},
};

static MakeOp *random_maker(Graph *graph) {
    int total = 0;
    for (size_t i = 0; i < sizeof makers / sizeof *makers; i++) total += makers[i].weight;
    int at = random_int(graph, 0, total - 1);
    for (size_t i = 0;; i++)
        if ((at -= makers[i].weight) < 0) return makers[i].make;
}

// The last value, and some others: intermediates, arguments, constants, one of them twice.
static void return_some(Graph *graph) {
    Value *returned[MAX_VALUES + 2];
    int count = 0;
    for (int i = 0; i < graph->value_count; i++)
        if (i == graph->value_count - 1 || random_chance(graph, 15)) returned[count++] = graph->values[i];
    if (random_chance(graph, 6)) returned[count] = returned[random_int(graph, 0, count - 1)], count++;
    if (random_chance(graph, 3)) returned[count++] = random_constant(graph, random_argument(graph));
    op_new(&graph->builder, OP_return, count, returned, 0, NULL, NULL);
}

Module *graph_new(Arena *arena, uint64_t seed) {
    Graph graph = {.random = seed * 0xD1342543DE82EF95u, .arena = arena, .quiet = diag_new(arena, NULL)};
    const Type *types[3];
    int args = random_chance(&graph, 70) ? 1 : random_int(&graph, 2, 3);
    for (int i = 0; i < args; i++) types[i] = random_argument(&graph);
    graph.module = module_new(arena, "random");
    Func *main = func_new(graph.module, "main", args, types, (const char *const[]){"a", "b", "d"});
    graph.builder = builder_end(main);
    for (int i = 0; i < args; i++) graph_add(&graph, &main->args[i], true);
    int ops = random_chance(&graph, 40) ? 1 : random_int(&graph, 1, 6);
    for (int i = 0, attempts = 0; i < ops && attempts < 40; attempts++) i += random_maker(&graph)(&graph) != NULL;
    return_some(&graph);
    return module_verify(graph.module, graph.quiet) ? graph.module : NULL;
}
