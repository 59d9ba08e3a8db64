// Constants while a model is imported: dense elements in an arena.
#pragma once
#include "ir/eval.h"

// Sizes beyond these are taken for damage or malice, not for models.
#define MAX_IMPORT_ELEMS ((int64_t)1 << 31) // of any tensor
#define MAX_FOLD_ELEMS   ((int64_t)1 << 16) // of what is computed while importing
enum { MAX_RESOURCE_INLINE = 64 };          // larger constants become resources

// Product of dims as an element count, or -1 when one is negative or the product is beyond
// MAX_IMPORT_ELEMS.
int64_t dims_count(int rank, const int64_t *dims);
Dense *dense_new(Arena *arena, const Type *type, const void *data, bool splat);
// Room for elements to fill in.
Dense *dense_alloc(Arena *arena, const Type *type);
const Dense *dense_splat(Arena *arena, const Type *type, double value);
const Dense *dense_from_ints(Arena *arena, int count, const int64_t *values); // rank 1, i64
const Dense *dense_reshape(Arena *arena, const Dense *dense, int rank, const int64_t *dims);
// The elements in the order of a transposition; up to rank 4 that are 1, 2, 4 or 8 bytes wide.
const Dense *dense_transpose(Arena *arena, const Dense *dense, const int *perm);
Tensor dense_to_tensor(Arena *arena, const Dense *dense);
int64_t dense_count(const Dense *dense);
