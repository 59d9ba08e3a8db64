// The mean of a layer's result is its weights times the mean of what their taps read, so that one run of the float network tells what
// rounding the weights takes from every layer's channels. With that given back, no layer hands on a shift to those behind it.
#include "quant/bias.h"

#include <math.h>
#include <stdlib.h>

#include "ir/map.h"
#include "passes/correct_bias.h"
#include "passes/rewrite.h"
#include "quant/means.h"
#include "quant/nearness.h"
#include "quant/part.h"
#include "quant/runner.h"

// As many samples as layers read so many elements of, within these bounds.
enum { LEAST_SAMPLES = 32, MOST_SAMPLES = 512, ELEMS_READ = 1 << 29 };
static const double ENOUGH_DB = 0.02;

typedef struct Layer {
    const Op *op;            // of the float network
    const Taps *taps;
    int64_t channels;
    const float *lost;       // of each weight, by rounding
    double *means;           // [sample][channel] of what is lost of the result
    const struct Layer *next; // that reads the same buffer
} Layer;

typedef struct {
    const SampleSource *source;
    const Runner *runner;
    int threads, count;
    Layer *layers;
    double **room; // [worker]
    Map *readers;  // Layer by the buffer that it reads
    Reference *reference; // of the odd samples, which judge; NULL: none do
    int judges;           // how many of them
    const Layer **input_readers; // by input of the network
} Work;

// ---- layers

// In the float network, the weights less what they stand for in i8.
static const float *lost_weights(Arena *arena, const Op *real, const Op *integer) {
    const Value *weight = op_operand(integer, 1);
    const float *w = constant_f32(arena, op_operand(real, 1));
    const int64_t count = type_elem_count(weight->type), each = count / weight->type->shape[0];
    const Quant *quant = weight->type->quant;
    float *lost = ARENA_ARRAY(arena, float, count + 1);
    for (int64_t i = 0; i < count; i++) {
        const int64_t row = quant->axis == 0 ? i / each : 0;
        lost[i] = (float)(w[i] - (double)(dense_i64(value_constant(weight), i) - quant->zero_point[row]) * quant->scale[row]);
    }
    return lost;
}

static bool is_float_layer(const Op *op) {
    return (op->kind == OP_conv2d || op->kind == OP_linear) && op->results[0].name && op_operand(op, 0)->type->elem == ELEM_F32 &&
           type_elem_count(op->results[0].type) && type_elem_count(op_operand(op, 0)->type) && value_constant(op_operand(op, 1));
}

static void list_layers(Arena *arena, Work *work, const Module *network, Module *quantized) {
    int room = 0;
    FOR_EACH_OP(module_main(network), op) room += is_float_layer(op);
    work->layers = ARENA_ARRAY(arena, Layer, room + 1);
    FOR_EACH_OP(module_main(network), op) {
        const Op *integer = is_float_layer(op) ? integer_layer(module_main(quantized), op->results[0].name) : NULL;
        if (!integer) continue;
        const int64_t channels = op_operand(op, 1)->type->shape[0];
        work->layers[work->count++] = (Layer){op, taps_new(arena, op), channels, lost_weights(arena, op, integer),
                                              ARENA_ARRAY(arena, double, channels * work->source->count), NULL};
    }
}

// ---- what they read

static void add_reader(const Layer **first, Layer *layer) {
    layer->next = *first;
    *first = layer;
}

// The operand may be a view of another tensor; false: it has no buffer that it can be read in.
static bool watch_operand(Work *work, const Map *buffers, const Func *main, Layer *layer) {
    const Value *value = op_operand(layer->op, 0);
    while (value->def && value->def->kind == OP_reshape) value = op_operand(value->def, 0);
    for (int i = 0; i < main->arg_count; i++)
        if (value == &main->args[i]) return add_reader(&work->input_readers[i], layer), true;
    for (value = op_operand(layer->op, 0); value;) {
        const Value *buffer = value->name ? map_find(buffers, value->name) : NULL;
        if (buffer && !taps_can_sum(layer->taps, buffer->type)) return false;
        if (buffer) return add_reader((const Layer **)map_get(work->readers, buffer), layer), true;
        value = value->def && value->def->kind == OP_reshape ? op_operand(value->def, 0) : NULL;
    }
    return false;
}

