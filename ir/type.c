// Construction, comparison and text of types.
#include "ir/type.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/qanat.h"

static const struct { const char *name; int bits; char class; const char *ctype; int code; } elems[] = {
#define F 'F'
#define S 'S'
#define U 'U'
#define B 'B'
#define ELEM(name, text, bits, ctype, class, code) {text, bits, class, #ctype, code},
#include "ir/elems.def"
#undef ELEM
#undef F
#undef S
#undef U
#undef B
};

const char *elem_name(Elem elem) { return elems[elem].name; }
int elem_bits(Elem elem) { return elems[elem].bits; }
bool elem_is_float(Elem elem) { return elems[elem].class == 'F'; }
bool elem_is_signed(Elem elem) { return elems[elem].class == 'S'; }
const char *elem_ctype(Elem elem) { return elems[elem].ctype; }
int elem_code(Elem elem) { return elems[elem].code; }

Elem elem_of_code(int code) {
    for (int i = 0; i < ELEM_COUNT; i++)
        if (code && elems[i].code == code) return (Elem)i;
    return ELEM_COUNT;
}

bool elem_find(const char *text, Elem *elem) {
    for (int i = 0; i < ELEM_COUNT; i++)
        if (!strcmp(text, elems[i].name)) {
            *elem = (Elem)i;
            return true;
        }
    return false;
}

void elem_range(Elem elem, int64_t *min, int64_t *max) {
    int bits = elem == ELEM_I1 ? 1 : elem_bits(elem);
    if (elem_is_signed(elem)) {
        *min = -((int64_t)1 << (bits - 1));
        *max = ((int64_t)1 << (bits - 1)) - 1;
    } else {
        *min = 0;
        *max = ((int64_t)1 << bits) - 1;
    }
}

static Type *type_new(Arena *arena, TypeKind kind, Elem elem, int rank, const int64_t *shape) {
    Type *type = ARENA_NEW(arena, Type);
    type->kind = kind;
    type->elem = elem;
    type->rank = rank;
    type->shape = arena_copy(arena, shape, sizeof(int64_t) * (size_t)rank);
    return type;
}

const Type *type_tensor(Arena *arena, Elem elem, int rank, const int64_t *shape) {
    return type_new(arena, TYPE_TENSOR, elem, rank, shape);
}

const Type *type_quantized(Arena *arena, const Quant *quant, int rank, const int64_t *shape) {
    Type *type = type_new(arena, TYPE_TENSOR, quant->storage, rank, shape);
    type->quant = quant;
    return type;
}

const Type *type_buffer(Arena *arena, const Type *tensor, Elem stored, const int32_t halo[4]) {
    Type *type = type_new(arena, TYPE_BUFFER, stored, tensor->rank, tensor->shape);
    type->quant = tensor->quant;
    if (halo) memcpy(type->halo, halo, sizeof type->halo);
    return type;
}

const Type *type_buffer_part(Arena *arena, const Type *whole, const Type *tensor, const int32_t halo[4]) {
    Type *type = type_new(arena, TYPE_BUFFER, whole->elem, tensor->rank, tensor->shape);
    type->quant = tensor->quant;
    memcpy(type->halo, halo, sizeof type->halo);
    const int64_t pixel = tensor->rank != 4 ? 0 : whole->pixel ? whole->pixel : whole->shape[3];
    if (pixel != (tensor->rank == 4 ? tensor->shape[3] : 0)) type->pixel = (int32_t)pixel;
    return type;
}

const Type *type_with_shape(Arena *arena, const Type *type, int rank, const int64_t *shape) {
    Type *copy = type_new(arena, type->kind, type->elem, rank, shape);
    copy->quant = type->quant;
    return copy;
}

const Type *type_with_elem(Arena *arena, const Type *type, Elem elem) {
    return type_tensor(arena, elem, type->rank, type->shape);
}

const Quant *quant_per_axis(Arena *arena, Elem storage, int axis, int count, const float *scale,
                            const int32_t *zero_point, int32_t storage_min, int32_t storage_max) {
    Quant *quant = ARENA_NEW(arena, Quant);
    int32_t *zeros = ARENA_ARRAY(arena, int32_t, count);
    if (zero_point) memcpy(zeros, zero_point, sizeof(int32_t) * (size_t)count);
    *quant = (Quant){storage, ELEM_F32, axis, count, arena_copy(arena, scale, sizeof(float) * (size_t)count),
                     zeros, storage_min, storage_max};
    return quant;
}

