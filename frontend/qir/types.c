// Types of the textual IR, from the parts that the grammar collects. What comes out has passed type_verify; a faulty
// type is NULL, after one message.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/qir/qir.h"
#include "ir/verify.h"

void qir_shape_add(QirState *state, QirShape *shape, QirLiteral dim, QirPlace place) {
    int64_t extent;
    if (shape->faulty) return;
    if (shape->rank == MAX_RANK) {
        diag_error(state->diag, qir_loc(state, place), "a tensor has at most %d dimensions", MAX_RANK);
        shape->faulty = true;
    } else if (!qir_int(state, dim, &extent)) shape->faulty = true;
    else shape->dims[shape->rank++] = extent;
}

// ---- quantized elements

void qir_add_scale(QirState *state, QirLiteral scale, const QirLiteral *zero_point) {
    if (state->scale_count == state->scale_capacity) {
        int capacity = state->scale_capacity ? 2 * state->scale_capacity : 256;
        float *scales = ARENA_ARRAY(state->scratch, float, capacity);
        int32_t *zeros = ARENA_ARRAY(state->scratch, int32_t, capacity);
        if (state->scale_count) {
            memcpy(scales, state->scales, sizeof *scales * (size_t)state->scale_count);
            memcpy(zeros, state->zero_points, sizeof *zeros * (size_t)state->scale_count);
        }
        state->scales = scales;
        state->zero_points = zeros;
        state->scale_capacity = capacity;
    }
    int64_t zero = 0;
    if (zero_point && (!qir_int(state, *zero_point, &zero) || zero != (int32_t)zero)) {
        diag_error(state->diag, qir_loc(state, qir_place_of(state, zero_point->text)), "the zero point exceeds 32 bits");
        zero = 0;
    }
    state->zero_points[state->scale_count] = (int32_t)zero;
    state->scales[state->scale_count++] = scale.kind == LITERAL_HEX ? -1 : strtof(scale.text, NULL);
}

QirElem qir_elem(QirState *state, const char *name, QirPlace place) {
    QirElem result = {0};
    if (elem_find(name, &result.elem)) return result;
    const char *names[ELEM_COUNT];
    for (int i = 0; i < ELEM_COUNT; i++) names[i] = elem_name((Elem)i);
    const char *nearest = nearest_name(name, ELEM_COUNT, names);
    diag_error(state->diag, qir_loc(state, place), "unknown element type '%s'%s%s%s", name,
               nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    result.faulty = true;
    return result;
}

static bool quant_fault(QirState *state, QirPlace place, QirElem *result, const char *message) {
    diag_error(state->diag, qir_loc(state, place), "%s", message);
    result->faulty = true;
    return false;
}

static bool storage_range(QirState *state, const QirQuantParts *parts, QirElem *result, QirPlace place, int32_t *min,
                          int32_t *max) {
    int64_t low, high;
    if (elem_is_float(result->elem) || elem_bits(result->elem) > 32 || result->elem == ELEM_U32 || result->elem == ELEM_I1)
        return quant_fault(state, place, result, "quantized values are stored as integers of at most 32 bits: i4 u4 i8 u8 i16 u16 i32");
    elem_range(result->elem, &low, &high);
    if (parts->min) {
        int64_t given_low, given_high;
        if (!qir_int(state, *parts->min, &given_low) || !qir_int(state, *parts->max, &given_high)) {
            result->faulty = true;
            return false;
        }
        if (given_low < low || given_high > high || given_low >= given_high)
            return quant_fault(state, place, result, "the storage range does not lie within the storage type");
        low = given_low;
        high = given_high;
    }
    *min = (int32_t)low;
    *max = (int32_t)high;
    return true;
}

QirElem qir_quant(QirState *state, const char *storage, const char *expressed, const QirQuantParts *parts,
                  QirPlace place) {
    QirElem result = qir_elem(state, storage, place);
    int32_t min, max;
    int64_t axis = -1;
    if (result.faulty || !storage_range(state, parts, &result, place, &min, &max)) return result;
    if (strcmp(expressed, "f32")) quant_fault(state, place, &result, "quantized values express f32");
    else if (parts->axis && !parts->list) quant_fault(state, place, &result, "an axis needs a list of scales: {…}");
    else if (!parts->axis && parts->list) quant_fault(state, place, &result, "a list of scales needs an axis: i8:f32:0");
    else if (parts->axis && (!qir_int(state, *parts->axis, &axis) || axis < 0 || axis >= MAX_RANK))
        quant_fault(state, place, &result, "the axis is out of range");
    if (result.faulty) return result;
    result.quant = quant_per_axis(state->arena, result.elem, (int)axis, state->scale_count, state->scales,
                                  state->zero_points, min, max);
    return result;
}

// ---- types

static QirType *type_made(QirState *state, const Type *type, QirPlace place) {
    QirType *result = ARENA_NEW(state->scratch, QirType);
    result->place = place;
    if (type && type_verify(type, state->diag, qir_loc(state, place))) result->type = type;
    return result;
}

static const Type *plain(QirState *state, const QirShape *shape, QirElem elem) {
    if (shape->faulty || elem.faulty) return NULL;
    return elem.quant ? type_quantized(state->arena, elem.quant, shape->rank, shape->dims)
                      : type_tensor(state->arena, elem.elem, shape->rank, shape->dims);
}

QirType *qir_tensor(QirState *state, const QirShape *shape, QirElem elem, QirPlace place) {
    return type_made(state, plain(state, shape, elem), place);
}

static bool halo_param(const Attr *attr, int32_t halo[4]) {
    bool good = attr->kind == ATTR_INTS && attr->ints.count == 4;
    for (int i = 0; good && i < 4; i++) {
        good = attr->ints.data[i] >= 0 && attr->ints.data[i] <= 1 << 20;
        halo[i] = (int32_t)attr->ints.data[i];
    }
    return good;
}

static bool pixel_param(const Attr *attr, int32_t *pixel) {
    if (attr->kind != ATTR_INT || attr->i <= 0 || attr->i > INT32_MAX) return false;
    *pixel = (int32_t)attr->i;
    return true;
}

static bool buffer_param(QirState *state, const QirAttr *param, Type *type) {
    const Attr *attr = &param->attr;
    bool good = !strcmp(attr->name, "halo")    ? halo_param(attr, type->halo)
                : !strcmp(attr->name, "pixel") ? pixel_param(attr, &type->pixel)
                                               : !strcmp(attr->name, "stored") && attr->kind == ATTR_STRING && elem_find(attr->s, &type->elem);
    if (good) return true;
    return diag_error(state->diag, qir_loc(state, param->place),
                      "a buffer has `halo = [top, left, bottom, right]`, `pixel = distance` and `stored = element type`");
}

QirType *qir_buffer(QirState *state, const QirShape *shape, QirElem elem, QirAttrs params, QirPlace place) {
    const Type *tensor = plain(state, shape, elem);
    bool good = tensor != NULL;
    Type *type = good ? arena_copy(state->arena, type_buffer(state->arena, tensor, tensor->elem, NULL), sizeof *type) : &(Type){0};
    for (const QirAttr *param = params.first; param; param = param->next) good = buffer_param(state, param, type) && good;
    return type_made(state, good ? type : NULL, place);
}

QirType *qir_none_type(QirState *state, QirPlace place) {
    static const Type none = {.kind = TYPE_NONE};
    QirType *result = ARENA_NEW(state->scratch, QirType);
    *result = (QirType){.type = &none, .place = place};
    return result;
}
