// Operators that move elements: they take any type, and keep a tensor's scale; a result of another scale is requantized when
// it is bound.
#include <string.h>

#include "frontend/tflite/importer.h"

// ---- shapes

// With one -1, which is what is left of `count` elements.
static bool resolve_shape(const LiteOp *op, int64_t count, int rank, int64_t *dims) {
    int64_t known = 1;
    int open = -1;
    for (int i = 0; i < rank; i++) {
        if (dims[i] == -1 && open < 0) open = i;
        else if (dims[i] < 0) return lite_error(op, "its shape has a dimension of %lld", (long long)dims[i]);
        else if (__builtin_mul_overflow(known, dims[i], &known)) return lite_error(op, "its shape is out of bounds");
    }
    if (open >= 0) dims[open] = known > 0 ? count / known : 0;
    return true;
}

// From the second input, the options, or what the model states for the result.
bool tflite_reshape(const LiteOp *op) {
    Value *input = lite_input(op, 0);
    const LiteTensor *output = lite_output(op, 0);
    FlatVector option = flat_vector(op->options, FLAT_ReshapeOptions_new_shape);
    LiteInts shape = {0, NULL};
    if (!input || !output) return false;
    int64_t dims[MAX_RANK];
    bool given = lite_tensor(op, 1) && lite_dense(op, 1);
    if (given && !lite_ints(op, 1, "shape", &shape)) return false;
    int rank = given ? shape.count : option.count ? (int)option.count : output->rank;
    if (rank > MAX_RANK || rank < 0) return lite_error(op, "its shape has more than 8 dimensions");
    for (int i = 0; i < rank; i++)
        dims[i] = given ? shape.data[i] : option.count ? flat_vector_int(option, (uint32_t)i) : output->shape[i];
    return resolve_shape(op, type_elem_count(input->type), rank, dims) && lite_bind(op, 0, lite_reshape(op, input, rank, dims));
}

bool tflite_squeeze(const LiteOp *op) {
    Value *input = lite_input(op, 0);
    FlatVector named = flat_vector(op->options, FLAT_SqueezeOptions_squeeze_dims);
    if (!input) return false;
    bool drop[MAX_RANK] = {false};
    int64_t dims[MAX_RANK];
    int rank = 0;
    if (named.count > MAX_RANK) return lite_error(op, "it names more than 8 dimensions");
    for (uint32_t i = 0; i < named.count; i++) {
        int axis;
        if (!lite_axis(op, flat_vector_int(named, i), input->type->rank, &axis)) return false;
        drop[axis] = true;
    }
    for (int i = 0; i < input->type->rank; i++)
        if (named.count ? !drop[i] : input->type->shape[i] != 1) dims[rank++] = input->type->shape[i];
    return lite_bind(op, 0, lite_reshape(op, input, rank, dims));
}

static Value *with_dim(const LiteOp *op, Value *input, int axis) {
    int64_t dims[MAX_RANK + 1];
    int rank = input->type->rank;
    if (rank == MAX_RANK) return lite_error(op, "its result has more than 8 dimensions"), NULL;
    for (int i = 0; i < rank + 1; i++) dims[i] = i < axis ? input->type->shape[i] : i == axis ? 1 : input->type->shape[i - 1];
    return lite_reshape(op, input, rank + 1, dims);
}

bool tflite_expand_dims(const LiteOp *op) {
    Value *input = lite_input(op, 0);
    LiteInts given;
    int axis;
    if (!input || !lite_ints(op, 1, "axis", &given)) return false;
    if (given.count != 1) return lite_error(op, "it has %d axes, expected 1", given.count);
    return lite_axis(op, given.data[0], input->type->rank + 1, &axis) && lite_bind(op, 0, with_dim(op, input, axis));
}

bool tflite_transpose(const LiteOp *op) {
    Value *input = lite_input(op, 0);
    LiteInts perm;
    int order[MAX_RANK];
    if (!input || !lite_ints(op, 1, "order of dimensions", &perm)) return false;
    if (perm.count != input->type->rank) return lite_error(op, "it orders %d dimensions, its input has %d", perm.count, input->type->rank);
    for (int i = 0; i < perm.count; i++)
        if (!lite_axis(op, perm.data[i], perm.count, &order[i])) return false;
    return lite_bind(op, 0, lite_transpose(op, input, order));
}

