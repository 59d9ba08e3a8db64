// Random networks, valid by construction: a chain of one to six ops with constants and arguments that reach for the ends
// of what is allowed. Any op of dialect nn is drawn from its row of ops.def (make_any.c, hints.def); families that need more
// thought than a row gives have makers of their own. And how far floats that come from different routes may lie apart.
#pragma once
#include "ir/eval.h"

enum { MAX_VALUES = 96, MAX_ELEMS = 40000 }; // of a tensor: a network takes milliseconds

typedef struct {
    uint64_t random;
    Arena *arena;
    Diag *quiet; // collects what inference says of attempts
    Module *module;
    Builder builder;
    int value_count;
    Value *values[MAX_VALUES]; // that later ops may take
    bool exact[MAX_VALUES];    // every route gives the same bits
    bool quantized;            // what is drawn next should be quantized, where its op has an integer form
    Elem elem;                 // what plain tensors are drawn of, where a row allows it
    bool words;                // what is quantized is so in 16 bits
    bool whole;                // all in floats, of ops that have an integer form
    bool imported;             // has ops that only the pipeline "import" makes something of that has kernels
} Graph;

// ---- random numbers: the same sequence for the same seed on every machine
uint32_t random_bits(Graph *graph);
int random_int(Graph *graph, int low, int high); // both included
bool random_chance(Graph *graph, int percent);
double random_real(Graph *graph, double low, double high);
#define RANDOM_OF(graph, ...) \
    ((int[]){__VA_ARGS__}[random_int(graph, 0, (int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)) - 1)])

// ---- tensors
const Type *random_quantized(Graph *graph, double natural_scale, int rank, const int64_t *shape);
void random_fill(Graph *graph, const Type *type, void *data);
Value *random_constant(Graph *graph, const Type *type);

// A plain type with random shape, or a quantized one, that may stand where a row of ops.def says `class`.
const Type *random_type_of(Graph *graph, const char *class);
const Type *random_argument(Graph *graph);
bool class_takes(const char *class, const Type *type);

// ---- building; each gives NULL where the op doesn't fit: where inference or the verifier refuses it, or no kernel takes it
// The first result of the op; results are quantized where the first operand is, by a scale near `natural` (0: near what a
// float sample of the op gives).
Value *graph_op(Graph *graph, OpKind kind, int count, Value *const *operands, Attr *attrs, double natural);
Value *graph_add(Graph *graph, Value *value, bool exact);
void graph_forget(Graph *graph, const Value *value); // no later op takes it
bool graph_is_exact(const Graph *graph, const Value *value);
typedef bool Accepts(const Value *value);
Value *graph_pick(Graph *graph, Accepts *accepts); // the latest ones are taken most often; NULL: none is accepted
static inline bool is_quantized(const Value *value) { return value->type->quant != NULL; }
static inline bool is_f32(const Value *value) { return !value->type->quant && value->type->elem == ELEM_F32; }
static inline bool is_real(const Value *value) { return is_f32(value) || is_quantized(value); }
static inline double natural_scale(const Value *value) {
    const Quant *quant = value->type->quant;
    return !quant ? 1 : quant->storage == ELEM_I16 ? 64.0 * (double)quant->scale[0] : (double)quant->scale[0];
}

// A scale for result `index` of a quantized op: what its float form gives of numbers in the operands' ranges.
double sampled_scale(Graph *graph, const Op *op, int index);
// All results of an op that was built.
Value *graph_add_results(Graph *graph, Value *first);

// One random op of a family: its result, added to the values, or NULL.
typedef Value *MakeOp(Graph *graph);
MakeOp make_conv2d, make_linear, make_matmul, make_pool2d, make_reshape, make_transpose, make_slice, make_pad, make_concat,
    make_broadcast_to, make_gather, make_cast, make_precision, make_planes;
// Any op, by its row; make_first begins a network with it, with arguments for operands.
Value *make_any(Graph *graph, OpKind kind);
bool make_first(Graph *graph, OpKind kind);
// A module with a function @main of these arguments; the graph's values are they.
void graph_begin(Graph *graph, int args, const Type *const *types);

// The ops of dialect nn, in the order of ops.def.
int nn_op_count(void);
OpKind nn_op_at(int index);

// A module with one function @main for a seed; NULL for the rare one that the verifier refuses. Every second seed takes its first
// op from ops.def in turn, and the type of its first operand from those that its row allows. `imported`: see Graph.
Module *graph_new(Arena *arena, uint64_t seed, bool *imported);
// Seeds whose networks are drawn in floats, to be quantized as a whole. graph_quantize does it; false where it can't be.
bool graph_is_whole(uint64_t seed);
bool graph_quantize(Arena *arena, Module *module, uint64_t seed);

// ---- floats
// With operands that are the same on every route, so is the result. And: operands may differ within bounds, since the op
// stretches differences and does not tear values apart.
bool float_stays_exact(const Op *op);
bool float_takes_inexact(const Op *op);
bool floats_are_sound(const Func *main); // no op of it tears inexact values apart
// ---- bounds: for each returned value of @main the largest difference that float kernels may show; 0: none
void graph_bounds(Arena *arena, const Func *main, const Tensor *inputs, double *bounds);
