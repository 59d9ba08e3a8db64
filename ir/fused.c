// What kn.rows may hold: window kernels of one image, or steps of a camera frame's preprocessing, each of which alone reads what the one
// before it makes.
#include "ir/fused.h"

#include "ir/image_rows.h"

#include <string.h>

const Op *buffer_memory(const Value *buffer) {
    const Op *op = buffer->def;
    while (op && op->kind == OP_kn_view) op = op_operand(op, 0)->def;
    return op;
}

static const Value *output_of(const Op *call) { return call->operand_count ? op_operand(call, call->operand_count - 1) : NULL; }
static bool is_halo(const KernelArgs *args) { return !strcmp(args->family->name, "halo"); }

static bool is_window(const KernelArgs *args) {
    const char *family = args->family->name;
    return !strcmp(family, "conv2d") || !strcmp(family, "conv2d_add") || !strcmp(family, "depthwise");
}

// Its rows are those of one image, all channels at once.
static bool has_plain_rows(const KernelArgs *args) {
    return is_window(args) && args_get(args, "rows") == args_get(args, "out_h") && !args_get(args, "panel");
}

// ---- a buffer between two calls

static bool is_halo_call(const Op *op) {
    KernelArgs args;
    return op->kind == OP_kn_call && args_from_op(&args, op) && is_halo(&args);
}

// Nothing but `maker` and `halo` write there, and nothing but the first operand of `user` reads.
static bool used_between(const Value *buffer, const Op *maker, const Op *halo, const Op *user) {
    FOR_EACH_USE(buffer, use) {
        const Op *op = use->owner;
        bool writes = (op == maker && use->index == maker->operand_count - 1) || op == halo;
        bool reads = op == user && !use->index;
        if (!writes && !reads && !(op->kind == OP_kn_view && used_between(&op->results[0], maker, halo, user))) return false;
    }
    return true;
}

// How many bytes before element [0, 0, 0, 0] of `memory` the call's first operand begins; negative: it lies otherwise.
static int64_t bytes_before(const Value *operand, const Op *memory) {
    const Op *op = operand->def;
    if (op == memory) return 0;
    if (op->kind != OP_kn_view || op_operand(op, 0) != &memory->results[0]) return -1;
    return -as_kn_view(op).offset;
}

static bool lies_in_rows(const Type *type) {
    return type->kind == TYPE_BUFFER && type->rank == 4 && type->shape[0] == 1 && (!type->pixel || type->pixel == type->shape[3]);
}

static bool agrees(const struct qn_row_buffer *b, const Type *type, const KernelArgs *made, const KernelArgs *used) {
    const int64_t bytes = elem_bits(type->elem) / 8;
    return args_get(made, "out_h") == b->height && args_get(made, "out_w") == type->shape[2] && args_get(made, "out_c") == type->shape[3] &&
           args_get(made, "out_pixel") == type->shape[3] && args_get(made, "out_row") * bytes == b->row_bytes &&
           args_get(used, "in_pixel") == type->shape[3] && args_get(used, "in_row") * bytes == b->row_bytes;
}

// No row is read that is neither made nor halo.
static bool reaches_inside(const struct qn_row_buffer *b, const KernelArgs *used, int64_t outside_rows) {
    const int64_t reach = (int64_t)(args_get(used, "out_h") - 1) * b->stride - b->pad + b->window;
    return outside_rows <= b->top && b->window > 0 && b->stride > 0 && (args_get(used, "padded") || reach <= b->height + b->bottom);
}

// One byte that all of the halo holds, as elements of 0 are, and those of 8 bits.
static bool fill_of(const Op *halo, int32_t *fill) {
    KernelArgs args;
    if (!args_from_op(&args, halo)) return false;
    *fill = args_get(&args, "value_lo") & 255;
    return args_get(&args, "elem_bytes") == 1 || !args_get(&args, "value_lo");
}

// All of the halo around what `maker` makes is filled by `halo`.
static bool halo_fits(const Op *maker, const Op *halo, struct qn_row_buffer *buffer) {
    const bool has_halo = buffer->top | buffer->bottom | buffer->left_bytes | buffer->right_bytes;
    if (!has_halo || !halo) return !has_halo && !halo;
    return output_of(halo) == output_of(maker) && fill_of(halo, &buffer->fill);
}

