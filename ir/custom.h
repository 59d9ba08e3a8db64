// Custom operators: what their functions are told, and where the interpreter and the executor in process find them.
#pragma once
#include "ir/ir.h"

struct qn_custom; // runtime/qanat.h
typedef void qn_custom_fn(const struct qn_custom *op, const void *const *inputs, void *const *outputs);

enum { MAX_CUSTOM_TENSORS = 14 }; // inputs and outputs

// Opens a shared library whose functions custom operators may name. False after a message.
bool custom_open(Diag *diag, const char *path);
// A function of the libraries that were opened; NULL after a message when none has it.
qn_custom_fn *custom_find(Diag *diag, Loc loc, const char *symbol);
// Whether a C function may have this name: no word of C, and none that compiled models have or call.
bool can_name_custom(const char *text);
// Names, types and shapes of dense tensors (or buffers).
struct qn_custom *custom_describe(Arena *arena, const char *name, const char *attributes, int input_count,
                                  const Value *const *inputs, int output_count, const Value *const *outputs);
