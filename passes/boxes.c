// Detection: what networks say of boxes -> corners, the best class of each, and of those that overlap the best one: `most` boxes (left, top,
// right, bottom), scores and classes, of which the first `count` were found and the others are 0.
#include <math.h>

#include "passes/boxes.h"
#include "passes/rewrite.h"

// Each of 1 x boxes x something.
typedef struct { Value *corners, *scores, *points; } Candidates; // points: NULL, or places that go with a box: x, y, x, y ...

static Value *floats(Post *post, int rank, const int64_t *shape, const float *data) {
    return op_constant(&post->builder, type_tensor(post->arena, ELEM_F32, rank, shape), data, NULL);
}

static Value *scalar(Post *post, float value) {
    float *data = ARENA_NEW(post->arena, float);
    *data = value;
    return floats(post, 0, NULL, data);
}

static Value *binary(Post *post, OpKind kind, Value *a, Value *b) { return post_make(post, kind, 2, (Value *[]){a, b}, NULL); }

static Value *columns(Post *post, Value *value, int64_t from, int64_t to) {
    const int64_t *shape = value->type->shape, starts[] = {0, 0, from}, ends[] = {shape[0], shape[1], to};
    if (from == 0 && to == shape[2]) return value;
    return post_make(post, OP_slice, 1, &value, attr_ints(post->arena, attr_ints(post->arena, NULL, "ends", 3, ends), "starts", 3, starts));
}

static Value *concat(Post *post, int count, Value *const *values, int axis) {
    return count == 1 ? values[0] : post_make(post, OP_concat, count, values, attr_int(post->arena, NULL, "axis", axis));
}

static Value *around(Post *post, Value *middle, Value *half) {
    return concat(post, 2, (Value *[]){binary(post, OP_sub, middle, half), binary(post, OP_add, middle, half)}, 2);
}

// ---- the network's input

typedef struct { int64_t height, width; } Size;

// Of images: channels are 1 or 3.
static bool input_size(Post *post, Size *size) {
    const FrameInput *frame = post->context->frame;
    *size = frame ? (Size){frame->crop_height, frame->crop_width} : (Size){0, 0};
    if (frame) return true;
    const Type *type = post->func->arg_count ? post->func->args[0].type : NULL;
    if (!type || type->rank != 4) return post_fail(post, "boxes need a network whose first input is an image");
    bool first = type->shape[1] == 1 || type->shape[1] == 3;
    *size = first ? (Size){type->shape[2], type->shape[3]} : (Size){type->shape[1], type->shape[2]};
    return true;
}

// ---- decoding

// Boxes and, in another output, scores of as many.
static bool two_outputs(Post *post, Value **boxes, Value **scores) {
    *boxes = post_output_shaped(post, 3, (int64_t[]){1, -1, 4}, 0);
    *scores = NULL;
    for (int i = 0; *boxes && !*scores && i < post->count; i++) {
        Value *found = post_output_shaped(post, 3, (int64_t[]){1, (*boxes)->type->shape[1], -1}, i);
        if (found && found->type->shape[2] != 4) *scores = found;
        if (found && found->type->shape[2] == 4 && i) *scores = found; // four classes
    }
    return *scores || post_fail(post, "expected boxes of 1 x N x 4 and scores of 1 x N x classes");
}

// Or both side by side: 1 x N x (4 + classes), or that transposed.
static bool one_output(Post *post, Value **boxes, Value **scores) {
    Value *both = post->count == 1 ? post_output_shaped(post, 3, (int64_t[]){1, -1, -1}, 0) : NULL;
    if (!both) return two_outputs(post, boxes, scores);
    if (both->type->shape[1] < both->type->shape[2])
        both = post_make(post, OP_transpose, 1, &both, attr_ints(post->arena, NULL, "perm", 3, (int64_t[]){0, 2, 1}));
    if (both->type->shape[2] < 5) return post_fail(post, "expected boxes and scores, 1 x N x (4 + classes)");
    *boxes = columns(post, both, 0, 4);
    *scores = columns(post, both, 4, both->type->shape[2]);
    return true;
}

static bool plain_boxes(Post *post, Candidates *found) {
    Value *boxes;
    if (!one_output(post, &boxes, &found->scores)) return false;
    found->corners = boxes;
    if (post->spec->boxes == BOXES_CENTERS)
        found->corners = around(post, columns(post, boxes, 0, 2), binary(post, OP_mul, columns(post, boxes, 2, 4), scalar(post, 0.5f)));
    return true;
}

