// Gives every kn.alloc its offset in the arena. A buffer lives from the first to the last call that touches it. The result
// of an elementwise call, or of one along an axis, takes the place of an operand that dies there, and the sum behind a
// convolution that of the residual. Buffers are then placed one by one, each at the
// lowest offset where nothing alive at the same time lies. Several orders are tried, each again and again with the first
// buffer that did not fit moved to its front ("squeaky wheel" optimization, Joslin and Clements, 1999), until the plan is
// no larger than what is alive at once.
#include <stdlib.h>

#include "ir/map.h"
#include "ir/targets.h"
#include "passes/rewrite.h"

enum { RESIDUAL = 4 }; // of the operands of conv2d_add and winograd_add
enum { ALIGN = 64, SLACK = 64 }; // kernels may read SLACK bytes past a buffer

typedef struct {
    Op *alloc;
    int first, last;  // calls
    int64_t bytes, offset;
    int place;        // index of the buffer whose place this one takes; itself
} Buffer;

typedef struct { Buffer *buffers; int count; Map *by_alloc; } Plan;

static Op *alloc_of(const Value *value) {
    while (value && value->def && value->def->kind == OP_kn_view) value = op_operand(value->def, 0);
    return value_def(value, OP_kn_alloc);
}

static int index_of(const Plan *plan, const Op *alloc) {
    const Buffer *buffer = map_find(plan->by_alloc, alloc);
    BUG_UNLESS(buffer, "a buffer that was not counted");
    return (int)(buffer - plan->buffers);
}

static bool is_step(const Op *op) { return op->kind == OP_kn_call || op->kind == OP_kn_custom; }

// Calls that run together are one step: `fused` counts those that are left of it.
static int step_after(const Op *op, int step, int64_t *fused) {
    if (op->kind == OP_kn_rows) *fused = as_kn_rows(op).calls;
    return step + (is_step(op) && (*fused <= 0 || --*fused <= 0));
}

static void find_lifetimes(Func *func, Plan *plan) {
    int64_t fused = 0;
    int step = 0;
    FOR_EACH_OP(func, op) {
        for (int i = 0; is_step(op) && i < op->operand_count; i++) {
            Op *alloc = alloc_of(op_operand(op, i));
            if (!alloc) continue;
            Buffer *buffer = &plan->buffers[index_of(plan, alloc)];
            if (buffer->first < 0) buffer->first = step;
            buffer->last = step;
        }
        step = step_after(op, step, &fused);
    }
}

// ---- in place

