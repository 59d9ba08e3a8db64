// Elements of constants as MLIR writes them: nested lists, one element for a splat, hexadecimal bits for infinities and
// NaN. What is large becomes dense_resource<name>, with its bytes in hexadecimal at the end of the file.
#include "ir/print_dense.h"
#include "ir/binary.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

enum { INLINE_ELEMS = 64, ELIDE_FROM_ELEMS = 17, BLOB_ALIGNMENT = 64, BLOB_CHUNK = 1 << 15 };

void string_print(FILE *out, const char *text) {
    fputc('"', out);
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\') fprintf(out, "\\%c", *c);
        else if (*c < ' ' || *c == 127) fprintf(out, "\\%02X", *c);
        else fputc(*c, out);
    }
    fputc('"', out);
}

bool is_identifier(const char *text) {
    if (!isalpha((unsigned char)*text) && *text != '_') return false;
    for (; *text; text++)
        if (!isalnum((unsigned char)*text) && !strchr("_.$", *text)) return false;
    return true;
}

const char *number_text(Arena *arena, double value, bool is_float) {
    if (isnan(value)) return "nan";
    if (isinf(value)) return value < 0 ? "-inf" : "inf";
    const char *text = is_float ? float_text(arena, (float)value) : double_text(arena, value);
    return strpbrk(text, ".e") ? text : arena_printf(arena, "%s.0", text);
}

static void element_print(Printer *printer, const Dense *dense, int64_t index) {
    Elem elem = dense->type->elem;
    FILE *out = printer->out;
    if (!elem_is_float(elem)) {
        int64_t value = dense_i64(dense, index);
        if (elem == ELEM_I1) fputs(value ? "true" : "false", out);
        else if (elem == ELEM_U64) fprintf(out, "%llu", (unsigned long long)value);
        else fprintf(out, "%lld", (long long)value);
        return;
    }
    double value = dense_f64(dense, index);
    if (isfinite(value)) {
        fputs(number_text(printer->scratch, value, elem != ELEM_F64), out);
        return;
    }
    uint64_t bits = 0;
    size_t size = (size_t)elem_bits(elem) / 8;
    memcpy(&bits, (const char *)dense->data + (dense->splat ? 0 : (size_t)index) * size, size);
    fprintf(out, "0x%0*llX", (int)size * 2, (unsigned long long)bits);
}

static void elements_print(Printer *printer, const Dense *dense, int dim, int64_t *index) {
    if (dim == dense->type->rank) {
        element_print(printer, dense, (*index)++);
        return;
    }
    fputc('[', printer->out);
    for (int64_t i = 0; i < dense->type->shape[dim]; i++) {
        if (i) fputs(", ", printer->out);
        elements_print(printer, dense, dim + 1, index);
    }
    fputc(']', printer->out);
}

// The name under which the bytes stand at the end; another when the wanted one has other bytes already.
static const char *blob_name(Printer *printer, const Dense *dense, const char *wanted) {
    const char *name = wanted;
    for (int i = 1;; i++) {
        Blob *blob = map_find(printer->blob_names, name);
        if (!blob) break;
        if (blob->bytes == dense->bytes && (blob->data == dense->data || !memcmp(blob->data, dense->data, blob->bytes)))
            return name;
        name = arena_printf(printer->scratch, "%s_%d", wanted, i);
    }
    Blob *blob = ARENA_NEW(printer->scratch, Blob);
    *blob = (Blob){.name = name, .data = dense->data, .bytes = dense->bytes};
    *map_get(printer->blob_names, name) = blob;
    if (printer->last_blob) printer->last_blob->next = blob;
    else printer->blobs = blob;
    printer->last_blob = blob;
    return name;
}

static void name_print(FILE *out, const char *name) {
    if (is_identifier(name)) fputs(name, out);
    else string_print(out, name);
}

void dense_print(Printer *printer, const Dense *dense, const char *hint) {
    FILE *out = printer->out;
    int64_t count = type_elem_count(dense->type), index = 0;
    if (dense->splat && count > 0) {
        fputs("dense<", out);
        element_print(printer, dense, 0);
        fputc('>', out);
    } else if (printer->options.elide_constants && count >= ELIDE_FROM_ELEMS) {
        fputs("dense_resource<__elided__>", out);
    } else if (count > 0 && (dense->resource || count > INLINE_ELEMS)) {
        fputs("dense_resource<", out);
        name_print(out, blob_name(printer, dense, dense->resource ? dense->resource : hint));
        fputc('>', out);
    } else {
        fputs("dense<", out);
        if (count) elements_print(printer, dense, 0, &index);
        fputc('>', out);
    }
}

static void blob_print(FILE *out, const Blob *blob) {
    static const char digits[] = "0123456789ABCDEF";
    char text[2 * BLOB_CHUNK];
    const unsigned char *data = blob->data;
    fprintf(out, ": \"0x%02X000000", BLOB_ALIGNMENT);
    for (size_t done = 0; done < blob->bytes;) {
        size_t count = blob->bytes - done < BLOB_CHUNK ? blob->bytes - done : BLOB_CHUNK;
        for (size_t i = 0; i < count; i++) {
            text[2 * i] = digits[data[done + i] >> 4];
            text[2 * i + 1] = digits[data[done + i] & 15];
        }
        fwrite(text, 2, count, out);
        done += count;
    }
    fputc('"', out);
}

size_t blobs_place(Printer *printer) {
    size_t end = 0;
    for (Blob *blob = printer->blobs; blob; blob = blob->next) {
        blob->offset = (end + QIR_ALIGNMENT - 1) / QIR_ALIGNMENT * QIR_ALIGNMENT;
        end = blob->offset + blob->bytes;
    }
    return end;
}

void blobs_print(Printer *printer) {
    FILE *out = printer->out;
    if (!printer->blobs) return;
    fputs("\n{-#\n  dialect_resources: {\n    builtin: {\n", out);
    for (const Blob *blob = printer->blobs; blob; blob = blob->next) {
        fputs("      ", out);
        name_print(out, blob->name);
        if (printer->options.blobs_apart) fprintf(out, ": \"@%zu:%zu\"", blob->offset, blob->bytes);
        else blob_print(out, blob);
        fputs(blob->next ? ",\n" : "\n", out);
    }
    fputs("    }\n  }\n#-}\n", out);
}
