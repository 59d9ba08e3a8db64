// Parses preprocessing specifications, and makes inputs of images: decode, resize, centre crop, normalise, lay out.
// Normalisation is a table of 256 values per channel, computed in double and rounded once.
#include "tools/data/preprocess.h"


#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/rounding.h"
#include "tools/data/npy.h" // shape_text

// ---- the specification

// "224" gives 224, 0; "224x192" gives width 224, height 192.
static bool parse_size(const char *text, int *width, int *height) {
    char *end;
    long w = strtol(text, &end, 10), h = 0;
    if (end == text)
        return false;
    if (*end == 'x') {
        text = end + 1;
        h = strtol(text, &end, 10);
        if (end == text || h < 1)
            return false;
    }
    *width = (int)w;
    *height = (int)h;
    return *end == 0 && w >= 1 && w <= MAX_IMAGE_SIDE && h <= MAX_IMAGE_SIDE;
}

// One number for all channels, or three with ':' between.
static bool parse_triple(const char *text, double values[3]) {
    int count = 0;
    for (;;) {
        char *end;
        double value = strtod(text, &end);
        if (end == text || !isfinite(value) || count == 3)
            return false;
        values[count++] = value;
        if (*end == 0)
            break;
        if (*end != ':')
            return false;
        text = end + 1;
    }
    if (count == 1)
        values[1] = values[2] = values[0];
    return count != 2;
}

static bool parse_word(const char *text, const char *const *words, int count, int *index) {
    for (int i = 0; i < count; i++)
        if (strcmp(text, words[i]) == 0)
            return *index = i, true;
    return false;
}

static bool parse_layout(const char *text, Preprocess *preprocess) {
    static const char *const words[] = {"nchw", "nhwc", "nv12", "nv21", "i420", "yv12", "yuyv", "uyvy"};
    int index;
    if (!parse_word(text, words, 8, &index))
        return false;
    preprocess->layout = index == 0 ? LAYOUT_NCHW : index == 1 ? LAYOUT_NHWC : LAYOUT_YUV;
    preprocess->yuv = words[index];
    return true;
}

static bool parse_filter(const char *text, Preprocess *preprocess) {
    static const char *const words[RESIZE_KINDS] = {"antialias", "linear", "nearest", "box", "hamming", "bicubic", "lanczos", "opencv-nearest",
                                                    "opencv-linear", "opencv-exact"};
    int index;
    if (!parse_word(text, words, RESIZE_KINDS, &index))
        return false;
    preprocess->filter = (ResizeKind)index;
    return true;
}

static bool parse_flip(const char *text, Preprocess *preprocess) {
    static const char *const words[] = {"horizontal", "vertical", "both"};
    int index;
    if (!parse_word(text, words, 3, &index))
        return false;
    preprocess->mirrored = index != 1;
    preprocess->upended = index != 0;
    return true;
}

static bool parse_rotate(const char *text, Preprocess *preprocess) {
    static const char *const words[] = {"0", "90", "180", "270"};
    return parse_word(text, words, 4, &preprocess->turns);
}

static bool parse_color(const char *text, Preprocess *preprocess) {
    static const char *const words[] = {"rgb", "bgr", "gray"};
    int index;
    if (!parse_word(text, words, 3, &index))
        return false;
    preprocess->color = (Color)index;
    return preprocess->color_given = true;
}

// "+LEFT+TOP"
static bool parse_place(const char *text, int *left, int *top) {
    int used = 0;
    return sscanf(text, "+%5d+%5d%n", left, top, &used) == 2 && !text[used] && strspn(text, "+0123456789") == (size_t)used && !strstr(text, "++");
}

static bool parse_crop(const char *text, Preprocess *preprocess) {
    char size[32];
    const size_t length = strcspn(text, "+");
    if (length >= sizeof size)
        return false;
    memcpy(size, text, length);
    size[length] = 0;
    preprocess->crop_placed = text[length] != 0;
    if (!parse_size(size, &preprocess->crop_width, &preprocess->crop_height) ||
        (preprocess->crop_placed && !parse_place(text + length, &preprocess->crop_left, &preprocess->crop_top)))
        return false;
    if (preprocess->crop_height == 0)
        preprocess->crop_height = preprocess->crop_width;
    return true;
}

static bool parse_std(const char *text, Preprocess *preprocess) {
    preprocess->normalised = true;
    return parse_triple(text, preprocess->std) && preprocess->std[0] != 0 && preprocess->std[1] != 0 &&
           preprocess->std[2] != 0;
}

