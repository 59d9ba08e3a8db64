// From --frame and --preprocess to what the pass frame_input does.
#include "tools/frame.h"

#include <stdlib.h>
#include <string.h>

#include "ir/state.h"

// Where red, green and blue lie in a pixel.
static const struct { const char *name; int channels, colors[3]; } formats[] = {
    {"rgb8", 3, {0, 1, 2}}, {"bgr8", 3, {2, 1, 0}}, {"rgba8", 4, {0, 1, 2}}, {"bgra8", 4, {2, 1, 0}}, {"gray8", 1, {0, 0, 0}},
};
enum { FORMAT_COUNT = sizeof formats / sizeof *formats };

typedef struct { int format, height, width; } FrameSpec;

static bool parse_side(const char *text, char **end, int *side) {
    long value = strtol(text, end, 10);
    *side = (int)value;
    return *end != text && value >= 1 && value <= MAX_IMAGE_SIDE;
}

static bool parse_frame(const char *text, FrameSpec *spec) {
    size_t length = strcspn(text, ":");
    char *end;
    for (spec->format = 0; spec->format < FORMAT_COUNT; spec->format++)
        if (strlen(formats[spec->format].name) == length && !strncmp(formats[spec->format].name, text, length))
            break;
    return spec->format < FORMAT_COUNT && text[length] == ':' && parse_side(text + length + 1, &end, &spec->height) && *end == 'x' &&
           parse_side(end + 1, &end, &spec->width) && !*end &&
           (int64_t)spec->height * spec->width <= MAX_IMAGE_PIXELS;
}

int check_frame(const char *flag, const char *text) {
    FrameSpec spec;
    if (!text || parse_frame(text, &spec))
        return STATUS_DONE;
    return usage_error("%s: expected FORMAT:HEIGHTxWIDTH, as rgb8:480x640, with a format of rgb8, bgr8, rgba8, bgra8 or gray8, found '%s'",
                       flag, text);
}

static const void *tables(Arena *arena, const Preprocess *preprocess, const ImageInput *input, Elem elem) {
    size_t bytes = (size_t)elem_bits(elem) / 8;
    char *data = arena_alloc(arena, (size_t)input->channels * 256 * bytes);
    for (int c = 0; c < input->channels; c++) {
        uint64_t table[256];
        preprocess_table(preprocess, c, elem, table);
        for (int i = 0; i < 256; i++)
            memcpy(data + ((size_t)c * 256 + (size_t)i) * bytes, &table[i], bytes);
    }
    return data;
}

static FrameInput frame_of(Arena *arena, const FrameSpec *spec, const Preprocess *preprocess, const ImageInput *input, Elem elem,
                           const Fitted *fitted) {
    int64_t shape[] = {1, spec->height, spec->width, formats[spec->format].channels};
    return (FrameInput){.type = type_tensor(arena, ELEM_U8, 4, shape),
                        .colors = formats[spec->format].colors,
                        .turns = preprocess->turns,
                        .mirrored = preprocess->mirrored,
                        .upended = preprocess->upended,
                        .kind = preprocess->filter,
                        .width = fitted->width,
                        .height = fitted->height,
                        .left = crop_start(fitted->width, fitted->crop_width),
                        .top = crop_start(fitted->height, fitted->crop_height),
                        .crop_width = fitted->crop_width,
                        .crop_height = fitted->crop_height,
                        .bgr = preprocess->color == COLOR_BGR,
                        .gray = input->channels == 1,
                        .nchw = input->layout == LAYOUT_NCHW,
                        .table = tables(arena, preprocess, input, elem)};
}

const FrameInput *frame_read(Arena *arena, Diag *diag, const Module *module, const char *text, const char *spec) {
    const Func *main = module_main(module);
    FrameSpec frame;
    Preprocess preprocess;
    ImageInput input;
    Fitted fitted;
    Fault fault;
    Loc loc = loc_file(module->file);
    if (!parse_frame(text, &frame))
        return diag_error(diag, loc, "carries a frame '%s' that is none of FORMAT:HEIGHTxWIDTH; give --frame", text), NULL;
    if (!main || module_input_count(main->module) != 1)
        return diag_error(diag, loc, "--frame needs a network of one input, this one has %d", main ? module_input_count(main->module) : 0), NULL;
    const Type *type = main->args[0].type;
    if (!preprocess_parse(spec ? spec : "", &preprocess, &fault) || !image_input(type, &preprocess, &input, &fault) ||
        !preprocess_fit(&preprocess, &input, frame.width, frame.height, &fitted, &fault))
        return diag_error(diag, loc, "--frame %s: %s", text, fault.text), NULL;
    FrameInput *made = ARENA_NEW(arena, FrameInput);
    *made = frame_of(arena, &frame, &preprocess, &input, type->elem, &fitted);
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
    model->data_preprocess = frame->colors[0] == 2 ? "layout=nhwc,color=bgr" : "layout=nhwc";
    return true;
}
