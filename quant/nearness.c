// Networks are made at the same time, and run on samples; sums are kept by sample and added in their order.
#include "quant/nearness.h"

#include <math.h>
#include <string.h>

#include "quant/race.h"

typedef struct { double signal, noise; } Power;

enum { MOST_KEPT_BYTES = 128 << 20, ALIGNMENT = 64 };
static const double MOST_DB = 120; // of outputs that are equal

struct Reference {
    Arena *arena;
    int samples, inputs, outputs, judged;
    bool is_stream;
    void ***given, ***gave; // [sample][index]
    const Type **types;     // of the outputs
    int64_t *shares;        // how many of an output are those of one softmax; 0: it is none
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

// Each row of the last dimension holds the shares of one softmax.
static int64_t shares_in(const Value *output) {
    const Type *type = output->type;
    const int64_t last = type->rank ? type->shape[type->rank - 1] : 0;
    while (output->def && output->def->kind == OP_reshape) output = op_operand(output->def, 0);
    if (!output->def || output->def->kind != OP_softmax) return 0;
    const int64_t axis = as_softmax(output->def).axis, rank = output->type->rank;
    return (axis == -1 || axis == rank - 1) && output->type->shape[rank - 1] == last ? last : 0;
}

Reference *reference_new(Arena *arena, const Module *network, const Runner *runner, int samples, bool is_stream, int judged) {
    Reference *reference = ARENA_NEW(arena, Reference);
    *reference = (Reference){.arena = arena, .samples = samples, .inputs = runner_input_count(runner), .outputs = runner_output_count(runner),
                             .judged = judged, .is_stream = is_stream};
    const Type **given = ARENA_ARRAY(arena, const Type *, reference->inputs + 1);
    reference->types = ARENA_ARRAY(arena, const Type *, reference->outputs + 1);
    for (int i = 0; i < reference->inputs; i++) given[i] = runner_input_type(runner, i);
    reference->shares = ARENA_ARRAY(arena, int64_t, reference->outputs + 1);
    for (int i = 0; i < reference->outputs; i++) {
        reference->types[i] = runner_output(runner, i)->type;
        reference->shares[i] = shares_in(op_operand(module_main(network)->last, i));
    }
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

// Logarithms less their mean are the softmax's operand less its mean.
static Power power_of_shares(const float *real, const float *quant, int64_t count) {
    const float least = 1e-30f;
    double means[2] = {0, 0};
    Power power = {0, 0};
    for (int64_t i = 0; i < count; i++) means[0] += log(fmaxf(real[i], least)) / (double)count, means[1] += log(fmaxf(quant[i], least)) / (double)count;
    for (int64_t i = 0; i < count; i++) {
        const double x = log(fmaxf(real[i], least)) - means[0], error = log(fmaxf(quant[i], least)) - means[1] - x;
        power.signal += x * x;
        power.noise += error * error;
    }
    return power;
}

static Power power_of_output(const Reference *reference, int output, const float *real, const float *quant) {
    const int64_t count = type_elem_count(reference->types[output]), row = reference->shares[output];
    if (!row) return power_of(real, quant, count);
    Power power = {0, 0};
    for (int64_t i = 0; i < count; i += row) {
        const Power own = power_of_shares(real + i, quant + i, row);
        power.signal += own.signal, power.noise += own.noise;
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
            job->powers[sample * reference->outputs + i] = power_of_output(reference, i, reference->gave[sample][i], state->outputs[i]);
}

// ---- the nearest

typedef struct {
    const Reference *reference;
    Job *jobs;
    int count, first, samples; // first: of the samples that are run now
    double enough;
} Race;

static int greatest_divisor(int a, int b) { return b ? greatest_divisor(b, a % b) : a; }

// The first ones that are run are from everywhere among all: steps by the golden section come to each once.
static int spread(int count, int index) {
    int step = (int)(0.618 * count) + 1;
    while (greatest_divisor(count, step) != 1) step++;
    return (int)((int64_t)index * step % count);
}

// The sample that is run at place `at`.
static int sample_at(const Race *race, int at) { return race->reference->is_stream ? at : spread(race->reference->samples, at); }

static bool run_one(void *context, int worker, int index, char *message) {
    const Race *race = context;
    const int now = race->samples - race->first;
    (void)message;
    const Job *job = &race->jobs[index / now];
    if (!job->runner) return true;
    runner_reset(job->runner, worker);
    compare_sample(job, worker, sample_at(race, race->first + index % now));
    return true;
}

static bool run_stream(void *context, int worker, int index, char *message) {
    const Race *race = context;
    const Job *job = &race->jobs[index];
    (void)message;
    if (!job->runner) return true;
    if (!race->first) runner_reset(job->runner, worker);
    for (int s = race->first; s < race->samples; s++) compare_sample(job, worker, s);
    return true;
}

static bool counts(const Reference *reference, int sample) { return sample % reference->judged == reference->judged - 1; }

static Power power_at(const Race *race, int job, int output) {
    Power sum = {0, 0};
    for (int s = 0; s < race->samples; s++) {
        const Power *own = &race->jobs[job].powers[sample_at(race, s) * race->reference->outputs + output];
        if (counts(race->reference, s)) sum.signal += own->signal, sum.noise += own->noise;
    }
    return sum;
}

static double decibels_of(Power sum) {
    if (!isfinite(sum.noise)) return -INFINITY;
    if (!(sum.noise > 0)) return MOST_DB;
    return sum.signal > 0 ? fmin(MOST_DB, 10 * log10(sum.signal / sum.noise)) : 0;
}

static double mean_decibels(const Race *race, int job) {
    double sum = 0;
    int count = 0;
    for (int i = 0; race->jobs[job].runner && i < race->reference->outputs; i++)
        if (race->reference->types[i]->elem == ELEM_F32) sum += decibels_of(power_at(race, job, i)), count++;
    return count ? sum / count : -INFINITY;
}

static int find_nearest(const Race *race) {
    int best = 0;
    double most = mean_decibels(race, 0) + race->enough;
    for (int i = 1; i < race->count; i++) {
        const double own = mean_decibels(race, i);
        if (own > most) best = i, most = own;
    }
    return best;
}

// Of a sample, the outputs' noise as shares of what the best network's is on average, such that a share less is as much nearer
// in decibels. False: it is no number.
static bool shares_of(const Race *race, int job, int best, double factor, double *shares) {
    int count = 0;
    for (int s = 0; s < race->samples; s++) {
        if (!counts(race->reference, s)) continue;
        shares[count] = 0;
        for (int i = 0; i < race->reference->outputs; i++) {
            const double noise = power_at(race, best, i).noise;
            if (noise > 0) shares[count] += race->jobs[job].powers[sample_at(race, s) * race->reference->outputs + i].noise / noise * factor;
        }
        if (!isfinite(shares[count++])) return false;
    }
    return true;
}

// Is the best one nearest with those samples that are to come, too?
static bool is_certain(const Race *race, int best) {
    double *own = ARENA_ARRAY(race->jobs[0].arena, double, race->samples), *other = ARENA_ARRAY(race->jobs[0].arena, double, race->samples);
    int count = 0;
    for (int s = 0; s < race->samples; s++) count += counts(race->reference, s);
    if (!race->jobs[best].runner || !shares_of(race, best, best, 1, own)) return false;
    for (int i = 0; i < race->count; i++) {
        const double lead = !i ? race->enough : !best ? -race->enough : 0; // that the best one must have
        if (i == best || !race->jobs[i].runner) continue;
        if (!shares_of(race, i, best, pow(10, -lead / 10), other) || !race_is_clear(mean_of_differences(other, own, count), count)) return false;
    }
    return true;
}

int nearest(const Reference *reference, const PassContext *context, int count, const Module *const *networks,
            const CalibrationTable *const *tables, double enough, int threads) {
    Job *jobs = ARENA_ARRAY(reference->arena, Job, count + 1);
    int failed, best = 0, stages[MAX_STAGES];
    char message[MESSAGE_BYTES];
    for (int i = 0; i < count; i++) {
        jobs[i] = (Job){reference, networks[i], context, *tables[i], arena_new(), NULL, threads, NULL};
        jobs[i].table.equalized_count = 0;
        jobs[i].powers = ARENA_ARRAY(jobs[i].arena, Power, (int64_t)reference->samples * reference->outputs + 1);
    }
    parallel_samples(threads, count, make, jobs, &failed, message);
    Race race = {reference, jobs, count, 0, 0, enough};
    for (int stage = 0, last = race_stages(reference->samples, stages); stage < last; stage++) {
        race.first = race.samples, race.samples = stages[stage];
        if (reference->is_stream) parallel_samples(threads, count, run_stream, &race, &failed, message);
        else parallel_samples(threads, count * (race.samples - race.first), run_one, &race, &failed, message);
        best = find_nearest(&race);
        if (is_certain(&race, best)) break;
    }
    for (int i = 0; i < count; i++) {
        if (jobs[i].runner) runner_free(jobs[i].runner);
        arena_free(jobs[i].arena);
    }
    return best;
}
