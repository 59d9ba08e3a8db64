// The hash maps of map.h: linear probing in a power-of-two table that is at most half full.
#include "ir/map.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct { const void *key; void *value; } Slot;

struct Map {
    Arena *arena;
    bool texts;
    size_t count, capacity;
    Slot *slots;
};

static Map *map_new(Arena *arena, bool texts) {
    Map *map = ARENA_NEW(arena, Map);
    map->arena = arena;
    map->texts = texts;
    map->capacity = 64;
    map->slots = ARENA_ARRAY(arena, Slot, map->capacity);
    return map;
}

Map *map_new_pointers(Arena *arena) { return map_new(arena, false); }
Map *map_new_texts(Arena *arena) { return map_new(arena, true); }

static size_t hash(const Map *map, const void *key) {
    uint64_t h = 0xCBF29CE484222325u; // FNV-1a for texts; a multiplicative hash for pointers
    if (map->texts)
        for (const unsigned char *c = key; *c; c++) h = (h ^ *c) * 0x100000001B3u;
    else h = (uint64_t)(uintptr_t)key * 0x9E3779B97F4A7C15u;
    return (size_t)(h ^ h >> 32);
}

static Slot *slot_of(const Map *map, const void *key) {
    size_t i = hash(map, key) & (map->capacity - 1);
    for (;; i = (i + 1) & (map->capacity - 1)) {
        Slot *slot = &map->slots[i];
        if (!slot->key || slot->key == key || (map->texts && !strcmp(slot->key, key))) return slot;
    }
}

static void grow(Map *map) {
    Slot *old = map->slots;
    size_t capacity = map->capacity;
    map->capacity *= 2;
    map->slots = ARENA_ARRAY(map->arena, Slot, map->capacity);
    for (size_t i = 0; i < capacity; i++)
        if (old[i].key) *slot_of(map, old[i].key) = old[i];
}

void **map_get(Map *map, const void *key) {
    Slot *slot = slot_of(map, key);
    if (!slot->key) {
        if (2 * (map->count + 1) > map->capacity) {
            grow(map);
            slot = slot_of(map, key);
        }
        map->count++;
        slot->key = key;
    }
    return &slot->value;
}

void *map_find(const Map *map, const void *key) { return slot_of(map, key)->value; }
