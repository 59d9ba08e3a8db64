// Random arguments and data for the kernels' tests, with a preference for what breaks kernels: odd sizes, both ends of
// a range, gaps between rows.
#include <math.h>
#include <string.h>

#include "test/kernels/check.h"

uint32_t random_bits(Test *test) {
    test->random += 0x9E3779B97F4A7C15u; // splitmix64
    uint64_t z = test->random;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (uint32_t)((z ^ (z >> 31)) >> 16);
}
int random_int(Test *test, int low, int high) {
    return low + (int)(random_bits(test) % (uint32_t)(high - low + 1));
}
bool random_chance(Test *test, int percent) { return random_int(test, 0, 99) < percent; }
float random_float(Test *test, float low, float high) {
    return low + (high - low) * ((float)(random_bits(test) >> 8) / 16777216.0f);
}

int random_channels(Test *test, int max) {
    static const int usual[] = {1, 2, 3, 4, 5, 7, 8, 12, 15, 16, 17, 24, 31, 32, 33, 40, 48, 63, 64, 65, 80, 96, 100, 130, 257};
    for (;;) {
        int channels = usual[random_int(test, 0, (int)(sizeof usual / sizeof *usual) - 1)];
        if (channels <= max) return channels;
    }
}
int random_zero_point(Test *test) { return random_chance(test, 40) ? RANDOM_OF(test, -128, 127, 0) : random_int(test, -128, 127); }

void random_clamp(Test *test, int32_t *lo, int32_t *hi) {
    *lo = -128, *hi = 127;
    if (random_chance(test, 60)) return;
    *lo = random_int(test, -128, 127);
    *hi = random_int(test, *lo, 127);
}
void words_quantization(Test *test, int32_t *in_zp, int32_t *out_zp, int32_t *lo, int32_t *hi) {
    *in_zp = random_chance(test, 60) ? 0 : random_chance(test, 30) ? RANDOM_OF(test, -32768, 32767) : random_int(test, -32768, 32767);
    *out_zp = random_chance(test, 60) ? 0 : random_int(test, -32768, 32767);
    *lo = -32768, *hi = 32767;
    if (random_chance(test, 60)) return;
    *lo = random_int(test, -32768, 32767);
    *hi = random_int(test, *lo, 32767);
}
void random_clamp_f32(Test *test, float *min, float *max) {
    switch (random_int(test, 0, 3)) {
    case 0: *min = -INFINITY, *max = INFINITY; break;
    case 1: *min = 0, *max = INFINITY; break;
    case 2: *min = 0, *max = 6; break;
    case 3: *min = -0.25f, *max = 0.75f; break;
    }
}
// Mostly so that results spread over 8 bits, sometimes as small or as large as the contract allows.
float random_multiplier(Test *test, bool below_one) {
    if (random_chance(test, 80)) return ldexpf(random_float(test, 0.5f, 1), random_int(test, -14, 0));
    return ldexpf(random_float(test, 0.5f, 1), random_int(test, -120, below_one ? 0 : 90));
}

uint8_t *random_bytes(Test *test, size_t count) {
    uint8_t *bytes = arena_alloc(test->arena, count ? count : 1);
    const int kind = random_int(test, 0, 9);
    const int one = RANDOM_OF(test, 0x80, 0x7F, 0, 0xFF);
    for (size_t i = 0; i < count; i++) {
        if (kind > 2) bytes[i] = (uint8_t)random_bits(test);
        else if (kind > 0) bytes[i] = random_chance(test, 50) ? 0x80 : 0x7F;
        else bytes[i] = (uint8_t)one;
    }
    return bytes;
}
float *random_floats(Test *test, size_t count, float low, float high) {
    float *values = ARENA_ARRAY(test->arena, float, count ? count : 1);
    for (size_t i = 0; i < count; i++) values[i] = random_float(test, low, high);
    return values;
}

Image image_random(Test *test, int n, int h, int w, int c) {
    return image_part_random(test, n, h, w, c, 0);
}

