// What a search found: the tables and the log as files, the list for people and as JSON.
#include <string.h>

#include "tools/json.h"
#include "tools/search_run.h"

static double loss_of(const SensitiveOp *op) { return op->loss[op->best]; }

int search_float_layers(const SearchRun *run) {
    return run->options.worst < run->found.count ? run->options.worst : run->found.count;
}

// ---- files

static const char *stopped_text(const SearchRun *run) {
    return run->found.stopped ? "# the search was interrupted: this is what was known then\n" : "";
}

static void write_qtable(const SearchRun *run, FILE *out) {
    fprintf(out, "# qanat quantization table: the operators that i8 harms most\n%s# name type\n", stopped_text(run));
    for (int i = 0; i < search_float_layers(run); i++) {
        const SensitiveOp *op = &run->found.ops[i];
        fprintf(out, "%s f32 # %s, loss %.9f\n", table_word(run->model->arena, op->name), op_info(op->op->kind)->full_name, loss_of(op));
    }
}

static void tune_entry(const SearchRun *run, CalibrationEntry *entry) {
    for (int i = 0; i < run->found.count; i++) {
        const SensitiveOp *op = &run->found.ops[i];
        const CalibrationEntry *best = strcmp(op->name, entry->name) ? NULL : calibration_find(&run->tables[op->best], &op->op->results[0]);
        if (best) *entry = *best;
    }
}

// Of each operator's tensor the best table's entry, of others the first one's.
static void write_table(const SearchRun *run, FILE *out) {
    CalibrationTable tuned = run->tables[0];
    tuned.entries = arena_copy(run->model->arena, tuned.entries, sizeof *tuned.entries * (size_t)tuned.count);
    for (int i = 0; i < tuned.count; i++) tune_entry(run, &tuned.entries[i]);
    if (run->found.count && run->options.table_count > 1) tuned.method = "search";
    calibration_write(out, run->model->arena, &tuned);
}

static void write_log(const SearchRun *run, FILE *out) {
    fprintf(out, "# qanat search log: %s, %s\n%s# everything in i8: cosine %.9f, expected %.9g; loss %.9g (%s)\n", run->model->path, run->data,
            stopped_text(run), run->found.cosine, run->options.expected, run->found.loss, loss_name(run->options.loss.kind));
    fprintf(out, "# each operator alone in i8: loss and its standard error, samples it was measured on\n# name table loss error samples\n");
    for (int i = 0; i < run->found.count; i++) {
        const SensitiveOp *op = &run->found.ops[i];
        for (int t = 0; t < run->options.table_count; t++)
            fprintf(out, "%s %s %.9g %.3g %d%s\n", table_word(run->model->arena, op->name), run->names[t], op->loss[t], op->error[t], op->samples[t],
                    t == op->best ? " best" : "");
    }
}

bool search_write(const SearchRun *run) {
    static const struct { const char *ending; void (*write)(const SearchRun *, FILE *); } files[] = {
        {"table", write_table}, {"qtable", write_qtable}, {"log", write_log}};
    enum { FILES = sizeof files / sizeof *files };
    OutputFile outputs[FILES];
    Model *model = run->model;
    int count = 0;
    while (count < FILES && output_open(&outputs[count], arena_printf(model->arena, "%s.%s", model->options->output, files[count].ending), model->diag)) {
        files[count].write(run, outputs[count].file);
        count++;
    }
    return outputs_close(outputs, count, count == FILES, model->diag) && count == FILES;
}

// ---- on standard output

static void print_text(const SearchRun *run) {
    const Sensitivity *found = &run->found;
    printf("%s, %s\neverything in i8: cosine %.6f, expected %g\n", run->model->path, run->data, found->cosine, run->options.expected);
    if (found->stopped) printf("interrupted: what follows is what was known then\n");
    if (!found->count) return;
    printf("\noperators alone in i8, %s of the output, the worst first\n", run->options.loss.kind == LOSS_COSINE ? "1 - cosine" : loss_name(run->options.loss.kind));
    for (int t = 0; t < run->options.table_count; t++) printf("%12s", run->names[t]);
    printf("  %-10s %7s  %-16s %s\n", "best", "samples", "op", "tensor");
    for (int i = 0; i < found->count; i++) {
        const SensitiveOp *op = &found->ops[i];
        for (int t = 0; t < run->options.table_count; t++) printf("%12.9f", op->loss[t]);
        printf("  %-10s %7d  %-16s %s\n", run->names[op->best], op->samples[op->best], op_info(op->op->kind)->full_name, printable(run->model->arena, op->name));
    }
}

static void print_numbers(const SearchRun *run, const SensitiveOp *op, const char *key) {
    printf(", \"%s\": {", key);
    for (int t = 0; t < run->options.table_count; t++) {
        if (t) printf(", ");
        json_string(stdout, run->names[t]);
        if (!strcmp(key, "samples")) printf(": %d", op->samples[t]);
        else printf(": %.12g", strcmp(key, "loss") ? op->error[t] : op->loss[t]);
    }
    printf("}");
}

static void print_json(const SearchRun *run) {
    const Sensitivity *found = &run->found;
    printf("{\"model\": ");
    json_string(stdout, run->model->path);
    printf(", \"loss\": \"%s\", \"cosine\": %.9f, \"expected\": %.9g, \"whole_loss\": %.12g, \"stopped\": %s, \"ops\": [", loss_name(run->options.loss.kind),
           found->cosine, run->options.expected, found->loss, found->stopped ? "true" : "false");
    for (int i = 0; i < found->count; i++) {
        const SensitiveOp *op = &found->ops[i];
        printf("%s\n{\"name\": ", i ? "," : "");
        json_string(stdout, op->name);
        printf(", \"op\": \"%s\", \"best\": ", op_info(op->op->kind)->full_name);
        json_string(stdout, run->names[op->best]);
        print_numbers(run, op, "loss");
        print_numbers(run, op, "error");
        print_numbers(run, op, "samples");
        printf("}");
    }
    printf("\n]}\n");
}

void search_print(const SearchRun *run) { (run->model->options->json ? print_json : print_text)(run); }
