// Types: immutable, allocated in a module's arena, compared by type_equal.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "ir/arena.h"

typedef enum {
#define ELEM(name, text, bits, ctype, class, code) ELEM_##name,
#include "ir/elems.def"
#undef ELEM
    ELEM_COUNT
} Elem;

const char *elem_name(Elem elem);
int elem_bits(Elem elem);
bool elem_is_float(Elem elem);
bool elem_is_signed(Elem elem);
const char *elem_ctype(Elem elem); // the C type that holds one
// QN_F32 … of qanat.h, 0 where a compiled model can have no such input or output; and back, ELEM_COUNT if there is none.
int elem_code(Elem elem);
Elem elem_of_code(int code);
bool elem_find(const char *text, Elem *elem);
// The range of an integer element type of at most 32 bits.
void elem_range(Elem elem, int64_t *min, int64_t *max);

// real = scale * (q - zero_point), as in MLIR's quant dialect. Per tensor: axis = -1, count = 1. Per axis:
// one scale and zero point an index of that axis. Values lie in [storage_min, storage_max].
typedef struct {
    Elem storage;
    Elem expressed;
    int axis;
    int count;
    const float *scale;
    const int32_t *zero_point;
    int32_t storage_min, storage_max;
} Quant;

typedef enum { TYPE_NONE, TYPE_TENSOR, TYPE_BUFFER } TypeKind;

enum { MAX_RANK = 8 };

// TENSOR: tensor<shape x elem>, or quantized when `quant` is set (then elem == quant->storage).
// BUFFER (dialect kn): where and how a tensor of that shape lies in memory, channels last, C order: `halo` is
// the border kept around H and W {top, left, bottom, right} (rank 4 only, N H W C), `pixel` the distance between
// pixels, in elements, where it is not C (0): of some channels of a wider image. `elem` is the element stored, which for 8-bit activations may be U8 (the signed value XOR 0x80) by the target's choice.
typedef struct Type {
    TypeKind kind;
    Elem elem;
    int rank;
    const int64_t *shape;
    const Quant *quant;
    int32_t halo[4], pixel;
} Type;

const Type *type_tensor(Arena *arena, Elem elem, int rank, const int64_t *shape);
const Type *type_quantized(Arena *arena, const Quant *quant, int rank, const int64_t *shape);
const Type *type_buffer(Arena *arena, const Type *tensor, Elem stored, const int32_t halo[4]);
// The type of a part of `whole`, as large as `tensor`: some channels of an image, or rows of its only image; or of other
// elements that follow each other without a gap.
const Type *type_buffer_part(Arena *arena, const Type *whole, const Type *tensor, const int32_t halo[4]);
// The same type with another shape; per-axis quantization is kept.
const Type *type_with_shape(Arena *arena, const Type *type, int rank, const int64_t *shape);
const Type *type_with_elem(Arena *arena, const Type *type, Elem elem); // drops quantization
const Quant *quant_per_tensor(Arena *arena, Elem storage, float scale, int32_t zero_point);
const Quant *quant_per_axis(Arena *arena, Elem storage, int axis, int count, const float *scale,
                            const int32_t *zero_point, int32_t storage_min, int32_t storage_max);

// Of a convolution's or linear layer's result: the sums of its products, unrounded. One scale for each index of the last
// dimension, the float nearest to input scale * weight scale, zero point 0.
const Quant *quant_sums(Arena *arena, const Quant *input, const Quant *weight, int axis, int count);
static inline bool type_is_sums(const Type *type) {
    return type->quant && type->quant->storage == ELEM_I32 && type->rank && type->quant->axis == type->rank - 1;
}

bool type_equal(const Type *a, const Type *b);
bool quant_equal(const Quant *a, const Quant *b);
bool type_same_shape(const Type *a, const Type *b);
int64_t type_elem_count(const Type *type); // of a tensor; 1 for rank 0
size_t type_bytes(const Type *type);       // densely packed, without halo
// MLIR's text: tensor<1x2xf32>, tensor<4x!quant.uniform<i8:f32, 0.5:-3>>.
const char *type_text(Arena *arena, const Type *type);
// Shortest decimal text that reads back as the same f32 (f64).
const char *float_text(Arena *arena, float value);
enum { FLOAT_TEXT = 40 };
size_t float_write(char text[FLOAT_TEXT], float value); // the same; returns its length
const char *double_text(Arena *arena, double value);
