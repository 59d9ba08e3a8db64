// Random networks through every way of running them: the interpreter is the judge of the kernels in process (each target
// and instruction set that this machine runs, storage of 8-bit values signed and unsigned, one thread and three) and, for
// a share of the networks, of the LLVM route and the C route. Integers must be the same to the bit, floats within the
// bounds of bounds.c, and nothing may be written outside of the memory that was given.
//
//   differential_test [--count N] [--seed S] [--compiled N] [--cc COMMAND]
// runs N networks of seeds S, S + 1, …; one in --compiled N is also compiled (0: none). A seed alone is one network again.
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codegen/codegen.h"
#include "ir/print.h"
#include "ir/verify.h"
#include "passes/pass.h"
#include "runtime/pool.h"
#include "test/differential/graph.h"
#include "tools/files.h"
#include "tools/native.h"

typedef struct {
    uint64_t seed;
    Arena *arena;
    Graph random;
    const Module *module;
    const Func *main;
    Tensor *inputs, *expected;
    double *bounds;
    int input_count, output_count;
    bool failed;
} Case;

typedef struct { const Target *target; const char *isa; Elem input_type, output_type; int threads; } Route;

static uint64_t current_seed;

static void on_abort(int number) {
    fflush(stdout);
    char text[64];
    int length = snprintf(text, sizeof text, "FAILED: seed %llu\n", (unsigned long long)current_seed);
    (void)!write(2, text, (size_t)length);
    signal(number, SIG_DFL);
    raise(number);
}

// ---- what went wrong

static void fail(Case *test, const Route *route, const char *way, const char *what) {
    if (!test->failed) module_print(stdout, test->module, (PrintOptions){.elide_constants = true});
    test->failed = true;
    printf("FAILED: seed %llu, %s on %s%s%s, inputs %s, outputs %s, %d threads: %s\n", (unsigned long long)test->seed, way,
           route->target->name, route->isa ? " --isa " : "", route->isa ? route->isa : "", elem_name(route->input_type),
           elem_name(route->output_type), route->threads, what);
}

static bool is_near(double a, double b, double bound) {
    return a == b || (isnan(a) && isnan(b)) || fabs(a - b) <= bound || isinf(bound);
}

// `data` holds the output as the caller's memory does; `stored` is its element type there.
static void compare(Case *test, const Route *route, const char *way, int index, const void *data, Elem stored) {
    const Tensor *expected = &test->expected[index];
    const Type *type = expected->type;
    int64_t count = type_elem_count(type), differing = 0, first = -1;
    Tensor actual = {type, arena_copy(test->arena, data, type_bytes(type) + !count)};
    if (type->quant && stored == ELEM_U8)
        for (int64_t i = 0; i < count; i++) ((uint8_t *)actual.data)[i] ^= 0x80;
    for (int64_t i = 0; i < count; i++)
        if (!is_near(tensor_f64(&actual, i), tensor_f64(expected, i), test->bounds[index])) {
            if (!differing++) first = i;
        }
    if (!differing) return;
    fail(test, route, way,
         arena_printf(test->arena, "output %d, element %lld is %.9g, expected %.9g within %g (%lld of %lld differ)", index, (long long)first,
                      tensor_f64(&actual, first), tensor_f64(expected, first), test->bounds[index], (long long)differing, (long long)count));
}

// ---- memory with a border that must not change

enum { BORDER = 192, MARK = 0xA5 };

static char *guarded_new(size_t bytes) {
    size_t room = (bytes + 2 * BORDER + 63) / 64 * 64;
    char *memory = aligned_alloc(64, room);
    BUG_UNLESS(memory, "out of memory");
    memset(memory, MARK, room); // what was not written is not zero by chance
    return memory + BORDER;
}

static bool guarded_is_whole(const char *memory, size_t bytes) {
    for (int i = 0; i < BORDER; i++)
        if ((uint8_t)memory[-1 - i] != MARK || (uint8_t)memory[(ptrdiff_t)bytes + i] != MARK) return false;
    return true;
}

