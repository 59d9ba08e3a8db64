// What calibration data shows of each channel becomes factors; which kind of factors, the data decides, too.
#include "quant/equalize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "passes/channels.h"
#include "passes/rewrite.h"
#include "quant/nearness.h"
#include "quant/part.h"

enum { LOOKED_AT = 32, TRIED_ON = 16 }; // samples
static const double ENOUGH_DB = 0.5, TINY = 1.0 / (1 << 20);

// ---- factors of one group

static bool range_of_channels(const ChannelGroup *group, const Observations *seen, double *range) {
    bool any = false;
    for (int64_t c = 0; c < group->channels; c++) range[c] = 0;
    for (int i = 0; i < group->value_count; i++) {
        const Observer *own = observations_find(seen, group->values[i]);
        if (!own || own->channels != group->channels) continue;
        any = true;
        for (int64_t c = 0; c < group->channels; c++) range[c] = fmax(range[c], own->magnitudes[c]);
    }
    return any;
}

static double largest(const double *values, int64_t count) {
    double most = 0;
    for (int64_t i = 0; i < count; i++) most = fmax(most, values[i]);
    return most;
}

// What the rows of a consumer's weights would give if every channel had its largest magnitude, as a root of squares.
static void rows_of_weights(const float *w, int64_t rows, int64_t each, const WeightChannels *channels, const double *range, double *norms) {
    for (int64_t row = 0; row < rows; row++) {
        double squares = 0;
        for (int64_t k = row * each; k < (row + 1) * each; k++) {
            double term = w[k] * range[channel_at(channels, k)];
            squares += term * term;
        }
        norms[row] = sqrt(squares);
    }
}

// Root mean square of the weights that read each channel, summed over the layers that do; each row counts as a share of what
// the row gives, so that neither its own scale nor those of the channels matter.
static void weights_of_channels(Arena *scratch, const ChannelGroup *group, const double *range, double *size) {
    double *squares = ARENA_ARRAY(scratch, double, group->channels), *terms = ARENA_ARRAY(scratch, double, group->channels);
    for (int64_t c = 0; c < group->channels; c++) size[c] = 0;
    for (int i = 0; i < group->consumer_count; i++) {
        const Value *weight = op_operand(group->consumers[i], 1);
        const float *w = constant_f32(scratch, weight);
        const WeightChannels channels = weight_channels(group->consumers[i]);
        const int64_t rows = weight->type->shape[0], count = type_elem_count(weight->type);
        double *norms = ARENA_ARRAY(scratch, double, rows);
        rows_of_weights(w, rows, count / rows, &channels, range, norms);
        for (int64_t c = 0; c < group->channels; c++) squares[c] = terms[c] = 0;
        for (int64_t k = 0; k < count; k++) {
            const int64_t c = channel_at(&channels, k);
            const double norm = norms[k / (count / rows)], share = norm > 0 ? w[k] / norm : 0;
            squares[c] += share * share;
            terms[c]++;
        }
        for (int64_t c = 0; c < group->channels; c++)
            if (terms[c] > 0) size[c] += sqrt(squares[c] / terms[c]);
    }
}

static bool are_all_depthwise(const ChannelGroup *group) {
    for (int i = 0; i < group->consumer_count; i++)
        if (!is_depthwise(group->consumers[i])) return false;
    return true;
}

static float few_digits(double factor) {
    char text[32];
    snprintf(text, sizeof text, "%.3g", factor);
    return strtof(text, NULL);
}

// Such that the tensor's range stays what it was, or 6 where relu6 is in the way of factors below 1.
static void normalize(const ChannelGroup *group, const double *range, double *factors) {
    double whole = largest(range, group->channels), most = 0;
    for (int64_t c = 0; c < group->channels; c++) most = fmax(most, factors[c] * range[c]);
    double goal = group->is_capped ? 6 : whole;
    for (int64_t c = 0; c < group->channels; c++) {
        double factor = factors[c] > 0 ? factors[c] * goal / most : 1;
        if (group->is_capped) factor = fmax(1, range[c] > 0 ? fmin(factor, 6 / range[c]) : factor);
        factors[c] = factor;
    }
}

