// numpy's .npz: a zip of .npy files. Reads stored and deflated entries by the central directory, with checksums; writes
// stored ones. No zip64, so files end at 4 GB.
#include "tools/data/npz.h"

#include <stdlib.h>
#include <string.h>

#include <zlib.h>

enum { LOCAL_BYTES = 30, CENTRAL_BYTES = 46, END_BYTES = 22, MAX_ENTRIES = 65535 };

static uint32_t read_u16(const uint8_t *at) {
    return at[0] | (uint32_t)at[1] << 8;
}

static uint32_t read_u32(const uint8_t *at) {
    return read_u16(at) | read_u16(at + 2) << 16;
}

// ---- reading

// The end record stands at the end of the file, before a comment of at most 64 KB.
static const uint8_t *find_end(const uint8_t *data, size_t bytes) {
    for (size_t back = END_BYTES; back <= bytes && back <= END_BYTES + 65535; back++)
        if (memcmp(data + bytes - back, "PK\5\6", 4) == 0)
            return data + bytes - back;
    return NULL;
}

static bool inflate_entry(const uint8_t *from, size_t packed, uint8_t *to, size_t size) {
    z_stream stream = {.next_in = (Bytef *)from, .avail_in = (uInt)packed, .next_out = to, .avail_out = (uInt)size};
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
        return false;
    int status = inflate(&stream, Z_FINISH);
    bool done = status == Z_STREAM_END && stream.total_out == size;
    inflateEnd(&stream);
    return done;
}

typedef struct {
    const uint8_t *content; // in the file, maybe deflated
    uint32_t method, checksum, packed, size;
    const uint8_t *name;
    size_t name_bytes;
} Entry;

static bool read_entry(const uint8_t *data, size_t bytes, const uint8_t *central, Entry *entry) {
    *entry = (Entry){.method = read_u16(central + 10), .checksum = read_u32(central + 16),
                     .packed = read_u32(central + 20), .size = read_u32(central + 24),
                     .name = central + CENTRAL_BYTES, .name_bytes = read_u16(central + 28)};
    size_t local = read_u32(central + 42);
    if (local > bytes || bytes - local < LOCAL_BYTES || memcmp(data + local, "PK\3\4", 4) != 0)
        return false;
    size_t start = local + LOCAL_BYTES + read_u16(data + local + 26) + read_u16(data + local + 28);
    entry->content = data + start;
    return start <= bytes && entry->packed <= bytes - start && entry->packed != UINT32_MAX;
}

static bool unpack_entry(const Entry *entry, const uint8_t **content, uint8_t **inflated, Fault *fault) {
    enum { BEST_DEFLATE = 1032 }; // no deflated stream grows more than that: a larger claim is a lie
    if (entry->method == 0 && entry->packed == entry->size) {
        *content = entry->content;
    } else if (entry->method == 8 && entry->size / BEST_DEFLATE <= entry->packed) {
        *inflated = malloc(entry->size + 1ul);
        if (!*inflated)
            return fault_set(fault, "out of memory");
        *content = *inflated;
        if (!inflate_entry(entry->content, entry->packed, *inflated, entry->size))
            return fault_set(fault, "broken .npz: an array can't be unpacked");
    } else {
        return fault_set(fault, "an .npz with zip method %u is not supported; use numpy.savez", entry->method);
    }
    if (crc32(0, *content, entry->size) != entry->checksum)
        return fault_set(fault, "broken .npz: a checksum is wrong");
    return true;
}

// The name without ".npy".
static void set_name(Array *array, const Entry *entry) {
    size_t length = entry->name_bytes;
    if (length >= 4 && memcmp(entry->name + length - 4, ".npy", 4) == 0)
        length -= 4;
    if (length >= ARRAY_NAME_BYTES)
        length = ARRAY_NAME_BYTES - 1;
    memcpy(array->name, entry->name, length);
    array->name[length] = 0;
}

bool npz_parse(ArrayFile *file, size_t bytes, Fault *fault) {
    const uint8_t *data = file->file_data, *end = find_end(data, bytes);
    if (!end)
        return fault_set(fault, "broken .npz: the file ends early");
    int count = (int)read_u16(end + 10);
    size_t at = read_u32(end + 16);
    file->arrays = calloc((size_t)count + 1, sizeof *file->arrays);
    file->inflated = calloc((size_t)count + 1, sizeof *file->inflated);
    if (!file->arrays || !file->inflated)
        return fault_set(fault, "out of memory");
    for (int i = 0; i < count; i++) {
        if (at > bytes || bytes - at < CENTRAL_BYTES || memcmp(data + at, "PK\1\2", 4) != 0 ||
            bytes - at - CENTRAL_BYTES < read_u16(data + at + 28))
            return fault_set(fault, "broken .npz: its directory can't be read");
        Entry entry;
        const uint8_t *content = NULL;
        Array *array = &file->arrays[i];
        file->count = i + 1;
        if (!read_entry(data, bytes, data + at, &entry))
            return fault_set(fault, "broken .npz: an array lies outside the file");
        if (!unpack_entry(&entry, &content, &file->inflated[i], fault) ||
            !npy_parse(content, entry.size, array, fault))
            return false;
        set_name(array, &entry);
        at += CENTRAL_BYTES + read_u16(data + at + 28) + read_u16(data + at + 30) + read_u16(data + at + 32);
    }
    return true;
}

