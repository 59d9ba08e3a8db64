// What calibration data shows of each channel becomes factors; which kind of factors, the data decides, too.
#include "quant/equalize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/map.h"
#include "passes/channels.h"
#include "passes/rewrite.h"
#include "quant/nearness.h"
#include "quant/part.h"

enum { LOOKED_AT = 32, TRIED_ON = 16, MOST_TRIED = 128, FEWEST_TRIED = 2 }; // samples
enum { ELEMS_TRIED = 1 << 26 };                                             // of small networks more are tried, of so many elements
static const double ENOUGH_DB = 0.25, TINY = 1.0 / (1 << 20);

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
        const double *own = range + channel_at(channels, row * each);
        double squares = 0;
        for (int64_t k = 0; k < each; k += channels->columns)
            for (int64_t c = 0; c < channels->columns; c++) {
                double term = w[row * each + k + c] * own[c];
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
        for (int64_t k = 0; k < count; k += channels.columns) {
            const int64_t first = channel_at(&channels, k);
            const double norm = norms[k / (count / rows)], own = norm > 0 ? 1 / norm : 0;
            for (int64_t c = 0; c < channels.columns; c++) {
                const double share = w[k + c] * own;
                squares[first + c] += share * share;
                terms[first + c]++;
            }
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
    const bool depthwise = are_all_depthwise(group), by_weights = kind == EQUALIZE_CROSS && !depthwise;
    if (by_weights) weights_of_channels(scratch, group, range, size);
    double heaviest = largest(size, group->channels);
    for (int64_t c = 0; c < group->channels; c++) {
        double r = fmax(range[c], TINY * whole), w = fmax(size[c], TINY * heaviest);
        factors[c] = depthwise ? 1 / r : sqrt((by_weights ? w : 1) / r);
    }
    silent_factors(group, range, size, by_weights, factors);
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

static const Equalization kinds[] = {EQUALIZE_RANGE, EQUALIZE_CROSS};
enum { KIND_COUNT = sizeof kinds / sizeof *kinds };

typedef struct {
    Reference *reference;
    Map *factors[KIND_COUNT]; // by the names of the tensors that have some
} Trying;

static const ChannelFactors *factors_of(void *context, int kind, const char *tensor) { return map_find(((Trying *)context)->factors[kind], tensor); }

static void take_run(void *context, int worker, int sample, const Runner *runner, const RunnerState *state) {
    (void)worker;
    reference_take(((Trying *)context)->reference, sample, runner, state);
}

// Of each tensor of a group, by all its names.
static Map *map_factors(Arena *arena, const Module *imported, const CalibrationTable *table) {
    Map *map = map_new_texts(arena);
    for (int i = 0; i < table->equalized_count; i++) {
        const ChannelFactors *own = &table->equalized[i];
        ChannelGroup group;
        if (!channel_group_find(arena, func_find_value(module_main(imported), own->name), &group, NULL)) continue;
        for (int v = 0; v < group.value_count; v++) *map_get(map, group.values[v]->name) = (void *)(uintptr_t)own;
    }
    return map;
}

// What works on the order of samples says little on so few.
static CalibrationMethod method_of_trials(CalibrationMethod method) {
    return method == METHOD_AUTO ? METHOD_MSE : method == METHOD_EMA ? METHOD_MINMAX : method;
}

// tables[0]: as the network is, tables[1 + kind]: with the kind's factors. False after a message.
static bool make_tables(Arena *arena, const Module *imported, const PassContext *context, const Watch *watch, const SampleSource *source,
                        const CalibrateOptions *options, int threads, Trying *trying, CalibrationTable *tables) {
    const CalibrationMethod method = method_of_trials(options->method);
    const ObserveMore more = {.sets = KIND_COUNT, .factors = factors_of, .ran = take_run, .context = trying};
    Observations seen[1 + KIND_COUNT];
    if (!watch_run(arena, context->diag, watch, source, calibration_method_needs(method), &more, threads, seen)) return false;
    bool done = true;
    for (int i = 0; done && i <= KIND_COUNT; i++) done = calibrate_seen(arena, context->diag, imported, &seen[i], method, &options->thresholds, threads, &tables[i]);
    for (int i = 0; i <= KIND_COUNT; i++) observations_close(&seen[i]);
    return done;
}

static int samples_tried(const Module *network) {
    int64_t elems = 1;
    FOR_EACH_OP(module_main(network), op)
        for (int i = 0; op->kind != OP_constant && i < op->result_count; i++) elems += type_elem_count(op->results[i].type);
    const int64_t count = ELEMS_TRIED / elems;
    return (int)(count < TRIED_ON ? TRIED_ON : count > MOST_TRIED ? MOST_TRIED : count);
}

// What is tried: [0]: the network as it is, then each kind of factors that there are some of.
typedef struct {
    int count;
    const Module *networks[1 + KIND_COUNT];
    const CalibrationTable *choices[1 + KIND_COUNT], *tables[1 + KIND_COUNT];
} Tried;

static const Module *choose(Arena *arena, Tried *tried, const PassContext *context, const Watch *watch, const SampleSource *source,
                            const CalibrateOptions *options, int threads, const CalibrationTable *choices, CalibrationTable *table) {
    Arena *scratch = arena_new();
    const Module *imported = tried->networks[0];
    PassContext own = *context;
    own.diag = diag_new(scratch, NULL); // samples that can't be read are named by what reads all of them
    Part part;
    const SampleSource some = part_of(scratch, source, reference_samples(watch_runner(watch), FEWEST_TRIED, samples_tried(imported)), &part);
    Trying trying = {.reference = reference_new(scratch, imported, watch_runner(watch), some.count, some.keep_states, 1)};
    CalibrationTable tables[1 + KIND_COUNT] = {0};
    int best = 0;
    tried->tables[0] = &tables[0];
    for (int i = 0; i < KIND_COUNT; i++) {
        trying.factors[i] = map_factors(scratch, imported, &choices[i]);
        const Module *network = choices[i].equalized_count ? equalized(arena, imported, &own, &choices[i]) : NULL;
        if (!network) continue;
        tried->networks[tried->count] = network, tried->choices[tried->count] = &choices[i];
        tried->tables[tried->count++] = &tables[1 + i];
    }
    if (make_tables(scratch, imported, &own, watch, &some, options, threads, &trying, tables)) {
        best = nearest(trying.reference, &own, tried->count, tried->networks, tried->tables, ENOUGH_DB, threads);
        if (best) *table = *tried->choices[best];
    }
    arena_free(scratch);
    return tried->networks[best];
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

static const Module *look(Arena *arena, const Module *imported, const PassContext *context, const Watch *watch, const SampleSource *source,
                 const CalibrateOptions *options, int threads, CalibrationTable *table) {
    Part part;
    Observations seen;
    CalibrationTable choices[KIND_COUNT] = {0};
    const SampleSource some = part_of(arena, source, LOOKED_AT, &part);
    Tried tried = {.count = 1, .networks = {imported}};
    if (!watch_run(arena, context->diag, watch, &some, OBSERVE_CHANNELS, NULL, threads, &seen)) return NULL;
    for (int i = 0; i < KIND_COUNT; i++) {
        fill_factors(arena, imported, &seen, kinds[i], &choices[i]);
        if (options->equalization == kinds[i]) *table = choices[i];
    }
    observations_close(&seen);
    if (options->equalization == EQUALIZE_AUTO) return choose(arena, &tried, context, watch, source, options, threads, choices, table);
    return equalized(arena, imported, context, table);
}

const Module *find_factors(Arena *arena, const Module *imported, const PassContext *context, const SampleSource *source,
                           const CalibrateOptions *options, int threads, CalibrationTable *table) {
    if (options->equalization == EQUALIZE_NONE || !has_groups(imported)) return imported;
    Watch *watch = watch_new(arena, imported, context, threads);
    if (!watch) return NULL;
    const Module *network = look(arena, imported, context, watch, source, options, threads, table);
    watch_free(watch);
    return network;
}
