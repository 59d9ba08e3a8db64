// The reference interpreter: the meaning of every op, plainly. It judges all generated code. Float sums are taken
// in double; quantized ops follow runtime/rounding.h to the bit.
#pragma once
#include "ir/ir.h"

// Dense elements in C order. Quantized tensors hold their stored integers. f16 and bf16 hold their bits.
typedef struct Tensor {
    const Type *type;
    void *data;
} Tensor;

Tensor tensor_new(Arena *arena, const Type *type);
double tensor_f64(const Tensor *tensor, int64_t index); // stored value, as a double
void tensor_set_f64(Tensor *tensor, int64_t index, double value); // rounds to the element type; integers saturate

// Evaluates one op (op_info(op->kind)->eval) on given operands into allocated results.
bool eval_op(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results);

// Runs a function of builtin, nn and check ops. `tap`, if given, sees every value as it is computed.
typedef void EvalTap(void *context, const Value *value, const Tensor *tensor);
bool eval_func(Diag *diag, Arena *arena, const Func *func, const Tensor *inputs, Tensor *outputs, EvalTap *tap,
               void *context);

// What quantized ops multiply and clamp by; the lowering takes these from here too, so that both agree to the bit.
// Multipliers are computed in double and rounded to f32 once.
float product_multiplier(float a_scale, float b_scale, float out_scale);      // a * b / out
float product_multiplier_f32(float a_scale, float b_scale, float out_scale);  // the same, but a * b and the quotient rounded to f32 each
float rescale_multiplier(float in_scale, float out_scale);                    // in / out
// Of nn.add with `fused`, bytes `origin` higher than in the types (0 or 128): what is added to the products. False where doubles
// do not hold their sums exactly, or it is not `fused`: then it is an ordinary sum.
bool fused_sum_start(const Op *op, int32_t *origin, float *start);
float mean_multiplier(float in_scale, float out_scale, int64_t count);        // in / (out * count)
// The stored values that an activation ("none", "relu", "relu6") leaves to a result quantized by `out` (one scale).
void activation_range(const char *activation, const Quant *out, int32_t *lo, int32_t *hi);

// The 256-entry table of a quantized op with trait TABLE: out[(uint8_t)q] for stored input q, in double by our own
// routines (no libm function whose last digit differs between machines).
void eval_table(const Op *op, int8_t out[256]);
int32_t eval_table_entry(const Op *op, int32_t q); // of one stored value, 8 or 16 bits
// Of a quantized softmax: exp(-d * scale) in units of 2^-SOFTMAX_BITS for d = 0 ... 255, each an integer of three bytes, the lowest
// bytes of all of them first.
enum { SOFTMAX_BITS = 23, SOFTMAX_TABLE_BYTES = 3 * 256 };
void softmax_table(float scale, uint8_t out[SOFTMAX_TABLE_BYTES]);
