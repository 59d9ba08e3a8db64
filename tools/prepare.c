// From a model file and options to modules that can be run or emitted; the same steps for every subcommand.
#include "tools/prepare.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ir/map.h"
#include "ir/state.h"
#include "tools/constants.h"
#include "tools/customs.h"
#include "tools/files.h"
#include "tools/frame.h"
#include "tools/methods.h"
#include "tools/postprocess.h"
#include "tools/states.h"
#include "tools/tables.h"
#include "tools/tune.h"

// ---- options

int unknown_target(const char *name) {
    const char *names[64];
    int count = 0;
    for (; count < target_count() && count < 64; count++)
        names[count] = target_at(count)->name;
    const char *nearest = suggest(name, count, names);
    if (nearest)
        return usage_error("unknown target '%s'; did you mean '%s'?", name, nearest);
    return usage_error("unknown target '%s'; `qanat targets` lists them", name);
}

static int check_target(Model *model) {
    const Options *options = model->options;
    if (options->target && strchr(options->target, ','))
        return usage_error("--target %s: several targets are for `qanat compile`; name one", options->target);
    model->context.target = options->target ? target_find(options->target) : target_host();
    if (model->context.target)
        return STATUS_DONE;
    return options->target ? unknown_target(options->target) : usage_error("no target fits this machine; name one with --target");
}

// "-symbol,-symbol", each one of kernels.def.
static bool leaves_out_rows(const char *isa) {
    while (*isa == '-') {
        size_t length = strcspn(++isa, ",");
        char symbol[128];
        snprintf(symbol, sizeof symbol, "%.*s", (int)length, isa);
        if (!kernel_find(symbol))
            return false;
        isa += length;
        if (!*isa)
            return true;
        isa++;
    }
    return false;
}

static int check_isa(Model *model) {
    const char *isa = model->options->isa;
    model->context.only_isa = isa;
    if (!isa || leaves_out_rows(isa) || target_has_isa(model->context.target, isa))
        return STATUS_DONE;
    return usage_error("target '%s' has no kernels of '%s'; it has: %s", model->context.target->name, isa,
                       model->context.target->isas);
}

static int check_preprocess(const char *flag, const char *spec) {
    Preprocess preprocess;
    Fault fault;
    if (!spec || preprocess_parse(spec, &preprocess, &fault))
        return STATUS_DONE;
    return usage_error("%s: %s", flag, fault.text);
}

static bool parse_count(const char **at, int64_t *count) {
    char *end;
    errno = 0;
    long long value = strtoll(*at, &end, 10);
    if (!isdigit((unsigned char)**at) || errno || value > INT32_MAX)
        return false;
    *at = end;
    *count = value;
    return true;
}

// "D", "LEAST..MOST", "NAME=LEAST..MOST" or "NAME".
static bool parse_dim(Arena *arena, const char **at, ShapeOption *shape) {
    int i = shape->rank++;
    size_t length = 0;
    while (isalnum((unsigned char)(*at)[length]) || (*at)[length] == '_')
        length++;
    if (length && !isdigit((unsigned char)**at)) {
        shape->sizes[i] = arena_printf(arena, "%.*s", (int)length, *at);
        *at += length;
        if (**at != '=')
            return true;
        ++*at;
    }
    if (!parse_count(at, &shape->dims[i]))
        return false;
    if (strncmp(*at, "..", 2) != 0)
        return !shape->sizes[i];
    *at += 2;
    shape->least[i] = shape->dims[i];
    return parse_count(at, &shape->dims[i]) && shape->least[i] > 0 && shape->dims[i] >= shape->least[i];
}

static int parse_shape(Arena *arena, const char *text, ShapeOption *shape) {
    // Tensor names may hold ':'; dimensions do not.
    const char *colon = strrchr(text, ':'), *at = colon ? colon + 1 : text;
    *shape = (ShapeOption){0};
    if (colon) {
        char *name = arena_strdup(arena, text);
        name[colon - text] = 0;
        shape->input = name;
    }
    while (shape->rank < MAX_RANK && parse_dim(arena, &at, shape)) {
        if (!*at)
            return STATUS_DONE;
        if (*at++ != ',')
            break;
    }
    if (strstr(text, ".."))
        return usage_error("--shape: expected INPUT:D,LEAST..MOST,... with both bounds, 1 and more, found '%s'", text);
    return usage_error("--shape: expected INPUT:D,D,... with dimensions of 0 and more, found '%s'", text);
}

