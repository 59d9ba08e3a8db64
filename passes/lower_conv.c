// conv2d, linear and matmul: arguments, kernel, packed constants, halos.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/cost.h"
#include "ir/eval.h"
#include "passes/explain.h"
#include "passes/lower.h"
#include "passes/pack.h"
#include "passes/winograd.h"
#include "runtime/kernels/winograd.h"

// Padding as rows and columns of the input that taps reach outside: top, left, bottom, right.
static void outside(const Op *op, int32_t halo[4]) {
    conv2d_view conv = as_conv2d(op);
    const int64_t *in = conv.input->type->shape, *w = conv.weight->type->shape, *out = conv.output->type->shape;
    for (int d = 0; d < 2; d++) {
        int64_t low = int_at(conv.pads, d);
        int64_t reach = (out[1 + d] - 1) * int_at(conv.strides, d) + (w[1 + d] - 1) * int_at(conv.dilations, d) + 1;
        int64_t high = reach - in[1 + d] - low;
        halo[d] = (int32_t)low;
        halo[2 + d] = (int32_t)(high > 0 ? high : 0);
    }
}

static bool is_depthwise(const Op *op) {
    conv2d_view conv = as_conv2d(op);
    return conv.group > 1 && conv.group == conv.input->type->shape[3];
}

static bool gives_sums(const Op *op) { return type_is_sums(op->results[0].type); }


// Integer results: zero points and clamp; sums have neither.
static void clamp_args(const Lower *lower, KernelArgs *args, const Op *op, const Value *input) {
    int32_t lo, hi;
    const Quant *out = op->results[0].type->quant;
    activation_range(op_string(op, "activation"), out, &lo, &hi);
    args_int(args, "in_zp", zero_of(input));
    args_int(args, "flip", flip_of(lower, input->type));
    if (gives_sums(op)) return;
    args_int(args, "out_zp", out->zero_point[0]);
    args_int(args, "lo", lo);
    args_int(args, "hi", hi);
}

static void activation_args(const Lower *lower, KernelArgs *args, const Op *op, const Value *input) {
    if (op->results[0].type->quant) {
        clamp_args(lower, args, op, input);
        return;
    }
    float min, max;
    float_activation(op_string(op, "activation"), &min, &max);
    args_float(args, "min", min);
    args_float(args, "max", max);
}

static bool is_words(const Op *op) { return op->results[0].type->quant && op->results[0].type->elem == ELEM_I16; }

static const char *operands_text(const Op *op) { return is_words(op) ? "s16s8" : op->results[0].type->quant ? "s8s8" : "f32f32"; }

// The dequantize that alone reads sums: the kernel stores floats then.
static Op *floats_behind(const Lower *lower, const Op *op) {
    const Value *sums = &op->results[0];
    if (!gives_sums(op) || lower->context->watched || !value_has_one_use(sums)) return NULL;
    Op *floats = sums->uses->owner;
    if (floats->kind != OP_dequantize) return NULL;
    return op->kind == OP_conv2d || sums->type->rank != 4 ? floats : NULL; // an image may have a halo
}

static bool adds(const char *family) { return !strcmp(family, "conv2d_add") || !strcmp(family, "winograd_add"); }

// What kernels.def calls the result of a kernel of this family.
static const char *result_text(const Lower *lower, const Op *op, const KernelArgs *args) {
    if (!gives_sums(op)) return kind_text(op->results[0].type);
    return adds(args->family->name) ? "s8" : floats_behind(lower, op) ? "f32" : "i32";
}

static bool has_constant_weights(const Op *op) {
    return value_constant(op_operand(op, 1)) && (!op_operand(op, 2) || value_constant(op_operand(op, 2)));
}

// Weights computed at run time can't be packed: only kernels that take them as they are. NULL: none has these arguments.
static const KernelInfo *find_for(const Lower *lower, const Op *op, const KernelArgs *args) {
    const char *only = has_constant_weights(op) ? lower->context->only_isa : "generic";
    return find_among(lower, only, operands_text(op), result_text(lower, op, args), args);
}

static const KernelInfo *choose_for(const Lower *lower, const Op *op, const KernelArgs *args) {
    const KernelInfo *kernel = find_for(lower, op, args);
    BUG_UNLESS(kernel, "no kernel for %s", args->family->name);
    return kernel;
}

