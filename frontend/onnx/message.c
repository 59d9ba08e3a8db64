// The file's bytes to protobuf messages. protobuf-c unpacks recursively and without a limit, so the nesting is walked
// first, with one; the walk also says where damaged data breaks off. It copies the messages without the tensors' raw data,
// in whose place it leaves where that stands in the file: only the copy is unpacked, and tensors then point into the file.
// Messages are allocated in an arena.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/onnx/importer.h"

enum { MAX_DEPTH = 64 };
enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

enum { RAW_DATA_TAG = 9 }; // of TensorProto

typedef struct {
    const uint8_t *start, *at;
    const char *fault;
    uint8_t *copy; // grows
    size_t used, size;
} Walk;

// Where raw data stands in the file.
typedef struct { uint64_t offset, bytes; } Place;

static void copy_bytes(Walk *walk, const void *data, size_t bytes) {
    if (bytes > walk->size - walk->used) {
        walk->size = 2 * walk->size + bytes + 4096;
        walk->copy = realloc(walk->copy, walk->size);
        BUG_UNLESS(walk->copy, "out of memory");
    }
    memcpy(walk->copy + walk->used, data, bytes);
    walk->used += bytes;
}

// A length in five bytes, whatever it is, so that it can be set when it is known.
static void set_length(uint8_t *at, size_t length) {
    for (int i = 0; i < 5; i++, length >>= 7)
        at[i] = (uint8_t)((length & 0x7f) | (i < 4 ? 0x80 : 0));
}

static bool walk_fault(Walk *walk, const char *fault) {
    walk->fault = fault;
    return false;
}

static bool walk_varint(Walk *walk, const uint8_t *end, uint64_t *value) {
    *value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (walk->at == end)
            return walk_fault(walk, "the data breaks off");
        uint8_t byte = *walk->at++;
        if (shift < 64)
            *value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return true;
    }
    return walk_fault(walk, "a number is malformed");
}

static bool walk_skip(Walk *walk, const uint8_t *end, uint64_t bytes) {
    if (bytes > (uint64_t)(end - walk->at))
        return walk_fault(walk, "the data breaks off");
    walk->at += bytes;
    return true;
}

static const ProtobufCMessageDescriptor *field_message(const ProtobufCMessageDescriptor *message,
                                                       uint64_t tag) {
    if (tag > UINT32_MAX)
        return NULL;
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(message, (unsigned)tag);
    return field && field->type == PROTOBUF_C_TYPE_MESSAGE ? field->descriptor : NULL;
}

static bool walk_message(Walk *walk, const ProtobufCMessageDescriptor *message, const uint8_t *end,
                         int depth);

// A message within a message, or raw data, of so many bytes; `key` is where its field begins.
static bool walk_nested(Walk *walk, const ProtobufCMessageDescriptor *inner, const uint8_t *key, size_t key_bytes,
                        uint64_t bytes, int depth) {
    uint8_t length[5] = {0};
    copy_bytes(walk, key, key_bytes);
    copy_bytes(walk, length, sizeof length);
    size_t start = walk->used;
    if (inner && !walk_message(walk, inner, walk->at + bytes, depth + 1))
        return false;
    if (!inner) {
        Place place = {(uint64_t)(walk->at - walk->start), bytes};
        copy_bytes(walk, &place, sizeof place);
        walk->at += bytes;
    }
    if (walk->used - start > INT32_MAX)
        return walk_fault(walk, "a message is larger than 2 GB");
    set_length(walk->copy + start - sizeof length, walk->used - start);
    return true;
}

// The value of a field that is copied as it is.
static bool walk_value(Walk *walk, const uint8_t *end, int kind) {
    uint64_t value;
    switch (kind) {
    case WIRE_VARINT: return walk_varint(walk, end, &value);
    case WIRE_64: return walk_skip(walk, end, 8);
    case WIRE_32: return walk_skip(walk, end, 4);
    case WIRE_BYTES: return walk_varint(walk, end, &value) && walk_skip(walk, end, value);
    default: return walk_fault(walk, "a field is of no known kind");
    }
}