// Dimensions that only name a size take the bounds that another gives to it.
static int resolve_sizes(ShapeOption *shapes, int count) {
    for (int i = 0; i < count; i++)
        for (int j = 0; j < shapes[i].rank; j++) {
            ShapeOption *own = &shapes[i];
            for (int k = 0; k < count * MAX_RANK && own->sizes[j] && !own->least[j]; k++) {
                const ShapeOption *other = &shapes[k / MAX_RANK];
                int dim = k % MAX_RANK;
                if (!other->sizes[dim] || !other->least[dim] || strcmp(other->sizes[dim], own->sizes[j]) != 0)
                    continue;
                own->dims[j] = other->dims[dim];
                own->least[j] = other->least[dim];
            }
            if (own->sizes[j] && !own->least[j])
                return usage_error("--shape: expected bounds of the size '%s', given once, as in %s=1..512", own->sizes[j],
                                   own->sizes[j]);
        }
    return STATUS_DONE;
}

static Elem elem_of(const char *text) {
    Elem elem = ELEM_F32;
    if (text)
        elem_find(text, &elem);
    return elem;
}

static int check_quantize(const Options *options) {
    Precisions precisions;
    if (parse_precisions(options, &precisions))
        return STATUS_USAGE;
    bool integer = false;
    for (int i = 0; i < precisions.count; i++)
        integer |= precisions.items[i] == ELEM_I8;
    bool ranges = options->calibration || options->calibrate_on;
    if (options->given[OPT_quantize] && integer && !ranges)
        return usage_error("--quantize i8 needs ranges: give --calibration TABLE or --calibrate-on DATA");
    if (options->given[OPT_quantize] && !integer && (ranges || options->qtable))
        return usage_error("%s has no effect without --quantize i8", options->qtable        ? "--qtable"
                                                                     : options->calibration ? "--calibration"
                                                                                            : "--calibrate-on");
    return STATUS_DONE;
}

int parse_precisions(const Options *options, Precisions *precisions) {
    // Ranges are of use to integers only: who gives them wants those.
    bool ranges = options->calibration || options->calibrate_on;
    const char *text = options->quantize ? options->quantize : ranges ? "i8" : "none";
    *precisions = (Precisions){0};
    while (*text) {
        size_t length = strcspn(text, ",");
        Elem elem = ELEM_COUNT;
        if ((length == 4 && memcmp(text, "none", 4) == 0) || (length == 3 && memcmp(text, "f32", 3) == 0))
            elem = ELEM_F32;
        else if (length == 2 && memcmp(text, "i8", 2) == 0)
            elem = ELEM_I8;
        if (elem == ELEM_COUNT)
            return usage_error("--quantize: unknown precision '%.*s'; known: none, i8", (int)length, text);
        if (precisions->count == MAX_PRECISIONS)
            return usage_error("--quantize: more than %d precisions", MAX_PRECISIONS);
        precisions->items[precisions->count++] = elem;
        text += length + (text[length] == ',');
    }
    if (precisions->count == 0)
        return usage_error("--quantize: expected none or i8, found nothing");
    return STATUS_DONE;
}

// The inputs that are read while the output is written, or that would be lost with it.
int check_not_input(const Options *options, const char *path) {
    const char *inputs[2 * MAX_LIST + 10] = {options->positional_count ? options->positional[0] : NULL, options->data,
                                        options->calibrate_on, options->calibration, options->qtable, options->labels,
                                        options->tune, options->tuned};
    int count = 8;
    for (int i = 0; i < options->input.count; i++) {
        const char *equals = strchr(options->input.items[i], '=');
        inputs[count++] = equals ? equals + 1 : options->input.items[i];
    }
    for (int i = 0; i < options->constant.count; i++) {
        const char *equals = strchr(options->constant.items[i], '=');
        inputs[count++] = equals ? equals + 1 : NULL;
    }
    for (int i = 0; path && i < count; i++)
        if (inputs[i] && same_file(path, inputs[i]))
            return usage_error("the output '%s' would replace the input of that name; name another with -o", path);
    return STATUS_DONE;
}

static bool is_text(const char *text, const char *word) {
    return text && !strcmp(text, word);
}