bool tflite_shape(const LiteOp *op) {
    const Value *input = lite_input(op, 0);
    return input && lite_bind(op, 0, lite_int_list(op, input->type->rank, input->type->shape));
}

bool tflite_rank(const LiteOp *op) {
    const Value *input = lite_input(op, 0);
    return input && lite_bind(op, 0, lite_reshape(op, lite_int_list(op, 1, (int64_t[]){input->type->rank}), 0, NULL));
}

// ---- slices

bool tflite_slice(const LiteOp *op) {
    Value *input = lite_input(op, 0);
    LiteInts begin, size;
    int64_t ends[MAX_RANK];
    if (!input || !lite_ints(op, 1, "begin", &begin) || !lite_ints(op, 2, "size", &size)) return false;
    if (begin.count != input->type->rank || size.count != input->type->rank)
        return lite_error(op, "begin and size have not a number for each dimension");
    for (int i = 0; i < input->type->rank; i++) {
        int64_t extent = input->type->shape[i];
        ends[i] = size.data[i] < 0 ? extent : begin.data[i] + size.data[i];
        if (begin.data[i] < 0 || begin.data[i] > ends[i] || ends[i] > extent) return lite_error(op, "it leaves its input in dimension %d", i);
    }
    return lite_bind(op, 0, lite_slice(op, input, begin.data, ends, NULL));
}

typedef struct {
    int64_t starts[MAX_RANK], ends[MAX_RANK], steps[MAX_RANK], shape[2 * MAX_RANK];
    int dims, rank; // of the input that are done; of the result
} Strided;

// As numpy: counted from the end when negative, then within the dimension.
static int64_t place_in(int64_t index, int64_t extent, int64_t step) {
    int64_t least = step > 0 ? 0 : -1, most = step > 0 ? extent : extent - 1;
    if (index < 0) index += extent;
    return index < least ? least : index > most ? most : index;
}

static bool add_dim(const LiteOp *op, Strided *s, const Type *type, int64_t begin, int64_t end, int64_t step, int64_t masks[3]) {
    int i = s->dims++;
    if (i >= type->rank) return lite_error(op, "it slices more dimensions than its input has");
    int64_t extent = type->shape[i];
    if (step == 0) return lite_error(op, "its step is 0");
    s->starts[i] = masks[0] ? (step > 0 ? 0 : extent - 1) : place_in(begin, extent, step);
    s->ends[i] = masks[1] ? (step > 0 ? extent : -1) : place_in(end, extent, step);
    s->steps[i] = step;
    if (masks[2]) {
        int64_t at = masks[0] ? s->starts[i] : begin < 0 ? begin + extent : begin;
        if (at < 0 || at >= extent) return lite_error(op, "index %lld is out of range for dimension %d", (long long)begin, i);
        s->starts[i] = at, s->ends[i] = at + 1, s->steps[i] = 1;
        return true;
    }
    int64_t count = step > 0 ? (s->ends[i] - s->starts[i] + step - 1) / step : (s->starts[i] - s->ends[i] - step - 1) / -step;
    s->shape[s->rank++] = count > 0 ? count : 0;
    if (count <= 0) s->ends[i] = s->starts[i];
    return true;
}