// A depthwise convolution that has a fast kernel only as one in groups, as with several outputs a channel.
static void prefer_groups(const Lower *lower, const Op *op, KernelArgs *args) {
    KernelArgs groups = *args;
    groups.family = family_find("conv2d");
    const bool slow = !strcmp(choose_for(lower, op, args)->isa, "generic");
    if (slow && strcmp(choose_for(lower, op, &groups)->isa, "generic") != 0) *args = groups;
}

// A halo whose stored bytes are 0: what lies in it can be left out.
static void inner_args(const Lower *lower, const Op *op, const int32_t *halo, KernelArgs *args) {
    const Value *input = op_operand(op, 0);
    const bool reaches = halo[0] | halo[1] | halo[2] | halo[3], is_zero = input->type->quant && flip_of(lower, input->type) && zero_of(input) == -128;
    if (!reaches || !is_zero) return;
    args_int(args, "inner_top", halo[0]);
    args_int(args, "inner_left", halo[1]);
    args_int(args, "inner_h", input->type->shape[1]);
    args_int(args, "inner_w", input->type->shape[2]);
}

// How many of Winograd's tiles are done at once: as many as keep V and a panel's M in half of the second cache; more where weights, which are
// read again for each block, would else take the time.
static int32_t winograd_block(const Target *target, const KernelArgs *args, int32_t elem_bytes, int64_t tiles) {
    enum { LEAST = 28 };
    const int32_t tile = args_get(args, "tile"), depth = winograd_depth(args_get(args, "in_c"));
    const int64_t own = (int64_t)winograd_points(tile) * (depth * elem_bytes + WINOGRAD_MAX_PANEL * 4), fit = target->l2_bytes / 2 / own;
    const int64_t most = fit < LEAST ? LEAST : fit > WINOGRAD_MAX_BLOCK ? WINOGRAD_MAX_BLOCK : fit, blocks = (tiles + most - 1) / most;
    return blocks ? (int32_t)((tiles + blocks - 1) / blocks) : 1;
}

static void winograd_args(const Lower *lower, const Op *op, KernelArgs *args) {
    const int64_t *out = op->results[0].type->shape, tile = op_int(op, "winograd");
    const int64_t rows = out[0] * winograd_tiles((int32_t)out[1], (int32_t)tile);
    const int32_t elem_bytes = op->results[0].type->quant ? 2 : 4;
    args_int(args, "rows", rows);
    args_int(args, "tile", tile);
    args_int(args, "block", winograd_block(lower->context->target, args, elem_bytes, rows * winograd_tiles((int32_t)out[2], (int32_t)tile)));
    args_int(args, "scratch_bytes", winograd_scratch_bytes((int32_t)tile, args_get(args, "block"), args_get(args, "in_c"), elem_bytes));
}

// Everything but the strides. `halo`: the border that the kernel may take as part of the input; NULL: it pads itself.
static void conv_args(const Lower *lower, const Op *op, const char *family, const int32_t *halo, KernelArgs *args) {
    conv2d_view conv = as_conv2d(op);
    const int64_t *in = conv.input->type->shape, *w = conv.weight->type->shape, *out = conv.output->type->shape;
    static const int32_t none[4];
    const int32_t *h = halo ? halo : none;
    args_begin(args, family);
    args_int(args, "rows", out[0] * out[1]);
    args_int(args, "out_h", out[1]);
    args_int(args, "out_w", out[2]);
    args_int(args, "out_c", out[3]);
    args_int(args, "in_h", in[1] + h[0] + h[2]);
    args_int(args, "in_w", in[2] + h[1] + h[3]);
    args_int(args, "in_c", in[3]);
    args_int(args, "kernel_h", w[1]);
    args_int(args, "kernel_w", w[2]);
    args_int(args, "stride_h", int_at(conv.strides, 0));
    args_int(args, "stride_w", int_at(conv.strides, 1));
    args_int(args, "dilation_h", int_at(conv.dilations, 0));
    args_int(args, "dilation_w", int_at(conv.dilations, 1));
    args_int(args, "pad_top", halo ? 0 : int_at(conv.pads, 0));
    args_int(args, "pad_left", halo ? 0 : int_at(conv.pads, 1));
    args_int(args, "group", conv.group);
    args_int(args, "padded", !halo);
    activation_args(lower, args, op, conv.input);
    if (adds(family)) args_int(args, "unrounded", gives_sums(op));
    if (halo) inner_args(lower, op, halo, args);
    // As if dense; set again when the buffers are known.
    args_int(args, "in_pixel", in[3]);
    args_int(args, "out_pixel", out[3]);
    args_int(args, "in_row", (in[2] + h[1] + h[3]) * in[3]);
    args_int(args, "in_image", (in[1] + h[0] + h[2]) * (in[2] + h[1] + h[3]) * in[3]);
    args_int(args, "out_row", out[2] * out[3]);
    args_int(args, "out_image", out[1] * out[2] * out[3]);
    if (!strcmp(family, "depthwise")) prefer_groups(lower, op, args);
    if (!strncmp(family, "winograd", 8)) winograd_args(lower, op, args);
}

