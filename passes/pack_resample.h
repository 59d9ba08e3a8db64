// Constants of resampling along rows as the rows pixels16 of kernels.def read them: blocks of up to 16 bytes of a result.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "ir/arena.h"

// resample: headers of 2 + groups words, groups = (taps + 3) / 4: the block's first byte of the result, how many, and for each group of four
// taps the first byte of the input that these need; tables of groups * 256 bytes: where in 64 bytes from there each byte's four taps are, and
// three signed digits of their weights to base 256, the lowest first.
// bilinear: headers of three words; tables of 128 bytes: where both bytes are, each of them as the lower one of a word, and their weights.
typedef struct {
    int count;
    int32_t *headers;
    uint8_t *tables;
    size_t header_bytes, table_bytes;
} PackedBlocks;

// False where weights have more digits, or the taps of one byte lie too far from each other.
bool pack_resample(Arena *arena, int size, int count, int taps, int inner, const int32_t *indices, const int32_t *weights, PackedBlocks *packed);
// False also for weights that are less than 0, or in all more than 2^bits (but for rounding): what 16 bits hold then.
bool pack_bilinear(Arena *arena, int in_w, int out_w, int channels, int bits, const int32_t *columns, const int32_t *weights, PackedBlocks *packed);
// Are they such weights of rows?
bool bilinear_rows_fit(int out_h, int bits, const int32_t *weights);
