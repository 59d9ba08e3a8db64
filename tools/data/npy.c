// numpy's .npy: reads the header (a Python dict as text) of versions 1 to 3, converts elements, writes version 1.
#include "tools/data/npy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/small_float.h"
#include "tools/data/npz.h"

static const struct {
    char kind; // numpy's: f, i, u, b; V is what it calls bf16, of which it knows the size only
    int bytes;
    Elem elem;
} numpy_types[] = {
    {'f', 4, ELEM_F32}, {'f', 8, ELEM_F64}, {'f', 2, ELEM_F16}, {'i', 1, ELEM_I8},  {'i', 2, ELEM_I16},
    {'i', 4, ELEM_I32}, {'i', 8, ELEM_I64}, {'u', 1, ELEM_U8},  {'u', 2, ELEM_U16}, {'u', 4, ELEM_U32},
    {'u', 8, ELEM_U64}, {'b', 1, ELEM_I1},  {'V', 2, ELEM_BF16},
};
enum { NUMPY_TYPE_COUNT = sizeof numpy_types / sizeof *numpy_types };

static size_t elem_size(Elem elem) {
    return (size_t)(elem_bits(elem) + 7) / 8;
}

void shape_text(char *text, size_t size, Elem elem, int rank, const int64_t *shape) {
    size_t used = (size_t)snprintf(text, size, "%s[", elem_name(elem));
    for (int i = 0; i < rank && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%lld", i ? "," : "", (long long)shape[i]);
    if (used < size)
        snprintf(text + used, size - used, "]");
}

// ---- reading

// What follows "'key':" in the header, past blanks; NULL.
static const char *header_value(const char *header, const char *key) {
    char quoted[32];
    snprintf(quoted, sizeof quoted, "'%s'", key);
    const char *at = strstr(header, quoted);
    if (!at)
        return NULL;
    at += strlen(quoted);
    at += strspn(at, " ");
    if (*at != ':')
        return NULL;
    at++;
    return at + strspn(at, " ");
}

static bool parse_type(const char *header, Array *array, Fault *fault) {
    const char *text = header_value(header, "descr");
    if (!text || text[0] != '\'' || !text[1] || !text[2])
        return fault_set(fault, "broken array: no element type in its header");
    char order = text[1], kind = text[2];
    int bytes = atoi(text + 3);
    for (int i = 0; i < NUMPY_TYPE_COUNT; i++)
        if (numpy_types[i].kind == kind && numpy_types[i].bytes == bytes && (order != '>' || bytes == 1)) {
            array->elem = numpy_types[i].elem;
            return true;
        }
    return fault_set(fault, "elements of type '%.*s' are not supported; save the array as float32",
                     (int)strcspn(text + 1, "'"), text + 1);
}

static bool parse_shape(const char *header, Array *array, Fault *fault) {
    const char *text = header_value(header, "shape");
    if (!text || *text != '(')
        return fault_set(fault, "broken array: no shape in its header");
    text++;
    array->rank = 0;
    array->count = 1;
    while (*(text += strspn(text, " ,")) != ')') {
        char *end;
        long long dim = strtoll(text, &end, 10);
        if (end == text || dim < 0)
            return fault_set(fault, "broken array: its shape can't be read");
        if (array->rank == MAX_RANK)
            return fault_set(fault, "an array of more than %d dimensions is not supported", MAX_RANK);
        if (__builtin_mul_overflow(array->count, (int64_t)dim, &array->count))
            return fault_set(fault, "broken array: its shape is too large");
        array->shape[array->rank++] = dim;
        text = end + (*end == 'L');
    }
    return true;
}

bool npy_parse(const uint8_t *data, size_t bytes, Array *array, Fault *fault) {
    enum { MAX_HEADER = 65536 };
    if (bytes < 12 || memcmp(data, "\x93NUMPY", 6) != 0)
        return fault_set(fault, "not a numpy array");
    size_t start = data[6] == 1 ? 10 : 12, length = data[8] | (size_t)data[9] << 8;
    if (data[6] > 1)
        length |= (size_t)data[10] << 16 | (size_t)data[11] << 24;
    if (data[6] < 1 || data[6] > 3 || length > MAX_HEADER || length > bytes - start)
        return fault_set(fault, "broken array: its header can't be read");
    char *header = calloc(1, length + 1);
    if (!header)
        return fault_set(fault, "out of memory");
    memcpy(header, data + start, length);
    const char *order = header_value(header, "fortran_order");
    bool done = parse_type(header, array, fault) && parse_shape(header, array, fault);
    if (done && order && *order == 'T' && array->rank > 1)
        done = fault_set(fault, "an array in Fortran order is not supported; save numpy.ascontiguousarray(array)");
    free(header);
    size_t available = bytes - start - length;
    if (done && (uint64_t)array->count > available / elem_size(array->elem))
        done = fault_set(fault, "broken array: %lld elements, but only %zu bytes of them", (long long)array->count,
                         available);
    array->bytes = done ? (size_t)array->count * elem_size(array->elem) : 0;
    array->data = data + start + length;
    return done;
}

bool array_file_open(ArrayFile *file, const char *path, Fault *fault) {
    size_t bytes;
    *file = (ArrayFile){0};
    if (!file_load(path, &file->file_data, &bytes, fault))
        return false;
    bool done;
    if (bytes >= 4 && (memcmp(file->file_data, "PK\3\4", 4) == 0 || memcmp(file->file_data, "PK\5\6", 4) == 0)) {
        done = npz_parse(file, bytes, fault);
    } else if (bytes == 0) {
        done = fault_set(fault, "the file is empty");
    } else {
        file->arrays = calloc(1, sizeof *file->arrays);
        file->count = 1;
        done = file->arrays ? npy_parse(file->file_data, bytes, file->arrays, fault)
                            : fault_set(fault, "out of memory");
    }
    if (!done)
        array_file_close(file);
    return done;
}

void array_file_close(ArrayFile *file) {
    for (int i = 0; file->inflated && i < file->count; i++)
        free(file->inflated[i]);
    free(file->inflated);
    free(file->arrays);
    free(file->file_data);
    *file = (ArrayFile){0};
}

const Array *array_file_find(const ArrayFile *file, const char *name) {
    for (int i = 0; i < file->count; i++)
        if (strcmp(file->arrays[i].name, name) == 0)
            return &file->arrays[i];
    return NULL;
}

// ---- conversion

// Elements in files may lie at any address.
#define LOAD(ctype)                                                                                                    \
    {                                                                                                                  \
        ctype value;                                                                                                   \
        memcpy(&value, at, sizeof value);                                                                              \
        return (double)value;                                                                                          \
    }

static uint16_t load_u16(const uint8_t *at) {
    uint16_t bits;
    memcpy(&bits, at, sizeof bits);
    return bits;
}

static double load_f64(Elem elem, const uint8_t *at) {
    switch (elem) {
    case ELEM_F32: LOAD(float)
    case ELEM_F64: LOAD(double)
    case ELEM_I64: LOAD(int64_t)
    case ELEM_I32: LOAD(int32_t)
    case ELEM_I16: LOAD(int16_t)
    case ELEM_I8: LOAD(int8_t)
    case ELEM_U64: LOAD(uint64_t)
    case ELEM_U32: LOAD(uint32_t)
    case ELEM_U16: LOAD(uint16_t)
    case ELEM_U8:
    case ELEM_I1: LOAD(uint8_t)
    case ELEM_F16: return (double)qn_f32_of_f16(load_u16(at));
    case ELEM_BF16: return (double)qn_f32_of_bf16(load_u16(at));
    default: return NAN;
    }
}

static int64_t clamp_i64(double value, int64_t min, int64_t max) {
    if (!(value > (double)min)) // NaN too
        return min;
    return value >= (double)max ? max : (int64_t)value;
}

static void store_f64(Elem elem, uint8_t *at, double value) {
    if (elem == ELEM_F64) {
        memcpy(at, &value, 8);
    } else if (elem == ELEM_F32) {
        float single = (float)value;
        memcpy(at, &single, 4);
    } else if (elem == ELEM_F16 || elem == ELEM_BF16) {
        uint16_t bits = elem == ELEM_F16 ? qn_f16_of_f64(value) : qn_bf16_of_f64(value);
        memcpy(at, &bits, 2);
    } else {
        int64_t min = INT64_MIN, max = INT64_MAX;
        if (elem == ELEM_I1)
            min = 0, max = 1;
        else if (elem_bits(elem) <= 32)
            elem_range(elem, &min, &max);
        int64_t whole = clamp_i64(value, min, max);
        memcpy(at, &whole, elem_size(elem)); // little-endian
    }
}

static bool has_numbers(Elem elem) {
    return elem_bits(elem) >= 8;
}

bool array_convert(const Array *array, int64_t first, int64_t count, Elem elem, void *target) {
    size_t from_size = elem_size(array->elem), to_size = elem_size(elem);
    const uint8_t *from = (const uint8_t *)array->data + (size_t)first * from_size;
    if (array->elem == elem) {
        memcpy(target, from, (size_t)count * from_size);
        return true;
    }
    if (!has_numbers(array->elem) || !has_numbers(elem))
        return false;
    uint8_t *to = target;
    for (int64_t i = 0; i < count; i++, from += from_size, to += to_size)
        store_f64(elem, to, load_f64(array->elem, from));
    return true;
}

// ---- writing

size_t npy_header(char *header, size_t size, Elem elem, int rank, const int64_t *shape) {
    char kind = 'f';
    int bytes = 4;
    for (int i = 0; i < NUMPY_TYPE_COUNT; i++)
        if (numpy_types[i].elem == elem) {
            kind = numpy_types[i].kind;
            bytes = numpy_types[i].bytes;
        }
    enum { PREFIX = 10, ALIGNMENT = 64 };
    size_t used = PREFIX;
    used += (size_t)snprintf(header + used, size - used, "{'descr': '%c%c%d', 'fortran_order': False, 'shape': (",
                             bytes == 1 ? '|' : '<', kind, bytes);
    for (int i = 0; i < rank; i++)
        used += (size_t)snprintf(header + used, size - used, "%s%lld", i ? ", " : "", (long long)shape[i]);
    used += (size_t)snprintf(header + used, size - used, "%s), }", rank == 1 ? "," : "");
    while ((used + 1) % ALIGNMENT)
        header[used++] = ' ';
    header[used++] = '\n';
    memcpy(header, "\x93NUMPY\x01", 8); // version 1.0
    header[8] = (char)((used - PREFIX) & 0xFF);
    header[9] = (char)((used - PREFIX) >> 8);
    return used;
}

bool npy_write(FILE *out, Elem elem, int rank, const int64_t *shape, const void *data) {
    char header[NPY_HEADER_BYTES];
    size_t count = 1, used = npy_header(header, sizeof header, elem, rank, shape);
    for (int i = 0; i < rank; i++)
        count *= (size_t)shape[i];
    return fwrite(header, 1, used, out) == used && fwrite(data, elem_size(elem), count, out) == count;
}
