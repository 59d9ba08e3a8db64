// Lowering is shared among threads by networks, running them by networks and samples.
#include "quant/trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/map.h"
#include "passes/weights.h"
#include "quant/equalize.h"
#include "quant/race.h"
#include "quant/runner.h"

enum { NO_CLASS = -2, MOST_KEPT_BYTES = 1 << 29 }; // of samples and the float network's outputs

typedef struct { double loss, cosine, agrees, right; } Verdict;

struct Trials {
    Arena *arena;
    const SearchOptions *options;
    const Sensitivity *found;
    const Module *network;
    PassContext context;
    const Runner *real;
    const Value **values; // of the outputs
    int outputs, labelled, run_count;
    void ***inputs, ***expected; // [sample][index]; NULL where there are too many to keep
    int64_t *classes;     // of the float network, by sample
    Score score;
    Verdict *verdicts;    // of the float network
};

// ---- samples

static int64_t class_of(const Trials *trials, void *const *outputs) {
    const Type *type = trials->outputs ? trials->values[0]->type : NULL;
    if (!type || type->elem != ELEM_F32 || !type_elem_count(type)) return 0;
    const int64_t class = largest_of(outputs[0], type_elem_count(type));
    return isnan(((const float *)outputs[0])[class]) ? NO_CLASS : class; // NaN is the largest where it comes first
}

static bool float_sample(void *context, int worker, int sample, char *message) {
    Trials *trials = context;
    const SampleSource *source = trials->options->source;
    RunnerState *state = runner_state(trials->real, worker);
    if (!source->load(source->context, sample, state->inputs, message)) return false;
    runner_run(trials->real, worker, NULL, NULL);
    trials->classes[sample] = class_of(trials, state->outputs);
    trials->verdicts[sample].right = loss_sample(trials->options, sample).label == trials->classes[sample];
    if (!trials->inputs) return true;
    for (int i = 0; i < runner_input_count(trials->real); i++)
        memcpy(trials->inputs[sample][i], state->inputs[i], type_bytes(runner_input_type(trials->real, i)));
    for (int o = 0; o < trials->outputs; o++) memcpy(trials->expected[sample][o], state->outputs[o], type_bytes(trials->values[o]->type));
    return true;
}

static void make_room(Trials *trials) {
    const int samples = trials->options->source->count, inputs = runner_input_count(trials->real);
    size_t bytes = 0;
    for (int i = 0; i < inputs; i++) bytes += type_bytes(runner_input_type(trials->real, i));
    for (int o = 0; o < trials->outputs; o++) bytes += type_bytes(trials->values[o]->type);
    trials->classes = ARENA_ARRAY(trials->arena, int64_t, samples);
    trials->verdicts = ARENA_ARRAY(trials->arena, Verdict, samples);
    if (bytes * (size_t)samples > MOST_KEPT_BYTES) return;
    trials->inputs = ARENA_ARRAY(trials->arena, void **, samples);
    trials->expected = ARENA_ARRAY(trials->arena, void **, samples);
    for (int s = 0; s < samples; s++) {
        trials->inputs[s] = ARENA_ARRAY(trials->arena, void *, inputs + 1);
        trials->expected[s] = ARENA_ARRAY(trials->arena, void *, trials->outputs + 1);
        for (int i = 0; i < inputs; i++) trials->inputs[s][i] = arena_alloc(trials->arena, type_bytes(runner_input_type(trials->real, i)) + 1);
        for (int o = 0; o < trials->outputs; o++) trials->expected[s][o] = arena_alloc(trials->arena, type_bytes(trials->values[o]->type) + 1);
    }
}

static bool in_parallel(Trials *trials, int count, SampleTask *task, void *context) {
    const SampleSource *source = trials->options->source;
    const int threads = trials->options->threads < count ? trials->options->threads : count;
    int failed;
    char message[MESSAGE_BYTES];
    if (!count || parallel_samples(threads, count, task, context, &failed, message)) return true;
    return diag_error(trials->context.diag, loc_file(source->path(source->context, failed % source->count)), "%s", message);
}

// ---- lowering

typedef struct {
    Trials *trials;
    Trial *trial;
    Arena *arena;
    Diag *diag;
    const Runner *runner;
    Verdict *verdicts; // by sample
} Job;

static PassContext context_of(const Job *job, const Qtable *qtable) {
    PassContext context = job->trials->context;
    context.qtable = qtable;
    context.calibration = job->trial->table;
    context.diag = job->diag, context.scratch = job->arena;
    return context;
}

