// The meaning of normalizations.
#include <math.h>

#include "ir/eval_common.h"

// A tensor seen as [outer, size, inner] around one axis; -1 is the last.
typedef struct { int64_t outer, size, inner; } AxisView;

static AxisView axis_view(const Type *type, int64_t axis) {
    AxisView view = {1, 1, 1};
    if (axis == -1) axis = type->rank - 1;
    for (int i = 0; i < type->rank; i++)
        *(i < axis ? &view.outer : i == axis ? &view.size : &view.inner) *= type->shape[i];
    return view;
}

bool eval_batch_norm(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag;
    batch_norm_view norm = as_batch_norm(op);
    AxisView view = axis_view(operands[0]->type, norm.axis);
    int64_t count = view.outer * view.size * view.inner;
    for (int64_t i = 0; i < count; i++) {
        int64_t c = i / view.inner % view.size;
        double scale = tensor_f64(operands[1], c), bias = tensor_f64(operands[2], c);
        double mean = tensor_f64(operands[3], c), deviation = sqrt(tensor_f64(operands[4], c) + norm.epsilon);
        tensor_set_f64(results[0], i, scale * (tensor_f64(operands[0], i) - mean) / deviation + bias);
    }
    return true;
}

static void softmax_row(const double *values, Tensor *result, int64_t first, int64_t size, int64_t stride) {
    double max = -INFINITY, sum = 0;
    for (int64_t i = 0; i < size; i++) max = fmax(max, values[first + i * stride]);
    for (int64_t i = 0; i < size; i++) sum += exp_f64(values[first + i * stride] - max);
    for (int64_t i = 0; i < size; i++) {
        int64_t at = first + i * stride;
        tensor_set_f64(result, at, exp_f64(values[at] - max) / sum);
    }
}

bool eval_softmax(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag;
    AxisView view = axis_view(operands[0]->type, as_softmax(op).axis);
    Arena *scratch = arena_new();
    const double *values = tensor_doubles(scratch, operands[0]);
    for (int64_t o = 0; o < view.outer; o++)
        for (int64_t i = 0; i < view.inner; i++)
            softmax_row(values, results[0], o * view.size * view.inner + i, view.size, view.inner);
    arena_free(scratch);
    return true;
}
