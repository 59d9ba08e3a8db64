// What the routes give to emit_programs (codegen/emit.c).
#pragma once
#include "codegen/interface.h"
#include "codegen/output.h"
#include "runtime/entry.h"

// What is written, piece by piece, so that weights are not copied together. Pieces live in the arena of emit_programs, or
// longer.
typedef struct {
    Piece *pieces;
    int count, capacity;
    size_t bytes;       // of all pieces but those that are printed
    int64_t code_bytes; // machine code in it; 0 for text
} Code;

void code_add(Arena *arena, Code *code, const void *data, size_t bytes);
void code_add_piece(Arena *arena, Code *code, Piece piece);
// The blob of all weights (steps_write_weights).
void code_add_weights(Arena *arena, Code *code, const Steps *steps);

// The whole model as one C file.
bool emit_c(Arena *arena, const Interface *interface, Code *code);
// Object, assembly or LLVM IR, by options->kind (EMIT_LIB and EMIT_SHARED: the object).
bool emit_llvm(Arena *arena, const Interface *interface, const EmitOptions *options, Diag *diag, Code *code);
// A static library of the object `code`, which defines `symbols`.
Code archive_of(Arena *arena, const char *member, const Code *code, int symbol_count, const char *const *symbols);
// Links one object file to a shared object. Returns false with the linker's words in `message`.
bool link_shared(const char *object_path, const char *output_path, char *message, size_t message_bytes);
// The name of a step's function without the model's prefix: of its task, or of the rows function that like steps share.
const char *step_task_name(const Step *step);
char *step_rows_name(Arena *arena, const Steps *steps, const Step *step);

// The tables of runtime/entry.h for a program whose sizes vary; NULL for any other.
typedef struct {
    const Sizes *sizes;
    int variant_count, term_count;
    const struct qn_variant *variants;
    const struct qn_rows_term *terms;
} BoundedTables;
const BoundedTables *bounded_tables(Arena *arena, const Steps *steps);
