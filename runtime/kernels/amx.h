// The matrix tile of int8 convolutions and linear layers on AMX: up to 2 x 2 tile registers of 16 pixels x 16 channels,
// 64 elements of depth a step. Accumulators go through memory to become bytes. Activations and weights are those of
// AVX512-VNNI; weights are packed as `amx32`: runs padded to whole blocks of depth.
//
// A tile register of activations is loaded from pixels that lie a fixed distance apart. All tiles of a layer are equally long;
// the last one of a piece (struct amx_walk) overlaps the one before: what both compute is the same, and stored once where a
// sum takes its residual's memory.
#ifndef QN_AMX_H
#define QN_AMX_H
#include "runtime/kernels/amx_depth.h"
#include "runtime/kernels/vnni_sums.h"

// gcc's intrinsics do not say what memory they touch; tile registers are numbers there and here.
#ifdef __clang__
#define AMX_CONFIGURE(config) _tile_loadconfig(config)
#define AMX_RELEASE() _tile_release()
#define AMX_LOAD(tile, from, stride) _tile_loadd(tile, from, (size_t)(stride))
#define AMX_STORE(tile, to, stride) _tile_stored(tile, to, (size_t)(stride))
#define AMX_DOT(sum, a, b) _tile_dpbusd(sum, a, b)
#else
#define AMX_CONFIGURE(config) __asm__ volatile("ldtilecfg %0" : : "m"(*(const struct amx_config *)(config)))
#define AMX_RELEASE() __asm__ volatile("tilerelease" : : : "memory")
#define AMX_LOAD(tile, from, stride) \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile : : "r"((const void *)(from)), "r"((int64_t)(stride)) : "memory")
#define AMX_STORE(tile, to, stride) \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)" : : "r"((void *)(to)), "r"((int64_t)(stride)) : "memory")
#define AMX_DOT(sum, a, b) __asm__ volatile("tdpbusd %%tmm" #b ", %%tmm" #a ", %%tmm" #sum : :)
#endif

enum { AMX_ROWS = 16, AMX_LANES = 16, AMX_PANEL = 32 };

struct amx_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

// Registers 0 to 3: sums, 4 and 5: activations, 6 and 7: weights.
QN_INLINE void amx_configure(int32_t pixels, int32_t words) {
    _Alignas(64) struct amx_config config;
    __builtin_memset(&config, 0, sizeof config);
    config.palette = 1;
    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = (uint16_t)(i == 4 || i == 5 ? words * 4 : 64);
        config.rows[i] = (uint8_t)(i < 6 ? pixels : words);
    }
    AMX_CONFIGURE(&config);
}

// Weights of one output channel.
QN_INLINE int64_t amx_channel_bytes(const struct gemm *g, struct amx_depth depth) {
    return (int64_t)g->segments_h * g->segments_w * depth.blocks * depth.words * 4;
}

// For a panel of so many tiles, which are computed in pairs and of which each step but the first asks for a part. A single
// tile takes less time than reading does: asking ahead would only be in its way.
QN_INLINE struct gemm_coming amx_coming_of(const struct gemm *g, struct amx_depth depth, const int8_t *panel, int32_t tiles) {
    const int32_t bytes = (int32_t)(AMX_PANEL * amx_channel_bytes(g, depth)), steps = g->segments_h * g->segments_w * depth.blocks - 1;
    const int32_t parts = (tiles + 1) / 2 * (steps > 0 ? steps : 1);
    const struct gemm_coming coming = {(const char *)panel, tiles > 1 ? (bytes + parts - 1) / parts : 0};
    return coming;
}

// Some of the weights of the next panel, to the second cache.
QN_INLINE void amx_prefetch(struct gemm_coming *coming) {
    QN_NO_UNROLL for (int32_t i = 0; i < coming->step; i += 64) __builtin_prefetch(coming->at + i, 0, 2);
    coming->at += coming->step;
}