static bool read_strided(const LiteOp *op, const Type *type, const LiteInts lists[3], Strided *s) {
    static const FlatField fields[] = {FLAT_StridedSliceOptions_begin_mask, FLAT_StridedSliceOptions_end_mask, FLAT_StridedSliceOptions_shrink_axis_mask,
                                       FLAT_StridedSliceOptions_ellipsis_mask, FLAT_StridedSliceOptions_new_axis_mask};
    int64_t option[5], whole[3] = {1, 1, 0};
    int count = lists[0].count, more = type->rank;
    bool open = false;
    for (int i = 0; i < 5; i++) option[i] = lite_option(op, fields[i]);
    if (lists[1].count != count || lists[2].count != count || count > MAX_RANK) return lite_error(op, "begin, end and steps differ in length");
    for (int i = 0; i < count; i++) more -= !((option[3] | option[4]) >> i & 1);
    for (int i = 0; i < count; i++) {
        int64_t masks[] = {option[0] >> i & 1, option[1] >> i & 1, option[2] >> i & 1};
        if (option[3] >> i & 1) {
            for (; !open && more > 0; more--)
                if (!add_dim(op, s, type, 0, 0, 1, whole)) return false;
            open = true;
        } else if (option[4] >> i & 1) {
            s->shape[s->rank++] = 1;
        } else if (!add_dim(op, s, type, lists[0].data[i], lists[1].data[i], lists[2].data[i], masks)) return false;
    }
    while (s->dims < type->rank)
        if (!add_dim(op, s, type, 0, 0, 1, whole)) return false;
    return true;
}

bool tflite_strided_slice(const LiteOp *op) {
    Value *input = lite_input(op, 0);
    LiteInts lists[3];
    Strided s = {0};
    if (!input || !lite_ints(op, 1, "begin", &lists[0]) || !lite_ints(op, 2, "end", &lists[1]) || !lite_ints(op, 3, "steps", &lists[2])) return false;
    if (lite_option(op, FLAT_StridedSliceOptions_offset))
        for (int i = 0; i < lists[0].count && i < lists[1].count; i++) lists[1].data[i] += lists[0].data[i];
    if (!read_strided(op, input->type, lists, &s)) return false;
    return lite_bind(op, 0, lite_reshape(op, lite_slice(op, input, s.starts, s.ends, s.steps), s.rank, s.shape));
}

// Elements begin to end of one dimension.
static Value *part_of(const LiteOp *op, Value *input, int axis, int64_t begin, int64_t end) {
    int64_t starts[MAX_RANK] = {0}, ends[MAX_RANK];
    memcpy(ends, input->type->shape, sizeof(int64_t) * (size_t)input->type->rank);
    starts[axis] = begin, ends[axis] = end;
    return lite_slice(op, input, starts, ends, NULL);
}

static bool bind_parts(const LiteOp *op, Value *input, int axis, const int64_t *sizes, bool drop) {
    int64_t at = 0, dims[MAX_RANK];
    for (uint32_t i = 0; i < op->outputs.count; i++, at += sizes[i - 1]) {
        Value *part = part_of(op, input, axis, at, at + sizes[i]);
        int rank = 0;
        for (int k = 0; drop && k < input->type->rank; k++)
            if (k != axis) dims[rank++] = input->type->shape[k];
        if (!part || !lite_bind(op, (int)i, drop ? lite_reshape(op, part, rank, dims) : part)) return false;
    }
    return true;
}

static bool split_evenly(const LiteOp *op, Value *input, int axis, bool drop) {
    int64_t count = op->outputs.count, extent = input->type->shape[axis];
    if (!count || extent % count || (drop && extent != count)) return lite_error(op, "its %lld elements cannot be split in %lld parts", (long long)extent, (long long)count);
    int64_t *sizes = ARENA_ARRAY(op->lite->scratch, int64_t, count);
    for (int64_t i = 0; i < count; i++) sizes[i] = extent / count;
    return bind_parts(op, input, axis, sizes, drop);
}

bool tflite_split(const LiteOp *op) {
    Value *input = lite_input(op, 1);
    LiteInts given;
    int axis;
    if (!input || !lite_ints(op, 0, "axis", &given)) return false;
    if (given.count != 1) return lite_error(op, "it has %d axes, expected 1", given.count);
    return lite_axis(op, given.data[0], input->type->rank, &axis) && split_evenly(op, input, axis, false);
}

