// Nothing is compiled for an operator. One program computes the i8 form of every operator beside the float network's
// tensors; another is the float network: when it has computed a tensor, its memory is copied, the i8 form put in the
// tensor's place, and only what comes behind is run.
#include "quant/search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/map.h"
#include "quant/equalize.h"
#include "quant/runner.h"

typedef struct {
    const SampleSource *source;
    const CalibrationMethod *methods;
    int method_count, count, outputs;
    SensitiveOp *ops;
    const Runner *real, *whole, *alone[METHOD_COUNT];
    Map *real_ops, *alone_ops[METHOD_COUNT]; // index of an op by its buffer
    float ****own;    // [worker][method][op]: what it gives by itself
    double *losses;   // [sample][op][method]
    double *cosines;  // [sample] of the whole network
} Search;

// ---- outputs

// The mean of the f32 outputs' cosines; 1 where both are zero.
static double output_cosine(const Search *work, const RunnerState *real, const RunnerState *other) {
    double sum = 0;
    int count = 0;
    for (int o = 0; o < work->outputs; o++) {
        const Type *type = runner_output(work->real, o)->type;
        if (type->elem != ELEM_F32) continue;
        const float *a = real->outputs[o], *b = other->outputs[o];
        double product = 0, a_squares = 0, b_squares = 0;
        for (int64_t i = 0, elems = type_elem_count(type); i < elems; i++) {
            product += (double)a[i] * b[i];
            a_squares += (double)a[i] * a[i];
            b_squares += (double)b[i] * b[i];
        }
        double norm = sqrt(a_squares) * sqrt(b_squares);
        sum += norm > 0 ? product / norm : a_squares == b_squares;
        count++;
    }
    return count ? sum / count : 1;
}

static bool load(const Search *work, const Runner *runner, int worker, int sample, char *message) {
    return work->source->load(work->source->context, sample, runner_state(runner, worker)->inputs, message);
}

static void give_inputs(const Runner *from, const Runner *to, int worker) {
    for (int i = 0; i < runner_input_count(from); i++)
        memcpy(runner_state(to, worker)->inputs[i], runner_state(from, worker)->inputs[i], type_bytes(runner_input_type(from, i)));
}

static bool check_finite(const Search *work, const RunnerState *real, char *message) {
    for (int o = 0; o < work->outputs; o++) {
        const Value *output = runner_output(work->real, o);
        const float *elems = real->outputs[o];
        for (int64_t i = 0, count = output->type->elem == ELEM_F32 ? type_elem_count(output->type) : 0; i < count; i++) {
            if (isfinite(elems[i])) continue;
            snprintf(message, MESSAGE_BYTES, "the network computes NaN or infinity in tensor '%s'; is the preprocessing right?", output->name);
            return false;
        }
    }
    return true;
}

static bool whole_sample(void *context, int worker, int sample, char *message) {
    Search *work = context;
    if (!load(work, work->real, worker, sample, message)) return false;
    give_inputs(work->real, work->whole, worker);
    runner_run(work->real, worker, NULL, NULL);
    runner_run(work->whole, worker, NULL, NULL);
    work->cosines[sample] = output_cosine(work, runner_state(work->real, worker), runner_state(work->whole, worker));
    return check_finite(work, runner_state(work->real, worker), message);
}

// ---- operators by themselves

typedef struct { Search *work; int worker, sample, method; } TapContext;
typedef struct { float *at; const Type *type; } Reals;

static void dequantize_row(void *context, const void *row, int64_t elems) {
    Reals *reals = context;
    const Quant *quant = reals->type->quant;
    // Targets may store signed bytes as (signed XOR 0x80).
    const int flip = reals->type->elem == ELEM_U8 && quant->storage == ELEM_I8 ? 0x80 : 0;
    for (int64_t i = 0; i < elems; i++) {
        int32_t q = quant->storage == ELEM_I8 ? (int8_t)(((const uint8_t *)row)[i] ^ flip) : ((const uint8_t *)row)[i];
        *reals->at++ = (float)(q - quant->zero_point[0]) * quant->scale[0];
    }
}

