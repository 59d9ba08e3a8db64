// Cases of the families with weights: conv2d, depthwise, linear. Constants are packed as the row says.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "passes/fixed_sum.h"
#include "passes/pack.h"
#include "runtime/kernel_table.h"
#include "runtime/kernels/winograd.h"
#include "test/kernels/check.h"

// A layer's constants, by output channel, and the data to check it with.
typedef struct {
    int out_c, taps_h, taps_w, in_c; // in_c: a group's
    int tile; // of Winograd's convolutions
    bool is_f32;
    int32_t weight_zp;
    int8_t *weight_s8;
    float *weight_f32;
    int32_t *bias_s32;
    float *bias_f32;
    float *multiplier;
} Layer;

static size_t layer_depth(const Layer *layer) { return (size_t)layer->taps_h * layer->taps_w * layer->in_c; }

static bool row_is_f32(const Test *test) { return !strcmp(test->row->operands, "f32f32"); }
static bool row_is_words(const Test *test) { return !strcmp(test->row->result, "s16"); }
static size_t elem_bytes(const Test *test) { return row_is_f32(test) ? 4 : row_is_words(test) ? 2 : 1; }
static size_t result_bytes(const Test *test) { return row_is_words(test) ? 2 : strcmp(test->row->result, "s8") ? 4 : 1; }
static bool result_is_rounded(const Test *test) { return row_is_words(test) || !strcmp(test->row->result, "s8"); }
static int over_read(const Test *test) { return strcmp(test->row->isa, "generic") ? OVER_READ : 0; }

// A bias that the accumulation bound allows: |b| + sum |w - w_zp| max |x - x_zp| < 2^31.
// Usually at most `usual` in size.
static int32_t random_bias(Test *test, const Layer *layer, int o, int32_t in_zp, int32_t usual, bool extreme) {
    const int least = row_is_words(test) ? -32768 : -128, most = row_is_words(test) ? 32767 : 127;
    const int reach = abs(least - in_zp) > abs(most - in_zp) ? abs(least - in_zp) : abs(most - in_zp);
    int64_t sum = 0;
    for (size_t i = 0; i < layer_depth(layer); i++)
        sum += (int64_t)abs(layer->weight_s8[(size_t)o * layer_depth(layer) + i] - layer->weight_zp) * reach;
    int64_t room = INT32_MAX - sum;
    if (room < 0) room = usual; // of 16-bit activations, whose sums may leave 32 bits
    if (extreme && random_chance(test, 20)) return (int32_t)(random_chance(test, 50) ? room : -room);
    if (room > usual) room = usual;
    return random_int(test, (int)-room, (int)room);
}

static PackSource layer_source(const Layer *layer, const KernelArgs *args) {
    return (PackSource){
        .out_c = layer->out_c, .kernel_h = layer->taps_h, .kernel_w = layer->taps_w, .in_c = layer->in_c,
        .weight = layer->is_f32 ? (const void *)layer->weight_f32 : layer->weight_s8,
        .bias_i32 = layer->bias_s32, .bias_f32 = layer->bias_f32, .multiplier = layer->multiplier, .args = args};
}

// Also chooses `bounded`, among what holds for the layer.
static void layer_fill(Test *test, Layer *layer, struct qn_conv2d_args *a) {
    const size_t weights = layer_depth(layer) * layer->out_c;
    if (layer->is_f32) {
        layer->weight_f32 = random_floats(test, weights, -1, 1);
        layer->bias_f32 = random_floats(test, layer->out_c, -1, 1);
        return;
    }
    layer->weight_s8 = (int8_t *)random_bytes(test, weights);
    if (row_is_words(test) && random_chance(test, 60)) // small ones, so that sums stay within 32 bits
        for (size_t i = 0; i < weights; i++) layer->weight_s8[i] /= 16;
    layer->bias_s32 = ARENA_ARRAY(test->arena, int32_t, layer->out_c);
    layer->multiplier = ARENA_ARRAY(test->arena, float, layer->out_c);
    const bool extreme = random_chance(test, 40), below_one = random_chance(test, 60);
    const int32_t usual = RANDOM_OF(test, 30000, 30000, 1 << 22, 1 << 24, 3 << 26);
    for (int o = 0; o < layer->out_c; o++) {
        layer->bias_s32[o] = random_bias(test, layer, o, a->in_zp, usual, extreme);
        layer->multiplier[o] = random_multiplier(test, below_one);
    }
    KernelArgs words;
    args_begin(&words, "conv2d");
    memcpy(words.words, a, (size_t)words.family->words * 4);
    const PackSource source = layer_source(layer, &words);
    a->bounded = row_is_words(test) ? pack_bounded_words(&source, &words) && random_chance(test, 80) : random_int(test, 0, pack_bounded(&source, &words));
}