static void guarded_free(char *memory) { free(memory - BORDER); }

// The input as its buffer stores it.
static void put_input(const Case *test, int index, void *memory, Elem stored) {
    const Tensor *tensor = &test->inputs[index];
    size_t bytes = type_bytes(tensor->type);
    memcpy(memory, tensor->data, bytes);
    if (tensor->type->quant && stored == ELEM_U8)
        for (size_t i = 0; i < bytes; i++) ((uint8_t *)memory)[i] ^= 0x80;
}

// ---- routes

static Module *lowered(Case *test, const Route *route) {
    Diag *diag = diag_new(test->arena, NULL);
    PassContext context = {.target = route->target, .only_isa = route->isa, .input_type = route->input_type,
                           .output_type = route->output_type, .diag = diag, .scratch = test->arena};
    Module *kn = module_clone(test->arena, test->module);
    if (run_pipeline(kn, &context, "lower") && module_verify(kn, diag)) return kn;
    fail(test, route, "lowering", diag_message_count(diag) ? diag_message(diag, 0)->text : "no message");
    return NULL;
}

static void run_process(Case *test, const Route *route) {
    Module *kn = lowered(test, route);
    Program *program = kn ? program_new(test->arena, kn, route->threads, diag_new(test->arena, stderr)) : NULL;
    if (!program) return;
    size_t arena_bytes = program_arena_bytes(program);
    char *arena = guarded_new(arena_bytes), *inputs[4], *outputs[MAX_VALUES];
    for (int i = 0; i < test->input_count; i++) {
        inputs[i] = guarded_new(type_bytes(test->inputs[i].type));
        put_input(test, i, inputs[i], program_input(program, i)->type->elem);
    }
    for (int i = 0; i < test->output_count; i++) outputs[i] = guarded_new(type_bytes(test->expected[i].type));
    struct qn_pool *pool = route->threads > 1 ? qn_pool_open(route->threads) : NULL;
    program_run(program, arena, (const void *const *)inputs, (void *const *)outputs, pool, NULL, NULL);
    if (pool) qn_pool_close(pool);
    bool whole = guarded_is_whole(arena, arena_bytes);
    guarded_free(arena);
    for (int i = 0; i < test->output_count; i++) {
        whole = whole && guarded_is_whole(outputs[i], type_bytes(test->expected[i].type));
        compare(test, route, "in process", i, outputs[i], program_output(program, i)->type->elem);
        guarded_free(outputs[i]);
    }
    for (int i = 0; i < test->input_count; i++) guarded_free(inputs[i]);
    if (!whole) fail(test, route, "in process", "memory outside of arena or outputs was written");
}

static Elem elem_of_abi(int32_t type) { return type == QN_U8 ? ELEM_U8 : ELEM_I8; }

static void run_compiled(Case *test, const Route *route, const char *dir, const char *cc) {
    Module *kn = lowered(test, route);
    if (!kn) return;
    Native native = {0};
    Diag *diag = diag_new(test->arena, stderr);
    const char *name = arena_printf(test->arena, "m%llu%s", (unsigned long long)test->seed, cc ? "c" : "l");
    if (native_open(&native, test->arena, diag, kn, route->target, dir, name, cc, route->threads)) {
        for (int i = 0; i < test->input_count; i++) put_input(test, i, native.inputs[i], elem_of_abi(native.model->inputs[i].type));
        native_run(&native, diag);
        for (int i = 0; i < test->output_count; i++)
            compare(test, route, cc ? cc : "LLVM", i, native.outputs[i], elem_of_abi(native.model->outputs[i].type));
    } else fail(test, route, cc ? cc : "LLVM", "can't be compiled");
    native_close(&native);
}

// ---- one network