// Whether the attribute says so, nothing speaks against it (lower_winograd.c), and there is a fast kernel, or no others are asked for.
static bool is_winograd(const Lower *lower, const Op *op, const char *family) {
    int32_t halo[4];
    KernelArgs args;
    const int64_t tile = op_int(op, "winograd");
    if (!tile || lower->context->bounded || winograd_refusal(op, tile)) return false;
    outside(op, halo);
    conv_args(lower, op, family, halo, &args);
    const KernelInfo *kernel = find_for(lower, op, &args);
    const char *only = lower->context->only_isa;
    return kernel && (strcmp(kernel->isa, "generic") != 0 || (only && (*only == '-' || !strcmp(only, "generic"))));
}

// Depthwise kernels round what they give.
static const char *family_of(const Lower *lower, const Op *op) {
    if (is_depthwise(op) && !gives_sums(op)) return "depthwise";
    return is_winograd(lower, op, "winograd") ? "winograd" : "conv2d";
}

static const char *add_family_of(const Lower *lower, const Op *op) { return is_winograd(lower, op, "winograd_add") ? "winograd_add" : "conv2d_add"; }

// Only panels that the kernel computes at once, so that one thread loses nothing; 64 bytes rather, that no two threads write to one
// cache line. Where sizes vary, the choice would, too.
static void split_by_channels(const Lower *lower, const Op *op, KernelArgs *args) {
    const int64_t rows = args_get(args, "rows"), channels = op_operand(op, 1)->type->shape[0];
    if (lower->context->bounded || !cost_prefers_channels(op, rows)) return;
    const KernelInfo *kernel = choose_for(lower, op, args);
    for (int panel = op->results[0].type->quant ? 64 : 32; panel >= 16; panel /= 2) {
        KernelArgs split = *args;
        if (panel >= channels) continue;
        args_int(&split, "panel", panel);
        args_int(&split, "rows", rows * ((channels + panel - 1) / panel));
        if (find_for(lower, op, &split) == kernel) {
            *args = split;
            return;
        }
    }
}

double conv2d_estimate(const Lower *lower, const Op *op, bool *by_winograd) {
    int32_t halo[4];
    KernelArgs args;
    outside(op, halo);
    const char *family = family_of(lower, op);
    *by_winograd = !strcmp(family, "winograd");
    conv_args(lower, op, family, halo, &args);
    return kernel_estimate(lower->context->target, choose_for(lower, op, &args), &args, false).ns;
}

void plan_conv2d_halo(Lower *lower, Op *op) {
    int32_t halo[4];
    outside(op, halo);
    if (!(halo[0] | halo[1] | halo[2] | halo[3])) return;
    KernelArgs with, without;
    conv_args(lower, op, family_of(lower, op), halo, &with);
    conv_args(lower, op, family_of(lower, op), NULL, &without);
    if (choose_for(lower, op, &with) == choose_for(lower, op, &without)) return;
    int32_t *planned = lowered_get(lower, op_operand(op, 0))->halo;
    for (int i = 0; i < 4; i++)
        if (halo[i] > planned[i]) planned[i] = halo[i];
}

// ---- constants

