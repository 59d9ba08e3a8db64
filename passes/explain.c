// The text of --explain: which ops stayed float and why, what was fused, and the kernels of each layer. One line a
// layer, its name first, so that grep and people find it.
#include "passes/explain.h"

#include <string.h>

static const char *op_name(const Op *op) {
    if (op->result_count && op->results[0].name) return op->results[0].name;
    return op->loc.name ? op->loc.name : "?";
}

// Without the dialect: `conv2d`.
static const char *kind_name(const Op *op) {
    const char *name = op_info(op->kind)->full_name, *dot = strchr(name, '.');
    return dot ? dot + 1 : name;
}

void explain_float(const PassContext *context, const Op *op, const char *why) {
    bool asked = context->precision != ELEM_F32 || context->qtable; // for integers at all
    if (!context->explain || !asked || op->kind == OP_constant || !op->result_count) return;
    fprintf(context->explain, "%s: %s stays f32: %s\n", op_name(op), kind_name(op), why);
}

static bool is_quantized(const Op *op) { return op->result_count && op->results[0].type->quant; }

// What an operator computes on; sums are said to be i32.
static const char *precision_name(const Type *type) {
    const bool rounded = type->quant && !type_is_sums(type);
    return elem_name(rounded && elem_bits(type->quant->storage) == 8 ? ELEM_I8 : rounded ? type->quant->storage : type->elem);
}

static bool is_between(const Op *op) {
    return op->kind == OP_quantize || op->kind == OP_dequantize || op->kind == OP_requantize;
}

void explain_precisions(const PassContext *context, const Func *func) {
    int quantized = 0, words = 0, real = 0, between = 0;
    if (!context->explain) return;
    FOR_EACH_OP(func, op) {
        if (op->kind == OP_constant || op->kind == OP_return) continue;
        between += is_between(op);
        quantized += !is_between(op) && is_quantized(op);
        words += !is_between(op) && is_quantized(op) && op->results[0].type->elem == ELEM_I16;
        real += !is_between(op) && !is_quantized(op);
    }
    fprintf(context->explain, "precision: %d operators in i8, ", quantized - words);
    if (words) fprintf(context->explain, "%d in i16, ", words);
    fprintf(context->explain, "%d in f32, %d conversions between them\n", real, between);
}

// What fusion put into the op: its activation, and the tensors that are not made any more.
static void print_fused(FILE *out, const Op *op) {
    const Attr *activation = attr_find(op->attrs, "activation");
    if (activation && strcmp(activation->s, "none")) fprintf(out, "+%s", activation->s);
    const Value *result = &op->results[0];
    for (int i = 0; i < result->alias_count; i++)
        fprintf(out, "%s%s", i ? ", " : " (with ", result->aliases[i]);
    if (result->alias_count) fprintf(out, ")");
}

void explain_op(const PassContext *context, const Op *op) {
    FILE *out = context->explain;
    if (!out) return;
    const Type *type = op->results[0].type;
    fprintf(out, "%s: %s ", op_name(op), precision_name(type));
    for (int i = 0; i < type->rank; i++) fprintf(out, "%s%lld", i ? "x" : "", (long long)type->shape[i]);
    fprintf(out, "%s%s", type->rank ? " " : "", kind_name(op));
    print_fused(out, op);
    fprintf(out, ":");
}

void explain_part(const PassContext *context, const Op *whole) {
    if (context->explain) fprintf(context->explain, " a part of %s,", op_name(whole));
}

void explain_edge(const PassContext *context, const char *name, const char *what) {
    if (context->explain) fprintf(context->explain, "%s: %s", name, what);
}

// Of rows with figures of their own; the others' are too rough for people.
static void print_estimate(FILE *out, double ns, bool measured) {
    if (measured) fprintf(out, " %.3g us", ns * 1e-3);
}

static void print_refused(FILE *out, const Candidate *candidate, bool first) {
    fprintf(out, "%s%s__%s", first ? " [" : ", ", candidate->row->tile, candidate->row->isa);
    if (candidate->refused) fprintf(out, ": %s%s", strcmp(candidate->refused, "left out") ? "needs " : "", candidate->refused);
    else print_estimate(out, candidate->ns, candidate->measured);
}

void explain_kernel(const PassContext *context, const KernelInfo *kernel, const KernelArgs *args) {
    FILE *out = context->explain;
    if (!out || !strcmp(kernel->family, "halo")) return;
    Candidate candidates[MAX_CANDIDATES];
    int count = kernel_candidates(context->target, context->only_isa, kernel->operands, kernel->result, args, candidates), others = 0;
    fprintf(out, " %s", kernel->symbol);
    for (int i = 0; i < count; i++)
        if (candidates[i].row == kernel) print_estimate(out, candidates[i].ns, candidates[i].measured);
    for (int i = 0; i < count; i++)
        if (candidates[i].row != kernel && strcmp(candidates[i].row->isa, "generic"))
            print_refused(out, &candidates[i], !others++);
    if (others) fprintf(out, "]");
    const TuningEntry *tuned = tuning_find(context->tuning, kernel->operands, kernel->result, args);
    if (tuned && tuned->kernel == kernel) fprintf(out, " by the tuning table: %.3g us", tuned->ns * 1e-3);
}

void explain_end(const PassContext *context, const Func *kn, const Op *before) {
    if (!context->explain) return;
    bool called = false;
    for (const Op *op = before ? before->next : kn->first; op; op = op->next) called |= op->kind == OP_kn_call || op->kind == OP_kn_custom;
    fprintf(context->explain, called ? "\n" : " no code of its own\n");
}

static const char *call_name(const Op *call) { return call->loc.name ? call->loc.name : "?"; }

void explain_rows(const PassContext *context, const Op *first, const Op *last, int32_t band, double gain, double loss) {
    if (!context->explain) return;
    fprintf(context->explain, "%s to %s: ", call_name(first), call_name(last));
    if (band) fprintf(context->explain, "run together, in bands of %d rows\n", band);
    else fprintf(context->explain, "not run together: for two threads that saves %.3g us and costs %.3g us\n", gain * 1e-3, loss * 1e-3);
}

void explain_winograd(const PassContext *context, const Op *op, int64_t tile, double ns, double direct_ns) {
    if (!context->explain) return;
    if (tile) fprintf(context->explain, "%s: by Winograd's method in tiles of %lld: %.3g us, directly %.3g us\n", op_name(op), (long long)tile, ns * 1e-3, direct_ns * 1e-3);
    else fprintf(context->explain, "%s: directly %.3g us, by Winograd's method %.3g us\n", op_name(op), direct_ns * 1e-3, ns * 1e-3);
}

void explain_no_winograd(const PassContext *context, const Op *op, int64_t tile, const char *why) {
    if (context->explain) fprintf(context->explain, "%s: not by Winograd's method in tiles of %lld: %s\n", op_name(op), (long long)tile, why);
}
