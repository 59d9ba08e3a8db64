// Resize and Upsample. What each output element of a dimension is made of is a table, computed here
// for every mode of ONNX; elements are gathered (nearest) or summed by nn.resample, one dimension
// after the other. Coordinates are computed in single precision, as other runtimes do.
#include <math.h>
#include <string.h>

#include "frontend/onnx/importer.h"

typedef struct {
    bool nearest, cubic, antialias, exclude_outside, downward_ceil;
    const char *where, *rounding;
    float cubic_a, extrapolation;
    float scales[MAX_RANK], roi[2 * MAX_RANK];
    int64_t sizes[MAX_RANK];
} Resize;

// ---- coordinates

// Where output element `x` lies in the input.
static float source_of(const Resize *r, int dim, int64_t in, int64_t x) {
    float scale = r->scales[dim], at = (float)x, last = (float)(in - 1);
    int64_t out = r->sizes[dim];
    if (!strcmp(r->where, "align_corners")) { // the length need not be whole
        float length = fabsf(scale * (float)in - (float)out) < 1e-3f ? (float)out : scale * (float)in;
        return length > 1 ? at * last / (length - 1) : 0;
    }
    if (!strcmp(r->where, "asymmetric"))
        return at / scale;
    if (!strcmp(r->where, "pytorch_half_pixel"))
        return out > 1 ? (at + 0.5f) / scale - 0.5f : 0;
    if (!strcmp(r->where, "tf_half_pixel_for_nn"))
        return (at + 0.5f) / scale;
    if (!strcmp(r->where, "tf_crop_and_resize")) {
        float start = r->roi[dim], end = r->roi[dim + MAX_RANK];
        if (out > 1)
            return start * last + at * (end - start) * last / (float)(out - 1);
        return 0.5f * (start + end) * last;
    }
    if (!strcmp(r->where, "half_pixel_symmetric")) {
        float adjustment = (float)out / (scale * (float)in), center = (float)in / 2;
        return center * (1 - adjustment) + (at + 0.5f) / scale - 0.5f;
    }
    return (at + 0.5f) / scale - 0.5f; // half_pixel
}

static int64_t clamp_index(int64_t index, int64_t size) {
    return index < 0 ? 0 : index >= size ? size - 1 : index;
}

static int64_t nearest_of(const Resize *r, int dim, float x, int64_t in) {
    float rounded;
    if (!strcmp(r->rounding, "simple"))
        rounded = r->scales[dim] < 1 ? ceilf(x) : truncf(x);
    else if (!strcmp(r->rounding, "floor"))
        rounded = floorf(x);
    else if (!strcmp(r->rounding, "ceil"))
        rounded = ceilf(x);
    else if (!strcmp(r->rounding, "round_prefer_ceil"))
        rounded = floorf(x + 0.5f);
    else
        rounded = ceilf(x - 0.5f);
    return clamp_index((int64_t)rounded, in);
}

// ---- tables: `taps` indices and weights for each output element of one dimension

typedef struct {
    int64_t count, taps;
    int64_t *indices;
    float *weights;
} Table;

