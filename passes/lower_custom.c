// nn.custom to kn.custom: the function of the user on dense buffers.
#include "passes/lower.h"

void lower_custom(Lower *lower, Op *op) {
    custom_view view = as_custom(op);
    int inputs = op->operand_count, count = inputs + op->result_count;
    Value **buffers = ARENA_ARRAY(lower->context->scratch, Value *, count);
    for (int i = 0; i < inputs; i++) buffers[i] = operand_dense(lower, op_operand(op, i));
    for (int i = 0; i < op->result_count; i++) buffers[inputs + i] = result_buffer(lower, &op->results[i]);
    Attr *attrs = attr_string(lower->arena, NULL, "symbol", view.symbol);
    attrs = attr_int(lower->arena, attr_string(lower->arena, attrs, "attributes", view.attributes), "inputs", inputs);
    Builder builder = {lower->to, NULL, lower->loc};
    builder.loc.name = op->loc.name ? op->loc.name : lower->loc.name;
    op_new(&builder, OP_kn_custom, count, buffers, 0, NULL, attrs);
}
