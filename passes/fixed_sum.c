// Quantized sums as integer arithmetic, proven by trying. In: the arguments of a quantized addition or subtraction. Out:
// factors, a start and a shift with which an integer expression gives the byte of rounding.h for each of the 65,536 pairs
// of bytes. Multipliers times a power of two are off by less than half a unit each, which only matters to sums that are
// nearly a tie: there are some two or three, and one unit more or less moves them.
#include "passes/fixed_sum.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "runtime/rounding.h"

enum { MAX_SHIFT = 22, MIN_SHIFT = 20, MAX_FACTOR = 1 << 22, TRIES = 2 };

typedef uint8_t Sums[256][256];

static void sums_compute(const struct qn_binary_args *args, Sums sums) {
    for (int a = 0; a < 256; a++)
        for (int b = 0; b < 256; b++) {
            const int32_t x = a - 128 - args->a_zp, y = b - 128 - args->b_zp;
            const float ma = args->a_multiplier, mb = args->op == QN_SUB ? -args->b_multiplier : args->b_multiplier;
            const int32_t q = args->op == QN_FUSED_ADD ? qn_fused_add(x, ma, y, mb, args->min, args->out_zp, args->lo, args->hi)
                                                       : qn_add(x, ma, y, mb, args->out_zp, args->lo, args->hi);
            sums[a][b] = (uint8_t)(q + 128);
        }
}

// Narrows *least and *most to the starts with which (start + a_part + b * factor_b) >> shift is right for every b; a sum
// at an end of the clamp may be beyond it.
static void starts_narrow(const struct qn_binary_args *args, const uint8_t sums[256], int64_t a_part, int64_t factor_b,
                          int shift, int64_t *least, int64_t *most) {
    for (int b = 0; b < 256; b++) {
        const int64_t low = ((int64_t)sums[b] << shift) - a_part - b * factor_b, high = low + (1 << shift) - 1;
        if (sums[b] > args->lo + 128 && low > *least) *least = low;
        if (sums[b] < args->hi + 128 && high < *most) *most = high;
    }
}

// No sum leaves 32 bits, also not with the factors' lowest 7 bits first: kernels multiply in two parts.
static bool fits(int64_t start, int64_t factor_a, int64_t factor_b) {
    for (int corner = 0; corner < 4; corner++) {
        const int64_t sum = start + (corner & 1 ? 255 * factor_a : 0) + (corner & 2 ? 255 * factor_b : 0);
        if (sum < INT32_MIN || sum > INT32_MAX) return false;
    }
    if (start > INT32_MAX - 2 * 127 * 255) return false;
    return llabs(factor_a) < MAX_FACTOR && llabs(factor_b) < MAX_FACTOR;
}

static bool factors_try(struct qn_binary_args *args, const Sums sums, int64_t factor_a, int64_t factor_b, int shift) {
    int64_t least = INT32_MIN, most = INT32_MAX;
    for (int a = 0; a < 256 && least <= most; a++)
        starts_narrow(args, sums[a], a * factor_a, factor_b, shift, &least, &most);
    const int64_t start = (least + most) / 2;
    if (least > most || !fits(start, factor_a, factor_b)) return false;
    args->fixed_a = (int32_t)factor_a;
    args->fixed_b = (int32_t)factor_b;
    args->fixed_start = (int32_t)start;
    args->fixed_shift = shift;
    return true;
}

static bool shift_try(struct qn_binary_args *args, const Sums sums, int shift) {
    const int64_t a = llrint(ldexp(args->a_multiplier, shift));
    const int64_t b = llrint(ldexp(args->op == QN_SUB ? -args->b_multiplier : args->b_multiplier, shift));
    if (a >= MAX_FACTOR || llabs(b) >= MAX_FACTOR) return false;
    for (int distance = 0; distance <= TRIES; distance++)
        for (int i = -distance; i <= distance; i++)
            for (int j = -distance; j <= distance; j++)
                if ((abs(i) == distance || abs(j) == distance) && factors_try(args, sums, a + i, b + j, shift)) return true;
    return false;
}

void fixed_sum_find(struct qn_binary_args *args) {
    Sums sums;
    args->fixed_a = args->fixed_b = args->fixed_start = args->fixed_shift = 0;
    if (args->op != QN_ADD && args->op != QN_SUB && args->op != QN_FUSED_ADD) return;
    if (!(args->a_multiplier < 4 && args->b_multiplier < 4)) return;
    sums_compute(args, sums);
    for (int shift = MAX_SHIFT; shift >= MIN_SHIFT; shift--)
        if (shift_try(args, sums, shift)) return;
}
