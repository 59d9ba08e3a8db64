// Hash maps in an arena, by pointer or by text: open addressing, growing, no removal.
#pragma once
#include "ir/arena.h"

typedef struct Map Map;

Map *map_new_pointers(Arena *arena);
Map *map_new_texts(Arena *arena); // keys are compared as strings and not copied
// The place of the value for `key`, made (NULL) when absent; valid until the next map_get.
void **map_get(Map *map, const void *key);
// The value for `key`, or NULL.
void *map_find(const Map *map, const void *key);
