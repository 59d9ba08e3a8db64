// Buffers and calls of the lowering: where values lie, copies where a kernel needs them elsewhere, and walks.
#include <math.h>

#include "passes/explain.h"
#include "passes/lower.h"

Lowered *lowered_get(Lower *lower, const Value *value) {
    size_t i = ((size_t)value >> 4) * 0x9E3779B97F4A7C15u % lower->capacity;
    while (lower->lowered[i].key && lower->lowered[i].key != value) i = (i + 1) % lower->capacity;
    if (!lower->lowered[i].key) lower->lowered[i] = (Lowered){.key = value};
    return &lower->lowered[i];
}

Elem stored_elem(const Lower *lower, const Type *tensor) {
    return tensor->quant && tensor->elem == ELEM_I8 && lower->flip ? ELEM_U8 : tensor->elem;
}

static Value *make(Lower *lower, OpKind kind, int count, Value *const *operands, const Type *type, Attr *attrs,
                   const char *name) {
    Builder builder = {lower->to, NULL, lower->loc};
    Op *op = op_new(&builder, kind, count, operands, 1, &type, attrs);
    if (name) value_set_name(&op->results[0], name);
    return &op->results[0];
}

static size_t buffer_bytes(const Type *type) {
    if (type->rank != 4) return type_bytes(type);
    return (size_t)(type->shape[0] * buffer_image(type)) * (size_t)elem_bits(type->elem) / 8;
}

static Value *alloc_as(Lower *lower, const Type *tensor, Elem stored, const int32_t halo[4], const char *name) {
    const Type *type = type_buffer(lower->arena, tensor, stored, halo);
    return make(lower, OP_kn_alloc, 0, NULL, type, attr_int(lower->arena, NULL, "bytes", (int64_t)buffer_bytes(type)), name);
}

Value *buffer_alloc(Lower *lower, const Type *tensor, const int32_t halo[4], const char *name) {
    return alloc_as(lower, tensor, stored_elem(lower, tensor), halo, name);
}

Value *buffer_weights(Lower *lower, Elem elem, const void *data, size_t bytes, const char *name) {
    int64_t count = (int64_t)(bytes * 8 / (size_t)elem_bits(elem));
    Dense *dense = ARENA_NEW(lower->arena, Dense);
    *dense = (Dense){.type = type_tensor(lower->arena, elem, 1, &count), .data = data, .bytes = bytes};
    const Type *type = type_buffer(lower->arena, dense->type, elem, NULL);
    return make(lower, OP_kn_weights, 0, NULL, type, attr_dense(lower->arena, NULL, "value", dense), name);
}

Value *buffer_view(Lower *lower, Value *source, const Type *type, int64_t offset_bytes) {
    return make(lower, OP_kn_view, 1, &source, type, attr_int(lower->arena, NULL, "offset", offset_bytes), NULL);
}

bool buffer_is_dense(const Value *buffer) {
    const int32_t *h = buffer->type->halo;
    return !(h[0] | h[1] | h[2] | h[3] | buffer->type->pixel);
}

void buffer_strides(const Type *type, int64_t strides[MAX_RANK]) {
    int64_t stride = 1;
    for (int i = type->rank - 1; i >= 0; i--) {
        strides[i] = stride;
        stride *= type->shape[i];
    }
    if (type->rank == 4) {
        strides[2] = buffer_pixel(type);
        strides[1] = buffer_row(type);
        strides[0] = buffer_image(type);
    }
}

// ---- operands

// A constant that stands in an activation's place: its elements, stored as activations are.
static Value *constant_buffer(Lower *lower, const Value *value) {
    const Dense *dense = value_constant(value);
    size_t bytes = type_bytes(dense->type);
    uint8_t *data = (uint8_t *)dense->data;
    Elem elem = stored_elem(lower, value->type);
    if (dense->splat || elem != dense->type->elem) {
        data = arena_alloc(lower->arena, bytes);
        for (size_t at = 0; at < bytes; at += dense->splat ? dense->bytes : bytes)
            memcpy(data + at, dense->data, dense->splat ? dense->bytes : bytes);
        for (size_t at = 0; elem != dense->type->elem && at < bytes; at++) data[at] ^= 0x80;
    }
    Value *blob = buffer_weights(lower, elem, data, bytes, value->name);
    return buffer_view(lower, blob, type_buffer(lower->arena, value->type, elem, NULL), 0);
}

Value *operand_any(Lower *lower, Value *value) {
    Lowered *lowered = lowered_get(lower, value);
    if (lowered->buffer) return lowered->buffer;
    BUG_UNLESS(value_constant(value), "'%s' is used before it is lowered", value->name ? value->name : "?");
    Value *buffer = constant_buffer(lower, value);
    return lowered_get(lower, value)->buffer = buffer;
}