static void keep_own(void *context, const Value *buffer, const void *data) {
    const TapContext *tapped = context;
    const int *index = map_find(tapped->work->alone_ops[tapped->method], buffer);
    if (!index) return;
    Reals reals = {tapped->work->own[tapped->worker][tapped->method][*index], buffer->type};
    buffer_rows(buffer->type, data, dequantize_row, &reals);
}

static void put_row(void *context, const void *row, int64_t elems) {
    const float **from = context;
    memcpy((void *)(uintptr_t)row, *from, sizeof **from * (size_t)elems); // of the spare memory, which is ours
    *from += elems;
}

static void try_methods(void *context, const Value *buffer, const void *data) {
    const TapContext *tapped = context;
    Search *work = tapped->work;
    const int *index = map_find(work->real_ops, buffer);
    for (int m = 0; index && m < work->method_count; m++) {
        const float *own = work->own[tapped->worker][m][*index];
        void *place = runner_fork(work->real, tapped->worker, data);
        buffer_rows(buffer->type, place, put_row, &own);
        runner_resume(work->real, tapped->worker, buffer);
        // The float network's own outputs are not there yet: they are when the run has ended, as copies.
        const RunnerState *spare = runner_spare(work->real, tapped->worker), *whole = runner_state(work->whole, tapped->worker);
        int64_t at = ((int64_t)tapped->sample * work->count + *index) * work->method_count + m;
        work->losses[at] = 1 - output_cosine(work, whole, spare);
    }
}

static bool try_sample(void *context, int worker, int sample, char *message) {
    Search *work = context;
    if (!load(work, work->real, worker, sample, message)) return false;
    for (int m = 0; m < work->method_count; m++) {
        give_inputs(work->real, work->alone[m], worker);
        runner_run(work->alone[m], worker, keep_own, &(TapContext){work, worker, sample, m});
    }
    // The i8 network as a whole is not needed any more: its outputs hold the float network's.
    runner_run(work->real, worker, NULL, NULL);
    for (int o = 0; o < work->outputs; o++)
        memcpy(runner_state(work->whole, worker)->outputs[o], runner_state(work->real, worker)->outputs[o],
               type_bytes(runner_output(work->real, o)->type));
    runner_run(work->real, worker, try_methods, &(TapContext){work, worker, sample, 0});
    if (work->source->step) work->source->step(work->source->context);
    return true;
}

// ---- programs

