// What the routes give to emit_program (codegen/emit.c).
#pragma once
#include "codegen/interface.h"

typedef struct {
    char *data; // from malloc
    size_t bytes;
    int64_t code_bytes; // machine code in it; 0 for text
} Code;

// The whole program as one C file.
bool emit_c(Arena *arena, const Steps *steps, const Interface *interface, const EmitOptions *options, Code *code);
// Object, assembly or LLVM IR, by options->kind (EMIT_LIB and EMIT_SHARED: the object).
bool emit_llvm(Arena *arena, const Steps *steps, const Interface *interface, const EmitOptions *options, Diag *diag,
               Code *code);
// A static library of one object that defines `symbols`.
void archive_write(FILE *out, const char *member, const void *object, size_t bytes, int symbol_count,
                   const char *const *symbols);
// Links one object file to a shared object. Returns false with the linker's words in `message`.
bool link_shared(const char *object_path, const char *output_path, char *message, size_t message_bytes);
// The name of a step's function without the model's prefix: of its task, or of the rows function that like steps share.
const char *step_task_name(const Step *step);
char *step_rows_name(Arena *arena, const Steps *steps, const Step *step);
