// Both networks on each sample; sums are kept by sample and added in their order.
#include "quant/nearness.h"

#include <math.h>
#include <string.h>

#include "quant/runner.h"

typedef struct { double signal, noise; } Power;

enum { MOST_KEPT_BYTES = 64 << 20 }; // of outputs; where they are more, they are computed each time

struct Reference {
    const SampleSource *source;
    const Runner *real;
    int threads, outputs;
    char *kept; // [sample][output]; NULL: too much
    size_t sample_bytes;
};

typedef struct {
    const Reference *reference;
    const Runner *quant;
    Power *powers; // [sample][output]
} Comparison;

static const double MOST_DB = 120; // of outputs that are equal

static Power power_of(const float *real, const float *quant, int64_t count) {
    Power power = {0, 0};
    for (int64_t i = 0; i < count; i++) {
        double error = (double)quant[i] - real[i];
        power.signal += (double)real[i] * real[i];
        power.noise += error * error;
    }
    return power;
}

static bool load(const Reference *reference, int worker, int sample, char *message) {
    return reference->source->load(reference->source->context, sample, runner_state(reference->real, worker)->inputs, message);
}

static bool keep_sample(void *context, int worker, int sample, char *message) {
    const Reference *reference = context;
    if (!load(reference, worker, sample, message)) return false;
    runner_run(reference->real, worker, NULL, NULL);
    char *to = reference->kept + reference->sample_bytes * (size_t)sample;
    for (int i = 0; i < reference->outputs; i++) {
        size_t bytes = type_bytes(runner_output(reference->real, i)->type);
        memcpy(to, runner_state(reference->real, worker)->outputs[i], bytes);
        to += (bytes + 63) / 64 * 64;
    }
    return true;
}

static bool compare_sample(void *context, int worker, int sample, char *message) {
    const Comparison *work = context;
    const Reference *reference = work->reference;
    RunnerState *real = runner_state(reference->real, worker), *quant = runner_state(work->quant, worker);
    if (!load(reference, worker, sample, message)) return false;
    for (int i = 0; i < runner_input_count(reference->real); i++)
        memcpy(quant->inputs[i], real->inputs[i], type_bytes(runner_input_type(reference->real, i)));
    if (!reference->kept) runner_run(reference->real, worker, NULL, NULL);
    runner_run(work->quant, worker, NULL, NULL);
    const char *kept = reference->kept ? reference->kept + reference->sample_bytes * (size_t)sample : NULL;
    for (int i = 0; i < reference->outputs; i++) {
        const Type *type = runner_output(reference->real, i)->type;
        const void *output = kept ? kept : real->outputs[i];
        if (type->elem == ELEM_F32) work->powers[sample * reference->outputs + i] = power_of(output, quant->outputs[i], type_elem_count(type));
        if (kept) kept += (type_bytes(type) + 63) / 64 * 64;
    }
    return true;
}

static double decibels(const Comparison *work, int output) {
    Power sum = {0, 0};
    for (int s = 0; s < work->reference->source->count; s++) {
        const Power *own = &work->powers[s * work->reference->outputs + output];
        sum.signal += own->signal;
        sum.noise += own->noise;
    }
    if (!isfinite(sum.noise)) return -INFINITY;
    if (!(sum.noise > 0)) return MOST_DB;
    return sum.signal > 0 ? fmin(MOST_DB, 10 * log10(sum.signal / sum.noise)) : 0;
}

static double mean_decibels(const Comparison *work) {
    double sum = 0;
    int count = 0;
    for (int i = 0; i < work->reference->outputs; i++)
        if (runner_output(work->reference->real, i)->type->elem == ELEM_F32) sum += decibels(work, i), count++;
    return count ? sum / count : -INFINITY;
}

static const Runner *make_runner(Arena *arena, const Module *imported, const PassContext *context, int threads) {
    Module *module = module_clone(arena, imported);
    bool done = run_pipeline(module, context, "quantize") && run_pipeline(module, context, "lower");
    return done ? runner_new(arena, module, threads, context->diag) : NULL;
}

const Reference *reference_new(Arena *arena, const Module *imported, const PassContext *context, const SampleSource *source, int threads) {
    const PassContext plain = float_context(context);
    Reference *reference = ARENA_NEW(arena, Reference);
    *reference = (Reference){.source = source, .threads = threads < source->count ? threads : source->count};
    if (!(reference->real = make_runner(arena, imported, &plain, reference->threads))) return NULL;
    reference->outputs = runner_output_count(reference->real);
    for (int i = 0; i < reference->outputs; i++)
        reference->sample_bytes += (type_bytes(runner_output(reference->real, i)->type) + 63) / 64 * 64;
    if (reference->sample_bytes > MOST_KEPT_BYTES / (size_t)source->count) return reference;
    reference->kept = arena_alloc(arena, reference->sample_bytes * (size_t)source->count + 64);
    int failed;
    char message[MESSAGE_BYTES];
    if (parallel_samples(reference->threads, source->count, keep_sample, reference, &failed, message)) return reference;
    reference_free(reference);
    return diag_error(context->diag, loc_file(source->path(source->context, failed)), "%s", message), NULL;
}

void reference_free(const Reference *reference) { runner_free(reference->real); }

double nearness(Arena *arena, const Reference *reference, const Module *imported, const PassContext *context, const CalibrationTable *table) {
    PassContext quant = float_context(context);
    quant.precision = ELEM_I8;
    quant.calibration = table;
    quant.symmetric = quant.per_tensor_weights = quant.mse_weights = false;
    Comparison work = {.reference = reference, .quant = make_runner(arena, imported, &quant, reference->threads)};
    if (!work.quant) return -INFINITY;
    const int samples = reference->source->count;
    work.powers = ARENA_ARRAY(arena, Power, (int64_t)samples * reference->outputs + 1);
    int failed;
    char message[MESSAGE_BYTES];
    bool done = parallel_samples(reference->threads, samples, compare_sample, &work, &failed, message);
    runner_free(work.quant);
    return done ? mean_decibels(&work) : -INFINITY;
}
