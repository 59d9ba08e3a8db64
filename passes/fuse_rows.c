// Runs an expansion, the depthwise convolution behind it and the projection together, over bands of rows (kn.rows). Each thread
// then computes a band of all three in memory of its own: what lies between them, larger than what they read and write, stays in its
// caches, never moves to another core's, and is not kept whole where that is much. The price: rows that two threads' bands need are
// computed twice, and each thread reads all weights. Where what lies between is not the larger part, as in other chains, one thread
// loses more by what is then alive at once than two gain (measured).
//
// The steps of a camera frame's preprocessing run together always: what lies between them is larger than the network's input.
#include <math.h>
#include <stdlib.h>

#include "ir/cost.h"
#include "ir/fused.h"
#include "ir/image_rows.h"
#include "ir/map.h"
#include "passes/explain.h"
#include "passes/rewrite.h"

// For two threads, measured: handing over a step, a byte that one core wrote and another reads or writes next, a byte of weights
// that both read and not one of them.
static const double handover_ns = 500, shared_byte_ns = 0.03, weight_byte_ns = 0.02;

typedef struct {
    Op *op, *halo; // halo: fills that of what it writes; NULL
    KernelArgs args; // not split by channels
    bool split;      // by channels
    bool fused;      // already: it may end one chain and begin another
} Call;

typedef struct {
    const PassContext *context;
    Call *calls;
    int count;
    Map *writers, *readers; // calls by the memory that they write, or read first; halos apart
} Calls;

static bool is_halo(const KernelArgs *args) { return !strcmp(args->family->name, "halo"); }

// Rows of panels of channels become rows.
static void join_channels(Call *call) {
    const FamilyInfo *family = call->args.family;
    for (int i = 0; i < family->field_count; i++)
        if (!strcmp(family->fields[i].name, "panel")) call->split = args_get(&call->args, "panel") != 0;
    if (!call->split || !strcmp(family->name, "linear")) return;
    const int64_t panel = args_get(&call->args, "panel"), channels = args_get(&call->args, "out_c");
    if (panel < 1 || channels < 1) return;
    args_int(&call->args, "panel", 0);
    args_int(&call->args, "rows", args_get(&call->args, "rows") / ((channels + panel - 1) / panel)); // of all images
}

static void find_calls(Func *func, Calls *calls) {
    Map *halos = map_new_pointers(calls->context->scratch);
    int64_t fused = 0; // calls that are left of those that run together already
    FOR_EACH_OP(func, op) {
        if (op->kind == OP_kn_rows) fused = as_kn_rows(op).calls;
        Call *call = &calls->calls[calls->count];
        if (op->kind != OP_kn_call || !args_from_op(&call->args, op)) continue;
        call->op = op;
        call->fused = fused > 0 && fused--;
        calls->count++;
        if (!op->operand_count) continue;
        const Op *output = buffer_memory(op_operand(op, op->operand_count - 1)), *input = NULL;
        if (op_operand(op, 0)) input = buffer_memory(op_operand(op, 0));
        join_channels(call);
        if (is_halo(&call->args)) *map_get(halos, output) = op;
        else {
            call->halo = map_find(halos, output);
            *map_get(calls->writers, output) = call;
            if (input) *map_get(calls->readers, input) = call;
        }
    }
}

// ---- which

// Per row of what it makes.
static double row_ns(const PassContext *context, const Call *call) {
    const KernelInfo *kernel = kernel_find(as_kn_call(call->op).kernel);
    return kernel_estimate(context->target, kernel, &call->args, false).ns / fmax(args_get(&call->args, "rows"), 1);
}

static double split_weights_ns(const Call *call) {
    return call->split ? kernel_weight_bytes(kernel_find(as_kn_call(call->op).kernel), &call->args) / 2 * weight_byte_ns : 0;
}

