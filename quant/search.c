// Nothing is compiled for an operator. One program for each table computes the i8 form of every operator beside the float network's
// tensors; another is the float network: when it has computed a tensor, what lies behind needs is copied, the i8 form put in the
// tensor's place, and only what comes behind is run. Samples are taken in stages, between which candidates whose loss is known well
// enough are dropped (race.h).
#include "quant/search.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "ir/map.h"
#include "passes/weights.h"
#include "quant/equalize.h"
#include "quant/race.h"
#include "quant/runner.h"

// What one operator gives by itself, in the bytes of its storage and without a halo. elems NULL: it is not in the program.
typedef struct { const Type *type; uint8_t *elems; } Own;

typedef struct {
    const SearchOptions *options;
    int tables, count, outputs;
    const int *order;  // of samples
    SensitiveOp *ops;  // in the order of the network
    const Runner *real, *whole, *alone[MAX_TABLES];
    Map *real_ops, *alone_ops[MAX_TABLES]; // index of an op by its buffer
    const Value **values; // of the outputs
    Own ***own;        // [worker][table][op]
    double *losses;    // [op][table][place in order]; NaN: not measured
    double *cosines, *whole_losses; // [place in order] of the whole network
    bool *active;      // [op][table]: still measured
    int first;         // place in order where the stage begins
    pthread_mutex_t lock; // of what follows
    double done, expected; // work
} Search;

static int candidate(const Search *work, int op, int table) { return op * work->tables + table; }
static double *losses_of(const Search *work, int op, int table) {
    return work->losses + (int64_t)candidate(work, op, table) * work->options->source->count;
}

// ---- samples and outputs

int *spread_samples(Arena *arena, int count) {
    int *order = ARENA_ARRAY(arena, int, count + 1), made = 0, step = 1;
    bool *taken = ARENA_ARRAY(arena, bool, count + 1);
    while (step * 2 < count) step *= 2;
    for (; step; step /= 2)
        for (int at = 0; at < count; at += step)
            if (!taken[at]) taken[at] = true, order[made++] = at;
    return order;
}

LossSample loss_sample(const SearchOptions *options, int sample) {
    const SampleSource *source = options->source;
    return (LossSample){source->path(source->context, sample), sample, options->label ? options->label(source->context, sample) : -1};
}

bool outputs_are_finite(const Runner *runner, void *const *outputs, char *message) {
    for (int o = 0; o < runner_output_count(runner); o++) {
        const Value *output = runner_output(runner, o);
        const float *elems = outputs[o];
        for (int64_t i = 0, count = output->type->elem == ELEM_F32 ? type_elem_count(output->type) : 0; i < count; i++) {
            if (isfinite(elems[i])) continue;
            snprintf(message, MESSAGE_BYTES, "the network computes NaN or infinity in tensor '%s'; is the preprocessing right?", output->name);
            return false;
        }
    }
    return true;
}

static bool load(const Search *work, int worker, int sample, char *message) {
    const SampleSource *source = work->options->source;
    return source->load(source->context, sample, runner_state(work->real, worker)->inputs, message);
}

static void give_inputs(const Runner *from, const Runner *to, int worker) {
    for (int i = 0; i < runner_input_count(from); i++)
        memcpy(runner_state(to, worker)->inputs[i], runner_state(from, worker)->inputs[i], type_bytes(runner_input_type(from, i)));
}

static bool finite_loss(const Loss *loss, double value, char *message) {
    if (isfinite(value)) return true;
    snprintf(message, MESSAGE_BYTES, "qn_metric_loss of '%s' gave no finite number of 0 or more", loss->path);
    return false;
}

static void report_progress(Search *work, double done) {
    pthread_mutex_lock(&work->lock);
    work->done += done;
    if (work->options->progress) work->options->progress(work->options->progress_context, fmin(work->done / work->expected, 1));
    pthread_mutex_unlock(&work->lock);
}

