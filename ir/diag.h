// Diagnostics: the user's faults are reported here, with file, place and what to do; ours end in BUG().
// Messages look like a C compiler's: lower case, no full stop, notes for the other end.
#pragma once
#include <stdbool.h>
#include <stdio.h>

#include "ir/arena.h"

// Where something stands. Any field may be absent: file NULL, line 0, name NULL. `name` is the model's own
// name for the node or tensor.
typedef struct {
    const char *file;
    int line, column;
    const char *name;
} Loc;

typedef enum { DIAG_ERROR, DIAG_WARNING, DIAG_NOTE } DiagLevel;

typedef struct Diag Diag;

// Prints to `out` (NULL: collects only). One Diag may serve several files.
Diag *diag_new(Arena *arena, FILE *out);
// The text of `file`, so that messages can show the source line and a caret. Not copied.
void diag_set_source(Diag *diag, const char *file, const char *text, size_t bytes);
int diag_error_count(const Diag *diag);

// All return false, so that a caller can `return diag_error(…)`.
bool diag_error(Diag *diag, Loc loc, const char *format, ...) __attribute__((format(printf, 3, 4)));
bool diag_warning(Diag *diag, Loc loc, const char *format, ...) __attribute__((format(printf, 3, 4)));
bool diag_note(Diag *diag, Loc loc, const char *format, ...) __attribute__((format(printf, 3, 4)));

// What was reported, oldest first (for --verify-diagnostics).
typedef struct {
    DiagLevel level;
    Loc loc;
    const char *text;
} DiagMessage;
int diag_message_count(const Diag *diag);
const DiagMessage *diag_message(const Diag *diag, int index);

// What a model says, fit for a terminal: a copy without control characters.
const char *printable(Arena *arena, const char *text);

static inline Loc loc_file(const char *file) { return (Loc){.file = file}; }

// A fault of Qanat's own: prints the place and aborts (exit status 3 through a signal handler in tools/).
_Noreturn void bug_at(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
#define BUG(...) bug_at(__FILE__, __LINE__, __VA_ARGS__)
#define BUG_UNLESS(condition, ...) \
    do { if (!(condition)) bug_at(__FILE__, __LINE__, __VA_ARGS__); } while (0)