// The sums of mt x 2 tiles; `start` what they begin with. To sums: [mt][pixels][32].
QN_INLINE void amx_tiles(const struct gemm *g, struct amx_depth depth, const uint8_t *in0, const uint8_t *in1,
                         const int8_t *weight, const int32_t *start, int32_t *sums, struct gemm_coming *coming, int32_t pixels,
                         int mt) {
    AMX_LOAD(0, start, 0);
    AMX_LOAD(1, start + AMX_LANES, 0);
    if (mt > 1) AMX_LOAD(2, start, 0);
    if (mt > 1) AMX_LOAD(3, start + AMX_LANES, 0);
    QN_NO_UNROLL for (int y = 0; y < g->segments_h; y++)
        QN_NO_UNROLL for (int x = 0; x < g->segments_w; x++) {
            int64_t at = y * g->segment_row + x * g->segment_column;
            QN_NO_UNROLL for (int k = 0; k < depth.blocks; k++, at += depth.words * 4, weight += depth.words * 128) {
                AMX_LOAD(6, weight, 128);
                AMX_LOAD(4, in0 + at, g->in_column);
                AMX_DOT(0, 4, 6);
                AMX_LOAD(7, weight + 64, 128);
                AMX_DOT(1, 4, 7);
                amx_prefetch(coming);
                if (mt > 1) {
                    AMX_LOAD(5, in1 + at, g->in_column);
                    AMX_DOT(2, 5, 6);
                    AMX_DOT(3, 5, 7);
                }
            }
        }
    AMX_STORE(0, sums, 128);
    AMX_STORE(1, sums + AMX_LANES, 128);
    if (mt > 1) AMX_STORE(2, sums + pixels * AMX_PANEL, 128);
    if (mt > 1) AMX_STORE(3, sums + pixels * AMX_PANEL + AMX_LANES, 128);
}

// Where the tiles of an image lie. Its pixels are counted along input rows of `pitch` pixels, of which the first `width` are
// output's: `count` tiles of `pixels` pixels in each of `pieces` pieces of `length`, which begin `step` pixels apart. A piece
// is a row, or, where that takes less time, the image: then what is computed between rows is not stored.
struct amx_walk { int32_t pitch, width, pieces, length, step, count, pixels; };

QN_INLINE void amx_cut(struct amx_walk *walk, int32_t pieces, int32_t length, int32_t step) {
    walk->pieces = pieces, walk->length = length, walk->step = step;
    walk->count = (length + AMX_ROWS - 1) / AMX_ROWS;
    walk->pixels = (length + walk->count - 1) / walk->count;
}

// Of `rows` rows of an image that has image_rows.
QN_INLINE struct amx_walk amx_walk_of(const struct gemm *g, int32_t rows, int32_t image_rows, int32_t width) {
    const int joins = g->in_column > 0 && g->in_row % g->in_column == 0 && g->in_row >= width * g->in_column;
    struct amx_walk walk, whole;
    walk.pitch = joins ? (int32_t)(g->in_row / g->in_column) : width;
    walk.width = width;
    whole = walk;
    amx_cut(&walk, rows, width, walk.pitch);
    amx_cut(&whole, 1, (image_rows - 1) * walk.pitch + width, 0);
    if (!joins || amx_cycles(whole.count, whole.pixels) >= amx_cycles(image_rows * walk.count, walk.pixels)) return walk;
    amx_cut(&whole, 1, (rows - 1) * walk.pitch + width, 0);
    return whole;
}

// Whether the pixels of a tile are stored at equal distances: within a row, and in a dense image.
QN_INLINE int amx_is_even(const struct gemm *g, const struct amx_walk *walk) {
    return walk->step || (walk->pitch == walk->width && g->out_row == walk->width * g->out_column);
}

// The first pixel of a tile, and how many from there the tile before has stored.
struct amx_place { int32_t first, done; };

QN_INLINE struct amx_place amx_place_of(const struct amx_walk *walk, int32_t tile) {
    const int32_t x = tile % walk->count * walk->pixels, last = walk->length - walk->pixels;
    const struct amx_place place = {tile / walk->count * walk->step + (x < last ? x : last), x < last ? 0 : x - last};
    return place;
}

QN_INLINE int64_t amx_in(const struct gemm *g, const struct amx_walk *walk, struct amx_place place) {
    return place.first / walk->pitch * g->in_row + place.first % walk->pitch * g->in_column;
}
QN_INLINE int64_t amx_out(const struct gemm *g, const struct amx_walk *walk, struct amx_place place) {
    return place.first / walk->pitch * g->out_row + place.first % walk->pitch * g->out_column;
}