static bool whole_sample(void *context, int worker, int place, char *message) {
    Search *work = context;
    const int sample = work->order[place];
    if (search_stopped(work->options)) return true;
    if (!load(work, worker, sample, message)) return false;
    give_inputs(work->real, work->whole, worker);
    runner_run(work->real, worker, NULL, NULL);
    runner_run(work->whole, worker, NULL, NULL);
    void *const *real = runner_state(work->real, worker)->outputs, *const *whole = runner_state(work->whole, worker)->outputs;
    if (!outputs_are_finite(work->real, real, message)) return false;
    const LossSample told = loss_sample(work->options, sample);
    work->cosines[place] = 1 - loss_of_outputs(&(Loss){.kind = LOSS_COSINE}, work->outputs, work->values, real, whole, &told);
    work->whole_losses[place] = loss_of_outputs(&work->options->loss, work->outputs, work->values, real, whole, &told);
    return finite_loss(&work->options->loss, work->whole_losses[place], message);
}

// ---- operators by themselves

typedef struct { Search *work; int worker, place, table; const LossSample *told; char *message; } TapContext;
typedef struct { Own *own; uint8_t *at; } Bytes;
typedef struct { uint8_t *at; int64_t elem_bytes; } Kept;

static void keep_row(void *context, const void *row, int64_t elems) {
    Kept *to = context;
    memcpy(to->at, row, (size_t)(elems * to->elem_bytes));
    to->at += elems * to->elem_bytes;
}

static void keep_own(void *context, const Value *buffer, const void *data) {
    const TapContext *tapped = context;
    const int *index = map_find(tapped->work->alone_ops[tapped->table], buffer);
    if (!index || !tapped->work->active[candidate(tapped->work, *index, tapped->table)]) return;
    Own *own = &tapped->work->own[tapped->worker][tapped->table][*index];
    own->type = buffer->type;
    buffer_rows(buffer->type, data, keep_row, &(Kept){own->elems, elem_bits(buffer->type->elem) / 8});
}

static void put_row(void *context, const void *row, int64_t elems) {
    Bytes *from = context;
    const Quant *quant = from->own->type->quant;
    // Targets may store signed bytes as (signed XOR 0x80).
    const int flip = from->own->type->elem == ELEM_U8 && quant->storage == ELEM_I8 ? 0x80 : 0;
    float *to = (float *)(uintptr_t)row; // of the spare memory, which is ours; rows begin with channel 0
    if (type_is_sums(from->own->type)) {
        for (int64_t i = 0; i < elems; i++) to[i] = (float)((const int32_t *)(const void *)from->at)[i] * quant->scale[i % quant->count];
        from->at += elems * 4;
        return;
    }
    for (int64_t i = 0; i < elems; i++) {
        int32_t q = quant->storage == ELEM_I8 ? (int8_t)(*from->at++ ^ flip) : *from->at++;
        to[i] = (float)(q - quant->zero_point[0]) * quant->scale[0];
    }
}

static bool same_own(const Own *a, const Own *b) {
    return a->type->quant->scale[0] == b->type->quant->scale[0] && a->type->quant->zero_point[0] == b->type->quant->zero_point[0] &&
           a->type->elem == b->type->elem && !memcmp(a->elems, b->elems, type_bytes(a->type));
}

// The float network with this tensor as its operator gives it in i8.
static double try_own(const TapContext *tapped, const Value *buffer, const void *data, Own *own) {
    const Search *work = tapped->work;
    void *place = runner_fork(work->real, tapped->worker, buffer, data);
    buffer_rows(buffer->type, place, put_row, &(Bytes){own, own->elems});
    runner_resume(work->real, tapped->worker, buffer);
    // The float network's own outputs are not there yet; they were copied after a run before.
    const RunnerState *spare = runner_spare(work->real, tapped->worker), *real = runner_state(work->whole, tapped->worker);
    return loss_of_outputs(&work->options->loss, work->outputs, work->values, real->outputs, spare->outputs, tapped->told);
}

static void try_tables(void *context, const Value *buffer, const void *data) {
    TapContext *tapped = context;
    Search *work = tapped->work;
    const int *index = map_find(work->real_ops, buffer);
    if (!index || search_stopped(work->options) || *tapped->message) return;
    Own *own[MAX_TABLES] = {0};
    int tried = 0;
    for (int t = 0; t < work->tables; t++) {
        if (!work->active[candidate(work, *index, t)]) continue;
        own[t] = &work->own[tapped->worker][t][*index];
        int like = 0;
        while (like < t && !(own[like] && same_own(own[like], own[t]))) like++;
        double *loss = losses_of(work, *index, t) + tapped->place;
        *loss = like < t ? losses_of(work, *index, like)[tapped->place] : try_own(tapped, buffer, data, own[t]);
        if (!finite_loss(&work->options->loss, *loss, tapped->message)) return;
        tried++;
    }
    if (tried) report_progress(work, (double)tried * (work->count - *index));
}

