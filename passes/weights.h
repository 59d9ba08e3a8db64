// Quantized weights that were made before, for those who lower one network many times (a search). Safe for several threads.
#pragma once
#include <stdint.h>

typedef struct WeightCache WeightCache;
WeightCache *weight_cache_new(void);
void weight_cache_free(WeightCache *cache); // or NULL

// The i8 elements that were made of the `count` at `weights`, whose memory outlives the cache, with these scales; NULL: none yet.
const int8_t *weight_cache_find(WeightCache *cache, const float *weights, int64_t count, int64_t scale_count, const float *scales);
void weight_cache_add(WeightCache *cache, const float *weights, int64_t count, int64_t scale_count, const float *scales, const int8_t *elems);
