// Interpolation on a lattice: of each size a few values, and of their products those whose numbers add up to at most
// MAX_SIZE_POWER. On such points exactly one polynomial of that degree takes given values. It is solved for in floating
// point; factors are rounded to whole ones and the result is held against the values, so nothing inexact is ever returned.
#include "passes/fit.h"

#include <math.h>
#include <string.h>

enum { NODES = MAX_SIZE_POWER + 1 };

// The values of one size. What is special tends to be at the ends, so 1 and the largest are taken for want of others only.
static int choose_nodes(const Size *size, int32_t nodes[NODES]) {
    static const double places[NODES] = {0.1, 0.35, 0.6, 0.85};
    int64_t least = size->least, most = size->most;
    if (least == 1 && most > 1) least = 2;
    if (most - least >= NODES) most--;
    int64_t range = most - least + 1;
    int count = range < NODES ? (int)range : NODES;
    for (int i = 0; i < count; i++)
        nodes[i] = (int32_t)(range <= 2 * NODES ? least + i : least + (int64_t)(places[i] * (double)(range - 1)));
    return count;
}

static void add_points(Fit *fit, int size_count, int32_t nodes[][NODES], const int *counts, int size, int left, uint8_t *index) {
    if (size == size_count) {
        for (int i = 0; i < size_count; i++) fit->points[fit->count][i] = nodes[i][index[i]];
        memcpy(fit->powers[fit->count++], index, MAX_SIZES);
        return;
    }
    for (int i = 0; i < counts[size] && i <= left; i++) {
        index[size] = (uint8_t)i;
        add_points(fit, size_count, nodes, counts, size + 1, left - i, index);
    }
    index[size] = 0;
}

static long double term_value(const Fit *fit, int point, int term) {
    long double value = 1;
    for (int s = 0; s < MAX_SIZES; s++)
        for (int k = 0; k < fit->powers[term][s]; k++) value *= (long double)fit->points[point][s] / (long double)fit->scale[s];
    return value;
}

typedef long double Row[2 * MAX_FIT_POINTS];

static void eliminate(Row *rows, int count, int column) {
    int pivot = column;
    for (int i = column + 1; i < count; i++)
        if (fabsl(rows[i][column]) > fabsl(rows[pivot][column])) pivot = i;
    Row swapped;
    memcpy(swapped, rows[pivot], sizeof(Row));
    memcpy(rows[pivot], rows[column], sizeof(Row));
    long double top = swapped[column];
    for (int k = 0; k < 2 * count; k++) rows[column][k] = swapped[k] / top;
    for (int i = 0; i < count; i++) {
        long double factor = rows[i][column];
        for (int k = 0; i != column && factor != 0 && k < 2 * count; k++) rows[i][k] -= factor * rows[column][k];
    }
}

static void invert(Fit *fit) {
    Row rows[MAX_FIT_POINTS];
    for (int i = 0; i < fit->count; i++)
        for (int k = 0; k < fit->count; k++) {
            rows[i][k] = term_value(fit, i, k);
            rows[i][fit->count + k] = i == k;
        }
    for (int column = 0; column < fit->count; column++) eliminate(rows, fit->count, column);
    for (int i = 0; i < fit->count; i++) memcpy(fit->inverse[i], &rows[i][fit->count], sizeof(long double) * (size_t)fit->count);
}

void fit_points(Fit *fit, const Sizes *box) {
    int32_t nodes[MAX_SIZES][NODES];
    int counts[MAX_SIZES];
    uint8_t index[MAX_SIZES] = {0};
    memset(fit, 0, sizeof *fit);
    for (int i = 0; i < MAX_SIZES; i++) fit->scale[i] = 1;
    for (int i = 0; i < box->count; i++) {
        counts[i] = choose_nodes(&box->items[i], nodes[i]);
        fit->scale[i] = nodes[i][counts[i] - 1];
    }
    add_points(fit, box->count, nodes, counts, 0, MAX_SIZE_POWER, index);
    invert(fit);
}

static double unscaled(const Fit *fit, int term, long double factor) {
    for (int s = 0; s < MAX_SIZES; s++)
        for (int k = 0; k < fit->powers[term][s]; k++) factor /= (long double)fit->scale[s];
    return (double)roundl(factor);
}

bool fit_values(Arena *arena, const Fit *fit, const int64_t *values, SizeExpr *expr) {
    SizeTerm terms[MAX_FIT_POINTS];
    *expr = (SizeExpr){0, terms};
    for (int k = fit->count - 1; k >= 0; k--) { // the constant last
        long double factor = 0;
        for (int i = 0; i < fit->count; i++) factor += fit->inverse[k][i] * (long double)values[i];
        if (!(fabsl(factor) < 0x1p53L)) return false; // as the products of sizes are scaled, so is their sum
        double whole = unscaled(fit, k, factor);
        SizeTerm *term = &terms[expr->count];
        *term = (SizeTerm){.factor = (int64_t)whole};
        memcpy(term->power, fit->powers[k], MAX_SIZES);
        expr->count += whole != 0;
    }
    for (int i = 0; i < fit->count; i++)
        if (size_expr_at(expr, fit->points[i]) != values[i]) return false;
    expr->terms = arena_copy(arena, terms, sizeof *terms * (size_t)expr->count);
    return true;
}
