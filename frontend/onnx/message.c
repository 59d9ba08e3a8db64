// The file's bytes to protobuf messages. protobuf-c unpacks recursively and without a limit, so the
// nesting is walked first, with one; the walk also says where damaged data breaks off. Messages are
// allocated in an arena.
#include <inttypes.h>

#include "frontend/onnx/importer.h"

enum { MAX_DEPTH = 64 };
enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

typedef struct {
    const uint8_t *start, *at;
    const char *fault;
} Walk;

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

static bool walk_field(Walk *walk, const ProtobufCMessageDescriptor *message, const uint8_t *end,
                       int depth) {
    uint64_t key, bytes;
    if (!walk_varint(walk, end, &key))
        return false;
    if (key >> 3 == 0)
        return walk_fault(walk, "a field has number 0");
    switch (key & 7) {
    case WIRE_VARINT: return walk_varint(walk, end, &bytes);
    case WIRE_64: return walk_skip(walk, end, 8);
    case WIRE_32: return walk_skip(walk, end, 4);
    case WIRE_BYTES: break;
    default: return walk_fault(walk, "a field is of no known kind");
    }
    if (!walk_varint(walk, end, &bytes))
        return false;
    const ProtobufCMessageDescriptor *inner = field_message(message, key >> 3);
    if (!inner)
        return walk_skip(walk, end, bytes);
    if (bytes > (uint64_t)(end - walk->at))
        return walk_fault(walk, "the data breaks off");
    return walk_message(walk, inner, walk->at + bytes, depth + 1);
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
    Walk walk = {data, data, NULL};
    if (!walk_message(&walk, &onnx__model_proto__descriptor, walk.start + bytes, 0)) {
        diag_error(diag, loc, "not an ONNX model, or a damaged one: %s at byte %zu of %zu",
                   walk.fault, (size_t)(walk.at - walk.start), bytes);
        return NULL;
    }
    ProtobufCAllocator allocator = {arena_allocate, arena_release, scratch};
    Onnx__ModelProto *model = onnx__model_proto__unpack(&allocator, bytes, data);
    if (!model) {
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
