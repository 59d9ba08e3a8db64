// Elements by index, sorted, and resized images.
#include <math.h>
#include <string.h>

#include "frontend/tflite/importer.h"

// ---- gather

// Where the first `batch` dimensions of both are one list of tensors, each with indices of its own. left: dimensions between these
// and the axis; count: tensors.
typedef struct { int batch, rank, left; int64_t count; } Batches;

static bool read_batches(const LiteOp *op, const Type *in, const Type *at, Batches *b) {
    for (int i = 0; i < b->batch; i++) {
        if (in->shape[i] != at->shape[i]) return lite_error(op, "its first %d dimensions differ between input and indices", b->batch);
        b->count *= in->shape[i];
    }
    if (b->rank < MAX_RANK && b->count <= MAX_FOLD_ELEMS && b->rank + at->rank - 1 <= MAX_RANK) return true;
    return lite_error(op, "its batches are out of bounds");
}

// The tensors one behind the other along the axis.
static Value *batches_beside(const LiteOp *op, Value *input, const Batches *b) {
    const int64_t *own = input->type->shape + b->batch;
    int64_t flat[MAX_RANK + 1] = {b->count}, joined[MAX_RANK];
    int perm[MAX_RANK + 1];
    for (int i = 0; i < b->rank; i++) flat[i + 1] = joined[i] = own[i];
    for (int i = 0; i < b->rank + 1; i++) perm[i] = i < b->left ? i + 1 : i == b->left ? 0 : i;
    joined[b->left] *= b->count;
    return lite_reshape(op, lite_transpose(op, lite_reshape(op, input, b->rank + 1, flat), perm), b->rank, joined);
}

// Indices moved to each tensor's own part of the axis, in one list.
static Value *batch_places(const LiteOp *op, Value *indices, int64_t length, const Batches *b) {
    int64_t *starts = ARENA_ARRAY(op->lite->scratch, int64_t, b->count + 1), line[MAX_RANK];
    for (int64_t i = 0; i < b->count; i++) starts[i] = i * length;
    for (int i = 0; i < indices->type->rank; i++) line[i] = i < b->batch ? indices->type->shape[i] : 1;
    Value *start = lite_reshape(op, lite_int_list(op, (int)b->count, starts), indices->type->rank, line);
    Value *places = start ? lite_binary(op, OP_add, indices, lite_cast(op, start, indices->type->elem)) : NULL;
    return lite_reshape(op, places, 1, (int64_t[]){type_elem_count(indices->type)});
}

// Of what was taken along the axis the batches come first.
static Value *batches_first(const LiteOp *op, Value *taken, const Type *in, const Type *at, const Batches *b) {
    int64_t apart[MAX_RANK + 1], out[MAX_RANK];
    int perm[MAX_RANK + 1], to = 0;
    const int64_t *own = in->shape + b->batch;
    for (int i = 0; i < b->rank + 1; i++) {
        apart[i] = i < b->left ? own[i] : i == b->left ? b->count : i == b->left + 1 ? type_elem_count(at) / (b->count ? b->count : 1) : own[i - 1];
        perm[i] = !i ? b->left : i <= b->left ? i - 1 : i;
    }
    for (int i = 0; i < b->batch + b->left; i++) out[to++] = in->shape[i];
    for (int i = b->batch; i < at->rank; i++) out[to++] = at->shape[i];
    for (int i = b->left + 1; i < b->rank; i++) out[to++] = own[i];
    return lite_reshape(op, lite_transpose(op, lite_reshape(op, taken, b->rank + 1, apart), perm), to, out);
}

static Value *gather_of_batches(const LiteOp *op, Value *input, Value *indices, int batch, int axis) {
    const Type *in = input->type, *at = indices->type;
    Batches b = {batch, in->rank - batch, axis - batch, 1};
    if (!read_batches(op, in, at, &b)) return NULL;
    Value *operands[] = {batches_beside(op, input, &b), batch_places(op, indices, in->shape[axis], &b)};
    if (!operands[0] || !operands[1]) return NULL;
    return batches_first(op, lite_emit(op, OP_gather, 2, operands, attr_int(op->lite->arena, NULL, "axis", b.left)), in, at, &b);
}

bool tflite_gather(const LiteOp *op) {
    Value *input = lite_input(op, 0), *indices = lite_input(op, 1);
    int axis;
    int64_t batch = lite_option(op, FLAT_GatherOptions_batch_dims);
    if (!input || !indices || !lite_axis(op, lite_option(op, FLAT_GatherOptions_axis), input->type->rank, &axis)) return false;
    if (batch < 0) batch += indices->type->rank;
    if (batch < 0 || batch > indices->type->rank || batch > axis) return lite_error(op, "its batch_dims %lld are out of bounds", (long long)batch);
    if (batch) return lite_bind(op, 0, gather_of_batches(op, input, indices, (int)batch, axis));
    return lite_bind(op, 0, lite_emit(op, OP_gather, 2, (Value *[]){input, indices}, attr_int(op->lite->arena, NULL, "axis", axis)));
}

