// qanat compare: the i8 network beside the float one, layer by layer, on data: how far each tensor is off, and how much of
// that its own op adds.
#include <math.h>

#include "quant/compare.h"
#include "tools/json.h"
#include "tools/states.h"

static const OptionId ids[] = {OPT_data, OPT_preprocess, OPT_limit, OPT_seed, OPT_threads, QUANTIZE_OPTIONS, MODEL_OPTIONS, OPT_json, OPT_COUNT};

enum { DEFAULT_LIMIT = 32 };

typedef struct {
    Model *model;
    const char *data;
    int count;
    Compared *layers;
} Comparison;

static const char *kind_of(const Compared *layer) { return layer->op ? op_info(layer->op->kind)->full_name : "input"; }

// Of the error's power, the share that the op makes by itself; it may cancel out, or add up, with what was inherited.
static double own_share(const Compared *layer) {
    return layer->inherited.error_squares > 0 ? layer->own.error_squares / layer->inherited.error_squares : 0;
}

// Those that the i8 network computes as integers, views of others' among them.
static int count_quantized(const Comparison *work) {
    int quantized = 0;
    for (int i = 0; i < work->count; i++) quantized += work->layers[i].quant || work->layers[i].sums;
    return quantized;
}

static const char *precision_of(const Compared *layer) { return layer->quant ? "i8" : layer->sums ? "i32" : "f32"; }

static void print_text(const Comparison *work) {
    printf("%s, %s\n", work->model->path, work->data);
    if (!count_quantized(work)) {
        printf("nothing to compare: no float operator of this network has an i8 form; `compile --explain` says why\n");
        return;
    }
    printf("%9s %8s %8s %7s %10s %9s %6s  %-16s %s\n", "cosine", "SQNR dB", "own dB", "own", "max error", "saturated", "used", "op", "tensor");
    for (int i = 0; i < work->count; i++) {
        const Compared *layer = &work->layers[i];
        const Difference *all = &layer->inherited;
        printf("%9.6f %8.2f ", difference_cosine(all), difference_decibels(all));
        if (layer->own.count) printf("%8.2f %5.1f %%", difference_decibels(&layer->own), 100 * own_share(layer));
        else printf("%8s %7s", "", "");
        printf(" %10.4g ", all->largest_error);
        if (layer->quant) printf("%7.2f %% %4.0f %%", 100 * difference_saturated(all), 100 * difference_used(all, layer->quant));
        else printf("%9s %6s", "", precision_of(layer));
        printf("  %-16s %s\n", kind_of(layer), printable(work->model->arena, layer->name));
    }
}

static void print_number(const char *key, double value) {
    if (isfinite(value)) printf(", \"%s\": %.9g", key, value);
    else printf(", \"%s\": null", key);
}

static void print_json(const Comparison *work) {
    printf("{\"model\": ");
    json_string(stdout, work->model->path);
    printf(", \"layers\": [");
    for (int i = 0; i < work->count; i++) {
        const Compared *layer = &work->layers[i];
        printf("%s\n{\"name\": ", i ? "," : "");
        json_string(stdout, layer->name);
        printf(", \"op\": \"%s\", \"precision\": \"%s\"", kind_of(layer), precision_of(layer));
        print_number("cosine", difference_cosine(&layer->inherited));
        print_number("sqnr_db", difference_decibels(&layer->inherited));
        print_number("own_sqnr_db", layer->own.count ? difference_decibels(&layer->own) : NAN);
        print_number("own_share", layer->own.count ? own_share(layer) : NAN);
        print_number("max_error", layer->inherited.largest_error);
        print_number("saturated", layer->quant ? difference_saturated(&layer->inherited) : NAN);
        print_number("used", layer->quant ? difference_used(&layer->inherited, layer->quant) : NAN);
        printf("}");
    }
    printf("\n]}\n");
}

static bool compare(Comparison *work) {
    Model *model = work->model;
    const Options *options = model->options;
    if (!model_import(model) || !model_fix_sizes(model, options->data, true) || !model_calibrate(model)) return false;
    Dataset *dataset = dataset_open(model->arena, model->diag, options->data, model->preprocess, model_inputs(model),
                                    options->limit > 0 ? options->limit : DEFAULT_LIMIT, options->seed);
    if (!dataset) return false;
    DatasetSource source = {dataset, progress_new(model->arena, "comparing", dataset_count(dataset)), keeps_states(model)};
    const SampleSource samples = dataset_source(&source);
    const PassContext context = model_context(model, ELEM_I8, false);
    const Module *network = model->imported;
    bool done = compare_layers(model->arena, network, &context, &samples, sample_threads(model), &work->count, &work->layers);
    progress_end(source.progress);
    work->data = samples.description;
    if (done) (options->json ? print_json : print_text)(work);
    dataset_close(dataset);
    return done;
}

int cmd_compare(int argc, char **argv) {
    Options options;
    Model model;
    Precisions precisions;
    int status;
    if (!cli_parse(argc, argv, ids, &options, &status)) return status;
    if (!options.data) return usage_error("compare: --data DATA is missing: a folder or list of images or arrays");
    if (!options.calibration && !options.calibrate_on)
        return usage_error("compare: the i8 network needs ranges: give --calibration TABLE or --calibrate-on DATA");
    Comparison work = {.model = &model};
    if ((status = model_open(&model, &options, 0)) == STATUS_DONE) status = parse_precisions(&options, &precisions);
    if (status == STATUS_DONE) status = compare(&work) ? STATUS_DONE : STATUS_INPUT;
    model_close(&model);
    return status;
}
