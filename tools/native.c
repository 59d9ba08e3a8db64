// Compiles a program to a shared object in a folder of ours, loads it and runs it.
#include "tools/native.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "codegen/unfinished.h"
#include "ir/custom.h"
#include "quant/parallel.h"
#include "runtime/entry.h"
#include "runtime/pool.h"

static bool compile_c(Arena *arena, Diag *diag, const char *cc, const char *source, const char *shared) {
    // The command may carry options; the paths are our own. -w: warnings about generated code help nobody here.
    char *command = arena_printf(arena, "%s -O2 -w -fPIC -shared '%s' -o '%s'", cc, source, shared);
    int status = system(command);
    if (status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    return diag_error(diag, loc_file(NULL), "the C compiler failed: %s", command);
}

static bool emit_shared(Native *native, Arena *arena, Diag *diag, const Module *kn, const Target *target,
                        const char *dir, const char *name, const char *cc) {
    const char *shared = arena_printf(arena, "%s/%s.so", dir, name), *source = arena_printf(arena, "%s/%s.c", dir, name);
    const char *symbols = arena_printf(arena, "qn_%s", name); // as no function of the user is named
    const TargetProgram program = {target, kn};
    EmitOptions emit = {.name = symbols, .kind = cc ? EMIT_C : EMIT_SHARED, .path = cc ? source : shared,
                        .threads = parallel_default_threads()};
    unfinished_add(shared);
    unfinished_add(source);
    unfinished_add(arena_printf(arena, "%s/%s.h", dir, name));
    if (!emit_programs(1, &program, &emit, diag, &native->facts))
        return false;
    if (cc && !compile_c(arena, diag, cc, source, shared))
        return false;
    native->model = load_shared(shared, symbols, diag);
    return native->model != NULL;
}

// The loader asks for the functions of custom operators, and says less of what is missing.
static bool find_customs(Diag *diag, const Module *kn) {
    FOR_EACH_OP(module_main(kn), op)
        if (op->kind == OP_kn_custom && !custom_find(diag, op->loc, as_kn_custom(op).symbol))
            return false;
    return true;
}

static void *memory_new(size_t bytes) {
    enum { ALIGNMENT = 64, SLACK = 128 };
    size_t room = (bytes + SLACK + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    void *memory = aligned_alloc(ALIGNMENT, room);
    BUG_UNLESS(memory, "out of memory: %zu bytes", room);
    return memset(memory, 0, room);
}

bool native_open(Native *native, Arena *arena, Diag *diag, const Module *kn, const Target *target, const char *dir,
                 const char *name, const char *cc, int threads) {
    *native = (Native){.threads = threads};
    if (!find_customs(diag, kn) || !emit_shared(native, arena, diag, kn, target, dir, name, cc))
        return false;
    const struct qn_model *model = native->model;
    native->pool = threads > 1 ? qn_pool_open(threads) : NULL;
    native->arena = memory_new(model->arena_bytes(threads));
    native->sums = ARENA_ARRAY(arena, double, threads * QN_MOST_FUSED);
    native->inputs = ARENA_ARRAY(arena, void *, model->input_count + MAX_SIZES); // sizes stand behind the addresses
    native->outputs = ARENA_ARRAY(arena, void *, model->output_count + 1);
    for (int i = 0; i < model->input_count; i++)
        native->inputs[i] = memory_new(model->inputs[i].bytes);
    for (int i = 0; i < model->output_count; i++)
        native->outputs[i] = memory_new(model->outputs[i].bytes);
    struct qn_options options = {.threads = threads};
    int status = model->init(native->arena, &options);
    if (status == QN_ERR_CPU)
        return diag_error(diag, loc_file(NULL), "this machine can't run target '%s'", target->name);
    BUG_UNLESS(status == QN_OK, "init of a compiled model gives %d", status);
    return true;
}

void native_close(Native *native) {
    const struct qn_model *model = native->model;
    for (int i = 0; model && native->inputs && i < model->input_count; i++)
        free(native->inputs[i]);
    for (int i = 0; model && native->outputs && i < model->output_count; i++)
        free(native->outputs[i]);
    free(native->arena);
    if (native->pool)
        qn_pool_close(native->pool);
    *native = (Native){0};
}

static const struct qn_program *program_of(const Native *native) { return ((const struct qn_arena_header *)native->arena)->program; }

int native_step_count(const Native *native) { return program_of(native)->step_count; }

static double now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec * 1e-3;
}

// ---- steps one by one

// Steps that run together (runtime/fused.h), and what each of them takes.
typedef struct {
    struct qn_context context;
    const struct qn_program *program;
    const struct qn_step *steps;
    int worker;
    double us[QN_MOST_FUSED], *sums; // of this worker; where to put them: of worker 0, then of worker 1 ...
} FusedSteps;

static void run_fused_step(void *context, int32_t index, int32_t begin, int32_t end) {
    FusedSteps *fused = context;
    const double start = now_us();
    fused->steps[index].task(&fused->context, fused->worker, begin, end);
    fused->us[index] += now_us() - start;
}

// A qn_task, as that of runtime/entry.c.
static void run_fused_rows(void *context, int worker, int32_t begin, int32_t end) {
    FusedSteps own = *(const FusedSteps *)context;
    unsigned char *memory = own.context.arena, *rows[QN_MOST_FUSED];
    if (worker) memory += own.program->plan_bytes + own.program->scratch_bytes + (size_t)(worker - 1) * own.program->worker_bytes;
    own.context.rows = rows;
    own.worker = worker;
    qn_fused_run(own.steps->fused, memory, worker != 0, rows, run_fused_step, &own, begin, end);
    for (int i = 0; i < QN_MOST_FUSED; i++)
        own.sums[worker * QN_MOST_FUSED + i] += own.us[i];
}

static void run_rows(const Native *native, qn_task *task, void *context, const struct qn_step *last) {
    if (native->pool && last->rows / 2 >= last->grain)
        native->pool->run(native->pool, task, context, last->rows, last->grain);
    else
        task(context, 0, 0, last->rows);
}

// Runs step `step` and those that run together with it; returns how many. us[i * stride]: what each took. Of steps that
// run together the whole is shared out as each thread's own sums say.
static int time_step(const Native *native, int step, double *us, int stride) {
    const struct qn_program *program = program_of(native);
    const struct qn_step *steps = &program->steps[step];
    struct qn_context context = {(unsigned char *)native->arena + QN_ARENA_HEADER_BYTES, (const void *const *)native->inputs,
                                 native->outputs, NULL, NULL};
    if (program->states) qn_states_bind(program->states, context.arena, 0, &context.inputs, &context.outputs);
    const int workers = native->threads;
    double all = 0, start = now_us();
    if (!steps->fused) {
        run_rows(native, steps->task, (void *)(uintptr_t)&context, steps);
        us[0] = now_us() - start;
        return 1;
    }
    const int count = steps->fused->count;
    FusedSteps fused = {context, program, steps, 0, {0}, native->sums};
    memset(native->sums, 0, sizeof *native->sums * (size_t)workers * QN_MOST_FUSED);
    run_rows(native, run_fused_rows, &fused, &steps[count - 1]);
    const double whole = now_us() - start;
    for (int i = 0; i < workers * QN_MOST_FUSED; i++)
        all += native->sums[i];
    for (int i = 0; i < count; i++) {
        us[i * stride] = 0;
        for (int k = 0; k < workers && all > 0; k++)
            us[i * stride] += native->sums[k * QN_MOST_FUSED + i] / all * whole;
    }
    return count;
}

int native_run_step(const Native *native, int step) {
    double us[QN_MOST_FUSED];
    return time_step(native, step, us, 1);
}

void native_time_steps(const Native *native, double *us, int stride) {
    for (int i = 0; i < native_step_count(native);)
        i += time_step(native, i, us + (size_t)i * (size_t)stride, stride);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double native_measure_steps(const Native *native, int runs, double *median, double *least) {
    enum { WARM_UP_RUNS = 5, WARM_UP_US = 5000 }; // tiles and wide vectors take a millisecond to wake
    const int count = native_step_count(native);
    double total = 0, *us = malloc(sizeof *us * ((size_t)count * (size_t)runs + 1));
    BUG_UNLESS(us, "out of memory for the times of %d runs", runs);
    const double start = now_us();
    for (int run = 0; run < WARM_UP_RUNS || now_us() - start < WARM_UP_US; run++)
        native_time_steps(native, us, runs);
    for (int run = 0; run < runs; run++)
        native_time_steps(native, us + run, runs);
    for (int i = 0; i < count; i++) {
        double *own = us + (size_t)i * (size_t)runs;
        qsort(own, (size_t)runs, sizeof *own, by_value);
        least[i] = own[0];
        total += median[i] = own[runs / 2];
    }
    free(us);
    return total;
}

void native_set_sizes(const Native *native, const int32_t *sizes) {
    memcpy(native->inputs + native->model->input_count, sizes, sizeof *sizes * (size_t)native->model->size_count);
}

bool native_run(const Native *native, Diag *diag) {
    int status = native->model->run(native->arena, (const void *const *)native->inputs, native->outputs, native->pool);
    return status == QN_OK || diag_error(diag, loc_file(NULL), "the compiled model's run gives error %d", status);
}
