// Sizes that are known at run time only, within bounds: a batch, the length of a sequence. A program of dialect kn that
// takes them has, beside what it is at the largest sizes, expressions for what changes with them:
//   kn.sizes   on the return of each function: "batch = 1..8; seq = 1..512", the sizes that the function is for. The
//              functions behind @main are for sizes of which the program has another form, and come first; @main is for
//              all others, and its list is the program's.
//   kn.varying on kn.call, kn.input, kn.output: "rows = 4*batch*seq + 2; shape[1] = seq; buffer[0] = 64*seq": arguments of
//              the family; of a buffer, the bytes from the start of its memory to element [0, 0, 0, 0]; dimensions.
#pragma once
#include "ir/ir.h"

enum { MAX_SIZES = 4, MAX_SIZE_POWER = 3 };

typedef struct { const char *name; int32_t least, most; } Size;
typedef struct { int count; Size items[MAX_SIZES]; } Sizes;

// A sum of factor * product of sizes, each to its power.
typedef struct { int64_t factor; uint8_t power[MAX_SIZES]; } SizeTerm;
typedef struct { int count; const SizeTerm *terms; } SizeExpr;

// A field that varies: its element `index` (0 where it has one).
typedef struct { const char *field; int index; SizeExpr value; } Varying;
typedef struct { int count; const Varying *items; } VaryingList;

int64_t size_expr_at(const SizeExpr *expr, const int32_t *sizes);
bool size_expr_equal(const SizeExpr *a, const SizeExpr *b);
bool size_expr_is_fixed(const SizeExpr *expr);
// No size within the bounds gives more than this, or less than its negative.
double size_expr_reach(const SizeExpr *expr, const Sizes *sizes);
// "4*batch*seq + 2"; the names of sizes are those of `sizes`.
const char *size_expr_text(Arena *arena, const SizeExpr *expr, const Sizes *sizes);

const char *sizes_text(Arena *arena, const Sizes *sizes);
// False where the text is none.
bool sizes_parse(Arena *arena, const char *text, Sizes *sizes);
const char *varying_text(Arena *arena, const VaryingList *list, const Sizes *sizes);
bool varying_parse(Arena *arena, const char *text, const Sizes *sizes, VaryingList *list);

// Of verified ops: none where there is no attribute.
Sizes func_sizes(Arena *arena, const Func *func);
VaryingList op_varying(Arena *arena, const Op *op, const Sizes *sizes);

// Whether a constant that this op would be folded to may have other elements at other sizes, though its operands be the same:
// slices, and what gives more elements than it takes, of anything but shapes and indices.
bool op_follows_sizes(const Op *op);
