// The meaning of ops that move data. Elements are copied as they are stored; only concat rescales, and pad writes a
// real value as its quantization stores it.
#include <string.h>

#include "ir/eval_common.h"

// Copies a region: rows of the last dimension at once where that is dense in both, else single elements.
static void copy_region(Walk *walk, Tensor *dst, const Tensor *src) {
    int last = walk->rank - 1;
    int64_t run = 1;
    if (walk->rank && walk->strides[0][last] == 1 && walk->strides[1][last] == 1) {
        run = walk->shape[last];
        walk->shape[last] = 1;
    }
    if (!walk->count || !run) return;
    for (int64_t i = 0; i < walk->count / run; i++, walk_next(walk))
        copy_elems(dst, walk->offset[0], src, walk->offset[1], run);
}

bool eval_reshape(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag, (void)op;
    copy_elems(results[0], 0, operands[0], 0, type_elem_count(results[0]->type));
    return true;
}

bool eval_bit_cast(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag, (void)op;
    memcpy(results[0]->data, operands[0]->data, type_bytes(results[0]->type));
    return true;
}

bool eval_transpose(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag;
    const Type *type = results[0]->type;
    IntList perm = as_transpose(op).perm;
    int64_t to[MAX_RANK], in[MAX_RANK], from[MAX_RANK];
    dense_strides(type, to);
    dense_strides(operands[0]->type, in);
    for (int i = 0; i < type->rank; i++) from[i] = in[perm.data[i]];
    Walk walk;
    walk_begin(&walk, type->rank, type->shape);
    walk_add(&walk, 0, to);
    walk_add(&walk, 0, from);
    copy_region(&walk, results[0], operands[0]);
    return true;
}

bool eval_slice(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag;
    slice_view slice = as_slice(op);
    const Type *type = results[0]->type;
    int64_t to[MAX_RANK], from[MAX_RANK], first = 0;
    dense_strides(type, to);
    dense_strides(operands[0]->type, from);
    for (int i = 0; i < type->rank; i++) {
        first += slice.starts.data[i] * from[i];
        from[i] *= int_at(slice.steps, i);
    }
    Walk walk;
    walk_begin(&walk, type->rank, type->shape);
    walk_add(&walk, 0, to);
    walk_add(&walk, first, from);
    copy_region(&walk, results[0], operands[0]);
    return true;
}

bool eval_broadcast_to(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag, (void)op;
    const Type *type = results[0]->type;
    int64_t to[MAX_RANK];
    dense_strides(type, to);
    Walk walk;
    walk_begin(&walk, type->rank, type->shape);
    walk_add(&walk, 0, to);
    walk_add_broadcast(&walk, operands[0]->type);
    copy_region(&walk, results[0], operands[0]);
    return true;
}

static void fill(Tensor *tensor, double value) {
    const Quant *quant = tensor->type->quant;
    int64_t count = type_elem_count(tensor->type);
    for (int64_t i = 0; i < count; i++)
        if (!quant) tensor_set_f64(tensor, i, value);
        else
            tensor_set_i64(tensor, i, quantize_value((float)value, quant->scale[0], quant->zero_point[0],
                                                     quant->storage_min, quant->storage_max));
}

bool eval_pad(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    (void)diag;
    pad_view pad = as_pad(op);
    const Type *in = operands[0]->type, *out = results[0]->type;
    int64_t to[MAX_RANK], from[MAX_RANK], shape[MAX_RANK], to_first = 0, from_first = 0;
    dense_strides(out, to);
    dense_strides(in, from);
    fill(results[0], pad.value);
    for (int i = 0; i < in->rank; i++) {
        int64_t low = pad.low.data[i], high = pad.high.data[i];
        shape[i] = in->shape[i] + (low < 0 ? low : 0) + (high < 0 ? high : 0);
        if (shape[i] <= 0) return true; // cropped away
        to_first += (low > 0 ? low : 0) * to[i];
        from_first += (low < 0 ? -low : 0) * from[i];
    }
    Walk walk;
    walk_begin(&walk, in->rank, shape);
    walk_add(&walk, to_first, to);
    walk_add(&walk, from_first, from);
    copy_region(&walk, results[0], operands[0]);
    return true;
}

// One input of concat in the result's quantization; itself where that is the same.
static Tensor concat_input(Arena *scratch, const Tensor *input, const Type *out) {
    const Quant *from = input->type->quant, *to = out->quant;
    if (quant_equal(from, to)) return *input;
    Tensor scaled = tensor_new(scratch, type_quantized(scratch, to, input->type->rank, input->type->shape));
    float m = rescale_multiplier(from->scale[0], to->scale[0]);
    int64_t count = type_elem_count(input->type);
    for (int64_t i = 0; i < count; i++) {
        int32_t x = (int32_t)tensor_i64(input, i) - from->zero_point[0];
        tensor_set_i64(&scaled, i, qn_requantize(x, m, to->zero_point[0], to->storage_min, to->storage_max));
    }
    return scaled;
}

