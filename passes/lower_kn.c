// nn to kn for one target. First every convolution asks for the halo that its fast kernel wants around its input,
// returned values are given the caller's memory, and others a place within another where that saves a copy; then ops are lowered in order into a new @main. A value's buffer is
// an arena allocation of its own, a view of another's (reshape), the caller's memory, or read-only data.
#include "ir/state.h"
#include "passes/explain.h"
#include "passes/lower.h"

typedef void LowerFn(Lower *, Op *);

static LowerFn *lowering_of(const Op *op) {
    switch (op->kind) {
    case OP_conv2d: return lower_conv2d;
    case OP_linear: return lower_linear;
    case OP_matmul: return lower_matmul;
    case OP_max_pool2d: case OP_avg_pool2d: return lower_pool2d;
    case OP_reduce_mean: case OP_reduce_sum: case OP_reduce_max: case OP_reduce_min: case OP_reduce_prod:
    case OP_reduce_l1: case OP_reduce_l2: case OP_reduce_sum_square: case OP_reduce_log_sum:
    case OP_reduce_log_sum_exp: return lower_reduce;
    case OP_arg_max: case OP_arg_min: return lower_arg;
    case OP_cum_sum: case OP_cum_prod: return lower_cum_sum;
    case OP_top_k: return lower_top_k;
    case OP_softmax: case OP_log_softmax: case OP_hardmax: return lower_softmax;
    case OP_where: return lower_where;
    case OP_not: case OP_is_nan: case OP_is_inf: return lower_unary;
    case OP_quantize: case OP_dequantize: case OP_requantize: return lower_quantize;
    case OP_fake_quant: return lower_fake_quant;
    case OP_reshape: return lower_reshape;
    case OP_transpose: case OP_slice: case OP_broadcast_to: return lower_move;
    case OP_pad: return lower_pad;
    case OP_concat: return lower_concat;
    case OP_gather: return lower_gather;
    case OP_gather_elements: case OP_gather_nd: return lower_gather_nd;
    case OP_scatter_elements: case OP_scatter_nd: return lower_scatter_nd;
    case OP_cast: return lower_cast;
    case OP_bit_cast: return lower_bit_cast;
    case OP_custom: return lower_custom;
    case OP_resample: return lower_resample;
    case OP_resample_u8: return lower_resample_u8;
    case OP_lookup: return lower_lookup;
    case OP_bilinear_u8: return lower_bilinear_u8;
    case OP_yuv_to_rgb: return lower_yuv_to_rgb;
    case OP_dft: return lower_dft;
    case OP_sample: return lower_sample;
    case OP_roi_align: return lower_roi_align;
    case OP_max_pool_index: return lower_max_pool_index;
    case OP_eliminate: return lower_eliminate;
    case OP_true_indices: return lower_true_indices;
    case OP_arg_sort: return lower_arg_sort;
    case OP_non_max_suppression: return lower_non_max_suppression;
    case OP_normalize: return lower_normalize;
    default: return op_has(op, TABLE) ? lower_unary : op_has(op, ELEMENTWISE) ? lower_binary : NULL;
    }
}

static void plan_halos(Lower *lower) {
    FOR_EACH_OP(lower->from, op)
        if (op->kind == OP_conv2d) plan_conv2d_halo(lower, op);
    FOR_EACH_OP(lower->from, op)
        for (int i = 0; i < op->result_count; i++)
            if (!writes_strided(op)) memset(lowered_get(lower, &op->results[i])->halo, 0, sizeof(int32_t[4]));
}

// ---- the caller's memory

// A state is stored as kernels want it: no copy is needed.
static const Type *edge_type(const Lower *lower, const Type *tensor, bool is_state, Elem wanted) {
    if (is_state) wanted = lower->context->target->activations;
    Elem stored = tensor->quant && tensor->elem == ELEM_I8 && wanted == ELEM_U8 ? ELEM_U8 : tensor->elem;
    return type_buffer(lower->arena, tensor, stored, NULL);
}

static Value *edge(Lower *lower, OpKind kind, const Type *type, int index, const char *name) {
    Builder builder = {lower->to, NULL, {.name = name}};
    Op *op = op_new(&builder, kind, 0, NULL, 1, &type, attr_int(lower->arena, NULL, "index", index));
    value_set_name(&op->results[0], name); // unique: a value may be input and output, or returned twice
    return &op->results[0];
}

