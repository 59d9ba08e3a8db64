// A network that takes a normalised image -> one that takes a camera's frame of bytes: turned, cropped, resized and normalised by ops
// before the network, with the same bytes as the host's preprocessing gives. What comes before the normalisation is u8; the
// normalisation is a table of 256 entries a channel, and quantize ops behind it become a part of that table, so that an i8 network's
// preprocessing has no floats.
//
// Resizing goes along one axis, then the other. Only what the crop keeps is computed. Quarter turns and mirroring change the order of
// the filters' indices; what remains of a turn is a transpose of the small image.
#include <string.h>

#include "ir/state.h"
#include "passes/frame.h"
#include "passes/rewrite.h"

typedef struct {
    const PassContext *context;
    const FrameInput *frame;
    Arena *arena;
    Builder builder;
    bool bilinear; // both axes are resized at once
} State;

static Value *make(State *state, OpKind kind, int count, Value *const *operands, Attr *attrs) {
    return op_result(op_new(&state->builder, kind, count, operands, 1, NULL, attrs), 0);
}

static Value *constant_i32(State *state, int rank, const int64_t *shape, const int32_t *data) {
    return op_constant(&state->builder, type_tensor(state->arena, ELEM_I32, rank, shape), data, NULL);
}

static Value *slice(State *state, Value *input, int axis, int64_t start, int64_t end) {
    int64_t starts[4] = {0}, ends[4];
    memcpy(ends, input->type->shape, sizeof ends);
    if (start == 0 && end == ends[axis]) return input;
    starts[axis] = start;
    ends[axis] = end;
    return make(state, OP_slice, 1, &input, attr_ints(state->arena, attr_ints(state->arena, NULL, "ends", 4, ends), "starts", 4, starts));
}

static Value *resample(State *state, Value *input, int axis, int64_t outputs, int64_t taps, const int32_t *indices, const int32_t *weights) {
    const int64_t shape[] = {outputs, taps};
    Value *operands[] = {input, constant_i32(state, 2, shape, indices), constant_i32(state, 2, shape, weights)};
    return make(state, OP_resample_u8, 3, operands, attr_int(state->arena, NULL, "axis", axis));
}

// ---- one axis of the frame

// plain: nothing but [least, most] is kept, in order. Else the filter makes what is kept, of elements from `least` on.
typedef struct { int axis, least, most; bool plain; ResizeFilter filter; } Axis;

// Resized from `in` to `out`, of which `count` from `first` on are kept, of an image that is reversed along it. `row`: elements there are;
// vertical: rows, of the turned image.
typedef struct { int in, row, out, first, count; bool reversed, vertical; } Fit;

// Only taps that an output has, of those that the stretch allows for; indices count from `least` on.
static ResizeFilter packed(State *state, const ResizeFilter *filter, int least) {
    ResizeFilter made = {.outputs = filter->outputs, .taps = 1};
    for (int i = 0; i < filter->outputs; i++)
        if (filter->count[i] > made.taps) made.taps = filter->count[i];
    made.indices = ARENA_ARRAY(state->arena, int32_t, (int64_t)made.outputs * made.taps);
    made.weights = ARENA_ARRAY(state->arena, int32_t, (int64_t)made.outputs * made.taps);
    for (int64_t i = 0; i < (int64_t)made.outputs * made.taps; i++) {
        int64_t from = i / made.taps * filter->taps + i % made.taps;
        made.indices[i] = filter->indices[from] - least;
        made.weights[i] = filter->weights[from];
    }
    return made;
}

static Axis plan_axis(State *state, int axis, Fit fit) {
    const bool both = state->bilinear;
    Axis plan = {.axis = axis, .least = fit.first, .most = fit.first + fit.count - 1, .plain = !both && fit.in == fit.out && !fit.reversed};
    if (plan.plain) return plan;
    const ResizeKind kind = !both && fit.in == fit.out ? RESIZE_NEAREST : state->frame->kind;
    ResizeFilter filter = resize_filter(state->context->scratch, kind, fit.in, fit.out, fit.vertical);
    int64_t skipped = (int64_t)fit.first * filter.taps;
    filter = (ResizeFilter){fit.count, filter.taps, filter.count + fit.first, filter.indices + skipped, filter.weights + skipped};
    plan.least = fit.in - 1, plan.most = 0;
    for (int64_t i = 0; i < (int64_t)filter.outputs * filter.taps; i++) {
        if (fit.reversed) filter.indices[i] = fit.in - 1 - filter.indices[i];
        if (filter.indices[i] < plan.least) plan.least = filter.indices[i];
        if (filter.indices[i] > plan.most) plan.most = filter.indices[i];
    }
    if (axis != 1 && !state->frame->yuv) plan.least = 0, plan.most = fit.row - 1; // parts of rows don't lie together: a slice would be a copy
    plan.filter = packed(state, &filter, plan.least);
    return plan;
}