// The call's inputs 1, 2 and 3, packed. A sum behind a convolution is no part of that.
static void layer_pack(Test *test, const Layer *layer, const void *args, Call *call) {
    static const char *const plain[][2] = {{"conv2d_add", "conv2d"}, {"winograd_add", "winograd"}};
    KernelArgs words;
    const char *family = test->row->family;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (!strcmp(family, plain[i][0])) family = plain[i][1];
    args_begin(&words, family);
    memcpy(words.words, args, (size_t)words.family->words * 4);
    const PackSource source = layer_source(layer, &words);
    Packed packed = {0};
    PackFn *pack = pack_find(test->row->packing);
    BUG_UNLESS(pack, "%s: unknown packing '%s'", test->row->symbol, test->row->packing);
    pack(test->arena, &source, &packed);
    call->inputs[1] = memory_constant(packed.weight, packed.weight_bytes);
    call->inputs[2] = memory_constant(packed.bias, packed.bias_bytes);
    if (packed.multiplier) call->inputs[3] = memory_constant(packed.multiplier, packed.multiplier_bytes);
    call->input_count = 4;
    if (over_read(test)) return;
    for (int i = 1; i < 4; i++) call->inputs[i].over_read = 0, call->inputs[i].align = 4;
}

// What the naive computation reads from a window: calls for each tap inside the image.
typedef struct { const struct qn_conv2d_args *a; int n, y, x, o; } Pixel;

static bool tap_inside(const Pixel *p, int ky, int kx, int *iy, int *ix) {
    const struct qn_conv2d_args *a = p->a;
    *iy = p->y * a->stride_h - a->pad_top + ky * a->dilation_h;
    *ix = p->x * a->stride_w - a->pad_left + kx * a->dilation_w;
    return *iy >= 0 && *iy < a->in_h && *ix >= 0 && *ix < a->in_w;
}

static int64_t naive_sum(const Pixel *p, const Layer *layer, bool words, const void *in, const Image *image) {
    const struct qn_conv2d_args *a = p->a;
    const int group = p->o / (a->out_c / a->group);
    int64_t acc = layer->bias_s32[p->o];
    int iy, ix;
    for (int ky = 0; ky < a->kernel_h; ky++)
        for (int kx = 0; kx < a->kernel_w; kx++)
            for (int c = 0; c < layer->in_c; c++) {
                if (!tap_inside(p, ky, kx, &iy, &ix)) continue;
                const size_t at = image_at(image, p->n, iy, ix, group * layer->in_c + c);
                const int x = words ? ((const int16_t *)in)[at] : (int8_t)(((const uint8_t *)in)[at] ^ a->flip);
                const size_t w = (((size_t)p->o * a->kernel_h + ky) * a->kernel_w + kx) * layer->in_c + c;
                acc += (int64_t)(x - a->in_zp) * (layer->weight_s8[w] - a->weight_zp);
            }
    BUG_UNLESS(acc == (int32_t)acc || (words && !a->bounded), "the case breaks the accumulation bound");
    return acc;
}