static bool table_is_active(const Search *work, int table) {
    for (int i = 0; i < work->count; i++)
        if (work->active[candidate(work, i, table)]) return true;
    return false;
}

static void forget_place(Search *work, int place) {
    for (int i = 0; i < work->count; i++)
        for (int t = 0; t < work->tables; t++) losses_of(work, i, t)[place] = NAN;
}

static bool try_sample(void *context, int worker, int index, char *message) {
    Search *work = context;
    const int place = work->first + index, sample = work->order[place];
    if (search_stopped(work->options)) return true;
    if (!load(work, worker, sample, message)) return false;
    const LossSample told = loss_sample(work->options, sample);
    TapContext tapped = {.work = work, .worker = worker, .place = place, .told = &told, .message = message};
    for (int t = 0; t < work->tables; t++) {
        if (!table_is_active(work, t)) continue;
        give_inputs(work->real, work->alone[t], worker);
        tapped.table = t;
        runner_run(work->alone[t], worker, keep_own, &tapped);
    }
    // The i8 network as a whole is not needed any more: its outputs hold the float network's.
    runner_run(work->real, worker, NULL, NULL);
    for (int o = 0; o < work->outputs; o++)
        memcpy(runner_state(work->whole, worker)->outputs[o], runner_state(work->real, worker)->outputs[o], type_bytes(work->values[o]->type));
    *message = 0;
    runner_run(work->real, worker, try_tables, &tapped);
    if (search_stopped(work->options)) forget_place(work, place);
    return !*message;
}

// ---- programs

static const Runner *open_program(Arena *arena, const Module *network, const PassContext *context, bool alone, int threads, Module **kn) {
    *kn = lower_watched(arena, network, context, alone);
    return *kn ? runner_new(arena, *kn, threads, context->diag) : NULL;
}

static Map *index_buffers(Arena *arena, const Search *work, const Module *kn, const char *suffix) {
    Map *names = map_new_texts(arena), *buffers = map_new_pointers(arena);
    for (int i = 0; i < work->count; i++) {
        int *index = ARENA_NEW(arena, int);
        *index = i;
        *map_get(names, arena_printf(arena, "%s%s", work->ops[i].name, suffix)) = index;
    }
    FOR_EACH_OP(module_main(kn), op) {
        const Value *buffer = op->result_count ? &op->results[0] : NULL;
        void *index = (op->kind == OP_kn_alloc || op->kind == OP_kn_output) && buffer->name ? map_find(names, buffer->name) : NULL;
        if (index && (*suffix || buffer->type->elem == ELEM_F32)) *map_get(buffers, buffer) = index;
    }
    return buffers;
}

// The operators that have an i8 form of their own: the alone program says so.
static void list_ops(Arena *arena, Search *work, const Module *network, const Module *alone) {
    Map *known = map_new_texts(arena);
    int room = 0;
    FOR_EACH_OP(module_main(alone), op)
        if ((op->kind == OP_kn_alloc || op->kind == OP_kn_output) && op->results[0].name) *map_get(known, op->results[0].name) = op;
    FOR_EACH_OP(module_main(network), op) room++;
    work->ops = ARENA_ARRAY(arena, SensitiveOp, room + 1);
    FOR_EACH_OP(module_main(network), op) {
        const char *name = op->result_count == 1 ? op->results[0].name : NULL;
        if (name && op->kind != OP_constant && map_find(known, name) && map_find(known, arena_printf(arena, "%s%s", name, ALONE_SUFFIX)))
            work->ops[work->count++] = (SensitiveOp){.name = name, .op = op};
    }
}

