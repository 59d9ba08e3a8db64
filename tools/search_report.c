// What a search found: the tables and the log as files, the list for people and as JSON.
#include <math.h>
#include <string.h>

#include "tools/json.h"
#include "tools/search_run.h"

static double loss_of(const SensitiveOp *op) { return op->loss[op->best]; }

int search_float_layers(const SearchRun *run) {
    return run->options.worst < run->found.count ? run->options.worst : run->found.count;
}

// ---- files

static bool was_stopped(const SearchRun *run) { return run->found.stopped || run->mixed.stopped; }
static bool has_mixed(const SearchRun *run) { return run->is_mixed && run->mixed.trial_count > 0; }

static const char *stopped_text(const SearchRun *run) {
    return was_stopped(run) ? "# the search was interrupted: this is what was known then\n" : "";
}

static void write_qtable(const SearchRun *run, FILE *out) {
    const int count = has_mixed(run) ? run->mixed.count : search_float_layers(run);
    fprintf(out, "# qanat quantization table: %s\n%s# name type\n", has_mixed(run) ? "what mixed precision keeps in float" : "the operators that i8 harms most",
            stopped_text(run));
    for (int i = 0; i < count; i++) {
        const SensitiveOp *op = has_mixed(run) ? run->mixed.ops[i] : &run->found.ops[i];
        fprintf(out, "%s f32 # %s, loss %.9f\n", table_word(run->model->arena, op->name), op_info(op->op->kind)->full_name, loss_of(op));
    }
}

static void write_table(const SearchRun *run, FILE *out) {
    if (has_mixed(run)) {
        calibration_write(out, run->model->arena, run->mixed.table);
        return;
    }
    const CalibrationTable tuned = search_tuned_table(run->model->arena, &run->found, run->options.table_count, run->tables);
    calibration_write(out, run->model->arena, &tuned);
}

static void write_trials(const SearchRun *run, FILE *out) {
    fprintf(out, "# networks with some operators in float: how many, table, loss, cosine, agreement, estimated microseconds, bytes of weights\n");
    for (int i = 0; i < run->mixed.trial_count; i++) {
        const MixedTrial *trial = &run->mixed.trials[i];
        const Score *score = &trial->score;
        fprintf(out, "# %d %s %.9g %.9f %.4f %.2f %lld\n", trial->floats, table_word(run->model->arena, trial->table), score->loss, score->cosine, score->agreement, score->ns / 1000,
                (long long)score->bytes);
    }
}

static void write_log(const SearchRun *run, FILE *out) {
    fprintf(out, "# qanat search log: %s, %s\n%s# everything in i8: cosine %.9f; loss %.9g (%s)\n", run->model->path, run->data,
            stopped_text(run), run->found.cosine, run->found.loss, loss_name(run->options.loss.kind));
    fprintf(out, "# each operator alone in i8: loss and its standard error, samples it was measured on\n# name table loss error samples\n");
    for (int i = 0; i < run->found.count; i++) {
        const SensitiveOp *op = &run->found.ops[i];
        for (int t = 0; t < run->options.table_count; t++)
            fprintf(out, "%s %s %.9g %.3g %d%s\n", table_word(run->model->arena, op->name), table_word(run->model->arena, run->names[t]), op->loss[t], op->error[t], op->samples[t],
                    t == op->best ? " best" : "");
    }
    if (has_mixed(run)) write_trials(run, out);
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

static void print_score(const SearchRun *run, const char *what, const Score *score) {
    printf("%-24s %10.6f %10.6f %9.2f %%", what, score->loss, score->cosine, 100 * score->agreement);
    if (run->model->options->labels || run->model->options->expected_top1_loss) printf(" %7.2f %%", 100 * score->right);
    printf(" %11.1f %+7.1f %% %12lld\n", score->ns / 1000, 100 * (score->ns / run->mixed.tuned.ns - 1), (long long)score->bytes);
}

static void print_mixed(const SearchRun *run) {
    const Mixed *mixed = &run->mixed;
    const bool labels = run->model->options->labels || run->model->options->expected_top1_loss;
    printf("\n%-24s %10s %10s %11s%s %11s %9s %12s\n", "", loss_name(run->options.loss.kind), "cosine", "same class", labels ? "     top-1" : "", "estimated us", "", "weights");
    print_score(run, "float", &mixed->real);
    print_score(run, arena_printf(run->model->arena, "i8, table %s", run->names[0]), &mixed->start);
    if (strcmp(mixed->table_name, run->names[0])) print_score(run, arena_printf(run->model->arena, "i8, table %s", mixed->table_name), &mixed->tuned);
    print_score(run, "mixed", &mixed->final);
    printf("\n%s; %d of %d operators stay float:\n", mixed->reached ? "what was asked for is reached" : "what was asked for is NOT reached", mixed->count, run->found.count);
    for (int i = 0; i < mixed->count; i++)
        printf("  %-16s %s\n", op_info(mixed->ops[i]->op->kind)->full_name, printable(run->model->arena, mixed->ops[i]->name));
}

static void print_text(const SearchRun *run) {
    const Sensitivity *found = &run->found;
    printf("%s, %s\neverything in i8: cosine %.6f", run->model->path, run->data, found->cosine);
    if (isfinite(run->options.expected)) printf(", expected %g", run->options.expected);
    printf("\n");
    if (was_stopped(run)) printf("interrupted: what follows is what was known then\n");
    if (has_mixed(run)) print_mixed(run);
    if (!found->count || run->is_mixed) return;
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

static void print_json_score(const char *key, const Score *score) {
    printf(", \"%s\": {\"loss\": %.12g, \"cosine\": %.9f, \"agreement\": %.6f, \"top1\": %.6f, \"estimated_ns\": %.1f, \"weights_bytes\": %lld}", key, score->loss,
           score->cosine, score->agreement, score->right, score->ns, (long long)score->bytes);
}

static void print_json_mixed(const SearchRun *run) {
    const Mixed *mixed = &run->mixed;
    printf(", \"mixed\": {\"reached\": %s, \"table\": ", mixed->reached ? "true" : "false");
    json_string(stdout, mixed->table_name);
    if (isfinite(mixed->expected)) printf(", \"expected\": %.9g", mixed->expected);
    print_json_score("float", &mixed->real);
    print_json_score("start", &mixed->start);
    print_json_score("tuned", &mixed->tuned);
    print_json_score("final", &mixed->final);
    printf(", \"trials\": %d, \"ops\": [", mixed->trial_count);
    for (int i = 0; i < mixed->count; i++) {
        if (i) printf(", ");
        json_string(stdout, mixed->ops[i]->name);
    }
    printf("]}");
}

static void print_json(const SearchRun *run) {
    const Sensitivity *found = &run->found;
    printf("{\"model\": ");
    json_string(stdout, run->model->path);
    printf(", \"loss\": \"%s\", \"cosine\": %.9f", loss_name(run->options.loss.kind), found->cosine);
    if (isfinite(run->options.expected)) printf(", \"expected\": %.9g", run->options.expected);
    printf(", \"whole_loss\": %.12g, \"stopped\": %s", found->loss, was_stopped(run) ? "true" : "false");
    if (has_mixed(run)) print_json_mixed(run);
    printf(", \"ops\": [");
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
