// How AMX kernels cut the depth of a run (gemm.h) into steps of tile registers: also the layout of their weights. And by what they
// cut its pixels; the cost model (ir/cost.c) asks the same.
#ifndef QN_AMX_DEPTH_H
#define QN_AMX_DEPTH_H
#include <stdint.h>

// `blocks` steps of `words` 4-byte words.
struct amx_depth { int32_t blocks, words; };

static inline struct amx_depth amx_depth_of(int32_t words) {
    const int32_t blocks = (words + 15) / 16;
    const struct amx_depth even = {blocks, (words + blocks - 1) / blocks}, whole = {blocks, 16};
    return blocks < 16 ? even : whole; // what the last block reads past its run stays below 64 bytes
}

// Time of so many tiles, loads included, in cycles of one tile's product.
static inline int32_t amx_cycles(int32_t tiles, int32_t pixels) { return tiles * (pixels < 10 ? 15 : (pixels * 3 + 1) / 2); }
#endif
