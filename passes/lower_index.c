// Ops that read or write elements by tables or computed indices, and normalization over several axes.
#include <string.h>

#include "ir/eval.h"
#include "passes/lower.h"
#include "passes/pack_resample.h"

static int elem_bytes(const Value *buffer) { return elem_bits(buffer->type->elem) / 8; }

typedef struct { int64_t outer, size, inner; } AxisView;

static AxisView axis_view(const Type *type, int64_t first, int64_t last) {
    AxisView view = {1, 1, 1};
    for (int i = 0; i < type->rank; i++)
        *(i < first ? &view.outer : i <= last ? &view.size : &view.inner) *= type->shape[i];
    return view;
}

Value *dense_result(Lower *lower, Value *value) {
    Value *buffer = result_buffer(lower, value);
    return buffer_is_dense(buffer) ? buffer : buffer_alloc(lower, value->type, NULL, NULL);
}

void dense_result_done(Lower *lower, Value *value, Value *dense) {
    Value *buffer = result_buffer(lower, value);
    if (buffer == dense) return;
    const Type *types[] = {dense->type, buffer->type};
    Walk walk = walk_new(value->type, 2, types);
    emit_copy(lower, &walk, elem_bytes(buffer), 0, dense, buffer);
}

// Constant taps along rows of pixels, as a kernel wants them that the target has; false: there is none, or they are other ones.
static bool packed_taps(Lower *lower, const Op *op, KernelArgs *args, Value **buffers) {
    const Dense *indices = value_constant(op_operand(op, 1)), *weights = value_constant(op_operand(op, 2));
    PackedBlocks blocks;
    if (!indices || !weights || args_get(args, "inner") > 4) return false;
    args_int(args, "packed", 1);
    if (!has_kernel(lower, "u8", "u8", args) ||
        !pack_resample(lower->arena, args_get(args, "size"), args_get(args, "count"), args_get(args, "taps"), args_get(args, "inner"), indices->data,
                       weights->data, &blocks)) {
        args_int(args, "packed", 0);
        return false;
    }
    args_int(args, "packed", blocks.count);
    buffers[1] = buffer_weights(lower, ELEM_I32, blocks.headers, blocks.header_bytes, NULL);
    buffers[2] = buffer_weights(lower, ELEM_U8, blocks.tables, blocks.table_bytes, NULL);
    return true;
}

static void lower_resampled(Lower *lower, Op *op, int64_t axis, const char *elem) {
    Value *input = op_operand(op, 0), *indices = op_operand(op, 1), *output = &op->results[0];
    AxisView view = axis_view(input->type, axis, axis);
    const Type *out = output->type;
    KernelArgs args;
    args_begin(&args, "resample");
    args_int(&args, "rows", view.outer * out->shape[axis]);
    args_int(&args, "size", view.size);
    args_int(&args, "count", out->shape[axis]);
    args_int(&args, "taps", indices->type->shape[1]);
    args_int(&args, "inner", view.inner);
    if (out->quant) {
        args_float(&args, "multiplier", rescale_multiplier(scale_of(input), out->quant->scale[0]));
        args_int(&args, "in_zp", zero_of(input));
        args_int(&args, "out_zp", out->quant->zero_point[0]);
        args_int(&args, "lo", out->quant->storage_min);
        args_int(&args, "hi", out->quant->storage_max);
        args_int(&args, "flip", flip_of(lower, out));
    }
    Value *result = dense_result(lower, output), *buffers[4] = {operand_dense(lower, input)};
    const bool packed = !out->quant && !strcmp(elem, "u8") && packed_taps(lower, op, &args, buffers);
    for (int i = 1; i < 3 && !packed; i++) buffers[i] = operand_dense(lower, op_operand(op, i));
    buffers[3] = result;
    emit_kernel(lower, elem, elem, &args, 4, buffers);
    dense_result_done(lower, output, result);
}

void lower_resample(Lower *lower, Op *op) {
    lower_resampled(lower, op, as_resample(op).axis, kind_text(op->results[0].type));
}

void lower_resample_u8(Lower *lower, Op *op) {
    lower_resampled(lower, op, as_resample_u8(op).axis, "u8");
}

