// The IR: a module holds functions and resources, a function a list of ops in order, an op operands with use
// lists, results and attributes. Everything is allocated in the module's arena; nothing is freed singly.
#pragma once
#include "ir/arena.h"
#include "ir/diag.h"
#include "ir/type.h"

typedef struct Module Module;
typedef struct Func Func;
typedef struct Op Op;
typedef struct Value Value;
typedef struct NameIndex NameIndex;

// ---- attributes

// Raw elements in C order, native byte order (little-endian). `splat`: one element stands for all.
// `resource`: the name of a dense_resource, NULL for dense<…>. The bytes may be mapped from a file.
typedef struct Dense {
    const Type *type;
    const void *data;
    size_t bytes;
    bool splat;
    const char *resource;
} Dense;

typedef struct {
    int count;
    const int64_t *data;
    int64_t fill; // what int_at gives beyond `count`: the attribute's default
} IntList;

static inline int64_t int_at(IntList list, int index) {
    return index < list.count ? list.data[index] : list.fill;
}

// kinds: INT FLOAT BOOL STRING INTS FLOATS TYPE DENSE
typedef enum { ATTR_INT, ATTR_FLOAT, ATTR_BOOL, ATTR_STRING, ATTR_INTS, ATTR_FLOATS, ATTR_TYPE, ATTR_DENSE } AttrKind;

typedef struct Attr {
    const char *name;
    AttrKind kind;
    union {
        int64_t i; // INT, BOOL
        double f;  // FLOAT
        const char *s;
        IntList ints;
        struct { int count; const double *data; } floats;
        const Type *type;
        const Dense *dense;
    };
    struct Attr *next;
} Attr;

// ---- ops and values

// An op's identifier in C: nn and builtin ops go by their name (OP_conv2d, as_conv2d, eval_conv2d), those of other
// dialects carry it (OP_kn_call, as_check_equal).
#define OP_ID_builtin(name) name
#define OP_ID_nn(name) name
#define OP_ID_check(name) check_##name
#define OP_ID_kn(name) kn_##name
#define OP_JOIN_(a, b) a##b
#define OP_JOIN(a, b) OP_JOIN_(a, b)

typedef enum {
#define OP(name, dialect, traits, operands, results, attributes, infer, summary) OP_JOIN(OP_, OP_ID_##dialect(name)),
#include "ir/ops.def"
#undef OP
    OP_COUNT
} OpKind;

// One use of a value: an operand slot. Uses of a value form a list.
typedef struct Use {
    Value *value; // NULL for an absent optional operand
    Op *owner;
    int index;
    struct Use *prev, *next;
} Use;

struct Value {
    const char *name;     // unique in its function; NULL: printed as a number
    const Type *type;
    Op *def;              // NULL for a function's argument
    int index;            // result or argument number
    Use *uses;
    int alias_count;      // names of tensors that fusion merged into this one
    int alias_capacity;   // of `aliases`; 0: the array is another's too
    const char **aliases;
};

struct Op {
    OpKind kind;
    Loc loc; // loc.name: the model's node or tensor name
    Func *func;
    int operand_count, result_count;
    Use *operands;
    Value *results;
    Attr *attrs;
    Op *prev, *next;
};

struct Func {
    const char *name;
    Module *module;
    int arg_count;
    Value *args;
    Op *first, *last; // `last` is the return
    NameIndex *names; // made when first needed
    Func *next;
};

// A named blob that dense_resource<name> refers to; large ones live once.
typedef struct Resource {
    const char *name;
    const void *data;
    size_t bytes;
    struct Resource *next;
} Resource;

struct Module {
    Arena *arena;
    const char *name;
    Attr *attrs; // e.g. qanat.preprocess
    Func *funcs;
    Resource *resources;
    const char *file; // where it came from
};

Module *module_new(Arena *arena, const char *name);
Func *module_main(const Module *module); // the function @main, NULL if there is none
Func *func_new(Module *module, const char *name, int arg_count, const Type *const *arg_types,
               const char *const *arg_names);
void module_add_resource(Module *module, const char *name, const void *data, size_t bytes);
const Resource *module_find_resource(const Module *module, const char *name);
// A copy in `arena` of functions and ops; types, names and attribute payloads are shared with the original, whose arena
// must outlive it.
Module *module_clone(Arena *arena, const Module *module);

