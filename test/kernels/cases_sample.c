// Cases of the families that read signals and images at places or frequencies of their own.
#include <math.h>

#include "runtime/kernel_table.h"
#include "test/kernels/check.h"

// ---- dft

void case_dft(Test *test) {
    struct qn_dft_args a = {.length = random_int(test, 1, 60), .parts = random_int(test, 1, 2)};
    a.bins = random_int(test, 1, a.length);
    const int batch = random_int(test, 1, 4);
    const size_t in_elems = (size_t)batch * a.length * a.parts, out_elems = (size_t)batch * a.bins * 2;
    const float *x = random_floats(test, in_elems, -4, 4);
    double *roots = ARENA_ARRAY(test->arena, double, 2 * a.length);
    for (int i = 0; i < 2 * a.length; i++) roots[i] = random_float(test, -1, 1);
    const void *before = random_bytes(test, out_elems * 4);
    float *expected = copy_bytes(test, before, out_elems * 4), *bound = ARENA_ARRAY(test->arena, float, out_elems);
    a.rows = batch * a.bins;
    for (int r = 0; r < a.rows; r++) {
        double real = 0, imaginary = 0;
        for (int j = 0; j < a.length; j++) {
            const double *root = roots + 2 * ((int64_t)j * (r % a.bins) % a.length);
            const float *at = x + ((size_t)(r / a.bins) * a.length + j) * a.parts;
            real += at[0] * root[0] - (a.parts == 2 ? at[1] * root[1] : 0);
            imaginary += at[0] * root[1] + (a.parts == 2 ? at[1] * root[0] : 0);
        }
        expected[2 * r] = (float)real, expected[2 * r + 1] = (float)imaginary;
        for (int k = 0; k < 2; k++) bound[2 * r + k] = (float)(1.2e-7 * fabs(expected[2 * r + k]) + 1e-13);
    }
    check(test, &(Call){.args = &a, .input_count = 2, .expected = expected, .bound = bound,
                        .inputs = {memory_of(x, 4, in_elems, 0), memory_of(roots, 8, (size_t)a.length * 2, 0)},
                        .output = memory_of(before, 4, out_elems, 0)});
}