static void naive_store(const struct qn_conv2d_args *a, const char *result, int64_t sum, float m, void *out, size_t at) {
    const float product = (float)sum * m;
    if (!strcmp(result, "s16")) ((int16_t *)out)[at] = (int16_t)naive_round(product, a->out_zp, a->lo, a->hi);
    else if (!strcmp(result, "i32")) ((int32_t *)out)[at] = (int32_t)sum;
    else if (!strcmp(result, "f32")) ((float *)out)[at] = product;
    else ((uint8_t *)out)[at] = (uint8_t)(naive_round(product, a->out_zp, a->lo, a->hi) ^ a->flip);
}

// By how many roundings of the largest input times the sum of a channel's weights Winograd's tiles of 2, 4 and 6 may be off, of random
// numbers (docs/numerics.md); tile 0: none are.
static double winograd_roundings(int tile) { return tile == 6 ? 300 : tile == 4 ? 160 : tile == 2 ? 12 : 0; }

// In double; *bound: how far a sum in single may be off. Inputs are at most 1 in size.
static float naive_f32(const Pixel *p, const Layer *layer, const float *in, const Image *image, float *bound) {
    const struct qn_conv2d_args *a = p->a;
    const int group = p->o / (a->out_c / a->group);
    double acc = layer->bias_f32[p->o], size = fabs(acc), weights = 0;
    int iy, ix;
    for (int ky = 0; ky < a->kernel_h; ky++)
        for (int kx = 0; kx < a->kernel_w; kx++)
            for (int c = 0; c < layer->in_c; c++) {
                if (!tap_inside(p, ky, kx, &iy, &ix)) continue;
                const size_t w = (((size_t)p->o * a->kernel_h + ky) * a->kernel_w + kx) * layer->in_c + c;
                const double y = (double)in[image_at(image, p->n, iy, ix, group * layer->in_c + c)] * layer->weight_f32[w];
                acc += y;
                size += fabs(y), weights += fabs((double)layer->weight_f32[w]);
            }
    *bound = (float)(2e-6 * size + 0x1p-24 * winograd_roundings(layer->tile) * weights);
    return (float)fmax(fmin(acc, a->max), a->min);
}

// sums: what int8 is rounded from, or NULL. result: as kernels.def has it.
static void naive_conv(const struct qn_conv2d_args *a, const Layer *layer, const char *result, const void *in, const Image *from,
                       void *out, const Image *to, float *bound, int32_t *sums) {
    for (int n = 0; n < to->n; n++)
        for (int y = 0; y < a->out_h; y++)
            for (int x = 0; x < a->out_w; x++)
                for (int o = 0; o < a->out_c; o++) {
                    const Pixel pixel = {a, n, y, x, o};
                    const size_t at = image_at(to, n, y, x, o);
                    if (layer->is_f32) {
                        ((float *)out)[at] = naive_f32(&pixel, layer, in, from, &bound[at]);
                        continue;
                    }
                    const int64_t sum = naive_sum(&pixel, layer, !strcmp(result, "s16"), in, from);
                    naive_store(a, result, sum, layer->multiplier[o], out, at);
                    if (sums) sums[at] = (int32_t)sum;
                }
}

// One dimension of a window: sizes that give at least one output.
typedef struct { int in, kernel, stride, dilation, before, out; } Axis;
static Axis axis_random(Test *test, bool padded) {
    for (;;) {
        Axis axis = {.in = random_int(test, 1, 14), .kernel = RANDOM_OF(test, 1, 1, 2, 3, 3, 5, 7), .stride = RANDOM_OF(test, 1, 1, 2, 3),
                     .dilation = random_chance(test, 75) ? 1 : 2};
        const int after = padded ? random_int(test, 0, axis.kernel - 1) : 0;
        if (random_chance(test, 15)) axis.in = 1;
        axis.before = padded ? random_int(test, 0, axis.kernel - 1) : 0;
        const int room = axis.in + axis.before + after - axis.dilation * (axis.kernel - 1) - 1;
        axis.out = room / axis.stride + 1;
        if (room >= 0) return axis;
    }
}

