// Runs the float program in process over all samples with an observer at every tensor. Each thread has observers of its
// own; they are merged at the end, which gives the same table for any number of threads.
#include "quant/calibrate.h"

#include <stdlib.h>
#include <string.h>

#include "codegen/codegen.h"
#include "quant/observer.h"
#include "quant/runner.h"

// A tensor that is watched: a buffer of the program, or (buffer NULL) one of its inputs.
typedef struct {
    const Value *buffer;
    const char *name;
    int order;
} Watched;

typedef struct {
    const Runner *runner;
    const SampleSource *source;
    int count;
    Watched *watched;     // sorted by buffer
    Observer **observers; // [worker][watched]
} Calibration;

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

static void list_watched(Arena *arena, Calibration *work, const Module *imported, const Module *kn) {
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
    const Calibration *work;
    Observer *observers;
} TapContext;

static int find_watched(const Calibration *work, const Value *buffer) {
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

static bool check_finite(const Calibration *work, const Observer *observers, char *message) {
    for (int i = 0; i < work->count; i++)
        if (observers[i].not_finite) {
            snprintf(message, MESSAGE_BYTES, "the network computes NaN or infinity in tensor '%s'; is the preprocessing right?",
                     work->watched[i].name);
            return false;
        }
    return true;
}

static bool calibrate_sample(void *context, int worker, int sample, char *message) {
    Calibration *work = context;
    RunnerState *state = runner_state(work->runner, worker);
    Observer *observers = work->observers[worker];
    if (!work->source->load(work->source->context, sample, state->inputs, message))
        return false;
    for (int i = 0; i < work->count && !work->watched[i].buffer; i++)
        if (runner_input_type(work->runner, work->watched[i].order)->elem == ELEM_F32)
            observer_add(&observers[i], state->inputs[work->watched[i].order],
                         type_elem_count(runner_input_type(work->runner, work->watched[i].order)));
    TapContext tapped = {work, observers};
    runner_run(work->runner, worker, tap, &tapped);
    if (work->source->step)
        work->source->step(work->source->context);
    return check_finite(work, observers, message);
}

// ---- the table

static void merge_workers(Calibration *work, int threads) {
    for (int worker = 1; worker < threads; worker++)
        for (int i = 0; i < work->count; i++)
            observer_merge(&work->observers[0][i], &work->observers[worker][i]);
}

static const Observer *observer_of(const Calibration *work, const Value *value) {
    for (int i = 0; i < work->count; i++)
        if (value_is_called(value, work->watched[i].name) && work->observers[0][i].count)
            return &work->observers[0][i];
    return NULL;
}

static void add_entry(Arena *arena, CalibrationTable *table, const Value *value, double threshold, double min,
                      double max) {
    // In f32, as the table is written: reading it back gives the same numbers.
    table->entries[table->count++] = (CalibrationEntry){
        .name = arena_strdup(arena, value->name), .threshold = (float)threshold, .min = min, .max = max};
}

// What holds the operand's elements and no others may be no buffer of its own.
static const CalibrationEntry *moved_entry(const CalibrationTable *table, const Value *value) {
    const Op *op = value->def;
    bool moves = op && (op->kind == OP_reshape || op->kind == OP_transpose || op->kind == OP_broadcast_to);
    return moves ? calibration_find(table, op_operand(op, 0)) : NULL;
}

static const struct { const char *name; double (*threshold)(const Observer *); } methods[METHOD_COUNT] = {
    [METHOD_MINMAX] = {"minmax", threshold_minmax}, [METHOD_KL] = {"kl", threshold_kl}, [METHOD_MSE] = {"mse", threshold_mse}};

const char *calibration_method_name(CalibrationMethod method) { return methods[method].name; }

static void fill_entry(Arena *arena, const Calibration *work, CalibrationMethod method, const Value *value,
                       CalibrationTable *table) {
    if (!value->name || value_constant(value) || value->type->elem != ELEM_F32)
        return;
    const Observer *seen = observer_of(work, value);
    const CalibrationEntry *moved = seen ? NULL : moved_entry(table, value);
    if (seen)
        add_entry(arena, table, value, methods[method].threshold(seen), seen->min, seen->max);
    else if (moved)
        add_entry(arena, table, value, moved->threshold, moved->min, moved->max);
    else if (!type_elem_count(value->type)) // nothing to see, and any range will do
        add_entry(arena, table, value, 0, 0, 0);
}

// In the order of the network.
static void fill_table(Arena *arena, const Calibration *work, CalibrationMethod method, const Func *main,
                       CalibrationTable *table) {
    int room = main->arg_count;
    FOR_EACH_OP(main, op) room += op->result_count;
    table->entries = ARENA_ARRAY(arena, CalibrationEntry, room + 1);
    for (int i = 0; i < main->arg_count; i++)
        fill_entry(arena, work, method, &main->args[i], table);
    FOR_EACH_OP(main, op)
    for (int i = 0; i < op->result_count; i++)
        fill_entry(arena, work, method, &op->results[i], table);
}

static void open_observers(Arena *arena, Calibration *work, int threads, bool wants_bins) {
    work->observers = ARENA_ARRAY(arena, Observer *, threads);
    for (int worker = 0; worker < threads; worker++) {
        work->observers[worker] = ARENA_ARRAY(arena, Observer, work->count + 1);
        for (int i = 0; i < work->count; i++)
            observer_open(&work->observers[worker][i], wants_bins);
    }
}

static void close_observers(Calibration *work, int threads) {
    for (int worker = 0; worker < threads; worker++)
        for (int i = 0; i < work->count; i++)
            observer_close(&work->observers[worker][i]);
}

bool calibrate(Arena *arena, const Module *imported, const PassContext *context, const SampleSource *source,
               CalibrationMethod method, int threads, CalibrationTable *table) {
    PassContext plain = *context;
    plain.precision = plain.input_type = plain.output_type = ELEM_F32;
    plain.calibration = NULL;
    plain.qtable = NULL;
    plain.explain = NULL;
    plain.keep_all = false;
    plain.watched = true;
    plain.target = target_host();
    if (threads > source->count)
        threads = source->count;
    Module *kn = module_clone(arena, imported);
    Calibration work = {.source = source};
    if (!run_pipeline(kn, &plain, "lower") || !(work.runner = runner_new(arena, kn, threads, context->diag)))
        return false;
    list_watched(arena, &work, imported, kn);
    open_observers(arena, &work, threads, method != METHOD_MINMAX);
    int failed;
    char message[MESSAGE_BYTES];
    bool done = parallel_samples(threads, source->count, calibrate_sample, &work, &failed, message);
    if (done) {
        merge_workers(&work, threads);
        *table = (CalibrationTable){.method = methods[method].name, .data = source->description};
        fill_table(arena, &work, method, module_main(imported), table);
    } else {
        diag_error(context->diag, loc_file(source->path(source->context, failed)), "%s", message);
    }
    close_observers(&work, threads);
    runner_free(work.runner);
    return done;
}

// A name as one word of the table: in quotes where the scanner of tables would see something else in it.
static const char *table_word(Arena *arena, const char *name) {
    if (*name && *name != '#' && !strpbrk(name, " \t\r\n\""))
        return name;
    char *word = ARENA_ARRAY(arena, char, 2 * (int64_t)strlen(name) + 3), *to = word;
    *to++ = '"';
    for (const char *from = name; *from; from++) {
        if (*from == '"' || *from == '\\' || *from == '\n')
            *to++ = '\\';
        *to++ = *from == '\n' ? 'n' : *from;
    }
    *to = '"';
    return word;
}

bool calibration_write(FILE *out, Arena *arena, const CalibrationTable *table) {
    fprintf(out, "# qanat calibration table\n");
    if (table->method)
        fprintf(out, "# method: %s\n", table->method);
    if (table->data)
        fprintf(out, "# data: %s\n", table->data);
    if (table->model_hash)
        fprintf(out, "# model: %s\n", table->model_hash);
    fprintf(out, "# name threshold min max\n");
    for (int i = 0; i < table->count; i++) {
        const CalibrationEntry *entry = &table->entries[i];
        fprintf(out, "%s %s %s %s\n", table_word(arena, entry->name), float_text(arena, (float)entry->threshold),
                float_text(arena, (float)entry->min), float_text(arena, (float)entry->max));
    }
    return !ferror(out);
}