static bool works_in_place(const char *kernel) {
    static const char *const prefixes[] = {"qn_unary_", "qn_table_", "qn_binary_", "qn_quantize_s8_s8_", "qn_quantize_s16_s16_", "qn_softmax_",
                                           "qn_normalize_", "qn_cum_sum_"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (!strncmp(kernel, prefixes[i], strlen(prefixes[i]))) return true;
    return false;
}

// Where a sum is a part of a convolution's store, each element of the residual is read just before the sum is written there.
static bool adds_residual(const char *kernel) { return !strncmp(kernel, "qn_conv2d_add_", 14) || !strncmp(kernel, "qn_winograd_add_", 16); }

static int root(const Plan *plan, int i) {
    while (plan->buffers[i].place != i) i = plan->buffers[i].place;
    return i;
}

// The input is the whole of its buffer, laid out as the output is, and dies at `step`.
static bool can_take(const Plan *plan, const Value *input, const Value *output, int step) {
    if (!input || input->def->kind != OP_kn_alloc || !type_same_shape(input->type, output->type)) return false;
    if (input->type->elem != output->type->elem || memcmp(input->type->halo, output->type->halo, sizeof input->type->halo)) return false;
    return plan->buffers[root(plan, index_of(plan, input->def))].last == step;
}

// Does another operand lie in the same memory? Elementwise, the very same one may: it is read where it is written.
static bool is_read_otherwise(const Plan *plan, const Op *op, int operand, bool elementwise) {
    const Value *input = op_operand(op, operand);
    const int place = root(plan, index_of(plan, input->def));
    for (int i = 0; i + 1 < op->operand_count; i++) {
        const Op *alloc = alloc_of(op_operand(op, i));
        if (i == operand || !alloc || (elementwise && op_operand(op, i) == input)) continue;
        if (root(plan, index_of(plan, alloc)) == place) return true;
    }
    return false;
}

static bool may_take(const Plan *plan, const Op *op, int operand, int step) {
    const char *kernel = as_kn_call(op).kernel;
    const bool elementwise = works_in_place(kernel);
    if (!elementwise && !(adds_residual(kernel) && operand == RESIDUAL)) return false;
    return can_take(plan, op_operand(op, operand), op_operand(op, op->operand_count - 1), step) &&
           !is_read_otherwise(plan, op, operand, elementwise);
}

// The output of `op`, the step `step`, in the place of one of its operands.
static void take_place(Plan *plan, const Op *op, int step) {
    const Value *output = op_operand(op, op->operand_count - 1);
    const int out = index_of(plan, output->def);
    for (int i = 0; i + 1 < op->operand_count; i++) {
        if (!may_take(plan, op, i, step) || root(plan, out) != out) continue;
        Buffer *place = &plan->buffers[root(plan, index_of(plan, op_operand(op, i)->def))];
        Buffer *taker = &plan->buffers[out];
        if (taker->first < step - 1 || taker == place) continue; // something but its halo is there already
        taker->place = (int)(place - plan->buffers);
        if (taker->last > place->last) place->last = taker->last;
        break;
    }
}

// Not of steps that run together: one thread may still read what another would overwrite.
static void take_places(Func *func, Plan *plan) {
    int64_t fused = 0;
    int step = 0;
    FOR_EACH_OP(func, op) {
        const bool alone = op->kind == OP_kn_call && fused <= 0;
        if (alone && value_def(op_operand(op, op->operand_count - 1), OP_kn_alloc)) take_place(plan, op, step);
        step = step_after(op, step, &fused);
    }
}

// ---- offsets

static bool overlap_in_time(const Buffer *a, const Buffer *b) { return a->first <= b->last && b->first <= a->last; }

static int compare_offset(const void *a, const void *b) {
    const Buffer *x = *(const Buffer *const *)a, *y = *(const Buffer *const *)b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int64_t round_up(int64_t bytes) { return (bytes + ALIGN - 1) / ALIGN * ALIGN; }

// Lowest offset among the buffers placed so far; `near` is scratch for them.
static void place(Buffer *buffer, Buffer *const *placed, int count, Buffer **near) {
    int alive = 0;
    for (int i = 0; i < count; i++)
        if (overlap_in_time(placed[i], buffer)) near[alive++] = placed[i];
    qsort(near, (size_t)alive, sizeof *near, compare_offset);
    int64_t offset = 0;
    for (int i = 0; i < alive; i++) {
        if (near[i]->offset >= offset + round_up(buffer->bytes)) break;
        int64_t end = near[i]->offset + round_up(near[i]->bytes);
        if (end > offset) offset = end;
    }
    buffer->offset = offset;
}

static int by_size(const void *a, const void *b) {
    const Buffer *x = *(const Buffer *const *)a, *y = *(const Buffer *const *)b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x->first != y->first ? (x->first < y->first ? -1 : 1) : (x < y ? -1 : x > y);
}

static int by_start(const void *a, const void *b) {
    const Buffer *x = *(const Buffer *const *)a, *y = *(const Buffer *const *)b;
    return x->first != y->first ? (x->first < y->first ? -1 : 1) : by_size(a, b);
}

static int by_area(const void *a, const void *b) {
    const Buffer *x = *(const Buffer *const *)a, *y = *(const Buffer *const *)b;
    int64_t p = x->bytes * (x->last - x->first + 1), q = y->bytes * (y->last - y->first + 1);
    return p != q ? (p < q ? 1 : -1) : by_size(a, b);
}

static int by_life(const void *a, const void *b) {
    const Buffer *x = *(const Buffer *const *)a, *y = *(const Buffer *const *)b;
    int p = x->last - x->first, q = y->last - y->first;
    return p != q ? (p < q ? 1 : -1) : by_size(a, b);
}

static int64_t place_all(Buffer **order, int count, Buffer **near) {
    int64_t end = 0;
    for (int i = 0; i < count; i++) {
        place(order[i], order, i, near);
        int64_t own = order[i]->offset + round_up(order[i]->bytes);
        if (own > end) end = own;
    }
    return end;
}

// The most bytes alive at once: no plan is smaller.
static int64_t most_alive(Buffer *const *order, int count) {
    int64_t most = 0;
    for (int i = 0; i < count; i++) { // what is alive where buffer i begins
        int64_t alive = 0;
        for (int k = 0; k < count; k++)
            if (order[k]->first <= order[i]->first && order[i]->first <= order[k]->last) alive += round_up(order[k]->bytes);
        if (alive > most) most = alive;
    }
    return most;
}

typedef struct {
    Buffer **order, **near; // `count` of them; near is scratch
    int count;
    Buffer **best;          // the order of the best plan,
    int64_t *offsets;       // where that put them,
    int64_t least;          // and its end
} Search;

static void try_order(Search *search) {
    const int64_t end = place_all(search->order, search->count, search->near);
    if (end >= search->least) return;
    search->least = end;
    for (int i = 0; i < search->count; i++) {
        search->best[i] = search->order[i];
        search->offsets[i] = search->order[i]->offset;
    }
}

// The first in the order that lies beyond `bound`.
static void lift_out(const Search *search, int64_t bound) {
    int at = 0;
    while (at + 1 < search->count && search->order[at]->offset + search->order[at]->bytes <= bound) at++;
    Buffer *lifted = search->order[at];
    memmove(search->order + 1, search->order, (size_t)at * sizeof *search->order);
    search->order[0] = lifted;
}

static void place_best(Plan *plan, Arena *scratch) {
    typedef int Compare(const void *, const void *);
    static Compare *const orders[] = {by_size, by_start, by_area, by_life};
    enum { ORDERS = sizeof orders / sizeof *orders, MOST_ROUNDS = 100, MOST_PAIRS = 20000000 };
    Search search = {.order = ARENA_ARRAY(scratch, Buffer *, plan->count), .near = ARENA_ARRAY(scratch, Buffer *, plan->count),
                     .best = ARENA_ARRAY(scratch, Buffer *, plan->count), .offsets = ARENA_ARRAY(scratch, int64_t, plan->count),
                     .least = INT64_MAX};
    for (int i = 0; i < plan->count; i++)
        if (plan->buffers[i].place == i && plan->buffers[i].first >= 0) search.order[search.count++] = &plan->buffers[i];
    const int64_t bound = most_alive(search.order, search.count), pairs = (int64_t)search.count * search.count + 1;
    for (int k = 0; k < ORDERS && search.least > bound; k++) {
        qsort(search.order, (size_t)search.count, sizeof *search.order, orders[k]);
        for (int64_t i = 0; i <= MOST_ROUNDS && i * pairs < MOST_PAIRS && search.least > bound; i++) {
            try_order(&search);
            lift_out(&search, bound);
        }
    }
    for (int i = 0; i < search.count; i++) search.best[i]->offset = search.offsets[i];
}

// What lies highest gets the slack that its kernel may read.
static void write_offsets(Plan *plan, Arena *arena) {
    int highest = 0;
    for (int i = 0; i < plan->count; i++) {
        plan->buffers[i].offset = plan->buffers[root(plan, i)].offset;
        if (plan->buffers[i].offset + plan->buffers[i].bytes >= plan->buffers[highest].offset + plan->buffers[highest].bytes) highest = i;
    }
    for (int i = 0; i < plan->count; i++) {
        Buffer *buffer = &plan->buffers[i];
        op_set_attr(buffer->alloc, attr_int(arena, NULL, "offset", buffer->offset));
        if (i == highest) op_set_attr(buffer->alloc, attr_int(arena, NULL, "bytes", buffer->bytes + SLACK));
    }
}

bool plan_memory(Module *module, const PassContext *context) {
    Func *func = module_main(module);
    Plan plan = {0};
    if (!func) return diag_error(context->diag, loc_file(module->file), "the module has no function @main");
    FOR_EACH_OP(func, op) plan.count += op->kind == OP_kn_alloc;
    plan.buffers = ARENA_ARRAY(context->scratch, Buffer, plan.count);
    plan.by_alloc = map_new_pointers(context->scratch);
    int at = 0;
    FOR_EACH_OP(func, op)
        if (op->kind == OP_kn_alloc) {
            plan.buffers[at] = (Buffer){.alloc = op, .first = -1, .last = -1, .bytes = as_kn_alloc(op).bytes, .place = at};
            *map_get(plan.by_alloc, op) = &plan.buffers[at++];
        }
    find_lifetimes(func, &plan);
    take_places(func, &plan);
    place_best(&plan, context->scratch);
    if (plan.count) write_offsets(&plan, module->arena);
    return true;
}
