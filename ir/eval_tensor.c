// Tensors of the reference interpreter: elements of any type, strided walks, and the last step of quantized sums.
#include <limits.h>
#include <math.h>
#include <string.h>

#include "ir/eval_common.h"

Tensor tensor_new(Arena *arena, const Type *type) { return (Tensor){type, arena_alloc(arena, type_bytes(type))}; }

// ---- elements

static Dense as_dense(const Tensor *tensor) { return (Dense){.type = tensor->type, .data = tensor->data}; }

double tensor_f64(const Tensor *tensor, int64_t index) {
    if (tensor->type->elem == ELEM_F32) return ((const float *)tensor->data)[index];
    Dense dense = as_dense(tensor);
    return dense_f64(&dense, index);
}

int64_t tensor_i64(const Tensor *tensor, int64_t index) {
    if (tensor->type->elem == ELEM_I8) return ((const int8_t *)tensor->data)[index];
    Dense dense = as_dense(tensor);
    return dense_i64(&dense, index);
}

// Rounds to the nearest float of the given widths, ties to even; the result's bits.
static uint16_t small_float(double value, int exponent_bits, int fraction_bits) {
    int bias = (1 << (exponent_bits - 1)) - 1, sign = signbit(value) ? 1 << (exponent_bits + fraction_bits) : 0;
    int infinity = ((1 << exponent_bits) - 1) << fraction_bits;
    if (isnan(value)) return (uint16_t)(sign | infinity | 1 << (fraction_bits - 1));
    double size = fabs(value);
    if (isinf(size)) return (uint16_t)(sign | infinity);
    int exponent = size > 0 && ilogb(size) > 1 - bias ? ilogb(size) : 1 - bias;
    // In units of the last place; a carry out of the fraction raises the exponent by itself.
    double units = rint(ldexp(size, fraction_bits - exponent));
    int64_t bits = ((int64_t)(exponent + bias - 1) << fraction_bits) + (int64_t)units;
    return (uint16_t)(sign | (bits < infinity ? bits : infinity));
}

void tensor_set_i64(Tensor *tensor, int64_t index, int64_t value) {
    switch (tensor->type->elem) {
    case ELEM_F32: ((float *)tensor->data)[index] = (float)value; break;
    case ELEM_I64: case ELEM_U64: ((int64_t *)tensor->data)[index] = value; break;
    case ELEM_I32: case ELEM_U32: ((uint32_t *)tensor->data)[index] = (uint32_t)value; break;
    case ELEM_I16: case ELEM_U16: ((uint16_t *)tensor->data)[index] = (uint16_t)value; break;
    case ELEM_I8: case ELEM_U8: ((uint8_t *)tensor->data)[index] = (uint8_t)value; break;
    case ELEM_I1: ((uint8_t *)tensor->data)[index] = value != 0; break;
    case ELEM_I4: case ELEM_U4: {
        uint8_t *byte = (uint8_t *)tensor->data + index / 2;
        int shift = (int)(index % 2) * 4;
        *byte = (uint8_t)((*byte & ~(15 << shift)) | (value & 15) << shift);
        break;
    }
    default: tensor_set_f64(tensor, index, (double)value); break;
    }
}

void tensor_set_f64(Tensor *tensor, int64_t index, double value) {
    Elem elem = tensor->type->elem;
    switch (elem) {
    case ELEM_F64: ((double *)tensor->data)[index] = value; return;
    case ELEM_F32: ((float *)tensor->data)[index] = (float)value; return;
    case ELEM_F16: ((uint16_t *)tensor->data)[index] = small_float(value, 5, 10); return;
    case ELEM_BF16: ((uint16_t *)tensor->data)[index] = small_float(value, 8, 7); return;
    default: break;
    }
    int64_t min = INT64_MIN, max = INT64_MAX;
    if (elem == ELEM_U64) min = 0;
    else if (elem != ELEM_I64) elem_range(elem, &min, &max);
    value = isnan(value) ? 0 : rint(value);
    bool large = elem == ELEM_U64 && value >= 0x1p63 && value < 0x1p64;
    int64_t stored = value <= (double)min ? min : value >= (double)max ? max : (int64_t)value;
    if (elem == ELEM_U64 && value >= 0x1p63) stored = large ? (int64_t)(uint64_t)value : -1;
    if (elem == ELEM_I1) stored = value != 0;
    tensor_set_i64(tensor, index, stored);
}