// middle = anchor's + code * variance * its size; size = e^(code * variance) * its size
static bool ssd_boxes(Post *post, Candidates *found) {
    const Postprocess *spec = post->spec;
    Value *codes, *anchors = spec->anchors_output ? post_output(post, spec->anchors_output) : NULL;
    if (!two_outputs(post, &codes, &found->scores)) return false;
    const int64_t shape[] = {1, codes->type->shape[1], 4}, four[] = {4};
    if (!spec->anchors_output && spec->anchors_type->shape[0] == shape[1]) anchors = floats(post, 3, shape, spec->anchors);
    if (!anchors || anchors->type->rank != 3 || anchors->type->shape[1] != shape[1] || anchors->type->shape[2] != 4)
        return post_fail(post, arena_printf(post->arena, "expected anchors of %lld x 4", (long long)shape[1]));
    codes = binary(post, OP_mul, codes, floats(post, 1, four, spec->variances));
    Value *sizes = columns(post, anchors, 2, 4);
    Value *middle = binary(post, OP_add, binary(post, OP_mul, columns(post, codes, 0, 2), sizes), columns(post, anchors, 0, 2));
    Value *half = binary(post, OP_mul, binary(post, OP_mul, post_unary(post, OP_exp, columns(post, codes, 2, 4)), sizes), scalar(post, 0.5f));
    found->corners = around(post, middle, half);
    return true;
}

enum { GRID_COUNT = 3 };
static const int strides[GRID_COUNT] = {8, 16, 32};

static int64_t cells(Size size, int stride) { return size.height / stride * (size.width / stride); }

// x and y of each cell, in cells.
static Value *grid(Post *post, Size size, int stride) {
    const int64_t count = cells(size, stride), shape[] = {1, count, 2};
    float *data = ARENA_ARRAY(post->arena, float, count * 2);
    for (int64_t i = 0; i < count; i++) {
        data[2 * i] = (float)(i % (size.width / stride));
        data[2 * i + 1] = (float)(i / (size.width / stride));
    }
    return floats(post, 3, shape, data);
}

// middle = (code + cell) * stride, size = e^code * stride
static Value *grid_boxes(Post *post, Value *codes, Size size, int stride) {
    Value *middle = binary(post, OP_mul, binary(post, OP_add, columns(post, codes, 0, 2), grid(post, size, stride)), scalar(post, (float)stride));
    Value *half = binary(post, OP_mul, post_unary(post, OP_exp, columns(post, codes, 2, 4)), scalar(post, (float)stride / 2));
    return around(post, middle, half);
}

static Value *rows(Post *post, Value *value, int64_t from, int64_t to) {
    const int64_t starts[] = {0, from, 0}, ends[] = {1, to, value->type->shape[2]};
    return post_make(post, OP_slice, 1, &value, attr_ints(post->arena, attr_ints(post->arena, NULL, "ends", 3, ends), "starts", 3, starts));
}

// One output: of each cell four numbers for the box, how sure it is that there is something, and the classes.
static bool yolox_boxes(Post *post, Size size, Candidates *found) {
    Value *all = post_output_shaped(post, 3, (int64_t[]){1, -1, -1}, 0), *corners[GRID_COUNT];
    int64_t count = 0;
    for (int i = 0; i < GRID_COUNT; i++) count += cells(size, strides[i]);
    if (!all || all->type->shape[2] < 6 || all->type->shape[1] != count)
        return post_fail(post, arena_printf(post->arena, "expected 1 x %lld x (5 + classes), the cells of strides 8, 16 and 32 of %lld x %lld pixels",
                                            (long long)count, (long long)size.height, (long long)size.width));
    int64_t first = 0;
    for (int i = 0; i < GRID_COUNT; first += cells(size, strides[i++]))
        corners[i] = grid_boxes(post, rows(post, all, first, first + cells(size, strides[i])), size, strides[i]);
    found->corners = concat(post, GRID_COUNT, corners, 1);
    found->scores = binary(post, OP_mul, columns(post, all, 5, all->type->shape[2]), columns(post, all, 4, 5));
    return true;
}

