// Which element types kernels compute on: f32, and i8 or i16 with one scale; elementwise ops and reductions also plain integers,
// where kernels.def has a row. Everything else an op may be written over (f64, scales along an axis, wider or unsigned
// storage) has no kernel, and is refused here, op by op, before a kernel takes its bytes for something else. Ops that
// only move elements take any type of whole bytes.
#include "passes/lower.h"

static bool is_i8(const Type *type) { return type->quant && type->elem == ELEM_I8 && type->quant->axis < 0; }

static bool is_i16(const Type *type) { return type->quant && type->elem == ELEM_I16 && type->quant->axis < 0; }

static bool is_computed_on(const Type *type) { return is_i8(type) || is_i16(type) || (!type->quant && type->elem == ELEM_F32); }

static bool is_moved(const Type *type) { return elem_bits(type->elem) % 8 == 0; }

// Ops whose lowering looks for a row of their plain element type.
static bool has_rows(const Op *op) {
    switch (op->kind) {
    case OP_reduce_sum: case OP_reduce_prod: case OP_reduce_l1: case OP_reduce_l2: case OP_reduce_sum_square:
    case OP_reduce_log_sum: case OP_reduce_log_sum_exp: case OP_arg_max: case OP_arg_min: case OP_cum_sum:
    case OP_scatter_elements: case OP_scatter_nd: case OP_cum_prod: case OP_top_k: case OP_bit_cast: return true;
    case OP_roi_align: case OP_max_pool_index: case OP_true_indices: case OP_arg_sort: case OP_non_max_suppression:
    case OP_resample_u8: case OP_lookup: case OP_yuv_to_rgb: case OP_bilinear_u8: case OP_dft: return true; // f64 roots, as shape inference has it
    default: return op_has(op, ELEMENTWISE);
    }
}

static bool is_weight(const Type *type) {
    if (!type->quant) return type->elem == ELEM_F32;
    for (int c = 1; c < type->quant->count; c++)
        if (type->quant->zero_point[c] != type->quant->zero_point[0]) return false;
    return type->elem == ELEM_I8;
}

// One input of concat: copied, or rescaled from i8 to i8.
static bool is_joined(const Type *input, const Type *result) {
    if (!result->quant || quant_equal(input->quant, result->quant)) return is_moved(input);
    return (is_i8(input) && is_i8(result)) || (is_i16(input) && is_i16(result));
}

// Of 16 bits, or 8, all of them but weights: no kernel takes both; but for what goes from one to the other.
static bool is_stored_alike(const Op *op) {
    const Type *result = op->result_count ? op->results[0].type : NULL, *first = op->operand_count ? op_operand(op, 0)->type : NULL;
    if (!first || !result || !first->quant || !result->quant || op->kind == OP_requantize || op->kind == OP_lookup) return true;
    if (op_has(op, MOVES_DATA) || type_is_sums(first) || type_is_sums(result)) return true;
    const bool product = op->kind == OP_conv2d || op->kind == OP_linear;
    for (int i = 1; i < op->operand_count && !product; i++) {
        const Type *type = op_operand(op, i) ? op_operand(op, i)->type : NULL;
        if (type && type->quant && !type_is_sums(type) && type->elem != result->elem) return false;
    }
    return first->elem == result->elem;
}

// u8 is read and written by what makes i8 of it, or of i8 it, without another scale.
static bool is_moved_storage(const Type *from, const Type *to) {
    return from->quant && to->quant && from->quant->axis < 0 && to->quant->axis < 0 && from->quant->scale[0] == to->quant->scale[0] &&
           ((from->elem == ELEM_U8 && to->elem == ELEM_I8 && from->quant->zero_point[0] - 128 == to->quant->zero_point[0]) ||
            (from->elem == ELEM_I8 && to->elem == ELEM_U8 && from->quant->zero_point[0] + 128 == to->quant->zero_point[0]));
}

static bool operand_fits(const Op *op, int index, const Type *type) {
    if (type_is_sums(type)) return op->kind == OP_add || op->kind == OP_dequantize || op_has(op, MOVES_DATA);
    switch (op->kind) {
    case OP_conv2d: case OP_linear:
        if (index == 1) return is_weight(type);
        return index == 2 ? type->elem == ELEM_F32 || type->elem == ELEM_I32 : is_computed_on(type);
    case OP_concat: return is_joined(type, op->results[0].type);
    case OP_max_pool2d: return is_computed_on(type) || (type->quant && type->elem == ELEM_I8); // no scale takes part
    case OP_bit_cast: return is_moved(type);
    case OP_lookup: return is_moved(type);
    case OP_gather: return is_moved(type); // of the indices shape inference has made sure
    case OP_cast: return true;             // has a table of its own
    case OP_resample: return index > 0 || is_computed_on(type); // indices and weights as shape inference has it
    default: return op_has(op, MOVES_DATA) ? is_moved(type) : is_computed_on(type) || (has_rows(op) && !type->quant);
    }
}

static bool refuse(Lower *lower, const Op *op, const Type *type, const char *expected) {
    lower->failed = true;
    return diag_error(lower->context->diag, op->loc, "%s of %s has no kernel; %s", op_info(op->kind)->full_name,
                      type_text(lower->context->scratch, type), expected);
}

const char *kernel_elem(const Type *type) {
    if (type->quant) return is_i8(type) ? "s8" : is_i16(type) ? "s16" : NULL;
    return is_moved(type) ? elem_name(type->elem) : NULL;
}

void no_kernel(Lower *lower, const Op *op, const Type *type) {
    refuse(lower, op, type, "expected f32, or i8 or i16 with one scale");
}

bool types_have_kernels(Lower *lower, const Op *op) {
    if (op->kind == OP_custom) return true; // as the verifier has it
    if (op->kind == OP_requantize && is_moved_storage(op_operand(op, 0)->type, op->results[0].type)) return true;
    const char *expected = op_has(op, MOVES_DATA) ? "expected elements of whole bytes" : "expected f32, or i8 or i16 with one scale";
    for (int i = 0; i < op->operand_count; i++) {
        const Value *value = op_operand(op, i);
        if (!value || operand_fits(op, i, value->type)) continue;
        bool weight = i == 1 && (op->kind == OP_conv2d || op->kind == OP_linear);
        return refuse(lower, op, value->type, weight ? "expected weights of f32, or of i8 with one zero point" : expected);
    }
    for (int i = 0; i < op->result_count; i++) {
        const Type *type = op->results[i].type;
        if ((op->kind == OP_conv2d || op->kind == OP_linear) && type_is_sums(type)) continue;
        if (op->kind != OP_cast && op->kind != OP_concat && op->kind != OP_max_pool2d && !op_has(op, MOVES_DATA) && !has_rows(op) && !is_computed_on(type))
            return refuse(lower, op, type, expected);
    }
    if (!is_stored_alike(op)) return refuse(lower, op, op_operand(op, 0)->type, "expected operands and result of the same number of bits");
    if (op->kind == OP_fake_quant && as_fake_quant(op).as->quant->axis >= 0)
        return refuse(lower, op, as_fake_quant(op).as, "expected one scale");
    if (op->kind == OP_fake_quant && (as_fake_quant(op).as->quant->storage_min < -128 || as_fake_quant(op).as->quant->storage_max > 127))
        return refuse(lower, op, as_fake_quant(op).as, "expected storage within i8");
    return true;
}
