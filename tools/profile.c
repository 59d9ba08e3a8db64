// qanat profile: the compiled model, loaded into this process, its steps timed one by one: median time of each, against
// what one core's multipliers can do and what the cost model estimates; the processor's counters where there are any;
// optionally as a trace for Chrome's viewer (chrome://tracing, Perfetto).
#include <stdlib.h>
#include <string.h>

#include "tools/counters.h"
#include "tools/json.h"
#include "tools/native.h"
#include "tools/peak.h"
#include "tools/frame.h"
#include "tools/postprocess.h"
#include "tools/prepare.h"

static const OptionId ids[] = {QUANTIZE_OPTIONS, TUNE_OPTIONS, OPT_input,      OPT_preprocess, OPT_frame, OPT_postprocess, OPT_target, OPT_isa,       OPT_threads,
                               OPT_seed,         OPT_iterations, OPT_limit,      OPT_trace,  MODEL_OPTIONS, OPT_json,
                               OPT_COUNT};

enum { DEFAULT_RUNS = 200, MOST_RUNS = 10000, COUNTED_RUNS = 20 };

typedef struct {
    Model *model;
    Native native;
    const StepFacts *facts;
    int count, runs;
    double *median, *least; // us of each step
    double total;   // sum of the medians
    double peak[PEAK_COUNT]; // multiply-adds a second of one core
    const char *uncounted;   // why there are no counters; NULL where there are
    double (*counted)[COUNTERS]; // of each step, a run of it
} Profile;

// Of a step, or of all steps that share a kernel.
typedef struct {
    double us, macs, bytes, estimated_us; // 0: none
    double counted[COUNTERS];
} Work;

// ---- measuring

// In runs of their own: reading counters takes time.
static void count_events(Profile *profile) {
    Counters counters;
    uint64_t last[COUNTERS], now[COUNTERS];
    profile->counted = arena_alloc(profile->model->arena, sizeof *profile->counted * ((size_t)profile->count + 1));
    memset(profile->counted, 0, sizeof *profile->counted * ((size_t)profile->count + 1));
    if ((profile->uncounted = counters_open(&counters)))
        return;
    for (int run = 0; run < COUNTED_RUNS; run++) {
        counters_read(&counters, last);
        for (int i = 0, next; i < profile->count; i = next) {
            next = i + native_run_step(&profile->native, i);
            counters_read(&counters, now);
            for (int k = 0; k < COUNTERS; k++)
                profile->counted[i][k] += (double)(now[k] - last[k]) / COUNTED_RUNS;
            memcpy(last, now, sizeof last);
        }
    }
    counters_close(&counters);
}

static void measure(Profile *profile) {
    Arena *arena = profile->model->arena;
    int wanted = profile->model->options->iterations, runs = wanted > 0 ? wanted : DEFAULT_RUNS;
    profile->runs = runs < MOST_RUNS ? runs : MOST_RUNS;
    profile->median = ARENA_ARRAY(arena, double, profile->count + 1);
    profile->least = ARENA_ARRAY(arena, double, profile->count + 1);
    profile->total = native_measure_steps(&profile->native, profile->runs, profile->median, profile->least);
    for (int i = 0; i < PEAK_COUNT; i++)
        profile->peak[i] = peak_rate((PeakKind)i);
    count_events(profile);
}

static Work work_of(const Profile *profile, int step) {
    const StepFacts *facts = &profile->facts[step];
    Work work = {profile->median[step], facts->macs, (double)facts->bytes, facts->estimated_ns * 1e-3, {0}};
    memcpy(work.counted, profile->counted[step], sizeof work.counted);
    return work;
}

// A sum is estimated where all its parts are.
static void work_add(Work *sum, const Work *part) {
    sum->estimated_us = part->estimated_us > 0 && (sum->us <= 0 || sum->estimated_us > 0) ? sum->estimated_us + part->estimated_us : 0;
    sum->us += part->us;
    sum->macs += part->macs;
    sum->bytes += part->bytes;
    for (int i = 0; i < COUNTERS; i++)
        sum->counted[i] += part->counted[i];
}