bool rows_between(const Op *maker, const KernelArgs *made, const Op *halo, const Op *user, const KernelArgs *used, struct qn_row_buffer *buffer) {
    const Value *output = output_of(maker), *input = user->operand_count ? op_operand(user, 0) : NULL;
    const Op *memory = output ? output->def : NULL;
    if (!memory || !input || memory->kind != OP_kn_alloc || buffer_memory(input) != memory) return false;
    const Type *type = output->type;
    const int64_t before = bytes_before(input, memory);
    if (!before && !halo && lies_in_rows(type) && used_between(output, maker, halo, user) && image_rows_between(maker, made, type, user, used, buffer))
        return true;
    if (!has_plain_rows(made) || !has_plain_rows(used) || !lies_in_rows(type) || before < 0 || !used_between(output, maker, halo, user)) return false;
    const int64_t pixel = type->shape[3] * elem_bits(type->elem) / 8, row = (type->shape[2] + type->halo[1] + type->halo[3]) * pixel;
    if (row <= 0 || row > INT32_MAX || before % row > type->halo[1] * pixel) return false;
    *buffer = (struct qn_row_buffer){
        .height = (int32_t)type->shape[1], .top = type->halo[0], .bottom = type->halo[2],
        .window = (args_get(used, "kernel_h") - 1) * args_get(used, "dilation_h") + 1, .stride = args_get(used, "stride_h"), .calls = 1,
        .pad = args_get(used, "pad_top") + (int32_t)(before / row), .row_bytes = (int32_t)row,
        .left_bytes = type->halo[1] * (int32_t)pixel, .right_bytes = type->halo[3] * (int32_t)pixel};
    return agrees(buffer, type, made, used) && halo_fits(maker, halo, buffer) && reaches_inside(buffer, used, before / row);
}

// ---- all calls

static bool add_call(FusedRows *fused, const Op *call, const Op *halo) {
    if (fused->count == QN_MOST_FUSED) return false;
    fused->halos[fused->count] = halo;
    fused->calls[fused->count++] = call;
    return true;
}

static bool join(FusedRows *fused, int i) {
    KernelArgs made, used;
    struct qn_row_buffer *buffer = &fused->buffers[i];
    if (!args_from_op(&made, fused->calls[i]) || !args_from_op(&used, fused->calls[i + 1])) return false;
    if (!rows_between(fused->calls[i], &made, fused->halos[i], fused->calls[i + 1], &used, buffer)) return false;
    fused->allocs[i] = output_of(fused->calls[i])->def;
    return true;
}

static bool ends_in_rows(const FusedRows *fused) {
    KernelArgs args;
    return args_from_op(&args, fused->calls[fused->count - 1]) && image_rows_end(&args, fused->buffers[fused->count - 2].row_bytes);
}

bool fused_rows(const Op *rows, FusedRows *fused) {
    int64_t left = as_kn_rows(rows).calls;
    const Op *halo = NULL;
    *fused = (FusedRows){0};
    for (const Op *op = rows->next; op && left > 0; op = op->next) {
        if (op->kind == OP_kn_rows || op->kind == OP_kn_custom) return false;
        if (op->kind != OP_kn_call) continue;
        left--;
        bool fills = is_halo_call(op);
        if (fills && halo) return false;
        if (!fills && !add_call(fused, op, halo)) return false;
        halo = fills ? op : NULL;
    }
    if (left || halo || fused->count < 2 || fused->halos[fused->count - 1]) return false;
    for (int i = 0; i + 1 < fused->count; i++)
        if (!join(fused, i)) return false;
    return ends_in_rows(fused);
}

void fused_slots(FusedRows *fused, int32_t band) {
    int64_t rows = band;
    for (int i = fused->count - 2; i >= 0; i--) {
        struct qn_row_buffer *b = &fused->buffers[i];
        const int64_t all = (int64_t)b->top + b->height + b->bottom;
        rows = ((rows - 1) * b->stride + (((int64_t)1 << b->shift) - 1)) / ((int64_t)1 << b->shift) + b->window;
        b->slots = (int32_t)(rows < all ? rows : all);
        if (rows > b->height) rows = b->height;
    }
}

bool op_verify_rows(const Op *op, Diag *diag) {
    FusedRows fused;
    if (op->kind != OP_kn_rows) return true;
    kn_rows_view rows = as_kn_rows(op);
    if (rows.band < 1 || rows.band > INT32_MAX) return diag_error(diag, op->loc, "kn.rows: a band has at least one row; found %lld", (long long)rows.band);
    if (!fused_rows(op, &fused))
        return diag_error(diag, op->loc, "kn.rows: expected %lld calls of window kernels or of a frame's steps, each reading alone what the one before it makes",
                          (long long)rows.calls);
    for (int i = 0; i + 1 < fused.count; i++) {
        fused_slots(&fused, (int32_t)rows.band);
        if (as_kn_alloc(fused.allocs[i]).bytes < (int64_t)fused.buffers[i].slots * fused.buffers[i].row_bytes)
            return diag_error(diag, fused.allocs[i]->loc, "kn.rows: a buffer has no room for the rows of a band");
    }
    return true;
}
