// Ops that read or write elements by tables or computed indices, and normalization over several axes.
#include "ir/eval.h"
#include "passes/lower.h"

static int elem_bytes(const Value *buffer) { return elem_bits(buffer->type->elem) / 8; }

typedef struct { int64_t outer, size, inner; } AxisView;

static AxisView axis_view(const Type *type, int64_t first, int64_t last) {
    AxisView view = {1, 1, 1};
    for (int i = 0; i < type->rank; i++)
        *(i < first ? &view.outer : i <= last ? &view.size : &view.inner) *= type->shape[i];
    return view;
}

// A result that a kernel writes densely: the buffer itself, or one that dense_result_done copies from.
static Value *dense_result(Lower *lower, Value *value) {
    Value *buffer = result_buffer(lower, value);
    return buffer_is_dense(buffer) ? buffer : buffer_alloc(lower, value->type, NULL, NULL);
}

static void dense_result_done(Lower *lower, Value *value, Value *dense) {
    Value *buffer = result_buffer(lower, value);
    if (buffer == dense) return;
    const Type *types[] = {dense->type, buffer->type};
    Walk walk = walk_new(value->type, 2, types);
    emit_copy(lower, &walk, elem_bytes(buffer), 0, dense, buffer);
}

void lower_resample(Lower *lower, Op *op) {
    resample_view resample = as_resample(op);
    AxisView view = axis_view(resample.input->type, resample.axis, resample.axis);
    const Type *out = resample.output->type;
    KernelArgs args;
    args_begin(&args, "resample");
    args_int(&args, "rows", view.outer * out->shape[resample.axis]);
    args_int(&args, "size", view.size);
    args_int(&args, "count", out->shape[resample.axis]);
    args_int(&args, "taps", resample.indices->type->shape[1]);
    args_int(&args, "inner", view.inner);
    if (out->quant) {
        args_float(&args, "multiplier", rescale_multiplier(scale_of(resample.input), out->quant->scale[0]));
        args_int(&args, "in_zp", zero_of(resample.input));
        args_int(&args, "out_zp", out->quant->zero_point[0]);
        args_int(&args, "lo", out->quant->storage_min);
        args_int(&args, "hi", out->quant->storage_max);
        args_int(&args, "flip", lower->flip);
    }
    Value *result = dense_result(lower, resample.output);
    Value *buffers[] = {operand_dense(lower, resample.input), operand_dense(lower, resample.indices),
                        operand_dense(lower, resample.weights), result};
    emit_kernel(lower, kind_text(out), kind_text(out), &args, 4, buffers);
    dense_result_done(lower, resample.output, result);
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
