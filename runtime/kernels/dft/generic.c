// Sums of a signal times powers of a root of unity, in double: the cancellation of what other frequencies bring is what
// a transform is for. The powers go round in a table.
#include "runtime/kernel.h"

QN_KERNEL qn_dft_f32_f32__any__generic(const struct qn_dft_args *a, const void *input, const void *roots, void *output,
                                       int32_t begin, int32_t end) {
    for (int32_t r = begin; r < end; r++) {
        const float *in = (const float *)input + (ptrdiff_t)(r / a->bins) * a->length * a->parts;
        const int32_t step = r % a->bins;
        double real = 0, imaginary = 0;
        for (int32_t j = 0, at = 0; j < a->length; j++) {
            const double *root = (const double *)roots + (ptrdiff_t)at * 2;
            const double x = in[(ptrdiff_t)j * a->parts], y = a->parts == 2 ? in[(ptrdiff_t)j * 2 + 1] : 0;
            real += x * root[0] - y * root[1];
            imaginary += x * root[1] + y * root[0];
            at += step;
            if (at >= a->length) at -= a->length;
        }
        float *out = (float *)output + (ptrdiff_t)r * 2;
        out[0] = (float)real;
        out[1] = (float)imaginary;
    }
}
