// The definition table and the typed views, both from ops.def.
#include <math.h>
#include <string.h>

#include "ir/eval.h"
#include "ir/ir.h"

// Inference functions are shared between rows, so they are listed once here.
InferFn infer_conv2d, infer_linear, infer_matmul, infer_pool2d, infer_reduce, infer_broadcast, infer_same, infer_first, infer_softmax,
    infer_reshape, infer_transpose, infer_slice, infer_pad, infer_concat, infer_broadcast_to, infer_gather, infer_cast,
    infer_dequantize, infer_compare, infer_shift, infer_test, infer_where, infer_along, infer_arg;
InferFn infer_resample, infer_resample_u8, infer_lookup, infer_normalize, infer_yuv_to_rgb, infer_bilinear_u8;
InferFn infer_gather_elements, infer_gather_nd, infer_scatter_elements, infer_scatter_nd, infer_top_k, infer_bit_cast;
InferFn infer_dft, infer_sample, infer_roi_align, infer_max_pool_index, infer_eliminate;
InferFn infer_true_indices, infer_arg_sort, infer_non_max_suppression;

// Meanings: eval_<id>, for every op of dialects nn and check; the others have none.
#define EVAL_builtin(name) NULL
#define EVAL_kn(name) NULL
#define EVAL_nn(name) eval_##name
#define EVAL_check(name) eval_check_##name
#define DECLARE_EVAL_builtin(name)
#define DECLARE_EVAL_kn(name)
#define DECLARE_EVAL_nn(name) EvalFn eval_##name;
#define DECLARE_EVAL_check(name) EvalFn eval_check_##name;
#define OP(name, dialect, traits, operands, results, attributes, infer, summary) DECLARE_EVAL_##dialect(name)
#include "ir/ops.def"
#undef OP

#define FULL_builtin(name) #name
#define FULL_nn(name) "nn." #name
#define FULL_check(name) "check." #name
#define FULL_kn(name) "kn." #name

// Rows of operands, results and attributes, each ended by an empty one.
#define IN(name, type) {#name, OPERAND_ONE, #type},
#define OPT(name, type) {#name, OPERAND_OPTIONAL, #type},
#define VAR(name, type) {#name, OPERAND_VARIADIC, #type},
#define OUT(name, type) {#name, OPERAND_ONE, #type},
#define OUTS(name, type) {#name, OPERAND_VARIADIC, #type},
#define DEFAULT_INT(v) .number = v
#define DEFAULT_BOOL(v) .number = v
#define DEFAULT_FLOAT(v) .number = v
#define DEFAULT_INTS(v) .number = v
#define DEFAULT_STRING(v) .text = v
#define ATTR(name, kind, fallback) {#name, ATTR_##kind, false, DEFAULT_##kind(fallback)},
#define NEED(id, class) {.name = #id, .kind = ATTR_##class, .required = true},
#define OP(id, dialect, traits, operands, results, attributes, infer, summary)                        \
    static const OperandInfo OP_JOIN(operands_, OP_ID_##dialect(id))[] = {operands{NULL, 0, NULL}}; \
    static const OperandInfo OP_JOIN(results_, OP_ID_##dialect(id))[] = {results{NULL, 0, NULL}};   \
    static const AttrInfo OP_JOIN(attrs_, OP_ID_##dialect(id))[] = {attributes{0}};
#include "ir/ops.def"
#undef OP

#define ROWS(prefix, id) ((int)(sizeof OP_JOIN(prefix, id) / sizeof *OP_JOIN(prefix, id)) - 1), OP_JOIN(prefix, id)
#define OP(name, dialect, traits, operands, results, attributes, infer, summary)                              \
    {#name, #dialect, FULL_##dialect(name), traits, ROWS(operands_, OP_ID_##dialect(name)),                   \
     ROWS(results_, OP_ID_##dialect(name)), ROWS(attrs_, OP_ID_##dialect(name)), infer, EVAL_##dialect(name), \
     summary},
static const OpInfo infos[] = {
#include "ir/ops.def"
};
#undef OP
#undef IN
#undef OPT
#undef VAR
#undef OUT
#undef OUTS
#undef ATTR
#undef NEED

const OpInfo *op_info(OpKind kind) { return &infos[kind]; }

bool op_find(const char *full_name, OpKind *kind) {
    for (int i = 0; i < OP_COUNT; i++)
        if (!strcmp(infos[i].full_name, full_name)) {
            *kind = (OpKind)i;
            return true;
        }
    return false;
}

// ---- views

static Operands operands_from(const Op *op, int first) {
    return (Operands){op->operand_count > first ? op->operand_count - first : 0, op->operands + first};
}

static Value *result_at(const Op *op, int index) {
    return index < op->result_count ? (Value *)&op->results[index] : NULL;
}

bool op_computes_in(OpKind kind, Elem storage) {
    const bool integers = (op_info(kind)->traits & INT8) != 0;
    return storage == ELEM_I16 ? integers && kind != OP_softmax : integers && storage == ELEM_I8;
}

static const Type *op_type(const Op *op, const char *name) {
    const Attr *attr = attr_find(op->attrs, name);
    return attr ? attr->type : NULL;
}

static const Dense *op_dense(const Op *op, const char *name) {
    const Attr *attr = attr_find(op->attrs, name);
    return attr ? attr->dense : NULL;
}

#define GET_INT op_int
#define GET_BOOL op_bool
#define GET_FLOAT op_float
#define GET_STRING op_string
#define GET_INTS op_ints
#define GET_TYPE op_type
#define GET_DENSE op_dense
#define IN(name, type) view.name = op_operand(op, operand++);
#define OPT(name, type) view.name = op_operand(op, operand++);
#define VAR(name, type) view.name = operands_from(op, operand);
#define OUT(name, type) view.name = result_at(op, result++);
#define OUTS(name, type) view.name = op->results, view.name##_count = op->result_count;
#define ATTR(name, kind, fallback) view.name = GET_##kind(op, #name);
#define NEED(name, kind) view.name = GET_##kind(op, #name);
#define OP(name, dialect, traits, operands, results, attributes, infer, summary)                   \
    OP_JOIN(OP_ID_##dialect(name), _view) OP_JOIN(as_, OP_ID_##dialect(name))(const Op *op) {       \
        OP_JOIN(OP_ID_##dialect(name), _view) view = {.op = (Op *)op};                              \
        int operand = 0, result = 0;                                                                \
        BUG_UNLESS(op->kind == OP_JOIN(OP_, OP_ID_##dialect(name)), "%s viewed as " FULL_##dialect(name), \
                   op_info(op->kind)->full_name);                                                   \
        operands results attributes (void)operand;                                                  \
        (void)result;                                                                               \
        return view;                                                                                \
    }
#include "ir/ops.def"