static float weight_scale(const Value *weight, int64_t channel) {
    const Quant *quant = weight->type->quant;
    return quant->scale[quant->count > 1 ? channel : 0];
}

static int32_t weight_zero(const Op *op) {
    const Quant *quant = op_operand(op, 1)->type->quant;
    for (int c = 1; quant && c < quant->count; c++)
        BUG_UNLESS(quant->zero_point[c] == quant->zero_point[0], "weights with a zero point for each channel");
    return quant ? quant->zero_point[0] : 0;
}

const float *sum_multipliers(const Lower *lower, const Op *reader, const Value *sums) {
    const Quant *own = sums->type->quant;
    if (!reader || reader->kind != OP_add) return own->scale;
    float *m = ARENA_ARRAY(lower->arena, float, own->count);
    for (int c = 0; c < own->count; c++) m[c] = rescale_multiplier(own->scale[c], reader->results[0].type->quant->scale[0]);
    return m;
}

static const float *multipliers(const Lower *lower, const Op *op, int64_t channels) {
    const Use *use = op->results[0].uses;
    if (gives_sums(op)) return sum_multipliers(lower, use ? use->owner : NULL, &op->results[0]);
    float *m = ARENA_ARRAY(lower->arena, float, channels);
    float s_x = scale_of(op_operand(op, 0)), s_y = op->results[0].type->quant->scale[0];
    for (int64_t c = 0; c < channels; c++) m[c] = (op_bool(op, "f32_scales") ? product_multiplier_f32 : product_multiplier)(s_x, weight_scale(op_operand(op, 1), c), s_y);
    return m;
}

static const void *elements(const Lower *lower, const Value *value) {
    const Dense *dense = value_constant(value);
    if (!dense || !dense->splat) return dense ? dense->data : NULL;
    size_t bytes = type_bytes(dense->type);
    char *data = arena_alloc(lower->arena, bytes);
    for (size_t at = 0; at < bytes; at += dense->bytes) memcpy(data + at, dense->data, dense->bytes);
    return data;
}

static void source_of(const Lower *lower, const Op *op, const KernelArgs *args, PackSource *source) {
    const Type *w = op_operand(op, 1)->type;
    bool image = w->rank == 4;
    *source = (PackSource){.out_c = w->shape[0], .kernel_h = image ? w->shape[1] : 1, .kernel_w = image ? w->shape[2] : 1,
                           .in_c = image ? w->shape[3] : w->shape[1], .weight = elements(lower, op_operand(op, 1)), .args = args};
    const void *bias = elements(lower, op_operand(op, 2));
    if (w->quant) {
        source->bias_i32 = bias;
        source->multiplier = multipliers(lower, op, source->out_c);
    } else source->bias_f32 = bias;
}

// A weight or bias as kernels without packing take it: dense, signed, where they may read past it.
static Value *computed_constant(Lower *lower, Value *value) {
    const void *data = elements(lower, value);
    if (data) return buffer_weights(lower, value->type->elem, data, type_bytes(value->type), value->name);
    Value *buffer = operand_in_arena(lower, value);
    if (buffer_is_dense(buffer) && buffer->type->elem == value->type->elem) return buffer;
    return copied_as(lower, buffer, value->type, value->type->elem);
}

// The kernel's constants: operands 1, 2 and 3 of its call. A packed bias holds what the input's zero point adds: layers that
// differ in it alone are the same code then.
static void constants(Lower *lower, const Op *op, const KernelInfo *kernel, const PackSource *source, KernelArgs *args, Value **buffers) {
    const char *name = op_operand(op, 1)->name, *base = name ? name : "weight";
    Elem elem = source->multiplier ? ELEM_I8 : ELEM_F32, bias_elem = source->multiplier ? ELEM_I32 : ELEM_F32;
    if (!has_constant_weights(op)) {
        buffers[1] = computed_constant(lower, op_operand(op, 1));
        buffers[2] = op_operand(op, 2) ? computed_constant(lower, op_operand(op, 2)) : NULL;
        if (!buffers[2]) {
            size_t bytes = (size_t)source->out_c * 4;
            buffers[2] = buffer_weights(lower, bias_elem, arena_alloc(lower->arena, bytes), bytes, NULL);
        }
        buffers[3] = source->multiplier ? buffer_weights(lower, ELEM_F32, source->multiplier, (size_t)source->out_c * 4, NULL) : NULL;
        return;
    }
    Packed packed;
    PackFn *pack = pack_find(kernel->packing);
    BUG_UNLESS(pack, "no packing '%s'", kernel->packing);
    pack(lower->arena, source, &packed);
    if (strcmp(kernel->packing, "none")) args_int(args, "in_zp", 0);
    buffers[1] = buffer_weights(lower, elem, packed.weight, packed.weight_bytes, base);
    buffers[2] = buffer_weights(lower, bias_elem, packed.bias, packed.bias_bytes, arena_printf(lower->arena, "%s_bias", base));
    buffers[3] = NULL;
    if (packed.multiplier)
        buffers[3] = buffer_weights(lower, ELEM_F32, packed.multiplier, packed.multiplier_bytes, arena_printf(lower->arena, "%s_multiplier", base));
}

