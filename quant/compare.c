// Two programs run on each sample. The first is the float network with each i8 op beside its float form, on float tensors:
// its float tensors are kept, and what an op adds by itself is seen at once. The second is the quantized network.
#include "quant/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/map.h"
#include "quant/runner.h"

typedef enum { ROLE_REAL, ROLE_OWN, ROLE_QUANT } Role;
typedef struct { Role role; int tensor; } Watched; // of a buffer

typedef struct {
    const Runner *runner;
    Map *watched; // by buffer
} Side;

typedef struct {
    const SampleSource *source;
    int count;
    Compared *tensors;
    bool *kept;              // of the float network, by tensor: views of others have no buffer
    Side alone, quant;
    float ***real;           // [worker][tensor]: the float network's elements
    Difference *inherited, *own; // [sample][tensor]
} Work;

// ---- one buffer

typedef struct {
    const float *real;
    const Type *type;
    Difference *difference;
} Walk;

static void add_pair(Difference *difference, double real, double value) {
    double error = value - real;
    difference->real_squares += real * real;
    difference->value_squares += value * value;
    difference->products += real * value;
    difference->error_squares += error * error;
    difference->largest_error = fmax(difference->largest_error, fabs(error));
}

static void compare_real_row(void *context, const void *row, int64_t elems) {
    Walk *walk = context;
    for (int64_t i = 0; i < elems; i++) add_pair(walk->difference, walk->real[i], ((const float *)row)[i]);
    walk->difference->count += elems;
    walk->real += elems;
}

static void compare_quant_row(void *context, const void *row, int64_t elems) {
    Walk *walk = context;
    const Quant *quant = walk->type->quant;
    Difference *difference = walk->difference;
    // Targets may store signed bytes as (signed XOR 0x80).
    const int flip = walk->type->elem == ELEM_U8 && quant->storage == ELEM_I8 ? 0x80 : 0;
    const double low = (quant->storage_min - quant->zero_point[0] - 0.5) * quant->scale[0];
    const double high = (quant->storage_max - quant->zero_point[0] + 0.5) * quant->scale[0];
    for (int64_t i = 0; i < elems; i++) {
        int32_t q = quant->storage == ELEM_I8 ? (int8_t)(((const uint8_t *)row)[i] ^ flip) : ((const uint8_t *)row)[i];
        add_pair(difference, walk->real[i], ((double)q - quant->zero_point[0]) * quant->scale[0]);
        difference->saturated += walk->real[i] < low || walk->real[i] > high;
        if (!difference->count && !i) difference->least = difference->most = q;
        if (q < difference->least) difference->least = q;
        if (q > difference->most) difference->most = q;
    }
    difference->count += elems;
    walk->real += elems;
}

// Rows begin with channel 0.
static void compare_sums_row(void *context, const void *row, int64_t elems) {
    Walk *walk = context;
    const Quant *quant = walk->type->quant;
    for (int64_t i = 0; i < elems; i++)
        add_pair(walk->difference, walk->real[i], (float)((const int32_t *)row)[i] * quant->scale[i % quant->count]);
    walk->difference->count += elems;
    walk->real += elems;
}

static void keep_row(void *context, const void *row, int64_t elems) {
    float **to = context;
    memcpy(*to, row, sizeof **to * (size_t)elems);
    *to += elems;
}

typedef struct { Work *work; const Map *watched; int worker, sample; } TapContext;

static void tap(void *context, const Value *buffer, const void *data) {
    const TapContext *tapped = context;
    const Watched *watched = map_find(tapped->watched, buffer);
    if (!watched || (watched->role == ROLE_OWN && !tapped->work->kept[watched->tensor])) return;
    Work *work = tapped->work;
    float *real = work->real[tapped->worker][watched->tensor];
    if (watched->role == ROLE_REAL) {
        buffer_rows(buffer->type, data, keep_row, &real);
        return;
    }
    // An output stands there twice: as integers, and as the floats that these are.
    if (watched->role == ROLE_QUANT && work->tensors[watched->tensor].quant && !buffer->type->quant) return;
    Difference *all = watched->role == ROLE_OWN ? work->own : work->inherited;
    Walk walk = {real, buffer->type, &all[(int64_t)tapped->sample * work->count + watched->tensor]};
    buffer_rows(buffer->type, data, type_is_sums(buffer->type) ? compare_sums_row : buffer->type->quant ? compare_quant_row : compare_real_row, &walk);
}

