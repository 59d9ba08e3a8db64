// TFLite_Detection_PostProcess: boxes from their encodings by anchors, then non-maximum suppression over the best class of
// each. Results that are not filled are 0.
#include <math.h>

#include "frontend/tflite/flexbuffer.h"
#include "frontend/tflite/importer.h"

typedef struct {
    int64_t most, classes, offset; // offset: of the first class, behind the background
    double iou, score, scales[4];  // y, x, h, w
} Detection;

static double option(const LiteOp *op, const char *key, double fallback) {
    FlatVector options = flat_vector(op->table, FLAT_Operator_custom_options);
    double value;
    return options.count && flex_number(flat_vector_data(options), options.count, key, &value) && isfinite(value) ? value : fallback;
}

static bool read_detection(const LiteOp *op, const Type *boxes, const Type *scores, const Type *anchors, Detection *d) {
    static const char *const scales[] = {"y_scale", "x_scale", "h_scale", "w_scale"};
    for (int i = 0; i < 4; i++)
        if (!((d->scales[i] = option(op, scales[i], 0)) > 0)) return lite_error(op, "its %s is missing or not positive", scales[i]);
    double most = option(op, "max_detections", -1), classes = option(op, "num_classes", -1), each = option(op, "max_classes_per_detection", 1);
    d->iou = option(op, "nms_iou_threshold", -1), d->score = option(op, "nms_score_threshold", 0);
    if (option(op, "use_regular_nms", 0) != 0) return lite_error(op, "use_regular_nms is not supported; suppression over the best class of each box is");
    if (each != 1) return lite_error(op, "max_classes_per_detection is %g; 1 is supported", each);
    if (boxes->rank != 3 || scores->rank != 3 || anchors->rank != 2 || boxes->shape[0] != 1 || scores->shape[0] != 1 || boxes->shape[2] != 4 ||
        anchors->shape[1] != 4 || anchors->shape[0] != boxes->shape[1] || scores->shape[1] != boxes->shape[1])
        return lite_error(op, "its boxes, scores and anchors do not fit each other");
    if (!(most >= 1 && most <= (double)boxes->shape[1]) || !(classes >= 1 && classes <= (double)scores->shape[2]))
        return lite_error(op, "its max_detections or num_classes do not fit its inputs");
    if (!(d->iou > 0 && d->iou <= 1)) return lite_error(op, "its nms_iou_threshold is %g, expected above 0 and at most 1", d->iou);
    d->most = (int64_t)most, d->classes = (int64_t)classes, d->offset = scores->shape[2] - d->classes;
    return true;
}

static Value *two(const LiteOp *op, OpKind kind, Value *a, Value *b) { return a && b ? lite_binary(op, kind, a, b) : NULL; }

static Value *columns(const LiteOp *op, Value *input, int64_t from, int64_t to) {
    int64_t starts[3] = {0}, ends[3] = {input->type->shape[0], input->type->shape[1], input->type->shape[2]};
    starts[2] = from, ends[2] = to;
    return lite_slice(op, input, starts, ends, NULL);
}

// y, x, h, w to the corners y - h / 2, x - w / 2, y + h / 2, x + w / 2.
static Value *decoded(const LiteOp *op, const Detection *d, Value *codes, Value *anchors) {
    const float near[] = {(float)d->scales[0], (float)d->scales[1]}, size[] = {(float)d->scales[2], (float)d->scales[3]};
    anchors = lite_reshape(op, anchors, 3, (int64_t[]){1, anchors->type->shape[0], 4});
    if (!anchors) return NULL;
    Value *sizes = columns(op, anchors, 2, 4), *center = two(op, OP_div, columns(op, codes, 0, 2), lite_floats(op, 1, (int64_t[]){2}, near));
    center = two(op, OP_add, two(op, OP_mul, center, sizes), columns(op, anchors, 0, 2));
    Value *half = two(op, OP_div, columns(op, codes, 2, 4), lite_floats(op, 1, (int64_t[]){2}, size));
    half = half ? two(op, OP_mul, lite_unary(op, OP_exp, half, NULL), lite_scalar(op, 0.5)) : NULL;
    half = two(op, OP_mul, half, sizes);
    Value *corners[] = {two(op, OP_sub, center, half), two(op, OP_add, center, half)};
    return corners[0] && corners[1] ? lite_concat(op, 2, corners, 2) : NULL;
}

// Places (i64, `most`) of the chosen boxes; -1 where there is none.
static Value *chosen(const LiteOp *op, const Detection *d, Value *boxes, Value *best) {
    Arena *arena = op->lite->arena;
    int64_t count = best->type->shape[1], shape[] = {1, 1, count};
    Value *scores = lite_reshape(op, best, 3, shape);
    Value *order = scores ? lite_unary(op, OP_top_k, scores, attr_int(arena, NULL, "k", count)) : NULL;
    // At the threshold itself a box is kept.
    Attr *attrs = attr_float(arena, NULL, "score_threshold", (double)nextafterf((float)d->score, -INFINITY));
    attrs = attr_float(arena, attrs, "iou_threshold", d->iou);
    attrs = attr_int(arena, attrs, "most", d->most);
    Value *places = order ? lite_emit(op, OP_non_max_suppression, 3, (Value *[]){boxes, scores, order}, attrs) : NULL;
    return lite_reshape(op, places, 1, (int64_t[]){d->most});
}

// Elements of `from` (1, boxes, ...) at the places, 0 where there is none.
static Value *taken(const LiteOp *op, Value *from, Value *places, Value *mask) {
    Value *value = from ? lite_emit(op, OP_gather, 2, (Value *[]){from, places}, attr_int(op->lite->arena, NULL, "axis", 1)) : NULL;
    return two(op, OP_mul, value, mask);
}

bool tflite_detection_post_process(const LiteOp *op) {
    Detection d = {0};
    Arena *arena = op->lite->arena;
    Value *codes = lite_real(op, 0), *scores = lite_real(op, 1), *anchors = lite_real(op, 2);
    if (!codes || !scores || !anchors || !read_detection(op, codes->type, scores->type, anchors->type, &d)) return false;
    Value *boxes = decoded(op, &d, codes, anchors), *real = columns(op, scores, d.offset, d.offset + d.classes);
    if (!boxes || !real) return false;
    Attr *axes = attr_ints(arena, attr_bool(arena, NULL, "keep_dims", false), "axes", 1, (int64_t[]){2});
    Value *best = lite_unary(op, OP_reduce_max, real, axes);
    Value *class = lite_unary(op, OP_arg_max, real, attr_int(arena, attr_bool(arena, NULL, "keep_dims", false), "axis", 2));
    Value *places = best && class ? chosen(op, &d, boxes, best) : NULL;
    Value *found = places ? two(op, OP_less, lite_int_list(op, 1, (int64_t[]){-1}), places) : NULL;
    Value *mask = found ? lite_cast(op, found, ELEM_F32) : NULL;
    if (!mask) return false;
    Value *wide = lite_reshape(op, mask, 3, (int64_t[]){1, d.most, 1}), *flat = lite_reshape(op, mask, 2, (int64_t[]){1, d.most});
    Attr *all = attr_ints(arena, attr_bool(arena, NULL, "keep_dims", true), "axes", 1, (int64_t[]){0});
    return lite_bind(op, 0, taken(op, boxes, places, wide)) && lite_bind(op, 1, taken(op, lite_cast(op, class, ELEM_F32), places, flat)) &&
           lite_bind(op, 2, taken(op, best, places, flat)) && lite_bind(op, 3, lite_unary(op, OP_reduce_sum, mask, all));
}
