// qanat search: every operator alone in i8, with every method of thresholds. Writes the quantization table of the worst, the
// calibration table with each tensor's best threshold, and the losses.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quant/search.h"
#include "tools/json.h"
#include "tools/methods.h"
#include "tools/prepare.h"

static const OptionId ids[] = {OPT_output, OPT_data, OPT_preprocess, OPT_limit, OPT_seed, OPT_threads, OPT_methods, OPT_percentile, OPT_expected_cos,
                               OPT_max_float_layers, OPT_calibrate_on, OPT_calibrate_limit, OPT_calibrate_preprocess, OPT_equalize,
                               MODEL_OPTIONS, OPT_json, OPT_COUNT};

enum { DEFAULT_FLOAT_LAYERS = 5 };

typedef struct {
    Model *model;
    double expected;
    int method_count;
    CalibrationMethod methods[METHOD_COUNT];
    CalibrationTable tables[METHOD_COUNT];
    Sensitivity found;
} SearchRun;

// ---- options

static int parse_options(SearchRun *run, const Options *options) {
    if (parse_methods(options->methods ? options->methods : "mse,minmax,kl", &run->method_count, run->methods)) return STATUS_USAGE;
    char *end = "";
    run->expected = options->expected_cos ? strtod(options->expected_cos, &end) : 0.99;
    if (*end || end == options->expected_cos || !(run->expected >= 0 && run->expected <= 1))
        return usage_error("--expected-cos: expected a number from 0 to 1, found '%s'", options->expected_cos);
    return STATUS_DONE;
}

// ---- what is written

static int float_layers(const SearchRun *run) {
    int most = run->model->options->max_float_layers;
    if (most < 0) most = DEFAULT_FLOAT_LAYERS;
    return most < run->found.count ? most : run->found.count;
}

static double loss_of(const SensitiveOp *op) { return op->loss[op->best]; }

static void write_qtable(const SearchRun *run, FILE *out) {
    fprintf(out, "# qanat quantization table: the operators that i8 harms most\n# name type\n");
    for (int i = 0; i < float_layers(run); i++) {
        const SensitiveOp *op = &run->found.ops[i];
        fprintf(out, "%s f32 # %s, loss %.9f\n", table_word(run->model->arena, op->name), op_info(op->op->kind)->full_name, loss_of(op));
    }
}

static void tune_entry(const SearchRun *run, CalibrationEntry *entry) {
    for (int i = 0; i < run->found.count; i++) {
        const SensitiveOp *op = &run->found.ops[i];
        if (strcmp(op->name, entry->name)) continue;
        for (int m = 0; m < run->method_count; m++)
            if (run->methods[m] == op->best) *entry = *calibration_find(&run->tables[m], &op->op->results[0]);
    }
}

// Of each operator's tensor the best method's entry, of others the first method's.
static void write_table(const SearchRun *run, FILE *out) {
    CalibrationTable tuned = run->tables[0];
    tuned.entries = arena_copy(run->model->arena, tuned.entries, sizeof *tuned.entries * (size_t)tuned.count);
    for (int i = 0; i < tuned.count; i++) tune_entry(run, &tuned.entries[i]);
    if (run->found.count && run->method_count > 1) tuned.method = "search";
    calibration_write(out, run->model->arena, &tuned);
}

static bool write_file(const SearchRun *run, const char *ending, void (*write)(const SearchRun *, FILE *)) {
    OutputFile output;
    Model *model = run->model;
    if (!output_open(&output, arena_printf(model->arena, "%s.%s", model->options->output, ending), model->diag)) return false;
    write(run, output.file);
    return output_close(&output, true, model->diag);
}

// ---- what is shown

static void print_text(const SearchRun *run, const char *data) {
    printf("%s, %s\neverything in i8: cosine %.6f, expected %g\n", run->model->path, data, run->found.cosine, run->expected);
    if (!run->found.count) return;
    printf("\noperators alone in i8, 1 - cosine of the output, the worst first\n");
    for (int m = 0; m < run->method_count; m++) printf("%12s", calibration_method_name(run->methods[m]));
    printf("  %-10s %-16s %s\n", "best", "op", "tensor");
    for (int i = 0; i < run->found.count; i++) {
        const SensitiveOp *op = &run->found.ops[i];
        for (int m = 0; m < run->method_count; m++) printf("%12.9f", op->loss[run->methods[m]]);
        printf("  %-10s %-16s %s\n", calibration_method_name(op->best), op_info(op->op->kind)->full_name, printable(run->model->arena, op->name));
    }
}

static void print_json(const SearchRun *run) {
    printf("{\"model\": ");
    json_string(stdout, run->model->path);
    printf(", \"cosine\": %.9f, \"expected\": %.9g, \"ops\": [", run->found.cosine, run->expected);
    for (int i = 0; i < run->found.count; i++) {
        const SensitiveOp *op = &run->found.ops[i];
        printf("%s\n{\"name\": ", i ? "," : "");
        json_string(stdout, op->name);
        printf(", \"op\": \"%s\", \"best\": \"%s\", \"loss\": {", op_info(op->op->kind)->full_name, calibration_method_name(op->best));
        for (int m = 0; m < run->method_count; m++)
            printf("%s\"%s\": %.12g", m ? ", " : "", calibration_method_name(run->methods[m]), op->loss[run->methods[m]]);
        printf("}}");
    }
    printf("\n]}\n");
}

// ---- the whole

static bool search_and_write(SearchRun *run) {
    Model *model = run->model;
    const Options *options = model->options;
    if (!model_import(model) || !model_fix_sizes(model, options->data, true) ||
        !model_calibrate_methods(model, run->method_count, run->methods, run->tables))
        return false;
    Dataset *dataset = dataset_open(model->arena, model->diag, options->data, model->preprocess, model_inputs(model), options->limit, options->seed);
    if (!dataset) return false;
    DatasetSource source = {dataset, progress_new(model->arena, "searching", dataset_count(dataset))};
    const SampleSource samples = dataset_source(&source);
    const PassContext context = model_context(model, ELEM_I8, false);
    bool done = search_sensitive(model->arena, model->imported, &context, &samples, run->method_count, run->methods, run->tables,
                                 run->expected, model->threads, &run->found);
    progress_end(source.progress);
    done = done && (!options->output || (write_file(run, "table", write_table) && write_file(run, "qtable", write_qtable)));
    if (done && options->json) print_json(run);
    else if (done) print_text(run, samples.description);
    dataset_close(dataset);
    return done;
}

int cmd_search(int argc, char **argv) {
    Options options;
    Model model;
    SearchRun run = {.model = &model};
    int status;
    if (!cli_parse(argc, argv, ids, &options, &status)) return status;
    if (!options.data) return usage_error("search: --data DATA is missing: a folder or list of images or arrays");
    if (options.output && !strcmp(options.output, "-")) return usage_error("search: -o names files PREFIX.table and PREFIX.qtable; - can't be both");
    if ((status = model_open(&model, &options, 0)) == STATUS_DONE) status = parse_options(&run, &options);
    if (status == STATUS_DONE) status = search_and_write(&run) ? STATUS_DONE : STATUS_INPUT;
    model_close(&model);
    return status;
}
