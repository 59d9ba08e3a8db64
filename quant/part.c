// Samples are taken by their place in the order of paths, those of a stream by their own.
#include "quant/part.h"

#include <stdlib.h>
#include <string.h>

static bool part_load(void *context, int sample, void *const *inputs, char *message) {
    const Part *part = context;
    return part->whole->load(part->whole->context, part->samples[sample], inputs, message);
}

static const char *part_path(void *context, int sample) {
    const Part *part = context;
    return part->whole->path(part->whole->context, part->samples[sample]);
}

typedef struct { const char *path; int sample; } Named;

static int by_path(const void *a, const void *b) {
    const Named *x = a, *y = b;
    int order = strcmp(x->path, y->path);
    return order ? order : x->sample - y->sample;
}

static int *spread(Arena *arena, const SampleSource *source, int count) {
    Named *named = ARENA_ARRAY(arena, Named, source->count);
    int *samples = ARENA_ARRAY(arena, int, count);
    for (int i = 0; i < source->count; i++) named[i] = (Named){source->path(source->context, i), i};
    qsort(named, (size_t)source->count, sizeof *named, by_path);
    for (int i = 0; i < count; i++) samples[i] = named[(int64_t)i * source->count / count].sample;
    return samples;
}

static int *begin_with(Arena *arena, int count) {
    int *samples = ARENA_ARRAY(arena, int, count);
    for (int i = 0; i < count; i++) samples[i] = i;
    return samples;
}

SampleSource part_of(Arena *arena, const SampleSource *source, int most, Part *part) {
    const int count = source->count < most ? source->count : most;
    *part = (Part){source, source->keep_states ? begin_with(arena, count) : spread(arena, source, count)};
    return (SampleSource){count, source->description, part_load, part_path, NULL, source->keep_states, part};
}