// Fills the border of a new buffer with the zero point (0 in f32): what padding means to its consumers.
static void emit_halo(Lower *lower, Value *buffer, const Type *tensor) {
    const Type *type = buffer->type;
    KernelArgs args;
    args_begin(&args, "halo");
    args_int(&args, "rows", type->shape[0]);
    args_int(&args, "h", type->shape[1]);
    args_int(&args, "w", type->shape[2]);
    args_int(&args, "c", type->shape[3]);
    args_int(&args, "out_row", buffer_row(type));
    args_int(&args, "out_image", buffer_image(type));
    args_int(&args, "top", type->halo[0]);
    args_int(&args, "left", type->halo[1]);
    args_int(&args, "bottom", type->halo[2]);
    args_int(&args, "right", type->halo[3]);
    args_int(&args, "elem_bytes", elem_bits(type->elem) / 8);
    const int32_t bits = elem_bits(type->elem) == 16 ? 0xFFFF : 0xFF;
    int32_t zero = tensor->quant ? (tensor->quant->zero_point[0] & bits) ^ (type->elem == ELEM_U8 ? 0x80 : 0) : 0;
    args_int(&args, "value_lo", zero);
    emit_kernel(lower, "any", "any", &args, 1, &buffer);
}

static Value *alloc_with_halo(Lower *lower, const Type *tensor, const int32_t halo[4], const char *name) {
    Value *buffer = buffer_alloc(lower, tensor, halo, name);
    if (!buffer_is_dense(buffer)) emit_halo(lower, buffer, tensor);
    return buffer;
}

static Value *copied(Lower *lower, Value *buffer, const Type *tensor, const int32_t halo[4]) {
    Value *copy = alloc_with_halo(lower, tensor, halo, NULL);
    const Type *types[] = {buffer->type, copy->type};
    Walk walk = walk_new(tensor, 2, types);
    emit_copy(lower, &walk, elem_bits(copy->type->elem) / 8, 0, buffer, copy);
    return copy;
}

Value *copied_as(Lower *lower, Value *buffer, const Type *tensor, Elem stored) {
    Value *copy = alloc_as(lower, tensor, stored, NULL, NULL);
    const Type *types[] = {buffer->type, copy->type};
    Walk walk = walk_new(tensor, 2, types);
    emit_copy(lower, &walk, elem_bits(stored) / 8, buffer->type->elem != stored ? 0x80 : 0, buffer, copy);
    return copy;
}

Value *operand_dense(Lower *lower, Value *value) {
    Value *buffer = operand_any(lower, value);
    return buffer_is_dense(buffer) ? buffer : copied(lower, buffer, value->type, NULL);
}

static const Op *memory_of(const Value *buffer) {
    while (buffer->def->kind == OP_kn_view) buffer = op_operand(buffer->def, 0);
    return buffer->def;
}

static bool is_in_arena(const Value *buffer) {
    OpKind kind = memory_of(buffer)->kind;
    return kind == OP_kn_alloc || kind == OP_kn_weights;
}

// Copies replace the value's buffer, so that further consumers share them.
Value *operand_in_arena(Lower *lower, Value *value) {
    Value *buffer = operand_any(lower, value);
    if (is_in_arena(buffer)) return buffer;
    return lowered_get(lower, value)->buffer = copied(lower, buffer, value->type, lowered_get(lower, value)->halo);
}

Value *operand_with_halo(Lower *lower, Value *value, const int32_t halo[4]) {
    Value *buffer = operand_any(lower, value);
    bool enough = is_in_arena(buffer);
    int32_t larger[4];
    for (int i = 0; i < 4; i++) {
        int32_t planned = lowered_get(lower, value)->halo[i];
        enough = enough && buffer->type->halo[i] >= halo[i];
        larger[i] = planned > halo[i] ? planned : halo[i];
    }
    if (enough) return buffer;
    return lowered_get(lower, value)->buffer = copied(lower, buffer, value->type, larger);
}

// ---- results

Value *result_buffer(Lower *lower, Value *value) {
    Lowered *lowered = lowered_get(lower, value);
    if (lowered->buffer) return lowered->buffer; // the model's output
    if (lowered->whole) return lowered->buffer = part_buffer(lower, value);
    lowered->buffer = alloc_with_halo(lower, value->type, lowered->halo, value->name);
    for (int i = 0; i < value->alias_count; i++) value_add_alias(lowered->buffer, value->aliases[i]);
    return lowered->buffer;
}

