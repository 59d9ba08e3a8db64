// Gaussian elimination: the largest element of a column is its pivot; a row that is swapped changes its sign.
#include "runtime/kernel.h"

QN_INLINE float qn_eliminate_generic_abs(float x) { return x < 0 ? -x : x; }

QN_INLINE void qn_eliminate_generic_swap(float *row, float *pivot, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        const float x = row[i];
        row[i] = pivot[i];
        pivot[i] = -x;
    }
}

QN_KERNEL qn_eliminate_f32_f32__any__generic(const struct qn_eliminate_args *a, const void *input, void *output,
                                             int32_t begin, int32_t end) {
    const ptrdiff_t n = a->n;
    for (int32_t r = begin; r < end; r++) {
        const float *in = (const float *)input + r * n * n;
        float *m = (float *)output + r * n * n;
        for (ptrdiff_t i = 0; i < n * n; i++) m[i] = in[i];
        for (ptrdiff_t k = 0; k < n; k++) {
            ptrdiff_t pivot = k;
            for (ptrdiff_t i = k + 1; i < n; i++)
                if (qn_eliminate_generic_abs(m[i * n + k]) > qn_eliminate_generic_abs(m[pivot * n + k])) pivot = i;
            if (pivot != k) qn_eliminate_generic_swap(m + k * n, m + pivot * n, a->n);
            for (ptrdiff_t i = k + 1; i < n; i++) {
                const double factor = m[k * n + k] != 0 ? (double)m[i * n + k] / m[k * n + k] : 0;
                for (ptrdiff_t j = k; j < n; j++) m[i * n + j] = j == k ? 0 : (float)(m[i * n + j] - factor * m[k * n + j]);
            }
        }
    }
}
