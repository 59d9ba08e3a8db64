// JPEG by libjpeg-turbo: accurate integer inverse DCT and smooth chroma upsampling, which are Pillow's settings, so the
// pixels are Pillow's to the byte. libjpeg leaves by longjmp on errors; damage that it only warns of is an error here.
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jerror.h>
#include <jpeglib.h>

#include "tools/data/image.h"

typedef struct {
    struct jpeg_error_mgr manager; // first: libjpeg passes its address
    jmp_buf leave;
    Fault *fault;
} ErrorHandler;

typedef struct {
    struct jpeg_decompress_struct info;
    ErrorHandler errors;
    uint8_t *cmyk_row;
} Decoder;

static void on_error(j_common_ptr info) {
    ErrorHandler *errors = (ErrorHandler *)info->err;
    char text[JMSG_LENGTH_MAX];
    errors->manager.format_message(info, text);
    fault_set(errors->fault, "broken JPEG: %s", text);
    longjmp(errors->leave, 1);
}

// Warnings are level -1. Lost data gives gray blocks, which nobody wants to calibrate on; stray bytes do no harm.
static void on_message(j_common_ptr info, int level) {
    int code = info->err->msg_code;
    if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE ||
                      code == JWRN_BOGUS_PROGRESSION || code == JWRN_MUST_RESYNC))
        on_error(info);
}

static void no_output(j_common_ptr info) {
    (void)info;
}

static int multiply_255(int a, int b) { // a * b / 255, rounded
    int product = a * b + 128;
    return ((product >> 8) + product) >> 8;
}

// Adobe's convention: the four planes are stored inverted.
static void cmyk_to_rgb(const uint8_t *cmyk, uint8_t *rgb, int width) {
    for (int x = 0; x < width; x++)
        for (int c = 0; c < 3; c++) {
            int light = cmyk[4 * x + 3];
            rgb[3 * x + c] = (uint8_t)(light - multiply_255(255 - cmyk[4 * x + c], light));
        }
}

static void read_rows(Decoder *decoder, Image *image) {
    struct jpeg_decompress_struct *info = &decoder->info;
    bool cmyk = info->out_color_space == JCS_CMYK;
    size_t stride = (size_t)image->width * (size_t)image->channels;
    while (info->output_scanline < info->output_height) {
        uint8_t *row = image->pixels + info->output_scanline * stride;
        JSAMPROW target = cmyk ? decoder->cmyk_row : row;
        jpeg_read_scanlines(info, &target, 1);
        if (cmyk)
            cmyk_to_rgb(decoder->cmyk_row, row, image->width);
    }
}

static bool start(Decoder *decoder, const uint8_t *data, size_t bytes, Image *image, Fault *fault) {
    struct jpeg_decompress_struct *info = &decoder->info;
    jpeg_create_decompress(info);
    jpeg_mem_src(info, data, (unsigned long)bytes);
    jpeg_read_header(info, TRUE);
    info->dct_method = JDCT_ISLOW;
    if (info->num_components == 4)
        info->out_color_space = JCS_CMYK;
    else
        info->out_color_space = info->num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
    if (!image_alloc(image, (int)info->image_width, (int)info->image_height, info->num_components == 1 ? 1 : 3,
                     fault))
        return false;
    jpeg_start_decompress(info);
    if (info->out_color_space == JCS_CMYK) {
        decoder->cmyk_row = malloc((size_t)image->width * 4);
        if (!decoder->cmyk_row)
            return fault_set(fault, "out of memory");
    }
    return true;
}

bool jpeg_decode(const uint8_t *data, size_t bytes, Image *image, Fault *fault) {
    // On the heap: what longjmp comes back to must not sit in registers.
    Decoder *decoder = calloc(1, sizeof *decoder);
    *image = (Image){0};
    if (!decoder)
        return fault_set(fault, "out of memory");
    decoder->info.err = jpeg_std_error(&decoder->errors.manager);
    decoder->errors.manager.error_exit = on_error;
    decoder->errors.manager.emit_message = on_message;
    decoder->errors.manager.output_message = no_output;
    decoder->errors.fault = fault;
    volatile bool done = false;
    if (setjmp(decoder->errors.leave) == 0 && start(decoder, data, bytes, image, fault)) {
        read_rows(decoder, image);
        jpeg_finish_decompress(&decoder->info);
        done = true;
    }
    jpeg_destroy_decompress(&decoder->info);
    free(decoder->cmyk_row);
    free(decoder);
    if (!done)
        image_free(image);
    return done;
}
