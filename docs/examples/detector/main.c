// Draws what a detector finds into a picture: a box around each thing, and its points where there are some (eyes, nose, corners of the
// mouth). For any model that takes frames of rgb8 and gives boxes, that is, compiled with --frame and --postprocess boxes=…:
//
//   qanat compile network.onnx --name detector -o detector.o --frame rgb8:480x640 --preprocess resize=416x416,… --postprocess boxes=…
//   cc -O2 -I. main.c detector.o -lm -o detector
//   djpeg photo.jpg | ./detector > result.ppm
//
// Reads and writes PPM (P6) of the frame's size. What is found is listed on the standard error: class, score and place.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detector.h"

typedef struct { int width, height; unsigned char *rgb; } Image;
enum { CHANNELS = 3 };

static void fail(const char *what) {
    fprintf(stderr, "detector: error: %s\n", what);
    exit(1);
}

static void *memory(size_t bytes) {
    void *found = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!found) fail("out of memory");
    return memset(found, 0, (bytes + 63) / 64 * 64);
}

// ---- files

static void read_ppm(FILE *in, const Image *image) {
    int width, height, most;
    if (fscanf(in, "P6 %d %d %d", &width, &height, &most) != 3 || most != 255 || getc(in) == EOF) fail("the standard input is no PPM picture (P6) of 8 bits");
    if (width != image->width || height != image->height) {
        fprintf(stderr, "detector: error: the picture has %d x %d pixels, the model takes %d x %d\n", width, height, image->width, image->height);
        exit(1);
    }
    size_t bytes = (size_t)width * (size_t)height * CHANNELS;
    if (fread(image->rgb, 1, bytes, in) != bytes) fail("the picture is cut off");
}

static void write_ppm(const Image *image) {
    size_t bytes = (size_t)image->width * (size_t)image->height * CHANNELS;
    if (printf("P6\n%d %d\n255\n", image->width, image->height) < 0 || fwrite(image->rgb, 1, bytes, stdout) != bytes || fflush(stdout))
        fail("the picture can't be written");
}

// ---- drawing

static void put(const Image *image, int x, int y, const unsigned char *colour) {
    if (x >= 0 && y >= 0 && x < image->width && y < image->height) memcpy(&image->rgb[((size_t)y * image->width + x) * CHANNELS], colour, CHANNELS);
}

static void fill(const Image *image, const int rect[4], const unsigned char *colour) {
    for (int y = rect[1]; y < rect[3]; y++)
        for (int x = rect[0]; x < rect[2]; x++) put(image, x, y, colour);
}

// A whole number within the picture or just outside; of what is no number too.
static int pixel(float value, int size) { return !(value > -9) ? -9 : value > (float)size + 9 ? size + 9 : (int)value; }

static void draw_box(const Image *image, const float *box, const unsigned char *colour) {
    const int left = pixel(box[0], image->width), top = pixel(box[1], image->height), wide = 1 + image->width / 200;
    const int right = pixel(box[2], image->width), low = pixel(box[3], image->height);
    fill(image, (int[]){left, top, right, top + wide}, colour);
    fill(image, (int[]){left, low - wide, right, low}, colour);
    fill(image, (int[]){left, top, left + wide, low}, colour);
    fill(image, (int[]){right - wide, top, right, low}, colour);
}

static void draw_points(const Image *image, const float *points, const unsigned char *colour) {
    const int wide = 1 + image->width / 200;
    for (int i = 0; i < 5; i++) {
        const int x = pixel(points[2 * i], image->width), y = pixel(points[2 * i + 1], image->height);
        fill(image, (int[]){x - wide, y - wide, x + wide + 1, y + wide + 1}, colour);
    }
}

// ---- the model

// The output of that name; NULL where there is none.
static const void *output(const struct qn_model *model, void **outputs, const char *name) {
    for (int i = 0; i < model->output_count; i++)
        if (!strcmp(model->outputs[i].name, name)) return outputs[i];
    return NULL;
}

static void show(const struct qn_model *model, void **outputs, const Image *image) {
    static const unsigned char colours[][CHANNELS] = {{255, 40, 40}, {40, 220, 40}, {60, 90, 255}, {255, 220, 0}, {255, 0, 255}, {0, 230, 230}};
    const float *boxes = output(model, outputs, "boxes"), *scores = output(model, outputs, "scores"), *points = output(model, outputs, "points");
    const int32_t *classes = output(model, outputs, "classes"), *count = output(model, outputs, "count");
    if (!boxes || !scores || !classes || !count) fail("a model with --postprocess boxes=... is needed");
    for (int i = 0; i < *count; i++) {
        const float *box = &boxes[4 * i];
        const unsigned char *colour = colours[(unsigned)classes[i] % (sizeof colours / sizeof *colours)];
        fprintf(stderr, "class %d  %.2f  %.0f %.0f %.0f %.0f\n", (int)classes[i], (double)scores[i], (double)box[0], (double)box[1], (double)box[2], (double)box[3]);
        draw_box(image, box, colour);
        if (points) draw_points(image, &points[10 * i], colours[1]);
    }
}

int main(void) {
    const struct qn_model *model = &detector_info;
    const struct qn_tensor *input = &model->inputs[0];
    if (model->input_count != 1 || input->rank != 4 || input->type != QN_U8 || input->shape[3] != CHANNELS) fail("a model with --frame rgb8:HxW is needed");
    Image image = {(int)input->shape[2], (int)input->shape[1], memory(input->bytes)};
    void *arena = memory(model->arena_bytes(1)), **outputs = memory(sizeof(void *) * (size_t)model->output_count);
    for (int i = 0; i < model->output_count; i++) outputs[i] = memory(model->outputs[i].bytes);
    read_ppm(stdin, &image);
    const void *inputs[] = {image.rgb};
    if (model->init(arena, NULL) || model->run(arena, inputs, outputs, NULL)) fail("this processor lacks what the model was compiled for");
    show(model, outputs, &image);
    write_ppm(&image);
    return 0;
}
