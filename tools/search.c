// qanat search: every operator alone in i8, with every table of thresholds; then, if asked for, which to keep in float. Writes the
// quantization table, the calibration table with each tensor's best threshold, and the log.
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "tools/methods.h"
#include "tools/search_run.h"
#include "tools/tables.h"

static const OptionId ids[] = {OPT_output, OPT_data, OPT_preprocess, OPT_limit, OPT_seed, OPT_threads, OPT_methods, OPT_percentile, OPT_tables, OPT_loss, OPT_metric,
                               OPT_mode, OPT_expected_cos, OPT_expected_loss, OPT_expected_top1_loss, OPT_max_slowdown, OPT_max_bytes, OPT_max_float_layers,
                               OPT_labels, OPT_target, OPT_exhaustive, OPT_calibrate_on, OPT_calibrate_limit,
                               OPT_calibrate_preprocess, OPT_equalize, OPT_bias_correction, MODEL_OPTIONS, OPT_json, OPT_COUNT};

enum { DEFAULT_FLOAT_LAYERS = 5 };

typedef struct {
    SearchRun run;
    CalibrationMethod methods[METHOD_COUNT];
} SearchCommand;

// ---- options

static int take_methods(SearchCommand *command, const char *list) {
    SearchOptions *options = &command->run.options;
    if (parse_methods(list ? list : "mse,minmax,kl", &options->table_count, command->methods)) return STATUS_USAGE;
    for (int i = 0; i < options->table_count; i++) command->run.names[i] = calibration_method_name(command->methods[i]);
    return STATUS_DONE;
}

// A number within bounds; `fallback` where none is given.
static int parse_number(const char *flag, const char *text, double low, double high, double fallback, double *number) {
    char *end = "";
    *number = text ? strtod(text, &end) : fallback;
    if (!text) return STATUS_DONE;
    if (*end || end == text || !(*number >= low && *number <= high))
        return usage_error("%s: expected a number from %g to %g, found '%s'", flag, low, high, text);
    return STATUS_DONE;
}

static Loss loss_named(const char *name) {
    Loss loss = {.kind = LOSS_COSINE};
    for (LossKind kind = 0; name && kind < LOSS_METRIC; kind++)
        if (!strcmp(name, loss_name(kind))) loss.kind = kind;
    return loss;
}

// Whether `path` is among --tables.
static int check_not_table(const Model *model, const char *path) {
    char *list = arena_strdup(model->arena, model->options->tables ? model->options->tables : ""), *rest = NULL;
    for (char *item = strtok_r(list, ",", &rest); item; item = strtok_r(NULL, ",", &rest)) {
        const char *equals = strchr(item, '=');
        if (same_file(path, equals ? equals + 1 : item)) return usage_error("the output '%s' would replace the table of that name; name another with -o", path);
    }
    return STATUS_DONE;
}

static int check_outputs(Model *model) {
    const Options *options = model->options;
    if (!options->output) return STATUS_DONE;
    if (!strcmp(options->output, "-")) return usage_error("search: -o names files PREFIX.table, PREFIX.qtable and PREFIX.log; - can't be all of them");
    static const char *const endings[] = {"table", "qtable", "log"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        const char *path = arena_printf(model->arena, "%s.%s", options->output, endings[i]);
        int status = check_not_input(options, path);
        if (!status) status = check_not_table(model, path);
        if (status) return status;
    }
    return STATUS_DONE;
}

static int parse_goals(SearchRun *run, const Options *options) {
    MixedGoals *goals = &run->goals;
    run->is_mixed = options->mode && !strcmp(options->mode, "mixed");
    *goals = (MixedGoals){.cosine = options->expected_cos ? run->options.expected : NAN, .bytes = options->given[OPT_max_bytes] ? options->max_bytes : -1};
    if (!run->is_mixed && (options->expected_loss || options->expected_top1_loss || options->max_slowdown || options->given[OPT_max_bytes]))
        return usage_error("search: goals and budgets need --mode mixed");
    int status = parse_number("--expected-loss", options->expected_loss, 0, 1e30, NAN, &goals->loss);
    if (!status) status = parse_number("--expected-top1-loss", options->expected_top1_loss, 0, 100, NAN, &goals->top1_points);
    if (!status) status = parse_number("--max-slowdown", options->max_slowdown, 0, 1e6, NAN, &goals->slowdown);
    // Where a cosine is all that is wanted and i8 has it by itself, nothing is searched; else everything is looked at.
    const bool more = options->expected_loss || options->expected_top1_loss;
    const bool budget_only = !options->expected_cos && (options->max_slowdown || options->given[OPT_max_bytes]);
    if (run->is_mixed && !options->expected_cos) run->options.expected = BEYOND_DEFAULT_COSINE;
    if (run->is_mixed && (more || budget_only)) run->options.expected = INFINITY;
    return status;
}

static int parse_options(SearchCommand *command, Model *model) {
    const Options *options = model->options;
    SearchOptions *search = &command->run.options;
    int status = check_outputs(model);
    if (!status && !options->tables) status = take_methods(command, options->methods);
    if (!status) status = parse_number("--expected-cos", options->expected_cos, 0, 1, 0.99, &search->expected);
    if (!status) status = parse_goals(&command->run, options);
    search->loss = loss_named(options->loss);
    search->worst = options->max_float_layers < 0 ? DEFAULT_FLOAT_LAYERS : options->max_float_layers;
    search->exhaustive = options->exhaustive;
    search->threads = model->threads;
    return status;
}

// ---- tables

