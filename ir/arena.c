// The bump allocator of arena.h: a list of blocks that grow with use; large requests get a block of their own.
#include "ir/arena.h"

#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BLOCK = 64 << 10, LARGEST_BLOCK = 4 << 20, ALIGNMENT = 16 };

typedef struct Block {
    struct Block *next;
    size_t used, size;
    _Alignas(ALIGNMENT) char data[];
} Block;

struct Arena {
    Block *blocks; // the head is the one being filled
    size_t total;
};

static _Noreturn void out_of_memory(size_t bytes) {
    fprintf(stderr, "qanat: error: out of memory (asked for %zu bytes)\n", bytes);
    exit(3);
}

static void *allocate(size_t bytes) {
    void *memory = calloc(1, bytes);
    if (!memory) out_of_memory(bytes);
    return memory;
}

Arena *arena_new(void) { return allocate(sizeof(Arena)); }

void arena_free(Arena *arena) {
    if (!arena) return;
    for (Block *block = arena->blocks, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    free(arena);
}

static Block *block_new(size_t size) {
    Block *block = allocate(sizeof(Block) + size);
    block->size = size;
    return block;
}

void *arena_alloc(Arena *arena, size_t bytes) {
    if (bytes > SIZE_MAX - 2 * sizeof(Block)) out_of_memory(bytes);
    bytes = (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    arena->total += bytes;
    Block *head = arena->blocks;
    if (!head || bytes > head->size - head->used) {
        if (bytes > LARGEST_BLOCK / 4 && head) { // its own block, behind the one being filled
            Block *block = block_new(bytes);
            block->used = bytes;
            block->next = head->next;
            head->next = block;
            return block->data;
        }
        size_t size = !head ? FIRST_BLOCK : head->size * 2 < LARGEST_BLOCK ? head->size * 2 : LARGEST_BLOCK;
        Block *block = block_new(size > bytes ? size : bytes);
        block->next = head;
        arena->blocks = head = block;
    }
    void *result = head->data + head->used;
    head->used += bytes;
    return result;
}

void *arena_copy(Arena *arena, const void *src, size_t bytes) {
    void *copy = arena_alloc(arena, bytes);
    if (bytes) memcpy(copy, src, bytes);
    return copy;
}

char *arena_strdup(Arena *arena, const char *text) {
    return text ? arena_copy(arena, text, strlen(text) + 1) : NULL;
}

char *arena_vprintf(Arena *arena, const char *format, va_list args) {
    va_list copy;
    va_copy(copy, args);
    int length = vsnprintf(NULL, 0, format, copy);
    va_end(copy);
    char *text = arena_alloc(arena, (size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, args);
    return text;
}

char *arena_printf(Arena *arena, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = arena_vprintf(arena, format, args);
    va_end(args);
    return text;
}

size_t arena_bytes(const Arena *arena) { return arena->total; }