static bool differ(const double *factors, int64_t count) {
    double least = INFINITY, most = 0;
    for (int64_t c = 0; c < count; c++) least = fmin(least, factors[c]), most = fmax(most, factors[c]);
    return most > 1.1 * least;
}

// A channel that was always 0 says nothing of its range, but its weights share a row's scale with the others': `sized` factors
// make them as large as those are on average. 0: none.
static void silent_factors(const ChannelGroup *group, const double *range, const double *size, bool sized, double *factors) {
    double sum = 0, live = 0;
    for (int64_t c = 0; c < group->channels; c++)
        if (range[c] > 0 && size[c] > 0) sum += size[c] / factors[c], live++;
    for (int64_t c = 0; c < group->channels; c++)
        if (!(range[c] > 0)) factors[c] = sized && live > 0 ? size[c] * live / sum : 0;
}

static bool group_factors(Arena *scratch, const ChannelGroup *group, const Observations *seen, Equalization kind, double *factors) {
    double *range = ARENA_ARRAY(scratch, double, group->channels), *size = ARENA_ARRAY(scratch, double, group->channels);
    if (!range_of_channels(group, seen, range)) return false;
    double whole = largest(range, group->channels);
    if (!(whole > 0)) return false;
    bool depthwise = are_all_depthwise(group);
    weights_of_channels(scratch, group, range, size);
    double heaviest = largest(size, group->channels);
    for (int64_t c = 0; c < group->channels; c++) {
        double r = fmax(range[c], TINY * whole), w = fmax(size[c], TINY * heaviest);
        factors[c] = depthwise ? 1 / r : sqrt((kind == EQUALIZE_CROSS ? w : 1) / r);
    }
    silent_factors(group, range, size, kind == EQUALIZE_CROSS && !depthwise, factors);
    normalize(group, range, factors);
    return differ(factors, group->channels);
}

// ---- factors of a network

static void add_entry(Arena *arena, CalibrationTable *table, const ChannelGroup *group, const double *factors) {
    float *own = ARENA_ARRAY(arena, float, group->channels);
    for (int64_t c = 0; c < group->channels; c++) own[c] = few_digits(factors[c]);
    table->equalized[table->equalized_count++] =
        (ChannelFactors){.name = arena_strdup(arena, group->values[0]->name), .count = (int)group->channels, .factors = own};
}

static bool is_known(Value *const *known, int count, const Value *value) {
    for (int i = 0; i < count; i++)
        if (known[i] == value) return true;
    return false;
}

static int count_layers(const Func *main) {
    int layers = 0;
    FOR_EACH_OP(main, op) layers += op->kind == OP_conv2d || op->kind == OP_linear;
    return layers;
}

// Of the groups that each layer's result belongs to, once.
static void fill_factors(Arena *arena, const Module *imported, const Observations *seen, Equalization kind, CalibrationTable *table) {
    const Func *main = module_main(imported);
    const int layers = count_layers(main);
    Arena *scratch = arena_new();
    Value **done = ARENA_ARRAY(scratch, Value *, layers + 1);
    int done_count = 0;
    table->equalized = ARENA_ARRAY(arena, ChannelFactors, layers + 1);
    table->equalized_count = 0;
    FOR_EACH_OP(main, op) {
        ChannelGroup group;
        if ((op->kind != OP_conv2d && op->kind != OP_linear) || is_known(done, done_count, &op->results[0])) continue;
        if (!channel_group_find(scratch, &op->results[0], &group, NULL)) continue;
        for (int i = 0; i < group.producer_count; i++) done[done_count++] = &group.producers[i]->results[0];
        double *factors = ARENA_ARRAY(scratch, double, group.channels);
        if (group_factors(scratch, &group, seen, kind, factors)) add_entry(arena, table, &group, factors);
    }
    arena_free(scratch);
}

