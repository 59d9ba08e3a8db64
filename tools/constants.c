// --constant NAME=VALUE, NAME up to the first `=`. What is numbers and commas is a list; all else names a file.
#include "tools/constants.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/data/npy.h"

enum { MAX_NUMBERS = 64 };

static const Dense *dense_of(Arena *arena, Elem elem, int rank, const int64_t *shape, const void *data) {
    Dense *dense = ARENA_NEW(arena, Dense);
    const Type *type = type_tensor(arena, elem, rank, shape);
    *dense = (Dense){.type = type, .data = arena_copy(arena, data, type_bytes(type)), .bytes = type_bytes(type)};
    return dense;
}

// A list of integers, or of floats where one is none; none at all is an empty list. -1: not a list of numbers.
static int parse_numbers(const char *text, int64_t *ints, double *floats, bool *whole) {
    int count = 0;
    *whole = true;
    while (*text) {
        char *end, *float_end;
        if (count == MAX_NUMBERS)
            return -1;
        errno = 0;
        ints[count] = strtoll(text, &end, 10);
        floats[count] = strtod(text, &float_end);
        if (float_end == text || (*float_end && *float_end != ','))
            return -1;
        *whole &= end == float_end && !errno;
        text = float_end + (*float_end == ',');
        count++;
    }
    return count;
}

static const Dense *read_numbers(Arena *arena, const char *text) {
    int64_t ints[MAX_NUMBERS];
    double floats[MAX_NUMBERS];
    bool whole;
    int64_t count = parse_numbers(text, ints, floats, &whole);
    if (count < 0)
        return NULL;
    return whole ? dense_of(arena, ELEM_I64, 1, &count, ints) : dense_of(arena, ELEM_F64, 1, &count, floats);
}

static const Dense *read_array(Arena *arena, Diag *diag, const char *path) {
    ArrayFile file;
    Fault fault;
    const Dense *dense = NULL;
    if (!array_file_open(&file, path, &fault)) {
        diag_error(diag, loc_file(path), "%s", fault.text);
        return NULL;
    }
    const Array *array = &file.arrays[0];
    if (file.count == 1)
        dense = dense_of(arena, array->elem, array->rank, array->shape, array->data);
    else
        diag_error(diag, loc_file(path), "expected one array, found %d", file.count);
    array_file_close(&file);
    return dense;
}

static int read_constant(Arena *arena, Diag *diag, const char *text, ConstantOption *option) {
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return usage_error("--constant: expected NAME=1,2,3 or NAME=FILE.npy, found '%s'", text);
    char *name = arena_strdup(arena, text);
    name[equals - text] = 0;
    *option = (ConstantOption){.input = name, .value = read_numbers(arena, equals + 1)};
    option->list = option->value != NULL;
    if (!option->list)
        option->value = read_array(arena, diag, equals + 1);
    return option->value ? STATUS_DONE : STATUS_INPUT;
}

int read_constants(Arena *arena, Diag *diag, const Options *options, ImportOptions *import) {
    const TextList *list = &options->constant;
    ConstantOption *constants = ARENA_ARRAY(arena, ConstantOption, list->count + 1);
    for (int i = 0; i < list->count; i++) {
        int status = read_constant(arena, diag, list->items[i], &constants[i]);
        if (status)
            return status;
    }
    import->constant_count = list->count;
    import->constants = constants;
    return STATUS_DONE;
}
