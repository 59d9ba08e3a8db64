// Resolves a planned kn module to addresses and argument words (steps.h): what comes in is verified IR, what goes out
// needs no IR to be run or printed.
#include "codegen/steps.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "ir/custom.h"
#include "ir/state.h"
#include "runtime/entry.h"

char *identifier(Arena *arena, const char *text) {
    char *name = arena_printf(arena, "%s%s", isdigit((unsigned char)*text) || !*text ? "_" : "", text);
    for (char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c)) *c = '_';
    return name;
}

// ---- addresses

static int64_t elem_bytes(const Type *type) { return (elem_bits(type->elem) + 7) / 8; }

int64_t buffer_halo_bytes(const Type *type) {
    if (type->kind != TYPE_BUFFER || type->rank != 4) return 0;
    int64_t row_pixels = type->shape[2] + type->halo[1] + type->halo[3];
    return (type->halo[0] * row_pixels + type->halo[1]) * type->shape[3] * elem_bytes(type);
}

Address buffer_address(const Steps *steps, const Value *buffer) {
    const Op *op = buffer->def;
    switch (op->kind) {
    case OP_kn_alloc: {
        const int *rows = map_find(steps->rows, op);
        if (rows) return (Address){.place = AT_ROWS, .index = *rows};
        kn_alloc_view alloc = as_kn_alloc(op);
        BUG_UNLESS(alloc.offset >= 0, "buffer '%s' has no place in the arena", buffer->name ? buffer->name : "");
        return (Address){.place = AT_ARENA, .offset = alloc.offset + alloc.pad_bytes + buffer_halo_bytes(buffer->type)};
    }
    case OP_kn_view: {
        kn_view_view view = as_kn_view(op);
        Address address = buffer_address(steps, view.source);
        address.offset += view.offset;
        return address;
    }
    case OP_kn_weights: {
        const WeightBlob *blob = map_find(steps->blobs, as_kn_weights(op).value);
        if (blob) return (Address){.place = AT_WEIGHTS, .index = (int)(blob - steps->weights), .offset = blob->offset};
        break;
    }
    case OP_kn_input:
        return (Address){.place = AT_INPUT, .index = (int)as_kn_input(op).index, .offset = buffer_halo_bytes(buffer->type)};
    case OP_kn_output:
        return (Address){.place = AT_OUTPUT, .index = (int)as_kn_output(op).index, .offset = buffer_halo_bytes(buffer->type)};
    default: break;
    }
    BUG("'%s' is no buffer of a planned program", buffer->name ? buffer->name : op_info(op->kind)->full_name);
}

// Of a buffer whose distance from the start of its memory varies.
static Address varying_address(const Steps *steps, const Value *buffer, SizeExpr distance) {
    const Op *memory = buffer_memory(buffer);
    Address address = buffer_address(steps, &memory->results[0]);
    address.offset = memory->kind == OP_kn_alloc ? as_kn_alloc(memory).offset
                     : memory->kind == OP_kn_weights ? address.offset : 0;
    address.varying = distance;
    return address;
}

static bool same_memory(const Op *a, const Op *b) {
    if (a == b) return true;
    if (a->kind != OP_kn_alloc || b->kind != OP_kn_alloc) return false;
    kn_alloc_view x = as_kn_alloc(a), y = as_kn_alloc(b);
    return x.offset < y.offset + y.bytes && y.offset < x.offset + x.bytes;
}

// ---- names

static bool is_helper(const char *family) {
    return !strcmp(family, "halo") || !strcmp(family, "fill") || !strcmp(family, "copy");
}

// What else the generated code calls `<model>_<name>`: no step may be called so.
static void reserve_names(Arena *arena, const Steps *steps) {
    static const char *const own[] = {"arena_bytes", "info", "init", "inputs_info", "outputs_info", "program", "reset", "run", "run_pointers",
                                      "sizes", "state", "states", "steps", "target", "terms", "variants", "weights"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) *map_get(steps->names, own[i]) = (void *)(uintptr_t)1;
    for (int i = 0; steps->states && i < steps->states->count; i++) *map_get(steps->names, arena_printf(arena, "start_%d", i)) = (void *)(uintptr_t)1;
}