// As i8, or as u8 with the top bit flipped.
static bool is_stored_by_target(const Type *tensor) { return tensor->quant && tensor->elem == ELEM_I8; }

// A copy between the caller's memory and the arena, flipping 8-bit values when they are stored otherwise.
static void copy_edge(Lower *lower, Value *from, Value *to, const Type *tensor) {
    const Type *types[] = {from->type, to->type};
    Walk walk = walk_new(tensor, 2, types);
    emit_copy(lower, &walk, elem_bits(to->type->elem) / 8, from->type->elem != to->type->elem ? 0x80 : 0, from, to);
}

static void lower_inputs(Lower *lower) {
    const int inputs = lower->from->arg_count - module_state_count(lower->from->module);
    for (int i = 0; i < lower->from->arg_count; i++) {
        Value *arg = &lower->from->args[i];
        const char *name = arg->name ? arg->name : arena_printf(lower->arena, "input%d", i);
        Value *memory = edge(lower, OP_kn_input, edge_type(lower, arg->type, i >= inputs, lower->context->input_type), i, name);
        if (!is_stored_by_target(arg->type) || (memory->type->elem == ELEM_U8) == (lower->flip != 0)) {
            result_is(lower, arg, memory);
            continue;
        }
        Value *stored = buffer_alloc(lower, arg->type, NULL, arena_printf(lower->arena, "%s_stored", name));
        lower->loc = (Loc){.name = name};
        const Op *before = lower->to->last;
        explain_edge(lower->context, name, "input, stored as kernels want it:");
        copy_edge(lower, memory, stored, arg->type);
        explain_end(lower->context, lower->to, before);
        result_is(lower, arg, stored);
    }
}

// Whether the op that makes `value` may write the caller's memory itself: made once, returned once, read by nobody who
// may read past it, and stored the same way.
static bool can_write_output(Lower *lower, const Value *value, const Value *memory) {
    if (!value->def || value->def->kind == OP_constant) return false;
    if (value->def->kind == OP_reshape && !is_joined_move(value->def)) return false;
    if (!value_has_one_use(value) || lowered_get(lower, value)->buffer) return false;
    if (is_read_through(lower, value)) return false;
    return !is_stored_by_target(value->type) || (memory->type->elem == ELEM_U8) == (lower->flip != 0);
}

static void plan_outputs(Lower *lower) {
    Op *ret = lower->from->last;
    const int outputs = ret->operand_count - module_state_count(lower->from->module);
    for (int i = 0; i < ret->operand_count; i++) {
        Value *value = op_operand(ret, i);
        const char *name = value->name ? value->name : arena_printf(lower->arena, "output%d", i);
        Value *memory = edge(lower, OP_kn_output, edge_type(lower, value->type, i >= outputs, lower->context->output_type), i, name);
        if (can_write_output(lower, value, memory)) result_is(lower, value, memory);
        lower->outputs[i] = memory;
    }
}

static void lower_outputs(Lower *lower) {
    Op *ret = lower->from->last;
    for (int i = 0; i < ret->operand_count; i++) {
        Value *value = op_operand(ret, i), *memory = lower->outputs[i];
        Value *buffer = operand_any(lower, value);
        lower->loc = (Loc){.name = memory->name};
        if (buffer == memory) continue;
        const Op *before = lower->to->last;
        explain_edge(lower->context, memory->name, "output, copied to the caller's memory:");
        copy_edge(lower, buffer, memory, value->type);
        explain_end(lower->context, lower->to, before);
    }
}

// Every tensor of the network returned, so that it can be looked at: --dump-all.
static void return_all(Func *func) {
    Op *ret = func->last;
    int count = ret->operand_count;
    FOR_EACH_OP(func, op) count += op->result_count;
    Value **values = ARENA_ARRAY(func->module->arena, Value *, count);
    count = 0;
    const int outputs = module_output_count(func->module);
    for (int i = 0; i < outputs; i++) values[count++] = op_operand(ret, i);
    FOR_EACH_OP(func, op) {
        bool returned = op->kind == OP_constant || !op->result_count;
        for (int i = 0; i < ret->operand_count && !returned; i++) returned = op_operand(ret, i) == &op->results[0];
        if (!returned && op->results[0].name) values[count++] = &op->results[0];
    }
    for (int i = outputs; i < ret->operand_count; i++) values[count++] = op_operand(ret, i); // states stay the last
    Builder builder = builder_before(ret);
    op_new(&builder, OP_return, count, values, 0, NULL, NULL);
    op_erase(ret);
}

