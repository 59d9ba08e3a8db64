// Running one network by one route and comparing (routes.h).
#include "test/differential/routes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/codegen.h"
#include "ir/verify.h"
#include "passes/pass.h"
#include "runtime/pool.h"
#include "tools/native.h"

bool case_judge(Case *test) {
    test->main = module_main(test->module);
    test->input_count = test->main->arg_count;
    test->output_count = test->main->last->operand_count;
    test->expected = ARENA_ARRAY(test->arena, Tensor, test->output_count);
    test->bounds = ARENA_ARRAY(test->arena, double, test->output_count);
    for (int i = 0; i < test->output_count; i++) test->expected[i] = tensor_new(test->arena, op_operand(test->main->last, i)->type);
    if (!eval_func(diag_new(test->arena, NULL), test->arena, test->main, test->inputs, test->expected, NULL, NULL)) return false;
    graph_bounds(test->arena, test->main, test->inputs, test->bounds);
    return true;
}

const char *route_text(Arena *arena, const Route *route) {
    return arena_printf(arena, "%s on %s%s%s, inputs %s, outputs %s, %d threads", route->via ? route->via : "in process", route->target->name,
                        route->only ? " --isa " : "", route->only ? route->only : "", elem_name(route->input_type),
                        elem_name(route->output_type), route->threads);
}

// ---- comparison

static bool is_near(double a, double b, double bound) {
    return a == b || (isnan(a) && isnan(b)) || fabs(a - b) <= bound || isinf(bound);
}

// Integers of 64 bits are more than a double holds.
static bool is_same(const Tensor *actual, const Tensor *expected, int64_t index, double bound) {
    const Type *type = expected->type;
    size_t bytes = (size_t)elem_bits(type->elem) / 8;
    if (!elem_is_float(type->elem)) return !memcmp((char *)actual->data + (size_t)index * bytes, (char *)expected->data + (size_t)index * bytes, bytes);
    return is_near(tensor_f64(actual, index), tensor_f64(expected, index), bound);
}

// `data` holds the output as the caller's memory does; `stored` is its element type there.
static RunResult compare(const Case *test, int index, const void *data, Elem stored, const char **what) {
    const Tensor *expected = &test->expected[index];
    const Type *type = expected->type;
    int64_t count = type_elem_count(type), differing = 0, first = -1;
    Tensor actual = {type, arena_copy(test->arena, data, type_bytes(type) + !count)};
    if (type->quant && stored == ELEM_U8)
        for (int64_t i = 0; i < count; i++) ((uint8_t *)actual.data)[i] ^= 0x80;
    for (int64_t i = 0; i < count; i++)
        if (!is_same(&actual, expected, i, test->bounds[index]) && !differing++) first = i;
    if (!differing) return RUN_SAME;
    *what = arena_printf(test->arena, "output %d, element %lld is %.9g, expected %.9g within %g (%lld of %lld differ)", index, (long long)first,
                         tensor_f64(&actual, first), tensor_f64(expected, first), test->bounds[index], (long long)differing, (long long)count);
    return RUN_DIFFERS;
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

static Module *lowered(const Case *test, const Route *route, const char **what) {
    Diag *diag = diag_new(test->arena, NULL);
    PassContext context = {.target = route->target, .winograd = WINOGRAD_OFF, .only_isa = route->only, .input_type = route->input_type,
                           .output_type = route->output_type, .diag = diag, .scratch = test->arena};
    Module *kn = module_clone(test->arena, test->module);
    if (run_passes(kn, &context, test->imported ? "import,lower" : "lower", NULL, NULL) && module_verify(kn, diag)) return kn;
    *what = diag_message_count(diag) ? diag_message(diag, 0)->text : "no message";
    return NULL;
}

static RunResult run_process(const Case *test, const Route *route, Program *program, const char **what) {
    size_t arena_bytes = program_arena_bytes(program);
    RunResult result = RUN_SAME;
    char *arena = guarded_new(arena_bytes), *inputs[16], *outputs[MAX_VALUES + 2];
    for (int i = 0; i < test->input_count; i++) {
        inputs[i] = guarded_new(type_bytes(test->inputs[i].type));
        put_input(test, i, inputs[i], program_input(program, i)->type->elem);
    }
    for (int i = 0; i < test->output_count; i++) outputs[i] = guarded_new(type_bytes(test->expected[i].type));
    struct qn_pool *pool = route->threads > 1 ? qn_pool_open(route->threads) : NULL;
    program_run(program, arena, (const void *const *)inputs, (void *const *)outputs, NULL, pool, NULL, NULL);
    if (pool) qn_pool_close(pool);
    bool whole = guarded_is_whole(arena, arena_bytes);
    guarded_free(arena);
    for (int i = 0; i < test->output_count; i++) {
        whole = whole && guarded_is_whole(outputs[i], type_bytes(test->expected[i].type));
        if (result == RUN_SAME) result = compare(test, i, outputs[i], program_output(program, i)->type->elem, what);
        guarded_free(outputs[i]);
    }
    for (int i = 0; i < test->input_count; i++) guarded_free(inputs[i]);
    if (whole) return result;
    *what = "memory outside of arena or outputs was written";
    return RUN_OVERWRITES;
}

static RunResult run_compiled(const Case *test, const Route *route, const Module *kn, const char *dir, const char **what) {
    Native native = {0};
    Diag *diag = diag_new(test->arena, NULL);
    const char *cc = strcmp(route->via, "llvm") ? route->via : NULL;
    const char *name = arena_printf(test->arena, "m%llu%s", (unsigned long long)test->seed, cc ? "c" : "l");
    RunResult result = RUN_SAME;
    if (native_open(&native, test->arena, diag, kn, route->target, dir, name, cc, route->threads)) {
        for (int i = 0; i < test->input_count; i++) put_input(test, i, native.inputs[i], elem_of_code(native.model->inputs[i].type));
        native_run(&native, diag);
        for (int i = 0; i < test->output_count && result == RUN_SAME; i++)
            result = compare(test, i, native.outputs[i], elem_of_code(native.model->outputs[i].type), what);
    } else {
        *what = diag_message_count(diag) ? diag_message(diag, 0)->text : "can't be compiled";
        result = RUN_BROKEN;
    }
    native_close(&native);
    return result;
}

RunResult case_run(const Case *test, const Route *route, const char *dir, Cover *cover, const char **what) {
    Module *kn = lowered(test, route, what);
    if (!kn) return RUN_REFUSED;
    if (cover) cover_program(cover, module_main(kn));
    if (route->via) return run_compiled(test, route, kn, dir, what);
    Program *program = program_new(test->arena, kn, route->threads, diag_new(test->arena, NULL));
    if (program) return run_process(test, route, program, what);
    *what = "a kernel can't run here";
    return RUN_BROKEN;
}

const char *case_fast_row(const Case *test, const Route *route) {
    const char *what;
    const Module *kn = lowered(test, route, &what);
    if (!kn) return NULL;
    FOR_EACH_OP(module_main(kn), op) {
        const KernelInfo *row = op->kind == OP_kn_call ? kernel_find(as_kn_call(op).kernel) : NULL;
        if (row && strcmp(row->isa, "generic")) return row->symbol;
    }
    return NULL;
}
