// Random networks: numbers, tensors, and the choice of ops (graph.h).
#include "test/differential/graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/verify.h"
#include "passes/pass.h"

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
    if (graph->words) low = -32768, high = 32767, zero = random_chance(graph, 70) ? 0 : zero * 256;
    float rounded = (float)(graph->words ? scale / 64 : scale);
    const Quant *quant = quant_per_axis(graph->arena, graph->words ? ELEM_I16 : ELEM_I8, -1, 1, &rounded, &zero, low, high);
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

static void fill_quantized(Graph *graph, const Type *type, void *data, int64_t count) {
    int low = type->quant ? type->quant->storage_min : -128, high = type->quant ? type->quant->storage_max : 127;
    int kind = random_int(graph, 0, 9), one = random_chance(graph, 50) ? low : high;
    for (int64_t i = 0; i < count; i++) {
        int value = random_int(graph, low, high);
        if (kind == 0) value = one;
        if (kind == 1 || kind == 2) value = random_chance(graph, 50) ? low : high;
        if (elem_bits(type->elem) == 16) ((int16_t *)data)[i] = (int16_t)value;
        else ((int8_t *)data)[i] = (int8_t)value;
    }
}

// Integers: near 0, some hundreds, the ends of the type and their neighbours, any bits.
static void fill_integers(Graph *graph, const Type *type, void *data) {
    Tensor tensor = {type, data};
    size_t bytes = (size_t)elem_bits(type->elem) / 8;
    int kind = random_int(graph, 0, 4);
    int64_t count = type_elem_count(type);
    for (int64_t i = 0; i < count; i++) {
        double value = kind == 0 ? random_int(graph, -3, 3) : kind < 3 ? random_int(graph, -1000, 1000) : random_int(graph, -1, 1) * 0x1p70;
        if (type->elem == ELEM_I1) value = random_chance(graph, 50);
        tensor_set_f64(&tensor, i, value); // saturates
        if (kind != 4 || type->elem == ELEM_I1) continue;
        uint64_t bits = (uint64_t)random_bits(graph) << 32 | random_bits(graph);
        memcpy((char *)data + (size_t)i * bytes, &bits, bytes);
    }
}

