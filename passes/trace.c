// From a lowered program to its numbers, and the comparison of two programs' forms (trace.h).
#include "passes/trace.h"

#include <string.h>

#include "ir/map.h"

typedef struct {
    Arena *arena;
    Trace *trace;
    Map *numbers; // of memory ops, from 1
    int memory_count, room;
} Tracer;

static const Op *memory_of(const Value *buffer) {
    while (buffer->def->kind == OP_kn_view) buffer = op_operand(buffer->def, 0);
    return buffer->def;
}

// Bytes from the first byte of an image buffer's memory to element [0, 0, 0, 0]: the halo's share.
static int64_t halo_bytes(const Type *type) {
    if (type->rank != 4) return 0;
    int64_t row_pixels = type->shape[2] + type->halo[1] + type->halo[3];
    return (type->halo[0] * row_pixels + type->halo[1]) * type->shape[3] * ((elem_bits(type->elem) + 7) / 8);
}

// Of all elements, halo included; what plan_memory adds for reads beyond is not the buffer's.
static int64_t memory_bytes(const Op *alloc) {
    const Type *type = alloc->results[0].type;
    int64_t bytes = as_kn_alloc(alloc).pad_bytes + (int64_t)type_bytes(type);
    if (type->rank != 4) return bytes;
    int64_t rows = type->shape[1] + type->halo[0] + type->halo[2], columns = type->shape[2] + type->halo[1] + type->halo[3];
    return bytes + (rows * columns - type->shape[1] * type->shape[2]) * type->shape[0] * type->shape[3] * ((elem_bits(type->elem) + 7) / 8);
}

static int64_t buffer_offset(const Value *buffer) {
    int64_t offset = 0;
    for (; buffer->def->kind == OP_kn_view; buffer = op_operand(buffer->def, 0)) offset += as_kn_view(buffer->def).offset;
    if (buffer->def->kind == OP_kn_alloc) offset += as_kn_alloc(buffer->def).pad_bytes;
    return buffer->def->kind == OP_kn_weights ? offset : offset + halo_bytes(buffer->type);
}

// ---- fields

static void add_field(Tracer *t, TraceField field, int64_t value) {
    Trace *trace = t->trace;
    if (trace->field_count == t->room) {
        int room = 2 * t->room + 256;
        TraceField *fields = ARENA_ARRAY(t->arena, TraceField, room);
        int64_t *values = ARENA_ARRAY(t->arena, int64_t, room);
        if (t->room) {
            memcpy(fields, trace->fields, sizeof *fields * (size_t)t->room);
            memcpy(values, trace->values, sizeof *values * (size_t)t->room);
        }
        trace->fields = fields, trace->values = values, t->room = room;
    }
    trace->fields[trace->field_count] = field;
    trace->values[trace->field_count++] = value;
}

static void add_words(Tracer *t, int item, const TraceCall *call) {
    const FamilyInfo *family = call->args.family;
    for (int i = 0; i < family->field_count; i++)
        for (int k = 0; k < family->fields[i].count && family->fields[i].kind == 'I'; k++)
            add_field(t, (TraceField){FIELD_WORD, item, k, &family->fields[i]}, call->args.words[family->fields[i].word + k]);
}

static void add_dims(Tracer *t, const Op *op) {
    bool is_input = op->kind == OP_kn_input;
    int item = (int)(is_input ? as_kn_input(op).index : as_kn_output(op).index);
    const Type *type = op->results[0].type;
    for (int i = 0; i < type->rank; i++)
        add_field(t, (TraceField){is_input ? FIELD_INPUT : FIELD_OUTPUT, item, i, NULL}, type->shape[i]);
}

// ---- calls

static int number_of(Tracer *t, const Op *memory) {
    enum { CALLERS = 1 << 20 }; // the caller's memory has the numbers of inputs and outputs
    if (memory->kind == OP_kn_input) return CALLERS + 2 * (int)as_kn_input(memory).index;
    if (memory->kind == OP_kn_output) return CALLERS + 2 * (int)as_kn_output(memory).index + 1;
    void **number = map_get(t->numbers, memory);
    if (*number) return (int)((intptr_t)*number - 1);
    *number = (void *)(intptr_t)++t->memory_count;
    if (memory->kind == OP_kn_weights) t->trace->weights[t->trace->weight_count++] = memory;
    if (memory->kind == OP_kn_alloc) t->trace->allocs[t->trace->alloc_count++] = memory;
    return t->memory_count - 1;
}

static bool same_layout(const Value *a, const Value *b) {
    return type_same_shape(a->type, b->type) && a->type->elem == b->type->elem &&
           !memcmp(a->type->halo, b->type->halo, sizeof a->type->halo) && a->type->pixel == b->type->pixel;
}

static bool shares_place(const Op *a, const Op *b) {
    if (a == b) return true;
    if (a->kind != OP_kn_alloc || b->kind != OP_kn_alloc) return false;
    kn_alloc_view x = as_kn_alloc(a), y = as_kn_alloc(b);
    return x.offset >= 0 && x.offset < y.offset + y.bytes && y.offset < x.offset + x.bytes;
}

