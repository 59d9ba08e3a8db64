// Between npy.c and npz.c: the parts of numpy's files.
#pragma once
#include "tools/data/npy.h"

enum { NPY_HEADER_BYTES = 512 };
size_t npy_header(char *header, size_t size, Elem elem, int rank, const int64_t *shape);
bool npy_parse(const uint8_t *data, size_t bytes, Array *array, Fault *fault);
// The arrays of the zip in file->file_data.
bool npz_parse(ArrayFile *file, size_t bytes, Fault *fault);
