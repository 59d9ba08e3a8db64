// What ops.def says of each op, as data (op_info) and as typed views: as_conv2d(op).weight, .strides.
#pragma once
// Included by ir/ir.h.

// Traits of an op.
enum {
    PURE = 1 << 0,        // no effect but its results: may be erased when unused, folded, merged
    ELEMENTWISE = 1 << 1, // result shape = broadcast of the operands' shapes
    INT8 = 1 << 2,        // has an integer form: quantized operands and results
    MOVES_DATA = 1 << 3,  // result elements are operand elements: quantization passes through unchanged
    TABLE = 1 << 4,       // one operand, elementwise: its i8 form is a 256-entry table
    COMMUTES = 1 << 5,    // operands 0 and 1 may be swapped
    TERMINATOR = 1 << 6,
    KERNELS = 1 << 7,     // dialect kn: a step of the program
};

typedef enum { OPERAND_ONE, OPERAND_OPTIONAL, OPERAND_VARIADIC } OperandArity;

typedef struct { const char *name; OperandArity arity; const char *type; } OperandInfo;
typedef struct { const char *name; AttrKind kind; bool required; double number; const char *text; } AttrInfo;

// Infers result types from operand types and attributes, into result_types[]. Quantized operands infer as their
// storage would: the caller sets result quantization. Reports and returns false when they do not fit.
typedef bool InferFn(Diag *diag, const Op *op, Arena *arena, const Type **result_types);

struct Tensor;
// The op's meaning: computes results from operands. See ir/eval.h.
typedef bool EvalFn(Diag *diag, const Op *op, const struct Tensor *const *operands, struct Tensor *const *results);

typedef struct {
    const char *name;     // "conv2d"
    const char *dialect;  // "nn"
    const char *full_name; // "nn.conv2d"; builtin ops have no prefix
    int traits;
    int operand_count; // rows of operand infos
    const OperandInfo *operands;
    int result_count;
    const OperandInfo *results;
    int attr_count;
    const AttrInfo *attrs;
    InferFn *infer; // NULL: result types must be given
    EvalFn *eval;   // NULL: not evaluated (module structure, kn)
    const char *summary;
} OpInfo;

const OpInfo *op_info(OpKind kind);
bool op_find(const char *full_name, OpKind *kind);
static inline bool op_has(const Op *op, int trait) { return (op_info(op->kind)->traits & trait) != 0; }

// Has the op an integer form on operands and results that are stored so, i8 or i16?
bool op_computes_in(OpKind kind, Elem storage);

// Typed access; the default of the row when absent.
int64_t op_int(const Op *op, const char *name);
bool op_bool(const Op *op, const char *name);
double op_float(const Op *op, const char *name);
const char *op_string(const Op *op, const char *name);
IntList op_ints(const Op *op, const char *name);

// ---- views

typedef struct { int count; Use *uses; } Operands; // a variadic tail: .uses[i].value

#define ATTR_C_INT int64_t
#define ATTR_C_BOOL bool
#define ATTR_C_FLOAT double
#define ATTR_C_STRING const char *
#define ATTR_C_INTS IntList
#define ATTR_C_TYPE const Type *
#define ATTR_C_DENSE const Dense *
#define NOTHING

#define IN(name, type) Value *name;
#define OPT(name, type) Value *name;
#define VAR(name, type) Operands name;
#define OUT(name, type) Value *name;
#define OUTS(name, type) Value *name; int name##_count;
#define ATTR(name, kind, fallback) ATTR_C_##kind name;
#define NEED(name, kind) ATTR_C_##kind name;
#define OP(name, dialect, traits, operands, results, attributes, infer, summary) \
    typedef struct { Op *op; operands results attributes } OP_JOIN(OP_ID_##dialect(name), _view);
#include "ir/ops.def"
#undef OP
#undef IN
#undef OPT
#undef VAR
#undef OUT
#undef OUTS
#undef ATTR
#undef NEED

#define OP(name, dialect, traits, operands, results, attributes, infer, summary) \
    OP_JOIN(OP_ID_##dialect(name), _view) OP_JOIN(as_, OP_ID_##dialect(name))(const Op *op);
#include "ir/ops.def"
#undef OP
