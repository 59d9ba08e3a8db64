// The mean of a layer's result is its weights times the mean of what their taps read, so that one run of the float network tells what
// rounding the weights takes from every layer's channels. With that given back, no layer hands on a shift to those behind it.
#include "quant/bias.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "passes/correct_bias.h"
#include "passes/rewrite.h"
#include "quant/means.h"
#include "quant/nearness.h"
#include "quant/part.h"

// As many samples as layers read so many elements of, within these bounds, and no more than there is room for.
enum { LEAST_SAMPLES = 32, MOST_SAMPLES = 512, ELEMS_READ = 1 << 29, MOST_KEPT = 1 << 24 };
static const double ENOUGH_DB = 0.02;

typedef struct Layer {
    const Op *op;             // of the float network
    const Taps *taps;
    int64_t first, count;     // of its sums among all layers'
    const struct Layer *next; // that reads the same tensor
} Layer;

struct Corrections {
    Arena *arena;
    const Module *network;
    PassContext context;
    SampleSource samples; // those that are looked at
    Part part;
    int threads, layer_count;
    int *place;           // of each of the source's samples: among these, or -1
    bool is_stream, judged;
    Layer *layers;
    const Layer **readers; // by the number of what is watched
    int64_t sums;          // of all layers
    double **room, **seen; // [worker]: to work in; a sample's sums
    float **kept;          // [sample]: its sums
    Reference *reference;  // of the odd samples, which judge; of a stream, of all; NULL: none do
};

// ---- layers

static bool is_float_layer(const Op *op) {
    return (op->kind == OP_conv2d || op->kind == OP_linear) && op->results[0].name && op_operand(op, 0)->type->elem == ELEM_F32 &&
           type_elem_count(op->results[0].type) && type_elem_count(op_operand(op, 0)->type) && value_constant(op_operand(op, 1));
}

// What is watched may be another tensor that the operand is a view of. -1: it can't be seen.
static int watched_operand(const Watch *watch, const Func *main, const Taps *taps, const Value *value) {
    for (; value; value = value->def && value->def->kind == OP_reshape ? op_operand(value->def, 0) : NULL) {
        int which = value->def || !value->name ? -1 : (int)(value - main->args);
        if (value->def && value->name) which = watch_find(watch, value->name);
        if (which >= 0) return taps_can_sum(taps, watch_type(watch, which)) ? which : -1;
    }
    return -1;
}

static void list_layers(Corrections *work, const Watch *watch) {
    const Func *main = module_main(work->network);
    int room = 0;
    FOR_EACH_OP(main, op) room += is_float_layer(op);
    work->layers = ARENA_ARRAY(work->arena, Layer, room + 1);
    work->readers = ARENA_ARRAY(work->arena, const Layer *, watch_count(watch) + 1);
    FOR_EACH_OP(main, op) {
        if (!is_float_layer(op)) continue;
        const Taps *taps = taps_new(work->arena, op);
        const int which = watched_operand(watch, main, taps, op_operand(op, 0));
        if (which < 0) continue;
        Layer *layer = &work->layers[work->layer_count++];
        *layer = (Layer){op, taps, work->sums, taps_count(taps), work->readers[which]};
        work->readers[which] = layer;
        work->sums += layer->count;
    }
}

// ---- samples

static int samples_for(const Corrections *work) {
    int64_t elems = 1;
    for (int i = 0; i < work->layer_count; i++) elems += type_elem_count(op_operand(work->layers[i].op, 0)->type);
    int64_t count = ELEMS_READ / elems;
    if (count > MOST_KEPT / (work->sums + 1)) count = MOST_KEPT / (work->sums + 1);
    return (int)(count < LEAST_SAMPLES ? LEAST_SAMPLES : count > MOST_SAMPLES ? MOST_SAMPLES : count);
}

