// Each thread has observers of its own; they are merged at the end, which gives the same for any number of threads.
#include "quant/observe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/codegen.h"
#include "quant/runner.h"

// A tensor that is watched: a buffer of the program, or (buffer NULL) one of its inputs.
typedef struct {
    const Value *buffer;
    const char *name;
    int order;
} Watched;

typedef struct { float min, max; } Extremes; // of a sample's tensor; NaN: not computed

struct Watch {
    const Runner *runner;
    int count;
    Watched *watched; // sorted by buffer
};

typedef struct {
    const Runner *runner;
    const SampleSource *source;
    Extremes *extremes; // [sample - first_averaged][watched]; NULL: not wanted
    int first_averaged;
    int count;
    const Watched *watched;  // the watch's
    const ObserveMore *more; // NULL: no sets of factors
    int sets;                // with the network itself, the first
    const ChannelFactors **factors; // [set][watched]; NULL: none
    Observer **observers;    // [worker][set][watched]
} Observing;

static int by_buffer(const void *a, const void *b) {
    uintptr_t x = (uintptr_t)((const Watched *)a)->buffer, y = (uintptr_t)((const Watched *)b)->buffer;
    if (x != y)
        return x < y ? -1 : 1;
    return ((const Watched *)a)->order - ((const Watched *)b)->order;
}

// Of the program's buffers, those that are tensors of the network: lowering adds others of its own.
static bool is_watched(Func *main, const Op *op) {
    return (op->kind == OP_kn_alloc || op->kind == OP_kn_output) && op->results[0].name &&
           op->results[0].type->elem == ELEM_F32 && func_find_value(main, op->results[0].name);
}

static void list_watched(Arena *arena, Watch *watch, const Module *imported, const Module *kn) {
    Func *main = module_main(imported);
    const Func *program = module_main(kn);
    int room = main->arg_count;
    FOR_EACH_OP(program, op) room += is_watched(main, op);
    watch->watched = ARENA_ARRAY(arena, Watched, room + 1);
    // Inputs first: qsort leaves them there, their buffer being NULL.
    for (int i = 0; i < main->arg_count; i++)
        watch->watched[watch->count++] = (Watched){NULL, main->args[i].name, i};
    FOR_EACH_OP(program, op)
    if (is_watched(main, op))
        watch->watched[watch->count] = (Watched){&op->results[0], op->results[0].name, watch->count},
        watch->count++;
    qsort(watch->watched, (size_t)watch->count, sizeof *watch->watched, by_buffer);
}

// ---- observing

typedef struct {
    const Observing *work;
    Observer *observers;
    int worker, sample;
} TapContext;

static void tell(const TapContext *tapped, int which, const BufferRows *rows, int64_t at) {
    const ObserveMore *more = tapped->work->more;
    if (more && more->saw)
        more->saw(more->context, tapped->worker, tapped->sample, which, rows, at);
}

