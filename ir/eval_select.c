// The meaning of ops that choose elements by their values.
#include <math.h>
#include <stdlib.h>

#include "ir/eval_common.h"

bool eval_true_indices(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag;
    int64_t count = type_elem_count(operands[0]->type), found = 0;
    for (int64_t i = 0; i < count; i++)
        if (tensor_i64(operands[0], i)) tensor_set_i64(results[0], found++, i);
    while (found < count) tensor_set_i64(results[0], found++, as_true_indices(op).rest);
    return true;
}

// ---- arg_sort

typedef struct { const Tensor *input; int64_t at, width, index; bool descending; } Tuple; // at: its first element

// -1, 0 or 1; NaN is the largest number.
static int compare_elems(const Tensor *tensor, int64_t i, int64_t j) {
    if (elem_is_float(tensor->type->elem)) {
        double x = tensor_f64(tensor, i), y = tensor_f64(tensor, j);
        if (isnan(x) || isnan(y)) return isnan(x) - isnan(y);
        return (x > y) - (x < y);
    }
    int64_t x = tensor_i64(tensor, i), y = tensor_i64(tensor, j);
    if (tensor->type->elem == ELEM_U64) return ((uint64_t)x > (uint64_t)y) - ((uint64_t)x < (uint64_t)y);
    return (x > y) - (x < y);
}

static int compare_tuples(const void *a, const void *b) {
    const Tuple *x = a, *y = b;
    for (int64_t k = 0; k < x->width; k++) {
        int order = compare_elems(x->input, x->at + k, y->at + k);
        if (order) return x->descending ? -order : order;
    }
    return (x->index > y->index) - (x->index < y->index);
}

bool eval_arg_sort(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag;
    const int64_t *shape = operands[0]->type->shape;
    Arena *scratch = arena_new();
    Tuple *tuples = ARENA_ARRAY(scratch, Tuple, shape[1] + 1);
    for (int64_t b = 0; b < shape[0]; b++) {
        for (int64_t i = 0; i < shape[1]; i++)
            tuples[i] = (Tuple){operands[0], (b * shape[1] + i) * shape[2], shape[2], i, as_arg_sort(op).descending};
        qsort(tuples, (size_t)shape[1], sizeof *tuples, compare_tuples);
        for (int64_t i = 0; i < shape[1]; i++) tensor_set_i64(results[0], b * shape[1] + i, tuples[i].index);
    }
    arena_free(scratch);
    return true;
}

// ---- non_max_suppression: in single precision, so that the choice is that of every kernel

// One side of box `p`: [low, high] of dimension `i`.
static void box_side(const float *p, int i, bool center, float *low, float *high) {
    float half = p[2 + i] / 2.0f;
    *low = center ? p[i] - half : p[i];
    *high = center ? p[i] + half : p[2 + i];
    if (center || *low <= *high) return;
    float swapped = *low;
    *low = *high, *high = swapped;
}

static bool boxes_overlap(const float *p, const float *q, bool center, float threshold) {
    float common = 1, area_p = 1, area_q = 1;
    for (int i = 0; i < 2; i++) {
        float p_low, p_high, q_low, q_high;
        box_side(p, i, center, &p_low, &p_high);
        box_side(q, i, center, &q_low, &q_high);
        float low = p_low > q_low ? p_low : q_low, high = p_high < q_high ? p_high : q_high;
        if (!(high > low)) return false;
        common *= high - low;
        area_p *= p_high - p_low;
        area_q *= q_high - q_low;
    }
    float total = area_p + area_q, joined = total - common;
    if (!(common > 0 && area_p > 0 && area_q > 0 && joined > 0)) return false;
    return common / joined > threshold;
}

static void choose_boxes(const non_max_suppression_view *nms, const float *boxes, const float *scores, const Tensor *order,
                         int64_t row, Tensor *result) {
    int64_t count = nms->boxes->type->shape[1], found = 0, out = row * nms->most;
    for (int64_t i = 0; i < count && found < nms->most; i++) {
        int64_t at = tensor_i64(order, row * count + i);
        bool keep = at >= 0 && at < count && scores[at] > (float)nms->score_threshold;
        for (int64_t k = 0; k < found && keep; k++)
            keep = !boxes_overlap(boxes + 4 * at, boxes + 4 * tensor_i64(result, out + k), nms->center, (float)nms->iou_threshold);
        if (keep) tensor_set_i64(result, out + found++, at);
    }
    while (found < nms->most) tensor_set_i64(result, out + found++, -1);
}

bool eval_non_max_suppression(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag;
    non_max_suppression_view nms = as_non_max_suppression(op);
    const int64_t *shape = operands[1]->type->shape;
    for (int64_t row = 0; row < shape[0] * shape[1]; row++)
        choose_boxes(&nms, (const float *)operands[0]->data + row / shape[1] * shape[2] * 4,
                     (const float *)operands[1]->data + row * shape[2], operands[2], row, results[0]);
    return true;
}
