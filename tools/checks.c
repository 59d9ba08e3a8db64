// Runs checks on compiled code (checks.h). All functions become one, so that a file costs one compilation; each check
// is then evaluated by the interpreter on the program's outputs and the constants that it expects.
#include "tools/checks.h"

#include <string.h>

#include "ir/eval.h"
#include "quant/runner.h"
#include "tools/files.h"
#include "tools/native.h"

// A check and its operands: indices of outputs, or -1 for a constant.
typedef struct { const Op *op; int outputs[2]; } Check;

typedef struct {
    Arena *arena;
    Diag *diag;
    const CheckRoute *route;
    Module *module; // one function, @main
    Check *checks;
    Value **returned;
    int check_count, output_count;
    Tensor *outputs;
} Checks;

// ---- one function of all

static bool is_check(const Op *op) { return !strcmp(op_info(op->kind)->dialect, "check"); }

// The actual value is always computed by the program, even when it is a constant; what is expected mostly is one.
static void add_check(Checks *checks, Op *op) {
    Check *check = &checks->checks[checks->check_count++];
    check->op = op;
    for (int i = 0; i < 2; i++) {
        bool constant = i && value_constant(op_operand(op, i));
        check->outputs[i] = constant ? -1 : checks->output_count;
        if (!constant) checks->returned[checks->output_count++] = op_operand(op, i);
    }
}

static void rename_results(Op *op) {
    for (int i = 0; i < op->result_count; i++)
        if (op->results[i].name) value_set_name(&op->results[i], op->results[i].name);
}

// Moves the ops of functions without arguments into @main; checks stay where they are.
static void join_functions(Checks *checks) {
    Module *module = checks->module;
    Func *funcs = module->funcs;
    int room = 1;
    for (Func *func = funcs; func; func = func->next) FOR_EACH_OP(func, op) room += is_check(op);
    checks->checks = ARENA_ARRAY(checks->arena, Check, room);
    checks->returned = ARENA_ARRAY(checks->arena, Value *, 2 * room);
    module->funcs = NULL;
    Func *all = func_new(module, "main", 0, NULL, NULL);
    Builder builder = builder_end(all);
    Op *end = op_new(&builder, OP_return, 0, NULL, 0, NULL, NULL);
    for (Func *func = funcs; func; func = func->next) {
        if (func->arg_count) continue;
        FOR_EACH_OP(func, op) {
            if (is_check(op)) add_check(checks, op);
            else if (op->kind != OP_return) {
                op_move_before(op, end);
                rename_results(op);
            }
        }
    }
    op_erase(end);
    op_new(&builder, OP_return, checks->output_count, checks->returned, 0, NULL, NULL);
}

// The checks are no longer uses: they would keep values from being written to the outputs directly.
static void drop_check_uses(Checks *checks, Tensor *expected) {
    for (int i = 0; i < checks->check_count; i++) {
        Op *op = (Op *)checks->checks[i].op;
        const Dense *dense = value_constant(op_operand(op, 1));
        if (checks->checks[i].outputs[1] < 0) {
            const Type *type = op_operand(op, 1)->type;
            expected[i] = tensor_new(checks->arena, type);
            size_t bytes = type_bytes(type), piece = dense->splat ? dense->bytes : bytes;
            for (size_t at = 0; at < bytes; at += piece) memcpy((char *)expected[i].data + at, dense->data, piece);
        }
        op_set_operand(op, 0, NULL);
        op_set_operand(op, 1, NULL);
    }
}

// ---- running it

// What the program wrote, in the caller's storage of 8-bit values, as the interpreter holds it.
static void take_output(Checks *checks, int index, const void *data, Elem stored) {
    const Type *type = checks->outputs[index].type;
    size_t bytes = type_bytes(type);
    uint8_t *copy = arena_copy(checks->arena, data, bytes);
    bool flipped = type->quant && type->elem == ELEM_I8 && stored == ELEM_U8;
    for (size_t i = 0; flipped && i < bytes; i++) copy[i] ^= 0x80;
    checks->outputs[index].data = copy;
}

static bool run_process(Checks *checks, const Module *kn) {
    const Runner *runner = runner_new(checks->arena, kn, 1, checks->diag);
    if (!runner) return false;
    runner_run(runner, 0, NULL, NULL);
    for (int i = 0; i < checks->output_count; i++)
        take_output(checks, i, runner_state(runner, 0)->outputs[i], runner_output(runner, i)->type->elem);
    runner_free(runner);
    return true;
}

static bool run_native(Checks *checks, const Module *kn) {
    Native native = {0};
    char *dir = temp_dir_new(checks->arena, checks->diag);
    if (!dir) return false;
    bool done = native_open(&native, checks->arena, checks->diag, kn, checks->route->context->target, dir, "checked",
                            checks->route->cc, 1) &&
                native_run(&native, checks->diag);
    for (int i = 0; done && i < checks->output_count; i++)
        take_output(checks, i, native.outputs[i], native.model->outputs[i].type == QN_U8 ? ELEM_U8 : ELEM_I8);
    native_close(&native);
    temp_dir_remove(dir);
    return done;
}

static bool compile_and_run(Checks *checks) {
    PassContext context = *checks->route->context;
    context.diag = checks->diag;
    context.scratch = checks->arena;
    checks->outputs = ARENA_ARRAY(checks->arena, Tensor, checks->output_count + 1);
    for (int i = 0; i < checks->output_count; i++) checks->outputs[i].type = checks->returned[i]->type;
    if (!run_pipeline(checks->module, &context, "lower")) return false;
    return checks->route->native ? run_native(checks, checks->module) : run_process(checks, checks->module);
}

bool checks_run(const Module *module, const CheckRoute *route, Arena *arena, Diag *diag) {
    Checks checks = {.arena = arena, .diag = diag, .route = route, .module = module_clone(arena, module)};
    join_functions(&checks);
    if (!checks.check_count) return diag_error(diag, loc_file(module->file), "no check in a function without arguments");
    Tensor *expected = ARENA_ARRAY(arena, Tensor, checks.check_count);
    drop_check_uses(&checks, expected);
    if (!compile_and_run(&checks)) return false;
    bool good = true;
    for (int i = 0; i < checks.check_count; i++) {
        const Check *check = &checks.checks[i];
        const Tensor *operands[2] = {&checks.outputs[check->outputs[0]], &expected[i]};
        if (check->outputs[1] >= 0) operands[1] = &checks.outputs[check->outputs[1]];
        good = eval_op(diag, check->op, operands, NULL) && good;
    }
    return good;
}
