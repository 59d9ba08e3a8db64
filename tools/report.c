// qanat report: all that can be known of a quantized network in one HTML page that needs nothing else: where it leaves the float
// one, how each tensor's values lie in its range, what each layer costs in time and memory.
#include "tools/report.h"

#include <stdlib.h>
#include <string.h>

#include "codegen/steps.h"
#include "quant/equalize.h"
#include "tools/native.h"
#include "tools/states.h"

static const OptionId ids[] = {OPT_output, OPT_data, OPT_preprocess, OPT_limit, OPT_seed, OPT_threads, OPT_iterations, OPT_search, OPT_isa,
                               QUANTIZE_OPTIONS, TUNE_OPTIONS, MODEL_OPTIONS, OPT_COUNT};

enum { COMPARED_SAMPLES = 32, DEFAULT_RUNS = 100, MOST_RUNS = 10000 };

// ---- what was decided

// The text that --explain would print.
static Module *lower_explained(Report *report) {
    Model *model = report->model;
    char *text = NULL;
    size_t bytes;
    FILE *memory = open_memstream(&text, &bytes);
    BUG_UNLESS(memory, "out of memory for the text of --explain");
    FILE *before = model->context.explain;
    model->context.explain = memory;
    Module *kn = model_lowered(model, report->precision, false);
    model->context.explain = before;
    fclose(memory);
    report->explained = arena_strdup(model->arena, text);
    free(text);
    return kn;
}

// Out of the line "NAME: KIND stays f32: WHY"; NULL: there is none.
static const char *why_float(const Report *report, const char *name) {
    Arena *arena = report->model->arena;
    const char *start = arena_printf(arena, "%s: ", name), *marker = " stays f32: ";
    for (const char *line = report->explained; line && *line; line += strcspn(line, "\n"), line += *line == '\n') {
        if (strncmp(line, start, strlen(start))) continue;
        const char *why = strstr(line, marker), *end = line + strcspn(line, "\n");
        if (why && why < end) return arena_printf(arena, "%.*s", (int)(end - why - (ptrdiff_t)strlen(marker)), why + strlen(marker));
    }
    return NULL;
}

// ---- the tensors

static int64_t constant_bytes(const Op *op) {
    int64_t bytes = 0;
    for (int i = 0; op && i < op->operand_count; i++) {
        const Value *value = op_operand(op, i);
        if (value && value_constant(value)) bytes += (int64_t)type_bytes(value->type);
    }
    return bytes;
}

// What lowering and quantizing put behind a tensor's name.
static Value *find_tensor(Func *func, Arena *arena, const char *name) {
    Value *found = func_find_value(func, arena_printf(arena, "%s_i8", name));
    return found && found->def && found->def->kind != OP_quantize ? found : func_find_value(func, name);
}

static double time_of(const Report *report, const char *name) {
    const char *own = identifier(report->model->arena, name);
    double us = 0;
    for (int i = 0; i < report->step_count; i++) {
        const char *step = report->steps[i].name;
        const size_t length = strlen(own);
        if (!strncmp(step, own, length) && (!step[length] || !strcmp(step + length, "_i8") || !strcmp(step + length, "_f32"))) us += report->us[i];
    }
    return us;
}

static void add_tensor(Report *report, Func *quantized, const Value *value, const Op *op) {
    Model *model = report->model;
    if (!value->name) return;
    ReportTensor *tensor = &report->tensors[report->tensor_count++];
    *tensor = (ReportTensor){.value = value, .op = op, .seen = observations_find(&report->seen, value)};
    for (int i = 0; i < report->compared_count; i++)
        if (!strcmp(report->compared[i].name, value->name)) tensor->compared = &report->compared[i];
    if (model->context.calibration && report->precision != ELEM_F32) tensor->entry = calibration_find(model->context.calibration, value);
    tensor->quantized = find_tensor(quantized, model->arena, value->name);
    tensor->why_float = why_float(report, value->name);
    tensor->float_bytes = constant_bytes(op);
    tensor->bytes = tensor->quantized ? constant_bytes(tensor->quantized->def) : 0;
    tensor->us = time_of(report, value->name);
}

static void list_tensors(Report *report, Module *quantized) {
    const Func *main = module_main(report->network);
    Func *other = module_main(quantized);
    int room = main->arg_count;
    FOR_EACH_OP(main, op) room += op->result_count;
    report->tensors = ARENA_ARRAY(report->model->arena, ReportTensor, room + 1);
    for (int i = 0; i < main->arg_count; i++) add_tensor(report, other, &main->args[i], NULL);
    FOR_EACH_OP(main, op)
        for (int i = 0; op->kind != OP_constant && i < op->result_count; i++) add_tensor(report, other, &op->results[i], op);
}

// ---- what is measured

