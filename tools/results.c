// Tensors that a run gave: collected, written as .npz, ranked; and the names of classes.
#include "tools/results.h"

#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"
#include "quant/runner.h"
#include "tools/files.h"

static Result *add(Results *results, const char *name, Elem elem, int rank, const int64_t *shape) {
    for (int i = 0; i < results->count; i++)
        if (strcmp(results->items[i].name, name) == 0)
            return NULL;
    if (results->count == results->room) {
        results->room = 2 * results->room + 32;
        Result *grown = ARENA_ARRAY(results->arena, Result, results->room);
        if (results->count)
            memcpy(grown, results->items, (size_t)results->count * sizeof *grown);
        results->items = grown;
    }
    Result *result = &results->items[results->count++];
    *result = (Result){arena_strdup(results->arena, name), elem, rank,
                       arena_copy(results->arena, shape, (size_t)rank * sizeof *shape), NULL, 1};
    for (int i = 0; i < rank; i++)
        result->count *= shape[i];
    result->data = arena_alloc(results->arena, (size_t)result->count * (size_t)elem_bits(elem) / 8 + 1);
    return result;
}

void results_add(Results *results, const char *name, Elem elem, int rank, const int64_t *shape, const void *data) {
    Result *result = add(results, name, elem, rank, shape);
    if (result)
        memcpy(result->data, data, (size_t)result->count * (size_t)elem_bits(elem) / 8);
}

typedef struct {
    char *to;
    size_t elem_bytes;
} CopyRow;

static void copy_row(void *context, const void *row, int64_t elems) {
    CopyRow *copy = context;
    memcpy(copy->to, row, (size_t)elems * copy->elem_bytes);
    copy->to += (size_t)elems * copy->elem_bytes;
}

void results_add_buffer(Results *results, const char *name, const Type *type, const void *data) {
    // Targets may store signed bytes as (signed XOR 0x80).
    bool flipped = type->elem == ELEM_U8 && type->quant && type->quant->storage == ELEM_I8;
    Result *result = add(results, name, flipped ? ELEM_I8 : type->elem, type->rank, type->shape);
    if (!result)
        return;
    CopyRow copy = {result->data, (size_t)elem_bits(type->elem) / 8};
    buffer_rows(type, data, copy_row, &copy);
    for (int64_t i = 0; flipped && i < result->count; i++)
        ((uint8_t *)result->data)[i] ^= 0x80;
}

void results_join(Results *runs, int count) {
    for (int i = 0; i < runs->count; i++) {
        Result *all = &runs->items[i];
        const size_t bytes = (size_t)all->count * (size_t)elem_bits(all->elem) / 8;
        char *data = arena_alloc(runs->arena, bytes * (size_t)count + 1);
        for (int run = 0; run < count; run++)
            memcpy(data + bytes * (size_t)run, runs[run].items[i].data, bytes);
        int64_t *shape = ARENA_ARRAY(runs->arena, int64_t, all->rank + 1);
        if (all->rank)
            memcpy(shape, all->shape, sizeof *shape * (size_t)all->rank);
        shape[0] = all->rank ? shape[0] * count : count;
        *all = (Result){all->name, all->elem, all->rank ? all->rank : 1, shape, data, all->count * count};
    }
}

static Result *find_result(const Results *results, const char *name) {
    for (int i = 0; i < results->count; i++)
        if (!strcmp(results->items[i].name, name))
            return &results->items[i];
    return NULL;
}

// Rows of a dimension are moved to the front of the same memory.
void results_trim(Results *results, const char *name, int axis) {
    Result *item = find_result(results, name);
    const Result *counted = find_result(results, arena_printf(results->arena, "%s_count", name));
    if (!item || !counted || axis < 0 || axis >= item->rank || counted->elem != ELEM_I64 || counted->count != 1)
        return;
    int64_t size = item->shape[axis], count = *(const int64_t *)counted->data, inner = elem_bits(item->elem) / 8, outer = 1;
    if (count < 0 || count >= size)
        return;
    for (int i = 0; i < item->rank; i++)
        *(i < axis ? &outer : &inner) *= i == axis ? 1 : item->shape[i];
    for (int64_t i = 0; i < outer; i++)
        memmove((char *)item->data + i * count * inner, (char *)item->data + i * size * inner, (size_t)(count * inner));
    int64_t *shape = arena_copy(results->arena, item->shape, sizeof *shape * (size_t)item->rank);
    shape[axis] = count;
    item->shape = shape;
    item->count = item->count / size * count;
}