static void window_random(Test *test, struct qn_conv2d_args *a) {
    a->padded = random_chance(test, 40);
    Axis v = axis_random(test, a->padded), h = axis_random(test, a->padded);
    if (random_chance(test, 20)) v.kernel = v.stride = v.dilation = 1, v.before = 0, v.out = v.in;
    if (v.kernel == 1 && random_chance(test, 70)) h.kernel = h.stride = h.dilation = 1, h.before = 0, h.out = h.in;
    if (random_chance(test, 10)) h.out = 1; // fewer columns than the input has room for: a slice of a larger image
    a->in_h = v.in, a->kernel_h = v.kernel, a->stride_h = v.stride, a->dilation_h = v.dilation;
    a->pad_top = v.before, a->out_h = v.out;
    a->in_w = h.in, a->kernel_w = h.kernel, a->stride_w = h.stride, a->dilation_w = h.dilation;
    a->pad_left = h.before, a->out_w = h.out;
}

static void quantization_random(Test *test, struct qn_conv2d_args *a) {
    a->in_zp = random_zero_point(test);
    a->out_zp = random_zero_point(test);
    a->weight_zp = random_chance(test, 80) ? 0 : random_int(test, -128, 127);
    a->flip = random_chance(test, 50) ? 0x80 : 0;
    random_clamp(test, &a->lo, &a->hi);
    if (row_is_words(test)) words_quantization(test, &a->in_zp, &a->out_zp, &a->lo, &a->hi), a->flip = 0;
    if (random_chance(test, 50) && a->hi >= a->out_zp && a->lo < a->out_zp) a->lo = a->out_zp; // as activations do
}

// Sometimes rows are panels of channels, too. Returns how many.
static int32_t panels_random(Test *test, int32_t channels, int32_t *panel) {
    *panel = random_chance(test, 70) ? 0 : RANDOM_OF(test, 16, 32, 64);
    return *panel ? (channels + *panel - 1) / *panel : 1;
}

// The convolution's sums and their multipliers, element by element as its result.
typedef struct { const int32_t *sum; const float *multiplier; } Sums;

static void clear_rounding(struct qn_conv2d_args *a) { a->out_zp = a->lo = a->hi = a->bounded = 0; }

// A sum behind the convolution: its arguments, the residual, and what then comes out.
static void add_residual(Test *test, struct qn_conv2d_add_args *add, struct qn_conv2d_args *a, const Image *image, Sums sums,
                         uint8_t *expected, Call *call) {
    const bool in_place = random_chance(test, 50);
    const uint8_t *residual = in_place ? call->output.bytes : random_bytes(test, image->elems);
    add->residual_zp = random_zero_point(test), add->sum_zp = random_zero_point(test);
    random_clamp(test, &add->sum_lo, &add->sum_hi);
    add->own_multiplier = random_multiplier(test, random_chance(test, 70));
    add->residual_multiplier = random_multiplier(test, random_chance(test, 70));
    struct qn_binary_args sum = {.op = QN_ADD, .a_zp = a->out_zp, .b_zp = add->residual_zp, .out_zp = add->sum_zp, .lo = add->sum_lo,
                                 .hi = add->sum_hi, .a_multiplier = add->own_multiplier, .b_multiplier = add->residual_multiplier};
    if (add->unrounded) add->own_multiplier = 0;
    else if (random_chance(test, 60)) fixed_sum_find(&sum);
    add->fixed_own = sum.fixed_a, add->fixed_residual = sum.fixed_b, add->fixed_start = sum.fixed_start, add->fixed_shift = sum.fixed_shift;
    for (int n = 0; n < image->n; n++)
        for (int y = 0; y < a->out_h; y++)
            for (int i = 0; i < a->out_w * a->out_c; i++) {
                const size_t at = image_at(image, n, y, i / a->out_c, i % a->out_c);
                const float rounded = (float)((int8_t)(expected[at] ^ a->flip) - a->out_zp) * add->own_multiplier;
                const float x = add->unrounded ? (float)sums.sum[at] * sums.multiplier[i % a->out_c] : rounded;
                const float z = (float)((int8_t)(residual[at] ^ a->flip) - add->residual_zp) * add->residual_multiplier;
                expected[at] = (uint8_t)(naive_round(x + z, add->sum_zp, add->sum_lo, add->sum_hi) ^ a->flip);
            }
    call->args = add;
    call->inputs[4] = memory_of(residual, 1, image->elems, image->before);
    call->input_count = 5;
    if (in_place) call->in_place = 5;
}

