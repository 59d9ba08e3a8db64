// Quantized sums as integer arithmetic: see fixed_* of the family binary in runtime/families.def.
#pragma once
#include "runtime/kernel.h"

// Sets args' fixed_a, fixed_b, fixed_start and fixed_shift for QN_ADD, QN_SUB and QN_FUSED_ADD; all 0 for other ops, and where none of
// the numbers tried gives every result to the bit.
void fixed_sum_find(struct qn_binary_args *args);
