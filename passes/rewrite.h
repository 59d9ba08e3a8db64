// Small matters that several rewrites share.
#pragma once
#include <string.h>

#include "passes/pass.h"

static inline Op *value_def(const Value *value, OpKind kind) {
    return value && value->def && value->def->kind == kind ? value->def : NULL;
}

// The f32 elements of a constant, or NULL when it is none or of another type.
const float *constant_f32(Arena *arena, const Value *value);
// A new f32 constant before `op`. `data` lives as long as the module: weights are not copied.
Value *new_constant_f32(Op *op, int rank, const int64_t *shape, const float *data, const char *name);
// The name of a constant whose user gets another in its place: taken from it, if that is its only user.
const char *take_constant_name(Value *constant);
// `op` computed something that its operand `value` computes from now on (fusion): the value takes the op's uses and
// name; its own old name becomes an alias.
void absorb(Op *op, Value *value);
// `to` is called as `from` was, or, where it has a name, answers to that too.
void give_name(Value *to, Value *from);
bool is_identity_perm(IntList perm);
bool is_returned(const Value *value); // it is an output of its function
static inline const char *activation_of(const Op *op) { return op_string(op, "activation"); }
static inline bool is_activated(const Op *op) { return strcmp(activation_of(op), "none") != 0; }