static Qtable qtable_of(const Job *job) {
    const Sensitivity *found = job->trials->found;
    Qtable table = {.entries = ARENA_ARRAY(job->arena, QtableEntry, found->count + 1)};
    for (int i = 0; i < found->count; i++)
        if (job->trial->floats[i]) table.entries[table.count++] = (QtableEntry){.name = found->ops[i].name, .type = ELEM_F32};
    return table;
}

static Module *lowered(const PassContext *context, Arena *arena, const Module *network) {
    Module *kn = module_clone(arena, network);
    return run_pipeline(kn, context, "quantize") && run_pipeline(kn, context, "lower") ? kn : NULL;
}

static void take_costs(Trial *trial, Arena *arena, const Target *target, const Module *kn) {
    int count;
    const StepFacts *facts = program_step_facts(arena, target, kn, &count);
    for (int i = 0; i < count; i++) trial->score.ns += facts[i].likely_ns;
    trial->score.bytes = program_facts(kn).weights_bytes;
}

static bool lower_job(void *list, int worker, int index, char *message) {
    Job *job = &((Job *)list)[index];
    Trials *trials = job->trials;
    (void)worker;
    snprintf(message, MESSAGE_BYTES, "the network with some operators in float can't be lowered");
    if (search_stopped(trials->options)) return true;
    const Qtable qtable = qtable_of(job);
    PassContext context = context_of(job, &qtable);
    Module *kn = lowered(&context, job->arena, trials->network);
    if (!kn) return false;
    take_costs(job->trial, job->arena, context.target, kn);
    if (context.target != target_host()) {
        context.target = target_host();
        kn = lowered(&context, job->arena, trials->network);
    }
    job->runner = kn ? runner_new(job->arena, kn, trials->options->threads, job->diag) : NULL;
    return job->runner != NULL;
}

// ---- running

static void *const *take_sample(const Trials *trials, const Runner *runner, int worker, int sample, char *message) {
    const SampleSource *source = trials->options->source;
    RunnerState *state = runner_state(runner, worker), *real = runner_state(trials->real, worker);
    for (int i = 0; trials->inputs && i < runner_input_count(runner); i++)
        memcpy(state->inputs[i], trials->inputs[sample][i], type_bytes(runner_input_type(runner, i)));
    if (trials->inputs) return trials->expected[sample];
    if (!source->load(source->context, sample, real->inputs, message)) return NULL;
    for (int i = 0; i < runner_input_count(runner); i++) memcpy(state->inputs[i], real->inputs[i], type_bytes(runner_input_type(runner, i)));
    runner_run(trials->real, worker, NULL, NULL);
    return real->outputs;
}

static Verdict judge(const Trials *trials, int sample, void *const *real, void *const *outputs) {
    const LossSample told = loss_sample(trials->options, sample);
    const int64_t class = class_of(trials, outputs);
    return (Verdict){loss_of_outputs(&trials->options->loss, trials->outputs, trials->values, real, outputs, &told),
                     1 - loss_of_outputs(&(Loss){.kind = LOSS_COSINE}, trials->outputs, trials->values, real, outputs, &told),
                     class == trials->classes[sample], class == told.label};
}

static bool run_job(void *list, int worker, int index, char *message) {
    const int samples = ((Job *)list)->trials->options->source->count, sample = index % samples;
    Job *job = &((Job *)list)[index / samples];
    const Trials *trials = job->trials;
    if (search_stopped(trials->options)) return true;
    void *const *real = take_sample(trials, job->runner, worker, sample, message);
    if (!real) return false;
    runner_run(job->runner, worker, NULL, NULL);
    job->verdicts[sample] = judge(trials, sample, real, runner_state(job->runner, worker)->outputs);
    if (isfinite(job->verdicts[sample].loss)) return true;
    snprintf(message, MESSAGE_BYTES, "qn_metric_loss of '%s' gave no finite number of 0 or more", trials->options->loss.path);
    return false;
}

static void take_verdicts(const Trials *trials, const Verdict *verdicts, Score *score) {
    const int samples = trials->options->source->count;
    for (int s = 0; s < samples; s++) {
        score->loss += verdicts[s].loss / samples;
        score->cosine += verdicts[s].cosine / samples;
        score->agreement += verdicts[s].agrees / samples;
        if (trials->labelled) score->right += verdicts[s].right / trials->labelled;
    }
}

