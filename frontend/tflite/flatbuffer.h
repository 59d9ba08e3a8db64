// FlatBuffers of a file that may be damaged or hostile. Every offset, vtable and vector is held against the file before
// it is read; what does not lie within is absent, and `damaged` is set. Nothing here is recursive: a caller goes from table
// to table by itself.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const uint8_t *data;
    size_t bytes;
    bool damaged; // something did not lie within the file
} FlatFile;

// A table; `at` is 0 where it is absent, and then so are its fields.
typedef struct {
    FlatFile *file;
    size_t at, vtable;
    uint16_t bytes, fields;
} FlatTable;

// Elements of `width` bytes; `count` is 0 where it is absent.
typedef struct {
    FlatFile *file;
    size_t at;
    uint32_t count, width;
} FlatVector;

// Fields by the schema: FLAT_Tensor_shape and so on.
typedef enum {
#define FIELD(table, name, number, kind, fallback) FLAT_##table##_##name,
#include "frontend/tflite/schema.def"
#undef FIELD
    FLAT_FIELD_COUNT
} FlatField;

FlatTable flat_root(FlatFile *file);
bool flat_has(FlatTable table, FlatField field);
int64_t flat_int(FlatTable table, FlatField field); // integers and booleans; 64-bit ones beyond i64 are negative
float flat_float(FlatTable table, FlatField field);
FlatTable flat_table(FlatTable table, FlatField field); // also what a union holds
FlatVector flat_vector(FlatTable table, FlatField field);
// A NUL-terminated text in the file; "" where it is absent.
const char *flat_text(FlatTable table, FlatField field);

// Elements within `count`.
FlatTable flat_vector_table(FlatVector vector, uint32_t index);
int64_t flat_vector_int(FlatVector vector, uint32_t index); // signed elements of 32 and 64 bits, unsigned ones below
float flat_vector_float(FlatVector vector, uint32_t index);
const uint8_t *flat_vector_data(FlatVector vector);