static void watch(Arena *arena, Work *work, const Module *network, const Module *kn) {
    const Func *main = module_main(network);
    Map *buffers = map_new_texts(arena);
    work->readers = map_new_pointers(arena);
    work->input_readers = ARENA_ARRAY(arena, const Layer *, main->arg_count + 1);
    FOR_EACH_OP(module_main(kn), op)
        if ((op->kind == OP_kn_alloc || op->kind == OP_kn_output) && op->results[0].name && op->results[0].type->elem == ELEM_F32)
            *map_get(buffers, op->results[0].name) = &op->results[0];
    int kept = 0;
    for (int i = 0; i < work->count; i++) {
        work->layers[kept] = work->layers[i];
        kept += watch_operand(work, buffers, main, &work->layers[kept]);
    }
    work->count = kept;
}

// ---- samples

typedef struct { const Work *work; int worker, sample; } TapContext;

static void measure(const TapContext *tapped, const Layer *layer, const Type *type, const void *data) {
    double *sums = tapped->work->room[tapped->worker];
    for (; layer; layer = layer->next) {
        taps_sum(layer->taps, type, data, sums);
        taps_mean(layer->taps, sums, layer->lost, layer->means + tapped->sample * layer->channels);
    }
}

static void tap(void *context, const Value *buffer, const void *data) {
    const TapContext *tapped = context;
    measure(tapped, map_find(tapped->work->readers, buffer), buffer->type, data);
}

static bool run_sample(void *context, int worker, int sample, char *message) {
    const Work *work = context;
    RunnerState *state = runner_state(work->runner, worker);
    if (!work->source->load(work->source->context, sample, state->inputs, message)) return false;
    TapContext tapped = {work, worker, sample};
    for (int i = 0; i < runner_input_count(work->runner); i++) measure(&tapped, work->input_readers[i], runner_input_type(work->runner, i), state->inputs[i]);
    runner_run(work->runner, worker, tap, &tapped);
    if (sample % 2 && sample / 2 < work->judges) reference_take(work->reference, sample / 2, work->runner, state);
    return true;
}

static bool run_float(Arena *arena, Work *work, const Module *network, const PassContext *context, bool judged) {
    PassContext plain = float_context(context);
    plain.watched = true;
    Module *kn = module_clone(arena, network);
    int64_t room = 0;
    if (!run_pipeline(kn, &plain, "lower") || !(work->runner = runner_new(arena, kn, work->threads, context->diag))) return false;
    watch(arena, work, network, kn);
    work->judges = judged ? reference_samples(work->runner, 1, work->source->count / 2) : 0;
    if (judged) work->reference = reference_new(arena, work->runner, work->judges);
    for (int i = 0; i < work->count; i++) room = taps_room(work->layers[i].taps) > room ? taps_room(work->layers[i].taps) : room;
    work->room = ARENA_ARRAY(arena, double *, work->threads);
    for (int w = 0; w < work->threads; w++) work->room[w] = ARENA_ARRAY(arena, double, room + 1);
    int failed;
    char message[MESSAGE_BYTES];
    return parallel_samples(work->threads, work->source->count, run_sample, work, &failed, message) || diag_error(context->diag, loc_file(work->source->path(work->source->context, failed)), "%s", message);
}

// ---- the table

static float few_digits(double shift) {
    char text[32];
    snprintf(text, sizeof text, "%.3g", shift);
    return strtof(text, NULL);
}

