// By where the constant lies, a list of what was made of it: of so many elements, since a view of its first ones may lie there too, with
// such scales. Few, since mostly the weights alone give the scales.
#include "passes/weights.h"

#include <pthread.h>
#include <string.h>

#include "ir/map.h"

typedef struct Made {
    int64_t count, scale_count;
    const float *scales;
    const int8_t *elems;
    struct Made *next;
} Made;

struct WeightCache {
    Arena *arena;
    Map *made; // Made * by the constant's elements
    pthread_mutex_t lock;
};

WeightCache *weight_cache_new(void) {
    Arena *arena = arena_new();
    WeightCache *cache = ARENA_NEW(arena, WeightCache);
    *cache = (WeightCache){arena, map_new_pointers(arena), PTHREAD_MUTEX_INITIALIZER};
    return cache;
}

void weight_cache_free(WeightCache *cache) {
    if (!cache) return;
    pthread_mutex_destroy(&cache->lock);
    arena_free(cache->arena);
}

static const Made *find_made(const WeightCache *cache, const float *weights, int64_t count, int64_t scale_count, const float *scales) {
    const Made *made = map_find(cache->made, weights);
    while (made && (made->count != count || made->scale_count != scale_count || memcmp(made->scales, scales, sizeof *scales * (size_t)scale_count))) made = made->next;
    return made;
}

const int8_t *weight_cache_find(WeightCache *cache, const float *weights, int64_t count, int64_t scale_count, const float *scales) {
    pthread_mutex_lock(&cache->lock);
    const Made *made = find_made(cache, weights, count, scale_count, scales);
    pthread_mutex_unlock(&cache->lock);
    return made ? made->elems : NULL;
}

void weight_cache_add(WeightCache *cache, const float *weights, int64_t count, int64_t scale_count, const float *scales, const int8_t *elems) {
    pthread_mutex_lock(&cache->lock);
    if (!find_made(cache, weights, count, scale_count, scales)) { // another thread may have been faster
        void **first = map_get(cache->made, weights);
        Made *made = ARENA_NEW(cache->arena, Made);
        *made = (Made){count, scale_count, arena_copy(cache->arena, scales, sizeof *scales * (size_t)scale_count),
                       arena_copy(cache->arena, elems, (size_t)count), *first};
        *first = made;
    }
    pthread_mutex_unlock(&cache->lock);
}
