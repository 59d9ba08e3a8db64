// qanat profile: the compiled model, loaded into this process, its steps timed one by one: median time of each, against
// what one core's multipliers can do; optionally as a trace for Chrome's viewer (chrome://tracing, Perfetto).
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/entry.h"
#include "tools/json.h"
#include "tools/native.h"
#include "tools/peak.h"
#include "tools/prepare.h"

static const OptionId ids[] = {QUANTIZE_OPTIONS, TUNE_OPTIONS, OPT_input,      OPT_preprocess, OPT_target, OPT_isa,       OPT_threads,
                               OPT_seed,         OPT_iterations, OPT_limit,      OPT_trace,  MODEL_OPTIONS, OPT_json,
                               OPT_COUNT};

enum { DEFAULT_RUNS = 200, MOST_RUNS = 10000, WARM_UP_RUNS = 5 };

typedef struct {
    Model *model;
    Native native;
    const struct qn_program *program;
    const StepFacts *facts;
    int count, runs;
    double *us;     // [step][run]
    double *median; // us of each step
    double total;   // sum of the medians
    double peak[2]; // multiply-adds a second of one core: int8, f32
} Profile;

static double now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec * 1e-3;
}

// ---- measuring

// One step, as qn_entry_run does it.
static void run_step(const Profile *profile, struct qn_context *context, const struct qn_step *step) {
    const struct qn_pool *pool = profile->native.pool;
    if (pool && step->rows / 2 >= step->grain)
        pool->run(pool, step->task, context, step->rows, step->grain);
    else
        step->task(context, 0, 0, step->rows);
}