const Quant *quant_per_tensor(Arena *arena, Elem storage, float scale, int32_t zero_point) {
    int64_t min, max;
    elem_range(storage, &min, &max);
    return quant_per_axis(arena, storage, -1, 1, &scale, &zero_point, (int32_t)min, (int32_t)max);
}

const Quant *quant_sums(Arena *arena, const Quant *input, const Quant *weight, int axis, int count) {
    float *scale = ARENA_ARRAY(arena, float, count);
    for (int c = 0; c < count; c++) scale[c] = (float)((double)input->scale[0] * weight->scale[weight->axis < 0 ? 0 : c]);
    return quant_per_axis(arena, ELEM_I32, axis, count, scale, NULL, INT32_MIN, INT32_MAX);
}

bool quant_equal(const Quant *a, const Quant *b) {
    if (a == b) return true;
    if (!a || !b) return false;
    return a->storage == b->storage && a->expressed == b->expressed && a->axis == b->axis && a->count == b->count &&
           a->storage_min == b->storage_min && a->storage_max == b->storage_max &&
           !memcmp(a->scale, b->scale, sizeof(float) * (size_t)a->count) &&
           !memcmp(a->zero_point, b->zero_point, sizeof(int32_t) * (size_t)a->count);
}

bool type_same_shape(const Type *a, const Type *b) {
    return a->rank == b->rank && !memcmp(a->shape, b->shape, sizeof(int64_t) * (size_t)a->rank);
}

bool type_equal(const Type *a, const Type *b) {
    if (a == b) return true;
    return a->kind == b->kind && a->elem == b->elem && type_same_shape(a, b) && quant_equal(a->quant, b->quant) &&
           !memcmp(a->halo, b->halo, sizeof a->halo) && a->pixel == b->pixel;
}

int64_t type_elem_count(const Type *type) {
    int64_t count = 1;
    for (int i = 0; i < type->rank; i++) count *= type->shape[i];
    return count;
}

size_t type_bytes(const Type *type) {
    return ((size_t)type_elem_count(type) * (size_t)elem_bits(type->elem) + 7) / 8;
}

// ---- text, built by appending

typedef struct {
    Arena *arena;
    char *text;
    size_t length, capacity;
} Text;

static void append(Text *out, const char *part) {
    size_t bytes = strlen(part);
    if (out->length + bytes + 1 > out->capacity) {
        size_t capacity = 2 * (out->length + bytes + 64);
        char *grown = arena_alloc(out->arena, capacity);
        if (out->length) memcpy(grown, out->text, out->length);
        out->text = grown;
        out->capacity = capacity;
    }
    memcpy(out->text + out->length, part, bytes + 1);
    out->length += bytes;
}

static void append_quant(Text *out, const Quant *quant) {
    int64_t min, max;
    elem_range(quant->storage, &min, &max);
    append(out, "!quant.uniform<");
    append(out, elem_name(quant->storage));
    if (quant->storage_min != min || quant->storage_max != max)
        append(out, arena_printf(out->arena, "<%d:%d>", quant->storage_min, quant->storage_max));
    append(out, ":");
    append(out, elem_name(quant->expressed));
    append(out, quant->axis >= 0 ? arena_printf(out->arena, ":%d, {", quant->axis) : ", ");
    for (int i = 0; i < quant->count; i++) {
        if (i) append(out, ", ");
        append(out, float_text(out->arena, quant->scale[i]));
        if (quant->zero_point[i]) append(out, arena_printf(out->arena, ":%d", quant->zero_point[i]));
    }
    append(out, quant->axis >= 0 ? "}>" : ">");
}

const char *type_text(Arena *arena, const Type *type) {
    Text out = {.arena = arena};
    if (type->kind == TYPE_NONE) return "none";
    append(&out, type->kind == TYPE_BUFFER ? "!kn.buffer<" : "tensor<");
    for (int i = 0; i < type->rank; i++) append(&out, arena_printf(arena, "%lldx", (long long)type->shape[i]));
    if (type->quant) append_quant(&out, type->quant);
    else append(&out, elem_name(type->elem));
    if (type->kind == TYPE_BUFFER) {
        const int32_t *h = type->halo;
        if (h[0] | h[1] | h[2] | h[3])
            append(&out, arena_printf(arena, ", halo = [%d, %d, %d, %d]", h[0], h[1], h[2], h[3]));
        if (type->pixel) append(&out, arena_printf(arena, ", pixel = %d", type->pixel));
        if (type->quant && type->elem != type->quant->storage)
            append(&out, arena_printf(arena, ", stored = %s", elem_name(type->elem)));
    }
    append(&out, ">");
    return out.text;
}
