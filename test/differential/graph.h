// Random networks, valid by construction: a chain of one to six ops with constants and arguments that reach for the ends
// of what is allowed. And how far floats that come from different routes may lie apart.
#pragma once
#include "ir/eval.h"

enum { MAX_VALUES = 96 };

typedef struct {
    uint64_t random;
    Arena *arena;
    Diag *quiet; // collects what inference says of attempts
    Module *module;
    Builder builder;
    int value_count;
    Value *values[MAX_VALUES]; // that later ops may take
    bool exact[MAX_VALUES];    // every route gives the same bits
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

// ---- building; each gives NULL where the op doesn't fit
// A result of the op; quantized where the first operand is, by a scale near `natural`.
Value *graph_op(Graph *graph, OpKind kind, int count, Value *const *operands, Attr *attrs, double natural);
Value *graph_add(Graph *graph, Value *value, bool exact);
bool graph_is_exact(const Graph *graph, const Value *value);
typedef bool Accepts(const Value *value);
Value *graph_pick(Graph *graph, Accepts *accepts); // the latest ones are taken most often; NULL: none is accepted
static inline bool is_quantized(const Value *value) { return value->type->quant != NULL; }
static inline bool is_f32(const Value *value) { return !value->type->quant && value->type->elem == ELEM_F32; }
static inline bool is_real(const Value *value) { return is_f32(value) || is_quantized(value); }
static inline double natural_scale(const Value *value) { return value->type->quant ? value->type->quant->scale[0] : 1; }

// One random op of a family: its result, added to the values, or NULL.
typedef Value *MakeOp(Graph *graph);
MakeOp make_conv2d, make_linear, make_matmul, make_pool2d, make_reduce_mean, make_binary, make_unary, make_softmax,
    make_reshape, make_transpose, make_slice, make_pad, make_concat, make_broadcast_to, make_gather, make_cast,
    make_precision;

// A module with one function @main for a seed; NULL for the rare one that the verifier refuses.
Module *graph_new(Arena *arena, uint64_t seed);

// ---- bounds: for each returned value of @main the largest difference that float kernels may show; 0: none
void graph_bounds(Arena *arena, const Func *main, const Tensor *inputs, double *bounds);