static Value *fit_axis(State *state, Value *image, const Axis *plan) {
    const ResizeFilter *filter = &plan->filter;
    return plan->plain ? image : resample(state, image, plan->axis, filter->outputs, filter->taps, filter->indices, filter->weights);
}

static Value *transposed(State *state, Value *image) {
    return make(state, OP_transpose, 1, &image, attr_ints(state->arena, NULL, "perm", 4, (int64_t[]){0, 2, 1, 3}));
}

// The columns are summed up first: a turned image must lie as it is to be seen.
static Value *fit_both(State *state, Value *image, const ResizeFilter *rows, const ResizeFilter *columns) {
    const int64_t height[] = {rows->outputs, 2}, width[] = {columns->outputs, 2};
    Value *operands[] = {image, constant_i32(state, 2, height, rows->indices), constant_i32(state, 2, height, rows->weights),
                         constant_i32(state, 2, width, columns->indices), constant_i32(state, 2, width, columns->weights)};
    return make(state, OP_bilinear_u8, 5, operands, attr_int(state->arena, NULL, "bits", resize_bilinear_bits(state->frame->kind)));
}

// ---- the image

// ITU-R 601 luma in 16-bit fixed point, as Pillow's convert("L").
static Value *to_gray(State *state, Value *image) {
    static const int32_t weights[] = {19595 << 6, 38470 << 6, 7471 << 6};
    int32_t *indices = ARENA_ARRAY(state->arena, int32_t, 3);
    for (int i = 0; i < 3; i++) indices[i] = state->frame->colors[i];
    return resample(state, image, 3, 1, 3, indices, weights);
}

// The part of the frame that the axes need, of luma and chroma its colours.
static Value *opened(State *state, Value *image, const Axis *rows, const Axis *columns) {
    const FrameInput *frame = state->frame;
    Arena *arena = state->arena;
    if (!frame->yuv) return slice(state, slice(state, image, 1, rows->least, rows->most + 1), 2, columns->least, columns->most + 1);
    const int64_t *shape = image->type->shape, bytes[] = {1, shape[1], shape[2] * shape[3], 1};
    if (shape[3] > 1) image = make(state, OP_reshape, 1, &image, attr_ints(arena, NULL, "shape", 4, bytes));
    Attr *attrs = attr_string(arena, NULL, "layout", frame->yuv);
    attrs = attr_int(arena, attrs, "top", rows->least);
    attrs = attr_int(arena, attrs, "left", columns->least);
    attrs = attr_int(arena, attrs, "height", rows->most + 1 - rows->least);
    attrs = attr_int(arena, attrs, "width", columns->most + 1 - columns->least);
    if (frame->matrix.count) attrs = attr_ints(arena, attrs, "matrix", frame->matrix.count, frame->matrix.data);
    return make(state, OP_yuv_to_rgb, 1, &image, attrs);
}

// The turned image's columns first, then its rows, as Pillow resizes; the image itself is not turned before it is small.
static Value *fitted(State *state, Value *image) {
    const FrameInput *frame = state->frame;
    const bool turned = frame->turns & 1, right = frame->turns == 1 || frame->turns == 2, down = frame->turns == 2 || frame->turns == 3;
    const int height = frame->frame_height, width = frame->frame_width, row = (int)frame->type->shape[2];
    Fit columns_fit = {turned ? height : width, turned ? height : row, frame->width, frame->left, frame->crop_width, right != frame->mirrored, false};
    Fit rows_fit = {turned ? width : height, turned ? row : height, frame->height, frame->top, frame->crop_height, down != frame->upended, true};
    state->bilinear = resize_is_bilinear(frame->kind) && (columns_fit.in != frame->width || rows_fit.in != frame->height);
    Axis columns = plan_axis(state, turned ? 1 : 2, columns_fit), rows = plan_axis(state, turned ? 2 : 1, rows_fit);
    image = opened(state, image, turned ? &columns : &rows, turned ? &rows : &columns);
    if (frame->gray && image->type->shape[3] > 1) image = to_gray(state, image);
    if (state->bilinear) return fit_both(state, turned ? transposed(state, image) : image, &rows.filter, &columns.filter);
    image = fit_axis(state, fit_axis(state, image, &columns), &rows);
    return turned ? transposed(state, image) : image;
}