bool tflite_embedding_lookup(const LiteOp *op) {
    Value *indices = lite_input(op, 0), *table = lite_input(op, 1);
    if (!indices || !table) return false;
    return lite_bind(op, 0, lite_emit(op, OP_gather, 2, (Value *[]){table, indices}, attr_int(op->lite->arena, NULL, "axis", 0)));
}

bool tflite_gather_nd(const LiteOp *op) {
    Value *input = lite_input(op, 0), *indices = lite_input(op, 1);
    return input && indices && lite_bind(op, 0, lite_emit(op, OP_gather_nd, 2, (Value *[]){input, indices}, NULL));
}

bool tflite_scatter_nd(const LiteOp *op) {
    Value *indices = lite_input(op, 0), *updates = lite_real(op, 1);
    LiteInts shape;
    if (!indices || !updates || !lite_ints(op, 2, "shape", &shape)) return false;
    if (shape.count > MAX_RANK || dims_count(shape.count, shape.data) < 0) return lite_error(op, "its shape is out of bounds");
    const Type *type = type_tensor(op->lite->arena, updates->type->elem, shape.count, shape.data);
    Value *zeros = lite_constant(op->lite, dense_splat(op->lite->arena, type, 0), true, NULL);
    Attr *attrs = attr_string(op->lite->arena, NULL, "reduction", "add");
    return lite_bind(op, 0, lite_emit(op, OP_scatter_nd, 3, (Value *[]){zeros, indices, updates}, attrs));
}

bool tflite_one_hot(const LiteOp *op) {
    Value *indices = lite_input(op, 0), *on = lite_real(op, 2), *off = lite_real(op, 3);
    LiteInts depth;
    if (!indices || !on || !off || !lite_ints(op, 1, "depth", &depth)) return false;
    int rank = indices->type->rank, axis;
    int64_t option = lite_option(op, FLAT_OneHotOptions_axis), dims[MAX_RANK + 1], line[MAX_RANK + 1];
    if (depth.count != 1 || depth.data[0] < 0 || depth.data[0] > MAX_FOLD_ELEMS || rank == MAX_RANK) return lite_error(op, "its depth is out of bounds");
    if (!lite_axis(op, option, rank + 1, &axis)) return false;
    int64_t *numbers = ARENA_ARRAY(op->lite->scratch, int64_t, depth.data[0] + 1);
    for (int64_t i = 0; i < depth.data[0]; i++) numbers[i] = i;
    for (int i = 0; i < rank + 1; i++) {
        dims[i] = i < axis ? indices->type->shape[i] : i == axis ? 1 : indices->type->shape[i - 1];
        line[i] = i == axis ? depth.data[0] : 1;
    }
    Value *wide = lite_cast(op, lite_reshape(op, indices, rank + 1, dims), ELEM_I64);
    Value *places = lite_reshape(op, lite_int_list(op, (int)depth.data[0], numbers), rank + 1, line);
    Value *hit = wide && places ? lite_binary(op, OP_equal, wide, places) : NULL;
    return hit && lite_bind(op, 0, lite_emit(op, OP_where, 3, (Value *[]){hit, on, off}, NULL));
}

bool tflite_top_k(const LiteOp *op) {
    Value *input = lite_real(op, 0);
    LiteInts k;
    if (!input || !lite_ints(op, 1, "k", &k)) return false;
    if (k.count != 1) return lite_error(op, "its k must be one number");
    Value *places = lite_unary(op, OP_top_k, input, attr_int(op->lite->arena, NULL, "k", k.data[0]));
    if (!places) return false;
    Attr *attrs = attr_int(op->lite->arena, NULL, "axis", input->type->rank - 1);
    return lite_bind(op, 0, lite_emit(op, OP_gather_elements, 2, (Value *[]){input, places}, attrs)) && lite_bind(op, 1, places);
}

bool tflite_range(const LiteOp *op) {
    LiteInts bounds[3];
    static const char *const names[] = {"start", "limit", "step"};
    for (int i = 0; i < 3; i++) {
        if (!lite_ints(op, i, names[i], &bounds[i])) return false;
        if (bounds[i].count != 1) return lite_error(op, "its %s must be one number", names[i]);
    }
    int64_t start = bounds[0].data[0], limit = bounds[1].data[0], step = bounds[2].data[0];
    int64_t count = step > 0 ? (limit - start + step - 1) / step : step < 0 ? (start - limit - step - 1) / -step : -1;
    if (step == 0 || count > MAX_FOLD_ELEMS) return lite_error(op, "its range is out of bounds");
    if (count < 0) count = 0;
    int64_t *values = ARENA_ARRAY(op->lite->scratch, int64_t, count + 1);
    for (int64_t i = 0; i < count; i++) values[i] = start + i * step;
    return lite_bind(op, 0, lite_int_list(op, (int)count, values));
}

