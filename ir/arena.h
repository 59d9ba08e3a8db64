// A bump allocator: everything that belongs to one module, or to one run of a pass, is allocated in one
// arena and freed with it. Out of memory ends the process with a message; callers never check.
#pragma once
#include <stdarg.h>
#include <stddef.h>

typedef struct Arena Arena;

Arena *arena_new(void);
void arena_free(Arena *arena);

// Zeroed memory, aligned to 16 bytes.
void *arena_alloc(Arena *arena, size_t bytes);
void *arena_copy(Arena *arena, const void *src, size_t bytes);
char *arena_strdup(Arena *arena, const char *text);
char *arena_printf(Arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(Arena *arena, const char *format, va_list args);
// Bytes handed out so far.
size_t arena_bytes(const Arena *arena);

#define ARENA_NEW(arena, T) ((T *)arena_alloc(arena, sizeof(T)))
#define ARENA_ARRAY(arena, T, count) ((T *)arena_alloc(arena, sizeof(T) * (size_t)(count)))
