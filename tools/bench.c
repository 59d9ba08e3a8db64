// qanat bench: latency and memory of the compiled model, loaded into this process. Precisions (and the peer, ONNX
// Runtime in a Python process of its own) are timed in turn, round after round, so that all meet the same machine.
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/json.h"
#include "tools/native.h"
#include "tools/peer.h"
#include "tools/frame.h"
#include "tools/postprocess.h"
#include "tools/prepare.h"

static const OptionId ids[] = {QUANTIZE_OPTIONS, TUNE_OPTIONS, OPT_input,   OPT_preprocess, OPT_frame, OPT_postprocess, OPT_target, OPT_isa,       OPT_threads,
                               OPT_iterations,   OPT_limit,   OPT_seed,       OPT_peer,   MODEL_OPTIONS, OPT_json,
                               OPT_COUNT};

enum { DEFAULT_FEWEST = 20, MOST_RUNS = 100000, RUNS_A_ROUND = 5 };
static const double default_ms = 2000; // for each contender, without --iterations

typedef struct {
    const char *precision;
    Native native;
    Peer *peer; // instead of `native`
    int count;
    double *ms;
} Contender;

typedef struct {
    Model *model;
    Precisions precisions;
    int count;
    Contender contenders[MAX_PRECISIONS + 1];
    const char *dir;
} Bench;

// ---- timing

static double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static bool time_round(Bench *bench, Contender *contender, int runs) {
    if (contender->peer) {
        if (!peer_time(contender->peer, runs, contender->ms + contender->count))
            return diag_error(bench->model->diag, loc_file(NULL), "ONNX Runtime stopped while being timed");
        contender->count += runs;
        return true;
    }
    for (int i = 0; i < runs; i++) {
        double start = now_ms();
        if (!native_run(&contender->native, bench->model->diag))
            return false;
        contender->ms[contender->count++] = now_ms() - start;
    }
    return true;
}

