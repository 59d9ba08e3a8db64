// Fuzzer of the textual IR: any bytes give a module or messages. What is accepted must print, and parse and print again
// to the same text. Build with -DQANAT_FUZZ=ON, run build/bin/fuzz_qir with a folder of .qir files.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"
#include "ir/print.h"
#include "ir/verify.h"

static char *printed(const Module *module, size_t *bytes) {
    char *text = NULL;
    FILE *out = open_memstream(&text, bytes);
    module_print(out, module, (PrintOptions){.locations = true});
    fclose(out);
    return text;
}

static void check_round_trip(const Module *module) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena, stderr);
    size_t bytes, bytes_again;
    char *text = printed(module, &bytes);
    Module *again = parse_qir(arena, diag, "printed", text, bytes);
    BUG_UNLESS(again, "what was printed does not parse:\n%s", text);
    char *text_again = printed(again, &bytes_again);
    BUG_UNLESS(bytes == bytes_again && !memcmp(text, text_again, bytes), "printed otherwise the second time:\n%s\n%s",
               text, text_again);
    free(text);
    free(text_again);
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena, NULL);
    Module *module = parse_qir(arena, diag, "input", (const char *)data, bytes);
    if (module && module_verify(module, diag)) check_round_trip(module);
    arena_free(arena);
    return 0;
}