static bool walk_field(Walk *walk, const ProtobufCMessageDescriptor *message, const uint8_t *end,
                       int depth) {
    const uint8_t *start = walk->at;
    uint64_t key, bytes;
    if (!walk_varint(walk, end, &key))
        return false;
    if (key >> 3 == 0)
        return walk_fault(walk, "a field has number 0");
    const ProtobufCMessageDescriptor *inner = field_message(message, key >> 3);
    bool raw = message == &onnx__tensor_proto__descriptor && key >> 3 == RAW_DATA_TAG;
    if ((key & 7) != WIRE_BYTES || (!inner && !raw)) {
        if (!walk_value(walk, end, (int)(key & 7)))
            return false;
        copy_bytes(walk, start, (size_t)(walk->at - start));
        return true;
    }
    size_t key_bytes = (size_t)(walk->at - start);
    if (!walk_varint(walk, end, &bytes))
        return false;
    if (bytes > (uint64_t)(end - walk->at))
        return walk_fault(walk, "the data breaks off");
    return walk_nested(walk, inner, start, key_bytes, bytes, depth);
}

static bool walk_message(Walk *walk, const ProtobufCMessageDescriptor *message, const uint8_t *end,
                         int depth) {
    if (depth > MAX_DEPTH)
        return walk_fault(walk, "graphs are nested too deeply");
    while (walk->at < end)
        if (!walk_field(walk, message, end, depth))
            return false;
    return true;
}

// ---- raw data back in its place

static bool point_into_file(ProtobufCMessage *message, const uint8_t *file, size_t bytes);

static bool point_tensor(Onnx__TensorProto *tensor, const uint8_t *file, size_t bytes) {
    Place place;
    if (!tensor->has_raw_data)
        return true;
    if (tensor->raw_data.len != sizeof place)
        return false;
    memcpy(&place, tensor->raw_data.data, sizeof place);
    if (place.offset > bytes || place.bytes > bytes - place.offset)
        return false;
    tensor->raw_data = (ProtobufCBinaryData){place.bytes, (uint8_t *)file + place.offset};
    return true;
}

// All tensors below a field's messages.
static bool point_field(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, const uint8_t *file,
                        size_t bytes) {
    char *base = (char *)message;
    void *at = base + field->offset;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t count = *(size_t *)(base + field->quantifier_offset);
        for (size_t i = 0; i < count; i++)
            if (!point_into_file((*(ProtobufCMessage ***)at)[i], file, bytes))
                return false;
        return true;
    }
    bool other = field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF &&
                 *(uint32_t *)(base + field->quantifier_offset) != field->id;
    ProtobufCMessage *inner = other ? NULL : *(ProtobufCMessage **)at;
    return !inner || point_into_file(inner, file, bytes);
}

static bool point_into_file(ProtobufCMessage *message, const uint8_t *file, size_t bytes) {
    const ProtobufCMessageDescriptor *type = message->descriptor;
    for (unsigned i = 0; i < type->n_fields; i++)
        if (type->fields[i].type == PROTOBUF_C_TYPE_MESSAGE && !point_field(message, &type->fields[i], file, bytes))
            return false;
    return type != &onnx__tensor_proto__descriptor || point_tensor((Onnx__TensorProto *)message, file, bytes);
}

// ---- the file

void *arena_allocate(void *arena, size_t bytes) {
    return arena_alloc(arena, bytes ? bytes : 1);
}
void arena_release(void *arena, void *memory) {
    (void)arena;
    (void)memory;
}

Onnx__ModelProto *onnx_unpack(Arena *scratch, Diag *diag, const char *path, const void *data,
                              size_t bytes) {
    Loc loc = loc_file(path);
    if (bytes == 0) {
        diag_error(diag, loc, "not an ONNX model: the file is empty");
        return NULL;
    }
    Walk walk = {.start = data, .at = data};
    if (!walk_message(&walk, &onnx__model_proto__descriptor, walk.start + bytes, 0)) {
        diag_error(diag, loc, "not an ONNX model, or a damaged one: %s at byte %zu of %zu",
                   walk.fault, (size_t)(walk.at - walk.start), bytes);
        free(walk.copy);
        return NULL;
    }
    ProtobufCAllocator allocator = {arena_allocate, arena_release, scratch};
    Onnx__ModelProto *model = onnx__model_proto__unpack(&allocator, walk.used, walk.copy);
    free(walk.copy);
    if (!model || !point_into_file(&model->base, data, bytes)) {
        diag_error(diag, loc,
                   "not an ONNX model, or a damaged one: its fields do not have the types of ONNX");
        return NULL;
    }
    if (!model->graph) {
        diag_error(diag, loc, "not an ONNX model: it holds no graph");
        return NULL;
    }
    return model;
}