// The name of the tensor that the step writes; a second step on the same tensor adds what it does.
static const char *step_name(Arena *arena, const Steps *steps, const Step *step) {
    const Value *out = step->op->operand_count ? step->op->operands[step->op->operand_count - 1].value : NULL;
    const char *tensor = step->op->loc.name;
    while (!tensor && out) {
        tensor = out->name;
        out = out->def->kind == OP_kn_view ? as_kn_view(out->def).source : NULL;
    }
    const char *family = step->kernel->family;
    char *base = tensor ? identifier(arena, tensor) : arena_strdup(arena, family);
    char *name = is_helper(family) && tensor ? arena_printf(arena, "%s_%s", base, family) : base;
    char *stem = arena_printf(arena, "%s_%s", base, family);
    if (map_find(steps->names, name)) name = stem;
    uintptr_t number = (uintptr_t)map_find(steps->names, name), first = number;
    while (number && map_find(steps->names, name)) name = arena_printf(arena, "%s_%d", stem, (int)++number);
    if (number != first) *map_get(steps->names, stem) = (void *)number;
    *map_get(steps->names, name) = (void *)(uintptr_t)1;
    return name;
}

// ---- steps

static const Varying *find_distance(const VaryingList *list, int buffer) {
    for (int i = 0; i < list->count; i++)
        if (!strcmp(list->items[i].field, "buffer") && list->items[i].index == buffer) return &list->items[i];
    return NULL;
}

static void resolve_pointers(const Steps *steps, Step *step, const VaryingList *list) {
    const Op *op = step->op;
    int expected = step->args.family->pointer_count;
    BUG_UNLESS(op->operand_count == expected, "%s: %d buffers, the family %s has %d", step->kernel->symbol,
               op->operand_count, step->kernel->family, expected);
    for (int i = 0; i < expected; i++) {
        const Value *buffer = op->operands[i].value;
        if (i == expected - 1 && step->args.words[1] > 0)
            step->pointers[step->pointer_count++] = (Address){.place = AT_SCRATCH};
        bool absent = !buffer || buffer->type->kind == TYPE_NONE;
        const Varying *distance = absent ? NULL : find_distance(list, i);
        step->pointers[step->pointer_count++] = absent     ? (Address){0}
                                                : distance ? varying_address(steps, buffer, distance->value)
                                                           : buffer_address(steps, buffer);
        if (i < expected - 1 && !absent)
            step->overlap |= same_memory(buffer_memory(buffer), buffer_memory(op->operands[expected - 1].value));
    }
}

// The words that vary, in the order of the family's fields.
static void resolve_varying(Arena *arena, Step *step, const VaryingList *list) {
    const FamilyInfo *family = step->args.family;
    VaryingWord *words = ARENA_ARRAY(arena, VaryingWord, list->count);
    for (int k = 0; k < family->field_count; k++)
        for (int i = 0; i < list->count; i++)
            if (!strcmp(list->items[i].field, family->fields[k].name))
                words[step->varying_count++] = (VaryingWord){family->fields[k].word + list->items[i].index, list->items[i].value};
    step->varying = words;
}

const SizeExpr *step_rows_expr(const Step *step) {
    return step->varying_count && step->varying[0].word == 0 ? &step->varying[0].value : NULL;
}

static bool same_varying(const Step *a, const Step *b) {
    if (a->varying_count != b->varying_count) return false;
    for (int i = 0; i < a->varying_count; i++)
        if (a->varying[i].word != b->varying[i].word || !size_expr_equal(&a->varying[i].value, &b->varying[i].value)) return false;
    return true;
}

static bool same_nothing(const Step *a, const Step *b) {
    for (int i = 0; i < a->pointer_count; i++)
        if ((a->pointers[i].place == AT_NOTHING) != (b->pointers[i].place == AT_NOTHING)) return false;
    return true;
}

static void find_alike(Steps *steps, int index) {
    Step *step = &steps->steps[index];
    step->like = index;
    for (int k = 0; k < steps->kind_count && step->like == index; k++) {
        const int i = steps->kinds[k];
        const Step *other = &steps->steps[i];
        if (other->kernel == step->kernel && other->overlap == step->overlap && same_nothing(other, step) && same_varying(other, step) &&
            !memcmp(other->args.words, step->args.words, sizeof(int32_t) * (size_t)step->args.family->words))
            step->like = i;
    }
    if (step->like == index) steps->kinds[steps->kind_count++] = index;
    steps->steps[step->like].like_count++;
}

