// The specification of --postprocess, and the anchors that it may name.
#include "tools/postprocess.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/data/npy.h"

// Which results a word is about.
typedef enum { FOR_ANY, FOR_CLASSES, FOR_BOXES, FOR_SSD, PURPOSES } Purpose;
typedef struct { Postprocess made; Arena *arena; const char *anchors, *given[PURPOSES]; int functions; } Spec; // given: the last such word

static bool parse_whole(const char *text, int least, int *value) {
    char *end;
    long found = strtol(text, &end, 10);
    *value = (int)found;
    return *text && !*end && found >= least && found <= 1 << 20;
}

static bool parse_part(const char *text, float *value) {
    char *end;
    *value = strtof(text, &end);
    return *text && !*end && *value >= 0 && *value <= 1;
}

static bool parse_function(Spec *spec, ScoreFunction function, const char *text) {
    spec->made.scores = function;
    spec->functions++;
    return !text;
}
static bool parse_softmax(Spec *spec, const char *text) { return parse_function(spec, SCORES_SOFTMAX, text); }
static bool parse_sigmoid(Spec *spec, const char *text) { return parse_function(spec, SCORES_SIGMOID, text); }
static bool parse_argmax(Spec *spec, const char *text) { return spec->made.argmax = true, !text; }
static bool parse_top_k(Spec *spec, const char *text) { return text && parse_whole(text, 1, &spec->made.top_k); }
static bool parse_axis(Spec *spec, const char *text) { return text && parse_whole(text, 0, &spec->made.axis); }
static bool parse_background(Spec *spec, const char *text) { return text && parse_whole(text, 0, &spec->made.background); }
static bool parse_most(Spec *spec, const char *text) { return text && parse_whole(text, 1, &spec->made.most); }
static bool parse_score(Spec *spec, const char *text) { return text && parse_part(text, &spec->made.score); }
static bool parse_iou(Spec *spec, const char *text) { return text && parse_part(text, &spec->made.iou); }

static bool parse_output(Spec *spec, const char *text) {
    return text && *text && (spec->made.output = arena_strdup(spec->arena, text));
}

static bool parse_boxes(Spec *spec, const char *text) {
    static const char *const words[] = {[BOXES_CORNERS] = "corners", [BOXES_CENTERS] = "centers", [BOXES_SSD] = "ssd", [BOXES_YOLOX] = "yolox", [BOXES_YUNET] = "yunet"};
    for (int i = BOXES_CORNERS; text && i <= BOXES_YUNET; i++)
        if (!strcmp(text, words[i]))
            return spec->made.boxes = (BoxCoding)i, true;
    return false;
}

static bool parse_unit(Spec *spec, const char *text) {
    spec->made.relative = text && !strcmp(text, "image");
    return spec->made.relative || (text && !strcmp(text, "pixel"));
}

static bool parse_nms(Spec *spec, const char *text) {
    spec->made.per_class = text && !strcmp(text, "class");
    return spec->made.per_class || (text && !strcmp(text, "any"));
}

static bool parse_anchors(Spec *spec, const char *text) {
    return text && *text && (spec->anchors = arena_strdup(spec->arena, text));
}

static bool parse_variances(Spec *spec, const char *text) {
    for (int i = 0; i < 4; i++) {
        char *end;
        if (!text)
            return false;
        spec->made.variances[i] = strtof(text, &end);
        if (end == text || !isfinite(spec->made.variances[i]) || *end != (i < 3 ? ':' : 0))
            return false;
        text = end + 1;
    }
    return true;
}

static const struct {
    const char *key;
    bool (*parse)(Spec *spec, const char *text);
    const char *expected;
    Purpose purpose;
} rows[] = {
    {"softmax", parse_softmax, "no value", FOR_ANY},
    {"sigmoid", parse_sigmoid, "no value", FOR_ANY},
    {"top-k", parse_top_k, "how many classes", FOR_ANY},
    {"argmax", parse_argmax, "no value", FOR_ANY},
    {"output", parse_output, "the name of an output", FOR_CLASSES},
    {"axis", parse_axis, "the dimension of the classes", FOR_CLASSES},
    {"boxes", parse_boxes, "corners, centers, ssd, yolox or yunet", FOR_ANY},
    {"unit", parse_unit, "pixel or image", FOR_BOXES},
    {"anchors", parse_anchors, "an .npy file or the name of an output", FOR_SSD},
    {"variances", parse_variances, "four numbers, as 0.1:0.1:0.2:0.2", FOR_SSD},
    {"background", parse_background, "how many classes, from the first on, are none", FOR_BOXES},
    {"score", parse_score, "a number from 0 to 1", FOR_BOXES},
    {"iou", parse_iou, "a number from 0 to 1", FOR_BOXES},
    {"nms", parse_nms, "any or class", FOR_BOXES},
    {"most", parse_most, "how many boxes", FOR_BOXES},
};