// Of each stride two outputs of one number, whose root of the product is the score, one of boxes and one of five points.
static bool yunet_boxes(Post *post, Size size, Candidates *found) {
    Value *corners[GRID_COUNT], *scores[GRID_COUNT], *points[GRID_COUNT];
    for (int i = 0; i < GRID_COUNT; i++) {
        const int64_t count = cells(size, strides[i]), one[] = {1, count, 1}, four[] = {1, count, 4}, ten[] = {1, count, 10};
        Value *a = post_output_shaped(post, 3, one, 0), *b = post_output_shaped(post, 3, one, 1);
        Value *codes = post_output_shaped(post, 3, four, 0), *places = post_output_shaped(post, 3, ten, 0);
        if (!a || !b || !codes || !places)
            return post_fail(post, arena_printf(post->arena, "expected two outputs of 1 x %lld x 1, one of 4 and one of 10, for the cells of stride %d",
                                                (long long)count, strides[i]));
        corners[i] = grid_boxes(post, codes, size, strides[i]);
        scores[i] = post_unary(post, OP_sqrt, binary(post, OP_mul, a, b));
        Value *at = grid(post, size, strides[i]);
        at = concat(post, 5, (Value *[]){at, at, at, at, at}, 2);
        points[i] = binary(post, OP_mul, binary(post, OP_add, places, at), scalar(post, (float)strides[i]));
    }
    found->corners = concat(post, GRID_COUNT, corners, 1);
    found->scores = concat(post, GRID_COUNT, scores, 1);
    found->points = concat(post, GRID_COUNT, points, 1);
    return true;
}

// ---- where they are in the frame

// A place's coordinate is that of number `from`, times `scale`, plus `shift`.
typedef struct { int64_t from; float scale, shift; } Place;

// Along one axis of the network's input, of an image of `in` elements that was made `fitted`, of which those from `start` on are kept.
static Place place_of(int from, int in, int fitted, int start, bool reversed) {
    const float scale = (float)((double)in / fitted), shift = (float)((double)start * in / fitted);
    return reversed ? (Place){from, -scale, (float)in - shift} : (Place){from, scale, shift};
}

// Pairs of x and y of the network's input to those of the frame; where an axis is reversed, a box's corners change places.
static Value *in_frame(Post *post, Value *value, bool corners) {
    const FrameInput *frame = post->context->frame;
    const bool turned = frame->turns & 1, right = frame->turns == 1 || frame->turns == 2, down = frame->turns == 2 || frame->turns == 3;
    const bool across = right != frame->mirrored, along = down != frame->upended;
    const int count = (int)value->type->shape[2];
    Place x = place_of(0, turned ? frame->frame_height : frame->frame_width, frame->width, frame->left, across);
    Place y = place_of(1, turned ? frame->frame_width : frame->frame_height, frame->height, frame->top, along);
    int64_t *order = ARENA_ARRAY(post->arena, int64_t, count), shape[] = {count};
    float *scales = ARENA_ARRAY(post->arena, float, count), *shifts = ARENA_ARRAY(post->arena, float, count);
    for (int i = 0; i < count; i++) {
        const Place *place = (i % 2 == 0) != turned ? &x : &y;
        const bool swapped = corners && (place == &x ? across : along);
        order[i] = (swapped ? (i + 2) % 4 / 2 : i / 2) * 2 + place->from;
        scales[i] = place->scale, shifts[i] = place->shift;
    }
    Value *indices = op_constant(&post->builder, type_tensor(post->arena, ELEM_I64, 1, shape), order, NULL);
    value = post_make(post, OP_gather, 2, (Value *[]){value, indices}, attr_int(post->arena, NULL, "axis", 2));
    return binary(post, OP_add, binary(post, OP_mul, value, floats(post, 1, shape, scales)), floats(post, 1, shape, shifts));
}

static void to_pixels(Post *post, Size size, Candidates *found) {
    float *factors = ARENA_ARRAY(post->arena, float, 4);
    const int64_t four[] = {4};
    for (int i = 0; i < 4; i++) factors[i] = (float)(i % 2 ? size.height : size.width);
    if (post->spec->relative) found->corners = binary(post, OP_mul, found->corners, floats(post, 1, four, factors));
    if (!post->context->frame) return;
    found->corners = in_frame(post, found->corners, true);
    if (found->points) found->points = in_frame(post, found->points, false);
}

// ---- the best ones

static Value *reshape(Post *post, Value *value, int rank, const int64_t *shape) {
    return post_make(post, OP_reshape, 1, &value, attr_ints(post->arena, NULL, "shape", rank, shape));
}

