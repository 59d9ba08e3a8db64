// What a lowered program is, as numbers: the calls, and everything in them that may depend on the sizes of the model's
// inputs. Two programs of one form differ in these numbers only.
#pragma once
#include "ir/sizes.h"
#include "ir/targets.h"

enum { MAX_CALL_BUFFERS = 8 };

typedef struct {
    const Op *op;
    const char *name; // of the layer, for messages
    const KernelInfo *kernel;
    KernelArgs args;
    int buffer_count;
    int memory[MAX_CALL_BUFFERS]; // number of what a buffer lies in; -1: no buffer
    uint32_t alike;               // bit i: buffer i is laid out as the last one is
    uint32_t in_place;            // bit i: buffer i shares the last one's place in the arena
} TraceCall;

typedef enum { FIELD_WORD, FIELD_BUFFER, FIELD_BYTES, FIELD_INPUT, FIELD_OUTPUT } FieldKind;

// A number: of call `item` word `index` of `field`, or its buffer's distance in bytes from the start of its memory; the
// bytes of memory `item`; dimension `index` of input or output `item`.
typedef struct {
    FieldKind kind;
    int item, index;
    const FieldInfo *field;
} TraceField;

typedef struct {
    int32_t sizes[MAX_SIZES];
    const Module *module;
    int call_count, field_count, weight_count, alloc_count;
    TraceCall *calls;
    TraceField *fields;
    int64_t *values; // one a field
    const Op **weights, **allocs; // in the order of their first use
} Trace;

// `kn`: lowered, and planned if `in_place` is to be known. All but the ops pointed to is in `arena`.
Trace *trace_new(Arena *arena, const Module *kn, const int32_t *sizes);

// NULL if `other` has the form of `trace`: the same calls on the same memory, floats and constants, but for constants of which
// it has the first part. Else what differs, for a message.
const char *trace_difference(Arena *arena, const Trace *trace, const Trace *other);