static void end_job(Job *job) {
    Trial *trial = job->trial;
    trial->done = job->runner && !search_stopped(job->trials->options);
    if (trial->done) take_verdicts(job->trials, job->verdicts, &trial->score);
    if (job->runner) runner_free(job->runner);
    arena_free(job->arena);
}

bool trials_run(Trials *trials, int count, Trial *const *list) {
    Job *jobs = ARENA_ARRAY(trials->arena, Job, count + 1);
    int made = 0;
    for (int i = 0; i < count; i++) {
        if (list[i]->done) continue;
        Arena *arena = arena_new();
        list[i]->score = (Score){0};
        jobs[made++] = (Job){trials, list[i], arena, diag_new(arena, stderr), NULL, ARENA_ARRAY(arena, Verdict, trials->options->source->count)};
    }
    bool done = in_parallel(trials, made, lower_job, jobs) && in_parallel(trials, made * trials->options->source->count, run_job, jobs);
    for (int i = 0; i < made; i++) end_job(&jobs[i]);
    trials->run_count += made;
    return done;
}

// ---- the whole

double *trials_op_ns(Trials *trials, Arena *arena, const CalibrationTable *table) {
    const Sensitivity *found = trials->found;
    PassContext context = table ? trials->context : float_context(&trials->context);
    Map *ops = map_new_texts(arena);
    double *ns = ARENA_ARRAY(arena, double, found->count + 1);
    context.calibration = table;
    context.target = trials->context.target;
    context.watched = true; // each operator by itself
    const Module *kn = lowered(&context, arena, trials->network);
    if (!kn) return NULL;
    for (int i = 0; i < found->count; i++) *map_get(ops, found->ops[i].name) = &ns[i];
    int count;
    const StepFacts *facts = program_step_facts(arena, context.target, kn, &count);
    for (int i = 0; i < count; i++) {
        double *own = facts[i].tensor ? map_find(ops, facts[i].tensor) : NULL;
        if (own) *own += facts[i].likely_ns;
    }
    return ns;
}

static bool run_float(Trials *trials) {
    const int samples = trials->options->source->count;
    Trial trial = {0};
    PassContext real = float_context(&trials->context);
    Module *kn = lowered(&real, trials->arena, trials->network);
    trials->real = kn ? runner_new(trials->arena, kn, trials->options->threads, trials->context.diag) : NULL;
    if (!trials->real) return false;
    trials->outputs = runner_output_count(trials->real);
    trials->values = ARENA_ARRAY(trials->arena, const Value *, trials->outputs + 1);
    for (int o = 0; o < trials->outputs; o++) trials->values[o] = runner_output(trials->real, o);
    for (int s = 0; s < samples; s++) trials->labelled += loss_sample(trials->options, s).label >= 0;
    make_room(trials);
    if (!in_parallel(trials, samples, float_sample, trials)) return false;
    for (int s = 0; s < samples; s++) trials->verdicts[s].cosine = trials->verdicts[s].agrees = 1;
    take_verdicts(trials, trials->verdicts, &trials->score);
    real.target = trials->context.target;
    if (real.target != target_host() && !(kn = lowered(&real, trials->arena, trials->network))) return false;
    take_costs(&trial, trials->arena, real.target, kn);
    trials->score.ns = trial.score.ns, trials->score.bytes = trial.score.bytes;
    return true;
}

Trials *trials_new(Arena *arena, const Module *imported, const PassContext *context, const SearchOptions *options, const Sensitivity *found) {
    Trials *trials = ARENA_NEW(arena, Trials);
    *trials = (Trials){.arena = arena, .options = options, .found = found, .context = *context};
    trials->context.explain = NULL;
    trials->context.weights = weight_cache_new();
    trials->context.input_type = trials->context.output_type = ELEM_F32;
    trials->network = equalized(arena, imported, context, &options->tables[0]);
    if (trials->network && run_float(trials)) return trials;
    trials_free(trials);
    return NULL;
}

void trials_free(Trials *trials) {
    if (!trials) return;
    if (trials->real) runner_free(trials->real);
    weight_cache_free(trials->context.weights);
}

const Score *trials_float(const Trials *trials) { return &trials->score; }
const Module *trials_network(const Trials *trials) { return trials->network; }
int trials_run_count(const Trials *trials) { return trials->run_count; }
