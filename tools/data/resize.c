// Resampling of images with Pillow's arithmetic, for the same bytes (passes/resize_filter.h): a horizontal pass into 8 bits, then a
// vertical one. A pass whose size does not change is left out.
#include <stdlib.h>
#include <string.h>

#include "passes/resize_filter.h"
#include "tools/data/image.h"

enum { FRACTION_BITS = RESIZE_FRACTION_BITS };

static inline uint8_t to_byte(int32_t sum) {
    int32_t value = sum >> FRACTION_BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static void resample_row(const ResizeFilter *filter, const uint8_t *in, uint8_t *out, int width, int channels) {
    for (int x = 0; x < width; x++) {
        const int32_t *weight = filter->weights + (size_t)x * (size_t)filter->taps;
        const uint8_t *from = in + (size_t)filter->indices[(size_t)x * (size_t)filter->taps] * (size_t)channels;
        int32_t sum[3] = {1 << (FRACTION_BITS - 1), 1 << (FRACTION_BITS - 1), 1 << (FRACTION_BITS - 1)};
        for (int i = 0; i < filter->count[x]; i++)
            for (int c = 0; c < channels; c++)
                sum[c] += from[i * channels + c] * weight[i];
        for (int c = 0; c < channels; c++)
            out[x * channels + c] = to_byte(sum[c]);
    }
}

static bool resample_horizontal(const Image *in, const ResizeFilter *filter, Image *out, Fault *fault) {
    int width = filter->outputs;
    if (!image_alloc(out, width, in->height, in->channels, fault))
        return false;
    for (int y = 0; y < in->height; y++) {
        const uint8_t *from = in->pixels + (size_t)y * (size_t)in->width * (size_t)in->channels;
        uint8_t *to = out->pixels + (size_t)y * (size_t)width * (size_t)in->channels;
        // With a constant channel count the compiler unrolls the inner loops.
        if (in->channels == 3)
            resample_row(filter, from, to, width, 3);
        else
            resample_row(filter, from, to, width, 1);
    }
    return true;
}

static bool resample_vertical(const Image *in, const ResizeFilter *filter, Image *out, Fault *fault) {
    size_t row = (size_t)in->width * (size_t)in->channels;
    int32_t *sums = malloc(row * sizeof *sums);
    bool done = sums ? image_alloc(out, in->width, filter->outputs, in->channels, fault) : fault_set(fault, "out of memory");
    for (int y = 0; done && y < filter->outputs; y++) {
        const size_t taps = (size_t)y * (size_t)filter->taps;
        for (size_t x = 0; x < row; x++)
            sums[x] = 1 << (FRACTION_BITS - 1);
        for (int i = 0; i < filter->count[y]; i++) {
            const uint8_t *from = in->pixels + (size_t)filter->indices[taps + (size_t)i] * row;
            for (size_t x = 0; x < row; x++)
                sums[x] += from[x] * filter->weights[taps + (size_t)i];
        }
        for (size_t x = 0; x < row; x++)
            out->pixels[(size_t)y * row + x] = to_byte(sums[x]);
    }
    free(sums);
    return done;
}

static bool resample(const Image *image, ResizeKind kind, int size, bool vertical, Image *result, Fault *fault) {
    Arena *arena = arena_new();
    ResizeFilter filter = resize_filter(arena, kind, vertical ? image->height : image->width, size);
    bool done = (vertical ? resample_vertical : resample_horizontal)(image, &filter, result, fault);
    arena_free(arena);
    return done;
}

bool image_resize(const Image *image, ResizeKind kind, int width, int height, Image *result, Fault *fault) {
    Image wide = *image;
    if (width != image->width && !resample(image, kind, width, false, &wide, fault))
        return false;
    if (height == image->height && wide.pixels != image->pixels) {
        *result = wide;
        return true;
    }
    // A copy when nothing changes: a filter of one tap of weight one.
    bool done = resample(&wide, kind, height, true, result, fault);
    if (wide.pixels != image->pixels)
        image_free(&wide);
    return done;
}
