// pool2d, reduce_mean and softmax.
#include "ir/eval.h"
#include "passes/lower.h"

static void integer_args(const Lower *lower, KernelArgs *args, const Op *op) {
    const Quant *out = op->results[0].type->quant;
    if (!out) return;
    args_int(args, "in_zp", zero_of(op_operand(op, 0)));
    args_int(args, "out_zp", out->zero_point[0]);
    args_int(args, "lo", out->storage_min);
    args_int(args, "hi", out->storage_max);
    args_int(args, "flip", flip_of(lower, op->results[0].type));
}

// m for each count of elements, as an average needs it.
static Value *count_multipliers(Lower *lower, const Op *op, int64_t largest) {
    float *m = ARENA_ARRAY(lower->arena, float, largest + 1);
    float s_x = scale_of(op_operand(op, 0)), s_y = op->results[0].type->quant->scale[0];
    for (int64_t n = 1; n <= largest; n++) m[n] = mean_multiplier(s_x, s_y, n);
    return buffer_weights(lower, ELEM_F32, m, (size_t)(largest + 1) * 4, NULL);
}

void lower_pool2d(Lower *lower, Op *op) {
    bool average = op->kind == OP_avg_pool2d;
    IntList kernel = op_ints(op, "kernel"), strides = op_ints(op, "strides"), pads = op_ints(op, "pads");
    IntList dilations = op_ints(op, "dilations");
    Value *in = operand_any(lower, op_operand(op, 0)), *out = result_buffer(lower, &op->results[0]);
    const int64_t *x = in->type->shape, *y = out->type->shape;
    KernelArgs args;
    args_begin(&args, "pool2d");
    args_int(&args, "rows", y[0] * y[1]);
    args_int(&args, "mode", average ? QN_POOL_AVERAGE : QN_POOL_MAX);
    args_int(&args, "out_h", y[1]);
    args_int(&args, "out_w", y[2]);
    args_int(&args, "out_c", y[3]);
    args_int(&args, "out_pixel", buffer_pixel(out->type));
    args_int(&args, "out_row", buffer_row(out->type));
    args_int(&args, "out_image", buffer_image(out->type));
    args_int(&args, "in_h", x[1]);
    args_int(&args, "in_w", x[2]);
    args_int(&args, "in_c", x[3]);
    args_int(&args, "in_pixel", buffer_pixel(in->type));
    args_int(&args, "in_row", buffer_row(in->type));
    args_int(&args, "in_image", buffer_image(in->type));
    args_int(&args, "kernel_h", int_at(kernel, 0));
    args_int(&args, "kernel_w", int_at(kernel, 1));
    args_int(&args, "stride_h", int_at(strides, 0));
    args_int(&args, "stride_w", int_at(strides, 1));
    args_int(&args, "dilation_h", int_at(dilations, 0));
    args_int(&args, "dilation_w", int_at(dilations, 1));
    args_int(&args, "pad_top", int_at(pads, 0));
    args_int(&args, "pad_left", int_at(pads, 1));
    args_int(&args, "padded_h", x[1] + int_at(pads, 0) + int_at(pads, 2));
    args_int(&args, "padded_w", x[2] + int_at(pads, 1) + int_at(pads, 3));
    if (average) args_int(&args, "count_include_pad", op_bool(op, "count_include_pad"));
    integer_args(lower, &args, op);
    Value *multipliers = NULL;
    if (average && out->type->quant) multipliers = count_multipliers(lower, op, int_at(kernel, 0) * int_at(kernel, 1));
    Value *buffers[] = {in, multipliers, out};
    const char *text = kind_text(out->type);
    emit_kernel(lower, text, text, &args, 3, buffers);
}

// ---- reduce_mean

typedef struct { int64_t outer, r, s, inner, in_outer, in_r, in_s; } Reduction;

// [outer][r][s][inner] with the reduced axes in the middle, by the buffer's strides; false if they lie otherwise.
static bool reduction_of(const Type *type, IntList axes, Reduction *out) {
    int64_t strides[MAX_RANK];
    bool reduced[MAX_RANK] = {false};
    int first = type->rank, last = -1;
    buffer_strides(type, strides);
    for (int i = 0; i < axes.count; i++) {
        int axis = (int)axes.data[i];
        reduced[axis] = true;
        if (type->shape[axis] == 1) continue;
        first = axis < first ? axis : first;
        last = axis > last ? axis : last;
    }
    if (last < 0) first = last = (int)axes.data[0];
    *out = (Reduction){1, 1, 1, 1, 0, 0, 0};
    for (int i = 0; i < first; i++) out->outer *= type->shape[i];
    out->in_outer = first ? strides[first - 1] : 0;
    for (int i = 1; i < first; i++)
        if (strides[i - 1] != strides[i] * type->shape[i]) return false;
    for (int i = last + 1; i < type->rank; i++) out->inner *= type->shape[i];
    for (int i = last + 2; i < type->rank; i++)
        if (strides[i - 1] != strides[i] * type->shape[i]) return false;
    for (int i = first; i <= last; i++)
        if (!reduced[i] && type->shape[i] != 1) return false;
    if (last - first > 1) { // more than two: dense, and taken as one
        for (int i = first; i <= last; i++) out->s *= type->shape[i];
        out->in_s = strides[last];
        for (int i = first; i < last; i++)
            if (strides[i] != strides[i + 1] * type->shape[i + 1]) return false;
        return true;
    }
    out->r = last > first ? type->shape[first] : 1;
    out->in_r = last > first ? strides[first] : 0;
    out->s = type->shape[last];
    out->in_s = strides[last];
    return true;
}