// The sums of a tile to bytes.
QN_INLINE void amx_store(const struct gemm *g, const struct amx_walk *walk, const int32_t *sums, const float *multiplier,
                         uint8_t *out, struct amx_place place, int32_t columns) {
    const int even = amx_is_even(g, walk);
    uint8_t *const begin = out + amx_out(g, walk, place);
    const __m512 m[2] = {_mm512_loadu_ps(multiplier), _mm512_loadu_ps(multiplier + AMX_LANES)};
    QN_NO_UNROLL for (int32_t p = 0; p < walk->pixels; p += 2) {
        __m512i v[4]; // past the last pixel: zeros or the next tile's, not stored
        uint8_t *to[4] = {out, out, out, out};
        unsigned stored = 0;
        QN_UNROLL for (int i = 0; i < 4; i++) v[i] = _mm512_load_si512(sums + (p * 2 + i) * AMX_LANES);
        QN_UNROLL for (int i = 0; i < 2; i++) {
            const int32_t at = p + i < walk->pixels ? p + i : p, x = (place.first + at) % walk->pitch;
            const int is_output = even || x < walk->width;
            to[i] = even ? begin + at * g->out_column
                         : out + (place.first + at) / walk->pitch * g->out_row + (is_output ? x : 0) * g->out_column;
            stored |= (unsigned)(is_output && p + i >= place.done && p + i < walk->pixels) << i;
        }
        vnni_store_sums(g, v, m, to, stored, 2, columns);
    }
}

// Numbers take the vector units' time as well where they are not stored: pixels behind a tile's last begin as zero, for
// what the memory holds may be subnormal.
QN_INLINE void amx_clear(int32_t *sums, int32_t vectors) {
    QN_NO_UNROLL for (int32_t i = 0; i < vectors; i++) _mm512_store_si512(sums + i * AMX_LANES, _mm512_setzero_si512());
}

// A panel of 32 channels, `columns` of which are stored.
QN_INLINE void amx_panel(const struct gemm *g, struct amx_depth depth, const struct amx_walk *walk, const uint8_t *in,
                         const int8_t *weight, const int32_t *bias, const float *m, uint8_t *out, int32_t columns) {
    __attribute__((aligned(64))) int32_t start[AMX_PANEL], sums[(2 * AMX_ROWS + 2) * AMX_PANEL];
    const int32_t tiles = walk->pieces * walk->count;
    amx_clear(sums + walk->pixels * AMX_PANEL, 2);
    amx_clear(sums + 2 * walk->pixels * AMX_PANEL, 2);
    for (int j = 0; j < 2; j++)
        _mm512_store_si512(start + j * AMX_LANES, vnni_start(bias + j * AMX_LANES, g->bounded));
    struct gemm_coming coming = amx_coming_of(g, depth, weight + AMX_PANEL * amx_channel_bytes(g, depth), tiles);
    QN_NO_UNROLL for (int32_t t = 0; t < tiles; t += 2) {
        const int32_t count = t + 1 < tiles ? 2 : 1;
        const struct amx_place places[2] = {amx_place_of(walk, t), amx_place_of(walk, t + count - 1)};
        const uint8_t *in0 = in + amx_in(g, walk, places[0]), *in1 = in + amx_in(g, walk, places[1]);
        if (count == 2) amx_tiles(g, depth, in0, in1, weight, start, sums, &coming, walk->pixels, 2);
        else amx_tiles(g, depth, in0, in1, weight, start, sums, &coming, walk->pixels, 1);
        QN_NO_UNROLL for (int32_t i = 0; i < count; i++)
            amx_store(g, walk, sums + i * walk->pixels * AMX_PANEL, m, out, places[i], columns);
    }
}


// ---- 2 x 2 tiles whose bytes are stored while the next ones' sums are computed
//
// Vector units are idle while tiles are multiplied and stored, tiles while sums become bytes; only instructions that stand
// close together overlap. So each half of a block stores the tiles of the block before, and works on the sums of the half
// before, in between. What comes after a block's first step of depth has no such company.

// Where the bytes of a row of tiles go: pixels lie at equal distances, or where `offsets` says. Those before `begin` are
// stored already, which counts where sums take their residual's memory; else they are stored again. Of their channels
// `columns` are stored.
struct amx_bytes {
    const float *multiplier;
    uint8_t *to;
    const int32_t *offsets;
    int32_t begin, columns;
};

// Which of pixels i and i + 1 are stored, and where: the other's place is one of the output as well.
QN_INLINE unsigned amx_pair_places(const struct gemm *g, const struct amx_bytes *bytes, int32_t pixels, int i, uint8_t *to[4]) {
    unsigned stored = 0;
    to[0] = to[1] = to[2] = to[3] = bytes->to;
    QN_UNROLL for (int j = 0; j < 2; j++) {
        if (i + j >= pixels || (g->add && i + j < bytes->begin)) continue;
        const int64_t at = bytes->offsets ? bytes->offsets[i + j] : (i + j) * g->out_column;
        if (g->add && at < 0) continue;
        to[j] = bytes->to + at;
        stored |= 1u << j;
    }
    return stored;
}

