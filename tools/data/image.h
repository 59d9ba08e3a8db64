// Images: decoded JPEG, PNG and BMP, resized as Pillow does. Pixels are 8-bit, rows top to bottom, `channels` (1 gray or
// 3 R G B) interleaved and dense. All functions may be called from several threads at once.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "passes/resize_filter.h"

typedef struct {
    int width, height, channels;
    uint8_t *pixels; // malloc'd
} Image;

// What went wrong, for a caller that knows which file it was about. Empty: nothing did.
typedef struct { char text[256]; } Fault;
bool fault_set(Fault *fault, const char *format, ...) __attribute__((format(printf, 2, 3))); // false

enum { MAX_IMAGE_SIDE = 65500, MAX_IMAGE_PIXELS = 1 << 28 };

void image_free(Image *image);
bool image_alloc(Image *image, int width, int height, int channels, Fault *fault);

// By the first bytes. Alpha is dropped, palettes are expanded, of 16 bits the upper 8 are kept; gray becomes three equal
// channels and colour becomes gray by ITU-R 601 (both as Pillow's convert). Truncated and damaged files are faults.
bool image_decode(const uint8_t *data, size_t bytes, int channels, Image *image, Fault *fault);
bool image_load(const char *path, int channels, Image *image, Fault *fault);

// The decoders, native channel count (1 or 3).
bool jpeg_decode(const uint8_t *data, size_t bytes, Image *image, Fault *fault);
bool png_decode(const uint8_t *data, size_t bytes, Image *image, Fault *fault);
bool bmp_decode(const uint8_t *data, size_t bytes, Image *image, Fault *fault);

// The same bytes as Pillow or OpenCV, as ResizeKind says.
bool image_resize(const Image *image, ResizeKind kind, int width, int height, Image *result, Fault *fault);
// Quarter turns clockwise, then left and right, top and bottom change places.
bool image_turn(const Image *image, int turns, bool mirrored, bool upended, Image *result, Fault *fault);
// Where the middle `kept` of `size` begins, by torchvision's rounding.
int crop_start(int size, int kept);
// Columns from `left` and rows from `top` on. A fault where that exceeds the image.
bool image_crop(const Image *image, int left, int top, int width, int height, Image *result, Fault *fault);

// The whole file, malloc'd.
bool file_load(const char *path, uint8_t **data, size_t *bytes, Fault *fault);