const Module *equalized(Arena *arena, const Module *imported, const PassContext *context, const CalibrationTable *table) {
    if (!table->equalized_count) return imported;
    Module *network = module_clone(arena, imported);
    PassContext own = *context;
    own.calibration = table;
    own.explain = NULL;
    return run_passes(network, &own, "equalize", NULL, NULL) ? network : NULL;
}

// ---- the choice

// How near the i8 network with these factors is to the float one, in dB; -infinity where it can't be made.
static double nearness_with(const Reference *reference, const Module *imported, const PassContext *context, const SampleSource *source,
                            const CalibrateOptions *options, int threads, const CalibrationTable *factors) {
    Arena *arena = arena_new();
    CalibrationTable table = *factors;
    PassContext own = *context;
    own.diag = diag_new(arena, NULL); // what can't be quantized is said when it is asked for
    const Module *network = equalized(arena, imported, &own, &table);
    bool seen = network && calibrate_ranges(arena, network, &own, source, options, threads, &table);
    double near = seen ? nearness(arena, reference, imported, &own, &table) : -INFINITY;
    arena_free(arena);
    return near;
}

static const Equalization kinds[] = {EQUALIZE_RANGE, EQUALIZE_CROSS};
enum { KIND_COUNT = sizeof kinds / sizeof *kinds };

static void choose(const Module *imported, const PassContext *context, const SampleSource *source,
                   const CalibrateOptions *options, int threads, const CalibrationTable *choices, CalibrationTable *table) {
    const CalibrationTable none = {0};
    Arena *arena = arena_new();
    PassContext own = *context;
    own.diag = diag_new(arena, NULL); // samples that can't be read are named by what reads all of them
    const Reference *reference = reference_new(arena, imported, &own, source, threads);
    if (!reference) {
        arena_free(arena);
        return;
    }
    double least = nearness_with(reference, imported, context, source, options, threads, &none) + ENOUGH_DB;
    for (int i = 0; i < KIND_COUNT; i++) {
        if (!choices[i].equalized_count) continue;
        double near = nearness_with(reference, imported, context, source, options, threads, &choices[i]);
        if (!(near > least)) continue;
        least = near;
        *table = choices[i];
    }
    reference_free(reference);
    arena_free(arena);
}

static bool has_groups(const Module *imported) {
    const Func *main = module_main(imported);
    Arena *scratch = arena_new();
    bool any = false;
    FOR_EACH_OP(main, op) {
        ChannelGroup group;
        if (!any && (op->kind == OP_conv2d || op->kind == OP_linear)) any = channel_group_find(scratch, &op->results[0], &group, NULL);
    }
    arena_free(scratch);
    return any;
}

bool find_factors(Arena *arena, const Module *imported, const PassContext *context, const SampleSource *source,
                  const CalibrateOptions *options, int threads, CalibrationTable *table) {
    if (options->equalization == EQUALIZE_NONE || !has_groups(imported)) return true;
    Part part, smaller;
    Observations seen;
    CalibrationTable choices[KIND_COUNT] = {0};
    const SampleSource some = part_of(arena, source, LOOKED_AT, &part), few = part_of(arena, source, TRIED_ON, &smaller);
    if (!observe(arena, imported, context, &some, OBSERVE_CHANNELS, threads, &seen)) return false;
    for (int i = 0; i < KIND_COUNT; i++) {
        fill_factors(arena, imported, &seen, kinds[i], &choices[i]);
        if (options->equalization == kinds[i]) *table = choices[i];
    }
    observations_close(&seen);
    if (options->equalization == EQUALIZE_AUTO)
        choose(imported, context, &few, options, threads, choices, table);
    return true;
}