// ---- normalisation: what read the old input reads a table's results

typedef struct { Value *image, *table, *channels, *made[2]; } Lookup; // made: N H W C and N C H W

static Value *looked_up(State *state, Lookup *lookup, bool nchw) {
    if (!lookup->made[0]) lookup->made[0] = make(state, OP_lookup, 3, (Value *[]){lookup->image, lookup->table, lookup->channels}, NULL);
    if (nchw && !lookup->made[1])
        lookup->made[1] = make(state, OP_transpose, 1, lookup->made, attr_ints(state->arena, NULL, "perm", 4, (int64_t[]){0, 3, 1, 2}));
    return lookup->made[nchw];
}

static bool is_to_nhwc(const Op *op) {
    if (op->kind != OP_transpose) return false;
    IntList perm = as_transpose(op).perm;
    return perm.count == 4 && perm.data[0] == 0 && perm.data[1] == 2 && perm.data[2] == 3 && perm.data[3] == 1;
}

static bool is_table_op(const Op *op) {
    const Quant *quant = op->result_count ? op->results[0].type->quant : NULL;
    return (op->kind == OP_quantize || op->kind == OP_requantize) && quant->axis < 0;
}

// The table of what `op` makes of the entries.
static Value *composed(State *state, const Op *op, Value *table) {
    const Type *type = type_quantized(state->arena, op->results[0].type->quant, 2, table->type->shape);
    Tensor from = {table->type, (void *)value_constant(table)->data}, to = tensor_new(state->arena, type), *results[] = {&to};
    const Tensor *operands[] = {&from};
    Op plain = {.kind = op->kind, .loc = op->loc};
    if (!eval_op(state->context->diag, &plain, operands, results)) return NULL;
    return op_constant(&state->builder, type, to.data, NULL);
}

static bool forward(State *state, Value *old, Lookup *lookup, bool nchw);

static bool forward_result(State *state, Op *op, Lookup *lookup, bool nchw) {
    Value *result = op_result(op, 0), *made;
    const char *name = result->name;
    if (!forward(state, result, lookup, nchw)) return false;
    result->name = NULL;
    made = lookup->made[nchw];
    if (made && name && !made->name) value_put_name(made, name);
    op_erase(op);
    return true;
}

// Ops that the table or its layout takes in vanish; the others read what it gives.
static bool forward(State *state, Value *old, Lookup *lookup, bool nchw) {
    FOR_EACH_USE(old, use) {
        Op *owner = use->owner;
        if (nchw && is_to_nhwc(owner)) {
            if (!forward_result(state, owner, lookup, false)) return false;
        } else if (is_table_op(owner)) {
            Lookup own = {.image = lookup->image, .table = composed(state, owner, lookup->table), .channels = lookup->channels};
            if (!own.table || !forward_result(state, owner, &own, nchw)) return false;
        } else op_set_operand(owner, use->index, looked_up(state, lookup, nchw));
    }
    return true;
}

static Lookup normalised(State *state, const Type *type, Value *image) {
    const FrameInput *frame = state->frame;
    int64_t channels = type->shape[frame->nchw ? 1 : 3], shape[] = {channels, 256};
    int32_t *order = ARENA_ARRAY(state->arena, int32_t, channels);
    for (int64_t c = 0; c < channels && channels == 3; c++) order[c] = frame->colors[frame->bgr ? 2 - c : c];
    const Type *entries = type->quant ? type_quantized(state->arena, type->quant, 2, shape) : type_tensor(state->arena, type->elem, 2, shape);
    return (Lookup){.image = image, .table = op_constant(&state->builder, entries, frame->table, NULL),
                    .channels = constant_i32(state, 1, &channels, order)};
}

bool frame_input(Module *module, const PassContext *context) {
    const FrameInput *frame = context->frame;
    Func *func = module_main(module);
    if (!frame) return true;
    if (!func || module_input_count(module) != 1) return diag_error(context->diag, loc_file(module->file), "a frame needs a network of one input");
    Value *arg = &func->args[0], old = *arg;
    State state = {.context = context, .frame = frame, .arena = module->arena, .builder = builder_before(func->first)};
    state.builder.loc.name = "frame";
    // The old input's uses move to a value of their own, which nothing makes, until each has found its new operand.
    arg->uses = NULL;
    for (Use *use = old.uses; use; use = use->next) use->value = &old;
    arg->type = frame->type;
    Lookup lookup = normalised(&state, old.type, fitted(&state, arg));
    return forward(&state, &old, &lookup, frame->nchw);
}
