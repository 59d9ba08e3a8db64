// The meaning of reductions, and of what runs along one axis: arg_max, cum_sum, top_k. Sums of floats are taken in double,
// those of integers wrap.
#include <math.h>
#include <string.h>

#include "ir/eval_common.h"

int64_t reduction_strides(const Op *op, const Type *in, int64_t *strides) {
    IntList axes = op_ints(op, "axes");
    bool reduced[MAX_RANK] = {0};
    int64_t stride = 1, reduced_count = 1;
    for (int i = 0; i < axes.count; i++) reduced[axes.data[i]] = true;
    for (int i = in->rank - 1; i >= 0; i--) {
        strides[i] = reduced[i] ? 0 : stride;
        if (reduced[i]) reduced_count *= in->shape[i];
        else stride *= in->shape[i];
    }
    return reduced_count;
}

bool eval_reduce_mean(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    const Tensor *input = operands[0];
    const Type *out = results[0]->type;
    int64_t strides[MAX_RANK], outs = type_elem_count(out);
    int64_t count = reduction_strides(op, input->type, strides);
    Arena *scratch = arena_new();
    const double *values = tensor_centered(scratch, input);
    double *sums = ARENA_ARRAY(scratch, double, outs);
    Walk walk;
    walk_begin(&walk, input->type->rank, input->type->shape);
    walk_add(&walk, 0, strides);
    for (int64_t i = 0; i < walk.count; i++, walk_next(&walk)) sums[walk.offset[0]] += values[i];
    Finish finish = finish_new(op, results[0], "none");
    bool is_float = elem_is_float(out->elem);
    if (out->quant) {
        float *m = ARENA_ARRAY(scratch, float, outs);
        for (int64_t i = 0; i < outs; i++)
            m[i] = mean_multiplier(input->type->quant->scale[0], out->quant->scale[0], count);
        finish.multiplier = m;
    } else
        for (int64_t i = 0; i < outs; i++)
            sums[i] = is_float ? sums[i] / (double)count : trunc(sums[i] / (double)count);
    bool done = finish_row(diag, &finish, sums, 0, outs);
    arena_free(scratch);
    return done;
}

// ---- other reductions

typedef struct {
    OpKind kind;
    Elem elem;
    const Tensor *input, *result;
    Walk walk;
    int64_t outs;
} Reduction;

static Reduction reduction_new(const Op *op, const Tensor *input, Tensor *result) {
    Reduction r = {.kind = op->kind, .elem = input->type->elem, .input = input, .result = result};
    int64_t strides[MAX_RANK];
    reduction_strides(op, input->type, strides);
    walk_begin(&r.walk, input->type->rank, input->type->shape);
    walk_add(&r.walk, 0, strides);
    r.outs = type_elem_count(result->type);
    return r;
}

static double start_f64(OpKind kind) {
    return kind == OP_reduce_max ? -INFINITY : kind == OP_reduce_min ? INFINITY : kind == OP_reduce_prod;
}

static double step_f64(OpKind kind, double so_far, double x, double shift) {
    switch (kind) {
    case OP_reduce_max: return x > so_far || isnan(x) ? x : so_far;
    case OP_reduce_min: return x < so_far || isnan(x) ? x : so_far;
    case OP_reduce_prod: return so_far * x;
    case OP_reduce_l1: return so_far + fabs(x);
    case OP_reduce_l2: case OP_reduce_sum_square: return so_far + x * x;
    case OP_reduce_log_sum_exp: return so_far + qn_exp_f64(x - shift);
    default: return so_far + x;
    }
}

static double end_f64(OpKind kind, double x, double shift) {
    switch (kind) {
    case OP_reduce_l2: return sqrt(x);
    case OP_reduce_log_sum: return qn_log_f64(x);
    case OP_reduce_log_sum_exp: return shift + qn_log_f64(x);
    default: return x;
    }
}

static double *reduced_f64(Arena *arena, Reduction r, OpKind kind, const double *values, const double *shifts) {
    double *results = ARENA_ARRAY(arena, double, r.outs);
    for (int64_t i = 0; i < r.outs; i++) results[i] = start_f64(kind);
    for (int64_t i = 0; i < r.walk.count; i++, walk_next(&r.walk)) {
        int64_t at = r.walk.offset[0];
        results[at] = step_f64(kind, results[at], values[i], shifts ? shifts[at] : 0);
    }
    return results;
}

