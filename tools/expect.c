// Matches expected-error comments with reported messages, see expect.h.
#include "tools/expect.h"

#include <stdlib.h>
#include <string.h>

typedef struct Expected {
    int line;
    DiagLevel level;
    const char *text;
    size_t bytes;
    struct Expected *next;
} Expected;

static const char *const words[] = {"error", "warning", "note"};

// Parses `expected-<level>[@±N] {{text}}` at `at`; NULL when it is none.
static Expected *parse_one(Arena *arena, const char *at, const char *end, int line) {
    for (int level = 0; level < 3; level++) {
        size_t length = strlen(words[level]);
        if ((size_t)(end - at) < length || memcmp(at, words[level], length)) continue;
        const char *next = at + length;
        char *after = (char *)next;
        if (*next == '@') line += (int)strtol(next + 1, &after, 10);
        next = after;
        while (next < end && *next == ' ') next++;
        if (end - next < 2 || memcmp(next, "{{", 2)) return NULL;
        const char *close = memmem(next, (size_t)(end - next), "}}", 2);
        if (!close) return NULL;
        Expected *expected = ARENA_NEW(arena, Expected);
        *expected = (Expected){line, (DiagLevel)level, next + 2, (size_t)(close - next - 2), NULL};
        return expected;
    }
    return NULL;
}

static Expected *parse_all(Arena *arena, const char *text, const char *end) {
    static const char mark[] = "// expected-";
    Expected *first = NULL, **last = &first;
    int line = 1;
    for (const char *start = text; start < end; line++) {
        const char *newline = memchr(start, '\n', (size_t)(end - start)), *stop = newline ? newline : end;
        const char *found = memmem(start, (size_t)(stop - start), mark, sizeof mark - 1);
        Expected *expected = found ? parse_one(arena, found + sizeof mark - 1, stop, line) : NULL;
        if (expected) {
            *last = expected;
            last = &expected->next;
        }
        start = newline ? newline + 1 : end;
    }
    return first;
}

static bool matches(const Expected *expected, const DiagMessage *message) {
    return message->loc.line == expected->line && message->level == expected->level &&
           memmem(message->text, strlen(message->text), expected->text, expected->bytes);
}

bool expect_messages(const Diag *diag, const char *file, const char *text, size_t bytes) {
    Arena *arena = arena_new();
    Expected *first = parse_all(arena, text, text + bytes);
    bool good = true;
    for (int i = 0; i < diag_message_count(diag); i++) {
        const DiagMessage *message = diag_message(diag, i);
        Expected **link = &first;
        while (*link && !matches(*link, message)) link = &(*link)->next;
        if (*link) *link = (*link)->next;
        else if (message->level != DIAG_NOTE) {
            fprintf(stderr, "%s:%d:%d: unexpected %s: %s\n", file, message->loc.line, message->loc.column,
                    words[message->level], message->text);
            good = false;
        }
    }
    for (const Expected *expected = first; expected; expected = expected->next) {
        fprintf(stderr, "%s:%d: expected %s was not reported: %.*s\n", file, expected->line, words[expected->level],
                (int)expected->bytes, expected->text);
        good = false;
    }
    arena_free(arena);
    return good;
}
