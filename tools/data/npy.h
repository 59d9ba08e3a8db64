// numpy's files: .npy, one array, and .npz, a zip of them (stored or deflated when read, stored when written).
// Little-endian, C order. Files may be hostile: every size is checked against the bytes that are there.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "ir/type.h"
#include "tools/data/image.h"

enum { ARRAY_NAME_BYTES = 256 };

typedef struct {
    char name[ARRAY_NAME_BYTES]; // in a .npz; empty in a .npy
    Elem elem;
    int rank;
    int64_t shape[MAX_RANK];
    int64_t count; // elements
    size_t bytes;
    const void *data; // inside the file's bytes or inflated; owned by the ArrayFile
} Array;

typedef struct {
    int count;
    Array *arrays;
    uint8_t *file_data;
    uint8_t **inflated;
} ArrayFile;

// By the first bytes: .npy gives one array.
bool array_file_open(ArrayFile *file, const char *path, Fault *fault);
void array_file_close(ArrayFile *file);
const Array *array_file_find(const ArrayFile *file, const char *name); // NULL if there is none

// Elements [first, first + count) as another element type. Numbers that do not fit saturate; false for types without
// such a conversion (4 bits).
bool array_convert(const Array *array, int64_t first, int64_t count, Elem elem, void *target);

// "f32[1,3,224,224]"
void shape_text(char *text, size_t size, Elem elem, int rank, const int64_t *shape);

// Writing. `elem` one of the types that numpy has.
bool npy_write(FILE *out, Elem elem, int rank, const int64_t *shape, const void *data);

typedef struct NpzWriter NpzWriter;
NpzWriter *npz_new(FILE *out);
bool npz_add(NpzWriter *writer, const char *name, Elem elem, int rank, const int64_t *shape, const void *data);
bool npz_end(NpzWriter *writer); // writes the directory, frees the writer; false when anything could not be written