// Reduced axes moved to the end, when they lie apart.
static Value *axes_to_the_end(Lower *lower, Value *in, const Type *tensor, IntList *axes) {
    int64_t shape[MAX_RANK], strides[MAX_RANK], *list = ARENA_ARRAY(lower->arena, int64_t, MAX_RANK);
    Walk walk = {.rank = tensor->rank, .count = 2};
    buffer_strides(in->type, strides);
    int to = 0, kept = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < tensor->rank; i++) {
            bool reduced = false;
            for (int k = 0; k < axes->count; k++) reduced = reduced || axes->data[k] == i;
            if (reduced != (pass == 1)) continue;
            if (reduced) list[to - kept] = to;
            else kept++;
            walk.shape[to] = shape[to] = tensor->shape[i];
            walk.strides[0][to++] = strides[i];
        }
    Value *copy = buffer_alloc(lower, type_with_shape(lower->arena, tensor, tensor->rank, shape), NULL, NULL);
    int64_t dense[MAX_RANK];
    buffer_strides(copy->type, dense);
    memcpy(walk.strides[1], dense, sizeof dense);
    emit_copy(lower, &walk, elem_bits(copy->type->elem) / 8, 0, in, copy);
    axes->data = list;
    return copy;
}

static int reduce_code(const Op *op) {
    switch (op->kind) {
    case OP_reduce_sum: return QN_REDUCE_SUM;
    case OP_reduce_max: return QN_REDUCE_MAX;
    case OP_reduce_min: return QN_REDUCE_MIN;
    case OP_reduce_prod: return QN_REDUCE_PROD;
    case OP_reduce_l1: return QN_REDUCE_L1;
    case OP_reduce_l2: return QN_REDUCE_L2;
    case OP_reduce_sum_square: return QN_REDUCE_SUM_SQUARE;
    case OP_reduce_log_sum: return QN_REDUCE_LOG_SUM;
    case OP_reduce_log_sum_exp: return QN_REDUCE_LOG_SUM_EXP;
    default: BUG("%s has no reduce kernel", op_info(op->kind)->full_name);
    }
}

// The reduction of `in` as arguments of family reduce_mean or reduce. A quantized sum is a mean with another multiplier.
static void reduction_args(Lower *lower, const Op *op, const Reduction *r, KernelArgs *args) {
    const Type *out = op->results[0].type;
    bool mean = op->kind == OP_reduce_mean || (op->kind == OP_reduce_sum && out->quant);
    args_begin(args, mean ? "reduce_mean" : "reduce");
    args_int(args, "rows", r->outer);
    args_int(args, "size_r", r->r);
    args_int(args, "size_s", r->s);
    args_int(args, "inner", r->inner);
    args_int(args, "in_outer", r->in_outer);
    args_int(args, "in_r", r->in_r);
    args_int(args, "in_s", r->in_s);
    args_int(args, "out_outer", r->inner);
    if (!mean) {
        args_int(args, "op", reduce_code(op));
        args_int(args, "flip", out->quant ? flip_of(lower, out) : 0);
        return;
    }
    integer_args(lower, args, op);
    if (!out->quant) return;
    args_int(args, "count", op->kind == OP_reduce_mean ? r->r * r->s : 1);
    args_float(args, "in_scale", scale_of(op_operand(op, 0)));
    args_float(args, "out_scale", out->quant->scale[0]);
}

// Reductions of f32, quantized and plain integer tensors over axes.
void lower_reduce(Lower *lower, Op *op) {
    Value *operand = op_operand(op, 0), *in = operand_any(lower, operand);
    IntList axes = op_ints(op, "axes");
    Reduction r = {1, 1, 1, type_elem_count(operand->type), 0, 0, 0};
    if (!axes.count) in = operand_dense(lower, operand); // each element by itself
    else if (!reduction_of(in->type, axes, &r)) {
        in = axes_to_the_end(lower, in, operand->type, &axes);
        BUG_UNLESS(reduction_of(in->type, axes, &r), "reduction of a transposed copy");
    }
    KernelArgs args;
    reduction_args(lower, op, &r, &args);
    const Type *out = op->results[0].type;
    const char *elem = kernel_elem(operand->type), *result = kernel_elem(out);
    if (!elem || !result || !has_kernel(lower, elem, result, &args)) {
        no_kernel(lower, op, operand->type);
        return;
    }
    Value *target = result_buffer(lower, &op->results[0]), *dense = target;
    if (!buffer_is_dense(target)) dense = buffer_alloc(lower, out, NULL, NULL);
    Value *buffers[] = {in, dense};
    emit_kernel(lower, elem, result, &args, 2, buffers);
    if (dense == target) return;
    const Type *types[] = {dense->type, target->type};
    Walk walk = walk_new(out, 2, types);
    emit_copy(lower, &walk, elem_bits(target->type->elem) / 8, 0, dense, target);
}