// auto, off, or the size of tiles.
static int winograd_of(const char *text) {
    return !text || is_text(text, "auto") ? WINOGRAD_AUTO : is_text(text, "off") ? WINOGRAD_OFF : *text - '0';
}

int model_open(Model *model, const Options *options, int default_threads) {
    *model = (Model){.arena = arena_new(), .options = options, .path = options->positional[0]};
    model->diag = diag_new(model->arena, stderr);
    model->context = (PassContext){.precision = ELEM_F32,
                                   .input_type = elem_of(options->input_type),
                                   .output_type = elem_of(options->output_type),
                                   .symmetric = is_text(options->activations, "symmetric"),
                                   .per_tensor_weights = is_text(options->weights, "per-tensor"),
                                   .mse_weights = is_text(options->weight_scales, "mse"),
                                   .no_residual_sums = is_text(options->sums, "output") || is_text(options->sums, "none"),
                                   .no_output_sums = is_text(options->sums, "residual") || is_text(options->sums, "none"),
                                   .winograd = winograd_of(options->winograd),
                                   .requantize = options->requantize,
                                   .diag = model->diag,
                                   .scratch = model->arena,
                                   .explain = options->explain ? stderr : NULL};
    model->preprocess = options->preprocess;
    model->frame = options->frame;
    model->threads = options->threads > 0 ? options->threads : default_threads;
    if (model->threads < 1)
        model->threads = parallel_default_threads();
    if (options->threads == 0)
        return usage_error("--threads: expected 1 or more");
    if (options->limit == 0 || options->calibrate_limit == 0)
        return usage_error("--limit: expected 1 or more");
    if (check_target(model) || check_isa(model) || check_preprocess("--preprocess", options->preprocess) || check_frame("--frame", options->frame) ||
        check_postprocess("--postprocess", options->postprocess) ||
        check_preprocess("--calibrate-preprocess", options->calibrate_preprocess) || check_quantize(options) || check_not_input(options, options->output))
        return STATUS_USAGE;
    ShapeOption *shapes = ARENA_ARRAY(model->arena, ShapeOption, options->shape.count + 1);
    for (int i = 0; i < options->shape.count; i++)
        if (parse_shape(model->arena, options->shape.items[i], &shapes[i]))
            return STATUS_USAGE;
    model->import = (ImportOptions){.shape_count = options->shape.count,
                                    .shapes = shapes,
                                    .symbols = ARENA_ARRAY(model->arena, InputSymbols, MAX_NAMED_INPUTS)};
    if (resolve_sizes(shapes, options->shape.count))
        return STATUS_USAGE;
    int status = tune_open(model);
    if (!status)
        status = methods_open(model);
    if (!status)
        status = read_customs(model->arena, model->diag, options, &model->import);
    return status ? status : read_constants(model->arena, model->diag, options, &model->import);
}

void model_close(Model *model) {
    arena_free(model->arena);
    model->arena = NULL;
}

// ---- import

// Read piece by piece, and only when asked for: models are large.
const char *model_hash(Model *model) {
    enum { PIECE = 1 << 16 };
    unsigned char piece[PIECE];
    uint64_t hash = 0xCBF29CE484222325u;
    FILE *file = *model->hash ? NULL : fopen(model->path, "rb");
    if (!file)
        return model->hash;
    for (size_t bytes; (bytes = fread(piece, 1, PIECE, file)) > 0;)
        for (size_t i = 0; i < bytes; i++)
            hash = (hash ^ piece[i]) * 0x100000001B3u;
    fclose(file);
    snprintf(model->hash, sizeof model->hash, "%016llx", (unsigned long long)hash);
    return model->hash;
}

void model_check_table(Model *model, const char *path, const CalibrationTable *table) {
    if (table->model_hash && *model_hash(model) && strcmp(table->model_hash, model->hash) != 0)
        diag_warning(model->diag, loc_file(path), "was made for another model file than '%s'", model->path);
}

static bool read_tables(Model *model) {
    const Options *options = model->options;
    if (options->qtable) {
        if (!parse_qtable(model->arena, model->diag, options->qtable, &model->qtable))
            return false;
        model->context.qtable = &model->qtable;
    }
    if (!options->calibration)
        return true;
    if (!parse_calibration_table(model->arena, model->diag, options->calibration, &model->calibration))
        return false;
    model->context.calibration = &model->calibration;
    model_check_table(model, options->calibration, &model->calibration);
    return true;
}

