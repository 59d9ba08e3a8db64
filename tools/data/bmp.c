// Decoding BMP: not compressed, of 8 bits with a palette, 24 or 32; the fourth byte of a pixel is dropped.
#include <stdlib.h>
#include <string.h>

#include "tools/data/image.h"

enum { FILE_HEADER = 14, INFO_HEADER = 40, PALETTE_COLORS = 256 };

typedef struct {
    int width, height, bits;
    bool upward; // the last row comes first
    size_t pixels, row;
    uint8_t palette[PALETTE_COLORS][4]; // blue, green, red; black where the file has none
} Header;

static uint32_t read_u32(const uint8_t *data) { return data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24; }

static bool has_plain_masks(const uint8_t *data, size_t bytes) {
    return bytes >= FILE_HEADER + INFO_HEADER + 12 && read_u32(data + 54) == 0xFF0000 && read_u32(data + 58) == 0xFF00 && read_u32(data + 62) == 0xFF;
}

static bool read_header(const uint8_t *data, size_t bytes, Header *header, Fault *fault) {
    if (bytes < FILE_HEADER + INFO_HEADER || read_u32(data + 14) < INFO_HEADER || read_u32(data + 14) > 1024)
        return fault_set(fault, "broken BMP: the header is cut off, or of an old form");
    const uint32_t compression = read_u32(data + 30), header_bytes = read_u32(data + 14);
    const int32_t width = (int32_t)read_u32(data + 18), height = (int32_t)read_u32(data + 22);
    *header = (Header){.bits = data[28] | data[29] << 8, .upward = height > 0, .pixels = read_u32(data + 10)};
    if ((compression && !(compression == 3 && header->bits == 32 && has_plain_masks(data, bytes))) ||
        (header->bits != 8 && header->bits != 24 && header->bits != 32))
        return fault_set(fault, "a BMP of %d bits and compression %u is not supported; convert it to PNG", header->bits, compression);
    if (width < 1 || height == 0 || width > MAX_IMAGE_SIDE || height > MAX_IMAGE_SIDE || height < -MAX_IMAGE_SIDE)
        return fault_set(fault, "an image of %d x %d pixels is not supported", width, height);
    header->width = width;
    header->height = height < 0 ? -height : height;
    header->row = ((size_t)width * (size_t)header->bits / 8 + 3) / 4 * 4;
    if (header->pixels > bytes || header->row * (size_t)header->height > bytes - header->pixels)
        return fault_set(fault, "broken BMP: the file ends before the pixels do");
    const size_t palette = FILE_HEADER + header_bytes, most = palette < bytes ? bytes - palette : 0, size = sizeof header->palette;
    if (header->bits == 8)
        memcpy(header->palette, data + (most ? palette : 0), most < size ? most : size);
    return true;
}

bool bmp_decode(const uint8_t *data, size_t bytes, Image *image, Fault *fault) {
    Header header;
    if (!read_header(data, bytes, &header, fault) || !image_alloc(image, header.width, header.height, 3, fault))
        return false;
    const size_t width = (size_t)header.width, height = (size_t)header.height, step = (size_t)header.bits / 8;
    for (size_t i = 0; i < width * height; i++) {
        const size_t y = i / width, row = header.upward ? height - 1 - y : y;
        const uint8_t *from = data + header.pixels + row * header.row + i % width * step;
        if (header.bits == 8)
            from = header.palette[*from];
        for (size_t c = 0; c < 3; c++)
            image->pixels[3 * i + c] = from[2 - c];
    }
    return true;
}
