// Polynomials through numbers that are known at some sizes.
#pragma once
#include "ir/sizes.h"

enum { MAX_FIT_POINTS = 35 }; // of 4 sizes to the third power in all

typedef struct {
    int count; // of points, and of terms
    int32_t points[MAX_FIT_POINTS][MAX_SIZES];
    uint8_t powers[MAX_FIT_POINTS][MAX_SIZES];
    long double inverse[MAX_FIT_POINTS][MAX_FIT_POINTS]; // from values at the points to factors of scaled sizes
    double scale[MAX_SIZES];
} Fit;

// Where numbers must be known for sizes within `box`: few points, well inside where there is room.
void fit_points(Fit *fit, const Sizes *box);
// The expression that gives values[i] at point i, in `arena`; false if none with whole factors does.
bool fit_values(Arena *arena, const Fit *fit, const int64_t *values, SizeExpr *expr);
