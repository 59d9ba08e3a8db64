// What the shape inference functions (infer_*.c) share. Each is of type InferFn and named in a row of ops.def: it
// checks operands and attributes against each other, says what it found and what it expected, and gives the types of
// the results. It relies on what the row itself says (number of operands, kinds of attributes), which the verifier
// and the parser check first.
#pragma once
#include "ir/ir.h"

enum { MAX_ELEMS_LOG2 = 40, MAX_EXTENT = 1 << 30 };

// Reports "nn.op: …" at the op; false.
bool infer_fail(Diag *diag, const Op *op, Arena *arena, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

// "[1, 2, 3]"
const char *ints_text(Arena *arena, int count, const int64_t *values);
static inline const char *shape_text(Arena *arena, const Type *type) {
    return ints_text(arena, type->rank, type->shape);
}

// No needed operand is missing, and each that is given is a tensor.
bool infer_tensors(Diag *diag, const Op *op, Arena *arena);
bool infer_rank(Diag *diag, const Op *op, Arena *arena, const char *what, const Type *type, int rank);
// Dimensions are not negative, and their product is below 2^MAX_ELEMS_LOG2.
bool infer_shape(Diag *diag, const Op *op, Arena *arena, int rank, const int64_t *shape);
// An INTS attribute has exactly `count` elements, or none where `optional`, each in [min, MAX_EXTENT].
bool infer_ints(Diag *diag, const Op *op, Arena *arena, const char *name, IntList list, int count,
                bool optional, int64_t min);
// Of indices along an axis what is known to be out of range is refused; those that come at run time take the nearest element.
bool infer_in_range(Diag *diag, const Op *op, Arena *arena, const Value *indices, int64_t axis, int64_t size);
bool infer_axis(Diag *diag, const Op *op, Arena *arena, const char *name, int64_t axis, int rank);

// The element type that values of a type stand for: `expressed` of quantized ones.
static inline Elem elem_expressed(const Type *type) {
    return type->quant ? type->quant->expressed : type->elem;
}
// A result that is computed: `shape` over the expressed element type of `like`.
bool infer_computed(Diag *diag, const Op *op, Arena *arena, const Type *like, int rank,
                    const int64_t *shape, const Type **results);
// A result whose elements are those of `input`, with its quantization. `axis`: where the axis of a per-axis
// quantization lies in the result, or -1 when it is lost, which is an error then. Unused per tensor.
bool infer_moved(Diag *diag, const Op *op, Arena *arena, const Type *input, int rank,
                 const int64_t *shape, int axis, const Type **results);

// conv2d and pooling: the extent of one spatial dimension of the result.
typedef struct {
    int64_t input, kernel, stride, dilation, low, high;
    bool ceil_mode;
} WindowDim;
int64_t window_reach(const WindowDim *dim);  // elements from the first to the last tap
int64_t window_count(const WindowDim *dim);  // windows; at most 0 when not even one fits