void result_is(Lower *lower, Value *value, Value *buffer) {
    Lowered *lowered = lowered_get(lower, value);
    BUG_UNLESS(!lowered->buffer, "a second buffer for '%s'", value->name ? value->name : "?");
    lowered->buffer = buffer;
}

// ---- calls

static const KernelInfo *find_tuned(const TuningEntry *entry, const Candidate *candidates, int count) {
    for (int i = 0; entry && i < count; i++)
        if (candidates[i].row == entry->kernel && !candidates[i].refused) return entry->kernel;
    return NULL;
}

// Where sizes vary, programs of all sizes must call the same kernels.
const KernelInfo *find_among(const Lower *lower, const char *only, const char *operands, const char *result, const KernelArgs *args) {
    Candidate candidates[MAX_CANDIDATES];
    int count = kernel_candidates(lower->context->target, only, operands, result, args, candidates);
    const KernelInfo *tuned = find_tuned(tuning_find(lower->context->tuning, operands, result, args), candidates, count);
    return tuned ? tuned : kernel_choose(candidates, count, lower->context->bounded);
}

bool has_kernel(const Lower *lower, const char *operands, const char *result, const KernelArgs *args) {
    return find_among(lower, lower->context->only_isa, operands, result, args) != NULL;
}

const KernelInfo *choose_kernel(const Lower *lower, const char *operands, const char *result, const KernelArgs *args) {
    const KernelInfo *kernel = find_among(lower, lower->context->only_isa, operands, result, args);
    BUG_UNLESS(kernel, "no kernel for %s %s -> %s", args->family->name, operands, result);
    return kernel;
}

// Of a tuning table's line that asks for a kernel which can't compute this.
static void check_tuned(const Lower *lower, const KernelInfo *kernel, const KernelArgs *args) {
    const PassContext *context = lower->context;
    const TuningEntry *entry = tuning_find(context->tuning, kernel->operands, kernel->result, args);
    if (!entry || entry->kernel == kernel || !target_has_isa(context->target, entry->kernel->isa) || entry->kernel->guard(args->words)) return;
    diag_warning(context->diag, entry->loc, "layer '%s' is not computed by this kernel, which needs %s", lower->loc.name ? lower->loc.name : "?",
                 entry->kernel->condition);
}

void emit_call(Lower *lower, const KernelInfo *kernel, const KernelArgs *given, int count, Value *const *buffers) {
    KernelArgs own = *given, *args = &own;
    if (lower->context->bounded) args_merge_walk(args); // no split for threads: it hangs on what divides a size
    Attr *attrs = attr_string(lower->arena, args_to_attrs(lower->arena, NULL, args), "kernel", kernel->symbol);
    Builder builder = {lower->to, NULL, lower->loc};
    op_new(&builder, OP_kn_call, count, buffers, 0, NULL, attrs);
    check_tuned(lower, kernel, args);
    explain_kernel(lower->context, kernel, args);
}

void emit_kernel(Lower *lower, const char *operands, const char *result, const KernelArgs *args, int count, Value *const *buffers) {
    emit_call(lower, choose_kernel(lower, operands, result, args), args, count, buffers);
}

// ---- walks

Walk walk_new(const Type *shape, int count, const Type *const *buffers) {
    Walk walk = {.rank = shape->rank, .count = count};
    memcpy(walk.shape, shape->shape, sizeof(int64_t) * (size_t)shape->rank);
    for (int k = 0; k < count; k++) {
        int64_t strides[MAX_RANK];
        buffer_strides(buffers[k], strides);
        for (int i = 0; i < shape->rank; i++) {
            int own = i - (shape->rank - buffers[k]->rank);
            walk.strides[k][i] = own < 0 || buffers[k]->shape[own] == 1 ? 0 : strides[own];
        }
    }
    return walk;
}

static bool can_merge(const Walk *walk, int i) { // dimension i with i + 1
    for (int k = 0; k < walk->count; k++)
        if (walk->strides[k][i] != walk->strides[k][i + 1] * walk->shape[i + 1]) return false;
    return true;
}

static void remove_dim(Walk *walk, int at) {
    for (int i = at; i + 1 < walk->rank; i++) {
        walk->shape[i] = walk->shape[i + 1];
        for (int k = 0; k < walk->count; k++) walk->strides[k][i] = walk->strides[k][i + 1];
    }
    walk->rank--;
}

void walk_merge(Walk *walk) {
    for (int i = walk->rank - 1; i >= 0; i--)
        if (walk->shape[i] == 1 && walk->rank > 1) remove_dim(walk, i);
    for (int i = walk->rank - 2; i >= 0; i--)
        if (can_merge(walk, i)) {
            walk->shape[i + 1] *= walk->shape[i];
            remove_dim(walk, i);
        }
}