// Sometimes a border of stored zeros, whose taps kernels may leave out.
static void border_random(Test *test, struct qn_conv2d_args *a) {
    if (elem_bytes(test) > 1 || a->padded || a->flip != 0x80 || random_chance(test, 50)) return;
    a->in_zp = -128;
    a->inner_top = random_int(test, 0, a->in_h - 1 < 3 ? a->in_h - 1 : 3), a->inner_left = random_int(test, 0, a->in_w - 1 < 3 ? a->in_w - 1 : 3);
    const int rows = a->in_h - a->inner_top, columns = a->in_w - a->inner_left;
    a->inner_h = rows - random_int(test, 0, rows - 1 < 3 ? rows - 1 : 3), a->inner_w = columns - random_int(test, 0, columns - 1 < 3 ? columns - 1 : 3);
}

static void border_clear(const struct qn_conv2d_args *a, const Image *from, uint8_t *in) {
    if (!a->inner_h) return;
    for (int n = 0; n < from->n; n++)
        for (int y = 0; y < a->in_h; y++)
            for (int x = 0; x < a->in_w; x++) {
                const bool inside = y >= a->inner_top && y < a->inner_top + a->inner_h && x >= a->inner_left && x < a->inner_left + a->inner_w;
                if (!inside) memset(in + image_at(from, n, y, x, 0), 0, (size_t)a->in_c);
            }
}

// Winograd's convolutions: arguments behind those of a plain one.
typedef struct { int32_t tile, block; } Tiles;

static const void *with_tiles(Test *test, const void *args, size_t bytes, const struct qn_conv2d_args *a, int images, Tiles tiles) {
    int32_t *own = memcpy(arena_alloc(test->arena, bytes + sizeof tiles), args, bytes);
    memcpy((char *)own + bytes, &tiles, sizeof tiles);
    own[0] = images * winograd_tiles(a->out_h, tiles.tile);
    own[1] = (int32_t)winograd_scratch_bytes(tiles.tile, tiles.block, a->in_c, row_is_f32(test) ? 4 : 2);
    return own;
}

// The rest of a convolution's case, once the arguments are drawn. struct qn_depthwise_args has the same fields; `add`: the
// family's own, where a residual is added; `tiles`: of Winograd's.
static void run_conv(Test *test, struct qn_conv2d_args *a, struct qn_conv2d_add_args *add, const Tiles *tiles) {
    Layer layer = {.out_c = a->out_c, .taps_h = a->kernel_h, .taps_w = a->kernel_w, .in_c = a->in_c / a->group,
                   .is_f32 = row_is_f32(test), .weight_zp = a->weight_zp,
                   .tile = tiles ? tiles->tile : 0};
    const int images = random_chance(test, 75) ? 1 : 2;
    const size_t elem = elem_bytes(test), out_elem = result_bytes(test);
    Image from = image_part_random(test, images, a->in_h, a->in_w, a->in_c, random_others(test));
    Image to = image_part_random(test, images, a->out_h, a->out_w, a->out_c, random_others(test));
    a->rows = images * a->out_h * (tiles ? 1 : panels_random(test, a->out_c, &a->panel));
    a->in_pixel = from.pixel, a->out_pixel = to.pixel;
    a->in_row = from.row, a->in_image = from.image, a->out_row = to.row, a->out_image = to.image;
    border_random(test, a);
    layer_fill(test, &layer, a);
    void *in = layer.is_f32 ? (void *)random_floats(test, from.elems, -1, 1) : random_bytes(test, elem * from.elems);
    border_clear(a, &from, in);
    if (!result_is_rounded(test) || (add && add->unrounded)) clear_rounding(a);
    const void *before = random_bytes(test, to.elems * out_elem);
    void *expected = copy_bytes(test, before, to.elems * out_elem);
    float *bound = ARENA_ARRAY(test->arena, float, to.elems);
    int32_t *sums = ARENA_ARRAY(test->arena, int32_t, to.elems);
    if (add) memcpy(add, a, sizeof *a);
    const void *own = add ? (const void *)add : a;
    if (tiles) own = with_tiles(test, own, add ? sizeof *add : sizeof *a, a, images, *tiles);
    Call call = {.args = own, .expected = expected, .bound = layer.is_f32 ? bound : NULL};
    if (!test->row->guard(own)) {
        test->rejected++;
        return;
    }
    naive_conv(a, &layer, test->row->result, in, &from, expected, &to, bound, sums);
    call.inputs[0] = memory_of(in, elem, from.elems, from.before);
    call.inputs[0].over_read = over_read(test);
    call.output = memory_of(before, out_elem, to.elems, to.before);
    layer_pack(test, &layer, tiles ? with_tiles(test, a, sizeof *a, a, images, *tiles) : a, &call);
    if (add) add_residual(test, add, a, &to, (Sums){sums, layer.multiplier}, expected, &call);
    if (add && tiles) call.args = with_tiles(test, add, sizeof *add, a, images, *tiles);
    check(test, &call);
}

