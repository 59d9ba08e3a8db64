// What a model says of its tensors, and the elements of constants. Sizes are held against the data that is there before
// anything is read, and what constants come to in all against a limit that real models stay far below.
#include <math.h>
#include <string.h>

#include "frontend/tflite/importer.h"

enum { CODE_INT4 = 17 };

static const struct { const char *name; int elem; } types[] = {
    {"FLOAT32", ELEM_F32}, {"FLOAT16", ELEM_F16}, {"INT32", ELEM_I32},     {"UINT8", ELEM_U8},     {"INT64", ELEM_I64},
    {"STRING", -1},        {"BOOL", ELEM_I1},     {"INT16", ELEM_I16},     {"COMPLEX64", -1},      {"INT8", ELEM_I8},
    {"FLOAT64", ELEM_F64}, {"COMPLEX128", -1},    {"UINT64", ELEM_U64},    {"RESOURCE", -1},       {"VARIANT", -1},
    {"UINT32", ELEM_U32},  {"UINT16", ELEM_U16},  {"INT4", ELEM_I8},       {"BFLOAT16", ELEM_BF16},
};
enum { TYPE_COUNT = (int)(sizeof types / sizeof *types) };

const char *tensor_type_name(int code) { return code >= 0 && code < TYPE_COUNT ? types[code].name : "unknown"; }

bool lite_take_bytes(Lite *lite, int64_t bytes) {
    if (bytes >= 0 && bytes <= lite->constant_bytes_left) {
        lite->constant_bytes_left -= bytes;
        return true;
    }
    return lite_stop(lite, "its constants come to far more than the file holds: it may be damaged");
}

static bool fault(const Lite *lite, const LiteTensor *tensor, const char *text) {
    return lite_import_error(lite, "tensor '%s': %s", tensor->name, text);
}

// ---- types

static bool read_shape(Lite *lite, LiteTensor *tensor) {
    FlatVector shape = flat_vector(tensor->table, FLAT_Tensor_shape), open = flat_vector(tensor->table, FLAT_Tensor_shape_signature);
    if (shape.count > MAX_RANK) return fault(lite, tensor, "it has more than 8 dimensions");
    tensor->rank = (int)shape.count;
    tensor->fixed = true;
    for (int i = 0; i < tensor->rank; i++) {
        tensor->shape[i] = flat_vector_int(shape, (uint32_t)i);
        tensor->fixed &= !(open.count == shape.count && flat_vector_int(open, (uint32_t)i) < 0);
    }
    return dims_count(tensor->rank, tensor->shape) >= 0 || fault(lite, tensor, "its shape is out of bounds");
}

// The axis that scales go along; -1: one in all.
static bool read_axis(Lite *lite, const LiteTensor *tensor, FlatTable table, uint32_t count, int *axis) {
    int64_t dim = flat_int(table, FLAT_QuantizationParameters_quantized_dimension);
    *axis = -1;
    if (count == 1) return true;
    if (tensor->rank == 1) dim = 0; // some converters wrote the weight's
    if (dim < 0 || dim >= tensor->rank || tensor->shape[dim] != count)
        return fault(lite, tensor, "its scales are not one for each element of its quantized dimension");
    *axis = (int)dim;
    return true;
}

static bool read_scales(Lite *lite, LiteTensor *tensor, FlatVector scales, FlatVector zeros, float *scale, int32_t *zero) {
    int64_t least, most, offset = tensor->is_unsigned ? 128 : 0;
    elem_range(tensor->elem == ELEM_I64 ? ELEM_I32 : tensor->elem, &least, &most);
    for (uint32_t i = 0; i < scales.count; i++) {
        scale[i] = flat_vector_float(scales, i);
        int64_t given = zeros.count == scales.count ? flat_vector_int(zeros, i) : zeros.count ? flat_vector_int(zeros, 0) : 0;
        if (!(scale[i] > 0) || !isnormal(scale[i])) return fault(lite, tensor, "its scale is not a positive normal number");
        if (given < least + offset || given > most + offset) return fault(lite, tensor, "its zero point lies outside of its type");
        zero[i] = (int32_t)(given - offset);
    }
    return true;
}

static bool read_quantization(Lite *lite, LiteTensor *tensor) {
    FlatTable table = flat_table(tensor->table, FLAT_Tensor_quantization);
    FlatVector scales = flat_vector(table, FLAT_QuantizationParameters_scale);
    FlatVector zeros = flat_vector(table, FLAT_QuantizationParameters_zero_point);
    bool narrow = tensor->elem == ELEM_I8 || tensor->elem == ELEM_U8;
    bool wide = tensor->elem == ELEM_I16 || tensor->elem == ELEM_I32 || tensor->elem == ELEM_I64;
    if (!scales.count || (!narrow && !wide)) return true;
    bool biases = wide && flat_vector_float(scales, 0) <= 0; // some converters write a scale of 0 where there is none
    if (biases) return true;
    tensor->is_unsigned = tensor->elem == ELEM_U8;
    if (narrow) tensor->elem = ELEM_I8;
    int axis;
    int64_t least, most;
    elem_range(narrow ? ELEM_I8 : ELEM_I32, &least, &most);
    float *scale = ARENA_ARRAY(lite->scratch, float, scales.count);
    int32_t *zero = ARENA_ARRAY(lite->scratch, int32_t, scales.count);
    if (!lite_take_bytes(lite, 16 * (int64_t)scales.count) || !read_axis(lite, tensor, table, scales.count, &axis) ||
        !read_scales(lite, tensor, scales, zeros, scale, zero))
        return false;
    const bool words = tensor->elem == ELEM_I16 && axis < 0; // activations
    if (words) elem_range(ELEM_I16, &least, &most);
    const Quant *quant = quant_per_axis(lite->arena, tensor->elem, axis, (int)scales.count, scale, zero, (int32_t)least, (int32_t)most);
    if (narrow || words) tensor->quant = quant;
    else tensor->wide = quant;
    return true;
}

