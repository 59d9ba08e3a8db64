// TFLite_Detection_PostProcess: boxes from their encodings by anchors, then non-maximum suppression over the best class of
// each, or in each class (use_regular_nms). Results that are not filled are 0.
#include <float.h>
#include <math.h>

#include "frontend/tflite/flexbuffer.h"
#include "frontend/tflite/importer.h"

typedef struct {
    int64_t most, each, classes, offset; // each: the most of one class; offset: of the first class, behind the background
    bool regular;
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
    const double of_class = option(op, "detections_per_class", 100);
    d->regular = option(op, "use_regular_nms", 0) != 0;
    if (!(of_class >= 1 && of_class <= INT32_MAX)) return lite_error(op, "its detections_per_class is out of bounds");
    d->each = (int64_t)of_class;
    if (each != 1 && !d->regular) return lite_error(op, "max_classes_per_detection is %g; 1 is supported", each);
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

// What is found: places of boxes (i64, -1: none), their classes and scores, `most` of each in order.
typedef struct { Value *places, *classes, *scores; } Found;

// Places (i64, 1 x classes x most) of the chosen boxes of each class, given scores 1 x classes x boxes; -1 where there is none.
static Value *suppressed(const LiteOp *op, const Detection *d, Value *boxes, Value *scores, int64_t most) {
    Arena *arena = op->lite->arena;
    Value *order = scores ? lite_unary(op, OP_top_k, scores, attr_int(arena, NULL, "k", scores->type->shape[2])) : NULL;
    // At the threshold itself a box is kept.
    Attr *attrs = attr_float(arena, NULL, "score_threshold", (double)nextafterf((float)d->score, -INFINITY));
    attrs = attr_int(arena, attr_float(arena, attrs, "iou_threshold", d->iou), "most", most);
    return order ? lite_emit(op, OP_non_max_suppression, 3, (Value *[]){boxes, scores, order}, attrs) : NULL;
}

static Value *gathered(const LiteOp *op, Value *from, Value *places, int axis) {
    return from && places ? lite_emit(op, OP_gather, 2, (Value *[]){from, places}, attr_int(op->lite->arena, NULL, "axis", axis)) : NULL;
}

// Suppression over the best class of each box.
static bool find_fast(const LiteOp *op, const Detection *d, Value *boxes, Value *scores, Found *found) {
    Arena *arena = op->lite->arena;
    const int64_t count = scores->type->shape[1], line[] = {1, 1, count};
    Attr *axes = attr_ints(arena, attr_bool(arena, NULL, "keep_dims", false), "axes", 1, (int64_t[]){2});
    Value *best = lite_unary(op, OP_reduce_max, scores, axes);
    Value *class = lite_unary(op, OP_arg_max, scores, attr_int(arena, attr_bool(arena, NULL, "keep_dims", false), "axis", 2));
    Value *places = best && class ? suppressed(op, d, boxes, lite_reshape(op, best, 3, line), d->most) : NULL;
    found->places = lite_reshape(op, places, 1, &d->most);
    found->classes = gathered(op, class ? lite_cast(op, class, ELEM_F32) : NULL, found->places, 1);
    found->scores = gathered(op, best, found->places, 1);
    return found->classes && found->scores;
}

// Suppression in each class; of all that are left the best.
static bool find_regular(const LiteOp *op, const Detection *d, Value *boxes, Value *scores, Found *found) {
    Arena *arena = op->lite->arena;
    const int64_t count = scores->type->shape[1], most = d->each < count ? d->each : count, all = d->classes * most;
    if (d->classes > MAX_FOLD_ELEMS / most) return lite_error(op, "its classes and detections_per_class are out of bounds");
    if (d->most > all) return lite_error(op, "its max_detections %lld are more than all classes may have, %lld", (long long)d->most, (long long)all);
    scores = lite_transpose(op, scores, (int[]){0, 2, 1});
    Value *places = suppressed(op, d, boxes, scores, most);
    Value *own = places ? lite_emit(op, OP_gather_elements, 2, (Value *[]){scores, places}, attr_int(arena, NULL, "axis", 2)) : NULL;
    Value *none = places ? two(op, OP_less, places, lite_int_list(op, 1, (int64_t[]){0})) : NULL;
    Value *ranked = own && none ? lite_emit(op, OP_where, 3, (Value *[]){none, lite_scalar(op, -FLT_MAX), own}, NULL) : NULL;
    Value *order = ranked ? lite_unary(op, OP_top_k, lite_reshape(op, ranked, 1, &all), attr_int(arena, NULL, "k", d->most)) : NULL;
    float *classes = ARENA_ARRAY(op->lite->scratch, float, all);
    for (int64_t i = 0; i < all; i++) classes[i] = (float)(i / most);
    const int64_t line[] = {1, d->most};
    found->places = order ? gathered(op, lite_reshape(op, places, 1, &all), order, 0) : NULL;
    found->classes = lite_reshape(op, gathered(op, lite_floats(op, 1, &all, classes), order, 0), 2, line);
    found->scores = lite_reshape(op, gathered(op, lite_reshape(op, own, 1, &all), order, 0), 2, line);
    return found->places && found->classes && found->scores;
}

bool tflite_detection_post_process(const LiteOp *op) {
    Detection d = {0};
    Found found = {0};
    Arena *arena = op->lite->arena;
    Value *codes = lite_real(op, 0), *scores = lite_real(op, 1), *anchors = lite_real(op, 2);
    if (!codes || !scores || !anchors || !read_detection(op, codes->type, scores->type, anchors->type, &d)) return false;
    Value *boxes = decoded(op, &d, codes, anchors), *real = columns(op, scores, d.offset, d.offset + d.classes);
    if (!boxes || !real || !(d.regular ? find_regular : find_fast)(op, &d, boxes, real, &found)) return false;
    Value *is_found = two(op, OP_less, lite_int_list(op, 1, (int64_t[]){-1}), found.places);
    Value *mask = is_found ? lite_cast(op, is_found, ELEM_F32) : NULL;
    if (!mask) return false;
    Value *wide = lite_reshape(op, mask, 3, (int64_t[]){1, d.most, 1}), *flat = lite_reshape(op, mask, 2, (int64_t[]){1, d.most});
    Attr *all = attr_ints(arena, attr_bool(arena, NULL, "keep_dims", true), "axes", 1, (int64_t[]){0});
    return lite_bind(op, 0, two(op, OP_mul, gathered(op, boxes, found.places, 1), wide)) && lite_bind(op, 1, two(op, OP_mul, found.classes, flat)) &&
           lite_bind(op, 2, two(op, OP_mul, found.scores, flat)) && lite_bind(op, 3, lite_unary(op, OP_reduce_sum, mask, all));
}
