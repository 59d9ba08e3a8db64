// Files that Qanat's own build puts into the compiler: the runtime's and the kernels' text, by their path in the project
// ("runtime/kernel.h"), for the C route; and their bitcode ("runtime/kernels/conv2d/generic.bc") for the LLVM route.
#pragma once
#include <stddef.h>

typedef struct {
    const char *path;
    const char *begin, *end;
} Embedded;

extern const Embedded embedded_files[];
extern const int embedded_count;
const Embedded *embedded_find(const char *path); // NULL if there is none
static inline size_t embedded_bytes(const Embedded *file) { return (size_t)(file->end - file->begin); }