bool tensor_describe(Lite *lite, LiteTensor *tensor) {
    if (tensor->described) return !tensor->broken;
    tensor->described = true;
    tensor->code = (int)flat_int(tensor->table, FLAT_Tensor_type);
    int elem = tensor->code >= 0 && tensor->code < TYPE_COUNT ? types[tensor->code].elem : -1;
    tensor->elem = elem < 0 ? ELEM_COUNT : (Elem)elem;
    tensor->broken |= !read_shape(lite, tensor) || !read_quantization(lite, tensor);
    return !tensor->broken;
}

const Type *tensor_edge_type(const Lite *lite, const LiteTensor *tensor) {
    if (!tensor->quant || !tensor->is_unsigned) return tensor_type(lite, tensor);
    const Quant *quant = quant_per_tensor(lite->arena, ELEM_U8, tensor->quant->scale[0], tensor->quant->zero_point[0] + 128);
    return type_quantized(lite->arena, quant, tensor->rank, tensor->shape);
}

const Type *tensor_type(const Lite *lite, const LiteTensor *tensor) {
    if (tensor->quant) return type_quantized(lite->arena, tensor->quant, tensor->rank, tensor->shape);
    return type_tensor(lite->arena, tensor->elem, tensor->rank, tensor->shape);
}

// ---- elements

// The bytes that the model holds for the tensor; none where it is no constant.
static const uint8_t *stored_bytes(Lite *lite, const LiteTensor *tensor, size_t *bytes) {
    int64_t index = flat_int(tensor->table, FLAT_Tensor_buffer);
    *bytes = 0;
    if (index <= 0 || index >= lite->buffers.count) return NULL;
    FlatTable buffer = flat_vector_table(lite->buffers, (uint32_t)index);
    FlatVector data = flat_vector(buffer, FLAT_Buffer_data);
    if (data.count) return *bytes = data.count, flat_vector_data(data);
    // Of models of more than 2 GB they lie behind the FlatBuffer.
    uint64_t offset = (uint64_t)flat_int(buffer, FLAT_Buffer_offset), size = (uint64_t)flat_int(buffer, FLAT_Buffer_size);
    if (offset <= 1 || !size) return NULL;
    if (offset > lite->file.bytes || size > lite->file.bytes - offset) return lite->file.damaged = true, NULL;
    return *bytes = (size_t)size, lite->file.data + offset;
}

// Two to a byte, the first in the low half.
static const void *unpacked_i4(Lite *lite, const uint8_t *data, size_t count) {
    int8_t *wide = arena_alloc(lite->scratch, count + 1);
    for (size_t i = 0; i < count; i++) wide[i] = (int8_t)((int8_t)(uint8_t)(data[i / 2] << (i % 2 ? 0 : 4)) >> 4);
    return wide;
}

// uint8 as i8, and booleans as 0 and 1.
static const void *as_nn_has_it(Lite *lite, const LiteTensor *tensor, const uint8_t *data, size_t count) {
    if (!tensor->is_unsigned && tensor->elem != ELEM_I1) return data;
    uint8_t *copy = arena_alloc(lite->scratch, count + 1);
    for (size_t i = 0; i < count; i++) copy[i] = tensor->is_unsigned ? data[i] ^ 0x80 : data[i] != 0;
    return copy;
}

static const Dense *decode(Lite *lite, const LiteTensor *tensor, const uint8_t *data, size_t bytes) {
    if (tensor->elem == ELEM_COUNT)
        return lite_import_error(lite, "tensor '%s': elements of type %s are not supported", tensor->name, tensor_type_name(tensor->code)), NULL;
    const Type *type = tensor_type(lite, tensor);
    size_t count = (size_t)type_elem_count(type), wanted = type_bytes(type), stored = tensor->code == CODE_INT4 ? (count + 1) / 2 : wanted;
    bool sparse = flat_has(tensor->table, FLAT_Tensor_sparsity);
    if (!lite_take_bytes(lite, 2 * (int64_t)wanted)) return NULL;
    const void *elements = data;
    if (sparse && tensor->code == CODE_INT4) return fault(lite, tensor, "sparse elements of 4 bits are not supported"), NULL;
    if (sparse && !(elements = tensor_densify(lite, tensor, data, bytes, (size_t)elem_bits(type->elem) / 8))) return NULL;
    if (!sparse && bytes != stored)
        return lite_import_error(lite, "tensor '%s': its shape wants %zu bytes, its data has %zu", tensor->name, stored, bytes), NULL;
    if (tensor->code == CODE_INT4) elements = unpacked_i4(lite, data, count);
    return dense_new(lite->scratch, type, as_nn_has_it(lite, tensor, elements, count), false);
}

const Dense *tensor_dense(Lite *lite, LiteTensor *tensor) {
    if (tensor->dense || tensor->broken) return tensor->dense;
    if (tensor->value) return value_constant(tensor->value);
    if (tensor->defined || !tensor_describe(lite, tensor)) return NULL;
    size_t bytes;
    const uint8_t *data = stored_bytes(lite, tensor, &bytes);
    bool empty = dims_count(tensor->rank, tensor->shape) == 0;
    if (!data && !empty) return NULL;
    tensor->dense = decode(lite, tensor, data ? data : (const uint8_t *)"", bytes);
    tensor->broken = !tensor->dense;
    return tensor->dense;
}
