// Fuzzer of calibration and quantization tables, ours, TPU-MLIR's and ncnn's (told by what is in them): any bytes give a table or
// messages.
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "frontend/frontend.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    char path[] = "/tmp/fuzz_tables_XXXXXX";
    int file = mkstemp(path);
    BUG_UNLESS(file >= 0 && write(file, data, bytes) == (ssize_t)bytes, "no temporary file");
    close(file);
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena, NULL);
    CalibrationTable calibration;
    Qtable qtable;
    parse_calibration_table(arena, diag, path, &calibration);
    parse_qtable(arena, diag, path, &qtable);
    arena_free(arena);
    unlink(path);
    return 0;
}