// An image's rows, or, of another rank, pixels one below the other.
void lower_lookup(Lower *lower, Op *op) {
    lookup_view lookup = as_lookup(op);
    const Type *in = lookup.input->type, *out = result_buffer(lower, lookup.output)->type;
    bool image = out->rank == 4;
    int64_t in_c = in->shape[in->rank - 1], out_c = out->shape[out->rank - 1];
    int64_t pixels = in_c ? type_elem_count(in) / in_c : 0, width = image ? out->shape[2] : 1;
    KernelArgs args;
    args_begin(&args, "lookup");
    args_int(&args, "rows", width ? pixels / width : 0);
    args_int(&args, "in_c", in_c);
    args_int(&args, "out_h", image ? out->shape[1] : pixels);
    args_int(&args, "out_w", width);
    args_int(&args, "out_c", out_c);
    args_int(&args, "out_pixel", image ? buffer_pixel(out) : out_c);
    args_int(&args, "out_row", image ? buffer_row(out) : out_c);
    args_int(&args, "out_image", image ? buffer_image(out) : pixels * out_c);
    args_int(&args, "elem_bytes", elem_bytes(result_buffer(lower, lookup.output)));
    Value *buffers[] = {operand_dense(lower, lookup.input), operand_dense(lower, lookup.table), operand_dense(lower, lookup.channels),
                        result_buffer(lower, lookup.output)};
    emit_kernel(lower, "any", "any", &args, 4, buffers);
}

// Axes side by side are one dimension of [outer, size, inner]; dimensions of 1 between them don't matter.
static bool are_adjacent(const Type *type, IntList axes) {
    for (int i = 1; i < axes.count; i++)
        for (int64_t k = axes.data[i - 1] + 1; k < axes.data[i]; k++)
            if (type->shape[k] != 1) return false;
    return true;
}

void lower_normalize(Lower *lower, Op *op) {
    normalize_view normalize = as_normalize(op);
    const Type *type = normalize.input->type;
    if (!are_adjacent(type, normalize.axes)) {
        lower->failed = true;
        diag_error(lower->context->diag, op->loc, "nn.normalize over axes that are not side by side has no kernel; transpose first");
        return;
    }
    AxisView view = axis_view(type, normalize.axes.data[0], normalize.axes.data[normalize.axes.count - 1]);
    KernelArgs args;
    args_begin(&args, "normalize");
    args_int(&args, "rows", view.outer * view.inner);
    args_int(&args, "size", view.size);
    args_int(&args, "inner", view.inner);
    args_int(&args, "center", normalize.center);
    args_float(&args, "epsilon", (float)normalize.epsilon);
    Value *result = dense_result(lower, normalize.output);
    Value *buffers[] = {operand_dense(lower, normalize.input), result};
    emit_kernel(lower, "f32", "f32", &args, 2, buffers);
    dense_result_done(lower, normalize.output, result);
}

// ---- gather and scatter by tuples of indices

// A gather or scatter for its family's arguments: the walk over tuples, and what each of their indices counts.
typedef struct {
    Walk walk; // strides of the indexed tensor
    int depth;
    int64_t dims[MAX_RANK], strides[MAX_RANK], inner;
} Tuples;

// One index an element, along `axis`; in the other dimensions elements stay where they are.
static Tuples tuples_along(const Type *type, const Type *indices, int64_t axis) {
    Tuples tuples = {.walk = {.rank = type->rank, .count = 1}, .depth = 1, .inner = 1};
    buffer_strides(type, tuples.walk.strides[0]);
    memcpy(tuples.walk.shape, indices->shape, sizeof(int64_t) * (size_t)type->rank);
    tuples.dims[0] = type->shape[axis];
    tuples.strides[0] = tuples.walk.strides[0][axis];
    tuples.walk.strides[0][axis] = 0;
    return tuples;
}