bool tflite_split_v(const LiteOp *op) {
    Value *input = lite_input(op, 0);
    LiteInts sizes, given;
    int axis;
    if (!input || !lite_ints(op, 1, "sizes", &sizes) || !lite_ints(op, 2, "axis", &given)) return false;
    if (given.count != 1 || sizes.count != (int)op->outputs.count) return lite_error(op, "its sizes are not one for each of its results");
    if (!lite_axis(op, given.data[0], input->type->rank, &axis)) return false;
    int64_t sum = 0, extent = input->type->shape[axis], open = -1;
    for (int i = 0; i < sizes.count; i++) {
        if (sizes.data[i] == -1 && open < 0) open = i;
        else if (sizes.data[i] < 0 || (sum += sizes.data[i]) > extent) return lite_error(op, "its sizes do not fit its input");
    }
    if (open >= 0) sizes.data[open] = extent - sum;
    if (open < 0 && sum != extent) return lite_error(op, "its sizes come to %lld of %lld elements", (long long)sum, (long long)extent);
    return bind_parts(op, input, axis, sizes.data, false);
}

bool tflite_unpack(const LiteOp *op) {
    Value *input = lite_input(op, 0);
    int axis;
    return input && lite_axis(op, lite_option(op, FLAT_UnpackOptions_axis), input->type->rank, &axis) && split_evenly(op, input, axis, true);
}

// ---- joining

// Inputs in i8 or all in f32; the result takes the scale that the model states.
static Value **joined_inputs(const LiteOp *op) {
    Value **values = ARENA_ARRAY(op->lite->scratch, Value *, lite_input_count(op) + 1);
    return lite_forms(op, OP_concat, lite_input_count(op), values) ? values : NULL;
}

static Value *emit_joined(const LiteOp *op, int count, Value **values, int axis) {
    const LiteTensor *output = lite_output(op, 0);
    if (count == 1) return values[0];
    return lite_emit_as(op, output ? output->quant : NULL, OP_concat, count, values, attr_int(op->lite->arena, NULL, "axis", axis));
}

bool tflite_concatenation(const LiteOp *op) {
    int count = lite_input_count(op), axis;
    Value **values = joined_inputs(op);
    if (!values || !count) return values && lite_error(op, "it has no inputs");
    if (!lite_axis(op, lite_option(op, FLAT_ConcatenationOptions_axis), values[0]->type->rank, &axis)) return false;
    Value *value = emit_joined(op, count, values, axis);
    return lite_bind(op, 0, lite_activate(op, value, lite_option(op, FLAT_ConcatenationOptions_fused_activation_function), false));
}

bool tflite_pack(const LiteOp *op) {
    int count = lite_input_count(op), axis;
    Value **values = joined_inputs(op);
    if (!values || !count) return values && lite_error(op, "it has no inputs");
    if (!lite_axis(op, lite_option(op, FLAT_PackOptions_axis), values[0]->type->rank + 1, &axis)) return false;
    for (int i = 0; i < count; i++)
        if (!(values[i] = with_dim(op, values[i], axis))) return false;
    return lite_bind(op, 0, emit_joined(op, count, values, axis));
}

// ---- borders

static bool read_borders(const LiteOp *op, const Type *type, int index, int rank, int64_t *low, int64_t *high) {
    LiteInts pads;
    if (!lite_ints(op, index, "paddings", &pads)) return false;
    if (pads.count != 2 * rank || type->rank < rank) return lite_error(op, "it has %d paddings, expected 2 for each dimension", pads.count);
    for (int i = 0; i < rank; i++) {
        low[i] = pads.data[2 * i], high[i] = pads.data[2 * i + 1];
        if (low[i] < 0 || high[i] < 0) return lite_error(op, "its paddings must not be negative");
    }
    return true;
}

static Value *emit_pad(const LiteOp *op, Value *input, const int64_t *low, const int64_t *high, double value) {
    Arena *arena = op->lite->arena;
    int rank = input->type->rank;
    bool none = true;
    for (int i = 0; i < rank; i++) none &= !low[i] && !high[i];
    if (none) return input;
    Attr *attrs = value != 0 ? attr_float(arena, NULL, "value", value) : NULL;
    attrs = attr_ints(arena, attrs, "high", rank, high);
    return lite_unary(op, OP_pad, input, attr_ints(arena, attrs, "low", rank, low));
}

