// Random networks through every way of running them: the interpreter is the judge of the kernels in process (each target that
// this machine runs; on each the fastest rows of kernels.def, and then again without one fast row after the other, down to the
// generic ones; storage of 8-bit values signed and unsigned; one thread and three) and, for a share of the networks, of
// the LLVM route and the C route. Integers must be the same to the bit, floats within the bounds of bounds.c, and nothing
// may be written outside of the memory that was given. Every eighth network is drawn in floats and quantized as a whole;
// another eighth goes through the passes of an import first.
//
// Networks run in a process of their own, so that a crash ends only that one. A network that fails is made smaller for as long
// as it fails in the same way, and printed as text for `qanat opt --eval`.
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test/differential/shrink.h"
#include "tools/files.h"

static const char usage[] =
    "usage: differential_test [options]\n"
    "  --seed S       the first network's (1); a seed alone is one network again\n"
    "  --count N      so many networks, of seeds S, S + 1, ... (1000)\n"
    "  --minutes M    until so many minutes have passed\n"
    "  --compiled N   one network in N is also compiled by LLVM and each --cc (100; 0: none)\n"
    "  --cc COMMAND   a C compiler; may be given several times (cc)\n"
    "  --wrong OP     takes every network with this op for one that differs: shows what is made of a failure\n"
    "  --report       prints how often each op and each kernel row ran\n"
    "  --complete     fails when an op, its quantized form, or a kernel row that this machine runs never ran, not even in\n"
    "                 as many networks more\n";

enum { MAX_COMPILERS = 4, TIMEOUT_SECONDS = 120, SHRINK_TRIALS = 1500, SHRINK_COMPILED_TRIALS = 150 };

typedef struct {
    long count, compiled;
    uint64_t seed;
    double minutes;
    int compilers;
    const char *cc[MAX_COMPILERS], *dir;
    bool report, complete;
    OpKind wrong; // 0: none
} Settings;

// What the process that runs networks tells the one that started it.
typedef struct {
    Cover cover;
    long made, quantized;
    uint64_t seed;
    bool running; // by `route`: what a crash is put down to
    Route route;
    char only[4096], what[1024];
    RunResult result;
} Shared;

enum { EXIT_FAILS = 3 };

// ---- one network

static bool case_new(Case *test, uint64_t seed, Shared *shared) {
    Graph random = {.random = ~seed};
    *test = (Case){.seed = seed, .arena = arena_new()};
    Module *module = graph_new(test->arena, seed, &test->imported);
    if (!module) return false;
    test->imported |= seed % 8 == 5;
    if (graph_is_whole(seed)) {
        if (!graph_quantize(test->arena, module, seed)) return false;
        shared->quantized++;
    }
    test->module = module;
    const Func *main = module_main(module);
    test->inputs = ARENA_ARRAY(test->arena, Tensor, main->arg_count);
    for (int i = 0; i < main->arg_count; i++) {
        test->inputs[i] = tensor_new(test->arena, main->args[i].type);
        random_fill(&random, test->inputs[i].type, test->inputs[i].data);
    }
    return case_judge(test);
}

static bool has_op(const Func *func, OpKind kind) {
    FOR_EACH_OP(func, op)
        if (op->kind == kind) return true;
    return false;
}

static RunResult judged(const Settings *settings, const Case *test, const Route *route, Cover *cover, const char **what) {
    if (!settings->wrong || !has_op(test->main, settings->wrong)) return case_run(test, route, settings->dir, cover, what);
    *what = "as --wrong says";
    return RUN_DIFFERS;
}

static void run_route(const Settings *settings, const Case *test, const Route *route, Shared *shared) {
    const char *what = "";
    shared->route = *route;
    snprintf(shared->only, sizeof shared->only, "%s", route->only ? route->only : "");
    shared->running = true;
    shared->result = judged(settings, test, route, &shared->cover, &what);
    shared->running = false;
    if (shared->result == RUN_SAME) return;
    snprintf(shared->what, sizeof shared->what, "%s", what);
    _exit(EXIT_FAILS);
}

static Route random_route(Graph *random, const Target *target) {
    static const Elem types[] = {ELEM_F32, ELEM_I8, ELEM_U8};
    return (Route){.target = target, .input_type = types[random_int(random, 0, 2)], .output_type = types[random_int(random, 0, 2)],
                   .threads = random_chance(random, 25) ? 3 : 1};
}

static void run_case(const Settings *settings, uint64_t seed, Shared *shared) {
    Case test;
    Graph random = {.random = seed ^ 0x5DEECE66Du};
    shared->seed = seed;
    bool made = case_new(&test, seed, shared);
    for (int i = 0; made && i < target_count(); i++) {
        if (!target_host_supports(target_at(i))) continue;
        Route route = random_route(&random, target_at(i));
        run_route(settings, &test, &route, shared);
        for (const char *row; (row = case_fast_row(&test, &route));) {
            route.only = arena_printf(test.arena, "%s%s-%s", route.only ? route.only : "", route.only ? "," : "", row);
            run_route(settings, &test, &route, shared);
        }
        if (!settings->compiled || seed % (uint64_t)settings->compiled) continue;
        int way = random_int(&random, 0, settings->compilers);
        route = random_route(&random, target_at(i));
        route.via = way ? settings->cc[way - 1] : "llvm";
        run_route(settings, &test, &route, shared);
    }
    shared->made += made;
    if (made) cover_network(&shared->cover, test.main);
    arena_free(test.arena);
}

// ---- a network that fails

typedef struct { const Settings *settings; Shared *shared; const Route *route; int status; } Failing;

