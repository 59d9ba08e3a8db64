// From --frame and --preprocess to what the pass frame_input does.
#include "tools/frame.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/state.h"

// Where red, green and blue lie in a pixel; or the layout of luma and chroma, of `channels` bytes a pixel in each row.
static const struct { const char *name; int channels, colors[3]; bool yuv; } formats[] = {
    {"rgb8", 3, {0, 1, 2}, false}, {"bgr8", 3, {2, 1, 0}, false}, {"rgba8", 4, {0, 1, 2}, false}, {"bgra8", 4, {2, 1, 0}, false},
    {"gray8", 1, {0, 0, 0}, false}, {"nv12", 1, {0, 1, 2}, true}, {"nv21", 1, {0, 1, 2}, true}, {"i420", 1, {0, 1, 2}, true},
    {"yv12", 1, {0, 1, 2}, true}, {"yuyv", 2, {0, 1, 2}, true}, {"uyvy", 2, {0, 1, 2}, true},
};
enum { FORMAT_COUNT = sizeof formats / sizeof *formats };

// What luma and chroma weigh: the parts of red and blue in luma, by their standard.
static const struct { const char *name; double red, blue; } matrices[] = {
    {"bt601", 0.299, 0.114}, {"bt709", 0.2126, 0.0722}, {"bt2020", 0.2627, 0.0593}};
enum { MAX_FRAME_BYTES = 1 << 30 }; // without chroma: kernels count bytes in 32 bits
enum { MATRIX_COUNT = sizeof matrices / sizeof *matrices };

typedef struct { int format, height, width, stride, matrix; bool full; } FrameSpec; // stride: bytes of a row, 0: no gaps

static bool parse_number(const char *text, char **end, int most, int *number) {
    long value = strtol(text, end, 10);
    *number = (int)value;
    return *end != text && value >= 1 && value <= most;
}

static bool parse_side(const char *text, char **end, int *side) {
    return parse_number(text, end, MAX_IMAGE_SIDE, side);
}

static bool starts_with(const char *text, const char *prefix, const char **rest) {
    size_t length = strlen(prefix);
    *rest = text + length;
    return !strncmp(text, prefix, length);
}

static bool parse_matrix(const char *text, int *matrix) {
    for (*matrix = 0; *matrix < MATRIX_COUNT; ++*matrix)
        if (!strcmp(matrices[*matrix].name, text))
            return true;
    return false;
}

// "stride=704,matrix=bt709,range=full"
static bool parse_details(const char *text, FrameSpec *spec) {
    while (*text) {
        const char *value;
        size_t length = strcspn(text, ",");
        char item[32], *end;
        if (length >= sizeof item)
            return false;
        memcpy(item, text, length);
        item[length] = 0;
        text += length + (text[length] == ',');
        if (starts_with(item, "stride=", &value)) {
            if (!parse_number(value, &end, MAX_FRAME_BYTES, &spec->stride) || *end)
                return false;
        } else if (starts_with(item, "matrix=", &value) && formats[spec->format].yuv) {
            if (!parse_matrix(value, &spec->matrix))
                return false;
        } else if (starts_with(item, "range=", &value) && formats[spec->format].yuv) {
            spec->full = !strcmp(value, "full");
            if (!spec->full && strcmp(value, "limited") != 0)
                return false;
        } else {
            return false;
        }
    }
    return true;
}

// What is wrong with its sizes; NULL: nothing. Chroma comes for two pixels each way, or beside each other, and what lies in a row is a whole
// number of these.
static const char *fault_of(const FrameSpec *spec) {
    const bool yuv = formats[spec->format].yuv;
    const int channels = formats[spec->format].channels, unit = yuv ? 2 * channels : channels;
    const int64_t row = spec->stride ? spec->stride : (int64_t)spec->width * channels;
    if (yuv && (spec->width % 2 || (channels == 1 && spec->height % 2)))
        return channels == 1 ? "two pixels each way share their chroma; expected an even height and width" : "two pixels share their chroma; expected an even width";
    if (row < spec->width * channels || row % unit)
        return yuv ? "expected a stride that holds a row, in whole pairs of pixels" : "expected a stride that holds a row, in whole pixels";
    if ((int64_t)spec->height * spec->width > MAX_IMAGE_PIXELS || row * spec->height > MAX_FRAME_BYTES)
        return "the frame is too large; expected up to 2^28 pixels, and 2^30 bytes in all their rows";
    return NULL;
}

static bool parse_frame(const char *text, FrameSpec *spec) {
    size_t length = strcspn(text, ":");
    char *end;
    *spec = (FrameSpec){0};
    for (; spec->format < FORMAT_COUNT; spec->format++)
        if (strlen(formats[spec->format].name) == length && !strncmp(formats[spec->format].name, text, length))
            break;
    return spec->format < FORMAT_COUNT && text[length] == ':' && parse_side(text + length + 1, &end, &spec->height) && *end == 'x' &&
           parse_side(end + 1, &end, &spec->width) && (!*end || *end == ',') && parse_details(end + (*end == ','), spec);
}

int check_frame(const char *flag, const char *text) {
    FrameSpec spec;
    if (!text)
        return STATUS_DONE;
    if (!parse_frame(text, &spec))
        return usage_error("%s: expected FORMAT:HEIGHTxWIDTH[,stride=BYTES][,matrix=bt601|bt709|bt2020][,range=limited|full], as rgb8:480x640, with a "
                           "format of rgb8, bgr8, rgba8, bgra8, gray8, nv12, nv21, i420, yv12, yuyv or uyvy (only the last six with a matrix and a range), "
                           "found '%s'", flag, text);
    const char *fault = fault_of(&spec);
    return fault ? usage_error("%s: %s, found '%s'", flag, fault, text) : STATUS_DONE;
}