static bool open_whole(Arena *arena, Search *work, const Module *network, const PassContext *context, const Module **real_kn) {
    PassContext real = float_context(context), quant = *context;
    const SearchOptions *options = work->options;
    Module *kn, *float_kn;
    if (!(work->real = open_program(arena, network, &real, false, options->threads, &float_kn))) return false;
    quant.calibration = &options->tables[0];
    if (!(work->whole = open_program(arena, network, &quant, false, options->threads, &kn))) return false;
    *real_kn = float_kn;
    work->outputs = runner_output_count(work->real);
    work->values = ARENA_ARRAY(arena, const Value *, work->outputs + 1);
    for (int o = 0; o < work->outputs; o++) work->values[o] = runner_output(work->real, o);
    return true;
}

static bool open_alone(Arena *arena, Search *work, const Module *network, const PassContext *context, const Module *real_kn) {
    PassContext quant = *context;
    Module *kn;
    for (int t = 0; t < work->tables; t++) {
        quant.calibration = &work->options->tables[t];
        if (!(work->alone[t] = open_program(arena, network, &quant, true, work->options->threads, &kn))) return false;
        if (!t) list_ops(arena, work, network, kn);
        work->alone_ops[t] = index_buffers(arena, work, kn, ALONE_SUFFIX);
    }
    work->real_ops = index_buffers(arena, work, real_kn, "");
    return true;
}

static void close_programs(const Search *work) {
    if (work->real) runner_free(work->real);
    if (work->whole) runner_free(work->whole);
    for (int t = 0; t < work->tables; t++)
        if (work->alone[t]) runner_free(work->alone[t]);
}

static void make_room(Arena *arena, Search *work) {
    const int64_t losses = (int64_t)work->count * work->tables * work->options->source->count;
    work->losses = ARENA_ARRAY(arena, double, losses + 1);
    for (int64_t i = 0; i < losses; i++) work->losses[i] = NAN;
    work->active = ARENA_ARRAY(arena, bool, work->count * work->tables + 1);
    memset(work->active, 1, (size_t)(work->count * work->tables));
    work->own = ARENA_ARRAY(arena, Own **, work->options->threads);
    for (int w = 0; w < work->options->threads; w++) {
        work->own[w] = ARENA_ARRAY(arena, Own *, work->tables);
        for (int t = 0; t < work->tables; t++) {
            work->own[w][t] = ARENA_ARRAY(arena, Own, work->count + 1);
            for (int i = 0; i < work->count; i++)
                work->own[w][t][i].elems = arena_alloc(arena, type_bytes(work->ops[i].op->results[0].type) + 1); // floats': as many as sums take
        }
    }
}

// ---- between stages

static double best_loss(const SensitiveOp *op) { return op->loss[op->best]; }

static int by_loss(const void *a, const void *b) {
    const SensitiveOp *const *x = a, *const *y = b;
    double p = best_loss(*x), q = best_loss(*y);
    return p != q ? (p < q ? 1 : -1) : *x < *y ? -1 : *x > *y; // of equal ones the earlier
}

// Of the samples that were measured.
static Mean mean_of_known(const double *losses, int samples, int *count) {
    double *known = calloc((size_t)samples + 1, sizeof *known);
    BUG_UNLESS(known, "out of memory");
    *count = 0;
    for (int s = 0; s < samples; s++)
        if (!isnan(losses[s])) known[(*count)++] = losses[s];
    Mean mean = mean_of(known, *count);
    if (*count < 2) mean.error = 0;
    free(known);
    return mean;
}

static void average(const Search *work, SensitiveOp *op, int index, int table) {
    const Mean mean = mean_of_known(losses_of(work, index, table), work->options->source->count, &op->samples[table]);
    op->loss[table] = mean.mean, op->error[table] = mean.error;
}

static void average_all(Search *work) {
    for (int i = 0; i < work->count; i++) {
        SensitiveOp *op = &work->ops[i];
        for (int t = 0; t < work->tables; t++) average(work, op, i, t);
        op->best = 0; // of those that were measured longest
        for (int t = 1; t < work->tables; t++) {
            const int more = op->samples[t] - op->samples[op->best];
            if (more > 0 || (!more && op->loss[t] < best_loss(op))) op->best = t;
        }
    }
}

static int active_tables(const Search *work, int op) {
    int count = 0;
    for (int t = 0; t < work->tables; t++) count += work->active[candidate(work, op, t)];
    return count;
}

