// Antialiased bilinear resampling with Pillow's arithmetic, for the same bytes: weights of a triangle filter, stretched
// when shrinking, normalised in double and rounded to 22 fractional bits; a horizontal pass into 8 bits, then a
// vertical one. A pass whose size does not change is left out.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/data/image.h"

enum { FRACTION_BITS = 32 - 8 - 2 }; // room for a sum of 8-bit samples and a sign

// For each output position: the first input it takes from, how many, and their weights.
typedef struct {
    int taps; // row length of `weights`
    int *first, *count;
    int32_t *weights;
} Filter;

static void filter_free(Filter *filter) {
    free(filter->first);
    free(filter->count);
    free(filter->weights);
}

static double triangle(double x) {
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static void filter_row(Filter *filter, int position, int in_size, double scale, double stretch, double *weight) {
    double center = (position + 0.5) * scale, support = stretch, inverse = 1.0 / stretch, sum = 0;
    int first = (int)(center - support + 0.5), end = (int)(center + support + 0.5);
    if (first < 0)
        first = 0;
    if (end > in_size)
        end = in_size;
    int count = end - first;
    for (int i = 0; i < count; i++) {
        weight[i] = triangle((i + first - center + 0.5) * inverse);
        sum += weight[i];
    }
    filter->first[position] = first;
    filter->count[position] = count;
    int32_t *fixed = filter->weights + (size_t)position * (size_t)filter->taps;
    for (int i = 0; i < count; i++) {
        double normal = sum != 0 ? weight[i] / sum : weight[i];
        fixed[i] = (int32_t)(0.5 + normal * (1 << FRACTION_BITS)); // a triangle has no negative weights
    }
}

static bool filter_new(Filter *filter, int in_size, int out_size, Fault *fault) {
    double scale = (double)in_size / out_size, stretch = scale < 1.0 ? 1.0 : scale;
    filter->taps = (int)ceil(stretch) * 2 + 1;
    filter->first = calloc((size_t)out_size, sizeof *filter->first);
    filter->count = calloc((size_t)out_size, sizeof *filter->count);
    filter->weights = calloc((size_t)out_size * (size_t)filter->taps, sizeof *filter->weights);
    double *weight = calloc((size_t)filter->taps, sizeof *weight);
    bool done = filter->first && filter->count && filter->weights && weight;
    for (int i = 0; done && i < out_size; i++)
        filter_row(filter, i, in_size, scale, stretch, weight);
    free(weight);
    if (!done) {
        filter_free(filter);
        fault_set(fault, "out of memory");
    }
    return done;
}

static inline uint8_t to_byte(int32_t sum) {
    int32_t value = sum >> FRACTION_BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static void resample_row(const Filter *filter, const uint8_t *in, uint8_t *out, int width, int channels) {
    for (int x = 0; x < width; x++) {
        const int32_t *weight = filter->weights + (size_t)x * (size_t)filter->taps;
        const uint8_t *from = in + (size_t)filter->first[x] * (size_t)channels;
        int32_t sum[3] = {1 << (FRACTION_BITS - 1), 1 << (FRACTION_BITS - 1), 1 << (FRACTION_BITS - 1)};
        for (int i = 0; i < filter->count[x]; i++)
            for (int c = 0; c < channels; c++)
                sum[c] += from[i * channels + c] * weight[i];
        for (int c = 0; c < channels; c++)
            out[x * channels + c] = to_byte(sum[c]);
    }
}

static bool resample_horizontal(const Image *in, int width, Image *out, Fault *fault) {
    Filter filter;
    if (!filter_new(&filter, in->width, width, fault))
        return false;
    bool done = image_alloc(out, width, in->height, in->channels, fault);
    for (int y = 0; done && y < in->height; y++) {
        const uint8_t *from = in->pixels + (size_t)y * (size_t)in->width * (size_t)in->channels;
        uint8_t *to = out->pixels + (size_t)y * (size_t)width * (size_t)in->channels;
        // With a constant channel count the compiler unrolls the inner loops.
        if (in->channels == 3)
            resample_row(&filter, from, to, width, 3);
        else
            resample_row(&filter, from, to, width, 1);
    }
    filter_free(&filter);
    return done;
}

static bool resample_vertical(const Image *in, int height, Image *out, Fault *fault) {
    Filter filter;
    size_t row = (size_t)in->width * (size_t)in->channels;
    if (!filter_new(&filter, in->height, height, fault))
        return false;
    int32_t *sums = malloc(row * sizeof *sums);
    bool done = sums ? image_alloc(out, in->width, height, in->channels, fault) : fault_set(fault, "out of memory");
    for (int y = 0; done && y < height; y++) {
        const int32_t *weight = filter.weights + (size_t)y * (size_t)filter.taps;
        for (size_t x = 0; x < row; x++)
            sums[x] = 1 << (FRACTION_BITS - 1);
        for (int i = 0; i < filter.count[y]; i++) {
            const uint8_t *from = in->pixels + (size_t)(filter.first[y] + i) * row;
            for (size_t x = 0; x < row; x++)
                sums[x] += from[x] * weight[i];
        }
        for (size_t x = 0; x < row; x++)
            out->pixels[(size_t)y * row + x] = to_byte(sums[x]);
    }
    free(sums);
    filter_free(&filter);
    return done;
}

bool image_resize(const Image *image, int width, int height, Image *result, Fault *fault) {
    Image wide = *image;
    if (width != image->width && !resample_horizontal(image, width, &wide, fault))
        return false;
    bool done;
    if (height != image->height || wide.pixels == image->pixels) {
        // A copy when nothing changes: a filter of one tap of weight one.
        done = resample_vertical(&wide, height, result, fault);
        if (wide.pixels != image->pixels)
            image_free(&wide);
    } else {
        *result = wide;
        done = true;
    }
    return done;
}
