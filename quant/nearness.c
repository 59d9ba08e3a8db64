// Networks are made at the same time, and run on samples; sums are kept by sample and added in their order.
#include "quant/nearness.h"

#include <math.h>
#include <string.h>

typedef struct { double signal, noise; } Power;

enum { MOST_KEPT_BYTES = 128 << 20, ALIGNMENT = 64 };
static const double MOST_DB = 120; // of outputs that are equal

struct Reference {
    Arena *arena;
    int samples, inputs, outputs, judged;
    bool is_stream;
    void ***given, ***gave; // [sample][index]
    const Type **types;     // of the outputs
};

typedef struct {
    const Reference *reference;
    const Module *network;
    const PassContext *context;
    CalibrationTable table;
    Arena *arena;
    const Runner *runner; // NULL: it can't be made
    int threads;
    Power *powers; // [sample][output]
} Job;

// ---- what is kept

static size_t sample_bytes(const Runner *runner) {
    size_t bytes = 0;
    for (int i = 0; i < runner_input_count(runner); i++) bytes += type_bytes(runner_input_type(runner, i));
    for (int i = 0; i < runner_output_count(runner); i++) bytes += type_bytes(runner_output(runner, i)->type);
    return bytes;
}

int reference_samples(const Runner *runner, int least, int most) {
    const size_t enough = MOST_KEPT_BYTES / (sample_bytes(runner) + 1);
    return enough < (size_t)least ? least : enough > (size_t)most ? most : (int)enough;
}

static void ***memory_new(Arena *arena, int samples, int count, const Type *const *types) {
    void ***memory = ARENA_ARRAY(arena, void **, samples + 1);
    for (int s = 0; s < samples; s++) {
        memory[s] = ARENA_ARRAY(arena, void *, count + 1);
        for (int i = 0; i < count; i++) memory[s][i] = arena_alloc(arena, type_bytes(types[i]) + ALIGNMENT);
    }
    return memory;
}

Reference *reference_new(Arena *arena, const Runner *runner, int samples, bool is_stream, int judged) {
    Reference *reference = ARENA_NEW(arena, Reference);
    *reference = (Reference){.arena = arena, .samples = samples, .inputs = runner_input_count(runner), .outputs = runner_output_count(runner),
                             .judged = judged, .is_stream = is_stream};
    const Type **given = ARENA_ARRAY(arena, const Type *, reference->inputs + 1);
    reference->types = ARENA_ARRAY(arena, const Type *, reference->outputs + 1);
    for (int i = 0; i < reference->inputs; i++) given[i] = runner_input_type(runner, i);
    for (int i = 0; i < reference->outputs; i++) reference->types[i] = runner_output(runner, i)->type;
    reference->given = memory_new(arena, samples, reference->inputs, given);
    reference->gave = memory_new(arena, samples, reference->outputs, reference->types);
    return reference;
}

void reference_take(Reference *reference, int sample, const Runner *runner, const RunnerState *state) {
    if (sample >= reference->samples) return;
    for (int i = 0; i < reference->inputs; i++) memcpy(reference->given[sample][i], state->inputs[i], type_bytes(runner_input_type(runner, i)));
    for (int i = 0; i < reference->outputs; i++) memcpy(reference->gave[sample][i], state->outputs[i], type_bytes(reference->types[i]));
}

// ---- networks

static Power power_of(const float *real, const float *quant, int64_t count) {
    Power power = {0, 0};
    for (int64_t i = 0; i < count; i++) {
        double error = (double)quant[i] - real[i];
        power.signal += (double)real[i] * real[i];
        power.noise += error * error;
    }
    return power;
}

static bool make(void *list, int worker, int index, char *message) {
    Job *job = &((Job *)list)[index];
    (void)worker, (void)message;
    PassContext quant = float_context(job->context);
    quant.precision = ELEM_I8;
    quant.calibration = &job->table;
    quant.symmetric = quant.per_tensor_weights = quant.mse_weights = false;
    quant.scratch = job->arena;
    quant.diag = diag_new(job->arena, NULL); // what can't be quantized is said when it is asked for
    Module *module = module_clone(job->arena, job->network);
    if (run_pipeline(module, &quant, "quantize") && run_pipeline(module, &quant, "lower")) job->runner = runner_new(job->arena, module, job->threads, quant.diag);
    return true;
}

static void compare_sample(const Job *job, int worker, int sample) {
    const Reference *reference = job->reference;
    RunnerState *state = runner_state(job->runner, worker);
    for (int i = 0; i < reference->inputs; i++) memcpy(state->inputs[i], reference->given[sample][i], type_bytes(runner_input_type(job->runner, i)));
    runner_continue(job->runner, worker, NULL, NULL);
    for (int i = 0; i < reference->outputs; i++)
        if (reference->types[i]->elem == ELEM_F32)
            job->powers[sample * reference->outputs + i] = power_of(reference->gave[sample][i], state->outputs[i], type_elem_count(reference->types[i]));
}

static bool compare_one(void *list, int worker, int index, char *message) {
    const Reference *reference = ((const Job *)list)->reference;
    const Job *job = &((const Job *)list)[index / reference->samples];
    (void)message;
    if (!job->runner) return true;
    runner_reset(job->runner, worker);
    compare_sample(job, worker, index % reference->samples);
    return true;
}

static bool compare_stream(void *list, int worker, int index, char *message) {
    const Job *job = &((const Job *)list)[index];
    (void)message;
    if (!job->runner) return true;
    runner_reset(job->runner, worker);
    for (int s = 0; s < job->reference->samples; s++) compare_sample(job, worker, s);
    return true;
}

static double decibels_of(const Job *job, int output) {
    Power sum = {0, 0};
    for (int s = job->reference->judged - 1; s < job->reference->samples; s += job->reference->judged) {
        const Power *own = &job->powers[s * job->reference->outputs + output];
        sum.signal += own->signal;
        sum.noise += own->noise;
    }
    if (!isfinite(sum.noise)) return -INFINITY;
    if (!(sum.noise > 0)) return MOST_DB;
    return sum.signal > 0 ? fmin(MOST_DB, 10 * log10(sum.signal / sum.noise)) : 0;
}

static double mean_decibels(const Job *job) {
    double sum = 0;
    int count = 0;
    for (int i = 0; job->runner && i < job->reference->outputs; i++)
        if (job->reference->types[i]->elem == ELEM_F32) sum += decibels_of(job, i), count++;
    return count ? sum / count : -INFINITY;
}

void nearness(const Reference *reference, const PassContext *context, int count, const Module *const *networks,
              const CalibrationTable *const *tables, int threads, double *decibels) {
    Job *jobs = ARENA_ARRAY(reference->arena, Job, count + 1);
    int failed;
    char message[MESSAGE_BYTES];
    for (int i = 0; i < count; i++) {
        jobs[i] = (Job){reference, networks[i], context, *tables[i], arena_new(), NULL, threads, NULL};
        jobs[i].table.equalized_count = 0;
        jobs[i].powers = ARENA_ARRAY(jobs[i].arena, Power, (int64_t)reference->samples * reference->outputs + 1);
    }
    parallel_samples(threads, count, make, jobs, &failed, message);
    if (reference->is_stream) parallel_samples(threads, count, compare_stream, jobs, &failed, message);
    else parallel_samples(threads, count * reference->samples, compare_one, jobs, &failed, message);
    for (int i = 0; i < count; i++) {
        decibels[i] = mean_decibels(&jobs[i]);
        if (jobs[i].runner) runner_free(jobs[i].runner);
        arena_free(jobs[i].arena);
    }
}
