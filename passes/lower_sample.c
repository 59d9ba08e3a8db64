// Ops that read signals and images at places or frequencies of their own.
#include "passes/lower.h"

void lower_dft(Lower *lower, Op *op) {
    dft_view dft = as_dft(op);
    const int64_t *shape = dft.output->type->shape;
    KernelArgs args;
    args_begin(&args, "dft");
    args_int(&args, "rows", shape[0] * shape[1]);
    args_int(&args, "length", dft.input->type->shape[1]);
    args_int(&args, "parts", dft.input->type->shape[2]);
    args_int(&args, "bins", shape[1]);
    Value *buffers[] = {operand_dense(lower, dft.input), operand_dense(lower, dft.roots), result_buffer(lower, dft.output)};
    emit_kernel(lower, "f32", "f32", &args, 3, buffers);
}