static bool parse_item(Spec *spec, char *item, Fault *fault) {
    char *value = strchr(item, '=');
    if (value)
        *value++ = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(rows[i].key, item)) {
            spec->given[rows[i].purpose] = rows[i].key;
            return rows[i].parse(spec, value) || fault_set(fault, "%s: expected %s, found '%s'", item, rows[i].expected, value ? value : "");
        }
    return fault_set(fault, "unknown word '%s'; known: softmax sigmoid top-k argmax output axis boxes unit anchors variances background score iou nms most", item);
}

// Words that would change nothing.
static bool check_purposes(const Spec *spec, Fault *fault) {
    const bool boxes = spec->made.boxes != BOXES_NONE;
    if (boxes && spec->given[FOR_CLASSES])
        return fault_set(fault, "%s= says nothing about boxes; leave it out", spec->given[FOR_CLASSES]);
    if (!boxes && spec->given[FOR_BOXES])
        return fault_set(fault, "%s= is about boxes; add boxes=CODING or leave it out", spec->given[FOR_BOXES]);
    if (spec->made.boxes != BOXES_SSD && spec->given[FOR_SSD])
        return fault_set(fault, "%s= is about boxes=ssd; leave it out", spec->given[FOR_SSD]);
    return true;
}

static bool parse_spec(Arena *arena, const char *text, Spec *spec, Fault *fault) {
    *spec = (Spec){.arena = arena, .made = {.axis = -1, .score = 0.25f, .iou = 0.45f, .most = 100, .variances = {0.1f, 0.1f, 0.2f, 0.2f}}};
    char *rest = arena_strdup(arena, text);
    for (char *item; (item = strsep(&rest, ","));)
        if (*item && !parse_item(spec, item, fault))
            return false;
    const Postprocess *made = &spec->made;
    const int wanted = (made->top_k > 0) + made->argmax + (made->boxes != BOXES_NONE);
    if (wanted > 1 || (!wanted && made->scores == SCORES_AS_THEY_ARE))
        return fault_set(fault, "expected one of softmax, sigmoid, top-k=K, argmax and boxes=CODING, found '%s'", text);
    if (spec->functions > 1)
        return fault_set(fault, "expected softmax or sigmoid, not both, found '%s'", text);
    if (!check_purposes(spec, fault))
        return false;
    if (made->boxes == BOXES_SSD && !spec->anchors)
        return fault_set(fault, "boxes=ssd and anchors=FILE.npy belong together");
    return true;
}

int check_postprocess(const char *flag, const char *text) {
    Arena *arena = arena_new();
    Spec spec;
    Fault fault;
    int status = !text || parse_spec(arena, text, &spec, &fault) ? STATUS_DONE : usage_error("%s: %s", flag, fault.text);
    arena_free(arena);
    return status;
}

static bool is_array_name(const char *name) {
    size_t length = strlen(name);
    return length > 4 && (!strcmp(name + length - 4, ".npy") || !strcmp(name + length - 4, ".npz"));
}

// N x 4, or with a batch of 1 before.
static bool read_anchors(Spec *spec, Diag *diag) {
    ArrayFile file;
    Fault fault;
    if (!array_file_open(&file, spec->anchors, &fault))
        return diag_error(diag, loc_file(spec->anchors), "%s", fault.text);
    const Array *array = file.count ? &file.arrays[0] : NULL;
    const int skip = array && array->rank == 3 && array->shape[0] == 1;
    bool fits = array && array->rank == 2 + skip && array->shape[skip + 1] == 4 && array->shape[skip] <= 1 << 24;
    if (fits) {
        float *anchors = ARENA_ARRAY(spec->arena, float, array->count + 1);
        fits = array_convert(array, 0, array->count, ELEM_F32, anchors);
        spec->made.anchors = anchors;
        spec->made.anchors_type = type_tensor(spec->arena, ELEM_F32, 2, array->shape + skip);
    }
    array_file_close(&file);
    return fits || diag_error(diag, loc_file(spec->anchors), "expected an array of N x 4 numbers, the middle and size of each anchor");
}

const Postprocess *postprocess_read(Arena *arena, Diag *diag, const char *file, const char *text) {
    Spec spec;
    Fault fault;
    if (!parse_spec(arena, text, &spec, &fault))
        return diag_error(diag, loc_file(file), "--postprocess: %s", fault.text), NULL;
    if (spec.anchors && !is_array_name(spec.anchors))
        spec.made.anchors_output = spec.anchors;
    else if (spec.anchors && !read_anchors(&spec, diag))
        return NULL;
    Postprocess *made = ARENA_NEW(arena, Postprocess);
    *made = spec.made;
    return made;
}

bool model_take_postprocess(Model *model) {
    const Attr *carried = attr_find(model->imported->attrs, "qanat.postprocess");
    const char *spec = model->options->postprocess;
    if (!spec && carried && carried->kind == ATTR_STRING)
        spec = carried->s;
    if (!spec)
        return true;
    if (model->sizes.count)
        return diag_error(model->diag, loc_file(model->path), "--postprocess needs a network of one size; this one's vary");
    model->context.postprocess = postprocess_read(model->arena, model->diag, model->path, spec);
    return model->context.postprocess != NULL;
}