static int find_watched(const Observing *work, const Value *buffer) {
    Watched key = {.buffer = buffer, .order = -1};
    int low = 0, high = work->count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (by_buffer(&work->watched[middle], &key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < work->count && work->watched[low].buffer == buffer ? low : -1;
}

// Of the network all, of a set what has factors.
static bool is_seen(const Observing *work, int which) {
    return which < work->count || work->factors[which];
}

// Rows as observer_add goes, from the end on. The first of them begins at place `at` of the tensor.
static void observe_rows(const Observing *work, Observer *observers, int which, const BufferRows *rows, int64_t at) {
    const ChannelFactors *factors = work->factors[which];
    for (int64_t i = rows->count - 1; i >= 0 && is_seen(work, which); i--) {
        if (factors)
            observer_add_scaled(&observers[which], at + i * rows->elems, buffer_row(rows, i), rows->elems, factors->factors, factors->count);
        else
            observer_add(&observers[which], at + i * rows->elems, buffer_row(rows, i), rows->elems);
    }
}

static void observe_buffer(const TapContext *tapped, const Value *buffer, const BufferRows *rows, int64_t at) {
    int index = find_watched(tapped->work, buffer);
    if (index < 0)
        return;
    for (int set = 0; set < tapped->work->sets; set++)
        observe_rows(tapped->work, tapped->observers, set * tapped->work->count + index, rows, at);
    tell(tapped, index, rows, at);
}

static void tap(void *context, const Value *buffer, const void *data) {
    const BufferRows rows = buffer_rows_of(buffer->type, data);
    observe_buffer(context, buffer, &rows, 0);
}

static void tap_rows(void *context, const Value *buffer, const void *data, int32_t begin, int32_t end) {
    const BufferRows rows = buffer_rows_between(buffer->type, data, begin, end);
    observe_buffer(context, buffer, &rows, begin * buffer->type->shape[2] * buffer->type->shape[3]);
}

static bool check_finite(const Observing *work, const Observer *observers, char *message) {
    for (int i = 0; i < work->count; i++)
        if (observers[i].not_finite) {
            snprintf(message, MESSAGE_BYTES, "the network computes NaN or infinity in tensor '%s'; is the preprocessing right?",
                     work->watched[i].name);
            return false;
        }
    return true;
}

static void keep_extremes(Observing *work, const Observer *observers, int sample) {
    Extremes *extremes = work->extremes + (int64_t)(sample - work->first_averaged) * work->count;
    for (int i = 0; i < work->count; i++)
        extremes[i] = observers[i].sample_seen ? (Extremes){observers[i].sample_min, observers[i].sample_max} : (Extremes){NAN, NAN};
}

// The same on every machine: made of what the network is given, not of what it computes.
static uint64_t seed_of(const Runner *runner, const RunnerState *state) {
    enum { MOST_WORDS = 1024 };
    uint64_t seed = 0;
    for (int i = 0; i < runner_input_count(runner); i++) {
        const size_t words = type_bytes(runner_input_type(runner, i)) / 4, step = words / MOST_WORDS + 1;
        for (size_t k = 0; k < words; k += step) {
            uint32_t word;
            memcpy(&word, (const char *)state->inputs[i] + 4 * k, sizeof word);
            seed = (seed ^ word) * 0x100000001B3u;
        }
    }
    return seed;
}

static const Type *watched_type(const Runner *runner, const Watched *watched) {
    return watched->buffer ? watched->buffer->type : runner_input_type(runner, watched->order);
}

static void observe_inputs(const TapContext *tapped) {
    const Observing *work = tapped->work;
    for (int i = 0; i < work->count && !work->watched[i].buffer; i++) {
        const Type *type = watched_type(work->runner, &work->watched[i]);
        const BufferRows rows = buffer_rows_of(type, runner_input(work->runner, tapped->worker, work->watched[i].order));
        if (type->elem != ELEM_F32)
            continue;
        observer_add(&tapped->observers[i], 0, rows.data, rows.elems);
        tell(tapped, i, &rows, 0);
    }
}

static bool observe_sample(void *context, int worker, int sample, char *message) {
    Observing *work = context;
    RunnerState *state = runner_state(work->runner, worker);
    Observer *observers = work->observers[worker];
    if (!work->source->load(work->source->context, sample, state->inputs, message))
        return false;
    if (!sample || !work->source->keep_states)
        runner_reset(work->runner, worker);
    const uint64_t seed = seed_of(work->runner, state);
    for (int i = 0; i < work->sets * work->count; i++)
        observer_begin_sample(&observers[i], type_elem_count(watched_type(work->runner, &work->watched[i % work->count])), seed);
    TapContext tapped = {work, observers, worker, sample};
    observe_inputs(&tapped);
    runner_continue_tapped(work->runner, worker, tap, tap_rows, &tapped);
    if (work->extremes && sample >= work->first_averaged)
        keep_extremes(work, observers, sample);
    if (work->more && work->more->ran)
        work->more->ran(work->more->context, worker, sample, work->runner, state);
    if (work->source->step)
        work->source->step(work->source->context);
    return check_finite(work, observers, message);
}

// ---- the whole

static void merge_workers(Observing *work, int threads) {
    for (int i = 0; i < work->sets * work->count; i++) {
        for (int worker = 1; worker < threads; worker++) {
            observer_merge(&work->observers[0][i], &work->observers[worker][i]);
            observer_close(&work->observers[worker][i]);
        }
        observer_settle(&work->observers[0][i]);
    }
}

// In the order of the samples, whichever workers saw them.
static void average_extremes(Observing *work) {
    const int averaged = work->source->count - work->first_averaged;
    for (int i = 0; i < work->count; i++) {
        double min = NAN, max = NAN;
        for (int s = 0; s < averaged; s++) {
            const Extremes *own = &work->extremes[(int64_t)s * work->count + i];
            if (isnan(own->min))
                continue;
            min = isnan(min) ? own->min : min + AVERAGING_RATE * (own->min - min);
            max = isnan(max) ? own->max : max + AVERAGING_RATE * (own->max - max);
        }
        work->observers[0][i].mean_min = isnan(min) ? 0 : (float)min;
        work->observers[0][i].mean_max = isnan(max) ? 0 : (float)max;
    }
}

static void open_extremes(Observing *work) {
    const int count = work->source->count, averaged = count < AVERAGED_SAMPLES ? count : AVERAGED_SAMPLES;
    work->first_averaged = count - averaged;
    work->extremes = calloc((size_t)averaged * (size_t)work->count + 1, sizeof *work->extremes);
    BUG_UNLESS(work->extremes, "out of memory for the extremes of %d samples", averaged);
}

static int64_t channels_of(const Watched *watched) {
    const Type *type = watched->buffer ? watched->buffer->type : NULL;
    return type && type->rank ? type->shape[type->rank - 1] : 0;
}

static void open_observers(Arena *arena, Observing *work, int threads, ObserveKind kind) {
    const int all = work->sets * work->count;
    work->observers = ARENA_ARRAY(arena, Observer *, threads);
    for (int worker = 0; worker < threads; worker++) {
        work->observers[worker] = ARENA_ARRAY(arena, Observer, all + 1);
        for (int i = 0; i < all; i++) {
            observer_open(&work->observers[worker][i], kind & OBSERVE_BINS);
            if ((kind & OBSERVE_CHANNELS) && i < work->count)
                observer_watch_channels(&work->observers[worker][i], channels_of(&work->watched[i]));
        }
    }
}

static void find_factors_of(Arena *arena, Observing *work, const ObserveMore *more) {
    work->more = more;
    work->sets = 1 + (more ? more->sets : 0);
    work->factors = ARENA_ARRAY(arena, const ChannelFactors *, work->sets * work->count + 1);
    for (int set = 1; set < work->sets; set++)
        for (int i = 0; i < work->count; i++)
            work->factors[set * work->count + i] = more->factors(more->context, set - 1, work->watched[i].name);
}

static void close_observers(Observing *work, int threads) {
    for (int worker = 0; worker < threads; worker++)
        for (int i = 0; i < work->sets * work->count; i++)
            observer_close(&work->observers[worker][i]);
}

PassContext float_context(const PassContext *context) {
    PassContext plain = *context;
    plain.precision = plain.input_type = plain.output_type = ELEM_F32;
    plain.calibration = NULL;
    plain.qtable = NULL;
    plain.explain = NULL;
    plain.keep_all = false;
    plain.no_residual_sums = plain.no_output_sums = false; // a table is of the network, whatever is compiled
    plain.target = target_host();
    return plain;
}

static void give(Arena *arena, const Observing *work, Observations *seen) {
    for (int set = 0; set < work->sets; set++) {
        Observer *owned = work->observers[0] + set * work->count;
        seen[set] = (Observations){work->count, ARENA_ARRAY(arena, const char *, work->count + 1), ARENA_ARRAY(arena, const Observer *, work->count + 1), owned};
        for (int i = 0; i < work->count; i++) {
            seen[set].names[i] = work->watched[i].name;
            seen[set].observers[i] = is_seen(work, set * work->count + i) ? &owned[i] : &work->observers[0][i];
        }
    }
}

Watch *watch_new(Arena *arena, const Module *imported, const PassContext *context, int threads) {
    PassContext plain = float_context(context);
    plain.watched = plain.in_rows = true;
    Module *kn = module_clone(arena, imported);
    Watch *watch = ARENA_NEW(arena, Watch);
    if (!run_pipeline(kn, &plain, "lower") || !(watch->runner = runner_new(arena, kn, threads, context->diag)))
        return NULL;
    list_watched(arena, watch, imported, kn);
    return watch;
}

void watch_free(Watch *watch) {
    runner_free(watch->runner);
}

const Runner *watch_runner(const Watch *watch) {
    return watch->runner;
}

int watch_count(const Watch *watch) {
    return watch->count;
}

int watch_find(const Watch *watch, const char *name) {
    for (int i = 0; i < watch->count; i++)
        if (watch->watched[i].buffer && !strcmp(watch->watched[i].name, name))
            return i;
    return -1;
}

const Type *watch_type(const Watch *watch, int which) {
    return watched_type(watch->runner, &watch->watched[which]);
}

bool watch_run(Arena *arena, Diag *diag, const Watch *watch, const SampleSource *source, ObserveKind kind, const ObserveMore *more, int threads,
               Observations *seen) {
    Observing work = {.source = source, .runner = watch->runner, .count = watch->count, .watched = watch->watched};
    if (threads > source->count)
        threads = source->count;
    find_factors_of(arena, &work, more);
    open_observers(arena, &work, threads, kind);
    if (kind & OBSERVE_EXTREMES)
        open_extremes(&work);
    int failed;
    char message[MESSAGE_BYTES];
    bool done = parallel_samples(threads, source->count, observe_sample, &work, &failed, message);
    if (done) {
        merge_workers(&work, threads);
        if (work.extremes)
            average_extremes(&work);
        give(arena, &work, seen);
    } else {
        close_observers(&work, threads);
        diag_error(diag, loc_file(source->path(source->context, failed)), "%s", message);
    }
    free(work.extremes);
    return done;
}

bool observe(Arena *arena, const Module *imported, const PassContext *context, const SampleSource *source, ObserveKind kind,
             int threads, Observations *seen) {
    if (threads > source->count)
        threads = source->count;
    Watch *watch = watch_new(arena, imported, context, threads);
    if (!watch)
        return false;
    const bool done = watch_run(arena, context->diag, watch, source, kind, NULL, threads, seen);
    watch_free(watch);
    return done;
}

void observations_close(Observations *seen) {
    for (int i = 0; i < seen->count; i++)
        observer_close(&seen->owned[i]);
}

const Observer *observations_find(const Observations *seen, const Value *value) {
    for (int i = 0; i < seen->count; i++)
        if (value_is_called(value, seen->names[i]) && seen->observers[i]->count)
            return seen->observers[i];
    return NULL;
}