static bool observe_values(Report *report) {
    Model *model = report->model, own;
    Dataset *dataset = model_calibration_data(model, &own);
    if (!dataset) return false;
    DatasetSource source = {dataset, progress_new(model->arena, "observing", dataset_count(dataset)), keeps_states(model)};
    const SampleSource samples = dataset_source(&source);
    bool done = observe(model->arena, report->network, &model->context, &samples, OBSERVE_BINS | OBSERVE_EXTREMES, sample_threads(model), &report->seen);
    progress_end(source.progress);
    report->calibrated_on = samples.description;
    dataset_close(dataset);
    return done;
}

static bool compare_values(Report *report, const Dataset *dataset) {
    Model *model = report->model;
    if (report->precision == ELEM_F32) return true;
    DatasetSource source = {dataset, progress_new(model->arena, "comparing", dataset_count(dataset)), keeps_states(model)};
    const SampleSource samples = dataset_source(&source);
    const PassContext context = model_context(model, report->precision, false);
    bool done = compare_layers(model->arena, model->imported, &context, &samples, sample_threads(model), &report->compared_count, &report->compared);
    progress_end(source.progress);
    return done;
}

static bool time_steps(Report *report, Native *native, const Module *kn, const Dataset *dataset, const char *dir) {
    Model *model = report->model;
    const int wanted = model->options->iterations;
    Fault fault;
    if (!native_open(native, model->arena, model->diag, kn, model->context.target, dir, "model", NULL, 1)) return false;
    if (!dataset_load(dataset, 0, native->inputs, &fault)) return diag_error(model->diag, loc_file(dataset_path(dataset, 0)), "%s", fault.text);
    report->steps = program_step_facts(model->arena, model->context.target, kn, &report->step_count);
    report->runs = wanted <= 0 ? DEFAULT_RUNS : wanted < MOST_RUNS ? wanted : MOST_RUNS;
    report->us = ARENA_ARRAY(model->arena, double, report->step_count + 1);
    report->least = ARENA_ARRAY(model->arena, double, report->step_count + 1);
    report->total_us = native_measure_steps(native, report->runs, report->us, report->least);
    report->facts = native->facts;
    report->arena_bytes = (int64_t)native->model->arena_bytes(1);
    return true;
}

// ---- the whole

static bool gather(Report *report, const Dataset *dataset) {
    Model *model = report->model;
    Native native = {0};
    Module *quantized = model_quantized(model, report->precision), *kn = quantized ? lower_explained(report) : NULL;
    char *dir = kn ? temp_dir_new(model->arena, model->diag) : NULL;
    if (!dir) return false;
    report->data = dataset_describe(dataset);
    bool done = time_steps(report, &native, kn, dataset, dir) && observe_values(report) && compare_values(report, dataset);
    if (done) {
        report_memory(report, kn);
        list_tensors(report, quantized);
        report_find_search(report);
    }
    native_close(&native);
    temp_dir_remove(dir);
    return done;
}

static bool write_page(const Report *report) {
    OutputFile output;
    Model *model = report->model;
    if (!output_open(&output, model->options->output, model->diag)) return false;
    report_page(report, output.file);
    return output_close(&output, true, model->diag);
}

static bool make_report(Report *report) {
    Model *model = report->model;
    const Options *options = model->options;
    if (!model_import(model) || (options->search && !report_read_search(report, options->search)) || !model_fix_sizes(model, options->data, true) ||
        (report->precision != ELEM_F32 && !model_calibrate(model)))
        return false;
    report->network = model->imported;
    if (report->precision != ELEM_F32)
        report->network = equalized(model->arena, model->imported, &model->context, model->context.calibration);
    if (!report->network) return false;
    Dataset *dataset = dataset_open(model->arena, model->diag, options->data, model->preprocess, model_inputs(model),
                                    options->limit > 0 ? options->limit : COMPARED_SAMPLES, options->seed);
    if (!dataset) return false;
    bool done = gather(report, dataset) && write_page(report);
    observations_close(&report->seen);
    dataset_close(dataset);
    return done;
}

// Without a word about precision, it is i8: ranges are measured on --data.
static int choose_precision(Report *report, const Options *options) {
    Precisions precisions;
    int status = parse_precisions(options, &precisions);
    if (status != STATUS_DONE) return status;
    if (precisions.count > 1) return usage_error("report: --quantize takes one precision");
    report->precision = options->quantize ? precisions.items[0] : ELEM_I8;
    return STATUS_DONE;
}

int cmd_report(int argc, char **argv) {
    Options options;
    Model model;
    Report report = {.model = &model};
    int status;
    if (!cli_parse(argc, argv, ids, &options, &status)) return status;
    if (!options.data) return usage_error("report: --data DATA is missing: a folder or list of images or arrays");
    if (!options.output) return usage_error("report: -o FILE is missing: where the page goes, - for standard output");
    if (options.iterations == 0) return usage_error("--iterations: expected 1 or more");
    if ((status = model_open(&model, &options, 0)) == STATUS_DONE) status = choose_precision(&report, &options);
    if (status == STATUS_DONE) status = make_report(&report) ? STATUS_DONE : STATUS_INPUT;
    model_close(&model);
    return status;
}