static bool resolve_tables(Model *model) {
    resolve_qtable(model->imported, &model->qtable);
    if (!model->context.calibration)
        return true;
    if (!resolve_calibration(model->arena, model->diag, model->imported, model->import.node_outputs, &model->calibration, model->rewrites_tables ? NULL : &model->qtable))
        return false;
    if (model->qtable.count)
        model->context.qtable = &model->qtable;
    return true;
}

static bool is_quantized(const Func *main) {
    FOR_EACH_OP(main, op)
        for (int i = 0; i < op->result_count; i++)
            if (op->results[i].type->quant && op->kind != OP_constant)
                return true;
    return false;
}

// A table alone says which operators of a quantized model are float; a float one has no ranges for the others.
static bool check_qtable_use(const Model *model) {
    const Options *options = model->options;
    bool ranges = options->calibration || options->calibrate_on || options->data;
    if (!options->qtable || ranges || (is_quantized(module_main(model->imported)) && !options->requantize))
        return true;
    return diag_error(model->diag, loc_file(options->qtable), "needs ranges, since '%s' is no quantized model: give --calibration TABLE or --calibrate-on DATA",
                      model->path);
}

// Of a table alone: what assign_precision checks of the others.
static bool check_qtable_names(const Model *model) {
    const Options *options = model->options;
    bool fine = true;
    for (int i = 0; options->qtable && !options->calibration && !options->calibrate_on && !options->data && i < model->qtable.count; i++) {
        const QtableEntry *entry = &model->qtable.entries[i];
        if (!func_find_value(module_main(model->imported), entry->name))
            fine = diag_error(model->diag, entry->loc, "no tensor '%s' in the model", entry->name);
    }
    return fine;
}

// A program is what the commands make of a network: they don't take it for one.
static bool is_network(const Model *model) {
    FOR_EACH_OP(module_main(model->imported), op)
        if (!strcmp(op_info(op->kind)->dialect, "kn"))
            return diag_error(model->diag, op->loc, "this is a program for one target already (%s); give the network that it was made from",
                              op_info(op->kind)->full_name);
    return true;
}

bool model_import(Model *model) {
    model->import.node_outputs = map_new_texts(model->arena);
    model->import.output_nodes = map_new_texts(model->arena);
    model->imported = import_model(model->arena, model->diag, model->path, &model->import);
    if (!model->imported || !model_find_sizes(model))
        return false;
    if (!module_main(model->imported))
        return diag_error(model->diag, loc_file(model->path), "the module has no function @main");
    if (!is_network(model) || !tie_states(model, model->imported))
        return false;
    const Attr *carried = attr_find(model->imported->attrs, "qanat.preprocess");
    if (carried && carried->kind == ATTR_STRING && !model->preprocess)
        model->preprocess = carried->s;
    model->data_preprocess = model->preprocess;
    if (!read_tables(model) || !check_qtable_use(model) || !run_pipeline(model->imported, &model->context, "import") || !resolve_tables(model) || !check_qtable_names(model))
        return false;
    if (model->sizes.count) {
        model->constants = constant_ranges(model->arena, model->imported);
        model->context.constants = &model->constants;
    }
    return true;
}

DatasetShape model_inputs(const Model *model) {
    const Func *main = module_main(model->imported);
    if (model->context.frame)
        return (DatasetShape){1, &model->frame_input};
    return (DatasetShape){module_input_count(model->imported), main->args};
}

// ---- calibration

static bool source_load(void *context, int sample, void *const *inputs, char *message) {
    Fault fault;
    if (dataset_load(((DatasetSource *)context)->dataset, sample, inputs, &fault))
        return true;
    snprintf(message, MESSAGE_BYTES, "%s", fault.text);
    return false;
}

static const char *source_path(void *context, int sample) {
    return dataset_path(((DatasetSource *)context)->dataset, sample);
}

static void source_step(void *context) {
    DatasetSource *source = context;
    if (source->progress)
        progress_step(source->progress);
}

SampleSource dataset_source(DatasetSource *source) {
    return (SampleSource){dataset_count(source->dataset), dataset_describe(source->dataset), source_load, source_path,
                          source_step, source->keep_states, source};
}