static const Runner *open_program(Arena *arena, const Module *imported, const PassContext *context, bool alone, int threads, Module **kn) {
    *kn = lower_watched(arena, imported, context, alone);
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
static void list_ops(Arena *arena, Search *work, const Module *imported, const Module *alone) {
    Map *known = map_new_texts(arena);
    int room = 0;
    FOR_EACH_OP(module_main(alone), op)
        if ((op->kind == OP_kn_alloc || op->kind == OP_kn_output) && op->results[0].name) *map_get(known, op->results[0].name) = op;
    FOR_EACH_OP(module_main(imported), op) room++;
    work->ops = ARENA_ARRAY(arena, SensitiveOp, room + 1);
    FOR_EACH_OP(module_main(imported), op) {
        const char *name = op->result_count == 1 ? op->results[0].name : NULL;
        if (name && op->kind != OP_constant && map_find(known, name) && map_find(known, arena_printf(arena, "%s%s", name, ALONE_SUFFIX)))
            work->ops[work->count++] = (SensitiveOp){.name = name, .op = op};
    }
}

static bool open_programs(Arena *arena, Search *work, const Module *imported, const PassContext *context, const CalibrationTable *tables, int threads) {
    PassContext real = float_context(context), quant = *context;
    const Module *network = equalized(arena, imported, context, &tables[0]);
    Module *kn;
    if (!network || !(work->real = open_program(arena, network, &real, false, threads, &kn))) return false;
    const Module *real_kn = kn;
    quant.calibration = &tables[0];
    if (!(work->whole = open_program(arena, imported, &quant, false, threads, &kn))) return false;
    for (int m = 0; m < work->method_count; m++) {
        quant.calibration = &tables[m];
        if (!(work->alone[m] = open_program(arena, imported, &quant, true, threads, &kn))) return false;
        if (!m) list_ops(arena, work, imported, kn);
        work->alone_ops[m] = index_buffers(arena, work, kn, ALONE_SUFFIX);
    }
    work->real_ops = index_buffers(arena, work, real_kn, "");
    work->outputs = runner_output_count(work->real);
    return true;
}

static void make_own(Arena *arena, Search *work, int threads) {
    work->own = ARENA_ARRAY(arena, float ***, threads);
    for (int w = 0; w < threads; w++) {
        work->own[w] = ARENA_ARRAY(arena, float **, work->method_count);
        for (int m = 0; m < work->method_count; m++) {
            work->own[w][m] = ARENA_ARRAY(arena, float *, work->count + 1);
            for (int i = 0; i < work->count; i++)
                work->own[w][m][i] = ARENA_ARRAY(arena, float, type_elem_count(work->ops[i].op->results[0].type) + 1);
        }
    }
}

// ---- the whole

static double best_loss(const SensitiveOp *op) { return op->loss[op->best]; }

static int by_loss(const void *a, const void *b) {
    const SensitiveOp *x = a, *y = b;
    double p = best_loss(x), q = best_loss(y);
    return p != q ? (p < q ? 1 : -1) : 0;
}

static void sort_ops(Search *work) {
    // Stable: insertion keeps the order of the network among equals.
    for (int i = 1; i < work->count; i++) {
        SensitiveOp op = work->ops[i];
        int at = i;
        for (; at > 0 && by_loss(&work->ops[at - 1], &op) > 0; at--) work->ops[at] = work->ops[at - 1];
        work->ops[at] = op;
    }
}

static void gather(Search *work) {
    const int samples = work->source->count;
    for (int i = 0; i < work->count; i++) {
        SensitiveOp *op = &work->ops[i];
        op->best = work->methods[0];
        for (int m = 0; m < work->method_count; m++) {
            double sum = 0;
            for (int s = 0; s < samples; s++) sum += work->losses[((int64_t)s * work->count + i) * work->method_count + m];
            op->loss[work->methods[m]] = sum / samples;
            if (op->loss[work->methods[m]] < best_loss(op)) op->best = work->methods[m];
        }
    }
    sort_ops(work);
}

static bool over_samples(Search *work, const PassContext *context, SampleTask *task, int threads) {
    int failed;
    char message[MESSAGE_BYTES];
    return parallel_samples(threads, work->source->count, task, work, &failed, message) ||
           diag_error(context->diag, loc_file(work->source->path(work->source->context, failed)), "%s", message);
}

static void close_programs(const Search *work) {
    if (work->real) runner_free(work->real);
    if (work->whole) runner_free(work->whole);
    for (int m = 0; m < work->method_count; m++)
        if (work->alone[m]) runner_free(work->alone[m]);
}

bool search_sensitive(Arena *arena, const Module *imported, const PassContext *context, const SampleSource *source,
                      int method_count, const CalibrationMethod *methods, const CalibrationTable *tables, double expected,
                      int threads, Sensitivity *result) {
    if (threads > source->count) threads = source->count;
    Search work = {.source = source, .methods = methods, .method_count = method_count};
    *result = (Sensitivity){0};
    work.cosines = ARENA_ARRAY(arena, double, source->count + 1);
    bool done = open_programs(arena, &work, imported, context, tables, threads) && over_samples(&work, context, whole_sample, threads);
    for (int s = 0; done && s < source->count; s++) result->cosine += work.cosines[s] / source->count;
    if (done && result->cosine < expected) {
        make_own(arena, &work, threads);
        work.losses = ARENA_ARRAY(arena, double, (int64_t)source->count * work.count * method_count + 1);
        done = over_samples(&work, context, try_sample, threads);
        if (done) gather(&work);
        result->count = work.count, result->ops = work.ops;
    }
    close_programs(&work);
    return done;
}