static void open_samples(Corrections *work, const SampleSource *source, const Runner *runner) {
    work->samples = part_of(work->arena, source, samples_for(work), &work->part);
    const int count = work->samples.count, least = work->is_stream ? 2 : 1, most = work->is_stream ? count : count / 2;
    work->place = ARENA_ARRAY(work->arena, int, source->count);
    for (int s = 0; s < source->count; s++) work->place[s] = -1;
    for (int s = 0; s < count; s++) work->place[work->part.samples[s]] = s;
    if (work->judged) work->reference = reference_new(work->arena, work->network, runner, reference_samples(runner, least, most), work->is_stream, work->is_stream ? 2 : 1);
    int64_t room = 0;
    for (int i = 0; i < work->layer_count; i++) room = taps_room(work->layers[i].taps) > room ? taps_room(work->layers[i].taps) : room;
    work->room = ARENA_ARRAY(work->arena, double *, work->threads);
    work->seen = ARENA_ARRAY(work->arena, double *, work->threads);
    work->kept = ARENA_ARRAY(work->arena, float *, count);
    for (int w = 0; w < work->threads; w++) {
        work->room[w] = ARENA_ARRAY(work->arena, double, room + 1);
        work->seen[w] = ARENA_ARRAY(work->arena, double, work->sums + 1);
    }
    for (int s = 0; s < count; s++) work->kept[s] = ARENA_ARRAY(work->arena, float, work->sums + 1);
}

static void saw(void *context, int worker, int sample, int which, const BufferRows *rows, int64_t at) {
    const Corrections *work = context;
    for (const Layer *layer = work->place[sample] < 0 ? NULL : work->readers[which]; layer; layer = layer->next)
        taps_add(layer->taps, rows, at, work->room[worker], work->seen[worker] + layer->first);
}

static void ran(void *context, int worker, int sample, const Runner *runner, const RunnerState *state) {
    const Corrections *work = context;
    const int place = work->place[sample], judge = work->is_stream ? place : place % 2 ? place / 2 : -1;
    if (place < 0) return;
    for (int64_t i = 0; i < work->sums; i++) work->kept[place][i] = (float)work->seen[worker][i];
    memset(work->seen[worker], 0, sizeof(double) * (size_t)work->sums);
    if (work->reference && judge >= 0) reference_take(work->reference, judge, runner, state);
}

ObserveMore corrections_more(Corrections *corrections) { return (ObserveMore){.saw = saw, .ran = ran, .context = corrections}; }

Corrections *corrections_new(const Module *network, const PassContext *context, const SampleSource *source, const CalibrateOptions *options,
                             const Watch *watch, int threads) {
    const bool judged = options->correction == CORRECT_AUTO;
    if (options->correction == CORRECT_OFF || !takes_corrections(context) || (judged && source->count < 2)) return NULL;
    Arena *arena = arena_new();
    Corrections *work = ARENA_NEW(arena, Corrections);
    *work = (Corrections){.arena = arena, .network = network, .context = *context, .threads = threads, .judged = judged, .is_stream = source->keep_states};
    work->context.diag = diag_new(arena, NULL); // what can't be quantized is said when it is asked for
    work->context.scratch = arena;
    list_layers(work, watch);
    open_samples(work, source, watch_runner(watch));
    return work;
}

void corrections_free(Corrections *corrections) {
    if (corrections) arena_free(corrections->arena);
}

// ---- the table

// In the float network, the weights less what they stand for in i8.
static const float *lost_weights(Arena *arena, const Op *real, const Op *integer) {
    const Value *weight = op_operand(integer, 1);
    const float *w = constant_f32(arena, op_operand(real, 1));
    const int64_t count = type_elem_count(weight->type), each = count / weight->type->shape[0];
    const Quant *quant = weight->type->quant;
    const Dense *dense = value_constant(weight);
    const int8_t *q = dense->type->elem == ELEM_I8 && !dense->splat ? dense->data : NULL;
    float *lost = ARENA_ARRAY(arena, float, count + 1);
    for (int64_t row = 0; row < count / each; row++) {
        const int64_t own = quant->axis == 0 ? row : 0;
        for (int64_t i = row * each; i < (row + 1) * each; i++)
            lost[i] = (float)(w[i] - (double)((q ? q[i] : dense_i64(dense, i)) - quant->zero_point[own]) * quant->scale[own]);
    }
    return lost;
}

