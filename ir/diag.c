// Messages in a C compiler's form: file:line:col: error: name: text, then the source line and a caret.
#include "ir/diag.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

typedef struct Source {
    const char *file, *text;
    size_t bytes;
    struct Source *next;
} Source;

struct Diag {
    Arena *arena;
    FILE *out;
    Source *sources;
    int errors, count, capacity;
    DiagMessage *messages;
};

Diag *diag_new(Arena *arena, FILE *out) {
    Diag *diag = ARENA_NEW(arena, Diag);
    diag->arena = arena;
    diag->out = out;
    return diag;
}

void diag_set_source(Diag *diag, const char *file, const char *text, size_t bytes) {
    Source *source = ARENA_NEW(diag->arena, Source);
    *source = (Source){file, text, bytes, diag->sources};
    diag->sources = source;
}

int diag_error_count(const Diag *diag) { return diag->errors; }
int diag_message_count(const Diag *diag) { return diag->count; }
const DiagMessage *diag_message(const Diag *diag, int index) { return &diag->messages[index]; }

static void show_line(const Diag *diag, Loc loc) {
    const Source *source = diag->sources;
    while (source && (!loc.file || strcmp(source->file, loc.file))) source = source->next;
    if (!source || loc.line <= 0) return;
    const char *line = source->text, *end = source->text + source->bytes;
    for (int i = 1; i < loc.line && line < end; i++) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        line = newline ? newline + 1 : end;
    }
    const char *stop = line < end ? memchr(line, '\n', (size_t)(end - line)) : NULL;
    int length = (int)((stop ? stop : end) - line);
    if (length <= 0 || length > 4000) return;
    for (int i = 0; i < length; i++) fputc(iscntrl((unsigned char)line[i]) && line[i] != '\t' ? '?' : line[i], diag->out);
    fputc('\n', diag->out);
    for (int i = 0; i + 1 < loc.column && i < length; i++) fputc(line[i] == '\t' ? '\t' : ' ', diag->out);
    fputs("^\n", diag->out);
}

static const char *without_controls(Arena *arena, const char *text, char kept) {
    char *copy = arena_strdup(arena, text);
    for (char *at = copy; *at; at++)
        if (iscntrl((unsigned char)*at) && *at != kept) *at = '?';
    return copy;
}

const char *printable(Arena *arena, const char *text) { return without_controls(arena, text, 0); }

static void report(Diag *diag, DiagLevel level, Loc loc, const char *format, va_list args) {
    static const char *const words[] = {"error", "warning", "note"};
    const char *text = arena_vprintf(diag->arena, format, args);
    if (diag->count == diag->capacity) {
        int capacity = diag->capacity ? 2 * diag->capacity : 16;
        DiagMessage *grown = ARENA_ARRAY(diag->arena, DiagMessage, capacity);
        if (diag->count) memcpy(grown, diag->messages, sizeof(DiagMessage) * (size_t)diag->count);
        diag->messages = grown;
        diag->capacity = capacity;
    }
    diag->messages[diag->count++] = (DiagMessage){level, loc, text};
    diag->errors += level == DIAG_ERROR;
    if (!diag->out) return;
    fprintf(diag->out, "%s:", loc.file ? loc.file : "qanat");
    if (loc.line > 0) fprintf(diag->out, "%d:%d:", loc.line, loc.column > 0 ? loc.column : 1);
    fprintf(diag->out, " %s: ", words[level]);
    if (loc.name) fprintf(diag->out, "'%s': ", printable(diag->arena, loc.name));
    fprintf(diag->out, "%s\n", without_controls(diag->arena, text, '\n')); // a linker's have lines
    show_line(diag, loc);
}

bool diag_error(Diag *diag, Loc loc, const char *format, ...) {
    va_list args;
    va_start(args, format);
    report(diag, DIAG_ERROR, loc, format, args);
    va_end(args);
    return false;
}

bool diag_warning(Diag *diag, Loc loc, const char *format, ...) {
    va_list args;
    va_start(args, format);
    report(diag, DIAG_WARNING, loc, format, args);
    va_end(args);
    return false;
}

bool diag_note(Diag *diag, Loc loc, const char *format, ...) {
    va_list args;
    va_start(args, format);
    report(diag, DIAG_NOTE, loc, format, args);
    va_end(args);
    return false;
}

_Noreturn void bug_at(const char *file, int line, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "qanat: internal error at %s:%d: ", file, line);
    vfprintf(stderr, format, args);
    fputs("\nplease report this with the model and the command line\n", stderr);
    va_end(args);
    abort();
}
