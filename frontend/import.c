// Reading files, and model files by what they begin with.
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frontend/frontend.h"
#include "ir/verify.h"

enum { MAP_FROM_BYTES = 1 << 20 };

// Mapped files stay mapped: they live as long as the process, as does what points into them.
static const char *map_whole(int file, size_t bytes) {
    long page = sysconf(_SC_PAGESIZE);
    if (bytes % (size_t)page == 0) return NULL; // no room for the final NUL
    void *data = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, file, 0);
    return data == MAP_FAILED ? NULL : data;
}

// To the end, whatever the size said: pipes and devices have none.
static const char *read_all(Arena *arena, int file, size_t expected, size_t *bytes) {
    size_t capacity = expected + 4096, length = 0;
    char *data = arena_alloc(arena, capacity);
    for (;;) {
        ssize_t got = read(file, data + length, capacity - length - 1);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return NULL;
        if (!got) break;
        length += (size_t)got;
        if (length + 1 < capacity) continue;
        char *grown = arena_alloc(arena, capacity *= 2);
        memcpy(grown, data, length);
        data = grown;
    }
    data[length] = 0;
    *bytes = length;
    return data;
}

bool file_map(Arena *arena, Diag *diag, const char *path, FileBytes *loaded) {
    bool standard_input = !strcmp(path, "-");
    int file = standard_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    *loaded = (FileBytes){0};
    if (file >= 0 && fstat(file, &status) == 0) {
        bool regular = S_ISREG(status.st_mode);
        if (regular && status.st_size >= MAP_FROM_BYTES) {
            loaded->bytes = (size_t)status.st_size;
            loaded->data = map_whole(file, loaded->bytes);
            loaded->mapped = loaded->data != NULL;
        }
        if (!loaded->data) loaded->data = read_all(arena, file, regular ? (size_t)status.st_size : 0, &loaded->bytes);
    }
    int cause = errno;
    if (file >= 0 && !standard_input) close(file);
    return loaded->data || diag_error(diag, loc_file(path), "cannot be read: %s", strerror(cause));
}

const char *read_file(Arena *arena, Diag *diag, const char *path, size_t *bytes) {
    FileBytes file;
    if (!file_map(arena, diag, path, &file)) return NULL;
    *bytes = file.bytes;
    return file.data;
}

void file_forget(const FileBytes *file) {
    if (file->mapped) madvise((void *)(uintptr_t)file->data, file->bytes, MADV_DONTNEED);
}

static bool ends_in(const char *path, const char *end) {
    size_t length = strlen(path), tail = strlen(end);
    return length >= tail && !strcmp(path + length - tail, end);
}

bool is_qir(const char *path, const char *data, size_t bytes) {
    if (ends_in(path, ".qir") || is_qir_binary(data, bytes)) return true;
    static const char *const starts[] = {"//", "module", "func"};
    size_t i = 0;
    while (i < bytes && strchr(" \t\r\n", data[i]) && data[i]) i++;
    for (int k = 0; k < 3; k++) {
        size_t length = strlen(starts[k]);
        if (bytes - i >= length && !memcmp(data + i, starts[k], length)) return true;
    }
    return false;
}

Module *import_bytes(Arena *arena, Diag *diag, const char *path, const char *data, size_t bytes,
                     const ImportOptions *options) {
    if (!bytes) {
        diag_error(diag, loc_file(path), "the file is empty");
        return NULL;
    }
    if (is_tflite(data, bytes)) return import_tflite(arena, diag, path, data, bytes, options);
    if (!is_qir(path, data, bytes)) return import_onnx(arena, diag, path, data, bytes, options);
    if (options && options->constant_count) {
        diag_error(diag, loc_file(path), "--constant gives values to the inputs of an ONNX model; this is .qir");
        return NULL;
    }
    Module *module = parse_qir(arena, diag, path, data, bytes);
    return module && module_verify(module, diag) ? module : NULL;
}

Module *import_model(Arena *arena, Diag *diag, const char *path, const ImportOptions *options) {
    FileBytes file;
    if (!file_map(arena, diag, path, &file)) return NULL;
    Module *module = import_bytes(arena, diag, path, file.data, file.bytes, options);
    file_forget(&file); // the module may refer to it: what it does is read again
    return module;
}