// Pixels 2 i and 2 i + 1 of a row of tiles to bytes. `ragged`: some panel may not have all its channels.
QN_INLINE void amx_pair(const struct gemm *g, const int32_t *sums, const __m512 m[2], const struct amx_bytes *bytes,
                        int32_t pixels, int i, int ragged) {
    uint8_t *to[4];
    const unsigned stored = amx_pair_places(g, bytes, pixels, 2 * i, to);
    __m512i v[4];
    if (!stored) return;
    QN_UNROLL for (int j = 0; j < 4; j++) v[j] = _mm512_load_si512(sums + (4 * i + j) * AMX_LANES);
    vnni_store_sums(g, v, m, to, stored, 2, ragged ? bytes->columns : AMX_PANEL);
}

QN_INLINE void amx_pairs(const struct gemm *g, const int32_t *sums, const struct amx_bytes *bytes, int32_t pixels, int ragged) {
    const __m512 m[2] = {_mm512_loadu_ps(bytes->multiplier), _mm512_loadu_ps(bytes->multiplier + AMX_LANES)};
    QN_NO_UNROLL for (int i = 0; 2 * i < pixels; i++) amx_pair(g, sums, m, bytes, pixels, i, ragged);
}

// The tiles' part of a block's first step of depth, from its pixels in[0], in[1]: a turn of eight for each half. sums: of
// the block before, of each row of tiles, [pixel][32].
QN_INLINE void amx_turn(const struct gemm *g, const uint8_t *const in[2], const int8_t *weight, const int32_t *start,
                        int32_t *sums, int half, int turn) {
    switch (turn * 2 + half) {
    case 0: AMX_STORE(0, sums, 128); break;
    case 1: AMX_STORE(2, sums, 128); break;
    case 4:
        AMX_LOAD(0, start, 0);
        AMX_LOAD(6, weight, 128);
        break;
    case 5: AMX_LOAD(2, start, 0); break;
    case 6: AMX_LOAD(4, in[0], g->in_column); break;
    case 7: AMX_LOAD(5, in[1], g->in_column); break;
    case 8: AMX_STORE(1, sums + AMX_LANES, 128); break;
    case 9: AMX_STORE(3, sums + AMX_LANES, 128); break;
    case 10:
        AMX_DOT(0, 4, 6);
        AMX_LOAD(1, start + AMX_LANES, 0);
        break;
    case 11:
        AMX_DOT(2, 5, 6);
        AMX_LOAD(3, start + AMX_LANES, 0);
        break;
    case 12: AMX_LOAD(7, weight + 64, 128); break;
    case 14: AMX_DOT(1, 4, 7); break;
    case 15: AMX_DOT(3, 5, 7); break;
    default: break;
    }
}

// bytes: of the sums that each half finds in the other's place.
QN_INLINE void amx_first_step(const struct gemm *g, const uint8_t *const in[2], const int8_t *weight, const int32_t *start,
                              int32_t (*sums)[AMX_ROWS * AMX_PANEL], const struct amx_bytes bytes[2], int32_t pixels,
                              int ragged) {
    QN_NO_UNROLL for (int half = 0; half < 2; half++) {
        const int32_t *const others = sums[!half];
        const __m512 m[2] = {_mm512_loadu_ps(bytes[half].multiplier), _mm512_loadu_ps(bytes[half].multiplier + AMX_LANES)};
        if (g->add) { // much code
            QN_NO_UNROLL for (int turn = 0; turn < 8; turn++) {
                amx_turn(g, in, weight, start, sums[half], half, turn);
                amx_pair(g, others, m, &bytes[half], pixels, turn, ragged);
            }
        } else {
            QN_UNROLL for (int turn = 0; turn < 8; turn++) {
                amx_turn(g, in, weight, start, sums[half], half, turn);
                amx_pair(g, others, m, &bytes[half], pixels, turn, ragged);
            }
        }
    }
}

