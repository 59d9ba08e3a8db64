// Shared libraries that users bring: observers' methods, metrics.
#pragma once
#include "ir/diag.h"

// What a library of the user's must have: an int `abi_name` of value `abi`, and the function `symbol`, as `header` declares them.
typedef struct { const char *header, *abi_name, *symbol; int abi; } LibraryKind;

// The function's address; NULL after a message. The library stays open.
void *library_symbol(Diag *diag, const char *path, const LibraryKind *kind);