// What the bands save two threads, and what they cost.
static bool is_worth(const PassContext *context, Call *const calls[3], const struct qn_row_buffer buffers[2]) {
    const int again = buffers[0].window - buffers[0].stride;
    double gain = 2 * handover_ns, loss = again > 0 ? again * row_ns(context, calls[0]) / 2 : 0;
    for (int i = 0; i < 3; i++) loss += split_weights_ns(calls[i]);
    for (int i = 0; i < 2; i++) gain += (double)buffers[i].height * buffers[i].row_bytes * shared_byte_ns;
    if (gain <= loss) explain_rows(context, calls[0]->op, calls[2]->op, 0, gain, loss);
    return gain > loss;
}

static bool is_family(const Call *call, const char *family) { return !strcmp(call->args.family->name, family); }
static bool may_run(const Call *call) { return kernel_find(as_kn_call(call->op).kernel)->guard(call->args.words); }

static int64_t operand_bytes(const Call *call, int index) { return (int64_t)type_bytes(op_operand(call->op, index)->type); }
static int64_t output_bytes(const Call *call) { return operand_bytes(call, call->op->operand_count - 1); }

// The expansion makes more than it reads, the projection less. A sum in its store can't take its residual's place then.
static bool is_widest_between(Call *const calls[3]) {
    return output_bytes(calls[0]) > operand_bytes(calls[0], 0) && output_bytes(calls[1]) > output_bytes(calls[2]);
}

// Calibration shall see them all, also those that nothing reads.
static bool makes_all_rows(const struct qn_row_buffer *b, const KernelArgs *used) {
    return b->stride <= b->window && b->pad >= 0 && (int64_t)(args_get(used, "out_h") - 1) * b->stride - b->pad + b->window >= b->height;
}

static bool find_three(const Calls *calls, Call *depthwise, Call *three[3]) {
    struct qn_row_buffer buffers[2];
    if (!is_family(depthwise, "depthwise")) return false;
    three[0] = map_find(calls->writers, buffer_memory(op_operand(depthwise->op, 0)));
    three[1] = depthwise;
    three[2] = map_find(calls->readers, buffer_memory(op_operand(depthwise->op, depthwise->op->operand_count - 1)));
    for (int i = 0; i < 3; i++)
        if (!three[i] || three[i]->fused || (i != 1 && !is_family(three[i], "conv2d") && !is_family(three[i], "conv2d_add")) ||
            !may_run(three[i]))
            return false;
    for (int i = 0; i < 2; i++)
        if (!rows_between(three[i]->op, &three[i]->args, three[i]->halo, three[i + 1]->op, &three[i + 1]->args, &buffers[i]) ||
            (calls->context->watched && !makes_all_rows(&buffers[i], &three[i + 1]->args)))
            return false;
    return is_widest_between(three) && is_worth(calls->context, three, buffers);
}

// ---- together

static void set_int(Op *op, const char *name, int64_t value) { op_set_attr(op, attr_int(op->func->module->arena, NULL, name, value)); }

static int64_t kept_bytes(const FusedRows *fused, int i) { return (int64_t)fused->buffers[i].slots * fused->buffers[i].row_bytes; }

// Of convolutions half of the second cache, of images twice the first one, whose steps are short; and no more than two neighbours take that are
// kept whole: what is alive at once without fusion.
static int64_t room_for(const PassContext *context, FusedRows *fused, bool images) {
    const int64_t half = images ? 2 * context->target->l1_bytes : context->target->l2_bytes / 2;
    int64_t most = 0;
    fused_slots(fused, INT32_MAX / 2);
    for (int i = 0; i + 1 < fused->count; i++) {
        const int64_t two = kept_bytes(fused, i) + (i ? kept_bytes(fused, i - 1) : 0);
        most = two > most ? two : most;
    }
    return most < half ? most : half;
}

// A step passes over a fifth of the rows or more: these are not made where a band is one row.
static bool skips_rows(const FusedRows *fused) {
    for (int i = 0; i + 1 < fused->count; i++)
        if (fused->buffers[i].stride * (int64_t)4 > (fused->buffers[i].window * (int64_t)5) << fused->buffers[i].shift) return true;
    return false;
}

