// Shape inference of ops that read signals and images at places or frequencies of their own.
#include <string.h>

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

static bool is_plain(const Type *type, Elem elem) { return type->elem == elem && !type->quant; }

static bool is_word(const char *text, const char *const *words) {
    while (*words && strcmp(*words, text)) words++;
    return *words != NULL;
}

bool infer_sample(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    static const char *const modes[] = {"nearest", "linear", "cubic", NULL}, *const paddings[] = {"zeros", "border", "reflection", NULL};
    if (!infer_tensors(diag, op, arena)) return false;
    sample_view sample = as_sample(op);
    const Type *input = sample.input->type, *places = sample.places->type;
    if (!is_word(sample.mode, modes) || !is_word(sample.padding, paddings))
        return infer_fail(diag, op, arena, "mode \"%s\" or padding \"%s\" is unknown", sample.mode, sample.padding);
    if (input->rank < 3 || input->rank > 5 || !is_plain(input, ELEM_F32) || !is_plain(places, ELEM_F32) || places->rank < 2 ||
        places->shape[0] != input->shape[0] || places->shape[places->rank - 1] != input->rank - 2)
        return infer_fail(diag, op, arena, "input is %s and places are %s, expected f32 of N ... C with 1 to 3 dimensions between, and "
                          "of N ... and as many numbers", type_text(arena, input), type_text(arena, places));
    for (int i = 1; i < input->rank - 1; i++)
        if (input->shape[i] < 1 || input->shape[i] > 1 << 21)
            return infer_fail(diag, op, arena, "input has %lld elements in dimension %d, expected 1 to 2^21", (long long)input->shape[i], i);
    int64_t shape[MAX_RANK];
    memcpy(shape, places->shape, sizeof(int64_t) * (size_t)places->rank);
    shape[places->rank - 1] = input->shape[input->rank - 1];
    return infer_computed(diag, op, arena, input, places->rank, shape, results);
}

bool infer_roi_align(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    roi_align_view roi = as_roi_align(op);
    const Type *input = roi.input->type, *rois = roi.rois->type, *images = roi.images->type;
    if (!infer_rank(diag, op, arena, "input", input, 4) || !infer_rank(diag, op, arena, "rois", rois, 2) ||
        !infer_rank(diag, op, arena, "images", images, 1))
        return false;
    if (!is_plain(input, ELEM_F32) || !is_plain(rois, ELEM_F32) || !is_plain(images, ELEM_I64) || rois->shape[1] != 4 ||
        images->shape[0] != rois->shape[0])
        return infer_fail(diag, op, arena, "input is %s, rois %s and images %s, expected f32, f32 of n x 4 and i64 of n",
                          type_text(arena, input), type_text(arena, rois), type_text(arena, images));
    for (int i = 0; i < 3; i++)
        if (input->shape[i] < 1 || input->shape[i] > 1 << 21)
            return infer_fail(diag, op, arena, "input has %lld elements in dimension %d, expected 1 to 2^21", (long long)input->shape[i], i);
    if (roi.height < 1 || roi.height > 1 << 16 || roi.width < 1 || roi.width > 1 << 16 || roi.sampling_ratio < 0 || roi.sampling_ratio > 1024)
        return infer_fail(diag, op, arena, "height %lld, width %lld or sampling_ratio %lld is out of bounds", (long long)roi.height,
                          (long long)roi.width, (long long)roi.sampling_ratio);
    int64_t shape[4] = {rois->shape[0], roi.height, roi.width, input->shape[3]};
    return infer_computed(diag, op, arena, input, 4, shape, results);
}

bool infer_max_pool_index(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    max_pool_index_view pool = as_max_pool_index(op);
    const Type *input = pool.input->type;
    if (!infer_rank(diag, op, arena, "input", input, 5) || !infer_ints(diag, op, arena, "kernel", pool.kernel, 3, false, 1) ||
        !infer_ints(diag, op, arena, "strides", pool.strides, 3, true, 1) ||
        !infer_ints(diag, op, arena, "dilations", pool.dilations, 3, true, 1) || !infer_ints(diag, op, arena, "pads", pool.pads, 6, true, 0))
        return false;
    if (!is_plain(input, ELEM_F32)) return infer_fail(diag, op, arena, "input is %s, expected f32", type_text(arena, input));
    int64_t shape[5] = {input->shape[0], 0, 0, 0, input->shape[4]};
    for (int i = 0; i < 3; i++) {
        WindowDim dim = {input->shape[1 + i], pool.kernel.data[i], int_at(pool.strides, i), int_at(pool.dilations, i),
                         int_at(pool.pads, i), int_at(pool.pads, 3 + i), pool.ceil_mode};
        shape[1 + i] = window_count(&dim);
        if (shape[1 + i] < 1 || window_reach(&dim) > MAX_EXTENT || input->shape[1 + i] > MAX_EXTENT)
            return infer_fail(diag, op, arena, "the window does not fit dimension %d of the padded input", 1 + i);
    }
    if (!infer_shape(diag, op, arena, 5, shape)) return false;
    results[0] = type_tensor(arena, ELEM_I64, 5, shape);
    return true;
}

bool infer_eliminate(Diag *diag, const Op *op, Arena *arena, const Type **results) {
    if (!infer_tensors(diag, op, arena)) return false;
    const Type *input = op_operand(op, 0)->type;
    if (!is_plain(input, ELEM_F32) || input->rank < 2 || input->shape[input->rank - 1] != input->shape[input->rank - 2])
        return infer_fail(diag, op, arena, "input is %s, expected square matrices of f32", type_text(arena, input));
    return infer_computed(diag, op, arena, input, input->rank, input->shape, results);
}
