// The layout, all little-endian: the file begins with the root table's offset. A table begins with the distance back to its
// vtable, which holds its own length, the table's, and for each field its place in the table (0: absent). Offsets point
// forward; a vector begins with its count.
#include "frontend/tflite/flatbuffer.h"

#include <string.h>

typedef enum {
    KIND_BOOL, KIND_INT8, KIND_UINT8, KIND_INT32, KIND_UINT32, KIND_UINT64, KIND_FLOAT32, KIND_TABLE, KIND_UNION,
    KIND_STRING, KIND_BYTES, KIND_SHORTS, KIND_INTS, KIND_LONGS, KIND_FLOATS, KIND_TABLES,
} Kind;

// Bytes of the field in its table, and of an element of the vector that it points to.
static const struct { uint8_t inline_bytes, element_bytes; } widths[] = {
    [KIND_BOOL] = {1, 0},   [KIND_INT8] = {1, 0},  [KIND_UINT8] = {1, 0},  [KIND_INT32] = {4, 0},
    [KIND_UINT32] = {4, 0}, [KIND_UINT64] = {8, 0}, [KIND_FLOAT32] = {4, 0}, [KIND_TABLE] = {4, 0},
    [KIND_UNION] = {4, 0},  [KIND_STRING] = {4, 1}, [KIND_BYTES] = {4, 1},  [KIND_SHORTS] = {4, 2},
    [KIND_INTS] = {4, 4},   [KIND_LONGS] = {4, 8},  [KIND_FLOATS] = {4, 4}, [KIND_TABLES] = {4, 4},
};

static const struct { uint16_t number; uint8_t kind; double fallback; } fields[] = {
#define FIELD(table, name, number, kind, fallback) {number, KIND_##kind, fallback},
#include "frontend/tflite/schema.def"
#undef FIELD
};

static bool lies_within(FlatFile *file, size_t at, size_t bytes) {
    bool inside = at <= file->bytes && bytes <= file->bytes - at;
    file->damaged |= !inside;
    return inside;
}

static uint64_t read_bytes(const FlatFile *file, size_t at, size_t bytes) {
    uint64_t value = 0;
    memcpy(&value, file->data + at, bytes);
    return value;
}

static uint64_t read_checked(FlatFile *file, size_t at, size_t bytes) {
    return lies_within(file, at, bytes) ? read_bytes(file, at, bytes) : 0;
}

static FlatTable damaged(FlatFile *file) {
    file->damaged = true;
    return (FlatTable){.file = file};
}

static FlatTable table_at(FlatFile *file, size_t at) {
    if (!lies_within(file, at, 4)) return damaged(file);
    int64_t vtable = (int64_t)at - (int32_t)(uint32_t)read_bytes(file, at, 4);
    if (vtable < 0 || !lies_within(file, (size_t)vtable, 4)) return damaged(file);
    uint16_t own = (uint16_t)read_bytes(file, (size_t)vtable, 2), bytes = (uint16_t)read_bytes(file, (size_t)vtable + 2, 2);
    if (own < 4 || !lies_within(file, (size_t)vtable, own) || !lies_within(file, at, bytes)) return damaged(file);
    return (FlatTable){file, at, (size_t)vtable, bytes, (uint16_t)((own - 4) / 2)};
}

FlatTable flat_root(FlatFile *file) {
    size_t at = (size_t)read_checked(file, 0, 4);
    return at ? table_at(file, at) : damaged(file);
}

// Where the field lies in the file; 0 if it is absent.
static size_t place_of(FlatTable table, FlatField field) {
    if (!table.at || fields[field].number >= table.fields) return 0;
    size_t place = (size_t)read_bytes(table.file, table.vtable + 4 + 2 * (size_t)fields[field].number, 2);
    if (!place) return 0;
    if (place + widths[fields[field].kind].inline_bytes <= table.bytes) return table.at + place;
    table.file->damaged = true;
    return 0;
}

bool flat_has(FlatTable table, FlatField field) { return place_of(table, field) != 0; }

static int64_t int_of(uint64_t bits, size_t bytes, bool is_signed) {
    if (bytes == 1) return is_signed ? (int8_t)(uint8_t)bits : (int64_t)bits;
    if (bytes == 4) return is_signed ? (int32_t)(uint32_t)bits : (int64_t)bits;
    return (int64_t)bits;
}

int64_t flat_int(FlatTable table, FlatField field) {
    size_t place = place_of(table, field), bytes = widths[fields[field].kind].inline_bytes;
    if (!place) return (int64_t)fields[field].fallback;
    int64_t value = int_of(read_bytes(table.file, place, bytes), bytes, fields[field].kind == KIND_INT8 || fields[field].kind == KIND_INT32);
    return fields[field].kind == KIND_BOOL ? value != 0 : value;
}

static float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

float flat_float(FlatTable table, FlatField field) {
    size_t place = place_of(table, field);
    return place ? float_of((uint32_t)read_bytes(table.file, place, 4)) : (float)fields[field].fallback;
}

// What the offset at `place` points to; 0 if it leaves the file.
static size_t follow(FlatFile *file, size_t place) {
    size_t offset = (size_t)read_bytes(file, place, 4);
    return offset && lies_within(file, place, offset) ? place + offset : (file->damaged = true, 0);
}

FlatTable flat_table(FlatTable table, FlatField field) {
    size_t place = place_of(table, field), at = place ? follow(table.file, place) : 0;
    return at ? table_at(table.file, at) : (FlatTable){.file = table.file};
}

FlatVector flat_vector(FlatTable table, FlatField field) {
    FlatFile *file = table.file;
    uint32_t width = widths[fields[field].kind].element_bytes;
    size_t place = place_of(table, field), at = place ? follow(file, place) : 0;
    if (!at || !lies_within(file, at, 4)) return (FlatVector){.file = file, .width = width};
    uint32_t count = (uint32_t)read_bytes(file, at, 4);
    if (!lies_within(file, at + 4, (size_t)count * width)) count = 0;
    return (FlatVector){file, at + 4, count, width};
}

const char *flat_text(FlatTable table, FlatField field) {
    FlatVector vector = flat_vector(table, field);
    if (!vector.count && !vector.at) return "";
    size_t end = vector.at + vector.count;
    if (lies_within(table.file, end, 1) && !table.file->data[end] && vector.at) return (const char *)table.file->data + vector.at;
    table.file->damaged = true;
    return "";
}

FlatTable flat_vector_table(FlatVector vector, uint32_t index) {
    size_t at = follow(vector.file, vector.at + (size_t)index * 4);
    return at ? table_at(vector.file, at) : damaged(vector.file);
}

int64_t flat_vector_int(FlatVector vector, uint32_t index) {
    return int_of(read_bytes(vector.file, vector.at + (size_t)index * vector.width, vector.width), vector.width, vector.width >= 4);
}

float flat_vector_float(FlatVector vector, uint32_t index) {
    return float_of((uint32_t)read_bytes(vector.file, vector.at + (size_t)index * 4, 4));
}

const uint8_t *flat_vector_data(FlatVector vector) { return vector.file->data + vector.at; }