// Rounds until the slowest contender has had its time, or each --iterations runs.
static bool time_all(Bench *bench) {
    int wanted = bench->model->options->iterations;
    for (int i = 0; i < bench->count; i++) {
        bench->contenders[i].ms = calloc(MOST_RUNS + RUNS_A_ROUND, sizeof(double));
        BUG_UNLESS(bench->contenders[i].ms, "out of memory for timings");
        if (!time_round(bench, &bench->contenders[i], RUNS_A_ROUND))
            return false;
        bench->contenders[i].count = 0; // those warmed up
    }
    double end = now_ms() + default_ms * bench->count;
    int most = wanted > 0 && wanted < MOST_RUNS ? wanted : MOST_RUNS;
    for (int done = 0; done < most;) {
        int runs = most - done < RUNS_A_ROUND ? most - done : RUNS_A_ROUND;
        for (int i = 0; i < bench->count; i++)
            if (!time_round(bench, &bench->contenders[i], runs))
                return false;
        done += runs;
        if (wanted <= 0 && done >= DEFAULT_FEWEST && now_ms() > end)
            break;
    }
    return true;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// ---- output

static double quantile(const Contender *contender, double q) {
    int index = (int)(q * (contender->count - 1) + 0.5);
    return contender->ms[index];
}

static void print_json(const Bench *bench) {
    printf("{\"model\": ");
    json_string(stdout, bench->model->path);
    printf(", \"target\": \"%s\", \"results\": [", bench->model->context.target->name);
    for (int i = 0; i < bench->count; i++) {
        const Contender *contender = &bench->contenders[i];
        printf("%s{\"precision\": \"%s\", \"threads\": %d, \"iterations\": %d, \"median_ms\": %.6f, \"p99_ms\": %.6f",
               i ? ", " : "", contender->precision, bench->model->threads, contender->count,
               quantile(contender, 0.5), quantile(contender, 0.99));
        const ProgramFacts *facts = &contender->native.facts;
        if (contender->peer)
            printf(", \"peer\": \"onnxruntime\"");
        else
            printf(", \"arena_bytes\": %zu, \"live_bytes\": %lld, \"weights_bytes\": %lld, \"code_bytes\": %lld",
                   contender->native.model->arena_bytes(bench->model->threads), (long long)facts->live_bytes,
                   (long long)facts->weights_bytes, (long long)facts->code_bytes);
        printf("}");
    }
    printf("]}\n");
}

static void print_text(const Bench *bench) {
    printf("%s, %s, %d thread%s\n", bench->model->path, bench->model->context.target->name, bench->model->threads,
           bench->model->threads == 1 ? "" : "s");
    printf("%-12s %10s %10s %10s %12s %12s %12s %12s\n", "precision", "median ms", "p99 ms", "runs", "arena bytes",
           "live bytes", "weights", "code");
    for (int i = 0; i < bench->count; i++) {
        const Contender *contender = &bench->contenders[i];
        const ProgramFacts *facts = &contender->native.facts;
        printf("%-12s %10.4f %10.4f %10d", contender->peer ? "onnxruntime" : contender->precision,
               quantile(contender, 0.5), quantile(contender, 0.99), contender->count);
        if (!contender->peer)
            printf(" %12zu %12lld %12lld %12lld", contender->native.model->arena_bytes(bench->model->threads),
                   (long long)facts->live_bytes, (long long)facts->weights_bytes, (long long)facts->code_bytes);
        printf("\n");
    }
}

// ---- the whole

static bool open_contenders(Bench *bench) {
    Model *model = bench->model;
    for (int p = 0; p < bench->precisions.count; p++) {
        Elem precision = bench->precisions.items[p];
        Contender *contender = &bench->contenders[bench->count];
        contender->precision = elem_name(precision);
        if (precision == ELEM_I8 && !model_calibrate(model))
            return false;
        Module *kn = model_lowered(model, precision, false);
        bench->count++;
        if (!kn || !native_open(&contender->native, model->arena, model->diag, kn, model->context.target, bench->dir,
                                arena_printf(model->arena, "model%d", p), NULL, model->threads) ||
            !model_fill_inputs(model, contender->native.inputs))
            return false;
        native_set_sizes(&contender->native, model->at);
    }
    if (model->options->peer) {
        Contender *contender = &bench->contenders[bench->count++];
        contender->precision = "f32";
        contender->peer = peer_open(model->arena, model->diag, model->path, model->threads);
        if (!contender->peer)
            return false;
    }
    return true;
}

static bool run_bench(Bench *bench) {
    Model *model = bench->model;
    const TextList *input = &model->options->input;
    if (!model_import(model) || !model_take_frame(model) || !model_take_postprocess(model) || !model_resize(model, input->count ? input->items[0] : NULL, -1, false) ||
        !(bench->dir = temp_dir_new(model->arena, model->diag)))
        return false;
    bool done = open_contenders(bench) && time_all(bench);
    for (int i = 0; done && i < bench->count; i++)
        qsort(bench->contenders[i].ms, (size_t)bench->contenders[i].count, sizeof(double), by_value);
    if (done)
        (model->options->json ? print_json : print_text)(bench);
    for (int i = 0; i < bench->count; i++) {
        native_close(&bench->contenders[i].native);
        peer_close(bench->contenders[i].peer);
        free(bench->contenders[i].ms);
    }
    temp_dir_remove(bench->dir);
    return done;
}

int cmd_bench(int argc, char **argv) {
    Options options;
    Model model;
    int status;
    if (!cli_parse(argc, argv, ids, &options, &status))
        return status;
    if (options.input.count > 1)
        return usage_error("bench: --input is given more than once; several inputs go into one .npz");
    if (options.iterations == 0)
        return usage_error("--iterations: expected 1 or more");
    Bench bench = {.model = &model};
    if ((status = model_open(&model, &options, 1)) == STATUS_DONE)
        status = parse_precisions(&options, &bench.precisions);
    if (status == STATUS_DONE)
        status = run_bench(&bench) ? STATUS_DONE : STATUS_INPUT;
    model_close(&model);
    return status;
}