static void add_call(Tracer *t, const Op *op) {
    int item = t->trace->call_count++;
    TraceCall *call = &t->trace->calls[item];
    const Value *out = op_operand(op, op->operand_count - 1);
    *call = (TraceCall){.op = op, .name = op->loc.name ? op->loc.name : "", .kernel = kernel_find(as_kn_call(op).kernel),
                        .buffer_count = op->operand_count};
    BUG_UNLESS(op->operand_count <= MAX_CALL_BUFFERS && args_from_op(&call->args, op), "%s", as_kn_call(op).kernel);
    add_words(t, item, call);
    for (int i = 0; i < op->operand_count; i++) {
        const Value *buffer = op_operand(op, i);
        call->memory[i] = -1;
        if (!buffer || buffer->type->kind == TYPE_NONE) continue;
        call->memory[i] = number_of(t, memory_of(buffer));
        if (same_layout(buffer, out)) call->alike |= 1u << i;
        if (shares_place(memory_of(buffer), memory_of(out))) call->in_place |= 1u << i;
        add_field(t, (TraceField){FIELD_BUFFER, item, i, NULL}, buffer_offset(buffer));
    }
}

Trace *trace_new(Arena *arena, const Module *kn, const int32_t *sizes) {
    Trace *trace = ARENA_NEW(arena, Trace);
    Tracer tracer = {.arena = arena, .trace = trace, .numbers = map_new_pointers(arena)};
    const Func *func = module_main(kn);
    int ops = 1;
    FOR_EACH_OP(func, op) ops++;
    memcpy(trace->sizes, sizes, sizeof trace->sizes);
    trace->module = kn;
    trace->calls = ARENA_ARRAY(arena, TraceCall, ops);
    trace->weights = ARENA_ARRAY(arena, const Op *, ops);
    trace->allocs = ARENA_ARRAY(arena, const Op *, ops);
    FOR_EACH_OP(func, op) {
        if (op->kind == OP_kn_call) add_call(&tracer, op);
        if (op->kind == OP_kn_input || op->kind == OP_kn_output) add_dims(&tracer, op);
    }
    for (int i = 0; i < trace->alloc_count; i++)
        add_field(&tracer, (TraceField){FIELD_BYTES, i, 0, NULL}, memory_bytes(trace->allocs[i]));
    return trace;
}

// ---- comparing

static bool same_floats(const KernelArgs *a, const KernelArgs *b) {
    for (int i = 0; i < a->family->field_count; i++) {
        const FieldInfo *field = &a->family->fields[i];
        if (field->kind == 'F' && memcmp(&a->words[field->word], &b->words[field->word], 4 * (size_t)field->count)) return false;
    }
    return true;
}

static const char *call_difference(Arena *arena, const TraceCall *a, const TraceCall *b) {
    if (a->kernel != b->kernel)
        return arena_printf(arena, "layer '%s' would be computed by another kernel: %s, not %s", b->name, b->kernel->symbol,
                            a->kernel->symbol);
    if (!same_floats(&a->args, &b->args)) return arena_printf(arena, "layer '%s' would compute with other numbers", b->name);
    if (memcmp(a->memory, b->memory, sizeof *a->memory * (size_t)a->buffer_count) || (a->in_place & a->alike & ~b->alike))
        return arena_printf(arena, "layer '%s' would have other operands", b->name);
    return NULL;
}

// The bytes of `other` are the first of `whole`.
static bool is_first_part(const Op *whole, const Op *other) {
    const Dense *a = as_kn_weights(whole).value, *b = as_kn_weights(other).value;
    size_t bytes = type_bytes(b->type);
    if (a->type->elem != b->type->elem || bytes > type_bytes(a->type) || a->splat != b->splat) return false;
    return a->data == b->data || !memcmp(a->data, b->data, a->splat ? a->bytes : bytes);
}

const char *trace_difference(Arena *arena, const Trace *trace, const Trace *other) {
    for (int i = 0; i < trace->call_count && i < other->call_count; i++) {
        const char *text = call_difference(arena, &trace->calls[i], &other->calls[i]);
        if (text) return text;
    }
    if (trace->call_count != other->call_count || trace->field_count != other->field_count)
        return arena_printf(arena, "the program would have %d steps, not %d", other->call_count, trace->call_count);
    for (int i = 0; i < trace->weight_count && i < other->weight_count; i++) {
        const char *name = other->weights[i]->results[0].name;
        if (!is_first_part(trace->weights[i], other->weights[i]))
            return arena_printf(arena, "the constant '%s' would have other elements", name ? name : "");
    }
    for (int i = 0; i < trace->field_count; i++)
        if (trace->fields[i].kind != other->fields[i].kind || trace->fields[i].item != other->fields[i].item)
            return "its inputs or outputs would have another rank";
    return NULL;
}
