// PNG by libpng, without any gamma or colour management: the stored samples, at 8 bits, gray or R G B. libpng leaves by
// longjmp on errors.
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "tools/data/image.h"

typedef struct {
    png_structp png;
    png_infop info;
    const uint8_t *data;
    size_t bytes, at;
    png_bytep *rows;
    Fault *fault;
} Decoder;

static void on_error(png_structp png, png_const_charp text) {
    Decoder *decoder = png_get_error_ptr(png);
    fault_set(decoder->fault, "broken PNG: %s", text);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text) {
    (void)png;
    (void)text;
}

static void read_bytes(png_structp png, png_bytep target, png_size_t count) {
    Decoder *decoder = png_get_io_ptr(png);
    if (count > decoder->bytes - decoder->at)
        png_error(png, "the file ends early");
    memcpy(target, decoder->data + decoder->at, count);
    decoder->at += count;
}

static bool read_header(Decoder *decoder, Image *image) {
    png_structp png = decoder->png;
    png_set_user_limits(png, MAX_IMAGE_SIDE, MAX_IMAGE_SIDE);
    png_read_info(png, decoder->info);
    png_set_expand(png); // palettes to R G B, 1-, 2- and 4-bit gray to 8
    png_set_strip_16(png);
    png_set_strip_alpha(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, decoder->info);
    int channels = png_get_channels(png, decoder->info);
    if (channels != 1 && channels != 3)
        return fault_set(decoder->fault, "a PNG of %d channels is not supported", channels);
    return image_alloc(image, (int)png_get_image_width(png, decoder->info),
                       (int)png_get_image_height(png, decoder->info), channels, decoder->fault);
}

static bool read_pixels(Decoder *decoder, Image *image) {
    decoder->rows = malloc((size_t)image->height * sizeof *decoder->rows);
    if (!decoder->rows)
        return fault_set(decoder->fault, "out of memory");
    size_t stride = (size_t)image->width * (size_t)image->channels;
    for (int y = 0; y < image->height; y++)
        decoder->rows[y] = image->pixels + (size_t)y * stride;
    png_read_image(decoder->png, decoder->rows);
    png_read_end(decoder->png, NULL);
    return true;
}

bool png_decode(const uint8_t *data, size_t bytes, Image *image, Fault *fault) {
    // On the heap: what longjmp comes back to must not sit in registers.
    Decoder *decoder = calloc(1, sizeof *decoder);
    *image = (Image){0};
    if (!decoder)
        return fault_set(fault, "out of memory");
    decoder->data = data;
    decoder->bytes = bytes;
    decoder->fault = fault;
    decoder->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, decoder, on_error, on_warning);
    decoder->info = decoder->png ? png_create_info_struct(decoder->png) : NULL;
    volatile bool done = false;
    if (!decoder->info) {
        fault_set(fault, "out of memory");
    } else if (setjmp(png_jmpbuf(decoder->png)) == 0) {
        png_set_read_fn(decoder->png, decoder, read_bytes);
        done = read_header(decoder, image) && read_pixels(decoder, image);
    }
    png_destroy_read_struct(&decoder->png, &decoder->info, NULL);
    free(decoder->rows);
    free(decoder);
    if (!done)
        image_free(image);
    return done;
}
