// Runs convolutions that follow one another together, over bands of rows (kn.rows): an expansion, the depthwise convolution
// behind it and the projection, above all. Each thread then computes a band of all of them in memory of its own: what lies
// between stays in its caches, never moves to another core's, and is not kept whole. The price: rows that two bands of different
// threads need are computed twice, and each thread reads all weights.
#include <math.h>
#include <stdlib.h>

#include "ir/cost.h"
#include "ir/fused.h"
#include "ir/map.h"
#include "passes/rewrite.h"

// For two threads, measured: handing over a step, a byte that one core wrote and another reads or writes next, a byte of weights
// that both read and not one of them.
static const double handover_ns = 500, shared_byte_ns = 0.03, weight_byte_ns = 0.02;

typedef struct {
    Op *op, *halo; // halo: fills that of what it writes; NULL
    KernelArgs args; // not split by channels
    bool split;      // by channels
    int next;        // the call that it runs together with; -1: none
    bool follows;    // another runs together with it
} Call;

typedef struct { const PassContext *context; Call *calls; int count; } Calls;

static bool is_halo(const KernelArgs *args) { return !strcmp(args->family->name, "halo"); }

// Rows of panels of channels become rows.
static void join_channels(Call *call) {
    const FamilyInfo *family = call->args.family;
    for (int i = 0; i < family->field_count; i++)
        if (!strcmp(family->fields[i].name, "panel")) call->split = args_get(&call->args, "panel") != 0;
    if (!call->split || !strcmp(family->name, "linear")) return;
    args_int(&call->args, "panel", 0);
    args_int(&call->args, "rows", args_get(&call->args, "out_h"));
}

static void find_calls(Func *func, Calls *calls) {
    FOR_EACH_OP(func, op) {
        Call *call = &calls->calls[calls->count];
        if (op->kind != OP_kn_call || !args_from_op(&call->args, op)) continue;
        call->op = op;
        call->next = -1;
        join_channels(call);
        calls->count++;
    }
}

// ---- is it worth it?

static double estimate(const Calls *calls, const Call *call) {
    return kernel_estimate(calls->context->target, kernel_find(as_kn_call(call->op).kernel), &call->args, false).ns;
}

// Per row of call `i`, all that is computed again with it.
static double row_ns(const Calls *calls, int i, const int *before) {
    const Call *call = &calls->calls[i];
    double ns = estimate(calls, call) / fmax(args_get(&call->args, "rows"), 1);
    return before[i] < 0 ? ns : ns + row_ns(calls, before[i], before) * args_get(&call->args, "stride_h");
}

static double split_weights_ns(const Call *call) {
    return call->split ? kernel_weight_bytes(kernel_find(as_kn_call(call->op).kernel), &call->args) / 2 * weight_byte_ns : 0;
}

static bool is_depthwise(const Call *call) { return !strcmp(call->args.family->name, "depthwise"); }

// A sum in the convolution's store can't take its residual's place then.
static double residual_bytes(const Op *op) {
    enum { RESIDUAL = 4 };
    return strcmp(kernel_find(as_kn_call(op).kernel)->family, "conv2d_add") ? 0 : (double)type_bytes(op_operand(op, RESIDUAL)->type);
}

static bool is_worth(const Calls *calls, int maker, int user, const struct qn_row_buffer *buffer, const int *before) {
    const Call *from = &calls->calls[maker], *to = &calls->calls[user];
    const int again = buffer->window - buffer->stride;
    const double bytes = (double)buffer->height * buffer->row_bytes, twice = again > 0 ? again * row_ns(calls, maker, before) / 2 : 0;
    if (!is_depthwise(from) && !is_depthwise(to)) return false; // the others compute so much for each byte that moving it is hidden
    return bytes > residual_bytes(to->op) && handover_ns + bytes * shared_byte_ns > twice + split_weights_ns(from) + split_weights_ns(to);
}

static bool may_run(const Call *call) { return kernel_find(as_kn_call(call->op).kernel)->guard(call->args.words); }

// ---- which

static int length_to(const int *before, int i) { return i < 0 ? 0 : 1 + length_to(before, before[i]); }