static void bound(KernelArgs *args, const Op *op, const PackSource *source) {
    if (!source->multiplier) return;
    args_int(args, "weight_zp", weight_zero(op));
    bool known = source->weight && (source->bias_i32 || !op_operand(op, 2));
    if (known && !gives_sums(op)) args_int(args, "bounded", (is_words(op) ? pack_bounded_words : pack_bounded)(source, args));
}

// Arguments with the halo that the kernel wants, or padding by itself; `halo` is what the input needs then.
static const KernelInfo *conv_kernel(const Lower *lower, const Op *op, const char *family, int32_t halo[4], PackSource *source, KernelArgs *args) {
    KernelArgs padded;
    outside(op, halo);
    bool reaches = halo[0] | halo[1] | halo[2] | halo[3];
    conv_args(lower, op, family, halo, args);
    source_of(lower, op, args, source);
    bound(args, op, source);
    conv_args(lower, op, family, NULL, &padded);
    bound(&padded, op, source);
    if (reaches && choose_for(lower, op, args) == choose_for(lower, op, &padded)) {
        *args = padded;
        memset(halo, 0, 4 * sizeof *halo);
    }
    return choose_for(lower, op, args);
}

// Operands 0 to 3 of the call, the rest of its arguments, and its kernel.
static const KernelInfo *conv_buffers(Lower *lower, Op *op, const int32_t halo[4], const PackSource *source, Value *out, KernelArgs *args,
                                      Value **buffers) {
    bool use_halo = halo[0] | halo[1] | halo[2] | halo[3];
    Value *input = op_operand(op, 0), *in = use_halo ? operand_with_halo(lower, input, halo) : operand_in_arena(lower, input);
    args_int(args, "in_pixel", buffer_pixel(in->type));
    args_int(args, "out_pixel", buffer_pixel(out->type));
    args_int(args, "in_row", buffer_row(in->type));
    args_int(args, "in_image", buffer_image(in->type));
    args_int(args, "out_row", buffer_row(out->type));
    args_int(args, "out_image", buffer_image(out->type));
    buffers[0] = in;
    if (use_halo) {
        int64_t back = halo[0] * buffer_row(in->type) + halo[1] * buffer_pixel(in->type);
        buffers[0] = buffer_view(lower, in, in->type, -back * (elem_bits(in->type->elem) / 8));
    }
    split_by_channels(lower, op, args);
    const KernelInfo *kernel = choose_for(lower, op, args);
    constants(lower, op, kernel, source, args, buffers);
    return kernel;
}

// ---- a sum behind a convolution

// Will the value lie as the buffer does? Kernels of linear layers want both dense.
static bool lies_alike(Lower *lower, const Op *op, const Value *value, const Value *buffer) {
    if (op->kind == OP_linear && !buffer_is_dense(buffer)) return false;
    if (value->type->rank != 4) return true;
    const Layout layout = layout_of(lower, value);
    return !memcmp(layout.halo, buffer->type->halo, sizeof layout.halo) && layout.pixel == buffer_pixel(buffer->type);
}

// The add that alone uses the result of a convolution, or the sums of a linear layer.
static Op *add_behind(const Op *op) {
    const Value *result = &op->results[0];
    if (!gives_sums(op) && (op->kind == OP_linear || is_depthwise(op) || is_words(op))) return NULL;
    if (!result->type->quant || !has_constant_weights(op) || !value_has_one_use(result)) return NULL;
    Op *user = result->uses->owner;
    return user->kind == OP_add && user->results[0].type->quant ? user : NULL;
}