// Places (i64) of the chosen boxes; -1 where there is none. At the threshold itself a box is kept.
static Value *chosen(Post *post, Value *corners, Value *best, int64_t most) {
    const int64_t count = best->type->shape[1], shape[] = {1, 1, count};
    Value *scores = reshape(post, best, 3, shape);
    Value *order = post_make(post, OP_top_k, 1, &scores, attr_int(post->arena, NULL, "k", count));
    Attr *attrs = attr_float(post->arena, NULL, "score_threshold", (double)nextafterf(post->spec->score, -INFINITY));
    attrs = attr_int(post->arena, attr_float(post->arena, attrs, "iou_threshold", post->spec->iou), "most", most);
    return reshape(post, post_make(post, OP_non_max_suppression, 3, (Value *[]){corners, scores, order}, attrs), 1, &most);
}

// Elements of `from` (1 x boxes x ...) at the places, 0 where there is none.
static Value *taken(Post *post, Value *from, Value *places, Value *mask) {
    const int64_t shape[] = {1, mask->type->shape[0], 1};
    Value *value = post_make(post, OP_gather, 2, (Value *[]){from, places}, attr_int(post->arena, NULL, "axis", 1));
    return binary(post, OP_mul, value, reshape(post, mask, from->type->rank, shape));
}

// Boxes of different classes moved apart, to where none overlaps another's: by a power of two, which rounds least.
static Value *apart(Post *post, Size size, Value *corners, Value *class) {
    const FrameInput *frame = post->context->frame;
    const int64_t shape[] = {1, corners->type->shape[1], 1};
    int64_t side = size.height > size.width ? size.height : size.width;
    float shift = 2;
    if (frame) side = frame->frame_height > frame->frame_width ? frame->frame_height : frame->frame_width;
    while (shift < 2 * (float)side) shift *= 2;
    return binary(post, OP_add, corners, binary(post, OP_mul, reshape(post, class, 3, shape), scalar(post, shift)));
}

static void best_boxes(Post *post, Size size, const Candidates *found) {
    Arena *arena = post->arena;
    const int64_t count = found->corners->type->shape[1], most = post->spec->most < count ? post->spec->most : count, one[] = {1}, axis = 0;
    Value *best = post_make(post, OP_reduce_max, 1, &found->scores, attr_ints(arena, attr_bool(arena, NULL, "keep_dims", false), "axes", 1, (int64_t[]){2}));
    Value *class = post_make(post, OP_arg_max, 1, &found->scores, attr_int(arena, attr_bool(arena, NULL, "keep_dims", false), "axis", 2));
    class = binary(post, OP_add, post_cast(post, class, ELEM_F32), scalar(post, (float)post->spec->background));
    Value *places = chosen(post, post->spec->per_class ? apart(post, size, found->corners, class) : found->corners, best, most);
    int64_t *none = ARENA_NEW(arena, int64_t);
    *none = -1;
    Value *mask = binary(post, OP_less, op_constant(&post->builder, type_tensor(arena, ELEM_I64, 1, one), none, NULL), places);
    mask = post_cast(post, mask, ELEM_F32);
    post_give(post, taken(post, found->corners, places, mask), "boxes");
    post_give(post, taken(post, best, places, mask), "scores");
    post_give(post, post_cast(post, taken(post, class, places, mask), ELEM_I32), "classes");
    if (found->points) post_give(post, taken(post, found->points, places, mask), "points");
    Value *sum = post_make(post, OP_reduce_sum, 1, &mask, attr_ints(arena, attr_bool(arena, NULL, "keep_dims", true), "axes", 1, &axis));
    post_give(post, post_cast(post, sum, ELEM_I32), "count");
}

bool found_boxes(Post *post) {
    const Postprocess *spec = post->spec;
    Candidates found = {0};
    Size size;
    if (!input_size(post, &size)) return false;
    bool done = spec->boxes == BOXES_YOLOX   ? yolox_boxes(post, size, &found)
                : spec->boxes == BOXES_YUNET ? yunet_boxes(post, size, &found)
                : spec->boxes == BOXES_SSD   ? ssd_boxes(post, &found)
                                             : plain_boxes(post, &found);
    if (!done) return false;
    found.scores = post_scores(post, found.scores, 2);
    const int64_t classes = found.scores->type->shape[2];
    if (spec->background >= classes) return post_fail(post, arena_printf(post->arena, "background=%d of %lld classes", spec->background, (long long)classes));
    found.scores = columns(post, found.scores, spec->background, classes);
    to_pixels(post, size, &found);
    best_boxes(post, size, &found);
    return true;
}