Dataset *model_calibration_data(const Model *model, Model *own) {
    const Options *options = model->options;
    const char *path = options->calibrate_on ? options->calibrate_on : options->data;
    const char *spec = options->calibrate_preprocess ? options->calibrate_preprocess : model->preprocess;
    // Where --data is the samples to measure ranges on, --limit is about it.
    int limit = options->calibrate_on && options->calibrate_limit > 0 ? options->calibrate_limit
                : options->calibrate_on && options->data              ? -1
                                                                      : options->limit;
    *own = *model;
    own->context.frame = NULL;
    own->context.postprocess = NULL;
    if (!model_resize_to_largest(own) || !model_resize(own, path, -1, false))
        return NULL;
    return dataset_open(model->arena, model->diag, path, spec, model_inputs(own), limit, options->seed);
}

// `given`: what it lacks is measured, by one method; NULL: everything.
static bool measure(Model *model, const CalibrationTable *given, int count, const CalibrationMethod *methods, CalibrationTable *tables) {
    Model own;
    Dataset *dataset = model_calibration_data(model, &own);
    if (!dataset)
        return false;
    Progress *progress = progress_new(model->arena, "calibrating", dataset_count(dataset));
    DatasetSource source = {dataset, progress, keeps_states(model)};
    SampleSource samples = dataset_source(&source);
    bool done = given ? calibrate_missing(model->arena, own.imported, &own.context, &samples, &model->calibrate, sample_threads(model), given, tables)
                      : calibrate_methods(model->arena, own.imported, &own.context, &samples, &model->calibrate, count, methods,
                                          sample_threads(model), tables);
    progress_end(progress);
    dataset_close(dataset);
    for (int i = 0; i < count; i++)
        tables[i].model_hash = *model_hash(model) ? model->hash : NULL;
    return done;
}

bool model_calibrate_methods(Model *model, int count, const CalibrationMethod *methods, CalibrationTable *tables) {
    return measure(model, NULL, count, methods, tables);
}

bool model_calibrate_missing(Model *model, CalibrationTable *table) {
    return measure(model, &model->calibration, 1, &model->calibrate.method, table);
}

bool model_calibrate(Model *model) {
    const Options *options = model->options;
    if (model->context.calibration || (!options->calibrate_on && !options->data))
        return true;
    if (!model_calibrate_methods(model, 1, &model->calibrate.method, &model->calibration))
        return false;
    model->context.calibration = &model->calibration;
    return true;
}

// ---- modules

PassContext model_context(const Model *model, Elem precision, bool keep_all) {
    PassContext context = model->context;
    context.precision = precision;
    context.keep_all = keep_all;
    if (precision == ELEM_F32) {
        context.calibration = NULL;
        context.qtable = NULL;
    }
    return context;
}

Module *model_quantized(Model *model, Elem precision) {
    PassContext context = model_context(model, precision, false);
    Module *module = module_clone(model->arena, model->imported);
    return run_pipeline(module, &context, "quantize") ? module : NULL;
}

Module *model_lower_by(const PassContext *context, Arena *arena, const Module *quantized) {
    Module *module = module_clone(arena, quantized);
    return run_pipeline(module, context, "lower") ? module : NULL;
}

Module *model_lower(Model *model, const Module *quantized, Elem precision, bool keep_all) {
    PassContext context = model_context(model, precision, keep_all);
    if (model->options->tune && !keep_all && !tune_network(model, &context, quantized))
        return NULL;
    return model_lower_by(&context, model->arena, quantized);
}

Module *model_lowered(Model *model, Elem precision, bool keep_all) {
    if (model->sizes.count && !keep_all)
        return model_lower_bounded(model, precision);
    Module *quantized = model_quantized(model, precision);
    return quantized ? model_lower(model, quantized, precision, keep_all) : NULL;
}

bool model_fill_inputs(Model *model, void *const *inputs) {
    const TextList *list = &model->options->input;
    Fault fault;
    Dataset *dataset = dataset_open(model->arena, model->diag, list->count ? list->items[0] : "random",
                                    model->data_preprocess, model_inputs(model), 1, model->options->seed);
    if (!dataset)
        return false;
    bool done = dataset_load(dataset, 0, inputs, &fault) ||
                diag_error(model->diag, loc_file(dataset_path(dataset, 0)), "%s", fault.text);
    dataset_close(dataset);
    return done;
}
