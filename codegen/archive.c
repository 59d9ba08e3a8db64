// A static library as System V and GNU ar write it: a symbol table and one member, with no time, owner or mode in it.
#include <stdlib.h>
#include <string.h>

#include "codegen/emit.h"

static void print_member(FILE *out, const char *name, size_t bytes) {
    fprintf(out, "%-16s%-12d%-6d%-6d%-8s%-10zu`\n", name, 0, 0, 0, "644", bytes);
}

static void print_big_endian(FILE *out, size_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) fputc((int)(value >> shift & 255), out);
}

static void print_head(FILE *out, const char *member, size_t bytes, int symbol_count, const char *const *symbols) {
    enum { MAGIC_BYTES = 8, HEADER_BYTES = 60 };
    size_t table = 4 + 4 * (size_t)symbol_count;
    for (int i = 0; i < symbol_count; i++) table += strlen(symbols[i]) + 1;
    size_t padded = table + table % 2;
    fputs("!<arch>\n", out);
    print_member(out, "/", padded);
    print_big_endian(out, (size_t)symbol_count);
    for (int i = 0; i < symbol_count; i++) print_big_endian(out, MAGIC_BYTES + HEADER_BYTES + padded);
    for (int i = 0; i < symbol_count; i++) fwrite(symbols[i], 1, strlen(symbols[i]) + 1, out);
    if (padded > table) fputc(0, out);
    char name[17];
    snprintf(name, sizeof name, "%s/", member);
    print_member(out, name, bytes);
}

Code archive_of(Arena *arena, const char *member, const Code *code, int symbol_count, const char *const *symbols) {
    Code archive = {.code_bytes = code->code_bytes};
    char *head;
    size_t bytes;
    FILE *out = open_memstream(&head, &bytes);
    BUG_UNLESS(out, "out of memory");
    print_head(out, member, code->bytes, symbol_count, symbols);
    fclose(out);
    code_add(arena, &archive, arena_copy(arena, head, bytes), bytes);
    free(head);
    for (int i = 0; i < code->count; i++) code_add(arena, &archive, code->pieces[i].data, code->pieces[i].bytes);
    if (code->bytes % 2) code_add(arena, &archive, "\n", 1);
    return archive;
}