// The last dimension of the indices holds as many indices as dimensions are looked up, after `batch` that go together.
static Tuples tuples_of(const Type *type, const Type *indices, int64_t batch) {
    int rank = indices->rank - 1;
    Tuples tuples = {.walk = {.rank = rank ? rank : 1, .count = 1, .shape = {1}}, .depth = (int)indices->shape[rank], .inner = 1};
    int64_t strides[MAX_RANK];
    buffer_strides(type, strides);
    for (int i = 0; i < rank; i++) {
        tuples.walk.shape[i] = indices->shape[i];
        tuples.walk.strides[0][i] = i < batch ? strides[i] : 0;
    }
    for (int i = 0; i < tuples.depth; i++) {
        tuples.dims[i] = type->shape[batch + i];
        tuples.strides[i] = strides[batch + i];
    }
    for (int64_t i = batch + tuples.depth; i < type->rank; i++) tuples.inner *= type->shape[i];
    return tuples;
}

static bool tuples_args(Lower *lower, const Op *op, const Tuples *tuples, const Type *type, KernelArgs *args, const char *strides) {
    if (!walk_args(&tuples->walk, args, &strides)) {
        lower->failed = true;
        return diag_error(lower->context->diag, op->loc, "%s over more than 5 dimensions that can't be joined has no kernel",
                          op_info(op->kind)->full_name);
    }
    args_int(args, "depth", tuples->depth);
    args_ints(args, "dims", MAX_RANK, tuples->dims);
    args_ints(args, "strides", MAX_RANK, tuples->strides);
    args_int(args, "inner", tuples->inner);
    args_int(args, "elem_bytes", elem_bits(type->elem) / 8);
    args_int(args, "index_bytes", elem_bits(op_operand(op, 1)->type->elem) / 8);
    return true;
}

void lower_gather_nd(Lower *lower, Op *op) { // gather_elements, gather_nd
    Value *in = operand_dense(lower, op_operand(op, 0)), *indices = operand_dense(lower, op_operand(op, 1));
    Tuples tuples = op->kind == OP_gather_nd ? tuples_of(in->type, indices->type, as_gather_nd(op).batch_dims)
                                             : tuples_along(in->type, indices->type, as_gather_elements(op).axis);
    KernelArgs args;
    args_begin(&args, "gather_nd");
    if (!tuples_args(lower, op, &tuples, in->type, &args, "in")) return;
    Value *result = dense_result(lower, &op->results[0]), *buffers[] = {in, indices, result};
    emit_kernel(lower, "any", "any", &args, 3, buffers);
    dense_result_done(lower, &op->results[0], result);
}

static int scatter_code(const char *reduction) {
    static const char *const names[] = {[QN_SCATTER_SET] = "none", [QN_SCATTER_ADD] = "add", [QN_SCATTER_MUL] = "mul",
                                        [QN_SCATTER_MIN] = "min", [QN_SCATTER_MAX] = "max"};
    int code = QN_SCATTER_SET;
    while (strcmp(names[code], reduction)) code++; // shape inference has made sure that it is one of them
    return code;
}

void lower_scatter_nd(Lower *lower, Op *op) { // scatter_elements, scatter_nd
    Value *indices = operand_dense(lower, op_operand(op, 1)), *updates = operand_dense(lower, op_operand(op, 2));
    Value *in = operand_any(lower, op_operand(op, 0)), *result = dense_result(lower, &op->results[0]);
    const Type *type = op->results[0].type, *copied[] = {in->type, result->type};
    Walk whole = walk_new(type, 2, copied);
    emit_copy(lower, &whole, elem_bytes(result), 0, in, result);
    int code = scatter_code(op_string(op, "reduction"));
    const char *elem = code == QN_SCATTER_SET ? "any" : kernel_elem(type);
    Tuples tuples = op->kind == OP_scatter_nd ? tuples_of(result->type, indices->type, 0)
                                              : tuples_along(result->type, indices->type, as_scatter_elements(op).axis);
    KernelArgs args;
    args_begin(&args, "scatter_nd");
    if (type_elem_count(indices->type) && tuples_args(lower, op, &tuples, result->type, &args, "out")) {
        args_int(&args, "rows", 1);
        args_int(&args, "op", code);
        Value *buffers[] = {indices, updates, result};
        if (elem && has_kernel(lower, elem, elem, &args)) emit_kernel(lower, elem, elem, &args, 3, buffers);
        else no_kernel(lower, op, type);
    }
    dense_result_done(lower, &op->results[0], result);
}
