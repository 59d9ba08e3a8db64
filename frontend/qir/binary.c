// Binary .qir files: checked as a whole, then their text is parsed with the resources in place. See ir/binary.h.
#include "ir/binary.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/qir/qir.h"

bool is_qir_binary(const char *data, size_t bytes) {
    static const unsigned char magic[8] = QIR_MAGIC;
    return bytes >= sizeof magic && !memcmp(data, magic, sizeof magic);
}

static bool header_fits(Diag *diag, Loc loc, const QirHeader *header, size_t bytes) {
    if (header->version != QIR_VERSION)
        return diag_error(diag, loc, "binary .qir of version %" PRIu32 "; this Qanat reads version %d: import the model again",
                          header->version, QIR_VERSION);
    bool fits = header->header_bytes == sizeof *header && header->text_bytes <= bytes - sizeof *header &&
                header->blobs_offset >= sizeof *header + header->text_bytes && header->blobs_offset <= bytes &&
                header->blobs_offset % QIR_ALIGNMENT == 0 && header->blobs_bytes == bytes - header->blobs_offset;
    return fits || diag_error(diag, loc, "the file is truncated or damaged: %zu bytes do not fit its header; import the model again", bytes);
}

Module *parse_qir_binary(Arena *arena, Diag *diag, const char *path, const char *data, size_t bytes) {
    QirHeader header;
    if (bytes < sizeof header) {
        diag_error(diag, loc_file(path), "the file is truncated: %zu bytes are no header", bytes);
        return NULL;
    }
    memcpy(&header, data, sizeof header);
    if (!header_fits(diag, loc_file(path), &header, bytes)) return NULL;
    QirBlobs blobs = {data + header.blobs_offset, header.blobs_bytes, QIR_CHECKSUM_SEED};
    const char *text = data + sizeof header;
    Module *module = NULL;
    if (qir_checksum(QIR_CHECKSUM_SEED, text, header.text_bytes) == header.text_checksum) {
        module = parse_qir_text(arena, diag, path, text, header.text_bytes, &blobs);
        if (!module || blobs.sum == header.blobs_checksum) return module;
    }
    diag_error(diag, loc_file(path), "the file is damaged: its checksum differs; import the model again");
    return NULL;
}

// "@offset:bytes" of a resource; false for anything else.
static bool parse_range(QirString string, uint64_t *offset, uint64_t *bytes) {
    char text[48], *end;
    if (string.bytes < 4 || string.bytes >= sizeof text || string.text[0] != '@') return false;
    memcpy(text, string.text, string.bytes);
    text[string.bytes] = 0;
    *offset = strtoull(text + 1, &end, 10);
    if (*end != ':') return false;
    *bytes = strtoull(end + 1, &end, 10);
    return !*end;
}

const void *qir_blob(QirState *state, QirString string, QirPlace place, size_t *bytes) {
    uint64_t offset, count;
    if (!parse_range(string, &offset, &count) || offset % QIR_ALIGNMENT || offset > state->blobs->bytes ||
        count > state->blobs->bytes - offset) {
        diag_error(state->diag, qir_loc(state, place), "a resource of a binary file is not inside it; import the model again");
        return NULL;
    }
    *bytes = (size_t)count;
    const char *data = state->blobs->data + offset;
    state->blobs->sum = qir_checksum(state->blobs->sum, data, *bytes);
    return data;
}