// The most rows whose buffers fit, shared evenly by the bands.
static int32_t choose_band(const PassContext *context, FusedRows *fused, int32_t rows, bool images) {
    const int64_t room = room_for(context, fused, images);
    int32_t band = images && skips_rows(fused) ? 1 : rows;
    for (; band > 1; band--) {
        int64_t bytes = 0;
        fused_slots(fused, band);
        for (int i = 0; i + 1 < fused->count; i++) bytes += kept_bytes(fused, i);
        if (bytes <= room) break;
    }
    const int32_t bands = (rows + band - 1) / band;
    return (rows + bands - 1) / bands;
}

static void fuse(const Calls *calls, Call *const *chain, int count) {
    Op *end = chain[count - 1]->op;
    Builder builder = builder_before(end);
    Op *rows = op_new(&builder, OP_kn_rows, 0, NULL, 0, NULL, NULL);
    int called = count;
    for (int i = 0; i < count; i++) {
        chain[i]->fused = true;
        set_int(chain[i]->op, "rows", args_get(&chain[i]->args, "rows"));
        if (chain[i]->split) set_int(chain[i]->op, "panel", 0);
        if (i == count - 1) break;
        if (chain[i]->halo) op_move_before(chain[i]->halo, end), called++;
        op_move_before(chain[i]->op, end);
    }
    set_int(rows, "calls", called);
    set_int(rows, "band", 1);
    FusedRows fused;
    BUG_UNLESS(fused_rows(rows, &fused), "rows that can't be fused");
    const int32_t band = choose_band(calls->context, &fused, args_get(&chain[count - 1]->args, "rows"), is_image_step(&chain[0]->args));
    explain_rows(calls->context, chain[0]->op, end, band, 0, 0);
    set_int(rows, "band", band);
    fused_slots(&fused, band);
    for (int i = 0; i + 1 < fused.count; i++)
        set_int((Op *)(uintptr_t)fused.allocs[i], "bytes", kept_bytes(&fused, i));
}

// ---- of a camera's frame

// The steps that end with `last`, from the first on; returns how many.
static int find_steps(const Calls *calls, Call *last, Call *chain[QN_MOST_FUSED]) {
    struct qn_row_buffer buffer;
    int count = 1;
    chain[QN_MOST_FUSED - 1] = last;
    for (Call *call = last; count < QN_MOST_FUSED; count++) {
        Call *before = op_operand(call->op, 0) ? map_find(calls->writers, buffer_memory(op_operand(call->op, 0))) : NULL;
        if (!before || before->fused || !is_image_step(&before->args) ||
            !rows_between(before->op, &before->args, before->halo, call->op, &call->args, &buffer) ||
            (call == last && !image_rows_end(&last->args, buffer.row_bytes)))
            break;
        chain[QN_MOST_FUSED - 1 - count] = call = before;
    }
    memmove(chain, chain + QN_MOST_FUSED - count, sizeof *chain * (size_t)count);
    return count;
}

static void fuse_images(const Calls *calls) {
    for (int i = calls->count - 1; i >= 0; i--) {
        Call *chain[QN_MOST_FUSED], *last = &calls->calls[i];
        if (!last->op->operand_count || last->fused || !is_image_step(&last->args)) continue;
        const int count = find_steps(calls, last, chain);
        if (count > 1) fuse(calls, chain, count);
    }
}

bool fuse_rows(Module *module, const PassContext *context) {
    Func *func = module_main(module);
    int room = 1;
    if (!func) return diag_error(context->diag, loc_file(module->file), "the module has no function @main");
    if (context->bounded || (context->watched && !context->in_rows) || context->keep_all) return true;
    FOR_EACH_OP(func, op) room += op->kind == OP_kn_call;
    Calls calls = {context, ARENA_ARRAY(context->scratch, Call, room), 0, map_new_pointers(context->scratch), map_new_pointers(context->scratch)};
    find_calls(func, &calls);
    for (int i = 0; i < calls.count; i++) {
        Call *three[3];
        if (calls.calls[i].op->operand_count && find_three(&calls, &calls.calls[i], three)) fuse(&calls, three, 3);
    }
    fuse_images(&calls);
    return true;
}