// The steps after the first.
QN_INLINE void amx_other_steps(const struct gemm *g, struct amx_depth depth, const uint8_t *const in[2], const int8_t *weight,
                               struct gemm_coming *coming) {
    QN_NO_UNROLL for (int y = 0; y < g->segments_h; y++)
        QN_NO_UNROLL for (int x = 0; x < g->segments_w; x++)
            QN_NO_UNROLL for (int k = y + x == 0; k < depth.blocks; k++) {
                const int64_t at = y * g->segment_row + x * g->segment_column + k * depth.words * 4;
                weight += depth.words * 128;
                AMX_LOAD(6, weight, 128);
                AMX_LOAD(4, in[0] + at, g->in_column);
                AMX_DOT(0, 4, 6);
                AMX_LOAD(7, weight + 64, 128);
                AMX_DOT(1, 4, 7);
                amx_prefetch(coming);
                AMX_LOAD(5, in[1] + at, g->in_column);
                AMX_DOT(2, 5, 6);
                AMX_DOT(3, 5, 7);
            }
}

enum { AMX_LARGE_SUM = 1 << 16 }; // results; what a sum of fewer gains is not worth the code
enum { AMX_MAPPED_TILES = 32 }; // at most so many where pixels do not lie at equal distances

// Where each pixel of each tile is stored. What is computed between rows goes where the next pixel will; in sums, nowhere.
QN_INLINE void amx_map(const struct gemm *g, const struct amx_walk *walk, int32_t *offsets) {
    QN_NO_UNROLL for (int32_t t = 0; t < walk->pieces * walk->count; t++)
        QN_NO_UNROLL for (int32_t p = 0; p < walk->pixels; p++) {
            const int32_t at = amx_place_of(walk, t).first + p, y = at / walk->pitch, x = at % walk->pitch;
            const int64_t between = g->add ? -1 : (y + 1) * g->out_row;
            offsets[t * AMX_ROWS + p] = (int32_t)(x < walk->width ? y * g->out_row + x * g->out_column : between);
        }
}

// A tile's bytes, `offsets` as amx_map's or NULL.
QN_INLINE struct amx_bytes amx_bytes_of(const struct gemm *g, const struct amx_walk *walk, const float *m, uint8_t *out,
                                        const int32_t *offsets, int32_t tile, int32_t columns) {
    const struct amx_place place = amx_place_of(walk, tile);
    struct amx_bytes bytes = {m, out, NULL, place.done, columns};
    if (offsets) bytes.offsets = offsets + tile * AMX_ROWS;
    else bytes.to += amx_out(g, walk, place);
    return bytes;
}

// Panels of 32 channels, the last of the rest. Except for sums, what is stored before the first products are there
// comes to lie where the first block's bytes will; and an odd tile is stored twice.
QN_INLINE void amx_panels(const struct gemm *g, struct amx_depth depth, const struct amx_walk *walk, const int32_t *offsets,
                          const uint8_t *in, const int8_t *weight, const int32_t *bias, const float *m, uint8_t *out,
                          int32_t channels) {
    __attribute__((aligned(64))) int32_t start[AMX_PANEL], sums[2][AMX_ROWS * AMX_PANEL];
    const int64_t panel_bytes = AMX_PANEL * amx_channel_bytes(g, depth);
    const int32_t tiles = walk->pieces * walk->count, pixels = walk->pixels;
    // Of the second row of tiles of the block before the last, and both rows of the last.
    struct amx_bytes bytes[3];
    const int ragged = channels % AMX_PANEL != 0;
    for (int i = 0; i < 3; i++) {
        bytes[i] = amx_bytes_of(g, walk, m, out, offsets, i != 1 && tiles > 1, channels < AMX_PANEL ? channels : AMX_PANEL);
        bytes[i].begin = pixels;
    }
    amx_clear(sums[0], 2 * AMX_ROWS);
    amx_clear(sums[1], 2 * AMX_ROWS);
    QN_NO_UNROLL for (int32_t c = 0; c < channels; c += AMX_PANEL) {
        const int32_t columns = channels - c < AMX_PANEL ? channels - c : AMX_PANEL;
        struct gemm_coming coming = amx_coming_of(g, depth, weight + panel_bytes, tiles);
        for (int j = 0; j < 2; j++)
            _mm512_store_si512(start + j * AMX_LANES, vnni_start(bias + j * AMX_LANES, g->bounded));
        QN_NO_UNROLL for (int32_t t = 0; t < tiles; t += 2) {
            const int32_t last = t + (t + 1 < tiles);
            const uint8_t *const from[2] = {in + amx_in(g, walk, amx_place_of(walk, t)), in + amx_in(g, walk, amx_place_of(walk, last))};
            amx_first_step(g, from, weight, start, sums, bytes, pixels, ragged);
            amx_other_steps(g, depth, from, weight, &coming);
            bytes[0] = bytes[2];
            bytes[1] = amx_bytes_of(g, walk, m, out, offsets, t, columns);
            bytes[2] = amx_bytes_of(g, walk, m, out, offsets, last, columns);
            if (last == t) bytes[2].begin = pixels;
        }
        weight += panel_bytes, bias += AMX_PANEL, m += AMX_PANEL, out += AMX_PANEL * g->out_step;
    }
    QN_NO_UNROLL for (int i = 0; i < 3; i++) {
        if (i == 1) {
            AMX_STORE(0, sums[0], 128);
            AMX_STORE(1, sums[0] + AMX_LANES, 128);
            AMX_STORE(2, sums[1], 128);
            AMX_STORE(3, sums[1] + AMX_LANES, 128);
        }
        amx_pairs(g, sums[i != 1], &bytes[i], pixels, ragged);
    }
}