// Also logarithms of integers, which truncate.
static void reduce_floats(const Reduction *r, Tensor *result) {
    Arena *scratch = arena_new();
    const double *values = tensor_doubles(scratch, r->input);
    double *shifts = NULL;
    if (r->kind == OP_reduce_log_sum_exp) {
        shifts = reduced_f64(scratch, *r, OP_reduce_max, values, NULL);
        for (int64_t i = 0; i < r->outs; i++)
            if (!isfinite(shifts[i])) shifts[i] = 0;
    }
    const double *results = reduced_f64(scratch, *r, r->kind, values, shifts);
    for (int64_t i = 0; i < r->outs; i++) {
        double end = end_f64(r->kind, results[i], shifts ? shifts[i] : 0);
        tensor_set_f64(result, i, elem_is_float(result->type->elem) ? end : trunc(end));
    }
    arena_free(scratch);
}

// The smallest or largest value of an element type.
static int64_t extreme_i64(Elem elem, bool largest) {
    int64_t low = INT64_MIN, high = INT64_MAX;
    if (elem == ELEM_U64) low = 0, high = -1;
    else if (elem != ELEM_I64) elem_range(elem, &low, &high);
    return largest ? high : low;
}

static int64_t step_i64(const Reduction *r, int64_t so_far, int64_t x) {
    uint64_t a = (uint64_t)so_far, b = (uint64_t)x, size = x < 0 && r->elem != ELEM_U64 ? 0 - b : b;
    bool less = r->elem == ELEM_U64 ? b < a : x < so_far;
    switch (r->kind) {
    case OP_reduce_max: return less ? so_far : x;
    case OP_reduce_min: return less ? x : so_far;
    case OP_reduce_prod: return (int64_t)(a * b);
    case OP_reduce_l1: return (int64_t)(a + size);
    case OP_reduce_l2: case OP_reduce_sum_square: return (int64_t)(a + b * b);
    default: return (int64_t)(a + b);
    }
}

static void reduce_integers(Reduction *r, Tensor *result) {
    Arena *scratch = arena_new();
    int64_t *results = ARENA_ARRAY(scratch, int64_t, r->outs);
    bool extremum = r->kind == OP_reduce_max || r->kind == OP_reduce_min;
    for (int64_t i = 0; i < r->outs; i++)
        results[i] = extremum ? extreme_i64(r->elem, r->kind == OP_reduce_min) : r->kind == OP_reduce_prod;
    for (int64_t i = 0; i < r->walk.count; i++, walk_next(&r->walk)) {
        int64_t *at = &results[r->walk.offset[0]];
        *at = step_i64(r, *at, tensor_i64(r->input, i));
    }
    for (int64_t i = 0; i < r->outs; i++)
        tensor_set_i64(result, i, r->kind == OP_reduce_l2 ? (int64_t)qn_sqrt_u64((uint64_t)results[i]) : results[i]);
    arena_free(scratch);
}

static bool reduce_quantized_sum(Diag *diag, const Op *op, Reduction *r, Tensor *result) {
    Arena *scratch = arena_new();
    const double *values = tensor_centered(scratch, r->input);
    double *sums = reduced_f64(scratch, *r, r->kind, values, NULL);
    Finish finish = finish_new(op, result, "none");
    float *m = ARENA_ARRAY(scratch, float, r->outs);
    for (int64_t i = 0; i < r->outs; i++) m[i] = rescale_multiplier(r->input->type->quant->scale[0], result->type->quant->scale[0]);
    finish.multiplier = m;
    bool done = finish_row(diag, &finish, sums, 0, r->outs);
    arena_free(scratch);
    return done;
}

static bool eval_reduce(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    Reduction r = reduction_new(op, operands[0], results[0]);
    if (operands[0]->type->quant && op->kind == OP_reduce_sum) return reduce_quantized_sum(diag, op, &r, results[0]);
    bool logarithm = op->kind == OP_reduce_log_sum || op->kind == OP_reduce_log_sum_exp;
    if (elem_is_float(r.elem) || logarithm) reduce_floats(&r, results[0]);
    else reduce_integers(&r, results[0]);
    return true;
}

#define REDUCE(name)                                                                                             \
    bool eval_##name(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {          \
        return eval_reduce(diag, op, operands, results);                                                         \
    }
REDUCE(reduce_sum)
REDUCE(reduce_max)
REDUCE(reduce_min)
REDUCE(reduce_prod)
REDUCE(reduce_l1)
REDUCE(reduce_l2)
REDUCE(reduce_sum_square)
REDUCE(reduce_log_sum)
REDUCE(reduce_log_sum_exp)

// ---- along one axis

// Does element `a` come before `b` in the order sought? Integers of 64 bits don't fit a double.
static bool is_beyond(const Tensor *tensor, int64_t a, int64_t b, bool largest) {
    if (elem_is_float(tensor->type->elem)) {
        double x = tensor_f64(tensor, a), y = tensor_f64(tensor, b);
        return largest ? x > y : x < y;
    }
    int64_t x = tensor_i64(tensor, a), y = tensor_i64(tensor, b);
    if (tensor->type->elem == ELEM_U64) return largest ? (uint64_t)x > (uint64_t)y : (uint64_t)x < (uint64_t)y;
    return largest ? x > y : x < y;
}