// A linear layer as a convolution of an image of as many pixels as it has rows, in rows that tiles of pixels hold; where sizes vary, of
// one pixel.
static void linear_image_args(const Lower *lower, const Op *op, KernelArgs *args) {
    const int64_t most = lower->context->bounded ? 1 : 14;
    linear_view linear = as_linear(op);
    const int64_t n = linear.weight->type->shape[0], k = linear.weight->type->shape[1];
    const int64_t rows = n ? type_elem_count(linear.output->type) / n : 0;
    int64_t width = rows < most ? rows : most;
    while (width > 1 && rows % width) width--;
    const int64_t height = width ? rows / width : 0;
    const struct { const char *name; int64_t value; } fields[] = {
        {"rows", height}, {"out_h", height}, {"out_w", width}, {"out_c", n}, {"out_pixel", n}, {"out_row", width * n}, {"out_image", rows * n},
        {"in_h", height}, {"in_w", width}, {"in_c", k}, {"in_pixel", k}, {"in_row", width * k}, {"in_image", rows * k}, {"kernel_h", 1},
        {"kernel_w", 1}, {"stride_h", 1}, {"stride_w", 1}, {"dilation_h", 1}, {"dilation_w", 1}, {"group", 1}, {"unrounded", 1}};
    args_begin(args, "conv2d_add");
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) args_int(args, fields[i].name, fields[i].value);
    activation_args(lower, args, op, linear.input);
}

static bool is_fast(const Lower *lower, const Op *op, const char *family) {
    int32_t halo[4];
    KernelArgs args;
    PackSource source;
    return strcmp(conv_kernel(lower, op, family, halo, &source, &args)->isa, "generic") != 0;
}

static void sum_of(const Lower *lower, const Op *add, KernelArgs *sum) {
    args_begin(sum, "binary");
    binary_i8_args(lower, add, sum);
    binary_fixed_args(sum);
}

// What the kernels of conv2d_add compute: a sum of rescaled distances, or any in integers.
static bool fits_store(const Lower *lower, const Op *add) {
    KernelArgs sum;
    if (!op_bool(add, "fused")) return true;
    sum_of(lower, add, &sum);
    return args_get(&sum, "op") == QN_ADD || args_get(&sum, "fixed_shift");
}

// The other operand of the add behind, where the add can be a part of the convolution's store: 8-bit, of the same shape,
// there already, and lying as the sum will; and no generic kernel takes a fast one's place.
static Value *summand_of(Lower *lower, Op *op) {
    Op *add = lower->context->watched ? NULL : add_behind(op);
    if (!add) return NULL;
    const Value *other = op_operand(add, op_operand(add, 0) == &op->results[0]);
    Value *buffer = lowered_get(lower, other)->buffer;
    if (!buffer || !other->type->quant || buffer->type->elem != stored_elem(lower, other->type)) return NULL;
    if (!type_same_shape(other->type, op->results[0].type) || !lies_alike(lower, op, &add->results[0], buffer)) return NULL;
    if (op->kind == OP_linear) return buffer;
    if (is_fast(lower, op, add_family_of(lower, op))) return fits_store(lower, add) ? buffer : NULL;
    return is_fast(lower, op, family_of(lower, op)) || op_bool(add, "fused") ? NULL : buffer;
}

static void unrounded_args(const Lower *lower, const Op *add, int own, KernelArgs *args) {
    KernelArgs sum;
    args_begin(&sum, "sums");
    sums_args(lower, add, own, &sum);
    args_int(args, "residual_zp", args_get(&sum, "b_zp"));
    args_int(args, "sum_zp", args_get(&sum, "out_zp"));
    args_int(args, "sum_lo", args_get(&sum, "lo"));
    args_int(args, "sum_hi", args_get(&sum, "hi"));
    args_float(args, "residual_multiplier", args_get_float(&sum, "b_multiplier"));
}

