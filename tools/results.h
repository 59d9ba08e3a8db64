// Named tensors that a run gave, as logical values: dense, channels last where the program keeps them so, 8-bit integers
// signed whatever the target stores.
#pragma once
#include "ir/eval.h"
#include "tools/data/npy.h"

typedef struct {
    const char *name;
    Elem elem;
    int rank;
    const int64_t *shape;
    void *data;
    int64_t count;
} Result;

typedef struct {
    Arena *arena;
    int count, room;
    Result *items;
} Results;

// Keeps the first of a name. `data` is copied.
void results_add(Results *results, const char *name, Elem elem, int rank, const int64_t *shape, const void *data);
// A buffer of a program: halo left out, stored bytes made signed.
void results_add_buffer(Results *results, const char *name, const Type *type, const void *data);
// Outputs whose size depends on data: of tensor `name` the first elements along `axis`, as many as its count says.
void results_trim(Results *results, const char *name, int axis);
// One stream of several runs, in the first of them: each tensor's first dimension counts on from run to run.
void results_join(Results *runs, int count);
bool results_write(const Results *results, const char *path, Diag *diag);
double result_f64(const Result *result, int64_t index);

// The indices of the `top` largest elements, largest first; of equal ones the first.
int result_top(const Result *result, int top, int64_t *indices);

// Class names: a JSON object {"0": ["id", "name"] or "name", …}, or a name a line. NULL after a message.
const char **read_class_names(Arena *arena, Diag *diag, const char *path, int *count);