bool eval_concat(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    const Type *out = results[0]->type;
    int64_t axis = as_concat(op).axis, to[MAX_RANK], from[MAX_RANK], first = 0;
    dense_strides(out, to);
    for (int i = 0; i < op->operand_count; i++) {
        const Type *in = operands[i]->type;
        if (!in->quant != !out->quant) return eval_fail(diag, op, "some operands are quantized and some are not");
        Arena *scratch = arena_new();
        Tensor input = concat_input(scratch, operands[i], out);
        dense_strides(in, from);
        Walk walk;
        walk_begin(&walk, in->rank, in->shape);
        walk_add(&walk, first, to);
        walk_add(&walk, 0, from);
        copy_region(&walk, results[0], &input);
        first += in->shape[axis] * to[axis];
        arena_free(scratch);
    }
    return true;
}

// One result of resample: quantized sums are taken in f32, in order, as every kernel takes them.
typedef struct { const Tensor *input, *indices, *weights; Tensor *result; int64_t taps; float multiplier; } Resampling;

static double resample_real(const Resampling *r, int64_t j, int64_t first, int64_t inner) {
    double sum = 0;
    for (int64_t k = j * r->taps; k < (j + 1) * r->taps; k++)
        sum += tensor_f64(r->weights, k) * tensor_f64(r->input, first + tensor_i64(r->indices, k) * inner);
    return sum;
}

static int32_t resample_stored(const Resampling *r, int64_t j, int64_t first, int64_t inner) {
    const Quant *in = r->input->type->quant, *out = r->result->type->quant;
    float sum = 0;
    for (int64_t k = j * r->taps; k < (j + 1) * r->taps; k++) {
        float x = (float)(tensor_i64(r->input, first + tensor_i64(r->indices, k) * inner) - in->zero_point[0]);
        float product = (float)tensor_f64(r->weights, k) * x;
        sum = sum + product;
    }
    return qn_clamp_round(sum * r->multiplier, out->zero_point[0], out->storage_min, out->storage_max);
}

static int64_t resample_bytes(const Resampling *r, int64_t j, int64_t first, int64_t inner) {
    uint32_t sum = 1 << 21;
    for (int64_t k = j * r->taps; k < (j + 1) * r->taps; k++)
        sum += (uint32_t)tensor_i64(r->weights, k) * (uint32_t)tensor_i64(r->input, first + tensor_i64(r->indices, k) * inner);
    int32_t value = (int32_t)sum >> 22;
    return value < 0 ? 0 : value > 255 ? 255 : value;
}

static bool eval_resampled(Diag *diag, const Op *op, int axis, const Tensor *const *operands, Tensor *const *results) {
    const Type *in = operands[0]->type, *out = results[0]->type;
    int64_t size = in->shape[axis], count = out->shape[axis], outer = 1, inner = 1;
    for (int i = 0; i < axis; i++) outer *= in->shape[i];
    for (int i = axis + 1; i < in->rank; i++) inner *= in->shape[i];
    Resampling r = {operands[0], operands[1], operands[2], results[0], operands[1]->type->shape[1], 0};
    if (out->quant) r.multiplier = rescale_multiplier(in->quant->scale[0], out->quant->scale[0]);
    for (int64_t k = 0; k < count * r.taps; k++)
        if (tensor_i64(r.indices, k) < 0 || tensor_i64(r.indices, k) >= size)
            return eval_fail(diag, op, "index %lld is out of range for axis %d of size %lld",
                             (long long)tensor_i64(r.indices, k), axis, (long long)size);
    for (int64_t i = 0; i < outer * count * inner; i++) {
        int64_t j = i / inner % count, first = i / inner / count * size * inner + i % inner;
        if (out->quant) tensor_set_i64(results[0], i, resample_stored(&r, j, first, inner));
        else if (out->elem == ELEM_U8) tensor_set_i64(results[0], i, resample_bytes(&r, j, first, inner));
        else tensor_set_f64(results[0], i, resample_real(&r, j, first, inner));
    }
    return true;
}

bool eval_resample(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    return eval_resampled(diag, op, (int)as_resample(op).axis, operands, results);
}

bool eval_resample_u8(Diag *diag, const Op *op, const Tensor *const *operands, Tensor *const *results) {
    return eval_resampled(diag, op, (int)as_resample_u8(op).axis, operands, results);
}
