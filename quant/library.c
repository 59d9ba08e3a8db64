#include "quant/library.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

void *library_symbol(Diag *diag, const char *path, const LibraryKind *kind) {
    // dlopen searches the system's folders for a name without a slash.
    char own[PATH_MAX + 2];
    snprintf(own, sizeof own, "%s%s", strchr(path, '/') ? "" : "./", path);
    void *library = dlopen(own, RTLD_NOW | RTLD_LOCAL);
    if (!library) return diag_error(diag, loc_file(path), "the shared library can't be opened: %s", dlerror()), NULL;
    const int *abi = dlsym(library, kind->abi_name);
    void *symbol = dlsym(library, kind->symbol);
    if (!abi || !symbol)
        return diag_error(diag, loc_file(path), "the library has no %s; see %s", abi ? kind->symbol : kind->abi_name, kind->header), NULL;
    if (*abi != kind->abi)
        return diag_error(diag, loc_file(path), "the library is for version %d of %s, this is version %d; compile it anew", *abi, kind->header,
                          kind->abi), NULL;
    return symbol;
}
