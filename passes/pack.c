// Packing of constants: from a convolution's or linear layer's weights in the order of the graph (O KH KW I) to the
// layout that a kernel reads, with terms that do not depend on the input folded into the bias. What the padding of a
// layout holds is zero, so that a kernel may compute on it.
#include "passes/pack.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/kernels/amx_depth.h"
#include "runtime/kernels/conv_groups.h"
#include "runtime/kernels/winograd.h"

// Allocates the results, zeroed: `channels` biases, and multipliers where the source has them.
static void packed_begin(Arena *arena, const PackSource *source, int64_t channels, size_t weight_bytes, Packed *packed) {
    packed->weight_bytes = weight_bytes;
    packed->weight = arena_alloc(arena, weight_bytes);
    packed->bias_bytes = (size_t)channels * 4;
    packed->bias = arena_alloc(arena, packed->bias_bytes);
    packed->multiplier_bytes = source->multiplier ? packed->bias_bytes : 0;
    packed->multiplier = source->multiplier ? arena_alloc(arena, packed->multiplier_bytes) : NULL;
}

static void copy_bias(const PackSource *source, Packed *packed) {
    const size_t bytes = (size_t)source->out_c * 4;
    if (source->multiplier && source->bias_i32) memcpy(packed->bias, source->bias_i32, bytes);
    if (!source->multiplier && source->bias_f32) memcpy(packed->bias, source->bias_f32, bytes);
    if (source->multiplier) memcpy(packed->multiplier, source->multiplier, bytes);
}

static void pack_none(Arena *arena, const PackSource *source, Packed *packed) {
    const int64_t elems = source->out_c * source->kernel_h * source->kernel_w * source->in_c;
    packed_begin(arena, source, source->out_c, (size_t)elems * (source->multiplier ? 1 : 4), packed);
    memcpy(packed->weight, source->weight, packed->weight_bytes);
    copy_bias(source, packed);
}

// ---- matrix panels, and what int8 on AVX512-VNNI needs

// The constant part of sum (x - zp) w, where the kernel sums (x + offset) w: subtracted from the bias, modulo 2^32.
static void fold_offset(const PackSource *source, int32_t offset, Packed *packed) {
    const int64_t taps = source->kernel_h * source->kernel_w * source->in_c;
    const int8_t *weight = source->weight;
    int32_t *bias = packed->bias;
    for (int64_t o = 0; o < source->out_c; o++) {
        uint32_t sum = 0;
        for (int64_t i = 0; i < taps; i++) sum += (uint32_t)weight[o * taps + i];
        bias[o] = (int32_t)((uint32_t)bias[o] - sum * (uint32_t)(offset + args_get(source->args, "in_zp")));
    }
}

// Where bytes are stored unsigned.
static void fold_unsigned_offset(const PackSource *source, Packed *packed) { fold_offset(source, 128, packed); }

// Windows are runs of contiguous elements: a kernel row, or a tap where columns are dilated or pixels lie apart.
static int64_t run_elems(const PackSource *source) {
    const KernelArgs *args = source->args;
    const bool image = !strncmp(args->family->name, "conv2d", 6);
    const bool apart = image && (args_get(args, "dilation_w") != 1 || args_get(args, "in_pixel") != args_get(args, "in_c"));
    return apart ? source->in_c : source->kernel_w * source->in_c;
}

// `count` pieces of `bytes`, mostly 4.
static void copy_apart(char *to, size_t to_step, const char *from, size_t from_step, size_t bytes, int64_t count) {
    for (int64_t i = 0; bytes == 4 && i < count; i++) memcpy(to + (size_t)i * to_step, from + (size_t)i * from_step, 4);
    for (int64_t i = 0; bytes != 4 && i < count; i++) memcpy(to + (size_t)i * to_step, from + (size_t)i * from_step, bytes);
}