static void sum_args(const Lower *lower, const Op *add, int own, KernelArgs *args) {
    static const char *const from[2][3] = {{"a_zp", "a_multiplier", "fixed_a"}, {"b_zp", "b_multiplier", "fixed_b"}};
    static const char *const same[][2] = {{"out_zp", "sum_zp"}, {"lo", "sum_lo"}, {"hi", "sum_hi"}, {"fixed_start", "fixed_start"},
                                          {"fixed_shift", "fixed_shift"}};
    KernelArgs sum;
    if (gives_sums(op_operand(add, own)->def)) {
        unrounded_args(lower, add, own, args);
        return;
    }
    sum_of(lower, add, &sum);
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) args_int(args, same[i][1], args_get(&sum, same[i][0]));
    args_int(args, "residual_zp", args_get(&sum, from[!own][0]));
    args_float(args, "own_multiplier", args_get_float(&sum, from[own][1]));
    args_float(args, "residual_multiplier", args_get_float(&sum, from[!own][1]));
    args_int(args, "fixed_own", args_get(&sum, from[own][2]));
    args_int(args, "fixed_residual", args_get(&sum, from[!own][2]));
}

// Operands 0 to 3 of the call, its arguments but the sum's, and its kernel.
static const KernelInfo *conv2d_add_buffers(Lower *lower, Op *op, Value *out, KernelArgs *args, Value **buffers) {
    int32_t halo[4];
    PackSource source;
    if (op->kind == OP_conv2d) {
        conv_kernel(lower, op, add_family_of(lower, op), halo, &source, args);
        return conv_buffers(lower, op, halo, &source, out, args, buffers);
    }
    linear_image_args(lower, op, args);
    source_of(lower, op, args, &source);
    bound(args, op, &source);
    buffers[0] = operand_in_arena(lower, op_operand(op, 0));
    if (!buffer_is_dense(buffers[0])) buffers[0] = operand_dense(lower, op_operand(op, 0));
    split_by_channels(lower, op, args);
    const KernelInfo *kernel = choose_for(lower, op, args);
    constants(lower, op, kernel, &source, args, buffers);
    return kernel;
}

bool lower_conv2d_add(Lower *lower, Op *op) {
    int own = 0;
    while (own < 2 && !lowered_get(lower, op_operand(op, own))->summand) own++;
    if (own == 2) return false;
    KernelArgs args;
    Value *out = result_buffer(lower, &op->results[0]), *buffers[6];
    const KernelInfo *kernel = conv2d_add_buffers(lower, op_operand(op, own)->def, out, &args, buffers);
    sum_args(lower, op, own, &args);
    buffers[4] = lowered_get(lower, op_operand(op, own))->summand;
    buffers[5] = out;
    emit_call(lower, kernel, &args, 6, buffers);
    return true;
}

// Of the op, or of the dequantize behind it, whose name the layer then has.
static Value *result_of(Lower *lower, Op *op) {
    Op *floats = floats_behind(lower, op);
    if (floats) explain_part(lower->context, floats);
    if (floats && floats->results[0].name) lower->loc.name = floats->results[0].name;
    return result_buffer(lower, floats ? &floats->results[0] : &op->results[0]);
}

// Whether the add behind will be lowered together with the op.
static bool is_part_of_add(Lower *lower, Op *op) {
    Value *summand = summand_of(lower, op);
    if (!summand) return false;
    lowered_get(lower, &op->results[0])->summand = summand;
    explain_part(lower->context, op->results[0].uses->owner);
    return true;
}

void lower_conv2d(Lower *lower, Op *op) {
    int32_t halo[4];
    KernelArgs args;
    PackSource source;
    Value *buffers[5];
    if (is_part_of_add(lower, op)) return;
    conv_kernel(lower, op, family_of(lower, op), halo, &source, &args);
    buffers[4] = result_of(lower, op);
    const KernelInfo *kernel = conv_buffers(lower, op, halo, &source, buffers[4], &args, buffers);
    emit_call(lower, kernel, &args, 5, buffers);
}

