// IF: both of its graphs in place, and of each result the one that the condition says; only one of them where that is constant.
// What a branch computes is computed in any case, so that it may keep no states.
#include "frontend/tflite/importer.h"

static bool branch_of(const LiteOp *op, FlatField field, Value **outputs) {
    Value **inputs = ARENA_ARRAY(op->lite->scratch, Value *, lite_input_count(op) + 1);
    for (int i = 1; i < lite_input_count(op); i++)
        if (!(inputs[i - 1] = lite_input(op, i))) return false;
    return lite_inline(op, lite_option(op, field), lite_input_count(op) - 1, inputs, (int)op->outputs.count, outputs);
}

static Value *chosen(const LiteOp *op, Value *condition, Value *a, Value *b) {
    if (!type_equal(a->type, b->type)) return lite_error(op, "its branches give different types, %s and %s", type_text(op->lite->scratch, a->type),
                                                         type_text(op->lite->scratch, b->type)), NULL;
    const Quant *quant = a->type->quant;
    if (quant) a = lite_dequantize(op, a), b = lite_dequantize(op, b);
    Value *value = a && b ? lite_emit(op, OP_where, 3, (Value *[]){condition, a, b}, NULL) : NULL;
    return value && quant ? lite_quantize(op, value, quant) : value;
}

bool tflite_if(const LiteOp *op) {
    Value *condition = lite_input(op, 0);
    if (!condition) return false;
    if (condition->type->elem != ELEM_I1 || type_elem_count(condition->type) != 1) return lite_error(op, "its condition must be one boolean");
    const int count = (int)op->outputs.count;
    const Dense *known = value_constant(condition);
    Value **yes = ARENA_ARRAY(op->lite->scratch, Value *, count + 1), **no = ARENA_ARRAY(op->lite->scratch, Value *, count + 1);
    if ((!known || dense_i64(known, 0)) && !branch_of(op, FLAT_IfOptions_then_subgraph_index, yes)) return false;
    if ((!known || !dense_i64(known, 0)) && !branch_of(op, FLAT_IfOptions_else_subgraph_index, no)) return false;
    condition = lite_reshape(op, condition, 0, NULL);
    for (int i = 0; i < count; i++) {
        Value *value = !known ? chosen(op, condition, yes[i], no[i]) : dense_i64(known, 0) ? yes[i] : no[i];
        if (!value || !lite_bind(op, i, value)) return false;
    }
    return true;
}