// A network that does not end is a failure: by the processor time of this process, which a busy machine does not count against it; by
// the clock where something waits for ever.
static void limit_time(void) {
    const struct itimerval limit = {.it_value = {.tv_sec = TIMEOUT_SECONDS}};
    setitimer(ITIMER_PROF, &limit, NULL);
    alarm(20 * TIMEOUT_SECONDS);
}

// In a process of its own: what it exits with, or the signal that ended it.
static int trial(const Failing *failing, const Network *network) {
    pid_t child = fork();
    if (!child) {
        const char *what;
        Case test = {.seed = failing->shared->seed, .arena = arena_new(), .module = network->module, .inputs = network->inputs, .imported = network->imported};
        if (!freopen("/dev/null", "w", stderr) || !case_judge(&test)) _exit(0);
        limit_time();
        _exit(judged(failing->settings, &test, failing->route, NULL, &what) == failing->shared->result ? EXIT_FAILS : 0);
    }
    int status = 0;
    return waitpid(child, &status, 0) == child ? status : 0;
}

static bool still_fails(void *context, const Network *network) {
    const Failing *failing = context;
    return trial(failing, network) == failing->status;
}

static void report_failure(const Settings *settings, Shared *shared, int status) {
    Route route = shared->route;
    if (route.only) route.only = shared->only;
    Case test;
    bool crash = WIFSIGNALED(status), routed = shared->running || !crash;
    Arena *arena = arena_new();
    printf("FAILED: seed %llu, %s: %s\n", (unsigned long long)shared->seed, routed ? route_text(arena, &route) : "before it ran",
           crash ? strsignal(WTERMSIG(status)) : shared->what);
    fflush(stdout);
    if (crash) shared->result = RUN_SAME; // no result is like it
    if (routed && case_new(&test, shared->seed, shared)) {
        Failing failing = {settings, shared, &route, status};
        Network network = {(Module *)test.module, test.inputs, test.imported};
        if (still_fails(&failing, &network)) network = shrink(arena, network, still_fails, &failing, route.via ? SHRINK_COMPILED_TRIALS : SHRINK_TRIALS);
        print_reproducer(stdout, &network, &route);
    }
    arena_free(arena);
    fflush(stdout);
}

// ---- all of them

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

typedef struct { uint64_t next, end; double deadline; } Range;

static bool is_done(const Range *range) { return range->deadline > 0 ? seconds_now() > range->deadline : range->next == range->end; }

// A process that runs networks until one fails; its status.
static int run_some(const Settings *settings, Range range, Shared *shared) {
    fflush(stdout);
    pid_t child = fork();
    if (!child) {
        for (; !is_done(&range); range.next++) {
            limit_time();
            run_case(settings, range.next, shared);
        }
        shared->seed = range.next;
        _exit(0);
    }
    int status = 0;
    return waitpid(child, &status, 0) == child ? status : -1;
}

// How many failed.
static int run_range(const Settings *settings, Range *range, Shared *shared) {
    int failures = 0;
    while (!is_done(range)) {
        int status = run_some(settings, *range, shared);
        range->next = shared->seed;
        if (!status) break;
        failures++;
        report_failure(settings, shared, status);
        range->next++;
    }
    return failures;
}

static bool run_all(const Settings *settings, Shared *shared) {
    double deadline = settings->minutes > 0 ? seconds_now() + 60 * settings->minutes : 0;
    Range range = {settings->seed, settings->seed + (uint64_t)settings->count, deadline};
    int failures = run_range(settings, &range, shared);
    // Rare rows may want some more networks.
    Settings more = *settings;
    for (more.compiled = 0; settings->complete && range.end < settings->seed + 2 * (uint64_t)settings->count && cover_missing(&shared->cover, NULL);) {
        range.end += (uint64_t)settings->count / 4;
        failures += run_range(&more, &range, shared);
    }
    if (settings->report) cover_print(&shared->cover);
    bool complete = !settings->complete || !cover_missing(&shared->cover, stdout);
    printf("seeds %llu to %llu: %ld networks, %ld of them quantized as a whole, %d failed\n", (unsigned long long)settings->seed,
           (unsigned long long)range.next - 1, shared->made, shared->quantized, failures);
    return !failures && complete && shared->made >= (long)(range.next - settings->seed) / 2;
}

static bool parse(int argc, char **argv, Settings *settings) {
    bool counted = argc == 1;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (!strcmp(argv[i], "--report")) settings->report = true;
        else if (!strcmp(argv[i], "--complete")) settings->complete = true;
        else if (!value) return false;
        else if (!strcmp(argv[i], "--count")) settings->count = atol(argv[++i]), counted = true;
        else if (!strcmp(argv[i], "--seed")) settings->seed = strtoull(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "--minutes")) settings->minutes = atof(argv[++i]);
        else if (!strcmp(argv[i], "--compiled")) settings->compiled = atol(argv[++i]);
        else if (!strcmp(argv[i], "--wrong")) {
            if (!op_find(argv[++i], &settings->wrong)) return false;
        } else if (!strcmp(argv[i], "--cc") && settings->compilers < MAX_COMPILERS) settings->cc[settings->compilers++] = argv[++i];
        else return false;
    }
    if (!counted) settings->count = 1;
    if (!settings->compilers) settings->cc[settings->compilers++] = "cc";
    return settings->count > 0;
}

int main(int argc, char **argv) {
    Settings settings = {.seed = 1, .compiled = 100, .count = 1000};
    if (!parse(argc, argv, &settings)) {
        fputs(usage, stderr);
        return 2;
    }
    Shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    BUG_UNLESS(shared != MAP_FAILED, "no shared memory");
    Arena *arena = arena_new();
    settings.dir = temp_dir_new(arena, diag_new(arena, stderr));
    bool good = settings.dir && run_all(&settings, shared);
    if (settings.dir) temp_dir_remove(settings.dir);
    arena_free(arena);
    return !good;
}
