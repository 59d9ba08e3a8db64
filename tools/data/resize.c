// Resampling of images with Pillow's arithmetic, for the same bytes (passes/resize_filter.h): a horizontal pass into 8 bits, then a
// vertical one. A pass whose size does not change is left out. Bilinear with OpenCV's: both at once.
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
    ResizeFilter filter = resize_filter(arena, kind, vertical ? image->height : image->width, size, vertical);
    bool done = (vertical ? resample_vertical : resample_horizontal)(image, &filter, result, fault);
    arena_free(arena);
    return done;
}

// Two columns of each row, without rounding.
static void sum_columns(const Image *image, int y, const ResizeFilter *columns, uint32_t *sums) {
    const size_t channels = (size_t)image->channels;
    const uint8_t *row = image->pixels + (size_t)y * (size_t)image->width * channels;
    for (size_t x = 0; x < (size_t)columns->outputs; x++)
        for (size_t c = 0; c < channels; c++)
            sums[x * channels + c] = (uint32_t)columns->weights[2 * x] * row[(size_t)columns->indices[2 * x] * channels + c] +
                                     (uint32_t)columns->weights[2 * x + 1] * row[(size_t)columns->indices[2 * x + 1] * channels + c];
}

// As nn.bilinear_u8 has it.
static void sum_rows(const uint32_t *upper, const uint32_t *lower, const int32_t *weights, int bits, size_t count, uint8_t *out) {
    const uint32_t w0 = (uint32_t)weights[0], w1 = (uint32_t)weights[1];
    for (size_t i = 0; i < count; i++)
        out[i] = (uint8_t)(bits == 11 ? ((w0 * (upper[i] >> 4) >> 16) + (w1 * (lower[i] >> 4) >> 16) + 2) >> 2
                                      : (w0 * upper[i] + w1 * lower[i] + (1 << 15)) >> 16);
}

static bool bilinear(const Image *image, ResizeKind kind, int width, int height, Image *result, Fault *fault) {
    Arena *arena = arena_new();
    ResizeFilter columns = resize_filter(arena, kind, image->width, width, false), rows = resize_filter(arena, kind, image->height, height, true);
    const size_t row = (size_t)width * (size_t)image->channels;
    uint32_t *sums[2] = {arena_alloc(arena, row * sizeof **sums), arena_alloc(arena, row * sizeof **sums)};
    bool done = image_alloc(result, width, height, image->channels, fault);
    for (int y = 0; done && y < height; y++) {
        for (int k = 0; k < 2; k++) sum_columns(image, rows.indices[2 * y + k], &columns, sums[k]);
        sum_rows(sums[0], sums[1], rows.weights + 2 * y, resize_bilinear_bits(kind), row, result->pixels + (size_t)y * row);
    }
    arena_free(arena);
    return done;
}

bool image_resize(const Image *image, ResizeKind kind, int width, int height, Image *result, Fault *fault) {
    if (resize_is_bilinear(kind))
        return bilinear(image, kind, width, height, result, fault);
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