// A custom operator is a step of one row, which no other is like.
static void add_custom(Arena *arena, Steps *steps, const Op *op) {
    static const FamilyInfo family = {.name = "custom", .words = 2};
    kn_custom_view view = as_kn_custom(op);
    Step *step = &steps->steps[steps->step_count];
    KernelInfo *kernel = ARENA_NEW(arena, KernelInfo);
    *kernel = (KernelInfo){.family = "custom", .operands = "any", .result = "any", .isa = "generic", .symbol = view.symbol};
    *step = (Step){.op = op, .kernel = kernel, .rows = 1, .grain = 1, .pointer_count = op->operand_count,
                   .like = steps->step_count, .like_count = 1};
    step->args.family = &family;
    const Value **buffers = ARENA_ARRAY(arena, const Value *, op->operand_count);
    for (int i = 0; i < op->operand_count; i++) {
        buffers[i] = op_operand(op, i);
        step->pointers[i] = buffer_address(steps, buffers[i]);
    }
    int inputs = (int)view.inputs;
    step->custom = custom_describe(arena, op->loc.name, view.attributes, inputs, buffers, op->operand_count - inputs, buffers + inputs);
    step->name = step_name(arena, steps, step);
    steps->step_count++;
}

static void add_step(Arena *arena, Steps *steps, const Op *op) {
    kn_call_view call = as_kn_call(op);
    Step *step = &steps->steps[steps->step_count];
    step->op = op;
    step->kernel = kernel_find(call.kernel);
    BUG_UNLESS(step->kernel, "there is no kernel '%s'", call.kernel);
    BUG_UNLESS(args_from_op(&step->args, op), "%s: arguments", call.kernel);
    step->rows = (int32_t)call.rows;
    step->args.words[0] = step->rows;
    VaryingList varying = op_varying(arena, op, &steps->sizes);
    resolve_varying(arena, step, &varying);
    resolve_pointers(steps, step, &varying);
    step->grain = step_grain(step, 1);
    step->name = step_name(arena, steps, step);
    if (step->args.words[1] > 0) {
        int64_t scratch = steps_align(step->args.words[1]) + STEPS_READ_SLACK;
        if (scratch > steps->scratch_bytes) steps->scratch_bytes = scratch;
    }
    find_alike(steps, steps->step_count++);
}

// ---- steps that run together

// Where the rows between them lie: in the plan, and side by side in the memory of each thread but the first.
static void add_row_buffers(Arena *arena, Steps *steps, FusedRows *fused) {
    int64_t end = STEPS_READ_SLACK;
    for (int i = 0; i + 1 < fused->count; i++) {
        struct qn_row_buffer *buffer = &fused->buffers[i];
        int *number = arena_alloc(arena, sizeof *number);
        *number = i;
        *map_get(steps->rows, fused->allocs[i]) = number;
        buffer->offset = (size_t)as_kn_alloc(fused->allocs[i]).offset;
        buffer->own_offset = (size_t)end;
        end = steps_align(end + (int64_t)buffer->slots * buffer->row_bytes);
    }
    if (end + STEPS_READ_SLACK > steps->worker_bytes) steps->worker_bytes = end + STEPS_READ_SLACK;
}

// The calls after `op`, a kn.rows; returns the last of them.
static const Op *add_fused(Arena *arena, Steps *steps, const Op *op) {
    FusedRows fused;
    struct qn_row_buffer *buffers = arena_alloc(arena, sizeof fused.buffers);
    struct qn_fused *record = ARENA_NEW(arena, struct qn_fused);
    Step *first = &steps->steps[steps->step_count];
    BUG_UNLESS(fused_rows(op, &fused), "a kn.rows that was not verified");
    fused_slots(&fused, (int32_t)as_kn_rows(op).band);
    add_row_buffers(arena, steps, &fused);
    memcpy(buffers, fused.buffers, sizeof fused.buffers);
    *record = (struct qn_fused){fused.count, (int32_t)as_kn_rows(op).band, buffers};
    for (int i = 0; i < fused.count; i++) add_step(arena, steps, fused.calls[i]);
    first->fused = record;
    first[fused.count - 1].grain = step_grain(first, fused.count);
    return fused.calls[fused.count - 1];
}