static bool case_new(Case *test, uint64_t seed) {
    *test = (Case){.seed = seed, .arena = arena_new(), .random = {.random = ~seed}};
    test->module = graph_new(test->arena, seed);
    if (!test->module) return false;
    test->main = module_main(test->module);
    test->input_count = test->main->arg_count;
    test->output_count = test->main->last->operand_count;
    test->inputs = ARENA_ARRAY(test->arena, Tensor, test->input_count);
    test->expected = ARENA_ARRAY(test->arena, Tensor, test->output_count);
    test->bounds = ARENA_ARRAY(test->arena, double, test->output_count);
    for (int i = 0; i < test->input_count; i++) {
        test->inputs[i] = tensor_new(test->arena, test->main->args[i].type);
        random_fill(&test->random, test->inputs[i].type, test->inputs[i].data);
    }
    for (int i = 0; i < test->output_count; i++) test->expected[i] = tensor_new(test->arena, op_operand(test->main->last, i)->type);
    Diag *diag = diag_new(test->arena, NULL);
    if (!eval_func(diag, test->arena, test->main, test->inputs, test->expected, NULL, NULL)) return false; // a sum leaves i32
    graph_bounds(test->arena, test->main, test->inputs, test->bounds);
    return true;
}

static Route random_route(Case *test, const Target *target, const char *isa) {
    static const Elem types[] = {ELEM_F32, ELEM_I8, ELEM_U8};
    return (Route){target, isa, types[random_int(&test->random, 0, 2)], types[random_int(&test->random, 0, 2)],
                   random_chance(&test->random, 25) ? 3 : 1};
}

typedef struct { long count, seed, compiled; const char *cc, *dir; } Settings;

static bool run_case(const Settings *settings, uint64_t seed, int *failures) {
    Case test;
    current_seed = seed;
    bool made = case_new(&test, seed);
    for (int i = 0; made && i < target_count(); i++) {
        const Target *target = target_at(i);
        if (!target_host_supports(target)) continue;
        Route route = random_route(&test, target, NULL), generic = random_route(&test, target, "generic");
        run_process(&test, &route);
        if (strcmp(target->isas, "generic")) run_process(&test, &generic);
        if (!settings->compiled || seed % (uint64_t)settings->compiled) continue;
        if (random_chance(&test.random, 50)) run_compiled(&test, &route, settings->dir, NULL);
        else run_compiled(&test, &route, settings->dir, settings->cc);
    }
    *failures += test.failed;
    arena_free(test.arena);
    return made;
}

static bool parse(int argc, char **argv, Settings *settings) {
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--count")) settings->count = atol(argv[i + 1]);
        else if (!strcmp(argv[i], "--seed")) settings->seed = atol(argv[i + 1]);
        else if (!strcmp(argv[i], "--compiled")) settings->compiled = atol(argv[i + 1]);
        else if (!strcmp(argv[i], "--cc")) settings->cc = argv[i + 1];
        else return false;
    }
    if (!settings->count) settings->count = argc > 1 ? 1 : 1000;
    return argc % 2 == 1;
}

int main(int argc, char **argv) {
    Settings settings = {.seed = 1, .compiled = 100, .cc = "cc"};
    if (!parse(argc, argv, &settings)) {
        fprintf(stderr, "usage: differential_test [--seed S] [--count N] [--compiled N] [--cc COMMAND]\n");
        return 2;
    }
    signal(SIGABRT, on_abort);
    signal(SIGSEGV, on_abort);
    signal(SIGFPE, on_abort);
    Arena *arena = arena_new();
    settings.dir = temp_dir_new(arena, diag_new(arena, stderr));
    int made = 0, failures = 0;
    for (long i = 0; i < settings.count; i++) made += run_case(&settings, (uint64_t)(settings.seed + i), &failures);
    if (settings.dir) temp_dir_remove(settings.dir);
    printf("%d networks, %d failed\n", made, failures);
    arena_free(arena);
    return failures || made < settings.count / 2;
}
