// What a step costs, from its arguments alone: multiply-adds, bytes, and how finely it is worth splitting.
#include <string.h>

#include "codegen/codegen.h"
#include "codegen/steps.h"

// A piece of work that is worth handing to another thread: the pool takes 0.3 us for that, caches take more.
enum { MIN_PIECE_NS = 1500 };

static double arg(const Step *step, const char *name, int index) {
    const KernelArgs *args = &step->args;
    for (int i = 0; i < args->family->field_count; i++)
        if (!strcmp(args->family->fields[i].name, name)) return args->words[args->family->fields[i].word + index];
    return 0;
}

static bool is_family(const Step *step, const char *family) { return !strcmp(step->args.family->name, family); }

static double row_macs(const Step *step) {
    double taps = arg(step, "kernel_h", 0) * arg(step, "kernel_w", 0);
    if (is_family(step, "depthwise")) return arg(step, "out_w", 0) * arg(step, "out_c", 0) * taps;
    if (is_family(step, "conv2d"))
        return arg(step, "out_w", 0) * arg(step, "out_c", 0) * taps * arg(step, "in_c", 0) / arg(step, "group", 0);
    if (is_family(step, "linear") || is_family(step, "matmul")) return arg(step, "k", 0) * arg(step, "n", 0);
    return 0;
}

double step_macs(const Step *step) { return row_macs(step) * step->rows; }

static int64_t buffer_bytes(const Value *buffer) {
    if (!buffer || buffer->type->kind == TYPE_NONE) return 0;
    return (int64_t)type_bytes(buffer->type);
}

int64_t step_bytes(const Step *step) {
    int64_t bytes = 0;
    for (int i = 0; i < step->op->operand_count; i++) bytes += buffer_bytes(step->op->operands[i].value);
    return bytes;
}

// Estimated time of one row. The rates are rough: they only keep pieces of work from being smaller than the cost of
// handing them to another thread.
static double row_ns(const Step *step) {
    bool generic = !strcmp(step->kernel->isa, "generic"), is_float = strstr(step->kernel->operands, "f32") != NULL;
    if (is_family(step, "depthwise")) return row_macs(step) / (generic ? 2 : 10);
    if (row_macs(step) > 0) return row_macs(step) / (generic ? 2 : is_float ? 30 : 100);
    if (is_family(step, "pool2d")) {
        double taps = arg(step, "kernel_h", 0) * arg(step, "kernel_w", 0);
        return arg(step, "out_w", 0) * arg(step, "out_c", 0) * taps / (generic ? 2 : 10);
    }
    if (is_family(step, "arg") || is_family(step, "cum_sum")) return arg(step, "size", 0);
    if (is_family(step, "top_k")) return arg(step, "size", 0) * 3 + arg(step, "k", 0) * 20;
    if (is_family(step, "reduce_mean") || is_family(step, "reduce"))
        return arg(step, "size_r", 0) * arg(step, "size_s", 0) * arg(step, "inner", 0) / 4;
    if (is_family(step, "softmax")) return arg(step, "size", 0) * 5;
    if (is_family(step, "gather")) return arg(step, "inner_bytes", 0) / 8;
    if (is_family(step, "gather_nd"))
        return arg(step, "shape", 2) * arg(step, "shape", 3) * arg(step, "shape", 4) * (2 + arg(step, "inner", 0) * arg(step, "elem_bytes", 0) / 8);
    if (is_family(step, "halo")) return arg(step, "h", 0) * arg(step, "c", 0) / 4;
    if (is_family(step, "cast")) return 1;
    return arg(step, "shape", 2) * arg(step, "shape", 3) * arg(step, "shape", 4) / (generic ? 2 : 16);
}

int32_t step_grain(const Step *step) {
    double ns = row_ns(step);
    double rows = ns > 0 ? MIN_PIECE_NS / ns : MIN_PIECE_NS;
    return rows < 1 ? 1 : rows > step->rows ? step->rows : (int32_t)rows;
}

StepFacts *program_step_facts(Arena *arena, const Module *kn, int *count) {
    const Steps *steps = steps_new(arena, kn);
    StepFacts *facts = ARENA_ARRAY(arena, StepFacts, steps->step_count + 1);
    for (int i = 0; i < steps->step_count; i++) {
        const Step *step = &steps->steps[i];
        bool is_f32 = strstr(step->kernel->operands, "f32") != NULL;
        facts[i] = (StepFacts){step->name, step->kernel->symbol, step_macs(step), step_bytes(step), is_f32};
    }
    *count = steps->step_count;
    return facts;
}
