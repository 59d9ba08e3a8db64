// Paired differences over samples are compared with Student's t.
#include "quant/race.h"

#include <math.h>
#include <stddef.h>

enum { FIRST = 8 };

int race_stages(int count, int stages[MAX_STAGES]) {
    int made = 0;
    for (int at = FIRST; at < count - at / 4 && made < MAX_STAGES - 1; at *= 2) stages[made++] = at;
    stages[made++] = count;
    return made;
}

Mean mean_of_differences(const double *a, const double *b, int count) {
    double sum = 0, squares = 0;
    for (int i = 0; i < count; i++) sum += b ? a[i] - b[i] : a[i];
    const double mean = count ? sum / count : 0;
    for (int i = 0; i < count; i++) {
        const double off = (b ? a[i] - b[i] : a[i]) - mean;
        squares += off * off;
    }
    return (Mean){mean, count > 1 ? sqrt(squares / (count - 1) / count) : INFINITY};
}

Mean mean_of(const double *values, int count) { return mean_of_differences(values, NULL, count); }

// 97.5 % quantiles; beyond the table Hill's expansion around the normal one.
double race_bound(int count) {
    static const double quantiles[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228};
    const int freedom = count - 1, known = (int)(sizeof quantiles / sizeof *quantiles);
    if (freedom < 1) return INFINITY;
    if (freedom <= known) return quantiles[freedom - 1];
    const double z = 1.95996, n = freedom;
    return z + (z * z * z + z) / (4 * n) + (5 * pow(z, 5) + 16 * pow(z, 3) + 3 * z) / (96 * n * n);
}

bool race_is_clear(Mean difference, int count) {
    return difference.mean > 0 && difference.mean > race_bound(count) * difference.error;
}
