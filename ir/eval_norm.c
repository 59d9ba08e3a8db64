// The meaning of normalizations.
#include <math.h>

#include "ir/eval_common.h"

AxisView axis_view(const Type *type, int64_t axis) {
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

// Elements that differ only in reduced axes share a mean; group: which mean an element belongs to.
static int64_t normalize_group(const Type *type, const bool *reduced, int64_t index) {
    int64_t group = 0, stride = 1;
    for (int i = type->rank - 1; i >= 0; index /= type->shape[i--])
        if (!reduced[i]) {
            group += index % type->shape[i] * stride;
            stride *= type->shape[i];
        }
    return group;
}

bool eval_normalize(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag;
    normalize_view normalize = as_normalize(op);
    const Type *type = operands[0]->type;
    bool reduced[MAX_RANK] = {false};
    int64_t count = type_elem_count(type), size = 1;
    for (int i = 0; i < normalize.axes.count; i++) {
        reduced[normalize.axes.data[i]] = true;
        size *= type->shape[normalize.axes.data[i]];
    }
    Arena *scratch = arena_new();
    const double *x = tensor_doubles(scratch, operands[0]);
    double *mean = ARENA_ARRAY(scratch, double, count), *variance = ARENA_ARRAY(scratch, double, count);
    for (int64_t i = 0; normalize.center && i < count; i++) mean[normalize_group(type, reduced, i)] += x[i] / (double)size;
    for (int64_t i = 0; i < count; i++) {
        int64_t group = normalize_group(type, reduced, i);
        variance[group] += (x[i] - mean[group]) * (x[i] - mean[group]) / (double)size;
    }
    for (int64_t i = 0; i < count; i++) {
        int64_t group = normalize_group(type, reduced, i);
        tensor_set_f64(results[0], i, (x[i] - mean[group]) / sqrt(variance[group] + normalize.epsilon));
    }
    arena_free(scratch);
    return true;
}

static void softmax_row(const double *values, Tensor *result, int64_t first, int64_t size, int64_t stride) {
    double max = -INFINITY, sum = 0;
    for (int64_t i = 0; i < size; i++) max = fmax(max, values[first + i * stride]);
    for (int64_t i = 0; i < size; i++) sum += qn_exp_f64(values[first + i * stride] - max);
    for (int64_t i = 0; i < size; i++) {
        int64_t at = first + i * stride;
        tensor_set_f64(result, at, qn_exp_f64(values[at] - max) / sum);
    }
}

// As softmax_row, in logarithms.
static void log_softmax_row(const double *values, Tensor *result, int64_t first, int64_t size, int64_t stride) {
    double max = -INFINITY, sum = 0;
    for (int64_t i = 0; i < size; i++) max = fmax(max, values[first + i * stride]);
    for (int64_t i = 0; i < size; i++) sum += qn_exp_f64(values[first + i * stride] - max);
    for (int64_t i = 0; i < size; i++) {
        int64_t at = first + i * stride;
        tensor_set_f64(result, at, values[at] - max - qn_log_f64(sum));
    }
}

static void hardmax_row(const double *values, Tensor *result, int64_t first, int64_t size, int64_t stride) {
    int64_t best = 0;
    for (int64_t i = 0; i < size; i++) {
        if (values[first + i * stride] > values[first + best * stride]) best = i;
        tensor_set_f64(result, first + i * stride, 0);
    }
    if (size) tensor_set_f64(result, first + best * stride, 1);
}

typedef void RowFn(const double *values, Tensor *result, int64_t first, int64_t size, int64_t stride);

static bool eval_rows(const Op *op, const Tensor *input, Tensor *result, RowFn *row) {
    AxisView view = axis_view(input->type, op_int(op, "axis"));
    Arena *scratch = arena_new();
    const double *values = tensor_doubles(scratch, input);
    for (int64_t o = 0; o < view.outer; o++)
        for (int64_t i = 0; i < view.inner; i++)
            row(values, result, o * view.size * view.inner + i, view.size, view.inner);
    arena_free(scratch);
    return true;
}

// ---- quantized softmax

void softmax_table(float scale, uint8_t out[SOFTMAX_TABLE_BYTES]) {
    for (int d = 0; d < 256; d++) {
        uint32_t units = (uint32_t)nearbyint(qn_exp_f64(-(double)d * scale) * (1 << SOFTMAX_BITS));
        for (int plane = 0; plane < 3; plane++) out[plane * 256 + d] = (uint8_t)(units >> (8 * plane));
    }
}

static int32_t table_units(const uint8_t *table, int64_t d) {
    return table[d] | table[256 + d] << 8 | table[512 + d] << 16;
}

// Sums are exact. One division a row.
static void quantized_softmax_row(const uint8_t *table, const Tensor *input, Tensor *result, int64_t first, int64_t size, int64_t stride) {
    const Quant *out = result->type->quant;
    int64_t max = INT8_MIN, sum = 0;
    for (int64_t i = 0; i < size; i++) {
        int64_t q = tensor_i64(input, first + i * stride);
        max = max > q ? max : q;
    }
    for (int64_t i = 0; i < size; i++) sum += table_units(table, max - tensor_i64(input, first + i * stride));
    const float multiplier = rescale_multiplier(1.0f, out->scale[0]) / (float)sum;
    for (int64_t i = 0; i < size; i++) {
        int64_t at = first + i * stride;
        int32_t units = table_units(table, max - tensor_i64(input, at));
        tensor_set_i64(result, at, qn_requantize(units, multiplier, out->zero_point[0], out->storage_min, out->storage_max));
    }
}

static bool eval_quantized_softmax(Diag *diag, const Op *op, const Tensor *input, Tensor *result) {
    if (input->type->elem != ELEM_I8 || result->type->elem != ELEM_I8)
        return eval_fail(diag, op, "operand and result are stored as %s and %s, expected i8",
                         elem_name(input->type->elem), elem_name(result->type->elem));
    AxisView view = axis_view(input->type, op_int(op, "axis"));
    uint8_t table[SOFTMAX_TABLE_BYTES];
    softmax_table(input->type->quant->scale[0], table);
    for (int64_t o = 0; o < view.outer; o++)
        for (int64_t i = 0; i < view.inner; i++)
            quantized_softmax_row(table, input, result, o * view.size * view.inner + i, view.size, view.inner);
    return true;
}

bool eval_softmax(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    if (results[0]->type->quant) return eval_quantized_softmax(diag, op, operands[0], results[0]);
    return eval_rows(op, operands[0], results[0], softmax_row);
}

bool eval_log_softmax(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag;
    return eval_rows(op, operands[0], results[0], log_softmax_row);
}

bool eval_hardmax(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag;
    return eval_rows(op, operands[0], results[0], hardmax_row);
}