Image image_part_random(Test *test, int n, int h, int w, int c, int others) {
    Image image = {.n = n, .h = h, .w = w, .c = c, .pixel = c + others, .row = w * (c + others)};
    if (random_chance(test, 50)) image.row += random_int(test, 0, 3) * image.pixel;
    image.image = h * image.row;
    if (random_chance(test, 50)) image.image += random_int(test, 0, 2) * image.row;
    image.before = random_chance(test, 50) ? 0 : (size_t)random_int(test, 0, 40);
    // The last row ends where its pixels do: nothing lies between them and the guard page.
    image.elems = image.before + (size_t)(n - 1) * image.image + (size_t)(h - 1) * image.row + (size_t)(w - 1) * image.pixel + (size_t)c;
    if (random_chance(test, 50)) image.elems += (size_t)random_int(test, 0, 40);
    return image;
}

void shape_random(Test *test, int32_t shape[5]) {
    do {
        for (int d = 0; d < 5; d++)
            shape[d] = random_chance(test, 40) ? 1 : RANDOM_OF(test, 2, 3, 4, 5, 7, 8, 15, 17, 32, 33, 65, 200);
    } while (shape_elems(shape) > 20000);
}
size_t shape_elems(const int32_t shape[5]) {
    size_t elems = 1;
    for (int d = 0; d < 5; d++) elems *= (size_t)shape[d];
    return elems;
}

static void shuffle(Test *test, int order[5]) {
    for (int i = 4; i > 0; i--) {
        int k = random_int(test, 0, i), other = order[i];
        order[i] = order[k];
        order[k] = other;
    }
}

// Dense or with gaps, in C order or with dimensions exchanged.
Strided strided_random(Test *test, const int32_t shape[5], int flags) {
    Strided result = {.before = 0, .elems = 1};
    int order[5] = {4, 3, 2, 1, 0};
    int32_t step = random_chance(test, 85) ? 1 : random_int(test, 2, 3);
    int64_t low = 0, high = 0;
    if (random_chance(test, 40)) shuffle(test, order);
    for (int i = 0; i < 5; i++) {
        const int d = order[i];
        const bool repeats = (flags & MAY_REPEAT) && random_chance(test, 12);
        const bool backwards = (flags & MAY_REPEAT) && random_chance(test, 5);
        result.stride[d] = repeats ? 0 : backwards ? -step : step;
        const int64_t reach = (int64_t)result.stride[d] * (shape[d] - 1);
        if (reach < 0) low += reach;
        else high += reach;
        if (!repeats) step = step * shape[d] + (random_chance(test, 80) ? 0 : random_int(test, 1, 5));
    }
    result.before = (size_t)-low;
    result.elems = (size_t)(high - low) + 1;
    return result;
}
size_t strided_at(const Strided *s, const int32_t shape[5], size_t index) {
    int64_t offset = (int64_t)s->before;
    for (int d = 4; d >= 0; d--) {
        offset += (int64_t)(index % (size_t)shape[d]) * s->stride[d];
        index /= (size_t)shape[d];
    }
    return (size_t)offset;
}

int32_t naive_round(float y, int32_t zp, int32_t lo, int32_t hi) {
    if (isnan(y)) return 0 < lo - zp ? lo : 0 > hi - zp ? hi : zp;
    if ((double)y < lo - zp) return lo;
    if ((double)y > hi - zp) return hi;
    return (int32_t)lrintf(y) + zp;
}

void *copy_bytes(Test *test, const void *bytes, size_t size) { return arena_copy(test->arena, bytes, size); }
Memory memory_of(const void *bytes, size_t elem_bytes, size_t elems, size_t before) {
    return (Memory){.bytes = bytes, .size = elems * elem_bytes, .origin = before * elem_bytes, .align = (int)elem_bytes};
}
Memory memory_constant(const void *bytes, size_t size) {
    return (Memory){.bytes = bytes, .size = size, .align = 64, .over_read = OVER_READ};
}