// Panels of panel_size channels, the last of the rest, padded to `multiple`: [panel][run][step][channel][elements of a step].
// Runs are padded to `steps` steps.
static void pack_panels(Arena *arena, const PackSource *source, int64_t panel_size, int64_t multiple, int64_t step, int64_t steps,
                        size_t elem, Packed *packed) {
    const int64_t taps = source->kernel_h * source->kernel_w * source->in_c;
    const int64_t run = run_elems(source), padded_taps = taps / run * steps * step;
    const int64_t channels = (source->out_c + multiple - 1) / multiple * multiple;
    packed_begin(arena, source, channels, (size_t)(channels * padded_taps) * elem, packed);
    copy_bias(source, packed);
    for (int64_t panel = 0; panel < source->out_c; panel += panel_size) {
        const int64_t left = source->out_c - panel, width = channels - panel < panel_size ? channels - panel : panel_size;
        for (int64_t i = 0; i < taps;) { // the next step's elements of each channel
            const int64_t at = i % run, count = run - at < step ? run - at : step, place = (i / run * steps + at / step) * width * step;
            const char *from = (const char *)source->weight + (size_t)(panel * taps + i) * elem;
            char *to = (char *)packed->weight + (size_t)(panel * padded_taps + place) * elem;
            copy_apart(to, (size_t)step * elem, from, (size_t)taps * elem, (size_t)count * elem, left < width ? left : width);
            i += count;
        }
    }
}

static void pack_vnni32(Arena *arena, const PackSource *source, Packed *packed) {
    pack_panels(arena, source, 32, 16, 4, (run_elems(source) + 3) / 4, 1, packed);
    fold_unsigned_offset(source, packed);
}

static void pack_words32(Arena *arena, const PackSource *source, Packed *packed) {
    pack_panels(arena, source, 32, 16, 4, (run_elems(source) + 3) / 4, 1, packed);
    fold_offset(source, 0, packed);
}

// The groups [first, first + count) as one dense convolution: zeros stand between them. Each tap is a run of its own.
static PackSource unit_of(Arena *arena, const PackSource *source, int64_t first, int64_t count) {
    const int64_t out_c = source->out_c / args_get(source->args, "group"), from = first * out_c;
    const int64_t taps = source->kernel_h * source->kernel_w, in_c = source->in_c;
    const size_t elem = source->multiplier ? 1 : sizeof(float), run = (size_t)in_c * elem;
    const char *weight = (const char *)source->weight + (size_t)(from * taps) * run;
    char *dense = arena_alloc(arena, (size_t)(count * out_c * taps * count) * run);
    for (int64_t o = 0; o < count * out_c; o++)
        for (int64_t t = 0; t < taps; t++)
            memcpy(dense + (size_t)((o * taps + t) * count + o / out_c) * run, weight + (size_t)(o * taps + t) * run, run);
    return (PackSource){.out_c = count * out_c, .kernel_h = taps, .kernel_w = 1, .in_c = count * in_c, .weight = dense,
                        .bias_i32 = source->bias_i32 ? source->bias_i32 + from : NULL,
                        .bias_f32 = source->bias_f32 ? source->bias_f32 + from : NULL,
                        .multiplier = source->multiplier ? source->multiplier + from : NULL, .args = source->args};
}

static int64_t grouped_channels(const PackSource *source, int64_t unit, int64_t multiple) {
    const int64_t group = args_get(source->args, "group"), out_c = source->out_c / group, rest = group % unit;
    return group / unit * ((unit * out_c + multiple - 1) / multiple * multiple) + (rest * out_c + multiple - 1) / multiple * multiple;
}

static void append(void *to, size_t *at, const void *from, size_t bytes) {
    if (bytes) memcpy((char *)to + *at, from, bytes);
    *at += bytes;
}

// Units one behind the other, each packed as dense convolutions are: channels padded to `multiple`, depth to `step`.
static void pack_grouped(Arena *arena, const PackSource *source, PackFn *pack_dense, int64_t multiple, int64_t step, Packed *packed) {
    const int64_t group = args_get(source->args, "group"), unit = step > 1 ? conv_unit_groups((int32_t)group, (int32_t)source->out_c) : 1;
    const int64_t channels = grouped_channels(source, unit, multiple), depth = (unit * source->in_c + step - 1) / step * step;
    const size_t elem = source->multiplier ? 1 : sizeof(float);
    size_t weight_at = 0, bias_at = 0, multiplier_at = 0;
    packed_begin(arena, source, channels, (size_t)(channels * source->kernel_h * source->kernel_w * depth) * elem, packed);
    for (int64_t first = 0; first < group; first += unit) {
        const PackSource dense = unit_of(arena, source, first, group - first < unit ? group - first : unit);
        Packed part;
        pack_dense(arena, &dense, &part);
        append(packed->weight, &weight_at, part.weight, part.weight_bytes);
        append(packed->bias, &bias_at, part.bias, part.bias_bytes);
        append(packed->multiplier, &multiplier_at, part.multiplier, part.multiplier_bytes);
    }
    packed->weight_bytes = weight_at; // a last unit of fewer groups takes fewer steps
}