bool tflite_pad(const LiteOp *op) {
    Value *input = lite_input(op, 0);
    int64_t low[MAX_RANK], high[MAX_RANK];
    double value = 0;
    if (!input || !read_borders(op, input->type, 1, input->type->rank, low, high)) return false;
    if (lite_tensor(op, 2)) {
        const Value *constant = lite_real(op, 2);
        const Dense *dense = constant ? value_constant(constant) : NULL;
        if (!dense || dense_count(dense) != 1) return lite_error(op, "the value of its border must be one constant number");
        value = dense_f64(dense, 0);
    }
    return lite_bind(op, 0, emit_pad(op, input, low, high, value));
}

// `count` elements next to one end, in reverse order; without the outermost one when `skip` is 1.
static Value *mirrored(const LiteOp *op, Value *input, int axis, int64_t count, int64_t skip, bool at_end) {
    int64_t starts[MAX_RANK] = {0}, ends[MAX_RANK], steps[MAX_RANK], extent = input->type->shape[axis];
    for (int i = 0; i < input->type->rank; i++) ends[i] = input->type->shape[i], steps[i] = 1;
    starts[axis] = at_end ? extent - 1 - skip : count - 1 + skip;
    ends[axis] = starts[axis] - count, steps[axis] = -1;
    return lite_slice(op, input, starts, ends, steps);
}

bool tflite_mirror_pad(const LiteOp *op) {
    Value *value = lite_input(op, 0);
    int64_t low[MAX_RANK], high[MAX_RANK], skip = lite_option(op, FLAT_MirrorPadOptions_mode) == 0;
    if (!value || !read_borders(op, value->type, 1, value->type->rank, low, high)) return false;
    for (int axis = 0; value && axis < value->type->rank; axis++) {
        int64_t extent = value->type->shape[axis];
        if (low[axis] > extent - skip || high[axis] > extent - skip) return lite_error(op, "its border is wider than its input");
        Value *parts[3];
        int count = 0;
        if (low[axis]) parts[count++] = mirrored(op, value, axis, low[axis], skip, false);
        parts[count++] = value;
        if (high[axis]) parts[count++] = mirrored(op, value, axis, high[axis], skip, true);
        for (int i = 0; i < count; i++)
            if (!parts[i]) return false;
        value = lite_concat(op, count, parts, axis);
    }
    return lite_bind(op, 0, value);
}

// ---- repeats

bool tflite_tile(const LiteOp *op) {
    Value *input = lite_input(op, 0);
    LiteInts times;
    int64_t split[2 * MAX_RANK], wide[2 * MAX_RANK], joined[MAX_RANK];
    int rank = 0;
    if (!input || !lite_ints(op, 1, "multiples", &times)) return false;
    if (times.count != input->type->rank) return lite_error(op, "it has %d multiples for %d dimensions", times.count, input->type->rank);
    for (int i = 0; i < times.count; i++) {
        int64_t extent = input->type->shape[i];
        if (times.data[i] < 0) return lite_error(op, "multiple %d is negative", i);
        joined[i] = extent * times.data[i];
        if (times.data[i] != 1 && extent != 1) split[rank] = 1, wide[rank++] = times.data[i];
        split[rank] = extent, wide[rank] = extent == 1 ? times.data[i] : extent;
        rank++;
    }
    if (rank > MAX_RANK || dims_count(times.count, joined) < 0) return lite_error(op, "its result is too large, or repeats too many dimensions");
    return lite_bind(op, 0, lite_reshape(op, lite_broadcast(op, lite_reshape(op, input, rank, split), rank, wide), times.count, joined));
}

bool tflite_broadcast_to(const LiteOp *op) {
    Value *input = lite_input(op, 0);
    LiteInts shape;
    if (!input || !lite_ints(op, 1, "shape", &shape)) return false;
    if (shape.count > MAX_RANK || dims_count(shape.count, shape.data) < 0) return lite_error(op, "its shape is out of bounds");
    return lite_bind(op, 0, lite_broadcast(op, input, shape.count, shape.data));
}