void lower_linear(Lower *lower, Op *op) {
    if (is_part_of_add(lower, op)) return;
    linear_view linear = as_linear(op);
    int64_t n = linear.weight->type->shape[0], k = linear.weight->type->shape[1];
    KernelArgs args;
    PackSource source;
    args_begin(&args, "linear");
    args_int(&args, "rows", n ? type_elem_count(linear.output->type) / n : 0);
    args_int(&args, "k", k);
    args_int(&args, "n", n);
    args_int(&args, "a_row", k);
    args_int(&args, "out_row", n);
    activation_args(lower, &args, op, linear.input);
    source_of(lower, op, &args, &source);
    bound(&args, op, &source);
    Value *in = operand_in_arena(lower, linear.input), *buffers[5];
    if (!buffer_is_dense(in)) in = operand_dense(lower, linear.input);
    buffers[0] = in;
    split_by_channels(lower, op, &args);
    const KernelInfo *kernel = choose_for(lower, op, &args);
    constants(lower, op, kernel, &source, &args, buffers);
    buffers[4] = result_of(lower, op);
    if (!buffer_is_dense(buffers[4])) BUG("a halo around the result of linear");
    emit_call(lower, kernel, &args, 5, buffers);
}

// ---- matmul

// The batch dimensions of both operands (0 where one repeats), as few as they can be merged to.
static Walk batch_walk(const Type *a, const Type *b, const Type *out) {
    const Type *types[] = {a, b};
    Walk walk = {.rank = out->rank - 2, .count = 2};
    for (int i = 0; i < walk.rank; i++) walk.shape[i] = out->shape[i];
    for (int k = 0; k < 2; k++) {
        int64_t strides[MAX_RANK];
        buffer_strides(types[k], strides); // of a tensor: dense
        for (int i = 0; i < walk.rank; i++) {
            int own = i - (out->rank - types[k]->rank);
            walk.strides[k][i] = own < 0 || types[k]->shape[own] == 1 ? 0 : strides[own];
        }
    }
    walk_merge(&walk);
    return walk;
}

void lower_matmul(Lower *lower, Op *op) {
    matmul_view matmul = as_matmul(op);
    const Type *ta = matmul.a->type, *tb = matmul.b->type, *out = matmul.output->type;
    Walk walk = batch_walk(ta, tb, out);
    if (walk.rank > 4) {
        lower->failed = true;
        diag_error(lower->context->diag, op->loc, "nn.matmul over more than 4 batch dimensions that can't be merged is not supported; reshape them");
        return;
    }
    int64_t m = ta->shape[ta->rank - 2], k = ta->shape[ta->rank - 1], n = tb->shape[tb->rank - 1];
    int64_t batch[4] = {1, 1, 1, 1}, strides[2][4] = {{0}}, rows = m;
    for (int i = 0, to = 4 - walk.rank; i < walk.rank; i++, to++) {
        rows *= batch[to] = walk.shape[i];
        for (int j = 0; j < 2; j++) strides[j][to] = walk.strides[j][i];
    }
    Value *buffers[] = {operand_dense(lower, matmul.a), operand_dense(lower, matmul.b), result_buffer(lower, matmul.output)};
    KernelArgs args;
    args_begin(&args, "matmul");
    args_int(&args, "rows", rows);
    args_int(&args, "m", m);
    args_int(&args, "n", n);
    args_int(&args, "k", k);
    args_int(&args, "a_m", k);
    args_int(&args, "a_k", 1);
    args_int(&args, "b_k", n);
    args_int(&args, "b_n", 1);
    args_ints(&args, "batch", 4, batch);
    args_ints(&args, "a_batch", 4, strides[0]);
    args_ints(&args, "b_batch", 4, strides[1]);
    args_float(&args, "min", -INFINITY);
    args_float(&args, "max", INFINITY);
    if (out->quant) {
        args_int(&args, "a_zp", zero_of(matmul.a));
        args_int(&args, "b_zp", zero_of(matmul.b));
        args_int(&args, "out_zp", out->quant->zero_point[0]);
        args_int(&args, "lo", out->quant->storage_min);
        args_int(&args, "hi", out->quant->storage_max);
        args_int(&args, "flip", flip_of(lower, out));
        args_float(&args, "multiplier", product_multiplier(scale_of(matmul.a), scale_of(matmul.b), out->quant->scale[0]));
    }
    emit_kernel(lower, is_words(op) ? "s16s16" : operands_text(op), kind_text(out), &args, 3, buffers);
}
