// Any bytes as a TFLite file: the import ends with a module that the verifier accepts or says what is wrong with, or with a
// message.
#include <stdint.h>
#include <stdlib.h>

#include "frontend/frontend.h"
#include "ir/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena, NULL);
    ImportOptions options = {0};
    Module *module = import_tflite(arena, diag, "fuzz.tflite", data, bytes, &options);
    if (!module && diag_error_count(diag) == 0) abort();
    if (module && !module_verify(module, diag) && diag_error_count(diag) == 0) abort();
    arena_free(arena);
    return 0;
}