static void pack_vnni_grouped(Arena *arena, const PackSource *source, Packed *packed) {
    pack_grouped(arena, source, pack_vnni32, 16, 4, packed);
}

static void pack_amx32(Arena *arena, const PackSource *source, Packed *packed) {
    const struct amx_depth depth = amx_depth_of((int32_t)((run_elems(source) + 3) / 4));
    pack_panels(arena, source, 32, 32, 4, (int64_t)depth.blocks * depth.words, 1, packed);
    fold_unsigned_offset(source, packed);
}

static void pack_f32x32(Arena *arena, const PackSource *source, Packed *packed) {
    pack_panels(arena, source, 32, 16, 1, run_elems(source), sizeof(float), packed);
}

static void pack_f32x16(Arena *arena, const PackSource *source, Packed *packed) {
    pack_panels(arena, source, 16, 8, 1, run_elems(source), sizeof(float), packed);
}

static void pack_f32x8(Arena *arena, const PackSource *source, Packed *packed) {
    pack_panels(arena, source, 8, 4, 1, run_elems(source), sizeof(float), packed);
}

static void pack_f32x32_grouped(Arena *arena, const PackSource *source, Packed *packed) {
    pack_grouped(arena, source, pack_f32x32, 16, 1, packed);
}

static void pack_f32x16_grouped(Arena *arena, const PackSource *source, Packed *packed) {
    pack_grouped(arena, source, pack_f32x16, 8, 1, packed);
}

static void pack_f32x8_grouped(Arena *arena, const PackSource *source, Packed *packed) {
    pack_grouped(arena, source, pack_f32x8, 4, 1, packed);
}

// Depthwise: [tap][channel], channels padded to 32.
static void pack_f32_depthwise(Arena *arena, const PackSource *source, Packed *packed) {
    const int64_t taps = source->kernel_h * source->kernel_w, channels = (source->out_c + 31) / 32 * 32;
    packed_begin(arena, source, channels, (size_t)(channels * taps) * sizeof(float), packed);
    copy_bias(source, packed);
    for (int64_t o = 0; o < source->out_c; o++)
        for (int64_t i = 0; i < taps; i++)
            ((float *)packed->weight)[i * channels + o] = ((const float *)source->weight)[o * taps + i];
}

// Depthwise of 16-bit activations: likewise, of weights in 16 bits with nothing above them.
static void pack_words_depthwise(Arena *arena, const PackSource *source, Packed *packed) {
    const int64_t taps = source->kernel_h * source->kernel_w, channels = (source->out_c + 31) / 32 * 32;
    packed_begin(arena, source, channels, (size_t)(channels * taps) * sizeof(int32_t), packed);
    copy_bias(source, packed);
    fold_offset(source, 0, packed);
    for (int64_t o = 0; o < source->out_c; o++)
        for (int64_t i = 0; i < taps; i++)
            ((int32_t *)packed->weight)[i * channels + o] = (uint16_t)((const int8_t *)source->weight)[o * taps + i];
}

// Depthwise blocks: 64 channels, or 32 or 16 where the rest fits. Within one, vector j, lane l, element e holds channel
// 16 l + 4 j + e: the order that the kernels' interleaving gives.
static int64_t depthwise_block(int64_t channels, int64_t block) {
    const int64_t rest = channels - block;
    return rest > 32 ? 64 : rest > 16 ? 32 : 16;
}
static int64_t depthwise_padded(int64_t channels) {
    return channels / 64 * 64 + (channels % 64 ? depthwise_block(channels % 64, 0) : 0);
}

static int64_t depthwise_slot(int64_t channel, int64_t block_size) {
    return channel % 16 / 4 * (block_size / 4) + channel / 16 * 4 + channel % 4;
}

static void permute_channels(const PackSource *source, const Packed *plain, Packed *packed) {
    for (int64_t o = 0; o < source->out_c; o++) {
        const int64_t block = o / 64 * 64, slot = block + depthwise_slot(o - block, depthwise_block(source->out_c, block));
        ((int32_t *)packed->bias)[slot] = ((const int32_t *)plain->bias)[o];
        ((float *)packed->multiplier)[slot] = ((const float *)plain->multiplier)[o];
    }
}