static void find_edges(Calls *calls, int *before) {
    Map *makers = map_new_pointers(calls->context->scratch); // of memory: its call
    for (int i = 0; i < calls->count; i++) {
        Call *call = &calls->calls[i];
        before[i] = -1;
        if (!call->op->operand_count || is_halo(&call->args)) continue;
        const Value *input = op_operand(call->op, 0);
        Call *maker = input ? map_find(makers, buffer_memory(input)) : NULL;
        struct qn_row_buffer buffer;
        if (maker && maker->next < 0 && may_run(maker) && may_run(call) && rows_between(maker->op, &maker->args, call->op, &call->args, &buffer) &&
            length_to(before, (int)(maker - calls->calls)) < QN_MOST_FUSED && is_worth(calls, (int)(maker - calls->calls), i, &buffer, before)) {
            maker->next = i;
            call->follows = true;
            before[i] = (int)(maker - calls->calls);
        }
        *map_get(makers, buffer_memory(op_operand(call->op, call->op->operand_count - 1))) = call;
    }
}

static void find_halos(Calls *calls) {
    Map *halos = map_new_pointers(calls->context->scratch);
    for (int i = 0; i < calls->count; i++) {
        Call *call = &calls->calls[i];
        if (!call->op->operand_count) continue;
        const Op *memory = buffer_memory(op_operand(call->op, call->op->operand_count - 1));
        if (is_halo(&call->args)) *map_get(halos, memory) = call->op;
        else call->halo = map_find(halos, memory);
    }
}

// ---- together

static void set_int(Op *op, const char *name, int64_t value) { op_set_attr(op, attr_int(op->func->module->arena, NULL, name, value)); }

// The most rows whose buffers fit half of the second cache, shared evenly by the bands.
static int32_t choose_band(const PassContext *context, FusedRows *fused, int32_t rows) {
    const int64_t room = context->target->l2_bytes / 2;
    int32_t band = rows;
    for (; band > 1; band--) {
        int64_t bytes = 0;
        fused_slots(fused, band);
        for (int i = 0; i + 1 < fused->count; i++) bytes += (int64_t)fused->buffers[i].slots * fused->buffers[i].row_bytes;
        if (bytes <= room) break;
    }
    const int32_t bands = (rows + band - 1) / band;
    return (rows + bands - 1) / bands;
}

static void fuse_from(const Calls *calls, int first) {
    int last = first, count = 0;
    while (calls->calls[last].next >= 0) last = calls->calls[last].next;
    Op *end = calls->calls[last].op;
    Builder builder = builder_before(end);
    Op *rows = op_new(&builder, OP_kn_rows, 0, NULL, 0, NULL, NULL);
    for (int i = first; i >= 0; i = calls->calls[i].next) {
        const Call *call = &calls->calls[i];
        if (call->halo && i != last) op_move_before(call->halo, end);
        if (i != last) op_move_before(call->op, end);
        count += 1 + (call->halo && i != last);
        set_int(call->op, "rows", args_get(&call->args, "rows"));
        if (call->split) set_int(call->op, "panel", 0);
    }
    set_int(rows, "calls", count);
    set_int(rows, "band", 1);
    FusedRows fused;
    BUG_UNLESS(fused_rows(rows, &fused), "rows that can't be fused");
    const int32_t band = choose_band(calls->context, &fused, args_get(&calls->calls[last].args, "rows"));
    set_int(rows, "band", band);
    fused_slots(&fused, band);
    for (int i = 0; i + 1 < fused.count; i++)
        set_int((Op *)(uintptr_t)fused.allocs[i], "bytes", (int64_t)fused.buffers[i].slots * fused.buffers[i].row_bytes);
}

bool fuse_rows(Module *module, const PassContext *context) {
    Func *func = module_main(module);
    int room = 1;
    if (context->bounded || context->watched || context->keep_all || !context->target) return true;
    FOR_EACH_OP(func, op) room += op->kind == OP_kn_call;
    Calls calls = {context, ARENA_ARRAY(context->scratch, Call, room), 0};
    int *before = ARENA_ARRAY(context->scratch, int, room);
    find_calls(func, &calls);
    find_edges(&calls, before);
    find_halos(&calls);
    for (int i = 0; i < calls.count; i++)
        if (!calls.calls[i].follows && calls.calls[i].next >= 0) fuse_from(&calls, i);
    return true;
}
