// The verifier: operands and attributes as the rows of ops.def say, result types as inferred, names unique, uses after
// definitions, and, for quantized ops, the accumulation bound: per channel, |b| + sum |w - z_w| * max|x - z_x| < 2^31.
#pragma once
#include "ir/ir.h"
bool module_verify(const Module *module, Diag *diag);