// Percent of what the multipliers that this kernel uses can do, on all threads; 0: no multiply-adds, or a peak that is not known.
static double share_of_peak(const Profile *profile, const KernelInfo *kernel, const Work *work) {
    double peak = profile->peak[peak_kind(kernel)] * profile->native.threads;
    return peak > 0 && work->us > 0 ? 100 * work->macs / (work->us * 1e-6) / peak : 0;
}

static double gigabytes_a_second(const Work *work) { return work->us > 0 ? work->bytes / work->us * 1e-3 : 0; }

// ---- output

static void print_counted_json(FILE *out, const Profile *profile, const Work *work) {
    if (profile->uncounted) {
        fprintf(out, "null");
        return;
    }
    for (int i = 0; i < COUNTERS; i++)
        fprintf(out, "%s\"%s\": %.0f", i ? ", " : "{", counter_names[i], work->counted[i]);
    fprintf(out, "}");
}

// The fields that a step of --json and an event of --trace share.
static void print_facts_json(FILE *out, const Profile *profile, int i) {
    const StepFacts *facts = &profile->facts[i];
    const Work work = work_of(profile, i);
    fprintf(out, "\"kernel\": \"%s\", \"macs\": %.0f, \"bytes\": %lld, \"peak_share\": %.4f, \"gb_per_s\": %.3f, ", facts->kernel->symbol,
            facts->macs, (long long)facts->bytes, share_of_peak(profile, facts->kernel, &work) / 100, gigabytes_a_second(&work));
    if (work.estimated_us > 0)
        fprintf(out, "\"estimated_us\": %.3f, \"counters\": ", work.estimated_us);
    else
        fprintf(out, "\"estimated_us\": null, \"counters\": ");
    print_counted_json(out, profile, &work);
}

static void print_step_json(const Profile *profile, int i) {
    printf("%s{\"name\": ", i ? ", " : "");
    json_string(stdout, profile->facts[i].name);
    printf(", \"median_us\": %.3f, \"least_us\": %.3f, ", profile->median[i], profile->least[i]);
    print_facts_json(stdout, profile, i);
    printf("}");
}

static void print_json(const Profile *profile) {
    printf("{\"model\": ");
    json_string(stdout, profile->model->path);
    printf(", \"target\": \"%s\", \"threads\": %d, \"iterations\": %d, \"peak_macs\": {\"i8_tiles\": %.4g, \"i8\": %.4g, \"f32\": %.4g}, "
           "\"no_counters\": ", profile->model->context.target->name, profile->native.threads, profile->runs,
           profile->peak[PEAK_I8_TILES], profile->peak[PEAK_I8], profile->peak[PEAK_F32]);
    if (profile->uncounted)
        json_string(stdout, profile->uncounted);
    else
        printf("null");
    printf(", \"total_us\": %.3f, \"layers\": [", profile->total);
    for (int i = 0; i < profile->count; i++)
        print_step_json(profile, i);
    printf("]}\n");
}

// A number in its column, or nothing.
static void print_cell(double value, const char *format, int width) {
    if (value > 0)
        printf(format, value);
    else
        printf("%*s", width, "");
}

static void print_line(const Profile *profile, const KernelInfo *kernel, const Work *work, const char *name) {
    printf("%10.2f %6.1f %%", work->us, profile->total > 0 ? 100 * work->us / profile->total : 0);
    print_cell(work->estimated_us, " %9.2f", 10);
    print_cell(work->macs * 1e-6, " %9.2f", 10);
    print_cell(share_of_peak(profile, kernel, work), " %6.1f %%", 9);
    print_cell(gigabytes_a_second(work), " %7.1f", 8);
    if (!profile->uncounted) {
        const double cycles = work->counted[COUNT_CYCLES];
        print_cell(cycles > 0 ? work->counted[COUNT_INSTRUCTIONS] / cycles : 0, " %5.2f", 6);
        print_cell(work->counted[COUNT_L1_MISSES] + 0.5, " %9.0f", 10);
        print_cell(work->counted[COUNT_CACHE_MISSES] + 0.5, " %9.0f", 10);
    }
    printf("  %-44s %s\n", kernel->symbol, name);
}