bool results_write(const Results *results, const char *path, Diag *diag) {
    OutputFile output;
    if (!output_open(&output, path, diag))
        return false;
    NpzWriter *writer = npz_new(output.file);
    for (int i = 0; writer && i < results->count; i++) {
        const Result *item = &results->items[i];
        npz_add(writer, item->name, item->elem, item->rank, item->shape, item->data);
    }
    bool written = writer && npz_end(writer);
    if (!written)
        diag_error(diag, loc_file(path), "can't be written: the disk is full, or the tensors exceed 4 GB");
    return output_close(&output, written, diag) && written;
}

double result_f64(const Result *result, int64_t index) {
    Array array = {.elem = result->elem, .data = result->data};
    double value = 0;
    array_convert(&array, index, 1, ELEM_F64, &value);
    return value;
}

int result_top(const Result *result, int top, int64_t *indices) {
    int found = 0;
    for (int64_t i = 0; i < result->count; i++) {
        double value = result_f64(result, i);
        int at = found;
        while (at > 0 && value > result_f64(result, indices[at - 1]))
            at--;
        if (at == top)
            continue;
        int moved = (found < top ? found : top - 1) - at;
        memmove(indices + at + 1, indices + at, (size_t)moved * sizeof *indices);
        indices[at] = i;
        found += found < top;
    }
    return found;
}

// ---- class names

typedef struct {
    Arena *arena;
    const char **names;
    int count, room;
} Names;

static void set_name(Names *names, int index, const char *name) {
    if (index >= names->room) {
        names->room = 2 * index + 64;
        const char **grown = ARENA_ARRAY(names->arena, const char *, names->room);
        if (names->count)
            memcpy(grown, names->names, (size_t)names->count * sizeof *grown);
        names->names = grown;
    }
    names->names[index] = name;
    if (index >= names->count)
        names->count = index + 1;
}

// The string that starts at '"'; *end is behind it. Escapes stand for themselves, which is fine for names. NULL: no end.
static const char *json_text(Arena *arena, const char *at, const char **end) {
    const char *close = at + 1;
    while (*close && *close != '"')
        close += *close == '\\' && close[1] ? 2 : 1;
    if (!*close)
        return NULL;
    char *text = arena_alloc(arena, (size_t)(close - at));
    memcpy(text, at + 1, (size_t)(close - at - 1));
    *end = close + 1;
    return text;
}

// Of {"7": "cock"} or {"7": ["n01514668", "cock"]}: the last string before the entry's end.
static bool parse_json_names(Names *names, const char *text) {
    enum { MOST = 1000000 };
    for (const char *at = strchr(text, '"'); at; at = strchr(at, '"')) {
        const char *key = json_text(names->arena, at, &at), *name = NULL;
        if (!key)
            return false;
        char *end;
        long index = strtol(key, &end, 10);
        if (*end || end == key || index < 0 || index > MOST)
            return false;
        at += strspn(at, " \t\r\n:");
        bool list = *at == '[';
        if (list)
            at++;
        do {
            at += strspn(at, " \t\r\n,");
            if (*at != '"' || !(name = json_text(names->arena, at, &at)))
                return false;
            at += strspn(at, " \t\r\n");
        } while (list && *at == ',');
        set_name(names, (int)index, name);
    }
    return names->count > 0;
}

const char **read_class_names(Arena *arena, Diag *diag, const char *path, int *count) {
    size_t bytes;
    const char *text = read_file(arena, diag, path, &bytes);
    Names names = {.arena = arena};
    if (!text)
        return NULL;
    if (text[strspn(text, " \t\r\n")] == '{') {
        if (!parse_json_names(&names, text)) {
            diag_error(diag, loc_file(path), "expected {\"0\": \"name\", ...} or {\"0\": [\"id\", \"name\"], ...}");
            return NULL;
        }
    } else {
        for (const char *at = text; *at;) {
            size_t length = strcspn(at, "\r\n");
            char *name = arena_alloc(arena, length + 1);
            memcpy(name, at, length);
            set_name(&names, names.count, name);
            at += length;
            at += *at == '\r';
            at += *at == '\n';
        }
    }
    *count = names.count;
    return names.names ? names.names : ARENA_NEW(arena, const char *);
}