// ---- resize

typedef struct { bool nearest, align_corners, half_pixel; } Resize;

static float source_of(const Resize *r, int64_t in, int64_t out, int64_t i) {
    float scale = r->align_corners && out > 1 ? (float)(in - 1) / (float)(out - 1) : (float)in / (float)out;
    if (r->nearest) return ((float)i + (r->half_pixel ? 0.5F : 0)) * scale;
    return r->half_pixel ? ((float)i + 0.5F) * scale - 0.5F : (float)i * scale;
}

static int64_t within(int64_t index, int64_t count) { return index < 0 ? 0 : index >= count ? count - 1 : index; }

static Value *resize_nearest(const LiteOp *op, Value *input, const Resize *r, int axis, int64_t out) {
    int64_t in = input->type->shape[axis], *places = ARENA_ARRAY(op->lite->scratch, int64_t, out + 1);
    for (int64_t i = 0; i < out; i++) {
        float x = source_of(r, in, out, i);
        places[i] = within((int64_t)(r->align_corners ? roundf(x) : floorf(x)), in);
    }
    return lite_emit(op, OP_gather, 2, (Value *[]){input, lite_int_list(op, (int)out, places)}, attr_int(op->lite->arena, NULL, "axis", axis));
}

static Value *resize_linear(const LiteOp *op, Value *input, const Resize *r, int axis, int64_t out) {
    Arena *scratch = op->lite->scratch;
    int64_t in = input->type->shape[axis], shape[] = {out, 2};
    int32_t *places = ARENA_ARRAY(scratch, int32_t, 2 * out + 1);
    float *weights = ARENA_ARRAY(scratch, float, 2 * out + 1);
    for (int64_t i = 0; i < out; i++) {
        float x = fmaxf(source_of(r, in, out, i), 0);
        int64_t first = within((int64_t)floorf(x), in);
        float part = fminf(x - (float)first, 1);
        places[2 * i] = (int32_t)first, places[2 * i + 1] = (int32_t)within(first + 1, in);
        weights[2 * i] = 1 - part, weights[2 * i + 1] = part;
    }
    const Dense *list = dense_new(scratch, type_tensor(scratch, ELEM_I32, 2, shape), places, false);
    Value *operands[] = {input, lite_constant(op->lite, list, false, NULL), lite_floats(op, 2, shape, weights)};
    return lite_emit_as(op, input->type->quant, OP_resample, 3, operands, attr_int(op->lite->arena, NULL, "axis", axis));
}

// The dimension that shrinks more goes first, so that less is computed.
static bool resize(const LiteOp *op, const Resize *r) {
    Value *value;
    LiteInts size;
    if (!lite_forms(op, r->nearest ? OP_gather : OP_resample, 1, &value) || !lite_ints(op, 1, "size", &size)) return false;
    if (value->type->rank != 4 || size.count != 2) return lite_error(op, "its input must have 4 dimensions, and its size 2 numbers");
    const int64_t *in = value->type->shape;
    for (int i = 0; i < 2; i++)
        if (size.data[i] < 1 || size.data[i] > 1 << 15 || in[1 + i] < 1) return lite_error(op, "the size of its result is out of bounds");
    bool width_first = size.data[1] * in[1] < size.data[0] * in[2];
    for (int n = 0; value && n < 2; n++) {
        int i = width_first ? 1 - n : n;
        bool shifts = r->nearest && r->align_corners && r->half_pixel; // also between equal sizes
        if (!shifts && size.data[i] == value->type->shape[1 + i]) continue;
        value = (r->nearest ? resize_nearest : resize_linear)(op, value, r, 1 + i, size.data[i]);
    }
    return lite_bind(op, 0, value);
}

bool tflite_resize_bilinear(const LiteOp *op) {
    Resize r = {false, lite_option(op, FLAT_ResizeBilinearOptions_align_corners) != 0, lite_option(op, FLAT_ResizeBilinearOptions_half_pixel_centers) != 0};
    return resize(op, &r);
}

bool tflite_resize_nearest(const LiteOp *op) {
    Resize r = {true, lite_option(op, FLAT_ResizeNearestNeighborOptions_align_corners) != 0,
                lite_option(op, FLAT_ResizeNearestNeighborOptions_half_pixel_centers) != 0};
    return resize(op, &r);
}