double *tensor_doubles(Arena *arena, const Tensor *tensor) {
    int64_t count = type_elem_count(tensor->type);
    double *values = ARENA_ARRAY(arena, double, count);
    if (tensor->type->elem == ELEM_F32)
        for (int64_t i = 0; i < count; i++) values[i] = ((const float *)tensor->data)[i];
    else if (tensor->type->elem == ELEM_I8)
        for (int64_t i = 0; i < count; i++) values[i] = ((const int8_t *)tensor->data)[i];
    else
        for (int64_t i = 0; i < count; i++) values[i] = tensor_f64(tensor, i);
    return values;
}

double *tensor_centered(Arena *arena, const Tensor *tensor) {
    double *values = tensor_doubles(arena, tensor);
    const Quant *quant = tensor->type->quant;
    if (!quant) return values;
    int64_t count = type_elem_count(tensor->type), inner = quant_inner(tensor->type);
    for (int64_t i = 0; i < count; i++) values[i] -= quant->zero_point[i / inner % quant->count];
    return values;
}

int64_t quant_inner(const Type *type) {
    int64_t inner = 1;
    for (int i = type->quant->axis + 1; i < type->rank; i++) inner *= type->shape[i];
    return inner ? inner : 1;
}

void copy_elems(Tensor *dst, int64_t dst_index, const Tensor *src, int64_t src_index, int64_t count) {
    int bits = elem_bits(dst->type->elem);
    if (bits < 8) {
        for (int64_t i = 0; i < count; i++) tensor_set_i64(dst, dst_index + i, tensor_i64(src, src_index + i));
        return;
    }
    int64_t bytes = bits / 8;
    if (count > 0)
        memcpy((char *)dst->data + dst_index * bytes, (const char *)src->data + src_index * bytes,
               (size_t)(count * bytes));
}

// ---- walking

void dense_strides(const Type *type, int64_t strides[MAX_RANK]) {
    int64_t stride = 1;
    for (int i = type->rank - 1; i >= 0; stride *= type->shape[i--]) strides[i] = stride;
}

void walk_begin(Walk *walk, int rank, const int64_t *shape) {
    *walk = (Walk){.rank = rank, .count = 1};
    for (int i = 0; i < rank; i++) walk->count *= walk->shape[i] = shape[i];
}

void walk_add(Walk *walk, int64_t offset, const int64_t *strides) {
    walk->offset[walk->operands] = offset;
    memcpy(walk->strides[walk->operands++], strides, sizeof(int64_t) * (size_t)walk->rank);
}

void walk_add_broadcast(Walk *walk, const Type *type) {
    int64_t dense[MAX_RANK], strides[MAX_RANK] = {0};
    dense_strides(type, dense);
    for (int i = 0; i < type->rank; i++)
        if (type->shape[i] != 1) strides[walk->rank - type->rank + i] = dense[i];
    walk_add(walk, 0, strides);
}

void walk_next(Walk *walk) {
    for (int i = walk->rank - 1; i >= 0; i--) {
        for (int j = 0; j < walk->operands; j++) walk->offset[j] += walk->strides[j][i];
        if (++walk->index[i] < walk->shape[i]) return;
        for (int j = 0; j < walk->operands; j++) walk->offset[j] -= walk->strides[j][i] * walk->shape[i];
        walk->index[i] = 0;
    }
}

// ---- quantized arithmetic

// With this one all integers but 0 saturate, as with a larger one, and sums of products are finite: 0 stays 0.
static const float MOST_MULTIPLIER = 0x1p90f;

static float bounded(double multiplier) { return multiplier < MOST_MULTIPLIER ? (float)multiplier : MOST_MULTIPLIER; }

float product_multiplier(float a_scale, float b_scale, float out_scale) { return bounded((double)a_scale * b_scale / out_scale); }

float product_multiplier_f32(float a_scale, float b_scale, float out_scale) {
    volatile float product = a_scale * b_scale; // rounded, whatever the compiler would rather do
    return bounded(product / out_scale);
}

float rescale_multiplier(float in_scale, float out_scale) { return bounded((double)in_scale / out_scale); }