// Keys' cubic kernel, or the triangle of linear interpolation.
static double kernel_value(const Resize *r, double x) {
    double a = r->cubic_a;
    x = fabs(x);
    if (!r->cubic)
        return x < 1 ? 1 - x : 0;
    if (x <= 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

// Taps first .. first + taps around `x`; what lies outside counts for the element at the border, or
// with exclude_outside not at all.
static void fill_taps(const Resize *r, double x, double stretch, int64_t in, int64_t reach, Table *table,
                      int64_t row) {
    int64_t first = (int64_t)floor(x) - reach + 1, *indices = table->indices + row * table->taps;
    float *weights = table->weights + row * table->taps;
    double sum = 0, raw[4096];
    for (int64_t k = 0; k < table->taps; k++) {
        bool outside = first + k < 0 || first + k >= in;
        indices[k] = clamp_index(first + k, in);
        raw[k] = kernel_value(r, ((double)(first + k) - x) * stretch);
        if (outside && r->exclude_outside)
            raw[k] = 0;
        sum += raw[k];
    }
    for (int64_t k = 0; k < table->taps; k++)
        weights[k] = (float)(sum != 0 ? raw[k] / sum : 0);
}

static bool make_table(const Node *node, const Resize *r, int dim, int64_t in, int64_t begin, int64_t end,
                       Table *table) {
    Arena *scratch = node->importer->scratch;
    double stretch = r->antialias && r->scales[dim] < 1 ? (double)r->scales[dim] : 1;
    int64_t reach = (int64_t)ceil((r->cubic ? 2 : 1) / stretch);
    table->count = end - begin;
    table->taps = r->nearest ? 1 : 2 * reach;
    if (table->taps > 4096 || table->taps * table->count > MAX_FOLD_ELEMS * 64)
        return node_error(node, "scale %g of dimension %d is out of bounds", (double)r->scales[dim], dim);
    table->indices = ARENA_ARRAY(scratch, int64_t, table->taps * table->count + 1);
    table->weights = ARENA_ARRAY(scratch, float, table->taps * table->count + 1);
    for (int64_t i = 0; i < table->count; i++) {
        float x = source_of(r, dim, in, begin + i);
        if (r->nearest)
            table->indices[i] = nearest_of(r, dim, x, in);
        else if (r->cubic || stretch < 1)
            fill_taps(r, (double)x, stretch, in, reach, table, i);
        else
            fill_taps(r, fmin(fmax((double)x, 0), (double)(in - 1)), 1, in, reach, table, i);
    }
    return true;
}

// ---- one dimension

// How often every element is repeated; 0 when the table is another.
static int64_t repeats_of(const Table *table, int64_t in) {
    int64_t factor = table->count / in;
    if (in * factor != table->count)
        return 0;
    for (int64_t i = 0; i < table->count; i++)
        if (table->indices[i] != i / factor)
            return 0;
    return factor;
}

// Each dimension with a factor above 1 is given a dimension of 1 behind it, which is broadcast.
static Value *emit_repeated(const Node *node, Value *input, const int64_t *factors) {
    const Type *type = input->type;
    int64_t split[2 * MAX_RANK], wide[2 * MAX_RANK], joined[MAX_RANK];
    int rank = 0;
    for (int i = 0; i < type->rank; i++) {
        split[rank] = wide[rank] = type->shape[i];
        rank++;
        joined[i] = type->shape[i] * factors[i];
        if (factors[i] > 1)
            split[rank] = 1, wide[rank++] = factors[i];
    }
    if (rank == type->rank)
        return input;
    if (rank > MAX_RANK || dims_count(rank, wide) < 0)
        return node_error(node, "its result has too many dimensions that are enlarged, or too many elements"), NULL;
    Attr *attrs = attr_ints(node->importer->arena, NULL, "shape", rank, wide);
    Value *value = emit_reshape(node, input, rank, split);
    value = value ? emit_unary(node, OP_broadcast_to, value, attrs) : NULL;
    return emit_reshape(node, value, type->rank, joined);
}

static Value *emit_table(const Node *node, Value *input, int axis, const Table *table, bool nearest) {
    Importer *importer = node->importer;
    Attr *attrs = attr_int(importer->arena, NULL, "axis", axis);
    if (nearest) {
        Value *indices = emit_ints(node, (int)table->count, table->indices);
        return emit(node, OP_gather, 2, (Value *[]){input, indices}, attrs);
    }
    int64_t shape[2] = {table->count, table->taps}, count = shape[0] * shape[1];
    int32_t *narrow = ARENA_ARRAY(importer->scratch, int32_t, count + 1);
    for (int64_t i = 0; i < count; i++)
        narrow[i] = (int32_t)table->indices[i];
    Dense *indices = dense_new(importer->scratch, type_tensor(importer->scratch, ELEM_I32, 2, shape), narrow, false);
    Dense *weights = dense_new(importer->scratch, type_tensor(importer->scratch, ELEM_F32, 2, shape),
                               table->weights, false);
    Value *places = emit_constant(importer, indices, false, NULL);
    Value *operands[] = {input, places, emit_constant(importer, weights, false, NULL)};
    return emit(node, OP_resample, 3, operands, attrs);
}

static Value *emit_border(const Node *node, Value *input, int axis, int64_t low, int64_t high, float value) {
    Arena *arena = node->importer->arena;
    int64_t before[MAX_RANK] = {0}, after[MAX_RANK] = {0};
    before[axis] = low, after[axis] = high;
    if (!low && !high)
        return input;
    Attr *attrs = attr_float(arena, NULL, "value", (double)value);
    attrs = attr_ints(arena, attrs, "high", input->type->rank, after);
    return emit_unary(node, OP_pad, input, attr_ints(arena, attrs, "low", input->type->rank, before));
}

// Dimension `dim` of ONNX, `axis` of the value; `repeats` receives a factor that is left to the caller. With tf_crop_and_resize, elements outside the input
// are a border of the extrapolation value.
static Value *emit_dim(const Node *node, Value *input, const Resize *r, int dim, int axis, int64_t *repeats) {
    int64_t in = input->type->shape[axis], out = r->sizes[dim], begin = 0, end = out;
    Table table;
    if (!strcmp(r->where, "tf_crop_and_resize")) {
        while (begin < out && !(source_of(r, dim, in, begin) >= 0 && source_of(r, dim, in, begin) <= (float)(in - 1)))
            begin++;
        while (end > begin && !(source_of(r, dim, in, end - 1) >= 0 && source_of(r, dim, in, end - 1) <= (float)(in - 1)))
            end--;
        if (begin == end)
            return node_error(node, "its region of interest lies outside the input"), NULL;
    }
    if (!make_table(node, r, dim, in, begin, end, &table))
        return NULL;
    int64_t factor = r->nearest && begin == 0 && end == out ? repeats_of(&table, in) : 0;
    if (factor) {
        *repeats = factor;
        return input;
    }
    Value *value = emit_table(node, input, axis, &table, r->nearest);
    return value ? emit_border(node, value, axis, begin, out - end, r->extrapolation) : NULL;
}

// ---- attributes and inputs

static bool is_one_of(const char *text, const char *const *list) {
    while (*list && strcmp(text, *list))
        list++;
    return *list != NULL;
}

static bool read_modes(const Node *node, Resize *r) {
    static const char *const places[] = {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners",
                                         "asymmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize", NULL};
    static const char *const roundings[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil", NULL};
    bool old = node->importer->opset < 11;
    const char *mode = node_string(node, "mode", "nearest");
    r->nearest = !strcmp(mode, "nearest");
    r->cubic = !strcmp(mode, "cubic");
    r->where = old ? "asymmetric" : node_string(node, "coordinate_transformation_mode", "half_pixel");
    r->rounding = old ? "simple" : node_string(node, "nearest_mode", "round_prefer_floor");
    r->cubic_a = (float)node_float(node, "cubic_coeff_a", -0.75);
    r->extrapolation = (float)node_float(node, "extrapolation_value", 0);
    r->antialias = node_int(node, "antialias", 0) != 0 && !r->nearest;
    r->exclude_outside = node_int(node, "exclude_outside", 0) != 0;
    if (!r->nearest && !r->cubic && strcmp(mode, "linear") && strcmp(mode, "bilinear"))
        return node_error(node, "mode '%s' is not one of ONNX", mode);
    if (!is_one_of(r->where, places))
        return node_error(node, "coordinate_transformation_mode '%s' is not one of ONNX", r->where);
    if (!old && !is_one_of(r->rounding, roundings))
        return node_error(node, "nearest_mode '%s' is not one of ONNX", r->rounding);
    return true;
}

// One number for each of `count` axes from a constant input or, before opset 9, an attribute.
static bool read_numbers(const Node *node, int index, const char *name, int count, double *out) {
    const Onnx__AttributeProto *attr = index < 0 ? node_attr(node, name) : NULL;
    const Dense *dense = index < 0 ? NULL : node_dense(node, index);
    if (!attr && !dense)
        return node_has_input(node, index) ? node_not_constant(node, index, name)
                                           : node_error(node, "it has no %s", name);
    int64_t given = attr ? (int64_t)attr->n_floats : dense_count(dense);
    if (given != count)
        return node_error(node, "its %s has %lld numbers, expected %d", name, (long long)given, count);
    for (int i = 0; i < count; i++)
        out[i] = attr ? (double)attr->floats[i] : dense_f64(dense, i);
    return true;
}

// The smaller (not_larger) or larger of the scales for all axes.
static void keep_aspect(const Type *input, const int *axes, int count, bool larger, double *sizes, Resize *r) {
    float scale = 0;
    for (int i = 0; i < count; i++) {
        float own = (float)sizes[i] / (float)input->shape[axes[i]];
        if (!i || (larger ? own > scale : own < scale))
            scale = own;
    }
    for (int i = 0; i < count; i++) {
        r->scales[axes[i]] = scale;
        sizes[i] = floor((double)(scale * (float)input->shape[axes[i]]) + 0.5);
    }
}

static bool set_sizes(const Node *node, const Type *input, const int *axes, int count, int index, Resize *r) {
    double sizes[MAX_RANK];
    const char *policy = node_string(node, "keep_aspect_ratio_policy", "stretch");
    if (!read_numbers(node, index, "sizes", count, sizes))
        return false;
    for (int i = 0; i < count; i++)
        r->scales[axes[i]] = (float)sizes[i] / (float)input->shape[axes[i]];
    if (strcmp(policy, "stretch"))
        keep_aspect(input, axes, count, !strcmp(policy, "not_smaller"), sizes, r);
    for (int i = 0; i < count; i++) {
        if (!(sizes[i] >= 0 && sizes[i] <= (double)MAX_IMPORT_ELEMS))
            return node_error(node, "size %g of dimension %d is out of bounds", sizes[i], axes[i]);
        r->sizes[axes[i]] = (int64_t)sizes[i];
    }
    return true;
}

// Upsample of opset 1 names the scales of an image's height and width.
static bool read_scales(const Node *node, int count, int index, double *scales) {
    if (!node_attr(node, "height_scale") && !node_attr(node, "width_scale"))
        return read_numbers(node, index, "scales", count, scales);
    if (count != 4)
        return node_error(node, "its input has %d dimensions, expected 4", count);
    scales[0] = scales[1] = 1;
    scales[2] = node_float(node, "height_scale", 1);
    scales[3] = node_float(node, "width_scale", 1);
    return true;
}

static bool set_scales(const Node *node, const Type *input, const int *axes, int count, int index, Resize *r) {
    double scales[MAX_RANK];
    if (!read_scales(node, count, index, scales))
        return false;
    for (int i = 0; i < count; i++) {
        float scale = (float)scales[i], size = scale * (float)input->shape[axes[i]];
        if (!(scale > 0 && size <= (float)MAX_IMPORT_ELEMS))
            return node_error(node, "scale %g of dimension %d is out of bounds", scales[i], axes[i]);
        r->scales[axes[i]] = scale;
        r->sizes[axes[i]] = (int64_t)size;
    }
    return true;
}

static bool is_given(const Node *node, int index) {
    const Type *type = node_input_type(node, index);
    return type && type_elem_count(type) > 0;
}

static bool read_roi(const Node *node, const int *axes, int count, Resize *r) {
    double roi[2 * MAX_RANK];
    for (int i = 0; i < MAX_RANK; i++)
        r->roi[i] = 0, r->roi[i + MAX_RANK] = 1;
    if (strcmp(r->where, "tf_crop_and_resize"))
        return true;
    if (!read_numbers(node, 1, "roi", 2 * count, roi))
        return false;
    for (int i = 0; i < count; i++) {
        r->roi[axes[i]] = (float)roi[i];
        r->roi[axes[i] + MAX_RANK] = (float)roi[i + count];
    }
    return true;
}

static bool read_resize(const Node *node, const Type *input, Resize *r) {
    Ints named;
    int axes[MAX_RANK], rank = input->rank;
    if (!read_modes(node, r) || !node_ints(node, "axes", &named) || !node_axes(node, named, rank, axes))
        return false;
    int count = named.present ? named.count : rank;
    for (int i = 0; i < rank; i++) {
        r->scales[i] = 1, r->sizes[i] = input->shape[i];
        if (!named.present)
            axes[i] = i;
        if (!input->shape[i])
            return node_error(node, "its input has no elements");
    }
    if (!read_roi(node, axes, count, r))
        return false;
    if (node->importer->opset < 11)
        return set_scales(node, input, axes, count, node_attr(node, "scales") ? -1 : 1, r);
    if (is_given(node, 2))
        return set_scales(node, input, axes, count, 2, r);
    return set_sizes(node, input, axes, count, 3, r);
}

// ---- the op

static bool is_changed(const Resize *r, const Type *input, int dim) {
    if (!strcmp(r->where, "tf_crop_and_resize"))
        return r->roi[dim] != 0 || r->roi[dim + MAX_RANK] != 1 || r->sizes[dim] != input->shape[dim];
    return r->scales[dim] != 1 || r->sizes[dim] != input->shape[dim];
}

// Those dimensions first that shrink, so that less is computed; of equal ones the last: the larger tensor is then summed along
// longer rows.
static Value *emit_dims(const Node *node, Value *input, const Resize *r, bool last) {
    const Type *type = node_input_type(node, 0);
    bool done[MAX_RANK] = {false};
    int64_t repeats[MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
    for (int n = 0; input && n < type->rank; n++) {
        int next = -1;
        for (int i = 0; i < type->rank; i++)
            if (!done[i] && is_changed(r, type, i) && (next < 0 || r->scales[i] <= r->scales[next]))
                next = i;
        if (next < 0)
            break;
        done[next] = true;
        int axis = last ? next - 1 : next;
        input = emit_dim(node, input, r, next, axis, &repeats[axis]);
    }
    return input ? emit_repeated(node, input, repeats) : NULL;
}

// Images in nn's layout; what changes batch or channels, and other ranks, as they are.
bool convert_resize(Node *node) {
    Value *input = node_input(node, 0);
    Resize r = {0};
    if (!input || !read_resize(node, input->type, &r))
        return false;
    const Type *type = input->type;
    bool image = type->rank == 4 && !is_changed(&r, type, 0) && !is_changed(&r, type, 1);
    if (!image)
        return node_bind(node, 0, emit_dims(node, input, &r, false));
    Value *last = emit_to_nhwc(node, input), *value = last ? emit_dims(node, last, &r, true) : NULL;
    if (value && value == last)
        return node_bind(node, 0, input);
    return value && node_bind_layout(node, value, emit_from_nhwc(node, value, 4));
}
