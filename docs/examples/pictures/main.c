// Shows what a network makes of a photograph: the picture that it gives (cartoons, styles), the class of each pixel as colours over the
// photograph (segmentation), or points on it (faces, hands). Which, the output's shape tells. For any compiled model with an input
// [1, H, W, 3]:
//
//   qanat compile network.tflite --name picture -o picture.o
//   cc -O2 -I. main.c picture.o -lm -o picture
//   djpeg photo.jpg | ./picture [MEAN STD] > result.ppm
//
// Reads and writes PPM (P6). Pixels 0..255 become (pixel - MEAN) / STD, default 127.5 both; integers of a quantized input follow from its scale.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "picture.h"

typedef struct { int width, height; unsigned char *rgb; } Image;

enum { CHANNELS = 3, MAX_SIDE = 1 << 14 };

static void fail(const char *what) {
    fprintf(stderr, "picture: error: %s\n", what);
    exit(1);
}

static void *memory(size_t bytes) {
    void *found = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!found) fail("out of memory");
    return memset(found, 0, (bytes + 63) / 64 * 64);
}

// ---- files

static int read_number(FILE *in) {
    int c = getc(in), value = 0;
    while (c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '#') {
        if (c == '#')
            while (c != '\n' && c != EOF) c = getc(in);
        c = getc(in);
    }
    for (; c >= '0' && c <= '9' && value <= MAX_SIDE; c = getc(in)) value = value * 10 + (c - '0');
    return value;
}

static Image read_ppm(FILE *in) {
    if (getc(in) != 'P' || getc(in) != '6') fail("the standard input is no PPM picture (P6)");
    Image image = {.width = read_number(in), .height = read_number(in)};
    if (read_number(in) != 255 || image.width < 1 || image.height < 1 || image.width > MAX_SIDE || image.height > MAX_SIDE)
        fail("a PPM picture of 8 bits and at most 16384 pixels a side is needed");
    size_t bytes = (size_t)image.width * (size_t)image.height * CHANNELS;
    image.rgb = memory(bytes);
    if (fread(image.rgb, 1, bytes, in) != bytes) fail("the picture is cut off");
    return image;
}

static void write_ppm(const Image *image) {
    size_t bytes = (size_t)image->width * (size_t)image->height * CHANNELS;
    if (printf("P6\n%d %d\n255\n", image->width, image->height) < 0 || fwrite(image->rgb, 1, bytes, stdout) != bytes || fflush(stdout))
        fail("the picture can't be written");
}

// ---- numbers of a tensor

static double get(const struct qn_tensor *tensor, const void *data, size_t i) {
    double scale = tensor->scale > 0 ? tensor->scale : 1, zero = tensor->scale > 0 ? tensor->zero_point : 0;
    switch (tensor->type) {
    case QN_F32: return ((const float *)data)[i];
    case QN_I8: return scale * (((const int8_t *)data)[i] - zero);
    case QN_U8: return scale * (((const uint8_t *)data)[i] - zero);
    case QN_I32: return ((const int32_t *)data)[i];
    case QN_I64: return (double)((const int64_t *)data)[i];
    default: fail("an output of this type can't be shown"); return 0;
    }
}

static void put(const struct qn_tensor *tensor, void *data, size_t i, double value) {
    double scale = tensor->scale > 0 ? tensor->scale : 1, stored = rint(value / scale) + (tensor->scale > 0 ? tensor->zero_point : 0);
    switch (tensor->type) {
    case QN_F32: ((float *)data)[i] = (float)value; return;
    case QN_I8: ((int8_t *)data)[i] = (int8_t)fmax(-128, fmin(127, stored)); return;
    case QN_U8: ((uint8_t *)data)[i] = (uint8_t)fmax(0, fmin(255, stored)); return;
    default: fail("an input of f32, i8 or u8 is needed");
    }
}

static unsigned char byte_of(double value) { return (unsigned char)fmax(0, fmin(255, rint(value))); }

// ---- pictures

// Bilinear: the value at the middle of pixel (x, y) of a picture of width x height.
static double sample(const Image *image, int x, int y, int width, int height, int channel) {
    double at_x = fmax(0, (x + 0.5) * image->width / width - 0.5), at_y = fmax(0, (y + 0.5) * image->height / height - 0.5);
    int left = (int)at_x, top = (int)at_y, right = left + 1 < image->width ? left + 1 : left, low = top + 1 < image->height ? top + 1 : top;
    double part_x = at_x - left, part_y = at_y - top;
    const unsigned char *upper = image->rgb + (size_t)top * image->width * CHANNELS, *lower = image->rgb + (size_t)low * image->width * CHANNELS;
    double above = upper[left * CHANNELS + channel] * (1 - part_x) + upper[right * CHANNELS + channel] * part_x;
    double below = lower[left * CHANNELS + channel] * (1 - part_x) + lower[right * CHANNELS + channel] * part_x;
    return above * (1 - part_y) + below * part_y;
}