static bool too_large(const struct qn_conv2d_args *a) {
    return (int64_t)a->out_h * a->out_w * a->out_c * a->kernel_h * a->kernel_w * (a->in_c / a->group) > 1500000;
}

static void random_conv2d(Test *test, struct qn_conv2d_args *a) {
    do {
        window_random(test, a);
        a->group = random_chance(test, 75) ? 1 : random_int(test, 2, 4);
        a->in_c = random_channels(test, 1000 / a->group) * a->group;
        a->out_c = random_channels(test, 1000 / a->group) * a->group;
    } while (too_large(a));
    quantization_random(test, a);
    random_clamp_f32(test, &a->min, &a->max);
}

void case_conv2d(Test *test) {
    struct qn_conv2d_args a = {.group = 1};
    random_conv2d(test, &a);
    run_conv(test, &a, NULL, NULL);
}

// Many results of few taps: kernels take another way where there are 65,536 or more.
static void enlarge(Test *test, struct qn_conv2d_args *a) {
    const int least = random_chance(test, 50) ? 7 : 20, most = least == 7 ? 19 : 60;
    a->in_h = a->out_h = random_int(test, least, most), a->in_w = a->out_w = random_int(test, least, most);
    a->kernel_h = a->kernel_w = a->stride_h = a->stride_w = a->dilation_h = a->dilation_w = a->group = 1;
    a->pad_top = a->pad_left = a->padded = 0;
    if (random_chance(test, 50)) a->kernel_w = 3, a->in_w += 2; // the input's rows are longer than the output's
    a->in_c = random_int(test, 1, 8);
    a->out_c = 65536 / (a->out_h * a->out_w) + random_int(test, 1, 40);
}

void case_conv2d_add(Test *test) {
    struct qn_conv2d_args a = {.group = 1};
    struct qn_conv2d_add_args add = {.unrounded = random_chance(test, 50)};
    random_conv2d(test, &a);
    if (random_chance(test, 15)) enlarge(test, &a);
    run_conv(test, &a, &add, NULL);
}

// 3x3 windows side by side, in tiles.
static Tiles random_winograd(Test *test, struct qn_conv2d_args *a) {
    do {
        a->out_h = random_int(test, 1, 14), a->out_w = random_int(test, 1, 14);
        a->in_c = random_channels(test, 300), a->out_c = random_channels(test, 300);
        a->kernel_h = a->kernel_w = 3, a->stride_h = a->stride_w = a->dilation_h = a->dilation_w = 1;
    } while (too_large(a));
    a->in_h = a->out_h + random_int(test, 2, 4), a->in_w = a->out_w + random_int(test, 2, 4);
    quantization_random(test, a);
    random_clamp_f32(test, &a->min, &a->max);
    return (Tiles){row_is_f32(test) ? RANDOM_OF(test, 2, 4, 6) : 2, random_int(test, 1, 60)};
}

