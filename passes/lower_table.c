// Elementwise 8-bit ops that compute a function of one tensor, as one table: chains of functions of one operand, and sums,
// products and the like of such functions of the same tensor and of constants, as in x * sigmoid(x). Each op between
// rounds in the table as it would alone, so bytes stay the same; what only tables read is not computed.
#include <string.h>

#include "ir/eval.h"
#include "passes/lower.h"
#include "runtime/rounding.h"

// table[(uint8_t)q] for each value q of `source`; NULL: of nothing, a constant.
typedef struct { const Value *source; int8_t table[256]; } ByteFunction;

enum { MAX_DEPTH = 8 };
static void function_of(const Lower *lower, const Value *value, int depth, ByteFunction *f);

static bool is_byte(const Value *value) {
    const Quant *quant = value ? value->type->quant : NULL;
    return quant && quant->storage == ELEM_I8 && quant->axis < 0;
}

static bool constant_function(const Value *value, ByteFunction *f) {
    const Dense *constant = value_constant(value);
    if (!constant || type_elem_count(value->type) != 1) return false;
    f->source = NULL;
    memset(f->table, *(const int8_t *)constant->data, sizeof f->table);
    return true;
}

static void unary_function(const Lower *lower, const Op *op, int depth, ByteFunction *f) {
    ByteFunction inner;
    int8_t table[256];
    function_of(lower, op_operand(op, 0), depth - 1, &inner);
    if (!inner.source) function_of(lower, op_operand(op, 0), 0, &inner);
    eval_table(op, table);
    f->source = inner.source;
    for (int i = 0; i < 256; i++) f->table[i] = table[(uint8_t)inner.table[i]];
}

static int32_t binary_byte(const struct qn_binary_args *args, int32_t a, int32_t b) {
    const float ma = args->a_multiplier, mb = args->b_multiplier;
    switch (args->op) {
    case QN_ADD: return qn_add(a, ma, b, mb, args->out_zp, args->lo, args->hi);
    case QN_FUSED_ADD: return qn_fused_add(a, ma, b, mb, args->min, args->out_zp, args->lo, args->hi);
    case QN_SUB: return qn_sub(a, ma, b, mb, args->out_zp, args->lo, args->hi);
    case QN_MUL: return qn_mul(a, b, ma, args->out_zp, args->lo, args->hi);
    case QN_MIN: return qn_lesser(a, ma, b, mb, args->out_zp, args->lo, args->hi);
    case QN_MAX: return qn_larger(a, ma, b, mb, args->out_zp, args->lo, args->hi);
    case QN_PRELU: return qn_prelu(a, ma, b, mb, args->out_zp, args->lo, args->hi);
    default: BUG("no quantized function of two operands %d", args->op);
    }
}

// Of the same tensor both, or of one and a constant.
static void binary_function(const Lower *lower, const Op *op, int depth, ByteFunction *f) {
    ByteFunction a, b;
    KernelArgs words;
    struct qn_binary_args args;
    function_of(lower, op_operand(op, 0), depth - 1, &a);
    function_of(lower, op_operand(op, 1), depth - 1, &b);
    const Value *source = a.source ? a.source : b.source;
    if (!source || (a.source && b.source && a.source != b.source)) return;
    if (!type_same_shape(source->type, op->results[0].type)) return;
    args_begin(&words, "binary");
    binary_i8_args(lower, op, &words);
    memcpy(&args, words.words, sizeof args);
    f->source = source;
    for (int i = 0; i < 256; i++)
        f->table[i] = (int8_t)binary_byte(&args, a.table[i] - args.a_zp, b.table[i] - args.b_zp);
}

// The value as a function of what it is computed from, or of itself.
static void function_of(const Lower *lower, const Value *value, int depth, ByteFunction *f) {
    const Op *op = value->def;
    f->source = value;
    for (int i = 0; i < 256; i++) f->table[i] = (int8_t)i;
    if (!depth || !op || !is_byte(value) || constant_function(value, f)) return;
    for (int i = 0; i < op->operand_count; i++)
        if (!is_byte(op_operand(op, i))) return;
    if (op_has(op, TABLE)) unary_function(lower, op, depth, f);
    else if (is_quantized_binary(op)) binary_function(lower, op, depth, f);
}

// Whether all that reads the value are tables of what it is computed from.
static bool is_inside_tables(const Lower *lower, const Value *value) {
    for (const Use *use = value->uses; use; use = use->next) {
        ByteFunction f;
        if (use->owner->result_count != 1) return false;
        const Value *result = &use->owner->results[0];
        function_of(lower, result, MAX_DEPTH, &f);
        if (!f.source || f.source == result || f.source == value) return false;
    }
    return value->uses != NULL;
}

bool is_byte_function(const Lower *lower, const Value *value) {
    ByteFunction f;
    function_of(lower, value, MAX_DEPTH, &f);
    return f.source && f.source != value;
}

bool lower_as_table(Lower *lower, Op *op) {
    static const char *const names[] = {"in", "out"};
    ByteFunction f;
    KernelArgs args;
    function_of(lower, &op->results[0], MAX_DEPTH, &f);
    if (!f.source || f.source == &op->results[0]) return false;
    if (is_inside_tables(lower, &op->results[0])) return true;
    uint8_t *stored = arena_alloc(lower->arena, 256);
    for (int i = 0; i < 256; i++) stored[i ^ lower->flip] = (uint8_t)f.table[i] ^ (uint8_t)lower->flip;
    Value *in = operand_any(lower, (Value *)f.source), *out = result_buffer(lower, &op->results[0]);
    const Type *types[] = {in->type, out->type};
    Walk walk = walk_new(op->results[0].type, 2, types);
    args_begin(&args, "table");
    BUG_UNLESS(walk_args(&walk, &args, names), "a walk over buffers of one shape");
    Value *buffers[] = {in, buffer_weights(lower, ELEM_U8, stored, 256, NULL), out};
    emit_kernel(lower, "s8", "s8", &args, 3, buffers);
    return true;
}

// Of 16 bits, one op at a time.
bool lower_word_table(Lower *lower, Op *op) {
    static const char *const names[] = {"in", "out"};
    const Type *type = op->results[0].type;
    if (!op_has(op, TABLE) || !type->quant || type->elem != ELEM_I16) return false;
    uint16_t *table = ARENA_ARRAY(lower->arena, uint16_t, 65536);
    for (int q = -32768; q < 32768; q++) table[(uint16_t)q] = (uint16_t)eval_table_entry(op, q);
    Value *in = operand_any(lower, op_operand(op, 0)), *out = result_buffer(lower, &op->results[0]);
    const Type *types[] = {in->type, out->type};
    Walk walk = walk_new(type, 2, types);
    KernelArgs args;
    args_begin(&args, "table");
    BUG_UNLESS(walk_args(&walk, &args, names), "a walk over buffers of one shape");
    Value *buffers[] = {in, buffer_weights(lower, ELEM_I16, table, 2 * 65536, NULL), out};
    emit_kernel(lower, "s16", "s16", &args, 3, buffers);
    return true;
}