static void keep_inputs(Work *work, int worker) {
    const Runner *runner = work->alone.runner;
    for (int i = 0; i < runner_input_count(runner) + runner_state_count(runner); i++) { // the first tensors
        const Type *type = runner_input_type(runner, i);
        if (type->elem == ELEM_F32) memcpy(work->real[worker][i], runner_input(runner, worker, i), type_elem_count(type) * sizeof(float));
    }
}

static bool check_finite(const Work *work, int sample, char *message) {
    for (int i = 0; i < work->count; i++) {
        int64_t at = (int64_t)sample * work->count + i;
        if (isfinite(work->inherited[at].error_squares) && isfinite(work->own[at].error_squares)) continue;
        snprintf(message, MESSAGE_BYTES, "the network computes NaN or infinity in tensor '%s'; is the preprocessing right?", work->tensors[i].name);
        return false;
    }
    return true;
}

static bool compare_sample(void *context, int worker, int sample, char *message) {
    Work *work = context;
    RunnerState *alone = runner_state(work->alone.runner, worker), *quant = runner_state(work->quant.runner, worker);
    if (!work->source->load(work->source->context, sample, alone->inputs, message)) return false;
    for (int i = 0; i < runner_input_count(work->alone.runner); i++)
        memcpy(quant->inputs[i], alone->inputs[i], type_bytes(runner_input_type(work->alone.runner, i)));
    const Runner *runners[] = {work->alone.runner, work->quant.runner};
    for (int i = 0; i < 2 && (!sample || !work->source->keep_states); i++) runner_reset(runners[i], worker);
    keep_inputs(work, worker);
    runner_continue(work->alone.runner, worker, tap, &(TapContext){work, work->alone.watched, worker, sample});
    runner_continue(work->quant.runner, worker, tap, &(TapContext){work, work->quant.watched, worker, sample});
    if (work->source->step) work->source->step(work->source->context);
    return check_finite(work, sample, message);
}

// ---- which buffers

// The tensor that a buffer of this name is: its own, or with what follows the tensor's name taken off. -1: none.
static int tensor_of(const Map *tensors, const char *name, const char *suffix) {
    size_t length = strlen(name), cut = strlen(suffix);
    if (length <= cut || strcmp(name + length - cut, suffix) != 0) return -1;
    char *stem = malloc(length - cut + 1);
    BUG_UNLESS(stem, "out of memory for a name");
    memcpy(stem, name, length - cut);
    stem[length - cut] = 0;
    const int *index = map_find(tensors, stem);
    free(stem);
    return index ? *index : -1;
}

static bool role_of(const Map *tensors, const Value *buffer, bool alone, Watched *watched) {
    bool real = buffer->type->elem == ELEM_F32, sums = type_is_sums(buffer->type), eight = buffer->type->quant && elem_bits(buffer->type->elem) == 8 && buffer->type->quant->axis < 0;
    const int *named = map_find(tensors, buffer->name);
    int index = named ? *named : -1;
    Role role = alone && real ? ROLE_REAL : ROLE_QUANT;
    if (alone && (eight || sums)) role = ROLE_OWN, index = tensor_of(tensors, buffer->name, ALONE_SUFFIX);
    else if (eight && index < 0) index = tensor_of(tensors, buffer->name, "_i8");
    *watched = (Watched){role, index};
    return index >= 0 && (real || eight || sums);
}

static void watch(Arena *arena, Work *work, const Map *tensors, const Module *kn, bool alone) {
    Side *side = alone ? &work->alone : &work->quant;
    side->watched = map_new_pointers(arena);
    FOR_EACH_OP(module_main(kn), op) {
        Watched watched;
        const Value *buffer = op->result_count ? &op->results[0] : NULL;
        if ((op->kind != OP_kn_alloc && op->kind != OP_kn_output) || !buffer->name || !role_of(tensors, buffer, alone, &watched)) continue;
        Compared *tensor = &work->tensors[watched.tensor];
        if (watched.role != ROLE_REAL && type_is_sums(buffer->type)) tensor->sums = true;
        if (watched.role == ROLE_REAL) work->kept[watched.tensor] = true;
        if (watched.role == ROLE_QUANT) {
            if (!work->kept[watched.tensor]) continue;
            if (buffer->type->quant && !type_is_sums(buffer->type)) tensor->quant = buffer->type->quant;
        }
        Watched *own = ARENA_NEW(arena, Watched);
        *own = watched;
        *map_get(side->watched, buffer) = own;
    }
}