// ---- along one axis

static void along_args(KernelArgs *args, const char *family, const Type *type, int64_t axis) {
    int64_t inner = 1, outer = 1;
    if (axis < 0) axis += type->rank;
    for (int i = 0; i < type->rank; i++) {
        if (i < axis) outer *= type->shape[i];
        if (i > axis) inner *= type->shape[i];
    }
    args_begin(args, family);
    args_int(args, "rows", outer * inner);
    args_int(args, "size", type->shape[axis]);
    args_int(args, "inner", inner);
}

static void emit_along(Lower *lower, Op *op, const KernelArgs *args) {
    const Type *type = op_operand(op, 0)->type;
    const char *elem = kernel_elem(type), *result = kernel_elem(op->results[0].type);
    if (!elem || !result || !has_kernel(lower, elem, result, args)) {
        no_kernel(lower, op, type);
        return;
    }
    Value *buffers[] = {operand_dense(lower, op_operand(op, 0)), result_buffer(lower, &op->results[0])};
    emit_kernel(lower, elem, result, args, 2, buffers);
}

static void lower_softmax_table(Lower *lower, Op *op) {
    KernelArgs args;
    const Quant *in = op_operand(op, 0)->type->quant, *out = op->results[0].type->quant;
    along_args(&args, "softmax_table", op_operand(op, 0)->type, op_int(op, "axis"));
    args_float(&args, "multiplier", rescale_multiplier(1.0f, out->scale[0]));
    args_int(&args, "out_zp", out->zero_point[0]);
    args_int(&args, "lo", out->storage_min);
    args_int(&args, "hi", out->storage_max);
    args_int(&args, "flip", lower->flip);
    uint8_t *table = arena_alloc(lower->arena, SOFTMAX_TABLE_BYTES);
    softmax_table(in->scale[0], table);
    Value *buffers[] = {operand_dense(lower, op_operand(op, 0)), buffer_weights(lower, ELEM_U8, table, SOFTMAX_TABLE_BYTES, NULL),
                        result_buffer(lower, &op->results[0])};
    emit_kernel(lower, "s8", "s8", &args, 3, buffers);
}

void lower_softmax(Lower *lower, Op *op) {
    KernelArgs args;
    if (op->results[0].type->quant) {
        lower_softmax_table(lower, op);
        return;
    }
    along_args(&args, "softmax", op_operand(op, 0)->type, op_int(op, "axis"));
    args_int(&args, "op", op->kind == OP_softmax ? QN_SOFTMAX : op->kind == OP_hardmax ? QN_HARDMAX : QN_LOG_SOFTMAX);
    emit_along(lower, op, &args);
}

bool is_read_by_order(const Lower *lower, const Value *value) {
    enum { LARGEST_SCALE = 1 << 30 }; // far from where values of two integers would both be infinite
    const Op *op = value_def(value, OP_dequantize);
    const Quant *quant = op ? op_operand(op, 0)->type->quant : NULL;
    if (!quant || quant->axis >= 0 || elem_bits(quant->storage) != 8 || quant->scale[0] > LARGEST_SCALE || lower->context->watched) return false;
    FOR_EACH_USE((Value *)value, use)
        if (use->owner->kind != OP_arg_max && use->owner->kind != OP_arg_min) return false;
    return value->uses != NULL;
}

void lower_arg(Lower *lower, Op *op) {
    KernelArgs args;
    Value *input = op_operand(op, 0);
    along_args(&args, "arg", input->type, op_int(op, "axis"));
    args_int(&args, "op", op->kind == OP_arg_max ? QN_ARG_MAX : QN_ARG_MIN);
    args_int(&args, "last", op_bool(op, "last"));
    if (!is_read_by_order(lower, input)) {
        emit_along(lower, op, &args);
        return;
    }
    Value *bytes = operand_dense(lower, op_operand(input->def, 0)), *buffers[] = {bytes, result_buffer(lower, &op->results[0])};
    emit_kernel(lower, bytes->type->elem == ELEM_U8 ? "u8" : "i8", "i64", &args, 2, buffers);
}

void lower_cum_sum(Lower *lower, Op *op) { // cum_sum, cum_prod
    KernelArgs args;
    along_args(&args, "cum_sum", op_operand(op, 0)->type, op_int(op, "axis"));
    args_int(&args, "product", op->kind == OP_cum_prod);
    args_int(&args, "exclusive", op_bool(op, "exclusive"));
    args_int(&args, "reverse", op_bool(op, "reverse"));
    emit_along(lower, op, &args);
}

void lower_top_k(Lower *lower, Op *op) {
    KernelArgs args;
    along_args(&args, "top_k", op_operand(op, 0)->type, as_top_k(op).axis);
    args_int(&args, "smallest", !as_top_k(op).largest);
    args_int(&args, "k", as_top_k(op).k);
    emit_along(lower, op, &args);
}