// ---- building

// Where new ops go: before `before`, or at the end of `func` when it is NULL.
typedef struct {
    Func *func;
    Op *before;
    Loc loc; // given to new ops
} Builder;

static inline Builder builder_before(Op *op) { return (Builder){op->func, op, op->loc}; }
static inline Builder builder_end(Func *func) { return (Builder){func, NULL, {0}}; }

// A new op; results get the types in result_types, or, where that is NULL, inferred ones (infer row of
// ops.def; BUG if inference fails there). Attributes are set afterwards for ops whose inference needs none;
// otherwise pass `attrs`, a list in the arena.
Op *op_new(Builder *builder, OpKind kind, int operand_count, Value *const *operands, int result_count,
           const Type *const *result_types, Attr *attrs);
// As op_new for one inferred result, reporting a failed inference; NULL then.
Value *op_infer(Builder *builder, Diag *diag, OpKind kind, int operand_count, Value *const *operands, Attr *attrs);
// A constant; bytes are not copied, and must live as long as the module.
Value *op_constant(Builder *builder, const Type *type, const void *data, const char *name);
Value *op_constant_splat(Builder *builder, const Type *type, double value, const char *name);

void op_erase(Op *op); // it must have no uses left
void op_move_before(Op *op, Op *before);
void op_set_operand(Op *op, int index, Value *value); // an index past the end adds optional operands
void op_replace(Op *op, Value *with); // all uses of its one result; erases op; names become aliases
void value_replace_uses(Value *value, Value *with);
int value_use_count(const Value *value);
bool value_has_one_use(const Value *value);
void value_set_name(Value *value, const char *name); // made unique in the function
// What the model calls input or output `index` of a program, of which `edges` are the buffers: an input may be an output, too, whose
// buffers' names differ. Where an earlier one is called so, its own name.
const char *edge_name(const Value *const *edges, int index);
void value_put_name(Value *value, const char *name); // one that is known to be free; not copied
void value_add_alias(Value *value, const char *alias);
void value_take_names(Value *value, Value *from); // the aliases and the name of a value that goes, as aliases
bool value_is_called(const Value *value, const char *name); // its name or one of its aliases
Value *func_find_value(Func *func, const char *name); // by name or alias; NULL

static inline Value *op_operand(const Op *op, int index) {
    return index < op->operand_count ? op->operands[index].value : NULL;
}
static inline Value *op_result(Op *op, int index) { return &op->results[index]; }

// The dense elements of a value made by `constant`, or NULL.
const Dense *value_constant(const Value *value);
// Element `index` of dense elements as a double (floats and integers) or int64 (integers).
double dense_f64(const Dense *dense, int64_t index);
int64_t dense_i64(const Dense *dense, int64_t index);

// ---- attributes of ops (absent ones give the default of the row in ops.def)

const Attr *attr_find(const Attr *list, const char *name);
Attr *attr_int(Arena *arena, Attr *next, const char *name, int64_t value);
Attr *attr_bool(Arena *arena, Attr *next, const char *name, bool value);
Attr *attr_float(Arena *arena, Attr *next, const char *name, double value);
Attr *attr_string(Arena *arena, Attr *next, const char *name, const char *value);
Attr *attr_ints(Arena *arena, Attr *next, const char *name, int count, const int64_t *values);
Attr *attr_floats(Arena *arena, Attr *next, const char *name, int count, const double *values);
Attr *attr_type(Arena *arena, Attr *next, const char *name, const Type *type);
Attr *attr_dense(Arena *arena, Attr *next, const char *name, const Dense *dense);
void op_set_attr(Op *op, Attr *attr); // replaces one of that name
void op_remove_attr(Op *op, const char *name);

// Walks ops in order; the body may erase `op`.
#define FOR_EACH_OP(func, op) \
    for (Op *op = (func)->first, *op##_next; op && (op##_next = op->next, 1); op = op##_next)
#define FOR_EACH_USE(value, use) \
    for (Use *use = (value)->uses, *use##_next; use && (use##_next = use->next, 1); use = use##_next)

#include "ir/ops.h"
