// Dense elements as text: in place, or as resources collected for the end of the file.
#pragma once
#include "ir/map.h"
#include "ir/print.h"

typedef struct Blob {
    const char *name;
    const void *data;
    size_t bytes;
    size_t offset; // in a binary file's blobs
    struct Blob *next;
} Blob;

typedef struct {
    FILE *out;
    PrintOptions options;
    Arena *scratch;
    Map *blob_names; // Blob *
    Blob *blobs, *last_blob;
    Map *numbers; // of unnamed values: number + 1
    Map *type_texts;
} Printer;

// `hint`: the name for the resource of large elements that have none.
void dense_print(Printer *printer, const Dense *dense, const char *hint);
void blobs_print(Printer *printer);
// Gives each blob its aligned offset; the end of the last.
size_t blobs_place(Printer *printer);
// As a string with quotes and escapes.
void string_print(FILE *out, const char *text);
bool is_identifier(const char *text);
// A double (a float) that reads back as one: with a point or an exponent, or inf, -inf, nan.
const char *number_text(Arena *arena, double value, bool is_float);