// Weights [block][column][group of 4 rows][slot][4 rows].
static void pack_vnni_depthwise(Arena *arena, const PackSource *source, Packed *packed) {
    const int64_t channels = depthwise_padded(source->out_c), kh = source->kernel_h, kw = source->kernel_w;
    const int64_t groups = (kh + 3) / 4, channel_bytes = kw * groups * 4;
    Packed plain;
    packed_begin(arena, source, channels, (size_t)(channels * channel_bytes), &plain);
    copy_bias(source, &plain);
    fold_unsigned_offset(source, &plain);
    packed_begin(arena, source, channels, 0, packed);
    packed->weight = plain.weight;
    packed->weight_bytes = plain.weight_bytes;
    permute_channels(source, &plain, packed);
    for (int64_t o = 0; o < source->out_c; o++) {
        const int64_t block = o / 64 * 64, size = depthwise_block(source->out_c, block);
        const int8_t *from = (const int8_t *)source->weight + o * kh * kw;
        int8_t *to = (int8_t *)packed->weight + block * channel_bytes + depthwise_slot(o - block, size) * 4;
        for (int64_t y = 0; y < kh; y++)
            for (int64_t x = 0; x < kw; x++) to[(x * groups + y / 4) * size * 4 + y % 4] = from[y * kw + x];
    }
}

// One tap: channel 4 l + j of a block has lane l of vector j, and there byte j; the other bytes meet other channels.
static void pack_vnni_pointwise(Arena *arena, const PackSource *source, Packed *packed) {
    const int64_t channels = (source->out_c + 63) / 64 * 64;
    Packed plain;
    packed_begin(arena, source, channels, 0, &plain);
    copy_bias(source, &plain);
    fold_unsigned_offset(source, &plain);
    packed_begin(arena, source, channels, (size_t)channels * 4, packed);
    for (int64_t o = 0; o < source->out_c; o++) {
        const int64_t slot = o / 64 * 64 + o % 4 * 16 + o % 64 / 4;
        ((int8_t *)packed->weight)[slot * 4 + o % 4] = ((const int8_t *)source->weight)[o];
        ((int32_t *)packed->bias)[slot] = ((const int32_t *)plain.bias)[o];
        ((float *)packed->multiplier)[slot] = ((const float *)plain.multiplier)[o];
    }
}

// ---- Winograd

