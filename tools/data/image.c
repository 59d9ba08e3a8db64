// Loading an image of any format, conversion between gray and colour, cropping.
#include "tools/data/image.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool fault_set(Fault *fault, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(fault->text, sizeof fault->text, format, args);
    va_end(args);
    return false;
}

void image_free(Image *image) {
    free(image->pixels);
    *image = (Image){0};
}

bool image_alloc(Image *image, int width, int height, int channels, Fault *fault) {
    if (width < 1 || height < 1 || width > MAX_IMAGE_SIDE || height > MAX_IMAGE_SIDE ||
        (int64_t)width * height > MAX_IMAGE_PIXELS)
        return fault_set(fault, "an image of %d x %d pixels is not supported", width, height);
    *image = (Image){width, height, channels, malloc((size_t)width * (size_t)height * (size_t)channels)};
    return image->pixels || fault_set(fault, "out of memory for an image of %d x %d pixels", width, height);
}

bool file_load(const char *path, uint8_t **data, size_t *bytes, Fault *fault) {
    FILE *file = fopen(path, "rb");
    struct stat info;
    if (!file || fstat(fileno(file), &info) != 0 || S_ISDIR(info.st_mode)) {
        fault_set(fault, "can't be read: %s", strerror(file && !errno ? EISDIR : errno));
        if (file)
            fclose(file);
        return false;
    }
    size_t size = (size_t)info.st_size;
    *data = malloc(size + 1);
    *bytes = *data ? fread(*data, 1, size, file) : 0;
    fclose(file);
    if (!*data)
        return fault_set(fault, "out of memory");
    if (*bytes == size)
        return true;
    free(*data);
    return fault_set(fault, "can't be read to its end");
}

static void gray_to_rgb(const Image *gray, Image *rgb) {
    size_t count = (size_t)gray->width * (size_t)gray->height;
    for (size_t i = 0; i < count; i++)
        memset(rgb->pixels + 3 * i, gray->pixels[i], 3);
}

// ITU-R 601 luma in 16-bit fixed point, as Pillow's convert("L").
static void rgb_to_gray(const Image *rgb, Image *gray) {
    size_t count = (size_t)rgb->width * (size_t)rgb->height;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *p = rgb->pixels + 3 * i;
        gray->pixels[i] = (uint8_t)((p[0] * 19595u + p[1] * 38470u + p[2] * 7471u + 0x8000u) >> 16);
    }
}

bool image_decode(const uint8_t *data, size_t bytes, int channels, Image *image, Fault *fault) {
    static const uint8_t png[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
    Image decoded;
    if (bytes == 0)
        return fault_set(fault, "the file is empty");
    if (bytes >= 3 && data[0] == 0xFF && data[1] == 0xD8 && data[2] == 0xFF) {
        if (!jpeg_decode(data, bytes, &decoded, fault))
            return false;
    } else if (bytes >= sizeof png && memcmp(data, png, sizeof png) == 0) {
        if (!png_decode(data, bytes, &decoded, fault))
            return false;
    } else if (bytes >= 2 && data[0] == 'B' && data[1] == 'M') {
        if (!bmp_decode(data, bytes, &decoded, fault))
            return false;
    } else {
        return fault_set(fault, "neither a JPEG nor a PNG nor a BMP image");
    }
    if (decoded.channels == channels) {
        *image = decoded;
        return true;
    }
    bool done = image_alloc(image, decoded.width, decoded.height, channels, fault);
    if (done)
        (channels == 3 ? gray_to_rgb : rgb_to_gray)(&decoded, image);
    image_free(&decoded);
    return done;
}

bool image_load(const char *path, int channels, Image *image, Fault *fault) {
    uint8_t *data;
    size_t bytes;
    if (!file_load(path, &data, &bytes, fault))
        return false;
    bool done = image_decode(data, bytes, channels, image, fault);
    free(data);
    return done;
}

bool image_turn(const Image *image, int turns, bool mirrored, bool upended, Image *result, Fault *fault) {
    const bool turned = turns & 1, right = turns == 1 || turns == 2, down = turns == 2 || turns == 3;
    const int width = turned ? image->height : image->width, height = turned ? image->width : image->height;
    const size_t channels = (size_t)image->channels;
    if (!image_alloc(result, width, height, image->channels, fault))
        return false;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            int column = right != mirrored ? width - 1 - x : x, row = down != upended ? height - 1 - y : y;
            size_t from = turned ? (size_t)column * (size_t)image->width + (size_t)row : (size_t)row * (size_t)image->width + (size_t)column;
            memcpy(result->pixels + ((size_t)y * (size_t)width + (size_t)x) * channels, image->pixels + from * channels, channels);
        }
    return true;
}

// Python's round: to nearest, ties to even, which is nearbyint's.
int crop_start(int size, int kept) {
    return (int)nearbyint((size - kept) / 2.0);
}

bool image_crop(const Image *image, int left, int top, int width, int height, Image *result, Fault *fault) {
    if (left < 0 || top < 0 || width > image->width - left || height > image->height - top)
        return fault_set(fault, "the crop of %d x %d exceeds the image of %d x %d", width, height, image->width,
                         image->height);
    if (!image_alloc(result, width, height, image->channels, fault))
        return false;
    size_t channels = (size_t)image->channels, row = (size_t)width * channels;
    for (int y = 0; y < height; y++)
        memcpy(result->pixels + (size_t)y * row,
               image->pixels + ((size_t)(top + y) * (size_t)image->width + (size_t)left) * channels, row);
    return true;
}