static bool parse_scale(const char *text, Preprocess *preprocess) {
    char *end;
    preprocess->normalised = true;
    preprocess->scale = strtod(text, &end);
    return end != text && *end == 0 && isfinite(preprocess->scale);
}

static bool parse_resize(const char *text, Preprocess *preprocess) {
    return parse_size(text, &preprocess->resize_width, &preprocess->resize_height);
}

static bool parse_columns(const char *text, Preprocess *preprocess) {
    int height;
    return parse_size(text, &preprocess->columns, &height) && !height;
}

static bool parse_mean(const char *text, Preprocess *preprocess) {
    preprocess->normalised = true;
    return parse_triple(text, preprocess->mean);
}

static const struct {
    const char *key;
    bool (*parse)(const char *text, Preprocess *preprocess);
    const char *expected;
} spec_rows[] = {
    {"rotate", parse_rotate, "degrees clockwise: 0, 90, 180 or 270"},
    {"flip", parse_flip, "horizontal, vertical or both"},
    {"resize", parse_resize, "a size: N (shorter side) or WIDTHxHEIGHT"},
    {"filter", parse_filter, "antialias, linear, nearest, box, hamming, bicubic, lanczos, opencv-nearest, opencv-linear or opencv-exact"},
    {"crop", parse_crop, "a size: N, WIDTHxHEIGHT or WIDTHxHEIGHT+LEFT+TOP"},
    {"color", parse_color, "rgb, bgr or gray"},
    {"mean", parse_mean, "one number or three, as 123.675:116.28:103.53"},
    {"std", parse_std, "one number or three, not 0, as 58.395:57.12:57.375"},
    {"scale", parse_scale, "a number"},
    {"layout", parse_layout, "nchw or nhwc, or nv12, nv21, i420, yv12, yuyv or uyvy for a frame of a camera"},
    {"columns", parse_columns, "a number of columns"},
};

static bool parse_item(char *item, Preprocess *preprocess, Fault *fault) {
    char *equals = strchr(item, '=');
    if (!equals)
        return fault_set(fault, "'%s' has no value; expected key=value", item);
    *equals = 0;
    for (size_t i = 0; i < sizeof spec_rows / sizeof *spec_rows; i++)
        if (strcmp(item, spec_rows[i].key) == 0) {
            if (spec_rows[i].parse(equals + 1, preprocess))
                return true;
            return fault_set(fault, "%s: expected %s, found '%s'", item, spec_rows[i].expected, equals + 1);
        }
    return fault_set(fault, "unknown key '%s'; known: rotate flip resize filter crop color mean std scale layout columns", item);
}

bool preprocess_parse(const char *spec, Preprocess *preprocess, Fault *fault) {
    *preprocess = (Preprocess){.scale = 1, .std = {1, 1, 1}};
    char *copy = strdup(spec), *rest = copy;
    bool done = copy || fault_set(fault, "out of memory");
    for (char *item; done && (item = strsep(&rest, ","));)
        if (*item)
            done = parse_item(item, preprocess, fault);
    free(copy);
    return done;
}

// ---- the input

static bool is_channels(int64_t dim) {
    return dim == 1 || dim == 3;
}

// A frame of luma and chroma: rows of bytes, or of groups of two pixels, which nn.yuv_to_rgb takes for bytes.
static bool yuv_input(const Type *type, const Preprocess *preprocess, ImageInput *input) {
    int64_t shape[] = {0, 0, 0, 1};
    if (type->rank != 4 || type->elem != ELEM_U8) return false;
    memcpy(shape, type->shape, 3 * sizeof *shape);
    shape[2] *= type->shape[3];
    const Type frame = {.kind = type->kind, .elem = ELEM_U8, .rank = 4, .shape = shape};
    YuvPlanes planes;
    if (shape[0] != 1 || !yuv_planes(preprocess->yuv, &frame, &planes) || planes.height > MAX_IMAGE_SIDE || planes.width > MAX_IMAGE_SIDE)
        return false;
    *input = (ImageInput){(int)planes.height, (int)planes.width, 3, LAYOUT_YUV, (int)planes.width, planes};
    return true;
}

static bool take_columns(const Preprocess *preprocess, ImageInput *input, Fault *fault) {
    if (preprocess->columns > input->width)
        return fault_set(fault, "columns=%d, but the input has %d", preprocess->columns, input->width);
    if (preprocess->columns)
        input->width = preprocess->columns;
    return true;
}

