// What the files eval_*.c of the reference interpreter share: reading and writing elements, walking strided shapes,
// and finishing sums. Nothing here is fast but for hoisted index arithmetic; all of it is meant to be read.
#pragma once
#include "ir/eval.h"
#include "runtime/real_math.h"
#include "runtime/rounding.h"

// Stored integers of an element; floats are truncated.
int64_t tensor_i64(const Tensor *tensor, int64_t index);
void tensor_set_i64(Tensor *tensor, int64_t index, int64_t value); // integers wrap
// All stored values as doubles, exact for all types but 64-bit integers.
double *tensor_doubles(Arena *arena, const Tensor *tensor);
// The same minus their zero points, for quantized tensors.
double *tensor_centered(Arena *arena, const Tensor *tensor);
// Element i of a quantized tensor has scale and zero point number i / quant_inner(type) % quant->count.
int64_t quant_inner(const Type *type);
void copy_elems(Tensor *dst, int64_t dst_index, const Tensor *src, int64_t src_index, int64_t count);

// Reports "nn.op: …" at the op; false.
bool eval_fail(Diag *diag, const Op *op, const char *format, ...) __attribute__((format(printf, 3, 4)));

// ---- walking: an odometer over `shape`, with an offset for each of a few strided operands
enum { WALK_OPERANDS = 3 };
typedef struct {
    int rank, operands;
    int64_t count; // of elements
    int64_t shape[MAX_RANK], index[MAX_RANK], strides[WALK_OPERANDS][MAX_RANK];
    int64_t offset[WALK_OPERANDS];
} Walk;
void dense_strides(const Type *type, int64_t strides[MAX_RANK]);
void walk_begin(Walk *walk, int rank, const int64_t *shape);
// Adds an operand that broadcasts to the walk's shape, aligned at the last dimension.
void walk_add_broadcast(Walk *walk, const Type *type);
void walk_add(Walk *walk, int64_t offset, const int64_t *strides);
void walk_next(Walk *walk);

// A tensor seen as [outer, size, inner] around one axis; -1 is the last.
typedef struct { int64_t outer, size, inner; } AxisView;
AxisView axis_view(const Type *type, int64_t axis);
// Strides that take an element of the input to the element of a reduction's result that it belongs to: 0 along `axes`.
// Returns how many belong to each.
int64_t reduction_strides(const Op *op, const Type *in, int64_t *strides);

// ---- finishing a row of sums into results
typedef struct {
    const Op *op;
    Tensor *out;
    double min, max;         // float: the activation's bounds
    const float *multiplier; // quantized: one an element of the row; NULL for float
    bool sums;               // quantized: the result is the sums themselves
    int32_t zp, lo, hi;
} Finish;
Finish finish_new(const Op *op, Tensor *out, const char *activation);
// Writes `count` results from `first` on. Sums of integers are exact in double; leaving i32, or for 16-bit results 48 bits, is an error.
bool finish_row(Diag *diag, const Finish *finish, const double *sums, int64_t first, int64_t count);

// One result of quantized arithmetic; any storage of at most 16 bits.
int32_t quantize_value(float value, float scale, int32_t zp, int32_t lo, int32_t hi);

// ---- functions of one real number, by the routines of runtime/real_math.h
double unary_f64(const Op *op, double x); // an elementwise op of one operand, by its attributes