bool tflite_fill(const LiteOp *op) {
    LiteInts shape;
    Value *value = lite_input(op, 1);
    if (!value || !lite_ints(op, 0, "shape", &shape)) return false;
    if (shape.count > MAX_RANK || dims_count(shape.count, shape.data) < 0) return lite_error(op, "its shape is out of bounds");
    return lite_bind(op, 0, lite_broadcast(op, value, shape.count, shape.data));
}

bool tflite_zeros_like(const LiteOp *op) {
    const Value *input = lite_input(op, 0);
    if (!input) return false;
    return lite_bind(op, 0, lite_constant(op->lite, dense_splat(op->lite->arena, type_tensor(op->lite->arena, input->type->quant ? ELEM_F32 : input->type->elem, input->type->rank, input->type->shape), 0), true, NULL));
}

bool tflite_reverse(const LiteOp *op) {
    Value *input = lite_input(op, 0);
    LiteInts axes;
    int64_t starts[MAX_RANK] = {0}, ends[MAX_RANK], steps[MAX_RANK];
    if (!input || !lite_ints(op, 1, "axes", &axes)) return false;
    for (int i = 0; i < input->type->rank; i++) ends[i] = input->type->shape[i], steps[i] = 1;
    for (int i = 0, axis; i < axes.count; i++) {
        if (!lite_axis(op, axes.data[i], input->type->rank, &axis)) return false;
        starts[axis] = input->type->shape[axis] - 1, ends[axis] = -1, steps[axis] = -1;
    }
    return lite_bind(op, 0, lite_slice(op, input, starts, ends, steps));
}

// ---- between space and depth or batch

static bool read_blocks(const LiteOp *op, FlatField field, const Type *type, int64_t *size) {
    *size = lite_option(op, field);
    if (type->rank != 4) return lite_error(op, "its input has %d dimensions, expected 4", type->rank);
    return (*size > 0 && *size <= 1 << 15) || lite_error(op, "its blocks have the size %lld", (long long)*size);
}

bool tflite_space_to_depth(const LiteOp *op) {
    Value *input = lite_input(op, 0);
    int64_t b;
    if (!input || !read_blocks(op, FLAT_SpaceToDepthOptions_block_size, input->type, &b)) return false;
    const int64_t *s = input->type->shape;
    if (s[1] % b || s[2] % b) return lite_error(op, "its input cannot be cut into blocks of %lld", (long long)b);
    Value *value = lite_reshape(op, input, 6, (int64_t[]){s[0], s[1] / b, b, s[2] / b, b, s[3]});
    value = lite_transpose(op, value, (int[]){0, 1, 3, 2, 4, 5});
    return lite_bind(op, 0, lite_reshape(op, value, 4, (int64_t[]){s[0], s[1] / b, s[2] / b, b * b * s[3]}));
}

bool tflite_depth_to_space(const LiteOp *op) {
    Value *input = lite_input(op, 0);
    int64_t b;
    if (!input || !read_blocks(op, FLAT_DepthToSpaceOptions_block_size, input->type, &b)) return false;
    const int64_t *s = input->type->shape;
    if (s[3] % (b * b)) return lite_error(op, "its channels are not blocks of %lld", (long long)(b * b));
    Value *value = lite_reshape(op, input, 6, (int64_t[]){s[0], s[1], s[2], b, b, s[3] / (b * b)});
    value = lite_transpose(op, value, (int[]){0, 1, 3, 2, 4, 5});
    return lite_bind(op, 0, lite_reshape(op, value, 4, (int64_t[]){s[0], s[1] * b, s[2] * b, s[3] / (b * b)}));
}

typedef struct { LiteInts sizes; int64_t low[MAX_RANK], high[MAX_RANK], product; } Blocks;