// Of every `step`-th sample.
static void add_entry(Arena *arena, const Layer *layer, int samples, int step, CalibrationTable *table) {
    float *shifts = ARENA_ARRAY(arena, float, layer->channels);
    bool any = false;
    for (int64_t c = 0; c < layer->channels; c++) {
        double sum = 0;
        for (int s = 0; s < samples; s += step) sum += layer->means[s * layer->channels + c];
        shifts[c] = few_digits(sum / ((samples + step - 1) / step));
        if (!isfinite(shifts[c])) return; // what the network computes is no number
        any = any || shifts[c] != 0;
    }
    if (any)
        table->corrected[table->corrected_count++] =
            (BiasCorrection){.name = arena_strdup(arena, layer->op->results[0].name), .count = (int)layer->channels, .shifts = shifts};
}

static void fill_table(Arena *arena, const Work *work, int step, CalibrationTable *table) {
    table->corrected = ARENA_ARRAY(arena, BiasCorrection, work->count + 1);
    table->corrected_count = 0;
    for (int i = 0; i < work->count; i++) add_entry(arena, &work->layers[i], work->source->count, step, table);
}

// The quantized network of default options, as corrections are for it.
static PassContext default_context(const PassContext *context, const CalibrationTable *table) {
    PassContext quant = float_context(context);
    quant.precision = ELEM_I8;
    quant.calibration = table;
    quant.symmetric = quant.per_tensor_weights = quant.mse_weights = false;
    return quant;
}

static bool measure_shifts(Arena *arena, Work *work, const Module *network, const PassContext *context, bool judged, const CalibrationTable *table) {
    CalibrationTable ranges = *table;
    ranges.equalized_count = ranges.corrected_count = 0; // the network has the factors
    const PassContext quant = default_context(context, &ranges);
    Module *quantized = module_clone(arena, network);
    if (!run_pipeline(quantized, &quant, "quantize")) return false;
    list_layers(arena, work, network, quantized);
    return work->count && run_float(arena, work, network, &quant, judged);
}

// ---- the choice

static bool helps(const Work *work, const Module *network, const PassContext *context, const CalibrationTable *table) {
    CalibrationTable with = *table, without;
    const CalibrationTable *const tables[] = {&with, &without};
    double decibels[2];
    with.equalized_count = 0;
    without = with;
    without.corrected_count = 0;
    nearness(work->reference, network, context, 2, tables, work->threads, decibels);
    return decibels[0] > decibels[1] + ENOUGH_DB;
}

static int samples_for(const Module *network) {
    int64_t elems = 1;
    FOR_EACH_OP(module_main(network), op)
        if (is_float_layer(op)) elems += type_elem_count(op_operand(op, 0)->type);
    const int64_t count = ELEMS_READ / elems;
    return (int)(count < LEAST_SAMPLES ? LEAST_SAMPLES : count > MOST_SAMPLES ? MOST_SAMPLES : count);
}

static bool choose(Arena *arena, Work *work, const Module *network, const PassContext *context, bool judged, CalibrationTable *table) {
    if (!measure_shifts(context->scratch, work, network, context, judged, table)) return false;
    fill_table(context->scratch, work, 2, table);
    if (judged && !(table->corrected_count && helps(work, network, context, table))) return false;
    fill_table(arena, work, 1, table);
    return true;
}

void find_corrections(Arena *arena, const Module *network, const PassContext *context, const SampleSource *source,
                      const CalibrateOptions *options, int threads, CalibrationTable *table) {
    table->corrected_count = 0;
    const bool judged = options->correction == CORRECT_AUTO;
    if (options->correction == CORRECT_OFF || !takes_corrections(context) || (judged && source->count < 2)) return;
    PassContext own = *context;
    Arena *scratch = arena_new();
    own.diag = diag_new(scratch, NULL); // what can't be quantized is said when it is asked for
    own.scratch = scratch;
    Part part;
    const SampleSource some = part_of(scratch, source, samples_for(network), &part);
    Work work = {.source = &some, .threads = threads < some.count ? threads : some.count};
    if (!choose(arena, &work, network, &own, judged, table)) table->corrected_count = 0;
    if (work.runner) runner_free(work.runner);
    arena_free(scratch);
}