// Some rows of one image that has image_rows, `channels` channels.
QN_INLINE void amx_image(const struct gemm *g, struct amx_depth depth, const uint8_t *in, const int8_t *weight,
                         const int32_t *bias, const float *m, uint8_t *out, int32_t rows, int32_t image_rows,
                         int32_t width, int32_t channels) {
    const int64_t channel = amx_channel_bytes(g, depth);
    const struct amx_walk walk = amx_walk_of(g, rows, image_rows, width);
    const int even = amx_is_even(g, &walk);
    const int worth = !g->add || (int64_t)image_rows * width * g->out_column >= AMX_LARGE_SUM;
    const int wide = worth && (even || image_rows * walk.pitch <= AMX_MAPPED_TILES * AMX_ROWS) && image_rows * width > AMX_ROWS;
    int32_t map[AMX_MAPPED_TILES * AMX_ROWS], *const offsets = even ? NULL : map;
    amx_configure(walk.pixels, depth.words);
    if (wide && !even) amx_map(g, &walk, map);
    if (wide) amx_panels(g, depth, &walk, offsets, in, weight, bias, m, out, channels);
    else
        QN_NO_UNROLL for (int32_t c = 0; c < channels; c += AMX_PANEL)
            amx_panel(g, depth, &walk, in, weight + c * channel, bias + c, m + c, out + c * g->out_step, channels - c < AMX_PANEL ? channels - c : AMX_PANEL);
    AMX_RELEASE();
}

QN_INLINE void amx_conv2d(const struct qn_conv2d_args *a, const struct qn_binary_args *add, int32_t form, const uint8_t *in,
                          const int8_t *weight, const int32_t *bias, const float *m, const uint8_t *residual, uint8_t *out,
                          int32_t begin, int32_t end) {
    struct gemm g = gemm_of_conv2d(a, 4);
    const struct amx_depth depth = amx_depth_of(g.steps);
    const int64_t channel = amx_channel_bytes(&g, depth);
    gemm_set_form(&g, form);
    gemm_set_add(&g, add, residual, out);
    QN_NO_UNROLL for (int32_t row = begin; row < end;) {
        const struct gemm_part p = gemm_part_of(a->rows, a->out_h, a->out_c, a->panel, row, end);
        amx_image(&g, depth, in + (int64_t)p.image * a->in_image + p.y * g.in_row, weight + p.channel * channel,
                  bias + p.channel, m + p.channel, out + ((int64_t)p.image * a->out_image + p.channel) * g.out_step + p.y * g.out_row,
                  p.rows, a->out_h, a->out_w, p.channels);
        row += p.count;
    }
}

QN_INLINE void amx_linear(const struct qn_linear_args *a, int32_t form, const uint8_t *in, const int8_t *weight, const int32_t *bias,
                          const float *m, uint8_t *out, int32_t begin, int32_t end) {
    struct gemm g = gemm_of_linear(a, 4);
    gemm_set_form(&g, form);
    const struct amx_depth depth = amx_depth_of(g.steps);
    const int64_t channel = amx_channel_bytes(&g, depth);
    QN_NO_UNROLL for (int32_t row = begin; row < end;) {
        const struct gemm_part p = gemm_part_of(a->rows, gemm_linear_rows(a), a->n, a->panel, row, end);
        amx_image(&g, depth, in + p.y * g.in_column, weight + p.channel * channel, bias + p.channel, m + p.channel,
                  out + p.y * g.out_column + p.channel * g.out_step, 1, 1, p.rows, p.channels);
        row += p.count;
    }
}
#endif