static float few_digits(double shift) {
    char text[32];
    snprintf(text, sizeof text, "%.3g", shift);
    return strtof(text, NULL);
}

// Of every `step`-th sample.
static void add_entry(Arena *arena, const Corrections *work, const Layer *layer, const float *lost, int step, CalibrationTable *table) {
    const int samples = work->samples.count, counted = (samples + step - 1) / step;
    const int64_t channels = op_operand(layer->op, 1)->type->shape[0];
    double *sums = ARENA_ARRAY(work->arena, double, layer->count), *means = ARENA_ARRAY(work->arena, double, channels);
    float *shifts = ARENA_ARRAY(arena, float, channels);
    bool any = false;
    for (int s = 0; s < samples; s += step)
        for (int64_t i = 0; i < layer->count; i++) sums[i] += (double)work->kept[s][layer->first + i];
    taps_mean(layer->taps, sums, lost, means);
    for (int64_t c = 0; c < channels; c++) {
        shifts[c] = few_digits(means[c] / counted);
        if (!isfinite(shifts[c])) return; // what the network computes is no number
        any = any || shifts[c] != 0;
    }
    if (any)
        table->corrected[table->corrected_count++] =
            (BiasCorrection){.name = arena_strdup(arena, layer->op->results[0].name), .count = (int)channels, .shifts = shifts};
}

static void fill_table(Arena *arena, const Corrections *work, const float *const *lost, int step, CalibrationTable *table) {
    table->corrected = ARENA_ARRAY(arena, BiasCorrection, work->layer_count + 1);
    table->corrected_count = 0;
    for (int i = 0; i < work->layer_count; i++)
        if (lost[i]) add_entry(arena, work, &work->layers[i], lost[i], step, table);
}

// By layer, in the quantized network of default options, as corrections are for it; of a layer that stays float NULL. NULL: there is none.
static const float **find_lost(Corrections *work, const CalibrationTable *table) {
    CalibrationTable ranges = *table;
    PassContext quant = float_context(&work->context);
    ranges.equalized_count = ranges.corrected_count = 0; // the network has the factors
    quant.precision = ELEM_I8;
    quant.calibration = &ranges;
    quant.symmetric = quant.per_tensor_weights = quant.mse_weights = false;
    Module *quantized = module_clone(work->arena, work->network);
    if (!run_pipeline(quantized, &quant, "quantize")) return NULL;
    const float **lost = ARENA_ARRAY(work->arena, const float *, work->layer_count + 1);
    for (int i = 0; i < work->layer_count; i++) {
        const Op *real = work->layers[i].op, *integer = integer_layer(module_main(quantized), real->results[0].name);
        lost[i] = integer ? lost_weights(work->arena, real, integer) : NULL;
    }
    return lost;
}

// ---- the choice

static bool helps(const Corrections *work, const CalibrationTable *table) {
    CalibrationTable with = *table, without;
    const CalibrationTable *const tables[] = {&without, &with};
    const Module *const networks[] = {work->network, work->network};
    without = with;
    without.corrected_count = 0;
    return nearest(work->reference, &work->context, 2, networks, tables, ENOUGH_DB, work->threads);
}

void corrections_find(Arena *arena, Corrections *corrections, CalibrationTable *table) {
    table->corrected_count = 0;
    const float *const *lost = corrections ? find_lost(corrections, table) : NULL;
    if (!lost) return;
    fill_table(corrections->arena, corrections, lost, 2, table);
    if (!corrections->judged || (table->corrected_count && helps(corrections, table))) fill_table(arena, corrections, lost, 1, table);
    else table->corrected_count = 0;
}