// The exponent of the lowest bit of x that is set.
static int lowest_bit(float x) {
    int exponent;
    int32_t bits = (int32_t)ldexpf(frexpf(fabsf(x), &exponent), 24);
    for (exponent -= 24; bits && !(bits & 1); bits >>= 1) exponent++;
    return bits ? exponent : INT_MAX;
}

bool fused_sum_start(const Op *op, int32_t *origin, float *start) {
    const Quant *a = op_operand(op, 0)->type->quant, *b = op_operand(op, 1)->type->quant, *y = op->results[0].type->quant;
    if (op->kind != OP_add || !op_bool(op, "fused") || !a || !b || !y || y->storage != ELEM_I8) return false;
    float a_m = rescale_multiplier(a->scale[0], y->scale[0]), b_m = rescale_multiplier(b->scale[0], y->scale[0]);
    *origin = op_bool(op, "of_u8") ? 128 : 0;
    volatile float product = b_m * (float)(b->zero_point[0] + *origin); // rounded, whatever the compiler would rather do
    *start = (float)(y->zero_point[0] + *origin) - fmaf(a_m, (float)(a->zero_point[0] + *origin), product);
    float most = fmaxf(fabsf(*start), 256 * fmaxf(a_m, b_m));
    int lowest = lowest_bit(a_m) < lowest_bit(b_m) ? lowest_bit(a_m) : lowest_bit(b_m);
    if (lowest_bit(*start) < lowest) lowest = lowest_bit(*start);
    return ilogbf(most) + 3 - lowest <= 53;
}

float mean_multiplier(float in_scale, float out_scale, int64_t count) {
    return bounded((double)in_scale / ((double)out_scale * (double)count));
}

static int32_t clamp_i32(double value, int32_t lo, int32_t hi) {
    return value <= lo ? lo : value >= hi ? hi : (int32_t)value;
}

void activation_range(const char *activation, const Quant *out, int32_t *lo, int32_t *hi) {
    int32_t min = out->storage_min, max = out->storage_max;
    *lo = min;
    *hi = max;
    if (!strcmp(activation, "none")) return;
    *lo = clamp_i32(out->zero_point[0], min, max);
    if (!strcmp(activation, "relu6")) *hi = clamp_i32(rint(6.0 / out->scale[0]) + out->zero_point[0], min, max);
}

int32_t quantize_value(float value, float scale, int32_t zp, int32_t lo, int32_t hi) {
    if ((double)hi - lo < 0x1p21) return qn_quantize(value, scale, zp, lo, hi);
    // Wider storage (the i32 of biases) leaves the domain of qn_rne.
    float steps = value / scale;
    return isnan(steps) ? zp : clamp_i32(rint((double)steps) + zp, lo, hi);
}

Finish finish_new(const Op *op, Tensor *out, const char *activation) {
    Finish finish = {.op = op, .out = out, .min = -INFINITY, .max = INFINITY};
    if (strcmp(activation, "none")) finish.min = 0;
    if (!strcmp(activation, "relu6")) finish.max = 6;
    const Quant *quant = out->type->quant;
    if (quant) {
        finish.zp = quant->zero_point[0];
        finish.sums = type_is_sums(out->type);
        activation_range(activation, quant, &finish.lo, &finish.hi);
    }
    return finish;
}

bool finish_row(Diag *diag, const Finish *finish, const double *sums, int64_t first, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        double sum = sums[i];
        if (!finish->multiplier) {
            sum = sum < finish->min ? finish->min : sum > finish->max ? finish->max : sum;
            tensor_set_f64(finish->out, first + i, sum);
            continue;
        }
        const bool words = finish->out->type->elem == ELEM_I16;
        if (words ? fabs(sum) >= 0x1p47 : sum < INT32_MIN || sum > INT32_MAX)
            return eval_fail(diag, finish->op, "the sum %.0f of element %lld leaves %s", sum, (long long)(first + i), words ? "48 bits" : "i32");
        int32_t q = finish->sums ? (int32_t)sum
                                 : qn_requantize_wide((int64_t)sum, finish->multiplier[i], finish->zp, finish->lo, finish->hi);
        tensor_set_i64(finish->out, first + i, q);
    }
    return true;
}