static void add_weights(Steps *steps, const Op *op) {
    const Dense *data = as_kn_weights(op).value;
    void **known = map_get(steps->blobs, data);
    if (*known) return;
    *known = &steps->weights[steps->weight_count];
    steps->weights[steps->weight_count++] = (WeightBlob){steps->weights_bytes, data, op->results[0].name};
    steps->weights_bytes = steps_align(steps->weights_bytes + (int64_t)type_bytes(data->type));
}

static int compare_begins(const void *a, const void *b) {
    const Lifetime *x = a, *y = b;
    return x->begin < y->begin ? -1 : x->begin > y->begin;
}

static void find_lifetimes(Arena *arena, Steps *steps, int op_count) {
    Map *known = map_new_pointers(arena);
    Lifetime *lives = steps->lives = ARENA_ARRAY(arena, Lifetime, op_count);
    int count = 0;
    for (int i = 0, at = 0, end = 0; i < steps->step_count; i++) { // fused ones are one step
        if (i >= end) at = i, end = i + (steps->steps[i].fused ? steps->steps[i].fused->count : 1);
        for (int k = 0; k < steps->steps[i].op->operand_count; k++) {
            const Value *buffer = steps->steps[i].op->operands[k].value;
            const Op *memory = buffer && buffer->type->kind != TYPE_NONE ? buffer_memory(buffer) : NULL;
            if (!memory || memory->kind != OP_kn_alloc) continue;
            void **life = map_get(known, memory);
            if (!*life) {
                kn_alloc_view alloc = as_kn_alloc(memory);
                lives[count] = (Lifetime){alloc.offset, alloc.offset + alloc.bytes, at, at};
                *life = &lives[count++];
            }
            ((Lifetime *)*life)->last = at;
        }
    }
    qsort(lives, (size_t)count, sizeof *lives, compare_begins);
    steps->life_count = count;
}

// The most bytes alive during one step; buffers that share memory in place count once.
static int64_t live_bytes(const Steps *steps) {
    const Lifetime *lives = steps->lives;
    int64_t most = 0;
    for (int i = 0; i < steps->step_count; i++) {
        int64_t live = steps->steps[i].args.words[1], end = 0;
        for (int k = 0; k < steps->life_count; k++) {
            if (lives[k].first > i || lives[k].last < i || lives[k].end <= end) continue;
            live += lives[k].end - (lives[k].begin > end ? lives[k].begin : end);
            end = lives[k].end;
        }
        if (live > most) most = live;
    }
    return most;
}

static void add_interface(Steps *steps, const Op *op) {
    bool is_input = op->kind == OP_kn_input;
    int64_t index = is_input ? as_kn_input(op).index : as_kn_output(op).index;
    int *count = is_input ? &steps->input_count : &steps->output_count;
    const Value **list = is_input ? steps->inputs : steps->outputs;
    list[index] = &op->results[0];
    if (index >= *count) *count = (int)index + 1;
}

static void add_memory(Steps *steps, const Func *func) {
    FOR_EACH_OP(func, op) {
        bool is_edge = op->kind == OP_kn_input || op->kind == OP_kn_output;
        if (op->kind == OP_kn_weights) add_weights(steps, op);
        else if (is_edge && func == module_main(steps->module)) add_interface(steps, op);
        else if (op->kind == OP_kn_alloc && as_kn_alloc(op).offset + as_kn_alloc(op).bytes > steps->plan_bytes)
            steps->plan_bytes = as_kn_alloc(op).offset + as_kn_alloc(op).bytes;
    }
}

// What a state begins with, as the program stores it; NULL: zeros.
static const void *start_of(Arena *arena, const Module *module, int index, const Type *buffer) {
    const Type *type = buffer->quant ? type_quantized(arena, buffer->quant, buffer->rank, buffer->shape)
                                     : type_tensor(arena, buffer->elem, buffer->rank, buffer->shape);
    Tensor tensor = module_start_tensor(arena, module, index, type);
    unsigned char *bytes = tensor.data, any = 0;
    for (size_t i = 0; i < type_bytes(type); i++) any |= bytes[i] ^= buffer->quant && buffer->elem == ELEM_U8 && type->elem == ELEM_I8 ? 0x80 : 0;
    return any ? bytes : NULL;
}

