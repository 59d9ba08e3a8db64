// Lowering nn to kn: what the files lower_*.c share. State of one run, buffers of values, and emission of calls.
#pragma once
#include "passes/rewrite.h"
#include "runtime/kernel.h"

// `summand`: of a convolution that is lowered together with the sum behind it, the sum's other operand. `whole`: the value in
// whose memory this one lies, from index `from` of dimension `axis` on; axis -1: all of it, in another shape.
typedef struct { const Value *key; Value *buffer, *summand, *whole; int32_t halo[4], axis; int64_t from; } Lowered;

typedef struct {
    const PassContext *context;
    Arena *arena;
    Func *from, *to;
    Loc loc;          // of the op being lowered: given to calls
    Value **outputs;  // kn.output of each returned value
    Lowered *lowered; // open addressing by nn value
    size_t capacity;
    bool failed;      // an error was reported
    int32_t flip;     // 0x80 when the target stores 8-bit activations unsigned
} Lower;

Lowered *lowered_get(Lower *lower, const Value *value);

// ---- buffers
Value *buffer_alloc(Lower *lower, const Type *tensor, const int32_t halo[4], const char *name);
// A result that a kernel writes densely: the buffer itself, or one that dense_result_done copies from.
Value *dense_result(Lower *lower, Value *value);
void dense_result_done(Lower *lower, Value *value, Value *dense);
// Read-only data: a blob of count elements.
Value *buffer_weights(Lower *lower, Elem elem, const void *data, size_t bytes, const char *name);
Value *buffer_view(Lower *lower, Value *source, const Type *type, int64_t offset_bytes);
// The element type that a tensor is stored as.
Elem stored_elem(const Lower *lower, const Type *tensor);
bool buffer_is_dense(const Value *buffer);
// Distances in elements between neighbours of each dimension.
void buffer_strides(const Type *type, int64_t strides[MAX_RANK]);
static inline int64_t buffer_pixel(const Type *type) { return type->pixel ? type->pixel : type->shape[3]; }
static inline int64_t buffer_row(const Type *type) { return (type->shape[2] + type->halo[1] + type->halo[3]) * buffer_pixel(type); }
static inline int64_t buffer_image(const Type *type) { return (type->shape[1] + type->halo[0] + type->halo[2]) * buffer_row(type); }

// The buffer of an nn value: as it is; without a halo; in the arena (so that a kernel may read past it); with at least
// the given halo. The last three copy when they must.
Value *operand_any(Lower *lower, Value *value);
Value *operand_dense(Lower *lower, Value *value);
Value *operand_in_arena(Lower *lower, Value *value);
Value *operand_with_halo(Lower *lower, Value *value, const int32_t halo[4]);
// A dense copy in the arena, 8-bit elements stored as `stored`.
Value *copied_as(Lower *lower, Value *buffer, const Type *tensor, Elem stored);
// Where the result of an op goes: with the halo that its consumers asked for, or the model's output.
Value *result_buffer(Lower *lower, Value *value);
void result_is(Lower *lower, Value *value, Value *buffer);

// ---- places within others (lower_place.c)
void plan_places(Lower *lower);
bool writes_strided(const Op *op);
Value *part_buffer(Lower *lower, const Value *value); // of a value with a `whole`
// How a value lies, or will when it is lowered.
typedef struct { int32_t halo[4]; int64_t pixel; } Layout;
Layout layout_of(Lower *lower, const Value *value);

// ---- calls
// Chooses the kernel by args; BUG if none. `buffers` in the family's order, NULL: none.
const KernelInfo *choose_kernel(const Lower *lower, const char *operands, const char *result, const KernelArgs *args);
// Among the rows that `only` leaves (ir/targets.h); NULL if none.
const KernelInfo *find_among(const Lower *lower, const char *only, const char *operands, const char *result, const KernelArgs *args);
bool has_kernel(const Lower *lower, const char *operands, const char *result, const KernelArgs *args);
void emit_call(Lower *lower, const KernelInfo *kernel, const KernelArgs *args, int count, Value *const *buffers);
void emit_kernel(Lower *lower, const char *operands, const char *result, const KernelArgs *args, int count, Value *const *buffers);

// ---- walks of elementwise families: up to MAX_RANK dimensions merged to the 5 of families.def
typedef struct { int rank, count; int64_t shape[MAX_RANK], strides[4][MAX_RANK]; } Walk;
// Over the shape of `shape`, with one set of strides for each of `count` buffers (broadcasting from the right).
Walk walk_new(const Type *shape, int count, const Type *const *buffers);
// Leaves out dimensions of 1, and joins neighbours that are walked alike by every buffer.
void walk_merge(Walk *walk);
// Sets rows, shape and the named stride fields; false where more than 5 dimensions remain.
bool walk_args(const Walk *walk, KernelArgs *args, const char *const *names);
// Of an elementwise family: its dimensions merged and placed anew; what is computed stays the same. False for others.
bool args_merge_walk(KernelArgs *args);
void emit_copy(Lower *lower, const Walk *walk, int elem_bytes, int32_t flip, Value *from, Value *to);

