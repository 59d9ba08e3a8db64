// Both networks on each sample; sums are kept by sample and added in their order.
#include "quant/nearness.h"

#include <math.h>
#include <string.h>

#include "quant/runner.h"

typedef struct { double signal, noise; } Power;

typedef struct {
    const SampleSource *source;
    const Runner *real, *quant;
    int outputs;
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

static bool compare_sample(void *context, int worker, int sample, char *message) {
    const Comparison *work = context;
    RunnerState *real = runner_state(work->real, worker), *quant = runner_state(work->quant, worker);
    if (!work->source->load(work->source->context, sample, real->inputs, message)) return false;
    for (int i = 0; i < runner_input_count(work->real); i++)
        memcpy(quant->inputs[i], real->inputs[i], type_bytes(runner_input_type(work->real, i)));
    runner_run(work->real, worker, NULL, NULL);
    runner_run(work->quant, worker, NULL, NULL);
    for (int i = 0; i < work->outputs; i++) {
        const Type *type = runner_output(work->real, i)->type;
        if (type->elem == ELEM_F32)
            work->powers[sample * work->outputs + i] = power_of(real->outputs[i], quant->outputs[i], type_elem_count(type));
    }
    return true;
}

static double decibels(const Comparison *work, int output) {
    Power sum = {0, 0};
    for (int s = 0; s < work->source->count; s++) {
        sum.signal += work->powers[s * work->outputs + output].signal;
        sum.noise += work->powers[s * work->outputs + output].noise;
    }
    if (!isfinite(sum.noise)) return -INFINITY;
    if (!(sum.noise > 0)) return MOST_DB;
    return sum.signal > 0 ? fmin(MOST_DB, 10 * log10(sum.signal / sum.noise)) : 0;
}

static double mean_decibels(const Comparison *work) {
    double sum = 0;
    int count = 0;
    for (int i = 0; i < work->outputs; i++)
        if (runner_output(work->real, i)->type->elem == ELEM_F32) sum += decibels(work, i), count++;
    return count ? sum / count : -INFINITY;
}

static const Runner *make_runner(Arena *arena, const Module *imported, const PassContext *context, int threads) {
    Module *module = module_clone(arena, imported);
    bool done = run_pipeline(module, context, "quantize") && run_pipeline(module, context, "lower");
    return done ? runner_new(arena, module, threads, context->diag) : NULL;
}

double nearness(Arena *arena, const Module *imported, const PassContext *context, const SampleSource *source,
                const CalibrationTable *table, int threads) {
    PassContext real = float_context(context), quant = real;
    quant.precision = ELEM_I8;
    quant.calibration = table;
    quant.symmetric = quant.per_tensor_weights = quant.mse_weights = false;
    if (threads > source->count) threads = source->count;
    Comparison work = {.source = source, .real = make_runner(arena, imported, &real, threads)};
    if (work.real) work.quant = make_runner(arena, imported, &quant, threads);
    double result = -INFINITY;
    if (work.quant) {
        work.outputs = runner_output_count(work.real);
        work.powers = ARENA_ARRAY(arena, Power, source->count * work.outputs + 1);
        int failed;
        char message[MESSAGE_BYTES];
        if (parallel_samples(threads, source->count, compare_sample, &work, &failed, message)) result = mean_decibels(&work);
    }
    if (work.real) runner_free(work.real);
    if (work.quant) runner_free(work.quant);
    return result;
}