// For dimensions 1 and on.
static bool read_batch_blocks(const LiteOp *op, const Type *type, Blocks *blocks) {
    *blocks = (Blocks){.product = 1};
    if (!lite_ints(op, 1, "block shape", &blocks->sizes)) return false;
    int count = blocks->sizes.count;
    if (count < 1 || count > 3 || type->rank < count + 1) return lite_error(op, "it has %d block sizes for %d dimensions", count, type->rank);
    for (int i = 0; i < count; i++) {
        if (blocks->sizes.data[i] < 1 || blocks->sizes.data[i] > 1 << 15) return lite_error(op, "its blocks are out of bounds");
        blocks->product *= blocks->sizes.data[i];
    }
    if (blocks->product > MAX_IMPORT_ELEMS) return lite_error(op, "its blocks are out of bounds");
    return read_borders(op, type, 2, count, blocks->low + 1, blocks->high + 1);
}

bool tflite_space_to_batch(const LiteOp *op) {
    Value *input = lite_input(op, 0);
    Blocks blocks;
    if (!input || !read_batch_blocks(op, input->type, &blocks)) return false;
    Value *value = emit_pad(op, input, blocks.low, blocks.high, 0);
    if (!value) return false;
    int count = blocks.sizes.count, rank = 0, rest = value->type->rank - 1 - count, perm[2 * MAX_RANK], at = 0;
    int64_t split[2 * MAX_RANK], joined[MAX_RANK];
    const int64_t *s = value->type->shape;
    split[rank++] = s[0];
    for (int i = 0; i < count; i++) {
        int64_t block = blocks.sizes.data[i];
        if (s[1 + i] % block) return lite_error(op, "dimension %d cannot be cut into blocks of %lld", 1 + i, (long long)block);
        split[rank++] = s[1 + i] / block, split[rank++] = block;
        joined[1 + i] = s[1 + i] / block;
    }
    for (int i = 0; i < rest; i++) joined[1 + count + i] = split[rank++] = s[1 + count + i];
    for (int i = 0; i < count; i++) perm[at++] = 2 + 2 * i;
    perm[at++] = 0;
    for (int i = 0; i < count; i++) perm[at++] = 1 + 2 * i;
    while (at < rank) perm[at] = at, at++;
    joined[0] = s[0] * blocks.product;
    if (rank > MAX_RANK) return lite_error(op, "its input has too many dimensions");
    value = lite_transpose(op, lite_reshape(op, value, rank, split), perm);
    return lite_bind(op, 0, lite_reshape(op, value, 1 + count + rest, joined));
}

bool tflite_batch_to_space(const LiteOp *op) {
    Value *input = lite_input(op, 0);
    Blocks blocks;
    if (!input || !read_batch_blocks(op, input->type, &blocks)) return false;
    int count = blocks.sizes.count, rank = 0, rest = input->type->rank - 1 - count, perm[2 * MAX_RANK], at = 0;
    int64_t split[2 * MAX_RANK], joined[MAX_RANK], ends[MAX_RANK];
    const int64_t *s = input->type->shape;
    if (s[0] % blocks.product) return lite_error(op, "its batch of %lld is no multiple of its blocks", (long long)s[0]);
    for (int i = 0; i < count; i++) split[rank++] = blocks.sizes.data[i];
    split[rank++] = s[0] / blocks.product;
    for (int i = 1; i < input->type->rank; i++) split[rank++] = s[i];
    if (rank > MAX_RANK) return lite_error(op, "its input has too many dimensions");
    perm[at++] = count;
    joined[0] = ends[0] = s[0] / blocks.product;
    for (int i = 0; i < count; i++) {
        perm[at++] = count + 1 + i, perm[at++] = i;
        joined[1 + i] = s[1 + i] * blocks.sizes.data[i];
        ends[1 + i] = joined[1 + i] - blocks.high[1 + i];
        if (ends[1 + i] < blocks.low[1 + i]) return lite_error(op, "it crops more than there is");
    }
    for (int i = 0; i < rest; i++) joined[1 + count + i] = ends[1 + count + i] = s[1 + count + i];
    while (at < rank) perm[at] = at, at++;
    Value *value = lite_transpose(op, lite_reshape(op, input, rank, split), perm);
    value = lite_reshape(op, value, input->type->rank, joined);
    return value && lite_bind(op, 0, lite_slice(op, value, blocks.low, ends, NULL));
}