bool image_input(const Type *type, const Preprocess *preprocess, ImageInput *input, Fault *fault) {
    char text[128];
    shape_text(text, sizeof text, type->elem, type->rank, type->shape);
    const int64_t *shape = type->shape;
    Layout layout = preprocess->layout;
    if (layout == LAYOUT_YUV)
        return yuv_input(type, preprocess, input) ? take_columns(preprocess, input, fault)
                                                  : fault_set(fault, "the input is %s, which is no frame of %s", text, preprocess->yuv);
    if (type->rank != 4 || shape[0] != 1)
        return fault_set(fault, "images need an input of 4 dimensions with batch 1; this one is %s", text);
    if (layout == LAYOUT_AUTO)
        layout = is_channels(shape[1]) || !is_channels(shape[3]) ? LAYOUT_NCHW : LAYOUT_NHWC;
    int64_t channels = shape[layout == LAYOUT_NCHW ? 1 : 3];
    int64_t height = shape[layout == LAYOUT_NCHW ? 2 : 1], width = shape[layout == LAYOUT_NCHW ? 3 : 2];
    if (!is_channels(channels) || height > MAX_IMAGE_SIDE || width > MAX_IMAGE_SIDE)
        return fault_set(fault, "images have 1 or 3 channels; the input is %s", text);
    if (preprocess->color_given && (preprocess->color == COLOR_GRAY) != (channels == 1))
        return fault_set(fault, "color=%s gives %d channels, the input is %s", channels == 1 ? "rgb or bgr" : "gray",
                         channels == 1 ? 3 : 1, text);
    const bool is_quantized = type->quant && type->quant->axis < 0 && type->elem == ELEM_I8;
    if (!elem_is_float(type->elem) && type->elem != ELEM_U8 && !is_quantized)
        return fault_set(fault, "images need an input of floats, u8 or quantized i8; this one is %s", text);
    *input = (ImageInput){(int)height, (int)width, (int)channels, layout, (int)width, {0}};
    return take_columns(preprocess, input, fault);
}

// The shorter side becomes `side`; the other one is cut off to a whole number, as torchvision does.
static void shorter_side(int64_t w, int64_t h, int side, int *width, int *height) {
    int64_t longer = side * (w < h ? h : w) / (w < h ? w : h);
    if (longer > MAX_IMAGE_SIDE)
        longer = MAX_IMAGE_SIDE;
    *width = w <= h ? side : (int)longer;
    *height = w <= h ? (int)longer : side;
}

bool preprocess_fit(const Preprocess *preprocess, const ImageInput *input, int width, int height, Fitted *fitted, Fault *fault) {
    bool turned = preprocess->turns & 1;
    *fitted = (Fitted){.width = turned ? height : width, .height = turned ? width : height};
    if (preprocess->resize_height)
        *fitted = (Fitted){.width = preprocess->resize_width, .height = preprocess->resize_height};
    else if (preprocess->resize_width)
        shorter_side(fitted->width, fitted->height, preprocess->resize_width, &fitted->width, &fitted->height);
    fitted->crop_width = preprocess->crop_width ? preprocess->crop_width : fitted->width;
    fitted->crop_height = preprocess->crop_width ? preprocess->crop_height : fitted->height;
    fitted->left = preprocess->crop_placed ? preprocess->crop_left : crop_start(fitted->width, fitted->crop_width);
    fitted->top = preprocess->crop_placed ? preprocess->crop_top : crop_start(fitted->height, fitted->crop_height);
    if (fitted->left < 0 || fitted->top < 0 || fitted->crop_width > fitted->width - fitted->left || fitted->crop_height > fitted->height - fitted->top)
        return fault_set(fault, preprocess->crop_placed ? "the crop of %d x %d from there on exceeds the image of %d x %d" : "the crop of %d x %d exceeds the image of %d x %d",
                         fitted->crop_width, fitted->crop_height, fitted->width, fitted->height);
    if (fitted->crop_width != input->width || fitted->crop_height != input->height)
        return fault_set(fault, "the image has %d x %d pixels, the input takes %d x %d; add resize=%dx%d to --preprocess",
                         fitted->crop_width, fitted->crop_height, input->width, input->height, input->width, input->height);
    return true;
}

// Replaces *image by what `made` holds.
static bool replace(Image *image, Image *made, bool done) {
    if (!done)
        return false;
    image_free(image);
    *image = *made;
    return true;
}