static Map *list_tensors(Arena *arena, Work *work, const Func *main) {
    Map *tensors = map_new_texts(arena);
    int room = main->arg_count;
    FOR_EACH_OP(main, op) room += op->result_count;
    work->tensors = ARENA_ARRAY(arena, Compared, room + 1);
    for (int i = 0; i < main->arg_count; i++) work->tensors[work->count++] = (Compared){.name = main->args[i].name};
    FOR_EACH_OP(main, op)
        if (op->result_count && op->kind != OP_constant && op->results[0].name)
            work->tensors[work->count++] = (Compared){.name = op->results[0].name, .op = op};
    work->kept = ARENA_ARRAY(arena, bool, room + 1);
    for (int i = 0; i < work->count; i++) {
        work->kept[i] = i < main->arg_count && main->args[i].type->elem == ELEM_F32;
        int *index = ARENA_NEW(arena, int);
        *index = i;
        if (work->tensors[i].name) *map_get(tensors, work->tensors[i].name) = index;
    }
    return tensors;
}

static void make_real(Arena *arena, Work *work, const Func *main, int threads) {
    work->real = ARENA_ARRAY(arena, float **, threads);
    for (int w = 0; w < threads; w++) {
        work->real[w] = ARENA_ARRAY(arena, float *, work->count + 1);
        for (int i = 0; i < work->count; i++) {
            const Type *type = i < main->arg_count ? main->args[i].type : work->tensors[i].op->results[0].type;
            work->real[w][i] = ARENA_ARRAY(arena, float, type_elem_count(type) + 1);
        }
    }
}

// ---- the whole

static bool open_side(Arena *arena, Work *work, const Map *tensors, const Module *imported, const PassContext *context, bool alone, int threads) {
    Module *module = lower_watched(arena, imported, context, alone);
    if (!module) return false;
    Side *side = alone ? &work->alone : &work->quant;
    watch(arena, work, tensors, module, alone);
    return (side->runner = runner_new(arena, module, threads, context->diag)) != NULL;
}

static void add_difference(Difference *sum, const Difference *one) {
    if (!one->count) return;
    if (!sum->count || one->least < sum->least) sum->least = one->least;
    if (!sum->count || one->most > sum->most) sum->most = one->most;
    sum->count += one->count;
    sum->saturated += one->saturated;
    sum->real_squares += one->real_squares;
    sum->value_squares += one->value_squares;
    sum->products += one->products;
    sum->error_squares += one->error_squares;
    sum->largest_error = fmax(sum->largest_error, one->largest_error);
}

static int gather(Work *work) {
    int kept = 0;
    for (int i = 0; i < work->count; i++) {
        Compared *tensor = &work->tensors[i];
        for (int s = 0; s < work->source->count; s++) {
            add_difference(&tensor->inherited, &work->inherited[(int64_t)s * work->count + i]);
            add_difference(&tensor->own, &work->own[(int64_t)s * work->count + i]);
        }
        if (tensor->inherited.count) work->tensors[kept++] = *tensor;
    }
    return kept;
}

bool compare_layers(Arena *arena, const Module *imported, const PassContext *context, const SampleSource *source, int threads,
                    int *count, Compared **compared) {
    if (threads > source->count) threads = source->count;
    const Func *main = module_main(imported);
    Work work = {.source = source};
    const Map *tensors = list_tensors(arena, &work, main);
    make_real(arena, &work, main, threads);
    work.inherited = ARENA_ARRAY(arena, Difference, (int64_t)source->count * work.count + 1);
    work.own = ARENA_ARRAY(arena, Difference, (int64_t)source->count * work.count + 1);
    bool done = open_side(arena, &work, tensors, imported, context, true, threads) &&
                open_side(arena, &work, tensors, imported, context, false, threads);
    int failed;
    char message[MESSAGE_BYTES];
    if (done && !parallel_samples(threads, source->count, compare_sample, &work, &failed, message))
        done = diag_error(context->diag, loc_file(source->path(source->context, failed)), "%s", message);
    if (done) *count = gather(&work), *compared = work.tensors;
    if (work.alone.runner) runner_free(work.alone.runner);
    if (work.quant.runner) runner_free(work.quant.runner);
    return done;
}

double difference_cosine(const Difference *difference) {
    double product = sqrt(difference->real_squares) * sqrt(difference->value_squares);
    return product > 0 ? difference->products / product : difference->error_squares > 0 ? 0 : 1;
}

double difference_decibels(const Difference *difference) {
    return difference->error_squares > 0 ? 10 * log10(difference->real_squares / difference->error_squares) : INFINITY;
}

double difference_saturated(const Difference *difference) {
    return difference->count ? (double)difference->saturated / (double)difference->count : 0;
}

double difference_used(const Difference *difference, const Quant *quant) {
    return quant ? (double)(difference->most - difference->least + 1) / ((double)quant->storage_max - quant->storage_min + 1) : 1;
}