// What kernels.def calls the elements of a plain or quantized 8-bit tensor; NULL: no kernel has them.
const char *kernel_elem(const Type *type);
// Reports that the op has no kernel on these elements.
void no_kernel(Lower *lower, const Op *op, const Type *type);
static inline const char *kind_text(const Type *type) { return !type->quant ? "f32" : type->elem == ELEM_I16 ? "s16" : "s8"; }
// What stored 8-bit values are XORed with; others are stored as they are.
static inline int32_t flip_of(const Lower *lower, const Type *type) { return elem_bits(type->elem) == 8 ? lower->flip : 0; }
static inline float scale_of(const Value *value) { return value->type->quant->scale[0]; }
static inline int32_t zero_of(const Value *value) { return value->type->quant->zero_point[0]; }
void float_activation(const char *activation, float *min, float *max);

// False after a message: an operand or result is of a type that no kernel computes on.
bool types_have_kernels(Lower *lower, const Op *op);

// ---- elementwise ops on 8 bits
// Lowers an op that computes a function of one 8-bit tensor, as a table (none, where only further tables read it); false
// for others.
bool lower_as_table(Lower *lower, Op *op);
bool lower_word_table(Lower *lower, Op *op); // its op of one operand of 16 bits
bool is_byte_function(const Lower *lower, const Value *value); // it is made by a table of another value
bool is_quantized_binary(const Op *op);
// It is dequantized for arg_max and arg_min alone, which read the integers then: these stand in the same order.
bool is_read_by_order(const Lower *lower, const Value *value);
void binary_i8_args(const Lower *lower, const Op *op, KernelArgs *args);
void sums_args(const Lower *lower, const Op *op, int own, KernelArgs *args); // of an add whose operand `own` is sums
// One a channel: to the scale of the add that reads them, or to that of floats.
const float *sum_multipliers(const Lower *lower, const Op *reader, const Value *sums);
void binary_fixed_args(KernelArgs *args); // sums in integers where that is proven

// ---- by kind of op; each lowers one op
void lower_conv2d(Lower *lower, Op *op);
void plan_conv2d_halo(Lower *lower, Op *op);
// Nanoseconds that the kernel it would get is estimated to take, and whether that is one of Winograd's.
double conv2d_estimate(const Lower *lower, const Op *op, bool *by_winograd);
bool lower_conv2d_add(Lower *lower, Op *op); // of an add whose operand has a summand; false where none has
void lower_linear(Lower *lower, Op *op);
void lower_matmul(Lower *lower, Op *op);
void lower_pool2d(Lower *lower, Op *op);
void lower_reduce(Lower *lower, Op *op);
void lower_arg(Lower *lower, Op *op);
void lower_cum_sum(Lower *lower, Op *op); // cum_sum, cum_prod
void lower_top_k(Lower *lower, Op *op);
void lower_softmax(Lower *lower, Op *op);
void lower_binary(Lower *lower, Op *op);
void lower_where(Lower *lower, Op *op);
void lower_unary(Lower *lower, Op *op);
void lower_quantize(Lower *lower, Op *op); // quantize, dequantize, requantize
void lower_fake_quant(Lower *lower, Op *op);
void lower_reshape(Lower *lower, Op *op);
void lower_move(Lower *lower, Op *op); // transpose, slice, broadcast_to
void copy_moved(Lower *lower, const Op *op);
bool is_joined_move(const Op *op); // a reshape that joins dimensions of a transpose's or broadcast_to's result: one copy
bool is_read_through(const Lower *lower, const Value *value); // made by a transpose or slice, and read only by ops that read through it
Value *moved_operand(Lower *lower, const Op *op, Walk *walk); // of such an op; sets the walk's first strides
void lower_pad(Lower *lower, Op *op);
void lower_concat(Lower *lower, Op *op);
void lower_gather(Lower *lower, Op *op);
void lower_cast(Lower *lower, Op *op);
void lower_bit_cast(Lower *lower, Op *op);
void lower_resample(Lower *lower, Op *op);
void lower_resample_u8(Lower *lower, Op *op);
void lower_lookup(Lower *lower, Op *op);
void lower_bilinear_u8(Lower *lower, Op *op);
void lower_yuv_to_rgb(Lower *lower, Op *op);
void lower_dft(Lower *lower, Op *op);
void lower_sample(Lower *lower, Op *op);
void lower_roi_align(Lower *lower, Op *op);
void lower_max_pool_index(Lower *lower, Op *op);
void lower_eliminate(Lower *lower, Op *op);
void lower_true_indices(Lower *lower, Op *op);
void lower_arg_sort(Lower *lower, Op *op);
void lower_non_max_suppression(Lower *lower, Op *op);
void lower_normalize(Lower *lower, Op *op);
void lower_custom(Lower *lower, Op *op);
void lower_gather_nd(Lower *lower, Op *op);  // gather_elements, gather_nd
void lower_scatter_nd(Lower *lower, Op *op); // scatter_elements, scatter_nd
