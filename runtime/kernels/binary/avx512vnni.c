// int8 sums for AVX512-VNNI.
#include "runtime/kernels/binary_runs.h"
#include "runtime/kernels/binary_vnni.h"

QN_KERNEL qn_binary_s8s8_s8__64__avx512vnni(const struct qn_binary_args *args, const void *a, const void *b, void *output,
                                            int32_t begin, int32_t end) {
    binary_runs(args, a, b, output, begin, end, 1, binary_vnni_block);
}
