// The check ops of tests: they compare, and report the first element that differs.
#include <math.h>

#include "ir/eval_common.h"

// "[0, 2, 1]" of a linear index.
static const char *index_text(Arena *arena, const Type *type, int64_t index) {
    const char *text = "]";
    for (int i = type->rank - 1; i >= 0; i--) {
        text = arena_printf(arena, "%s%lld%s", i ? ", " : "", (long long)(index % type->shape[i]), text);
        index /= type->shape[i];
    }
    return arena_printf(arena, "[%s", text);
}

static bool check_types(Diag *diag, const Op *op, const Tensor *actual, const Tensor *expected) {
    if (type_same_shape(actual->type, expected->type) && actual->type->elem == expected->type->elem) return true;
    Arena *scratch = arena_new();
    eval_fail(diag, op, "actual is %s, expected %s", type_text(scratch, actual->type),
              type_text(scratch, expected->type));
    arena_free(scratch);
    return false;
}

static bool report(Diag *diag, const Op *op, const Tensor *actual, const Tensor *expected, int64_t index,
                   int64_t differing) {
    Arena *scratch = arena_new();
    const char *place = index_text(scratch, actual->type, index);
    if (elem_is_float(actual->type->elem))
        eval_fail(diag, op, "element %s is %.9g, expected %.9g (%lld of %lld elements differ)", place,
                  tensor_f64(actual, index), tensor_f64(expected, index), (long long)differing,
                  (long long)type_elem_count(actual->type));
    else
        eval_fail(diag, op, "element %s is %lld, expected %lld (%lld of %lld elements differ)", place,
                  (long long)tensor_i64(actual, index), (long long)tensor_i64(expected, index), (long long)differing,
                  (long long)type_elem_count(actual->type));
    arena_free(scratch);
    return false;
}

// Compares stored integers (zero points and scales are not looked at); NaN equals NaN, 0 equals -0.
bool eval_check_equal(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)results;
    const Tensor *actual = operands[0], *expected = operands[1];
    if (!check_types(diag, op, actual, expected)) return false;
    bool is_float = elem_is_float(actual->type->elem);
    int64_t count = type_elem_count(actual->type), differing = 0, first = 0;
    for (int64_t i = count - 1; i >= 0; i--) {
        double a = tensor_f64(actual, i), b = tensor_f64(expected, i);
        bool same = is_float ? a == b || (isnan(a) && isnan(b)) : tensor_i64(actual, i) == tensor_i64(expected, i);
        if (same) continue;
        differing++;
        first = i;
    }
    return !differing || report(diag, op, actual, expected, first, differing);
}

bool eval_check_close(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)results;
    const Tensor *actual = operands[0], *expected = operands[1];
    if (!check_types(diag, op, actual, expected)) return false;
    double largest = 1;
    int64_t count = type_elem_count(actual->type), differing = 0, first = 0;
    for (int64_t i = 0; i < count; i++) largest = fmax(largest, fabs(tensor_f64(expected, i)));
    double bound = as_check_close(op).tolerance * largest;
    for (int64_t i = count - 1; i >= 0; i--) {
        double a = tensor_f64(actual, i), b = tensor_f64(expected, i);
        if (a == b || fabs(a - b) <= bound || (isnan(a) && isnan(b))) continue;
        differing++;
        first = i;
    }
    return !differing || report(diag, op, actual, expected, first, differing);
}