// G of F(tile x tile, 3x3): a filter's three taps to tile + 2 points.
static const double (*filter_transform(int tile))[3] {
    static const double two[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
    static const double four[6][3] = {{1 / 4.0, 0, 0}, {-1 / 6.0, -1 / 6.0, -1 / 6.0}, {-1 / 6.0, 1 / 6.0, -1 / 6.0},
                                      {1 / 24.0, 1 / 12.0, 1 / 6.0}, {1 / 24.0, -1 / 12.0, 1 / 6.0}, {0, 0, 1}};
    static const double six[8][3] = {{1, 0, 0}, {-2 / 9.0, -2 / 9.0, -2 / 9.0}, {-2 / 9.0, 2 / 9.0, -2 / 9.0},
                                     {1 / 90.0, 1 / 45.0, 2 / 45.0}, {1 / 90.0, -1 / 45.0, 2 / 45.0},
                                     {32 / 45.0, 16 / 45.0, 8 / 45.0}, {32 / 45.0, -16 / 45.0, 8 / 45.0}, {0, 0, 1}};
    return tile == 2 ? two : tile == 4 ? four : six;
}

// G w G' of one pair of channels.
static void transform_filter(int tile, const double w[9], double *u) {
    const int side = tile + 2;
    const double (*g)[3] = filter_transform(tile);
    for (int i = 0; i < side; i++)
        for (int j = 0; j < side; j++) {
            double sum = 0;
            for (int y = 0; y < 3; y++)
                for (int x = 0; x < 3; x++) sum += g[i][y] * w[3 * y + x] * g[j][x];
            u[i * side + j] = sum;
        }
}

static void filter_of(const PackSource *source, int64_t o, int64_t c, double w[9]) {
    for (int t = 0; t < 9; t++) {
        const int64_t at = (o * 9 + t) * source->in_c + c;
        w[t] = source->multiplier ? ((const int8_t *)source->weight)[at] : (double)((const float *)source->weight)[at];
    }
}

// A point of a pair of channels, at element `at`: int8 is exact times 4.
static void put_point(const PackSource *source, void *to, int64_t at, double point) {
    if (source->multiplier) ((int16_t *)to)[at] = (int16_t)(4 * point);
    else ((float *)to)[at] = (float)point;
}

static void pack_winograd(Arena *arena, const PackSource *source, int64_t panel, Packed *packed) {
    const int tile = args_get(source->args, "tile"), points = winograd_points(tile);
    const int64_t step = source->multiplier ? 2 : 1, depth = (source->in_c + step - 1) / step * step;
    const int64_t channels = (source->out_c + panel - 1) / panel * panel;
    packed_begin(arena, source, channels, (size_t)(channels * depth * points) * (source->multiplier ? 2 : 4), packed);
    copy_bias(source, packed);
    if (source->multiplier) fold_unsigned_offset(source, packed);
    for (int64_t o = 0; o < source->out_c; o++)
        for (int64_t c = 0; c < source->in_c; c++) {
            double w[9], u[64];
            filter_of(source, o, c, w);
            transform_filter(tile, w, u);
            for (int64_t p = 0; p < points; p++)
                put_point(source, packed->weight, ((o / panel * points + p) * depth + c / step * step) * panel + o % panel * step + c % step, u[p]);
        }
}

static void pack_winograd8(Arena *arena, const PackSource *source, Packed *packed) { pack_winograd(arena, source, 8, packed); }
static void pack_winograd16(Arena *arena, const PackSource *source, Packed *packed) { pack_winograd(arena, source, 16, packed); }
static void pack_winograd32(Arena *arena, const PackSource *source, Packed *packed) { pack_winograd(arena, source, 32, packed); }

// ---- how far accumulators go

// The float whose bits are those of 2^23 plus `acc`.
static double shifted(double acc) {
    const int32_t bits = 0x4B000000 + (int32_t)acc;
    float value;
    memcpy(&value, &bits, sizeof value);
    return (double)value;
}

// One channel whose accumulator is at most `largest` in size. What reaches 2^23 must exceed every clamp.
static int channel_bounded(double largest, double m) {
    if (largest * m >= 2147483000.0) return 0;
    if (largest >= 0x1p28 || m >= 128) return 1;
    if (largest < 0x1p23) return 2;
    return m >= 0x1p-14 && shifted(largest) * m < 2147483000.0 ? 2 : 1;
}

// The most that a channel's sums can come to, `reach` the largest distance of an activation from its zero point.
static double largest_sum(const PackSource *source, int64_t channel, int32_t weight_zp, double reach) {
    const int64_t taps = source->kernel_h * source->kernel_w * source->in_c;
    const int8_t *w = (const int8_t *)source->weight + channel * taps;
    int64_t sum = 0;
    for (int64_t i = 0; i < taps; i++) sum += labs((long)w[i] - weight_zp);
    return (double)sum * reach + (source->bias_i32 ? fabs((double)source->bias_i32[channel]) : 0);
}

int pack_bounded(const PackSource *source, const KernelArgs *args) {
    const int32_t in_zp = args_get(args, "in_zp"), weight_zp = args_get(args, "weight_zp");
    const int reach = in_zp < 0 ? 127 - in_zp : in_zp + 128;
    int level = args_get(args, "lo") >= args_get(args, "out_zp") ? 2 : 1;
    for (int64_t o = 0; o < source->out_c; o++) {
        const int own = channel_bounded(largest_sum(source, o, weight_zp, reach), (double)source->multiplier[o]);
        if (own < level) level = own;
    }
    return level;
}

int pack_bounded_words(const PackSource *source, const KernelArgs *args) {
    const int32_t in_zp = args_get(args, "in_zp");
    const int reach = in_zp < 0 ? 32767 - in_zp : in_zp + 32768;
    for (int64_t o = 0; o < source->out_c; o++)
        if (largest_sum(source, o, args_get(args, "weight_zp"), reach) >= 0x1p31) return 0;
    return 1;
}

// ---- the table

PackFn *pack_find(const char *packing) {
#define PACK(name, function, summary) \
    if (!strcmp(packing, #name)) return function;
#include "passes/pack.def"
#undef PACK
    return NULL;
}
