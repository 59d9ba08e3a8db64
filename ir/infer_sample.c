// Shape inference of ops that read signals and images at places or frequencies of their own.
#include "ir/infer.h"

bool infer_dft(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    dft_view dft = as_dft(op);
    const Type *input = dft.input->type, *roots = dft.roots->type;
    if (!infer_rank(diag, op, arena, "input", input, 3)) return false;
    int64_t length = input->shape[1], parts = input->shape[2];
    if (input->elem != ELEM_F32 || input->quant || length < 1 || length > MAX_EXTENT || parts < 1 || parts > 2)
        return infer_fail(diag, op, arena, "input is %s, expected f32 of batch x length x 1 or 2", type_text(arena, input));
    if (roots->elem != ELEM_F64 || roots->rank != 2 || roots->shape[0] != length || roots->shape[1] != 2)
        return infer_fail(diag, op, arena, "roots are %s, expected %lld x 2 of f64", type_text(arena, roots), (long long)length);
    if (dft.bins < 0 || dft.bins > length)
        return infer_fail(diag, op, arena, "'bins' is %lld, expected at most %lld", (long long)dft.bins, (long long)length);
    int64_t shape[3] = {input->shape[0], dft.bins ? dft.bins : length, 2};
    return infer_computed(diag, op, arena, input, 3, shape, results);
}