// Tables that harm the operator more than another does, and no accident.
static void drop_tables(Search *work, int index, int samples) {
    const int best = work->ops[index].best;
    for (int t = 0; t < work->tables; t++) {
        bool *active = &work->active[candidate(work, index, t)];
        if (*active && t != best && race_is_clear(mean_of_differences(losses_of(work, index, t), losses_of(work, index, best), samples), samples))
            *active = false;
    }
}

// Is it clear on which side of the worst `options->worst` the operator is? `ranked`: the worst first.
static bool rank_is_clear(const Search *work, SensitiveOp *const *ranked, int rank, int samples) {
    const int worst = work->options->worst, other = rank < worst ? worst : worst - 1;
    if (worst < 1 || worst >= work->count) return true;
    const SensitiveOp *own = ranked[rank], *edge = ranked[other];
    if (edge->samples[edge->best] < samples) return true; // it was clear of its own neighbours
    const double *a = losses_of(work, (int)(own - work->ops), own->best), *b = losses_of(work, (int)(edge - work->ops), edge->best);
    return race_is_clear(rank < worst ? mean_of_differences(a, b, samples) : mean_of_differences(b, a, samples), samples);
}

// How much less the operator might lose, at the end of the interval, with another table that is still measured than with its best.
static double regret(const Search *work, const SensitiveOp *op, int samples) {
    const int index = (int)(op - work->ops);
    const double bound = race_bound(samples), most = best_loss(op) + bound * op->error[op->best];
    double largest = 0;
    for (int t = 0; t < work->tables; t++) {
        if (t == op->best || !work->active[candidate(work, index, t)]) continue;
        const Mean lost = mean_of_differences(losses_of(work, index, t), losses_of(work, index, op->best), samples);
        largest = fmax(largest, bound * lost.error - lost.mean);
    }
    return fmin(largest, most);
}

typedef struct { double regret; int op; } Settled;

static int by_regret(const void *a, const void *b) {
    const Settled *x = a, *y = b;
    return x->regret != y->regret ? (x->regret < y->regret ? -1 : 1) : x->op - y->op;
}

// Operators that are measured well enough: by all those that are dropped with tables undecided, a twentieth of what all operators
// lose might still be gained together, and no more.
static void drop_settled(Search *work, Settled *settled, int count, double total) {
    double sum = 0;
    qsort(settled, (size_t)count, sizeof *settled, by_regret);
    for (int i = 0; i < count && (sum += settled[i].regret) <= total / 20; i++)
        memset(&work->active[candidate(work, settled[i].op, 0)], 0, (size_t)work->tables);
}

static void drop_candidates(Arena *arena, Search *work, int samples) {
    SensitiveOp **ranked = ARENA_ARRAY(arena, SensitiveOp *, work->count + 1);
    Settled *settled = ARENA_ARRAY(arena, Settled, work->count + 1);
    double total = 0;
    int count = 0;
    average_all(work);
    for (int i = 0; i < work->count; i++) ranked[i] = &work->ops[i], total += best_loss(&work->ops[i]);
    qsort(ranked, (size_t)work->count, sizeof *ranked, by_loss);
    for (int r = 0; r < work->count; r++) {
        const int index = (int)(ranked[r] - work->ops);
        if (!active_tables(work, index)) continue;
        drop_tables(work, index, samples);
        if (rank_is_clear(work, ranked, r, samples)) settled[count++] = (Settled){regret(work, ranked[r], samples), index};
    }
    drop_settled(work, settled, count, total);
}

// ---- the whole

static bool over_samples(Search *work, const PassContext *context, SampleTask *task, int count) {
    const SampleSource *source = work->options->source;
    int failed;
    char message[MESSAGE_BYTES];
    const int threads = work->options->threads < count ? work->options->threads : count;
    if (parallel_samples(threads, count, task, work, &failed, message)) return true;
    const int sample = work->order[work->first + failed];
    return diag_error(context->diag, loc_file(source->path(source->context, sample)), "%s", message);
}

static double weight_of_active(const Search *work) {
    double sum = 0;
    for (int i = 0; i < work->count; i++) sum += (double)active_tables(work, i) * (work->count - i);
    return sum;
}

