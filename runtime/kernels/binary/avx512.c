// int8 functions of two numbers for AVX-512.
#include "runtime/kernels/binary_avx512.h"
#include "runtime/kernels/binary_runs.h"

QN_KERNEL qn_binary_s8s8_s8__64__avx512(const struct qn_binary_args *args, const void *a, const void *b, void *output,
                                        int32_t begin, int32_t end) {
    binary_runs(args, a, b, output, begin, end, binary_avx512_block);
}
