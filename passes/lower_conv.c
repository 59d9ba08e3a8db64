// conv2d, linear and matmul: arguments, kernel, packed constants, halos.
#include <math.h>
#include <stdlib.h>

#include "passes/pack.h"
#include "ir/eval.h"
#include "passes/lower.h"

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

// Integer results: zero points and clamp.
static void clamp_args(const Lower *lower, KernelArgs *args, const Op *op, const Value *input) {
    int32_t lo, hi;
    const Quant *out = op->results[0].type->quant;
    activation_range(op_string(op, "activation"), out, &lo, &hi);
    args_int(args, "in_zp", zero_of(input));
    args_int(args, "out_zp", out->zero_point[0]);
    args_int(args, "lo", lo);
    args_int(args, "hi", hi);
    args_int(args, "flip", lower->flip);
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

static const char *operands_text(const Op *op) { return op->results[0].type->quant ? "s8s8" : "f32f32"; }

static bool has_constant_weights(const Op *op) {
    return value_constant(op_operand(op, 1)) && (!op_operand(op, 2) || value_constant(op_operand(op, 2)));
}

// Weights computed at run time can't be packed: only kernels that take them as they are. NULL: none has these arguments.
static const KernelInfo *find_for(const Lower *lower, const Op *op, const KernelArgs *args) {
    const char *only = has_constant_weights(op) ? lower->context->only_isa : "generic";
    return find_among(lower, only, operands_text(op), kind_text(op->results[0].type), args);
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

// Everything but the strides. `halo`: the border that the kernel may take as part of the input; NULL: it pads itself.
static void conv_args(const Lower *lower, const Op *op, const int32_t *halo, KernelArgs *args) {
    conv2d_view conv = as_conv2d(op);
    const int64_t *in = conv.input->type->shape, *w = conv.weight->type->shape, *out = conv.output->type->shape;
    static const int32_t none[4];
    const int32_t *h = halo ? halo : none;
    args_begin(args, is_depthwise(op) ? "depthwise" : "conv2d");
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
    // As if dense; set again when the buffers are known.
    args_int(args, "in_row", (in[2] + h[1] + h[3]) * in[3]);
    args_int(args, "in_image", (in[1] + h[0] + h[2]) * (in[2] + h[1] + h[3]) * in[3]);
    args_int(args, "out_row", out[2] * out[3]);
    args_int(args, "out_image", out[1] * out[2] * out[3]);
    if (is_depthwise(op)) prefer_groups(lower, op, args);
}

// Is it worth sharing a layer among threads by its output channels rather than by its rows alone? Each thread then reads
// a part of the weights, not all of them, and odd rows leave none idle. But it needs the input that other threads have in
// their caches, which costs more than weights from a cache that all share. For two threads, measured.
static bool channels_split_better(const Op *op, int64_t rows) {
    enum { WEIGHT_BYTES_PER_NS = 100, INPUT_BYTES_PER_NS = 7, MACS_PER_NS = 400, FLOAT_MACS_PER_NS = 60 };
    const Type *input = op_operand(op, 0)->type, *weight = op_operand(op, 1)->type, *out = op->results[0].type;
    const double bytes = elem_bits(input->elem) / 8, weights = (double)type_elem_count(weight);
    const double depth = weights / (double)weight->shape[0], outputs = (double)type_elem_count(out);
    const double windows = outputs / (double)weight->shape[0] * depth, elems = (double)type_elem_count(input);
    const double ns = outputs * depth / (out->quant ? MACS_PER_NS : FLOAT_MACS_PER_NS);
    const double idle = rows % 2 ? 0.5 / (double)rows : 0;
    return weights * bytes / WEIGHT_BYTES_PER_NS + ns * idle > fmin(windows, elems) * bytes / INPUT_BYTES_PER_NS;
}

// Only panels that the kernel computes at once, so that one thread loses nothing. Where sizes vary, the choice would, too.
static void split_by_channels(const Lower *lower, const Op *op, KernelArgs *args) {
    const int64_t rows = args_get(args, "rows"), channels = op_operand(op, 1)->type->shape[0];
    if (lower->context->bounded || !channels_split_better(op, rows)) return;
    const KernelInfo *kernel = choose_for(lower, op, args);
    for (int panel = 32; panel >= 16; panel -= 16) {
        KernelArgs split = *args;
        args_int(&split, "panel", panel);
        args_int(&split, "rows", rows * ((channels + panel - 1) / panel));
        if (find_for(lower, op, &split) == kernel) {
            *args = split;
            return;
        }
    }
}

void plan_conv2d_halo(Lower *lower, Op *op) {
    int32_t halo[4];
    outside(op, halo);
    if (!(halo[0] | halo[1] | halo[2] | halo[3])) return;
    KernelArgs with, without;
    conv_args(lower, op, halo, &with);
    conv_args(lower, op, NULL, &without);
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

static const float *multipliers(const Lower *lower, const Op *op, int64_t channels) {
    float *m = ARENA_ARRAY(lower->arena, float, channels);
    float s_x = scale_of(op_operand(op, 0)), s_y = op->results[0].type->quant->scale[0];
    for (int64_t c = 0; c < channels; c++) m[c] = product_multiplier(s_x, weight_scale(op_operand(op, 1), c), s_y);
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

// The kernel's constants: operands 1, 2 and 3 of its call.
static void constants(Lower *lower, const Op *op, const KernelInfo *kernel, const PackSource *source, Value **buffers) {
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
    if (known) args_int(args, "bounded", pack_bounded(source, args));
}

void lower_conv2d(Lower *lower, Op *op) {
    int32_t halo[4];
    KernelArgs args, padded;
    PackSource source;
    outside(op, halo);
    bool reaches = halo[0] | halo[1] | halo[2] | halo[3];
    conv_args(lower, op, halo, &args);
    source_of(lower, op, &args, &source);
    bound(&args, op, &source);
    conv_args(lower, op, NULL, &padded);
    bound(&padded, op, &source);
    if (reaches && choose_for(lower, op, &args) == choose_for(lower, op, &padded)) args = padded;
    Value *input = op_operand(op, 0), *in, *buffers[5];
    bool use_halo = reaches && !args_get(&args, "padded");
    in = use_halo ? operand_with_halo(lower, input, halo) : operand_in_arena(lower, input);
    Value *out = result_buffer(lower, &op->results[0]);
    args_int(&args, "in_row", buffer_row(in->type));
    args_int(&args, "in_image", buffer_image(in->type));
    args_int(&args, "out_row", buffer_row(out->type));
    args_int(&args, "out_image", buffer_image(out->type));
    buffers[0] = in;
    if (use_halo) {
        int64_t back = halo[0] * buffer_row(in->type) + halo[1] * in->type->shape[3];
        buffers[0] = buffer_view(lower, in, in->type, -back * (elem_bits(in->type->elem) / 8));
    }
    split_by_channels(lower, op, &args);
    const KernelInfo *kernel = choose_for(lower, op, &args);
    constants(lower, op, kernel, &source, buffers);
    buffers[4] = out;
    emit_call(lower, kernel, &args, 5, buffers);
}

void lower_linear(Lower *lower, Op *op) {
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
    constants(lower, op, kernel, &source, buffers);
    buffers[4] = result_buffer(lower, linear.output);
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
        args_int(&args, "flip", lower->flip);
        args_float(&args, "multiplier", product_multiplier(scale_of(matmul.a), scale_of(matmul.b), out->quant->scale[0]));
    }
    emit_kernel(lower, operands_text(op), kind_text(out), &args, 3, buffers);
}