static Image resized(const Image *image, int width, int height) {
    Image result = {width, height, memory((size_t)width * height * CHANNELS)};
    for (int i = 0; i < width * height * CHANNELS; i++)
        result.rgb[i] = byte_of(sample(image, i / CHANNELS % width, i / CHANNELS / width, width, height, i % CHANNELS));
    return result;
}

// The network's own picture, in the range of its input.
static void show_picture(const struct qn_tensor *output, const void *data, double mean, double std, Image *image) {
    *image = (Image){(int)output->shape[2], (int)output->shape[1], memory((size_t)(output->shape[1] * output->shape[2]) * CHANNELS)};
    for (size_t i = 0; i < (size_t)(image->width * image->height * CHANNELS); i++) image->rgb[i] = byte_of(get(output, data, i) * std + mean);
}

// Half the class's colour, half the photograph; class 0 is the background.
static void show_classes(const struct qn_tensor *output, const void *data, Image *image) {
    int height = (int)output->shape[1], width = (int)output->shape[2], channels = output->rank == 4 ? (int)output->shape[3] : 1;
    *image = resized(image, width, height);
    for (int i = 0; i < width * height; i++) {
        int class = channels == 1 ? (int)fmax(0, fmin(MAX_SIDE, rint(get(output, data, (size_t)i)))) : 0;
        for (int c = 1; c < channels; c++)
            if (get(output, data, (size_t)i * channels + c) > get(output, data, (size_t)i * channels + class)) class = c;
        for (int c = 0; class > 0 && c < CHANNELS; c++) { // bits of the class, the lowest ones in the highest bits of the colour
            int colour = 0;
            for (int bit = 0; bit < 3; bit++) colour |= (class >> (3 * bit + c) & 1) << (7 - bit);
            unsigned char *pixel = &image->rgb[i * CHANNELS + c];
            *pixel = (unsigned char)((*pixel + colour) / 2);
        }
    }
}

// Threes of x, y and depth, in pixels of the network's input.
static void show_points(const struct qn_tensor *output, const void *data, size_t count, int width, int height, Image *image) {
    for (size_t i = 0; i < count; i++) {
        double at_x = get(output, data, 3 * i) * image->width / width, at_y = get(output, data, 3 * i + 1) * image->height / height;
        if (!(fabs(at_x) <= 2 * MAX_SIDE && fabs(at_y) <= 2 * MAX_SIDE)) continue; // no place in a picture
        int x = (int)at_x, y = (int)at_y;
        int size = 1 + image->width / 400;
        for (int dy = -size; dy <= size; dy++)
            for (int dx = -size; dx <= size; dx++)
                if (x + dx >= 0 && x + dx < image->width && y + dy >= 0 && y + dy < image->height)
                    memcpy(image->rgb + ((size_t)(y + dy) * image->width + (size_t)(x + dx)) * CHANNELS, "\0\377\140", CHANNELS);
    }
}

static size_t count_of(const struct qn_tensor *tensor) {
    size_t count = 1;
    for (int i = 0; i < tensor->rank; i++) count *= (size_t)tensor->shape[i];
    return count;
}

static void show(const struct qn_tensor *input, const struct qn_tensor *output, const void *data, double mean, double std, Image *image) {
    size_t count = count_of(output);
    if (output->rank == 4 && output->shape[3] == CHANNELS && output->shape[1] > 1) show_picture(output, data, mean, std, image);
    else if (output->rank >= 3 && output->shape[1] > 1 && output->shape[2] > 1 && (output->rank == 4 || output->type != QN_F32)) show_classes(output, data, image);
    else if (count % 3 == 0 && count >= 15) show_points(output, data, count / 3, (int)input->shape[2], (int)input->shape[1], image);
    else fail("the first output is no picture, no classes of pixels and no points");
}

int main(int argc, char **argv) {
    const struct qn_model *model = &picture_info;
    const struct qn_tensor *input = &model->inputs[0];
    if (argc != 1 && argc != 3) fail("usage: picture [MEAN STD] < photo.ppm > result.ppm");
    double mean = argc == 3 ? atof(argv[1]) : 127.5, std = argc == 3 ? atof(argv[2]) : 127.5;
    if (!(std > 0)) fail("STD must be larger than 0");
    if (model->input_count != 1 || input->rank != 4 || input->shape[3] != CHANNELS) fail("a network with one input [1, H, W, 3] is needed");
    Image photo = read_ppm(stdin);
    void *arena = memory(model->arena_bytes(1)), *data = memory(input->bytes), **outputs = memory(sizeof(void *) * (size_t)model->output_count);
    int width = (int)input->shape[2], height = (int)input->shape[1];
    for (int i = 0; i < width * height * CHANNELS; i++)
        put(input, data, (size_t)i, (sample(&photo, i / CHANNELS % width, i / CHANNELS / width, width, height, i % CHANNELS) - mean) / std);
    for (int i = 0; i < model->output_count; i++) outputs[i] = memory(model->outputs[i].bytes);
    const void *inputs[] = {data};
    if (model->init(arena, NULL) || model->run(arena, inputs, outputs, NULL)) fail("this processor lacks what the model was compiled for");
    show(input, &model->outputs[0], outputs[0], mean, std, &photo);
    write_ppm(&photo);
    return 0;
}
