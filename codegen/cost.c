// What a step costs (ir/cost.h), and how finely it is worth splitting.
#include <string.h>

#include "codegen/codegen.h"
#include "codegen/steps.h"
#include "ir/cost.h"

// A piece of work that is worth handing to another thread: the pool takes 0.3 us for that, caches take more.
enum { MIN_PIECE_NS = 1500 };

double step_macs(const Step *step) { return kernel_macs(&step->args); }

static int64_t buffer_bytes(const Value *buffer) {
    if (!buffer || buffer->type->kind == TYPE_NONE) return 0;
    return (int64_t)type_bytes(buffer->type);
}

// A halo's pixels: what it writes of the buffer.
static int64_t border_bytes(const KernelArgs *args) {
    int64_t h = args_get(args, "h"), w = args_get(args, "w");
    int64_t high = h + args_get(args, "top") + args_get(args, "bottom"), wide = w + args_get(args, "left") + args_get(args, "right");
    return args_get(args, "rows") * (high * wide - h * w) * args_get(args, "c") * args_get(args, "elem_bytes");
}

int64_t step_bytes(const Step *step) {
    int64_t bytes = 0;
    if (!strcmp(step->kernel->family, "halo")) return border_bytes(&step->args);
    for (int i = 0; i < step->op->operand_count; i++) bytes += buffer_bytes(step->op->operands[i].value);
    return bytes;
}

int32_t step_grain(const Step *steps, int count) {
    const int32_t all = steps[count - 1].rows;
    double ns = 0;
    for (int i = 0; i < count && all > 0; i++) ns += kernel_estimate(NULL, steps[i].kernel, &steps[i].args, false).ns / all;
    double rows = ns > 0 ? MIN_PIECE_NS / ns : MIN_PIECE_NS;
    return rows < 1 ? 1 : rows > all ? all : (int32_t)rows;
}

// Where cost.def has no figures: a rate of bytes and multiply-adds that vector kernels reach, if the rough estimate is no better.
static double likely_ns(const Step *step, Estimate estimate) {
    const double rate = 25; // of either, each nanosecond
    if (estimate.measured || (step_macs(step) > 0 && !strcmp(step->kernel->isa, "generic"))) return estimate.ns;
    const double bytes = (double)step_bytes(step), macs = step_macs(step), streamed = (bytes > macs ? bytes : macs) / rate;
    return estimate.ns < streamed ? estimate.ns : streamed;
}

static const char *tensor_of(const Step *step) {
    const Value *value = step->op->operand_count ? step->op->operands[step->op->operand_count - 1].value : NULL;
    while (value && !value->name && value->def && value->def->kind == OP_kn_view) value = as_kn_view(value->def).source;
    return value ? value->name : NULL;
}

StepFacts *program_step_facts(Arena *arena, const Target *target, const Module *kn, int *count) {
    const Steps *steps = steps_new(arena, kn);
    StepFacts *facts = ARENA_ARRAY(arena, StepFacts, steps->step_count + 1);
    bool cold = steps->weights_bytes > target->l2_bytes; // from run to run no near cache keeps them
    for (int i = 0; i < steps->step_count; i++) {
        const Step *step = &steps->steps[i];
        Estimate estimate = kernel_estimate(target, step->kernel, &step->args, cold);
        facts[i] = (StepFacts){step->name, step->kernel, step_macs(step), step_bytes(step), estimate.measured ? estimate.ns : 0,
                               likely_ns(step, estimate), tensor_of(step)};
    }
    *count = steps->step_count;
    return facts;
}
