// Literals of the textual IR: numbers, strings, dense elements and resources. Numbers are read from the source when
// their element type is known, so that each is rounded once; blobs are decoded straight into the module's arena.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/qir/qir.h"
#include "ir/eval.h"

// ---- text

static int hex_digit(unsigned char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// \n, \t, \", \\ and \XX (two hexadecimal digits); the scanner has seen that no backslash stands last.
const char *qir_unescape(QirState *state, QirString string) {
    char *out = arena_alloc(state->scratch, string.bytes + 1), *end = out;
    for (size_t i = 0; i < string.bytes; i++) {
        char c = string.text[i];
        if (c != '\\') {
            *end++ = c;
            continue;
        }
        c = string.text[++i];
        int high = hex_digit((unsigned char)c);
        int low = i + 1 < string.bytes ? hex_digit((unsigned char)string.text[i + 1]) : -1;
        if (c == 'n') *end++ = '\n';
        else if (c == 't') *end++ = '\t';
        else if (high >= 0 && low >= 0 && (high | low)) *end++ = (char)(high << 4 | low), i++;
        else *end++ = c;
    }
    return out;
}

bool qir_int(QirState *state, QirLiteral literal, int64_t *value) {
    errno = 0;
    *value = strtoll(literal.text, NULL, 10);
    if (errno != ERANGE) return true;
    diag_error(state->diag, qir_loc(state, qir_place_of(state, literal.text)), "the number exceeds 64 bits");
    return false;
}

double qir_float(QirState *state, QirLiteral literal) {
    (void)state;
    if (literal.kind != LITERAL_HEX) return strtod(literal.text, NULL);
    uint64_t bits = strtoull(literal.text, NULL, 16);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

// "0x…" as bytes; NULL after a reported error.
uint8_t *qir_hex_bytes(QirState *state, QirString string, size_t *count) {
    static const char form[] = "expected \"0x\" and an even number of hexadecimal digits";
    QirPlace place = qir_place_of(state, string.text);
    if (string.bytes < 2 || string.bytes % 2 || string.text[0] != '0' || string.text[1] != 'x') {
        diag_error(state->diag, qir_loc(state, place), form);
        return NULL;
    }
    int8_t digits[256];
    for (int i = 0; i < 256; i++) digits[i] = (int8_t)hex_digit((unsigned char)i);
    *count = string.bytes / 2 - 1;
    uint8_t *bytes = arena_alloc(state->arena, *count + 1);
    const unsigned char *text = (const unsigned char *)string.text + 2;
    int bad = 0;
    for (size_t i = 0; i < *count; i++) {
        int byte = digits[text[2 * i]] * 16 + digits[text[2 * i + 1]];
        bad |= digits[text[2 * i]] | digits[text[2 * i + 1]];
        bytes[i] = (uint8_t)byte;
    }
    if (bad >= 0) return bytes;
    diag_error(state->diag, qir_loc(state, place), form);
    return NULL;
}

// ---- dense<…>, as it is read

void qir_push_literal(QirState *state, QirLiteral literal) {
    if (state->literal_count == state->literal_capacity) {
        size_t capacity = state->literal_capacity ? 2 * state->literal_capacity : 1024;
        QirLiteral *grown = ARENA_ARRAY(state->scratch, QirLiteral, capacity);
        if (state->literal_count) memcpy(grown, state->literals, sizeof *grown * state->literal_count);
        state->literals = grown;
        state->literal_capacity = capacity;
    }
    state->literals[state->literal_count++] = literal;
}

static QirDense *dense_new(QirState *state, QirDenseKind kind, QirPlace place) {
    QirDense *dense = ARENA_NEW(state->scratch, QirDense);
    dense->kind = kind;
    dense->place = place;
    return dense;
}

void qir_dense_begin(QirState *state, QirPlace place) {
    state->dense = dense_new(state, DENSE_ELEMENTS, place);
    state->dense->first = state->literal_count;
    state->depth = 0;
    state->leaf_depth = -1;
    for (int i = 0; i <= MAX_RANK; i++) state->counts[i] = 0, state->extents[i] = -1;
}

static void dense_fault(QirState *state, QirPlace place, const char *message) {
    if (!state->dense->faulty) diag_error(state->diag, qir_loc(state, place), "%s", message);
    state->dense->faulty = true;
}

void qir_dense_literal(QirState *state, QirLiteral literal) {
    if (state->leaf_depth < 0) state->leaf_depth = state->depth;
    if (state->leaf_depth != state->depth)
        dense_fault(state, qir_place_of(state, literal.text), "elements are nested unevenly");
    state->counts[state->depth]++;
    qir_push_literal(state, literal);
}

void qir_dense_open(QirState *state, QirPlace place) {
    state->counts[state->depth]++;
    if (++state->depth <= MAX_RANK) state->counts[state->depth] = 0;
    else diag_error(state->diag, qir_loc(state, place), "elements are nested deeper than %d", MAX_RANK);
}

void qir_dense_close(QirState *state, QirPlace place) {
    int64_t *extent = &state->extents[state->depth], found = state->counts[state->depth];
    if (*extent < 0) *extent = found;
    if (*extent != found) dense_fault(state, place, "lists of elements differ in length");
    state->depth--;
}

QirDense *qir_dense_end(QirState *state) {
    QirDense *dense = state->dense;
    dense->count = state->literal_count - dense->first;
    for (int i = 1; i <= MAX_RANK && state->extents[i] >= 0; i++) dense->shape[dense->rank++] = state->extents[i];
    dense->splat = !dense->rank && dense->count;
    return dense;
}

QirDense *qir_dense_bytes(QirState *state, QirString bytes, QirPlace place) {
    QirDense *dense = dense_new(state, DENSE_BYTES, place);
    dense->bytes = bytes;
    return dense;
}

QirDense *qir_dense_resource(QirState *state, const char *name, QirPlace place) {
    QirDense *dense = dense_new(state, DENSE_RESOURCE, place);
    dense->resource = name;
    return dense;
}

// ---- dense elements under a type

static bool fault_at(QirState *state, QirLiteral literal, const char *what, Elem elem) {
    int length = literal.length < 40 ? literal.length : 40;
    return diag_error(state->diag, qir_loc(state, qir_place_of(state, literal.text)), "%.*s %s %s", length,
                      literal.text, what, elem_name(elem));
}

static bool write_bits(QirState *state, QirLiteral literal, Elem elem, char *out) {
    uint64_t bits = strtoull(literal.text, NULL, 16);
    int width = elem_bits(elem);
    if (literal.length - 2 > 16 || (width < 64 && bits >> width)) return fault_at(state, literal, "exceeds the bits of", elem);
    memcpy(out, &bits, (size_t)width / 8);
    return true;
}

static bool write_float(QirState *state, QirLiteral literal, const Type *type, size_t index, char *data) {
    Elem elem = type->elem;
    size_t size = (size_t)elem_bits(elem) / 8;
    if (literal.kind == LITERAL_HEX) return write_bits(state, literal, elem, data + index * size);
    if (literal.kind == LITERAL_BOOL) return fault_at(state, literal, "is no element of", elem);
    if (elem == ELEM_F32) {
        float value = strtof(literal.text, NULL);
        memcpy(data + index * size, &value, size);
    } else {
        Tensor tensor = {type, data};
        tensor_set_f64(&tensor, (int64_t)index, strtod(literal.text, NULL));
    }
    return true;
}

static bool write_int(QirState *state, QirLiteral literal, Elem elem, size_t index, char *data) {
    int width = elem_bits(elem);
    bool one = elem == ELEM_I1, is_u64 = elem == ELEM_U64, negative = literal.text[0] == '-';
    int64_t min = INT64_MIN, max = INT64_MAX, value;
    if (literal.kind == LITERAL_FLOAT) return fault_at(state, literal, "is not an integer, as the elements are:", elem);
    if (width < 64) elem_range(elem, &min, &max);
    errno = 0;
    if (literal.kind == LITERAL_BOOL) value = literal.text[0] == 't';
    else if (literal.kind == LITERAL_HEX || is_u64)
        value = (int64_t)strtoull(literal.text, NULL, literal.kind == LITERAL_HEX ? 16 : 10);
    else value = strtoll(literal.text, NULL, 10);
    if (literal.kind == LITERAL_BOOL && !one) return fault_at(state, literal, "is no element of", elem);
    if (errno == ERANGE || (is_u64 && negative) || (!is_u64 && (value < min || value > max)))
        return fault_at(state, literal, "is out of range for", elem);
    if (width >= 8) memcpy(data + index * ((size_t)width / 8), &value, (size_t)width / 8);
    else data[index / 2] = (char)(data[index / 2] | (value & 15) << (index % 2 * 4));
    return true;
}

static bool check_shape(QirState *state, const QirDense *dense, const Type *type) {
    Loc loc = qir_loc(state, dense->place);
    if (dense->splat) return true;
    int64_t count = type_elem_count(type);
    if (!dense->count && !count) return true;
    if (!dense->count)
        return diag_error(state->diag, loc, "no elements given for %s", type_text(state->scratch, type));
    bool same = dense->rank == type->rank;
    for (int i = 0; same && i < type->rank; i++) same = dense->shape[i] == type->shape[i];
    if (same) return true;
    const char *shape = "";
    for (int i = 0; i < dense->rank; i++)
        shape = arena_printf(state->scratch, "%s%s%lld", shape, i ? "x" : "", (long long)dense->shape[i]);
    return diag_error(state->diag, loc, "elements of shape %s do not fit %s", shape, type_text(state->scratch, type));
}

static bool make_elements(QirState *state, const QirDense *source, const Type *type, Dense *dense) {
    if (!check_shape(state, source, type)) return false;
    dense->splat = source->splat;
    dense->bytes = source->splat ? ((size_t)elem_bits(type->elem) + 7) / 8 : type_bytes(type);
    char *data = arena_alloc(state->arena, dense->bytes + 1);
    dense->data = data;
    for (size_t i = 0; i < source->count; i++) {
        QirLiteral literal = state->literals[source->first + i];
        bool good = elem_is_float(type->elem) ? write_float(state, literal, type, i, data)
                                              : write_int(state, literal, type->elem, i, data);
        if (!good) return false;
    }
    return true;
}

static bool make_bytes(QirState *state, const QirDense *source, const Type *type, Dense *dense) {
    dense->data = qir_hex_bytes(state, source->bytes, &dense->bytes);
    if (!dense->data) return false;
    dense->splat = dense->bytes == ((size_t)elem_bits(type->elem) + 7) / 8 && type_elem_count(type) > 1;
    if (dense->splat || dense->bytes == type_bytes(type)) return true;
    return diag_error(state->diag, qir_loc(state, source->place), "%zu bytes given, but %s has %zu", dense->bytes,
                      type_text(state->scratch, type), type_bytes(type));
}

static void make_pending(QirState *state, const QirDense *source, Dense *dense) {
    dense->resource = arena_strdup(state->arena, source->resource);
    dense->bytes = type_bytes(dense->type);
    QirPending *pending = ARENA_NEW(state->scratch, QirPending);
    *pending = (QirPending){dense, source->place, state->pending};
    state->pending = pending;
}

const Dense *qir_dense_make(QirState *state, const QirDense *source, const Type *type) {
    if (source->faulty || !type) return NULL;
    if (type->kind == TYPE_NONE) {
        diag_error(state->diag, qir_loc(state, source->place), "elements need a tensor type");
        return NULL;
    }
    Dense *dense = ARENA_NEW(state->arena, Dense);
    dense->type = type;
    switch (source->kind) {
    case DENSE_ELEMENTS: return make_elements(state, source, type, dense) ? dense : NULL;
    case DENSE_BYTES: return make_bytes(state, source, type, dense) ? dense : NULL;
    case DENSE_RESOURCE: make_pending(state, source, dense); return dense;
    }
    return NULL;
}

// ---- resources

// A blob begins with its alignment, four bytes, as MLIR writes it; the data here is always well aligned.
void qir_resource(QirState *state, const char *name, QirString string, QirPlace place) {
    enum { PREFIX = 4, ALIGNMENT = 16 };
    size_t bytes;
    uint8_t *hex = NULL;
    const void *blob = state->blobs ? qir_blob(state, string, place, &bytes) : (hex = qir_hex_bytes(state, string, &bytes));
    if (!blob) return;
    if (hex && bytes < PREFIX) {
        diag_error(state->diag, qir_loc(state, place), "resource '%s' lacks its alignment, the first four bytes", name);
        return;
    }
    if (map_find(state->resources, name)) {
        diag_error(state->diag, qir_loc(state, place), "resource '%s' stands twice", name);
        return;
    }
    if (hex) memmove(hex, hex + PREFIX, bytes -= PREFIX); // keeps the arena's alignment
    module_add_resource(state->module, name, blob, bytes);
    *map_get(state->resources, name) = state->module->resources;
}

static void resolve(QirState *state, const QirPending *pending) {
    Dense *dense = pending->dense;
    Loc loc = qir_loc(state, pending->place);
    const Resource *resource = map_find(state->resources, dense->resource);
    if (!strcmp(dense->resource, "__elided__"))
        diag_error(state->diag, loc, "the elements were left out when this was printed; print it without eliding");
    else if (!resource)
        diag_error(state->diag, loc, "no resource '%s' at the end of the file", dense->resource);
    else if (resource->bytes != dense->bytes)
        diag_error(state->diag, loc, "resource '%s' has %zu bytes, but %s has %zu", resource->name, resource->bytes,
                   type_text(state->scratch, dense->type), dense->bytes);
    else dense->data = resource->data;
}

void qir_resolve_resources(QirState *state) {
    QirPending *ordered = NULL;
    for (QirPending *pending = state->pending, *next; pending; pending = next) {
        next = pending->next;
        pending->next = ordered;
        ordered = pending;
    }
    for (; ordered; ordered = ordered->next) {
        if (qir_too_many_errors(state)) return;
        resolve(state, ordered);
    }
}