// Two places for each at the end of the plan, and the addresses of all inputs and outputs.
static void add_states(Arena *arena, Steps *steps) {
    const int count = module_state_count(steps->module);
    if (!count) return;
    struct qn_states *states = ARENA_NEW(arena, struct qn_states);
    struct qn_state *items = ARENA_ARRAY(arena, struct qn_state, count);
    steps->input_count -= count, steps->output_count -= count;
    *states = (struct qn_states){count, steps->input_count, steps->output_count, (size_t)steps->plan_bytes, items};
    steps->plan_bytes += steps_align(8 * (int64_t)(steps->input_count + steps->output_count + 2 * count)) + STEPS_READ_SLACK;
    for (int i = 0; i < count; i++) {
        const Type *type = steps->inputs[steps->input_count + i]->type;
        items[i] = (struct qn_state){.bytes = (size_t)(type_elem_count(type) * elem_bytes(type)), .start = start_of(arena, steps->module, i, type)};
        for (int turn = 0; turn < 2; turn++) {
            items[i].offset[turn] = (size_t)steps->plan_bytes;
            steps->plan_bytes += steps_align((int64_t)items[i].bytes) + STEPS_READ_SLACK;
        }
    }
    steps->states = states;
}

static void add_variant(Arena *arena, Steps *steps, const Func *func) {
    Variant *variant = &steps->variants[steps->variant_count++];
    *variant = (Variant){.first = steps->step_count, .box = func_sizes(arena, func)};
    for (const Op *op = func->first; op; op = op->next) {
        if (op->kind == OP_kn_rows) op = add_fused(arena, steps, op);
        else if (op->kind == OP_kn_call) add_step(arena, steps, op);
        else if (op->kind == OP_kn_custom) add_custom(arena, steps, op);
        else BUG_UNLESS(op->kind == OP_return || !strcmp(op_info(op->kind)->dialect, "kn"), "'%s' in a planned program",
                        op_info(op->kind)->full_name);
    }
    variant->count = steps->step_count - variant->first;
}

Steps *steps_new(Arena *arena, const Module *kn) {
    const Func *main = module_main(kn);
    Steps *steps = ARENA_NEW(arena, Steps);
    int ops = 1, funcs = 0;
    for (const Func *func = kn->funcs; func; func = func->next, funcs++)
        FOR_EACH_OP(func, op) ops++;
    steps->module = kn;
    steps->sizes = func_sizes(arena, main);
    steps->variants = ARENA_ARRAY(arena, Variant, funcs);
    steps->steps = ARENA_ARRAY(arena, Step, ops);
    steps->kinds = ARENA_ARRAY(arena, int, ops);
    steps->weights = ARENA_ARRAY(arena, WeightBlob, ops);
    steps->inputs = ARENA_ARRAY(arena, const Value *, ops);
    steps->outputs = ARENA_ARRAY(arena, const Value *, ops);
    steps->blobs = map_new_pointers(arena);
    steps->names = map_new_texts(arena);
    steps->rows = map_new_pointers(arena);
    steps->weights_bytes = STEPS_READ_SLACK;
    for (const Func *func = kn->funcs; func; func = func->next) add_memory(steps, func);
    steps->weights_bytes = steps->weight_count ? steps->weights_bytes + STEPS_READ_SLACK : 0;
    steps->plan_bytes = steps_align(steps->plan_bytes) + STEPS_READ_SLACK;
    add_states(arena, steps);
    reserve_names(arena, steps);
    for (const Func *func = kn->funcs; func; func = func->next)
        if (func != main) add_variant(arena, steps, func);
    add_variant(arena, steps, main);
    steps->worker_bytes = steps_align(steps->worker_bytes) + steps->scratch_bytes;
    find_lifetimes(arena, steps, ops);
    steps->live_bytes = live_bytes(steps);
    return steps;
}

int64_t steps_arena_bytes(const Steps *steps, int threads) {
    return QN_ARENA_HEADER_BYTES + steps->plan_bytes + steps->scratch_bytes + (threads > 1 ? threads - 1 : 0) * steps->worker_bytes;
}