static bool fit(Image *image, const Preprocess *preprocess, const ImageInput *input, Fault *fault) {
    Image made;
    Fitted fitted;
    if (!preprocess_fit(preprocess, input, image->width, image->height, &fitted, fault))
        return false;
    if ((preprocess->turns || preprocess->mirrored || preprocess->upended) &&
        !replace(image, &made, image_turn(image, preprocess->turns, preprocess->mirrored, preprocess->upended, &made, fault)))
        return false;
    if ((fitted.width != image->width || fitted.height != image->height) &&
        !replace(image, &made, image_resize(image, preprocess->filter, fitted.width, fitted.height, &made, fault)))
        return false;
    return !preprocess->crop_width ||
           replace(image, &made, image_crop(image, fitted.left, fitted.top, fitted.crop_width, fitted.crop_height, &made, fault));
}

// A byte of an 8-bit input: normalised, with the input's own scale; or where nothing is said of that, the pixel, less 128 in i8.
static uint8_t stored_byte(const Preprocess *preprocess, const Type *type, int pixel, float value) {
    if (!type->quant || !preprocess->normalised)
        return (uint8_t)(type->elem == ELEM_I8 ? pixel - 128 : pixel);
    const Quant *quant = type->quant;
    return (uint8_t)qn_quantize(value, quant->scale[0], quant->zero_point[0], quant->storage_min, quant->storage_max);
}

void preprocess_table(const Preprocess *preprocess, int channel, const Type *type, uint64_t table[256]) {
    for (int i = 0; i < 256; i++) {
        float value = (float)((i * preprocess->scale - preprocess->mean[channel]) / preprocess->std[channel]);
        Array one = {.elem = ELEM_F32, .data = &value};
        table[i] = 0;
        if (elem_bits(type->elem) == 8)
            table[i] = stored_byte(preprocess, type, i, value);
        else
            array_convert(&one, 0, 1, type->elem, &table[i]);
    }
}

// Luma of each pixel and chroma of the upper left one that shares it, by ITU-R 601 as OpenCV's RGB2YUV_I420 has them.
static void lay_out_yuv(const Image *image, const YuvPlanes *planes, uint8_t *target) {
    static const int weights[3][3] = {{269484, 528482, 102760}, {-155188, -305135, 460324}, {460324, -385875, -74448}};
    const int offsets[] = {16 << 20, 128 << 20, 128 << 20};
    for (int64_t i = 0; i < (int64_t)image->width * image->height; i++) {
        const uint8_t *p = image->pixels + 3 * i;
        const int64_t y = i / image->width, x = i % image->width;
        const int64_t chroma = (y >> planes->chroma_shift) * planes->chroma_row + (x >> 1) * planes->chroma_step;
        const bool first = x % 2 == 0 && (y & planes->chroma_shift) == 0;
        const int64_t at[] = {planes->luma + y * planes->luma_row + x * planes->luma_step, planes->u + chroma, planes->v + chroma};
        for (int c = 0; c < (first ? 3 : 1); c++)
            target[at[c]] = (uint8_t)((weights[c][0] * p[0] + weights[c][1] * p[1] + weights[c][2] * p[2] + offsets[c] + (1 << 19)) >> 20);
    }
}

static void lay_out(const Image *image, const Preprocess *preprocess, const ImageInput *input, const Type *type,
                    void *target) {
    size_t pixels = (size_t)input->pitch * (size_t)image->height, channels = (size_t)image->channels;
    size_t bytes = (size_t)elem_bits(type->elem) / 8;
    for (size_t c = 0; c < channels; c++) {
        uint64_t table[256];
        preprocess_table(preprocess, (int)c, type, table);
        const uint8_t *from = image->pixels + (preprocess->color == COLOR_BGR ? channels - 1 - c : c);
        size_t first = input->layout == LAYOUT_NCHW ? c * pixels : c;
        size_t step = input->layout == LAYOUT_NCHW ? 1 : channels;
        for (size_t i = 0; i < (size_t)image->width * (size_t)image->height; i++) {
            size_t at = i / (size_t)image->width * (size_t)input->pitch + i % (size_t)image->width;
            memcpy((char *)target + (first + at * step) * bytes, &table[from[i * channels]], bytes);
        }
    }
}

bool preprocess_load(const char *path, const Preprocess *preprocess, const ImageInput *input, const Type *type, void *target,
                     Fault *fault) {
    Image image;
    if (!image_load(path, input->channels, &image, fault))
        return false;
    bool done = fit(&image, preprocess, input, fault);
    if (done && input->layout == LAYOUT_YUV)
        lay_out_yuv(&image, &input->planes, target);
    else if (done)
        lay_out(&image, preprocess, input, type, target);
    image_free(&image);
    return done;
}