static bool eval_arg(const Op *op, const Tensor *input, Tensor *result) {
    AxisView view = axis_view(input->type, op_int(op, "axis"));
    bool last = op_bool(op, "last"), largest = op->kind == OP_arg_max;
    for (int64_t i = 0; i < view.outer * view.inner; i++) {
        int64_t first = i / view.inner * view.size * view.inner + i % view.inner, best = 0;
        for (int64_t k = 1; k < view.size; k++) {
            int64_t at = first + k * view.inner, best_at = first + best * view.inner;
            if (is_beyond(input, at, best_at, largest) || (last && !is_beyond(input, best_at, at, largest))) best = k;
        }
        tensor_set_i64(result, i, best);
    }
    return true;
}

bool eval_arg_max(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag;
    return eval_arg(op, operands[0], results[0]);
}

bool eval_arg_min(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag;
    return eval_arg(op, operands[0], results[0]);
}

static bool cumulate(const Op *op, const Tensor *input, Tensor *result) {
    AxisView view = axis_view(input->type, op_int(op, "axis"));
    bool is_float = elem_is_float(input->type->elem), product = op->kind == OP_cum_prod;
    bool reverse = op_bool(op, "reverse"), exclusive = op_bool(op, "exclusive");
    for (int64_t i = 0; i < view.outer * view.inner; i++) {
        int64_t first = i / view.inner * view.size * view.inner + i % view.inner;
        double real = product;
        uint64_t whole = product;
        for (int64_t k = 0; k < view.size; k++) {
            int64_t at = first + (reverse ? view.size - 1 - k : k) * view.inner;
            double before = real;
            uint64_t whole_before = whole;
            double x = is_float ? tensor_f64(input, at) : 0;
            uint64_t n = is_float ? 0 : (uint64_t)tensor_i64(input, at);
            real = product ? real * x : real + x;
            whole = product ? whole * n : whole + n;
            if (is_float) tensor_set_f64(result, at, exclusive ? before : real);
            else tensor_set_i64(result, at, (int64_t)(exclusive ? whole_before : whole));
        }
    }
    return true;
}

bool eval_cum_sum(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag;
    return cumulate(op, operands[0], results[0]);
}

bool eval_cum_prod(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag;
    return cumulate(op, operands[0], results[0]);
}

// ---- top_k

// Elements of one row, `stride` apart from `first` on, and how they are to be ordered.
typedef struct { const Tensor *tensor; int64_t first, stride; bool largest; } Ranking;

static bool ranks_before(const Ranking *r, int64_t a, int64_t b) {
    int64_t x = r->first + a * r->stride, y = r->first + b * r->stride;
    if (elem_is_float(r->tensor->type->elem)) {
        bool x_nan = isnan(tensor_f64(r->tensor, x)), y_nan = isnan(tensor_f64(r->tensor, y));
        if (x_nan != y_nan) return x_nan == r->largest;
    }
    if (is_beyond(r->tensor, x, y, r->largest)) return true;
    return !is_beyond(r->tensor, y, x, r->largest) && a < b;
}

// Merge sort of positions; `spare` has as much room.
static void sort_positions(const Ranking *r, int64_t *positions, int64_t count, int64_t *spare) {
    if (count < 2) return;
    int64_t half = count / 2, i = 0, j = half;
    sort_positions(r, positions, half, spare);
    sort_positions(r, positions + half, count - half, spare);
    for (int64_t k = 0; k < count; k++) {
        bool from_left = j == count || (i < half && ranks_before(r, positions[i], positions[j]));
        spare[k] = positions[from_left ? i++ : j++];
    }
    memcpy(positions, spare, sizeof *spare * (size_t)count);
}

bool eval_top_k(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag;
    top_k_view top = as_top_k(op);
    AxisView view = axis_view(operands[0]->type, top.axis);
    Arena *scratch = arena_new();
    int64_t *positions = ARENA_ARRAY(scratch, int64_t, view.size), *spare = ARENA_ARRAY(scratch, int64_t, view.size);
    for (int64_t i = 0; i < view.outer * view.inner; i++) {
        int64_t outer = i / view.inner, inner = i % view.inner;
        Ranking r = {operands[0], outer * view.size * view.inner + inner, view.inner, top.largest};
        for (int64_t k = 0; k < view.size; k++) positions[k] = k;
        sort_positions(&r, positions, view.size, spare);
        for (int64_t k = 0; k < top.k; k++) tensor_set_i64(results[0], (outer * top.k + k) * view.inner + inner, positions[k]);
    }
    arena_free(scratch);
    return true;
}
