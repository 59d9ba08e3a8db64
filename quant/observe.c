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

typedef struct {
    const Runner *runner;
    const SampleSource *source;
    Extremes *extremes; // [sample - first_averaged][watched]; NULL: not wanted
    int first_averaged;
    int count;
    Watched *watched;     // sorted by buffer
    Observer **observers; // [worker][watched]
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

static void list_watched(Arena *arena, Observing *work, const Module *imported, const Module *kn) {
    Func *main = module_main(imported);
    const Func *program = module_main(kn);
    int room = main->arg_count;
    FOR_EACH_OP(program, op) room += is_watched(main, op);
    work->watched = ARENA_ARRAY(arena, Watched, room + 1);
    // Inputs first: qsort leaves them there, their buffer being NULL.
    for (int i = 0; i < main->arg_count; i++)
        work->watched[work->count++] = (Watched){NULL, main->args[i].name, i};
    FOR_EACH_OP(program, op)
    if (is_watched(main, op))
        work->watched[work->count] = (Watched){&op->results[0], op->results[0].name, work->count},
        work->count++;
    qsort(work->watched, (size_t)work->count, sizeof *work->watched, by_buffer);
}

// ---- observing

typedef struct {
    const Observing *work;
    Observer *observers;
} TapContext;

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

static void observe_row(void *context, const void *row, int64_t elems) {
    observer_add(context, row, elems);
}

static void tap(void *context, const Value *buffer, const void *data) {
    TapContext *tapped = context;
    int index = find_watched(tapped->work, buffer);
    if (index >= 0)
        buffer_rows(buffer->type, data, observe_row, &tapped->observers[index]);
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

static bool observe_sample(void *context, int worker, int sample, char *message) {
    Observing *work = context;
    RunnerState *state = runner_state(work->runner, worker);
    Observer *observers = work->observers[worker];
    if (!work->source->load(work->source->context, sample, state->inputs, message))
        return false;
    if (!sample || !work->source->keep_states)
        runner_reset(work->runner, worker);
    for (int i = 0; i < work->count; i++)
        observer_begin_sample(&observers[i]);
    for (int i = 0; i < work->count && !work->watched[i].buffer; i++)
        if (runner_input_type(work->runner, work->watched[i].order)->elem == ELEM_F32)
            observer_add(&observers[i], runner_input(work->runner, worker, work->watched[i].order),
                         type_elem_count(runner_input_type(work->runner, work->watched[i].order)));
    TapContext tapped = {work, observers};
    runner_continue(work->runner, worker, tap, &tapped);
    if (work->extremes && sample >= work->first_averaged)
        keep_extremes(work, observers, sample);
    if (work->source->step)
        work->source->step(work->source->context);
    return check_finite(work, observers, message);
}

// ---- the whole

static void merge_workers(Observing *work, int threads) {
    for (int worker = 1; worker < threads; worker++)
        for (int i = 0; i < work->count; i++)
            observer_merge(&work->observers[0][i], &work->observers[worker][i]);
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
    work->observers = ARENA_ARRAY(arena, Observer *, threads);
    for (int worker = 0; worker < threads; worker++) {
        work->observers[worker] = ARENA_ARRAY(arena, Observer, work->count + 1);
        for (int i = 0; i < work->count; i++) {
            observer_open(&work->observers[worker][i], kind & OBSERVE_BINS);
            if (kind & OBSERVE_CHANNELS)
                observer_watch_channels(&work->observers[worker][i], channels_of(&work->watched[i]));
        }
    }
}

static void close_observers(Observing *work, int first, int threads) {
    for (int worker = first; worker < threads; worker++)
        for (int i = 0; i < work->count; i++)
            observer_close(&work->observers[worker][i]);
}

PassContext float_context(const PassContext *context) {
    PassContext plain = *context;
    plain.precision = plain.input_type = plain.output_type = ELEM_F32;
    plain.calibration = NULL;
    plain.qtable = NULL;
    plain.explain = NULL;
    plain.keep_all = false;
    plain.target = target_host();
    return plain;
}

static void give(Arena *arena, const Observing *work, Observations *seen) {
    *seen = (Observations){work->count, ARENA_ARRAY(arena, const char *, work->count + 1), work->observers[0]};
    for (int i = 0; i < work->count; i++)
        seen->names[i] = work->watched[i].name;
}

bool observe(Arena *arena, const Module *imported, const PassContext *context, const SampleSource *source, ObserveKind kind,
             int threads, Observations *seen) {
    PassContext plain = float_context(context);
    plain.watched = true;
    if (threads > source->count)
        threads = source->count;
    Module *kn = module_clone(arena, imported);
    Observing work = {.source = source};
    if (!run_pipeline(kn, &plain, "lower") || !(work.runner = runner_new(arena, kn, threads, context->diag)))
        return false;
    list_watched(arena, &work, imported, kn);
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
        diag_error(context->diag, loc_file(source->path(source->context, failed)), "%s", message);
    }
    close_observers(&work, done, threads);
    free(work.extremes);
    runner_free(work.runner);
    return done;
}

void observations_close(Observations *seen) {
    for (int i = 0; i < seen->count; i++)
        observer_close(&seen->observers[i]);
}

const Observer *observations_find(const Observations *seen, const Value *value) {
    for (int i = 0; i < seen->count; i++)
        if (value_is_called(value, seen->names[i]) && seen->observers[i].count)
            return &seen->observers[i];
    return NULL;
}