// The matrix of nn.yuv_to_rgb: its own default for what OpenCV has, else from the parts of red and blue, rounded.
static IntList matrix_of(Arena *arena, const FrameSpec *spec) {
    if (!spec->matrix && !spec->full)
        return (IntList){0};
    const double red = matrices[spec->matrix].red, blue = matrices[spec->matrix].blue, green = 1 - red - blue;
    const double luma = 1048576.0 * (spec->full ? 1 : 255.0 / 219), chroma = 1048576.0 * (spec->full ? 1 : 255.0 / 224);
    const double factors[] = {luma, 2 * (1 - red) * chroma, -2 * red * (1 - red) / green * chroma, -2 * blue * (1 - blue) / green * chroma,
                              2 * (1 - blue) * chroma};
    int64_t *matrix = ARENA_ARRAY(arena, int64_t, 6);
    for (int i = 0; i < 5; i++)
        matrix[i] = llround(factors[i]);
    matrix[5] = spec->full ? 0 : 16;
    return (IntList){.count = 6, .data = matrix};
}

static const Type *frame_type(Arena *arena, const FrameSpec *spec) {
    const int channels = formats[spec->format].channels;
    const bool planes = formats[spec->format].yuv && channels == 1;
    const int64_t shape[] = {1, planes ? spec->height / 2 * 3 : spec->height, spec->stride ? spec->stride / channels : spec->width, channels};
    return type_tensor(arena, ELEM_U8, 4, shape);
}

static const void *tables(Arena *arena, const Preprocess *preprocess, const ImageInput *input, const Type *type) {
    size_t bytes = (size_t)elem_bits(type->elem) / 8;
    char *data = arena_alloc(arena, (size_t)input->channels * 256 * bytes);
    for (int c = 0; c < input->channels; c++) {
        uint64_t table[256];
        preprocess_table(preprocess, c, type, table);
        for (int i = 0; i < 256; i++)
            memcpy(data + ((size_t)c * 256 + (size_t)i) * bytes, &table[i], bytes);
    }
    return data;
}

static FrameInput frame_of(Arena *arena, const FrameSpec *spec, const Preprocess *preprocess, const ImageInput *input, const Type *type,
                           const Fitted *fitted) {
    return (FrameInput){.type = frame_type(arena, spec),
                        .yuv = formats[spec->format].yuv ? formats[spec->format].name : NULL,
                        .matrix = matrix_of(arena, spec),
                        .frame_height = spec->height,
                        .frame_width = spec->width,
                        .colors = formats[spec->format].colors,
                        .turns = preprocess->turns,
                        .mirrored = preprocess->mirrored,
                        .upended = preprocess->upended,
                        .kind = preprocess->filter,
                        .width = fitted->width,
                        .height = fitted->height,
                        .left = fitted->left,
                        .top = fitted->top,
                        .crop_width = fitted->crop_width,
                        .crop_height = fitted->crop_height,
                        .bgr = preprocess->color == COLOR_BGR,
                        .gray = input->channels == 1,
                        .nchw = input->layout == LAYOUT_NCHW,
                        .table = tables(arena, preprocess, input, type)};
}

const FrameInput *frame_read(Arena *arena, Diag *diag, const Module *module, const char *text, const char *spec) {
    const Func *main = module_main(module);
    FrameSpec frame;
    Preprocess preprocess;
    ImageInput input;
    Fitted fitted;
    Fault fault;
    Loc loc = loc_file(module->file);
    if (!parse_frame(text, &frame) || fault_of(&frame))
        return diag_error(diag, loc, "carries a frame '%s' that is none of FORMAT:HEIGHTxWIDTH; give --frame", text), NULL;
    if (!main || module_input_count(main->module) != 1)
        return diag_error(diag, loc, "--frame needs a network of one input, this one has %d", main ? module_input_count(main->module) : 0), NULL;
    const Type *type = main->args[0].type;
    if (!preprocess_parse(spec ? spec : "", &preprocess, &fault) || !image_input(type, &preprocess, &input, &fault) ||
        !preprocess_fit(&preprocess, &input, frame.width, frame.height, &fitted, &fault))
        return diag_error(diag, loc, "--frame %s: %s", text, fault.text), NULL;
    FrameInput *made = ARENA_NEW(arena, FrameInput);
    *made = frame_of(arena, &frame, &preprocess, &input, type, &fitted);
    return made;
}

bool model_take_frame(Model *model) {
    const Attr *carried = attr_find(model->imported->attrs, "qanat.frame");
    if (carried && carried->kind == ATTR_STRING && !model->frame)
        model->frame = carried->s;
    if (!model->frame)
        return true;
    if (model->sizes.count)
        return diag_error(model->diag, loc_file(model->path), "--frame needs a network of one size; this one's vary");
    const FrameInput *frame = frame_read(model->arena, model->diag, model->imported, model->frame, model->preprocess);
    if (!frame)
        return false;
    model->context.frame = frame;
    model->frame_input = module_main(model->imported)->args[0];
    model->frame_input.type = frame->type;
    // Image files must be frames as they are: decoded, in the frame's order of channels.
    model->data_preprocess = arena_printf(model->arena, "layout=%s,columns=%d%s", frame->yuv ? frame->yuv : "nhwc", frame->frame_width,
                                          frame->colors[0] == 2 ? ",color=bgr" : "");
    return true;
}
