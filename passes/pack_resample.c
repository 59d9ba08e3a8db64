// Indices and weights of resampling -> permutations within 64 bytes and digits. A block takes as many bytes of the result as have each
// four of their taps so near; taps of weight 0 may lie anywhere.
#include "passes/pack_resample.h"

enum { LANES = 16, REACH = 64 };

typedef struct {
    int size, taps, inner, total; // total: bytes of a row of the result
    const int32_t *indices, *weights;
} Source;

static int tap_byte(const Source *s, int e, int k) {
    int32_t index = s->indices[(int64_t)(e / s->inner) * s->taps + k];
    index = index < 0 ? 0 : index >= s->size ? s->size - 1 : index;
    return index * s->inner + e % s->inner;
}

static int32_t tap_weight(const Source *s, int e, int k) { return k < s->taps ? s->weights[(int64_t)(e / s->inner) * s->taps + k] : 0; }

// Of bytes [first, first + lanes), taps [from, from + 4): the first byte they need, or -1 where they reach too far.
static int group_base(const Source *s, int first, int lanes, int from) {
    int least = INT32_MAX, most = -1;
    for (int e = first; e < first + lanes; e++)
        for (int k = from; k < from + 4; k++) {
            if (!tap_weight(s, e, k)) continue;
            const int at = tap_byte(s, e, k);
            if (at < least) least = at;
            if (at > most) most = at;
        }
    return most < 0 ? 0 : most - least < REACH ? least : -1;
}

static bool block_fits(const Source *s, int first, int lanes) {
    for (int k = 0; k < s->taps; k += 4)
        if (group_base(s, first, lanes, k) < 0) return false;
    return true;
}

// As many bytes as fit; 0: not even one.
static int block_lanes(const Source *s, int first) {
    int lanes = s->total - first < LANES ? s->total - first : LANES;
    while (lanes > 0 && !block_fits(s, first, lanes)) lanes--;
    return lanes;
}

static bool blocks_begin(Arena *arena, const Source *s, int groups, size_t group_bytes, PackedBlocks *packed) {
    *packed = (PackedBlocks){0};
    for (int first = 0, lanes; first < s->total; first += lanes, packed->count++)
        if (!(lanes = block_lanes(s, first))) return false;
    packed->header_bytes = (size_t)packed->count * (size_t)(2 + groups) * sizeof *packed->headers;
    packed->table_bytes = (size_t)packed->count * (size_t)groups * group_bytes;
    packed->headers = arena_alloc(arena, packed->header_bytes);
    packed->tables = arena_alloc(arena, packed->table_bytes);
    int32_t *header = packed->headers;
    for (int first = 0; first < s->total; header += 2 + groups) {
        header[0] = first, header[1] = block_lanes(s, first);
        for (int g = 0; g < groups; g++) header[2 + g] = group_base(s, first, header[1], g * 4);
        first += header[1];
    }
    return packed->count > 0;
}

static void pack_tap(uint8_t *table, int at, int byte, int32_t weight) {
    const int32_t d0 = (int8_t)weight, d1 = (int8_t)((weight - d0) >> 8), d2 = (((weight - d0) >> 8) - d1) >> 8;
    table[at] = (uint8_t)byte;
    table[64 + at] = (uint8_t)d0;
    table[128 + at] = (uint8_t)d1;
    table[192 + at] = (uint8_t)d2;
}

bool pack_resample(Arena *arena, int size, int count, int taps, int inner, const int32_t *indices, const int32_t *weights, PackedBlocks *packed) {
    const Source s = {size, taps, inner, count * inner, indices, weights};
    const int groups = (taps + 3) / 4;
    for (int64_t i = 0; i < (int64_t)count * taps; i++)
        if (weights[i] < -0x7F0000 || weights[i] > 0x7F0000) return false;
    if (taps < 1 || size < 1 || !blocks_begin(arena, &s, groups, 256, packed)) return false;
    for (int b = 0; b < packed->count; b++) {
        const int32_t *header = packed->headers + (int64_t)b * (2 + groups);
        for (int lane = 0; lane < header[1]; lane++)
            for (int k = 0; k < taps; k++) {
                const int e = header[0] + lane;
                const int32_t weight = tap_weight(&s, e, k);
                uint8_t *table = packed->tables + ((int64_t)b * groups + k / 4) * 256;
                if (weight) pack_tap(table, lane * 4 + k % 4, tap_byte(&s, e, k) - header[2 + k / 4], weight);
            }
    }
    return true;
}

static bool pairs_fit(int count, int bits, const int32_t *weights) {
    const int32_t one = 1 << bits, most = bits == 11 ? one + 8 : one;
    for (int64_t i = 0; i < 2 * (int64_t)count; i += 2)
        if (weights[i] < 0 || weights[i] > one || weights[i + 1] < 0 || weights[i + 1] > one || weights[i] + weights[i + 1] > most) return false;
    return true;
}

bool bilinear_rows_fit(int out_h, int bits, const int32_t *weights) {
    if (!pairs_fit(out_h, bits, weights)) return false;
    for (int64_t i = 0; bits == 8 && i < 2 * (int64_t)out_h; i += 2)
        if (weights[i] + weights[i + 1] != 1 << bits) return false;
    return true;
}

bool pack_bilinear(Arena *arena, int in_w, int out_w, int channels, int bits, const int32_t *columns, const int32_t *weights, PackedBlocks *packed) {
    const Source s = {in_w, 2, channels, out_w * channels, columns, weights};
    if (in_w < 1 || !pairs_fit(out_w, bits, weights) || !blocks_begin(arena, &s, 1, 128, packed)) return false;
    for (int b = 0; b < packed->count; b++) {
        const int32_t *header = packed->headers + (int64_t)b * 3;
        uint8_t *table = packed->tables + (int64_t)b * 128;
        for (int i = 0; i < header[1] * 2; i++) {
            const int e = header[0] + i / 2;
            const int32_t weight = tap_weight(&s, e, i % 2);
            if (!weight) continue;
            table[i * 2] = (uint8_t)(tap_byte(&s, e, i % 2) - header[2]);
            table[64 + i * 2] = (uint8_t)weight;
            table[64 + i * 2 + 1] = (uint8_t)(weight >> 8);
        }
    }
    return true;
}