static void insert_dim(Walk *walk, int at, int64_t size) { // splits dimension `at` into size x rest
    for (int i = walk->rank; i > at; i--) {
        walk->shape[i] = walk->shape[i - 1];
        for (int k = 0; k < walk->count; k++) walk->strides[k][i] = walk->strides[k][i - 1];
    }
    walk->rank++;
    walk->shape[at + 1] /= size;
    walk->shape[at] = size;
    for (int k = 0; k < walk->count; k++) walk->strides[k][at] = walk->strides[k][at + 1] * walk->shape[at + 1];
}

// A single long dimension is split so that threads can share it.
static void split_for_threads(Walk *walk) {
    if (walk->rank != 1 || walk->shape[0] < 4096) return;
    for (int64_t parts = 64; parts > 1; parts--)
        if (walk->shape[0] % parts == 0) {
            insert_dim(walk, 0, parts);
            return;
        }
}

// A merged walk's dimensions in their places among the five.
static void walk_place(const Walk *walk, KernelArgs *args, const char *const *names) {
    static const int place[6][5] = {{4}, {4}, {1, 4}, {1, 3, 4}, {0, 1, 3, 4}, {0, 1, 2, 3, 4}};
    int64_t shape[5] = {1, 1, 1, 1, 1}, strides[4][5] = {{0}};
    for (int i = 0; i < walk->rank; i++) {
        shape[place[walk->rank][i]] = walk->shape[i];
        for (int k = 0; k < walk->count; k++) strides[k][place[walk->rank][i]] = walk->strides[k][i];
    }
    args_int(args, "rows", shape[0] * shape[1]);
    args_ints(args, "shape", 5, shape);
    for (int k = 0; k < walk->count; k++) args_ints(args, names[k], 5, strides[k]);
}

bool walk_args(const Walk *original, KernelArgs *args, const char *const *names) {
    Walk walk = *original;
    walk_merge(&walk);
    split_for_threads(&walk);
    if (walk.rank > 5) return false;
    walk_place(&walk, args, names);
    return true;
}

// Families whose fields of five are a shape and strides.
static bool is_elementwise(const FamilyInfo *family) {
    static const char *const names[] = {"binary", "unary", "where", "table", "quantize", "copy", "fill"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(family->name, names[i])) return true;
    return false;
}

bool args_merge_walk(KernelArgs *args) {
    const FamilyInfo *family = args->family;
    const char *names[4];
    Walk walk = {.rank = 5};
    if (!is_elementwise(family)) return false;
    for (int i = 0; i < family->field_count; i++) {
        const FieldInfo *field = &family->fields[i];
        if (field->count != 5) continue;
        bool is_shape = !strcmp(field->name, "shape");
        for (int k = 0; k < 5; k++) *(is_shape ? &walk.shape[k] : &walk.strides[walk.count][k]) = args->words[field->word + k];
        if (!is_shape) names[walk.count++] = field->name;
    }
    walk_merge(&walk);
    walk_place(&walk, args, names);
    return true;
}

// More than 5 dimensions that can't be merged: one copy for each index of the first.
static void copy_slices(Lower *lower, const Walk *walk, int elem_bytes, int32_t flip, Value *from, Value *to) {
    Walk rest = *walk;
    remove_dim(&rest, 0);
    for (int64_t i = 0; i < walk->shape[0]; i++) {
        Value *source = buffer_view(lower, from, from->type, i * walk->strides[0][0] * elem_bytes);
        Value *target = buffer_view(lower, to, to->type, i * walk->strides[1][0] * elem_bytes);
        emit_copy(lower, &rest, elem_bytes, flip, source, target);
    }
}

void emit_copy(Lower *lower, const Walk *walk, int elem_bytes, int32_t flip, Value *from, Value *to) {
    static const char *const names[] = {"in", "out"};
    KernelArgs args;
    args_begin(&args, "copy");
    if (!walk_args(walk, &args, names)) {
        copy_slices(lower, walk, elem_bytes, flip, from, to);
        return;
    }
    args_int(&args, "elem_bytes", elem_bytes);
    args_int(&args, "flip", flip);
    Value *buffers[] = {from, to};
    emit_kernel(lower, "any", "any", &args, 2, buffers);
}

void float_activation(const char *activation, float *min, float *max) {
    *min = strcmp(activation, "none") ? 0 : -INFINITY;
    *max = strcmp(activation, "relu6") ? INFINITY : 6;
}