static bool gives_no_elements(const Op *op) {
    for (int i = 0; i < op->result_count; i++)
        if (type_elem_count(op->results[i].type)) return false;
    return true;
}

static bool lower_op(Lower *lower, Op *op) {
    const PassContext *context = lower->context;
    LowerFn *fn = lowering_of(op);
    if (!fn)
        return diag_error(context->diag, op->loc, "%s can't be lowered to target %s", op_info(op->kind)->full_name, context->target->name);
    if (!types_have_kernels(lower, op)) return false;
    lower->loc = op->loc;
    lower->loc.name = op->results[0].name ? op->results[0].name : op->loc.name;
    const Op *before = lower->to->last;
    explain_op(context, op);
    // What has no elements needs no computing, only a place.
    if (!gives_no_elements(op) || op->kind == OP_reshape) fn(lower, op);
    else
        for (int i = 0; i < op->result_count; i++) result_buffer(lower, &op->results[i]);
    explain_end(context, lower->to, before);
    return !lower->failed;
}

// Kernels with windows count an image's elements in 32 bits, those of its padding among them.
static bool images_fit(const Lower *lower) {
    FOR_EACH_OP(lower->from, op) {
        if (op->kind != OP_conv2d && op->kind != OP_max_pool2d && op->kind != OP_avg_pool2d) continue;
        const int64_t *in = op_operand(op, 0)->type->shape, *out = op->results[0].type->shape;
        const IntList pads = op_ints(op, "pads");
        int64_t read = in[1] + int_at(pads, 0) + int_at(pads, 2), made = out[1] * out[2] * out[3];
        const bool large = __builtin_mul_overflow(read, in[2] + int_at(pads, 1) + int_at(pads, 3), &read) || __builtin_mul_overflow(read, in[3], &read);
        if (large || read > INT32_MAX || made > INT32_MAX)
            return diag_error(lower->context->diag, op->loc, "%s of an image of %lld elements is not supported; up to 2^31 - 1 are, padding included",
                              op_info(op->kind)->full_name, large ? INT64_MAX : (long long)(read > made ? read : made));
    }
    return true;
}

// All that can't be lowered is reported: results of a refused op get a place that further ops may name.
static bool lower_ops(Lower *lower) {
    bool good = true;
    FOR_EACH_OP(lower->from, op) {
        if (op->kind == OP_constant || op->kind == OP_return) continue;
        lower->failed = false;
        if (lower_op(lower, op)) continue;
        good = false;
        for (int i = 0; i < op->result_count; i++) result_buffer(lower, &op->results[i]);
    }
    return good;
}

bool lower_kn(Module *module, const PassContext *context) {
    Func *from = module_main(module);
    BUG_UNLESS(context->target, "lowering needs a target");
    if (!from) return diag_error(context->diag, loc_file(module->file), "the module has no function @main");
    if (context->keep_all) return_all(from);
    Lower lower = {.context = context, .arena = module->arena, .from = from, .capacity = 64};
    FOR_EACH_OP(from, op) lower.capacity += 2 * (size_t)op->result_count;
    lower.capacity += 2 * (size_t)from->arg_count;
    lower.lowered = ARENA_ARRAY(context->scratch, Lowered, lower.capacity);
    lower.outputs = ARENA_ARRAY(context->scratch, Value *, from->last->operand_count);
    lower.flip = context->target->activations == ELEM_U8 ? 0x80 : 0;
    module->funcs = NULL;
    lower.to = func_new(module, "main", 0, NULL, NULL);
    if (!images_fit(&lower)) return false;
    plan_halos(&lower);
    lower_inputs(&lower);
    plan_outputs(&lower);
    plan_places(&lower);
    if (!lower_ops(&lower)) return false;
    lower_outputs(&lower);
    Builder builder = {lower.to, NULL, {0}};
    op_new(&builder, OP_return, 0, NULL, 0, NULL, NULL);
    return true;
}