static bool measure_ops(Arena *arena, Search *work, const PassContext *context) {
    const int samples = work->options->source->count;
    int stages[MAX_STAGES], count = race_stages(samples, stages);
    if (work->options->exhaustive) stages[0] = samples, count = 1;
    for (int stage = 0; stage < count && !search_stopped(work->options); stage++) {
        if (stage) drop_candidates(arena, work, work->first);
        const double weight = weight_of_active(work);
        if (weight == 0) break;
        work->expected = work->done + weight * (samples - work->first);
        if (!over_samples(work, context, try_sample, stages[stage] - work->first)) return false;
        work->first = stages[stage];
    }
    return true;
}

static void give_result(Arena *arena, Search *work, Sensitivity *result) {
    average_all(work);
    const SensitiveOp **ranked = ARENA_ARRAY(arena, const SensitiveOp *, work->count + 1);
    for (int i = 0; i < work->count; i++) ranked[i] = &work->ops[i];
    qsort(ranked, (size_t)work->count, sizeof *ranked, by_loss);
    result->ops = ARENA_ARRAY(arena, SensitiveOp, work->count + 1);
    for (int i = 0; i < work->count; i++)
        if (ranked[i]->samples[ranked[i]->best]) result->ops[result->count++] = *ranked[i];
}

static bool measure_whole(Arena *arena, Search *work, const PassContext *context, Sensitivity *result) {
    const int samples = work->options->source->count;
    work->cosines = ARENA_ARRAY(arena, double, samples + 1);
    work->whole_losses = ARENA_ARRAY(arena, double, samples + 1);
    for (int s = 0; s < samples; s++) work->cosines[s] = work->whole_losses[s] = NAN;
    if (!over_samples(work, context, whole_sample, samples)) return false;
    int known;
    result->cosine = mean_of_known(work->cosines, samples, &known).mean;
    result->loss = mean_of_known(work->whole_losses, samples, &known).mean;
    return true;
}

// The tables of a network that has their factors of channels in it.
static const CalibrationTable *tables_without_factors(Arena *arena, const SearchOptions *options) {
    CalibrationTable *tables = arena_copy(arena, options->tables, sizeof *tables * (size_t)options->table_count);
    for (int t = 0; t < options->table_count; t++) tables[t].equalized_count = 0;
    return tables;
}

bool search_sensitive(Arena *arena, const Module *imported, const PassContext *context, const SearchOptions *options, Sensitivity *result) {
    const Module *network = equalized(arena, imported, context, &options->tables[0]);
    SearchOptions own = *options;
    PassContext caching = *context;
    if (!network) return false;
    own.tables = tables_without_factors(arena, options);
    if (own.threads > options->source->count) own.threads = options->source->count;
    Search work = {.options = &own, .tables = options->table_count, .lock = PTHREAD_MUTEX_INITIALIZER, .expected = 1};
    const Module *real_kn;
    *result = (Sensitivity){0};
    work.order = spread_samples(arena, options->source->count);
    context = &caching;
    caching.weights = weight_cache_new();
    bool done = open_whole(arena, &work, network, context, &real_kn) && measure_whole(arena, &work, context, result);
    if (done && result->cosine < options->expected && !search_stopped(options)) {
        done = open_alone(arena, &work, network, context, real_kn);
        if (done) make_room(arena, &work);
        done = done && measure_ops(arena, &work, context);
        if (done) give_result(arena, &work, result);
    }
    result->stopped = search_stopped(options);
    close_programs(&work);
    weight_cache_free(caching.weights);
    pthread_mutex_destroy(&work.lock);
    return done;
}

CalibrationTable search_tuned_table(Arena *arena, const Sensitivity *found, int table_count, const CalibrationTable *tables) {
    CalibrationTable tuned = tables[0];
    Map *ops = map_new_texts(arena);
    tuned.entries = arena_copy(arena, tuned.entries, sizeof *tuned.entries * (size_t)tuned.count);
    for (int i = 0; i < found->count; i++) *map_get(ops, found->ops[i].name) = &found->ops[i];
    for (int i = 0; i < tuned.count; i++) {
        const SensitiveOp *op = map_find(ops, tuned.entries[i].name);
        const CalibrationEntry *best = op ? calibration_find(&tables[op->best], &op->op->results[0]) : NULL;
        if (best) tuned.entries[i] = *best;
    }
    if (found->count && table_count > 1) tuned.method = "search";
    return tuned;
}
