// The weights of resolved programs (steps.h) as one blob; and, of several programs that stand in one file, each once: lowering
// packs weights anew for each target, and those that targets pack alike are found by their contents.
#include <string.h>

#include "codegen/steps.h"

void steps_write_weights(const Steps *steps, unsigned char *blob) {
    memset(blob, 0, (size_t)steps->weights_bytes);
    for (int i = 0; i < steps->weight_count; i++) {
        const Dense *data = steps->weights[i].data;
        size_t bytes = type_bytes(data->type), piece = data->splat ? data->bytes : bytes;
        for (size_t at = 0; at < bytes; at += piece) memcpy(blob + steps->weights[i].offset + at, data->data, piece);
    }
}

// ---- shared

// FNV-1a over words of 8 bytes: where the bytes differ, what follows is compared.
static uint64_t hash_of(const Dense *data) {
    const unsigned char *bytes = data->data;
    uint64_t hash = 0xCBF29CE484222325u ^ data->bytes;
    for (size_t at = 0; at < data->bytes; at += 8) {
        uint64_t word = 0;
        memcpy(&word, bytes + at, data->bytes - at < 8 ? data->bytes - at : 8);
        hash = (hash ^ word) * 0x100000001B3u;
        hash ^= hash >> 29;
    }
    return hash;
}

static bool same_bytes(const Dense *a, const Dense *b) {
    return a->bytes == b->bytes && a->splat == b->splat && type_bytes(a->type) == type_bytes(b->type) && !memcmp(a->data, b->data, a->bytes);
}

typedef struct { int slot_count, *slots; /* index + 1 in the list, open addressing */ uint64_t *hashes; Steps list; } Shared;

static int find_or_add(Shared *shared, const WeightBlob *blob) {
    const uint64_t hash = hash_of(blob->data);
    int slot = (int)(hash % (uint64_t)shared->slot_count);
    for (; shared->slots[slot]; slot = (slot + 1) % shared->slot_count) {
        int index = shared->slots[slot] - 1;
        if (shared->hashes[index] == hash && same_bytes(shared->list.weights[index].data, blob->data)) return index;
    }
    Steps *list = &shared->list;
    shared->hashes[list->weight_count] = hash;
    list->weights[list->weight_count] = (WeightBlob){list->weights_bytes, blob->data, blob->name};
    list->weights_bytes = steps_align(list->weights_bytes + (int64_t)type_bytes(blob->data->type));
    shared->slots[slot] = ++list->weight_count;
    return list->weight_count - 1;
}

static void move_addresses(Steps *steps, const WeightBlob *list, const int *index_of) {
    for (int i = 0; i < steps->step_count; i++)
        for (int k = 0; k < steps->steps[i].pointer_count; k++) {
            Address *address = &steps->steps[i].pointers[k];
            if (address->place != AT_WEIGHTS) continue;
            int index = index_of[address->index];
            address->offset += list[index].offset - steps->weights[address->index].offset;
            address->index = index;
        }
}

void steps_share_weights(Arena *arena, int count, Steps *const *programs) {
    int most = 0;
    for (int i = 0; i < count; i++) most += programs[i]->weight_count;
    if (!most) return;
    Shared shared = {.slot_count = 2 * most, .slots = ARENA_ARRAY(arena, int, 2 * most), .hashes = ARENA_ARRAY(arena, uint64_t, most)};
    shared.list.weights = ARENA_ARRAY(arena, WeightBlob, most);
    shared.list.weights_bytes = STEPS_READ_SLACK;
    int **index_of = ARENA_ARRAY(arena, int *, count);
    for (int i = 0; i < count; i++) {
        index_of[i] = ARENA_ARRAY(arena, int, programs[i]->weight_count + 1);
        for (int k = 0; k < programs[i]->weight_count; k++) index_of[i][k] = find_or_add(&shared, &programs[i]->weights[k]);
    }
    for (int i = 0; i < count; i++) {
        move_addresses(programs[i], shared.list.weights, index_of[i]);
        programs[i]->weights = shared.list.weights;
        programs[i]->weight_count = shared.list.weight_count;
        programs[i]->weights_bytes = shared.list.weights_bytes + STEPS_READ_SLACK;
    }
}
