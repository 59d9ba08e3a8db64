// TensorProto to dense elements. Sizes are checked against the data that is there before anything is read.
#include <inttypes.h>
#include <string.h>

#include "frontend/onnx/importer.h"

// The numbers are those of TensorProto.DataType, also of versions newer than the installed
// onnx.proto.
static const struct {
    int onnx;
    const char *name;
    int elem;
} types[] = {
    {1, "FLOAT", ELEM_F32},      {2, "UINT8", ELEM_U8},      {3, "INT8", ELEM_I8},
    {4, "UINT16", ELEM_U16},     {5, "INT16", ELEM_I16},     {6, "INT32", ELEM_I32},
    {7, "INT64", ELEM_I64},      {8, "STRING", -1},          {9, "BOOL", ELEM_I1},
    {10, "FLOAT16", ELEM_F16},   {11, "DOUBLE", ELEM_F64},   {12, "UINT32", ELEM_U32},
    {13, "UINT64", ELEM_U64},    {14, "COMPLEX64", -1},      {15, "COMPLEX128", -1},
    {16, "BFLOAT16", ELEM_BF16}, {17, "FLOAT8E4M3FN", -1},   {18, "FLOAT8E4M3FNUZ", -1},
    {19, "FLOAT8E5M2", -1},      {20, "FLOAT8E5M2FNUZ", -1}, {21, "UINT4", ELEM_U4},
    {22, "INT4", ELEM_I4},       {23, "FLOAT4E2M1", -1},  {24, "FLOAT8E8M0", -1},
    {25, "UINT2", -1},           {26, "INT2", -1},
};

bool elem_from_onnx(int data_type, Elem *elem) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].onnx == data_type && types[i].elem >= 0)
            return *elem = (Elem)types[i].elem, true;
    return false;
}

int onnx_type_of_name(const char *name) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i].name, name))
            return types[i].onnx;
    return 0;
}

const char *onnx_type_name(int data_type) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].onnx == data_type)
            return types[i].name;
    return "undefined";
}

// ---- decoding

// The typed list that holds elements of this data type when raw_data is absent; NULL if there is
// none such.
static const void *typed_list(const Onnx__TensorProto *proto, size_t *count, size_t *width) {
    switch (proto->data_type) {
    case 1: return *count = proto->n_float_data, *width = 4, proto->float_data;
    case 7: return *count = proto->n_int64_data, *width = 8, proto->int64_data;
    case 11: return *count = proto->n_double_data, *width = 8, proto->double_data;
    case 12:
    case 13: return *count = proto->n_uint64_data, *width = 8, proto->uint64_data;
    default: return *count = proto->n_int32_data, *width = 4, proto->int32_data;
    }
}

// Narrows list elements to the low bytes of each, which is where every narrower type of ONNX keeps
// its value.
static const void *narrow_list(Arena *arena, const void *list, size_t count, size_t width,
                               size_t size) {
    if (width == size)
        return list;
    char *data = arena_alloc(arena, count * size + 1);
    for (size_t i = 0; i < count; i++)
        memcpy(data + i * size, (const char *)list + i * width, size);
    return data;
}

static const void *list_data(Importer *importer, const Onnx__TensorProto *proto, const Type *type,
                             const char *what) {
    size_t count, width, bits = (size_t)elem_bits(type->elem),
                         wanted = (size_t)type_elem_count(type);
    const void *list = typed_list(proto, &count, &width);
    if (bits < 8)
        wanted = (wanted + 1) / 2;
    if (count != wanted) {
        diag_error(importer->diag, loc_file(importer->path),
                   "%s: its shape wants %zu elements, its data has %zu", what, wanted, count);
        return NULL;
    }
    if (count == 0)
        return "";
    return narrow_list(importer->scratch, list, count, width, bits < 8 ? 1 : bits / 8);
}

static const void *raw_data(Importer *importer, const Onnx__TensorProto *proto, const Type *type,
                            const char *what) {
    size_t bytes = type_bytes(type);
    if (proto->raw_data.len != bytes) {
        diag_error(importer->diag, loc_file(importer->path),
                   "%s: its shape wants %zu bytes, its data has %zu", what, bytes,
                   proto->raw_data.len);
        return NULL;
    }
    return bytes ? (const void *)proto->raw_data.data : "";
}

// Any other byte than 0 is true, which is 1 from here on.
static const void *plain_booleans(Arena *arena, const uint8_t *data, size_t count) {
    uint8_t most = 0;
    for (size_t i = 0; i < count; i++)
        most |= data[i];
    if (most <= 1)
        return data;
    uint8_t *copy = arena_alloc(arena, count);
    for (size_t i = 0; i < count; i++)
        copy[i] = data[i] != 0;
    return copy;
}

const Dense *dense_from_proto(Importer *importer, const Onnx__TensorProto *proto,
                              const char *what) {
    Elem elem;
    Diag *diag = importer->diag;
    Loc loc = loc_file(importer->path);
    if (!elem_from_onnx(proto->data_type, &elem)) {
        diag_error(diag, loc, "%s: elements of type %s (%d) are not supported", what,
                   onnx_type_name(proto->data_type), proto->data_type);
        return NULL;
    }
    if (proto->n_dims > MAX_RANK || dims_count((int)proto->n_dims, proto->dims) < 0) {
        diag_error(diag, loc,
                   "%s: its shape is out of bounds: at most %d dimensions, none negative, and at "
                   "most 2^31 "
                   "elements are supported",
                   what, MAX_RANK);
        return NULL;
    }
    const Type *type = type_tensor(importer->scratch, elem, (int)proto->n_dims, proto->dims);
    bool external = proto->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    const void *data = external              ? external_data(importer, proto, type_bytes(type), what)
                       : proto->has_raw_data ? raw_data(importer, proto, type, what)
                                             : list_data(importer, proto, type, what);
    if (data && elem == ELEM_I1)
        data = plain_booleans(importer->scratch, data, type_bytes(type));
    return data ? dense_new(importer->scratch, type, data, false) : NULL;
}
