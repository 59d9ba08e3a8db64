// The meaning of ops that read signals and images at places or frequencies of their own.
#include "ir/eval_common.h"

bool eval_dft(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag, (void)op;
    const int64_t *shape = operands[0]->type->shape, length = shape[1], parts = shape[2], bins = results[0]->type->shape[1];
    const double *roots = operands[1]->data;
    for (int64_t i = 0; i < shape[0] * bins; i++) {
        double real = 0, imaginary = 0;
        for (int64_t j = 0; j < length; j++) {
            const double *root = roots + j * (i % bins) % length * 2;
            int64_t at = (i / bins * length + j) * parts;
            double x = tensor_f64(operands[0], at), y = parts == 2 ? tensor_f64(operands[0], at + 1) : 0;
            real += x * root[0] - y * root[1];
            imaginary += x * root[1] + y * root[0];
        }
        tensor_set_f64(results[0], 2 * i, real);
        tensor_set_f64(results[0], 2 * i + 1, imaginary);
    }
    return true;
}