// "[NAME=]FILE"; without a name the method that the table says it was made by, or the file's.
static bool read_table(SearchRun *run, char *item) {
    Model *model = run->model;
    char *equals = strchr(item, '=');
    const char *path = equals ? equals + 1 : item;
    const int index = run->options.table_count;
    if (equals) *equals = 0;
    if (index == MAX_TABLES) return diag_error(model->diag, loc_file(path), "--tables takes at most %d tables", MAX_TABLES);
    CalibrationTable *table = &run->tables[index];
    if (!parse_calibration_table(model->arena, model->diag, path, table) ||
        !resolve_calibration(model->arena, model->diag, model->imported, model->import.node_outputs, table, NULL))
        return false;
    model_check_table(model, path, table);
    run->names[index] = printable(model->arena, equals ? item : table->method ? table->method : path);
    for (int i = 0; i < index; i++)
        if (!strcmp(run->names[i], run->names[index]))
            return diag_error(model->diag, loc_file(path), "--tables: '%s' stands twice; name this table with NAME=FILE", run->names[index]);
    if (index && !factors_agree(run->tables[0].equalized_count, run->tables[0].equalized, table->equalized_count, table->equalized))
        return diag_error(model->diag, loc_file(path), "has other factors of channels (equalize:) than the first table; make all with one --equalize, on the same data");
    run->options.table_count++;
    return true;
}

static bool read_tables(SearchRun *run) {
    char *list = arena_strdup(run->model->arena, run->model->options->tables), *rest = NULL;
    for (char *item = strtok_r(list, ",", &rest); item; item = strtok_r(NULL, ",", &rest))
        if (!read_table(run, item)) return false;
    return run->options.table_count || diag_error(run->model->diag, loc_file(NULL), "--tables: expected files with commas between");
}

static bool make_tables(SearchCommand *command) {
    SearchRun *run = &command->run;
    if (run->model->options->tables) return read_tables(run);
    return model_calibrate_methods(run->model, run->options.table_count, command->methods, run->tables);
}

// ---- Ctrl-C: the first ends the search, which writes what it knows; a second one the process

static atomic_bool interrupted;

static void on_interrupt(int number) {
    atomic_store(&interrupted, true);
    signal(number, SIG_DFL);
}

typedef void Handler(int);

static Handler *watch_interrupts(void) {
    Handler *before = signal(SIGINT, on_interrupt);
    if (before == SIG_IGN) signal(SIGINT, SIG_IGN); // as under nohup
    return before;
}

// Dies of the signal all the same, as its parent expects.
static void end_interrupts(Handler *before) {
    if (!atomic_load(&interrupted)) {
        signal(SIGINT, before);
        return;
    }
    fflush(stdout);
    signal(SIGINT, SIG_DFL);
    raise(SIGINT);
}

// ---- the whole

static void show_progress(void *context, double share) { progress_share(context, share); }

static int64_t label_of(void *context, int sample) { return dataset_label(((const DatasetSource *)context)->dataset, sample); }

static bool search(SearchRun *run, const Dataset *dataset) {
    Model *model = run->model;
    DatasetSource source = {.dataset = dataset};
    const SampleSource samples = dataset_source(&source);
    const PassContext context = model_context(model, ELEM_I8, false);
    Progress *progress = progress_new(model->arena, "searching", 1);
    run->data = samples.description;
    run->options.source = &samples;
    run->options.label = label_of;
    run->options.tables = run->tables;
    run->options.stop = &interrupted;
    run->options.progress = show_progress, run->options.progress_context = progress;
    bool done = search_sensitive(model->arena, model->imported, &context, &run->options, &run->found);
    progress_end(progress);
    if (!done || !run->is_mixed || run->found.stopped) return done;
    run->options.progress_context = progress = progress_new(model->arena, "mixing", 1);
    done = search_mixed(model->arena, model->imported, &context, &run->options, run->names, &run->goals, &run->found, &run->mixed);
    progress_end(progress);
    return done;
}

static bool read_labels(const SearchRun *run, Dataset *dataset) {
    const Options *options = run->model->options;
    if (options->labels) return dataset_read_labels(dataset, run->model->diag, options->labels);
    for (int i = 0; options->expected_top1_loss && i < dataset_count(dataset); i++)
        if (dataset_label(dataset, i) < 0)
            return diag_error(run->model->diag, loc_file(dataset_path(dataset, i)), "has no label; give --labels FILE with lines `filename index`");
    return true;
}

static bool search_and_write(SearchCommand *command) {
    SearchRun *run = &command->run;
    Model *model = run->model;
    const Options *options = model->options;
    if (options->metric && !loss_open_metric(model->diag, options->metric, &run->options.loss)) return false;
    if (!model_import(model) || !model_fix_sizes(model, options->data, true) || !make_tables(command)) return false;
    Dataset *dataset = dataset_open(model->arena, model->diag, options->data, model->preprocess, model_inputs(model), options->limit, options->seed);
    if (!dataset) return false;
    if (!read_labels(run, dataset)) {
        dataset_close(dataset);
        return false;
    }
    Handler *before = watch_interrupts();
    bool done = search(run, dataset) && (!options->output || search_write(run));
    if (done) search_print(run);
    dataset_close(dataset);
    end_interrupts(before);
    return done;
}

int cmd_search(int argc, char **argv) {
    Options options;
    Model model;
    SearchCommand command = {.run = {.model = &model}};
    int status;
    if (!cli_parse(argc, argv, ids, &options, &status)) return status;
    if (!options.data) return usage_error("search: --data DATA is missing: a folder or list of images or arrays");
    if ((status = model_open(&model, &options, 0)) == STATUS_DONE) status = parse_options(&command, &model);
    if (status == STATUS_DONE) status = search_and_write(&command) ? STATUS_DONE : STATUS_INPUT;
    model_close(&model);
    return status;
}