// Each kernel once, where it first stands, with all its steps.
static void print_kernels(const Profile *profile) {
    for (int i = 0; i < profile->count; i++) {
        const KernelInfo *kernel = profile->facts[i].kernel;
        Work sum = {0};
        int steps = 0, first = -1;
        for (int k = 0; k < profile->count; k++) {
            if (strcmp(profile->facts[k].kernel->symbol, kernel->symbol))
                continue;
            const Work work = work_of(profile, k);
            first = first < 0 ? k : first;
            work_add(&sum, &work);
            steps++;
        }
        if (first == i)
            print_line(profile, kernel, &sum, arena_printf(profile->model->arena, "%d step%s", steps, steps == 1 ? "" : "s"));
    }
}

static void print_peaks(const Profile *profile) {
    if (!(profile->peak[PEAK_F32] > 0))
        return;
    printf("; peak of a core: ");
    if (profile->peak[PEAK_I8_TILES] > 0)
        printf("%.0f GMAC/s in tiles of int8, ", profile->peak[PEAK_I8_TILES] * 1e-9);
    printf("%.0f in vectors of int8, %.0f in f32", profile->peak[PEAK_I8] * 1e-9, profile->peak[PEAK_F32] * 1e-9);
}

static void print_text(const Profile *profile) {
    Work sum = {0};
    printf("%s, %s, %d thread%s, medians of %d runs", profile->model->path, profile->model->context.target->name,
           profile->native.threads, profile->native.threads == 1 ? "" : "s", profile->runs);
    print_peaks(profile);
    printf("\n%10s %8s %9s %9s %8s %7s", "us", "share", "estimate", "MMAC", "of peak", "GB/s");
    if (!profile->uncounted)
        printf(" %5s %9s %9s", "IPC", "L1 misses", "misses");
    printf("  %-44s %s\n", "kernel", "layer");
    for (int i = 0; i < profile->count; i++) {
        const Work work = work_of(profile, i);
        print_line(profile, profile->facts[i].kernel, &work, profile->facts[i].name);
        work_add(&sum, &work);
    }
    printf("\n%10.2f us in %d steps, %.2f MMAC, %.0f GMAC/s; by kernel:\n", profile->total, profile->count, sum.macs * 1e-6,
           sum.us > 0 ? sum.macs / sum.us * 1e-3 : 0);
    print_kernels(profile);
    if (profile->uncounted)
        printf("\nno hardware counters: %s\n", profile->uncounted);
}

// One more run, each step an event.
static bool write_trace(const Profile *profile, const char *path) {
    OutputFile out;
    if (!output_open(&out, path, profile->model->diag))
        return false;
    double *us = ARENA_ARRAY(profile->model->arena, double, profile->count + 1), at = 0;
    native_time_steps(&profile->native, us, 1);
    fprintf(out.file, "{\"displayTimeUnit\": \"ns\", \"traceEvents\": [");
    for (int i = 0; i < profile->count; at += us[i++]) {
        fprintf(out.file, "%s\n{\"ph\": \"X\", \"pid\": 1, \"tid\": 1, \"ts\": %.3f, \"dur\": %.3f, \"name\": ", i ? "," : "", at, us[i]);
        json_string(out.file, profile->facts[i].name);
        fprintf(out.file, ", \"args\": {");
        print_facts_json(out.file, profile, i);
        fprintf(out.file, "}}");
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
    profile->facts = program_step_facts(model->arena, model->context.target, kn, &profile->count);
    BUG_UNLESS(profile->count == native_step_count(&profile->native), "%d steps, the compiled program has %d", profile->count,
               native_step_count(&profile->native));
    return model_fill_inputs(model, profile->native.inputs);
}

static bool run_profile(Profile *profile, Elem precision) {
    Model *model = profile->model;
    char *dir = NULL;
    const TextList *input = &model->options->input;
    if (!model_import(model) || !model_take_frame(model) || !model_take_postprocess(model) || !model_fix_sizes(model, input->count ? input->items[0] : NULL, false) ||
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