// `us`: where each step's time goes, `stride` apart.
static void run_steps(const Profile *profile, double *us, int stride) {
    const Native *native = &profile->native;
    struct qn_context context = {(unsigned char *)native->arena + QN_ARENA_HEADER_BYTES,
                                 (const void *const *)native->inputs, native->outputs, NULL};
    double last = now_us();
    for (int i = 0; i < profile->count; i++) {
        run_step(profile, &context, &profile->program->steps[i]);
        double now = now_us();
        us[i * stride] = now - last;
        last = now;
    }
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(Profile *profile) {
    Arena *arena = profile->model->arena;
    int wanted = profile->model->options->iterations, runs = wanted > 0 ? wanted : DEFAULT_RUNS;
    profile->runs = runs < MOST_RUNS ? runs : MOST_RUNS;
    profile->us = ARENA_ARRAY(arena, double, profile->count * profile->runs + 1);
    profile->median = ARENA_ARRAY(arena, double, profile->count + 1);
    for (int run = 0; run < WARM_UP_RUNS; run++)
        run_steps(profile, profile->us, profile->runs);
    for (int run = 0; run < profile->runs; run++)
        run_steps(profile, profile->us + run, profile->runs);
    for (int i = 0; i < profile->count; i++) {
        double *us = profile->us + (size_t)i * (size_t)profile->runs;
        qsort(us, (size_t)profile->runs, sizeof *us, by_value);
        profile->total += profile->median[i] = us[profile->runs / 2];
    }
    profile->peak[0] = peak_rate(false, true);
    profile->peak[1] = peak_rate(true, true);
}

// Percent of the multipliers' peak on all threads; 0: no multiply-adds, or a peak that is not known.
static double share_of_peak(const Profile *profile, const StepFacts *facts, double macs, double us) {
    double peak = profile->peak[facts->is_f32] * profile->native.threads;
    return peak > 0 && us > 0 ? 100 * macs / (us * 1e-6) / peak : 0;
}

// ---- output

static void print_step_json(const Profile *profile, int i) {
    const StepFacts *facts = &profile->facts[i];
    printf("%s{\"name\": ", i ? ", " : "");
    json_string(stdout, facts->name);
    printf(", \"kernel\": \"%s\", \"median_us\": %.3f, \"least_us\": %.3f, \"macs\": %.0f, \"bytes\": %lld, "
           "\"peak_share\": %.4f}",
           facts->kernel, profile->median[i], profile->us[(size_t)i * (size_t)profile->runs], facts->macs,
           (long long)facts->bytes, share_of_peak(profile, facts, facts->macs, profile->median[i]) / 100);
}

static void print_json(const Profile *profile) {
    printf("{\"model\": ");
    json_string(stdout, profile->model->path);
    printf(", \"target\": \"%s\", \"threads\": %d, \"iterations\": %d, \"peak_macs\": {\"i8\": %.4g, \"f32\": %.4g}, "
           "\"total_us\": %.3f, \"layers\": [",
           profile->model->context.target->name, profile->native.threads, profile->runs, profile->peak[0],
           profile->peak[1], profile->total);
    for (int i = 0; i < profile->count; i++)
        print_step_json(profile, i);
    printf("]}\n");
}

static void print_line(const Profile *profile, const StepFacts *facts, double us, double macs, const char *kernel,
                       const char *name) {
    double share = share_of_peak(profile, facts, macs, us);
    printf("%10.2f %6.1f %%", us, profile->total > 0 ? 100 * us / profile->total : 0);
    if (macs > 0)
        printf(" %9.2f", macs * 1e-6);
    else
        printf(" %9s", "");
    if (macs > 0 && share > 0)
        printf(" %6.1f %%", share);
    else
        printf(" %8s", "");
    printf("  %-44s %s\n", kernel, name);
}

// Each kernel once, where it first stands, with all its steps.
static void print_kernels(const Profile *profile) {
    for (int i = 0; i < profile->count; i++) {
        const char *kernel = profile->facts[i].kernel;
        double us = 0, macs = 0;
        int steps = 0, first = -1;
        for (int k = 0; k < profile->count; k++) {
            if (strcmp(profile->facts[k].kernel, kernel))
                continue;
            first = first < 0 ? k : first;
            us += profile->median[k];
            macs += profile->facts[k].macs;
            steps++;
        }
        if (first == i)
            print_line(profile, &profile->facts[i], us, macs, kernel,
                       arena_printf(profile->model->arena, "%d step%s", steps, steps == 1 ? "" : "s"));
    }
}

static void print_text(const Profile *profile) {
    printf("%s, %s, %d thread%s, medians of %d runs", profile->model->path, profile->model->context.target->name,
           profile->native.threads, profile->native.threads == 1 ? "" : "s", profile->runs);
    if (profile->peak[0] > 0)
        printf("; peak of a core: %.0f GMAC/s in int8, %.0f in f32", profile->peak[0] * 1e-9, profile->peak[1] * 1e-9);
    printf("\n%10s %8s %9s %8s  %-44s %s\n", "us", "share", "MMAC", "of peak", "kernel", "layer");
    for (int i = 0; i < profile->count; i++)
        print_line(profile, &profile->facts[i], profile->median[i], profile->facts[i].macs, profile->facts[i].kernel,
                   profile->facts[i].name);
    printf("\n%10.2f us in %d steps; by kernel:\n", profile->total, profile->count);
    print_kernels(profile);
}

// One more run, each step an event.
static bool write_trace(const Profile *profile, const char *path) {
    OutputFile out;
    if (!output_open(&out, path, profile->model->diag))
        return false;
    double *us = ARENA_ARRAY(profile->model->arena, double, profile->count + 1), at = 0;
    run_steps(profile, us, 1);
    fprintf(out.file, "{\"displayTimeUnit\": \"ns\", \"traceEvents\": [");
    for (int i = 0; i < profile->count; at += us[i++]) {
        const StepFacts *facts = &profile->facts[i];
        fprintf(out.file, "%s\n{\"ph\": \"X\", \"pid\": 1, \"tid\": 1, \"ts\": %.3f, \"dur\": %.3f, \"name\": ", i ? "," : "", at, us[i]);
        json_string(out.file, facts->name);
        fprintf(out.file, ", \"args\": {\"kernel\": \"%s\", \"macs\": %.0f, \"bytes\": %lld}}", facts->kernel, facts->macs,
                (long long)facts->bytes);
    }
    fprintf(out.file, "\n]}\n");
    return output_close(&out, true, profile->model->diag);
}

// ---- the whole

static bool open_native(Profile *profile, Elem precision, const char *dir) {
    Model *model = profile->model;
    if (precision == ELEM_I8 && !model_calibrate(model))
        return false;
    Module *kn = model_lowered(model, precision, false);
    if (!kn || !native_open(&profile->native, model->arena, model->diag, kn, model->context.target, dir, "model", NULL,
                            model->threads))
        return false;
    profile->program = ((const struct qn_arena_header *)profile->native.arena)->program;
    profile->facts = program_step_facts(model->arena, kn, &profile->count);
    BUG_UNLESS(profile->count == profile->program->step_count, "%d steps, the compiled program has %d", profile->count,
               profile->program->step_count);
    return model_fill_inputs(model, profile->native.inputs);
}

static bool run_profile(Profile *profile, Elem precision) {
    Model *model = profile->model;
    char *dir = NULL;
    const TextList *input = &model->options->input;
    if (!model_import(model) || !model_fix_sizes(model, input->count ? input->items[0] : NULL, false) ||
        !(dir = temp_dir_new(model->arena, model->diag)))
        return false;
    bool done = open_native(profile, precision, dir);
    if (done) {
        measure(profile);
        (model->options->json ? print_json : print_text)(profile);
    }
    if (done && model->options->trace)
        done = write_trace(profile, model->options->trace);
    native_close(&profile->native);
    temp_dir_remove(dir);
    return done;
}

int cmd_profile(int argc, char **argv) {
    Options options;
    Model model;
    Precisions precisions;
    int status;
    if (!cli_parse(argc, argv, ids, &options, &status))
        return status;
    if (options.input.count > 1)
        return usage_error("profile: --input is given more than once; several inputs go into one .npz");
    if (options.iterations == 0)
        return usage_error("--iterations: expected 1 or more");
    Profile profile = {.model = &model};
    if ((status = model_open(&model, &options, 1)) == STATUS_DONE)
        status = parse_precisions(&options, &precisions);
    if (status == STATUS_DONE && precisions.count > 1)
        status = usage_error("profile: --quantize takes one precision");
    if (status == STATUS_DONE)
        status = run_profile(&profile, precisions.items[0]) ? STATUS_DONE : STATUS_INPUT;
    model_close(&model);
    return status;
}