// ---- writing

struct NpzWriter {
    FILE *out;
    bool failed;
    uint64_t at; // bytes written
    int count;
    uint8_t *directory;
    size_t directory_bytes, directory_room;
};

static void put_u16(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

static void put_u32(uint8_t *at, uint32_t value) {
    put_u16(at, value);
    put_u16(at + 2, value >> 16);
}

NpzWriter *npz_new(FILE *out) {
    NpzWriter *writer = calloc(1, sizeof *writer);
    if (writer)
        writer->out = out;
    return writer;
}

static void emit(NpzWriter *writer, const void *data, size_t bytes) {
    if (bytes && fwrite(data, 1, bytes, writer->out) != bytes)
        writer->failed = true;
    writer->at += bytes;
}

static bool directory_append(NpzWriter *writer, const void *data, size_t bytes) {
    if (writer->directory_bytes + bytes > writer->directory_room) {
        size_t room = 2 * writer->directory_room + bytes + 1024;
        uint8_t *grown = realloc(writer->directory, room);
        if (!grown)
            return false;
        writer->directory = grown;
        writer->directory_room = room;
    }
    memcpy(writer->directory + writer->directory_bytes, data, bytes);
    writer->directory_bytes += bytes;
    return true;
}

// Version, flags, method, date, checksum, sizes, name length: common to both records.
static void put_common(uint8_t *at, uint32_t checksum, uint32_t size, size_t name_bytes) {
    memset(at, 0, 26);
    put_u16(at, 20);     // needs version 2.0
    put_u16(at + 8, 33); // 1 January 1980: no time in outputs
    put_u32(at + 10, checksum);
    put_u32(at + 14, size);
    put_u32(at + 18, size);
    put_u16(at + 22, (uint32_t)name_bytes);
}

bool npz_add(NpzWriter *writer, const char *name, Elem elem, int rank, const int64_t *shape, const void *data) {
    char header[NPY_HEADER_BYTES], file_name[ARRAY_NAME_BYTES + 8];
    size_t header_bytes = npy_header(header, sizeof header, elem, rank, shape);
    uint64_t bytes = (uint64_t)(elem_bits(elem) + 7) / 8;
    for (int i = 0; i < rank; i++)
        bytes *= (uint64_t)shape[i];
    snprintf(file_name, sizeof file_name, "%.*s.npy", ARRAY_NAME_BYTES - 1, name);
    size_t name_bytes = strlen(file_name);
    uint64_t size = header_bytes + bytes;
    if (writer->at + size > UINT32_MAX - 65536 || writer->count == MAX_ENTRIES)
        return writer->failed = true, false;
    uint32_t checksum = (uint32_t)crc32_z(crc32_z(0, (const Bytef *)header, header_bytes), data, bytes);
    uint8_t local[LOCAL_BYTES] = "PK\3\4", central[CENTRAL_BYTES] = "PK\1\2";
    put_common(local + 4, checksum, (uint32_t)size, name_bytes);
    put_u16(central + 4, 20);
    put_common(central + 6, checksum, (uint32_t)size, name_bytes);
    memset(central + 32, 0, CENTRAL_BYTES - 32);
    put_u32(central + 42, (uint32_t)writer->at);
    if (!directory_append(writer, central, CENTRAL_BYTES) || !directory_append(writer, file_name, name_bytes))
        writer->failed = true;
    emit(writer, local, LOCAL_BYTES);
    emit(writer, file_name, name_bytes);
    emit(writer, header, header_bytes);
    emit(writer, data, bytes);
    writer->count++;
    return !writer->failed;
}

bool npz_end(NpzWriter *writer) {
    uint8_t end[END_BYTES] = "PK\5\6";
    put_u16(end + 8, (uint32_t)writer->count);
    put_u16(end + 10, (uint32_t)writer->count);
    put_u32(end + 12, (uint32_t)writer->directory_bytes);
    put_u32(end + 16, (uint32_t)writer->at);
    emit(writer, writer->directory, writer->directory_bytes);
    emit(writer, end, END_BYTES);
    bool done = !writer->failed;
    free(writer->directory);
    free(writer);
    return done;
}
