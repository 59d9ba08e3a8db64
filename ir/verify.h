// The verifier: operands and attributes as the rows of ops.def say, result types as inferred, names unique, uses after
// definitions, and, for quantized ops, the accumulation bound: per channel, |b| + sum |w - z_w| * max|x - z_x| < 2^31.
#pragma once
#include "ir/ir.h"

bool module_verify(const Module *module, Diag *diag);

// Parts of it, for the parser: each reports and returns false.
// One op against its row: counts, attributes, operand and result types, without inference. After it views are safe.
bool op_verify_row(const Op *op, Diag *diag);
// A type by itself: rank, extents, total size, quantization.
bool type_verify(const Type *type, Diag *diag, Loc loc);
// Quantized ops: the accumulation bound, types that go together.
bool op_verify_quantized(const Op *op, Diag *diag);
// kn.call: a known kernel, with the arguments and as many buffers as its family takes.
bool op_verify_call(const Op *op, Diag *diag);
// A function whose sizes vary (ir/sizes.h): its bounds, and what the kn ops say of them.
bool func_verify_sizes(const Func *func, Diag *diag, Arena *scratch);
bool op_verify_custom(const Op *op, Diag *diag);
