// Tensors whose elements stand elsewhere: in another file (external data), or sparse, as values and their places. Both
// come out dense.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "frontend/onnx/importer.h"

static const void *fault(Importer *importer, const char *what, const char *text) {
    diag_error(importer->diag, loc_file(importer->path), "%s: %s", what, text);
    return NULL;
}

// ---- external data

static const char *entry(const Onnx__TensorProto *proto, const char *key) {
    for (size_t i = 0; i < proto->n_external_data; i++)
        if (proto->external_data[i]->key && !strcmp(proto->external_data[i]->key, key))
            return proto->external_data[i]->value;
    return NULL;
}

// A file below the model's folder: not absolute, and no part of it `..`.
static bool stays_below(const char *location) {
    if (!*location || *location == '/' || strchr(location, '\\'))
        return false;
    for (const char *at = location; at; at = strchr(at, '/')) {
        at += *at == '/';
        if (!strncmp(at, "..", 2) && (!at[2] || at[2] == '/'))
            return false;
    }
    return true;
}

// False if there is a text that is not a size.
static bool read_size(const char *text, uint64_t *size) {
    char *end;
    if (!text)
        return true;
    errno = 0;
    *size = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && !errno;
}

// The file of that path, opened once for all its tensors.
static const FileBytes *open_external(Importer *importer, const char *path, const char *what) {
    for (const External *known = importer->externals; known; known = known->next)
        if (!strcmp(known->path, path))
            return &known->file;
    struct stat status;
    bool missing = stat(path, &status) != 0;
    if (missing || !S_ISREG(status.st_mode)) {
        diag_error(importer->diag, loc_file(importer->path), "%s: its data is in the file '%s': %s", what, path,
                   missing ? "it cannot be found; it belongs beside the model" : "it is no plain file");
        return NULL;
    }
    External *external = ARENA_NEW(importer->scratch, External);
    *external = (External){.path = path, .next = importer->externals};
    if (!file_map(importer->scratch, importer->diag, path, &external->file))
        return NULL;
    importer->externals = external;
    return &external->file;
}

const void *external_data(Importer *importer, const Onnx__TensorProto *proto, size_t bytes, const char *what) {
    const char *location = entry(proto, "location");
    uint64_t offset = 0, length = bytes;
    if (!location)
        return fault(importer, what, "its data is in another file, which it does not name");
    if (!stays_below(location))
        return fault(importer, what,
                     arena_printf(importer->scratch, "its data is in '%s', which is not below the model's folder", location));
    if (!read_size(entry(proto, "offset"), &offset) || !read_size(entry(proto, "length"), &length))
        return fault(importer, what, "the place of its data in another file is not a number");
    const char *slash = strrchr(importer->path, '/');
    int folder = slash ? (int)(slash - importer->path) + 1 : 0;
    const char *path = arena_printf(importer->scratch, "%.*s%s", folder, importer->path, location);
    if (length != bytes)
        return fault(importer, what, arena_printf(importer->scratch, "its shape wants %zu bytes, its data in '%s' has %llu",
                                                  bytes, path, (unsigned long long)length));
    const FileBytes *file = bytes ? open_external(importer, path, what) : NULL;
    if (!file)
        return bytes ? NULL : "";
    if (offset > file->bytes || bytes > file->bytes - offset)
        return fault(importer, what,
                     arena_printf(importer->scratch, "its data ends at byte %llu of '%s', which has %zu",
                                  (unsigned long long)(offset + bytes), path, file->bytes));
    return file->data + offset;
}

void forget_externals(const Importer *importer) {
    for (const External *external = importer->externals; external; external = external->next)
        file_forget(&external->file);
}

// ---- sparse tensors

// Few bytes can stand for many elements.
#define MAX_SPARSE_ELEMS ((int64_t)1 << 26)

// The place of value `index` in the dense tensor; -1 if there is none such.
static int64_t sparse_place(const Dense *indices, int64_t index, int rank, const int64_t *dims) {
    if (indices->type->rank == 1) {
        int64_t place = dense_i64(indices, index);
        return place < 0 || place >= dims_count(rank, dims) ? -1 : place;
    }
    int64_t place = 0;
    for (int i = 0; i < rank; i++) {
        int64_t at = dense_i64(indices, index * rank + i);
        if (at < 0 || at >= dims[i])
            return -1;
        place = place * dims[i] + at;
    }
    return place;
}

const char *sparse_name(const Onnx__SparseTensorProto *proto) {
    return proto->values && proto->values->name ? proto->values->name : "";
}

static bool indices_fit(const Dense *values, const Dense *indices, int rank) {
    int64_t count = dense_count(values);
    const Type *type = indices->type;
    return values->type->rank == 1 && !elem_is_float(type->elem) &&
           ((type->rank == 1 && type->shape[0] == count) ||
            (type->rank == 2 && type->shape[0] == count && type->shape[1] == rank));
}

const Dense *dense_from_sparse(Importer *importer, const Onnx__SparseTensorProto *proto, const char *what) {
    if (!proto->values || !proto->indices)
        return fault(importer, what, "it has no values or no indices");
    const Dense *values = dense_from_proto(importer, proto->values, what);
    const Dense *indices = values ? dense_from_proto(importer, proto->indices, what) : NULL;
    if (!indices)
        return NULL;
    int rank = (int)proto->n_dims;
    if (proto->n_dims > MAX_RANK || dims_count(rank, proto->dims) < 0 ||
        dims_count(rank, proto->dims) > MAX_SPARSE_ELEMS)
        return fault(importer, what, "its shape is out of bounds: sparse tensors of at most 2^26 elements are supported");
    if (!indices_fit(values, indices, rank) || elem_bits(values->type->elem) < 8)
        return fault(importer, what, "its indices do not fit its values and its shape");
    Dense *dense = dense_alloc(importer->scratch, type_tensor(importer->scratch, values->type->elem, rank, proto->dims));
    size_t size = (size_t)elem_bits(values->type->elem) / 8;
    for (int64_t i = 0; i < dense_count(values); i++) {
        int64_t place = sparse_place(indices, i, rank, proto->dims);
        if (place < 0)
            return fault(importer, what, "one of its indices is outside its shape");
        memcpy((char *)(uintptr_t)dense->data + (size_t)place * size, (const char *)values->data + (size_t)i * size, size);
    }
    return dense;
}