void random_fill(Graph *graph, const Type *type, void *data) {
    int64_t count = type_elem_count(type);
    int kind = random_int(graph, 0, 3);
    // Arguments may be NaN or infinite; what an infinite weight makes of padding is nobody's business.
    if (elem_is_float(type->elem) && !graph->module && random_chance(graph, 4)) kind = 4;
    if (type->quant) fill_quantized(graph, type, data, count);
    else if (!elem_is_float(type->elem)) fill_integers(graph, type, data);
    else
        for (int64_t i = 0; i < count; i++) tensor_set_f64(&(Tensor){type, data}, i, (double)random_float(graph, kind));
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

// The op alone, with arguments for its operands, by generic kernels, after the passes of `pipelines`.
static bool can_be_lowered(const Op *op, const char *pipelines) {
    Arena *arena = arena_new();
    const Type *types[16];
    Value *operands[16];
    Module *module = module_new(arena, "one");
    int args = 0;
    for (int i = 0; i < op->operand_count; i++)
        if (op_operand(op, i) && !value_constant(op_operand(op, i))) types[args++] = op_operand(op, i)->type;
    Func *main = func_new(module, "main", args, types, NULL);
    Builder builder = builder_end(main);
    for (int i = 0, arg = 0; i < op->operand_count; i++) {
        const Value *operand = op_operand(op, i);
        const Dense *dense = operand ? value_constant(operand) : NULL;
        operands[i] = operand && !dense ? &main->args[arg++] : NULL;
        if (dense)
            operands[i] = &op_new(&builder, OP_constant, 0, NULL, 1, &operand->type, attr_dense(arena, NULL, "value", dense))->results[0];
    }
    for (int i = 0; i < op->result_count; i++) types[i] = op->results[i].type;
    Op *copy = op_new(&builder, op->kind, op->operand_count, operands, op->result_count, types, op->attrs);
    for (int i = 0; i < op->result_count; i++) operands[i] = &copy->results[i];
    op_new(&builder, OP_return, op->result_count, operands, 0, NULL, NULL);
    PassContext context = {.target = target_find("x86-64"), .diag = diag_new(arena, NULL), .scratch = arena};
    bool good = run_passes(module, &context, pipelines, NULL, NULL);
    arena_free(arena);
    return good;
}

static bool has_kernels(Graph *graph, const Op *op) {
    if (can_be_lowered(op, "lower")) return true;
    bool imported = op_operand(op, 0) && !op_operand(op, 0)->type->quant && can_be_lowered(op, "import,lower");
    graph->imported |= imported;
    return imported;
}

static bool infer_results(Graph *graph, Op *op) {
    const OpInfo *info = op_info(op->kind);
    const Type *types[MAX_RANK] = {0};
    if (!info->infer(graph->quiet, op, graph->arena, types)) return false;
    int64_t elems = 0;
    for (int i = 0; i < op->result_count; i++) {
        op->results[i].type = types[i];
        elems += type_elem_count(types[i]);
    }
    return elems <= MAX_ELEMS;
}

static void quantize_results(Graph *graph, Op *op, double natural) {
    if (!op_operand(op, 0) || !op_operand(op, 0)->type->quant || op->kind == OP_dequantize) return;
    for (int i = 0; i < op->result_count; i++) {
        const Type *type = op->results[i].type;
        if (type->quant || type->elem != ELEM_F32) continue;
        op->results[i].type = random_quantized(graph, natural > 0 ? natural : sampled_scale(graph, op, i), type->rank, type->shape);
    }
}

Value *graph_op(Graph *graph, OpKind kind, int count, Value *const *operands, Attr *attrs, double natural) {
    const OpInfo *info = op_info(kind);
    const Type *unknown[MAX_RANK] = {0};
    if (graph->whole && (!(info->traits & INT8) || kind == OP_dequantize)) return NULL;
    Op *op = op_new(&graph->builder, kind, count, operands, info->result_count, unknown, attrs);
    bool good = infer_results(graph, op);
    if (good) quantize_results(graph, op, natural);
    if (!good || !op_verify_row(op, graph->quiet) || !op_verify_quantized(op, graph->quiet) || !has_kernels(graph, op)) {
        op_erase(op);
        return NULL;
    }
    for (int i = 0; i < op->result_count; i++) value_set_name(&op->results[i], info->name);
    return &op->results[0];
}

Value *graph_add_results(Graph *graph, Value *first) {
    if (!first) return NULL;
    const Op *op = first->def;
    bool exact = float_stays_exact(op);
    for (int i = 0; i < op->operand_count; i++) exact = exact && (!op_operand(op, i) || graph_is_exact(graph, op_operand(op, i)));
    for (int i = 0; i < op->result_count; i++) graph_add(graph, &op->results[i], exact);
    return first;
}

Value *graph_add(Graph *graph, Value *value, bool exact) {
    if (!value || graph->value_count == MAX_VALUES) return value;
    graph->values[graph->value_count] = value;
    graph->exact[graph->value_count++] = exact || !is_f32(value);
    return value;
}

void graph_forget(Graph *graph, const Value *value) {
    int kept = 0;
    for (int i = 0; i < graph->value_count; i++) {
        graph->values[kept] = graph->values[i], graph->exact[kept] = graph->exact[i];
        kept += graph->values[i] != value;
    }
    graph->value_count = kept;
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

bool class_takes(const char *class, const Type *type) {
    bool real = elem_is_float(type->elem);
    if (type->quant) return type->quant->axis < 0 && (!strcmp(class, "QUANT") || !strcmp(class, "FLOAT") || !strcmp(class, "NUMBER") || !strcmp(class, "ANY"));
    if (!strcmp(class, "F32") || !strcmp(class, "FLOAT")) return type->elem == ELEM_F32;
    if (!strcmp(class, "INTEGER")) return type->elem == ELEM_I32 || type->elem == ELEM_I64;
    if (!strcmp(class, "BOOL")) return type->elem == ELEM_I1;
    if (!strcmp(class, "BITS")) return !real;
    return !strcmp(class, "ANY") || (!strcmp(class, "NUMBER") && type->elem != ELEM_I1);
}

// Element types of plain tensors. The first one is the rule.
static const Elem elems[] = {ELEM_F32, ELEM_F64, ELEM_I64, ELEM_I32, ELEM_I16, ELEM_I8,  ELEM_U64,
                             ELEM_U32, ELEM_U16, ELEM_U8,  ELEM_I1,  ELEM_F16, ELEM_BF16};
enum { ELEMS = sizeof elems / sizeof *elems };

static bool class_takes_elem(Graph *graph, const char *class, Elem elem) {
    return class_takes(class, type_tensor(graph->arena, elem, 0, NULL));
}

const Type *random_type_of(Graph *graph, const char *class) {
    const Type *shape = random_argument(graph);
    bool can = class_takes_elem(graph, class, ELEM_F32);
    if (!strcmp(class, "QUANT") || (can && graph->quantized && strcmp(class, "F32")))
        return random_quantized(graph, exp2(random_int(graph, -8, 2)), shape->rank, shape->shape);
    Elem elem = graph->elem;
    while (!class_takes_elem(graph, class, elem)) elem = elems[random_int(graph, 0, ELEMS - 1)];
    return type_tensor(graph->arena, elem, shape->rank, shape->shape);
}

const Type *random_argument(Graph *graph) {
    int64_t shape[MAX_RANK];
    int rank = random_chance(graph, 60) ? 4 : random_int(graph, random_chance(graph, 20) ? 0 : 1, 6);
    for (int i = 0; i < rank; i++) shape[i] = random_int(graph, 1, 5);
    if (rank == 4) {
        shape[0] = random_int(graph, 1, 3);
        shape[1] = random_chance(graph, 15) ? 1 : random_int(graph, 1, 11);
        shape[2] = random_chance(graph, 15) ? shape[1] : random_int(graph, 1, 11);
        shape[3] = random_channels(graph);
        if (random_chance(graph, 6)) shape[1] = 3, shape[3] = random_int(graph, 1, 40); // planes of an image
    }
    if (rank && random_chance(graph, 2)) shape[random_int(graph, 0, rank - 1)] = 0;
    if (!graph->whole && random_chance(graph, 55)) return random_quantized(graph, exp2(random_int(graph, -8, 2)), rank, shape);
    return type_tensor(graph->arena, !graph->whole && random_chance(graph, 4) ? ELEM_I32 : ELEM_F32, rank, shape);
}

static const struct { MakeOp *make; int weight; } makers[] = {
    {make_conv2d, 30}, {make_linear, 8},  {make_matmul, 8}, {make_pool2d, 8},       {make_reshape, 8}, {make_transpose, 8}, {make_slice, 6},
    {make_pad, 6},     {make_concat, 8},  {make_gather, 4}, {make_broadcast_to, 4}, {make_cast, 3},    {make_precision, 12}, {make_planes, 4},
};
enum { ANY_WEIGHT = 60 };

// What the row alone says too little of.
static const struct { OpKind kind; MakeOp *make; } own_makers[] = {
    {OP_conv2d, make_conv2d},       {OP_linear, make_linear},         {OP_matmul, make_matmul},       {OP_max_pool2d, make_pool2d},
    {OP_avg_pool2d, make_pool2d},   {OP_reshape, make_reshape},       {OP_transpose, make_transpose}, {OP_slice, make_slice},
    {OP_pad, make_pad},             {OP_broadcast_to, make_broadcast_to}, {OP_gather, make_gather},   {OP_quantize, make_precision},
    {OP_dequantize, make_precision}, {OP_requantize, make_precision}, {OP_fake_quant, make_precision}, {OP_concat, make_concat},
};

static MakeOp *own_maker(OpKind kind) {
    for (size_t i = 0; i < sizeof own_makers / sizeof *own_makers; i++)
        if (own_makers[i].kind == kind) return own_makers[i].make;
    return NULL;
}

// Custom operators have no meaning of ours.
static bool can_be_drawn(OpKind kind) { return !strcmp(op_info(kind)->dialect, "nn") && op_info(kind)->traits & PURE; }

int nn_op_count(void) {
    int count = 0;
    for (int kind = 0; kind < OP_COUNT; kind++) count += can_be_drawn((OpKind)kind);
    return count;
}

OpKind nn_op_at(int index) {
    for (int kind = 0;; kind++)
        if (can_be_drawn((OpKind)kind) && !index--) return (OpKind)kind;
}

static Value *make_random(Graph *graph) {
    int total = ANY_WEIGHT;
    for (size_t i = 0; i < sizeof makers / sizeof *makers; i++) total += makers[i].weight;
    int at = random_int(graph, 0, total - 1) - ANY_WEIGHT;
    graph->quantized = !graph->whole && random_chance(graph, 50);
    graph->elem = random_chance(graph, 40) || graph->whole ? ELEM_F32 : elems[random_int(graph, 0, ELEMS - 1)];
    if (at < 0) {
        OpKind kind = nn_op_at(random_int(graph, 0, nn_op_count() - 1));
        MakeOp *own = own_maker(kind);
        return own ? own(graph) : make_any(graph, kind);
    }
    for (size_t i = 0;; i++)
        if ((at -= makers[i].weight) < 0) return makers[i].make(graph);
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

void graph_begin(Graph *graph, int args, const Type *const *types) {
    static const char *const names[] = {"a", "b", "d", "e", "f", "g", "h", "i", "j"};
    graph->module = module_new(graph->arena, "random");
    Func *main = func_new(graph->module, "main", args, types, names);
    graph->builder = builder_end(main);
    graph->value_count = 0;
    for (int i = 0; i < args; i++) graph_add(graph, &main->args[i], true);
}

// One of the network's ops is there already: `kind`. False: it can't be drawn.
static bool begin_with(Graph *graph, OpKind kind) {
    MakeOp *own = own_maker(kind);
    for (int attempts = 0; attempts < 60; attempts++) {
        const Type *type = random_type_of(graph, op_info(kind)->operands[0].type);
        if (!own) {
            if (make_first(graph, kind)) return true;
            continue;
        }
        graph_begin(graph, 1, &type);
        Value *made = own(graph);
        if (made && made->def->kind == kind) return true;
    }
    return false;
}

static void begin_anyhow(Graph *graph) {
    const Type *types[3];
    int args = random_chance(graph, 70) ? 1 : random_int(graph, 2, 3);
    for (int i = 0; i < args; i++) types[i] = random_argument(graph);
    graph_begin(graph, args, types);
}

// ---- turns: every op with every type of its first operand, those most in use more often

enum { TURNS_FLOAT = 3, TURNS_QUANTIZED = 3 };

// Takes the op's turns off *turn; true, with the graph's types set, when the turn is one of them.
static bool op_has_turn(Graph *graph, OpKind kind, int64_t *turn) {
    const OpInfo *info = op_info(kind);
    const char *class = info->operand_count ? info->operands[0].type : "F32";
    graph->elem = ELEM_F32;
    graph->quantized = true;
    if (info->traits & INT8 && class_takes_elem(graph, class, ELEM_F32) && strcmp(class, "F32") && (*turn -= TURNS_QUANTIZED) < 0) return true;
    graph->quantized = false;
    if ((*turn -= TURNS_FLOAT) < 0) return true;
    for (int i = 1; i < ELEMS; i++) {
        graph->elem = elems[i];
        if (class_takes_elem(graph, class, elems[i]) && --*turn < 0) return true;
    }
    return false;
}

// The last op and all turns before it, when there are fewer.
static OpKind op_of_turn(Graph *graph, int64_t turn, int64_t *turns) {
    int count = nn_op_count();
    int64_t left = turn;
    for (int i = 0; i < count; i++)
        if (op_has_turn(graph, nn_op_at(i), &left)) return nn_op_at(i);
    *turns = turn - left;
    return nn_op_at(count - 1);
}

// Neighbouring turns are of different ops.
static OpKind begin_turn(Graph *graph, uint64_t turn) {
    int64_t turns = 0;
    op_of_turn(graph, INT32_MAX, &turns);
    return op_of_turn(graph, (int64_t)(turn * 7919 % (uint64_t)turns), &turns);
}

bool graph_is_whole(uint64_t seed) { return seed % 8 == 7; }

Module *graph_new(Arena *arena, uint64_t seed, bool *imported) {
    Graph graph = {.random = seed * 0xD1342543DE82EF95u, .arena = arena, .quiet = diag_new(arena, NULL)};
    graph.whole = graph_is_whole(seed);
    graph.words = seed % 5 == 3 && !graph.whole;
    if (seed % 2 == 0) {
        if (!begin_with(&graph, begin_turn(&graph, seed / 2))) return NULL;
    } else begin_anyhow(&graph);
    int ops = random_chance(&graph, 40) && !graph.whole ? 1 : random_int(&graph, 1, 6);
    for (int i = seed % 2 == 0, attempts = 0; i < ops && attempts < 40; attempts++) i += make_random(&graph) != NULL;
    return_some(&graph);
    *imported = graph.imported;
    return module_verify(graph.module, graph.quiet) ? graph.module : NULL;
}