void case_winograd(Test *test) {
    struct qn_conv2d_args a = {.group = 1};
    const Tiles tiles = random_winograd(test, &a);
    run_conv(test, &a, NULL, &tiles);
}

void case_winograd_add(Test *test) {
    struct qn_conv2d_args a = {.group = 1};
    struct qn_conv2d_add_args add = {.unrounded = random_chance(test, 50)};
    const Tiles tiles = random_winograd(test, &a);
    run_conv(test, &a, &add, &tiles);
}

_Static_assert(sizeof(struct qn_depthwise_args) == sizeof(struct qn_conv2d_args), "the two families share their cases");

void case_depthwise(Test *test) {
    struct qn_conv2d_args a = {.group = 1};
    do {
        window_random(test, &a);
        if (random_chance(test, 5)) a.kernel_h = 9, a.in_h = 9 + random_int(test, 0, 3), a.out_h = 1, a.dilation_h = 1;
        a.in_c = a.group = random_channels(test, 300);
        a.out_c = a.in_c * (random_chance(test, 80) ? 1 : random_int(test, 2, 3));
    } while (too_large(&a));
    quantization_random(test, &a);
    random_clamp_f32(test, &a.min, &a.max);
    run_conv(test, &a, NULL, NULL);
}

// A linear layer is a 1 x 1 convolution of an image of `rows` rows and one column, with pitches of its own.
void case_linear(Test *test) {
    struct qn_conv2d_args c = {.group = 1, .kernel_h = 1, .kernel_w = 1, .stride_h = 1, .stride_w = 1,
                               .dilation_h = 1, .dilation_w = 1, .in_w = 1, .out_w = 1};
    c.in_h = c.out_h = random_chance(test, 50) ? 1 : random_int(test, 2, 40);
    do {
        c.in_c = random_chance(test, 10) ? random_int(test, 258, 1400) : random_channels(test, 300);
        c.out_c = random_chance(test, 10) ? random_int(test, 258, 1100) : random_channels(test, 300);
    } while (too_large(&c));
    quantization_random(test, &c);
    random_clamp_f32(test, &c.min, &c.max);
    Layer layer = {.out_c = c.out_c, .taps_h = 1, .taps_w = 1, .in_c = c.in_c, .is_f32 = row_is_f32(test),
                   .weight_zp = c.weight_zp};
    const size_t elem = elem_bytes(test), out_elem = result_bytes(test);
    Image from = image_random(test, 1, c.in_h, 1, c.in_c), to = image_random(test, 1, c.out_h, 1, c.out_c);
    layer_fill(test, &layer, &c);
    const void *in = layer.is_f32 ? (void *)random_floats(test, from.elems, -1, 1) : random_bytes(test, elem * from.elems);
    if (!result_is_rounded(test)) clear_rounding(&c);
    const void *before = random_bytes(test, to.elems * out_elem);
    void *expected = copy_bytes(test, before, to.elems * out_elem);
    float *bound = ARENA_ARRAY(test->arena, float, to.elems);
    naive_conv(&c, &layer, test->row->result, in, &from, expected, &to, bound, NULL);
    c.rows = c.in_h * panels_random(test, c.out_c, &c.panel);
    const struct qn_linear_args a = {.rows = c.rows, .panel = c.panel, .k = c.in_c, .n = c.out_c, .a_row = from.row, .out_row = to.row,
                                     .weight_zp = c.weight_zp, .in_zp = c.in_zp, .out_zp = c.out_zp, .lo = c.lo,
                                     .hi = c.hi, .flip = c.flip, .bounded = c.bounded, .min = c.min, .max = c.max};
    Call call = {.args = &a, .expected = expected, .bound = layer.is_f32 ? bound : NULL};
    call.inputs[0] = memory_of(in, elem, from.elems, from.before);
    call.inputs[0].over_read = over_read(test);
    call.output = memory_of(before, out_elem, to.elems, to.before);
    layer_pack(test, &layer, &a, &call);
    check(test, &call);
}
