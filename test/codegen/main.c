// Builds small planned programs by hand, and runs each in process, as an object of the LLVM route and as C compiled by the
// compilers of this machine: all must give the same bytes, with any number of threads.
//
//   codegen_test DIR        writes its files to DIR; prints "ok NAME" for each check
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "codegen/codegen.h"
#include "runtime/entry.h"
#include "runtime/kernel.h"
#include "test/codegen/pool.h"

enum { H = 12, W = 9, C = 5, O = 7, ELEMS_IN = 2 * H * W * C, ELEMS_OUT = 2 * H * W * O };

static Arena *arena;
static Diag *diag;
static int failures;

static void check(bool ok, const char *what) {
    printf("%s %s\n", ok ? "ok" : "FAILED", what);
    failures += !ok;
}

// ---- a program: f32 -> s8 with a halo -> 3x3 convolution -> added to itself in place -> f32

typedef struct { Builder b; int64_t next_offset; } Build;

static const Type *buffer_type(Elem elem, int c, const int32_t halo[4]) {
    const int64_t shape[] = {2, H, W, c};
    return type_buffer(arena, type_tensor(arena, elem, 4, shape), elem, halo);
}

static Value *buffer(Build *build, OpKind kind, const Type *type, const char *name, Attr *attrs) {
    Op *op = op_new(&build->b, kind, 0, NULL, 1, &type, attrs);
    value_set_name(&op->results[0], name);
    return &op->results[0];
}

static Value *alloc(Build *build, const Type *type, const char *name) {
    int64_t pixels = (H + type->halo[0] + type->halo[2]) * (W + type->halo[1] + type->halo[3]);
    int64_t bytes = (2 * pixels * type->shape[3] + 128 + 63) / 64 * 64;
    Attr *attrs = attr_int(arena, attr_int(arena, NULL, "offset", build->next_offset), "bytes", bytes);
    build->next_offset += bytes;
    return buffer(build, OP_kn_alloc, type, name, attr_int(arena, attrs, "pad_bytes", 64));
}

static Value *weights(Build *build, Elem elem, int64_t count, const void *data, size_t bytes, const char *name) {
    const Type *type = type_tensor(arena, elem, 1, &count);
    Dense *dense = ARENA_NEW(arena, Dense);
    *dense = (Dense){.type = type, .data = arena_copy(arena, data, bytes), .bytes = bytes};
    return buffer(build, OP_kn_weights, type_buffer(arena, type, elem, (int32_t[4]){0}), name,
                  attr_dense(arena, NULL, "value", dense));
}

static Value *view(Build *build, Value *source, const Type *type, const char *name, int64_t offset) {
    Op *op = op_new(&build->b, OP_kn_view, 1, &source, 1, &type, attr_int(arena, NULL, "offset", offset));
    value_set_name(&op->results[0], name);
    return &op->results[0];
}

static void call(Build *build, const char *symbol, const KernelArgs *args, int64_t rows, int count, Value **buffers) {
    Attr *attrs = attr_int(arena, args_to_attrs(arena, NULL, args), "rows", rows);
    op_new(&build->b, OP_kn_call, count, buffers, 0, NULL, attr_string(arena, attrs, "kernel", symbol));
}

static void strides(KernelArgs *args, const char *field, int64_t c, int64_t row_pixels, int64_t rows) {
    args_ints(args, field, 5, (int64_t[]){rows * row_pixels * c, row_pixels * c, c, 1, 0});
}

static void shape(KernelArgs *args, int64_t c) { args_ints(args, "shape", 5, (int64_t[]){2, H, W, c, 1}); }

static void add_quantize(Build *build, Value *in, Value *out) {
    KernelArgs args;
    args_begin(&args, "quantize");
    shape(&args, C);
    strides(&args, "in", C, W, H);
    strides(&args, "out", C, W + 2, H + 2);
    args_float(&args, "scale", 0.02f);
    args_int(&args, "out_zp", 3), args_int(&args, "lo", -128), args_int(&args, "hi", 127);
    call(build, "qn_quantize_f32_s8__any__generic", &args, 2 * H, 2, (Value *[]){in, out});
}

static void add_halo(Build *build, Value *out) {
    KernelArgs args;
    args_begin(&args, "halo");
    args_int(&args, "h", H), args_int(&args, "w", W), args_int(&args, "c", C);
    args_int(&args, "out_row", (W + 2) * C), args_int(&args, "out_image", (W + 2) * (H + 2) * C);
    args_int(&args, "top", 1), args_int(&args, "left", 1), args_int(&args, "bottom", 1), args_int(&args, "right", 1);
    args_int(&args, "elem_bytes", 1), args_int(&args, "value_lo", 3);
    call(build, "qn_halo_any_any__any__generic", &args, 2, 1, &out);
}

static void add_conv(Build *build, Value **buffers) {
    KernelArgs args;
    args_begin(&args, "conv2d");
    args_int(&args, "out_h", H), args_int(&args, "out_w", W), args_int(&args, "out_c", O);
    args_int(&args, "in_pixel", C), args_int(&args, "out_pixel", O);
    args_int(&args, "out_row", W * O), args_int(&args, "out_image", H * W * O);
    args_int(&args, "in_h", H + 2), args_int(&args, "in_w", W + 2), args_int(&args, "in_c", C);
    args_int(&args, "in_row", (W + 2) * C), args_int(&args, "in_image", (H + 2) * (W + 2) * C);
    args_int(&args, "kernel_h", 3), args_int(&args, "kernel_w", 3), args_int(&args, "stride_h", 1), args_int(&args, "stride_w", 1);
    args_int(&args, "dilation_h", 1), args_int(&args, "dilation_w", 1), args_int(&args, "group", 1);
    args_int(&args, "in_zp", 3), args_int(&args, "out_zp", -20), args_int(&args, "lo", -128), args_int(&args, "hi", 127);
    call(build, "qn_conv2d_s8s8_s8__any__generic", &args, 2 * H, 5, buffers);
}

static void add_sum(Build *build, Value *a, Value *out) {
    KernelArgs args;
    args_begin(&args, "binary");
    args_int(&args, "op", QN_ADD);
    shape(&args, O);
    strides(&args, "a", O, W, H), strides(&args, "b", O, W, H), strides(&args, "out", O, W, H);
    args_int(&args, "a_zp", -20), args_int(&args, "b_zp", -20), args_int(&args, "out_zp", 1);
    args_int(&args, "lo", -100), args_int(&args, "hi", 120);
    args_float(&args, "a_multiplier", 0.37f), args_float(&args, "b_multiplier", 0.41f);
    call(build, "qn_binary_s8s8_s8__any__generic", &args, 2 * H, 3, (Value *[]){a, a, out});
}

static void add_dequantize(Build *build, Value *in, Value *out) {
    KernelArgs args;
    args_begin(&args, "quantize");
    shape(&args, O);
    strides(&args, "in", O, W, H), strides(&args, "out", O, W, H);
    args_float(&args, "scale", 0.05f), args_int(&args, "in_zp", 1);
    call(build, "qn_quantize_s8_f32__any__generic", &args, 2 * H, 2, (Value *[]){in, out});
}

static Module *program_module(void) {
    static const int32_t none[4] = {0}, halo[4] = {1, 1, 1, 1};
    int8_t weight[O * 9 * C];
    int32_t bias[O];
    float multiplier[O];
    for (int i = 0; i < O * 9 * C; i++) weight[i] = (int8_t)(i * 37 % 255 - 127);
    for (int i = 0; i < O; i++) bias[i] = i * 100 - 300, multiplier[i] = 0.0007f * (float)(i + 1);
    Module *module = module_new(arena, "tiny");
    Build build = {.b = builder_end(func_new(module, "main", 0, NULL, NULL))};
    Value *in = buffer(&build, OP_kn_input, buffer_type(ELEM_F32, C, none), "image?*/", attr_int(arena, NULL, "index", 0));
    Value *out = buffer(&build, OP_kn_output, buffer_type(ELEM_F32, O, none), "float", attr_int(arena, NULL, "index", 0));
    Value *quantized = alloc(&build, buffer_type(ELEM_I8, C, halo), "quantized");
    Value *conv = alloc(&build, buffer_type(ELEM_I8, O, none), "block/conv 1");
    Value *w = weights(&build, ELEM_I8, O * 9 * C, weight, sizeof weight, "w");
    Value *b = weights(&build, ELEM_I32, O, bias, sizeof bias, "b");
    Value *m = weights(&build, ELEM_F32, O, multiplier, sizeof multiplier, "m");
    add_halo(&build, quantized);
    add_quantize(&build, in, quantized);
    Value *padded = view(&build, quantized, buffer_type(ELEM_I8, C, none), "padded", -((W + 2) + 1) * C);
    add_conv(&build, (Value *[]){padded, w, b, m, conv});
    add_conv(&build, (Value *[]){padded, w, b, m, conv}); // the same once more: shares its function
    Value *sum = view(&build, conv, conv->type, "sum", 0);
    add_sum(&build, conv, sum);
    add_dequantize(&build, sum, out);
    op_new(&build.b, OP_return, 0, NULL, 0, NULL, NULL);
    return module;
}

// ---- running it

// The caller's memory ends where the page does: nothing may be read or written beyond.
static void *guarded(size_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = (bytes + page - 1) / page;
    char *memory = mmap(NULL, (pages + 1) * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(memory + pages * page, page, PROT_NONE);
    return memory + pages * page - bytes;
}

static const float *input(void) {
    float *data = guarded(ELEMS_IN * sizeof *data);
    for (int i = 0; i < ELEMS_IN; i++) data[i] = (float)(i * 7919 % 1000) * 0.006f - 3;
    return data;
}

static void count_tap(void *context, const Value *value, const void *data) {
    (void)data;
    strncat(context, value->name, 100);
    strncat(context, " ", 2);
}

static void run_in_process(const Module *module, float *out, struct qn_pool *pool, char *taps) {
    Program *program = program_new(arena, module, pool ? pool->threads : 1, diag);
    void *memory = aligned_alloc(64, (program_arena_bytes(program) + 63) / 64 * 64);
    const void *inputs[] = {input()};
    program_run(program, memory, inputs, (void *[]){out}, NULL, pool, taps ? count_tap : NULL, taps);
    free(memory);
}

static bool run_shared(const char *path, float *out, struct qn_pool *pool) {
    const struct qn_model *model = load_shared(path, "tiny", diag);
    if (!model) return false;
    int threads = pool ? pool->threads : 1;
    void *memory = aligned_alloc(64, (model->arena_bytes(threads) + 63) / 64 * 64);
    memset(memory, 0x55, model->arena_bytes(threads));
    struct qn_options options = {.threads = threads};
    const void *inputs[] = {input()};
    bool ok = model->run(memory, inputs, (void *[]){out}, pool) == QN_ERR_INIT && model->init((char *)memory + 1, &options) == QN_ERR_ARENA &&
              model->init(memory, &options) == QN_OK && model->run(memory, inputs, (void *[]){NULL}, pool) == QN_ERR_POINTER &&
              model->run(memory, inputs, (void *[]){out}, pool) == QN_OK && model->inputs[0].bytes == ELEMS_IN * 4;
    free(memory);
    return ok;
}

static void check_route(const char *path, const float *expected, struct qn_pool *pool, const char *what) {
    for (int threads = 0; threads < 2; threads++) {
        float *out = guarded(ELEMS_OUT * sizeof *out);
        bool ok = run_shared(path, out, threads ? pool : NULL);
        int wrong = 0;
        for (int i = 0; i < ELEMS_OUT; i++) wrong += memcmp(&out[i], &expected[i], sizeof *out) != 0;
        check(ok && !wrong, arena_printf(arena, "%s, %d threads (%s, %d elements differ)", what, threads ? pool->threads : 1, ok ? "ran" : "failed", wrong));
    }
}

static const char *emit(const Module *module, const char *folder, const char *target, EmitKind kind, const char *file) {
    const char *path = arena_printf(arena, "%s/%s", folder, file);
    const TargetProgram program = {target_find(target), module};
    EmitOptions options = {"tiny", kind, path, arena_printf(arena, "%s/tiny.h", folder), 1};
    ProgramFacts facts;
    check(emit_programs(1, &program, &options, diag, &facts), arena_printf(arena, "emit %s for %s", file, target));
    return path;
}

static void check_targets(const Module *module, const char *folder, const float *expected, struct qn_pool *pool) {
    static const char *const compilers[] = {"gcc -std=c99 -O2", "clang-19 -std=c11 -O2"};
    for (int i = 0; i < target_count(); i++) {
        const Target *target = target_at(i);
        if (!target_host_supports(target)) continue;
        const char *shared = emit(module, folder, target->name, EMIT_SHARED, arena_printf(arena, "%s.so", target->name));
        check_route(shared, expected, pool, arena_printf(arena, "llvm, %s", target->name));
        const char *c = emit(module, folder, target->name, EMIT_C, arena_printf(arena, "%s.c", target->name));
        for (int k = 0; k < 2; k++) {
            const char *so = arena_printf(arena, "%s/%s.%d.so", folder, target->name, k);
            const char *line = arena_printf(arena, "%s -Wall -Wextra -Werror -pedantic -fPIC -shared %s -o %s", compilers[k], c, so);
            check(system(line) == 0, arena_printf(arena, "%s %s.c", compilers[k], target->name));
            check_route(so, expected, pool, arena_printf(arena, "%s, %s", compilers[k], target->name));
        }
    }
}

// A processor that lacks a feature is refused by init, before anything runs; so are pools that init was not told of.
static void run_nowhere(const struct qn_pool *pool, qn_task *task, void *context, int32_t rows, int32_t grain) {
    (void)pool, (void)task, (void)context, (void)rows, (void)grain;
}

static void check_entry(void) {
    _Alignas(64) static unsigned char memory[1024];
    struct qn_program program = {.plan_bytes = 64, .scratch_bytes = 128, .worker_bytes = 192, .cpu_features = (uint64_t)1 << 63, .target = "none"};
    struct qn_pool two = {2, run_nowhere};
    check(qn_entry_init(&program, memory, NULL) == QN_ERR_CPU, "a missing instruction set is reported");
    program.cpu_features = 0;
    check(qn_entry_run(&program, memory, NULL, NULL, NULL) == QN_ERR_INIT, "an arena must be prepared");
    check(qn_entry_init(&program, memory, NULL) == QN_OK && !qn_entry_run(&program, memory, NULL, NULL, NULL), "an empty program runs");
    check(qn_entry_run(&program, memory, NULL, NULL, &two) == QN_ERR_THREADS, "a pool that is too large is refused");
    check(qn_entry_init(&program, memory, &(struct qn_options){.threads = 2}) == QN_OK && !qn_entry_run(&program, memory, NULL, NULL, &two), "two threads");
    check(qn_entry_arena_bytes(&program, 3) - qn_entry_arena_bytes(&program, 1) == 384, "memory for each further thread");
    check(qn_entry_arena_bytes(&program, 1) == QN_ARENA_HEADER_BYTES + 64 + 128, "plan and scratch for one");
    check(qn_entry_init(&program, memory + 1, NULL) == QN_ERR_ARENA && qn_entry_init(&program, NULL, NULL) == QN_ERR_ARENA, "arenas are aligned");
}

int main(int argc, char **argv) {
    arena = arena_new();
    diag = diag_new(arena, stderr);
    const Module *module = program_module();
    struct qn_pool *pool = qn_pool_open(3);
    float *expected = guarded(ELEMS_OUT * sizeof *expected), *threaded = guarded(ELEMS_OUT * sizeof *expected);
    char taps[1000] = "";
    run_in_process(module, expected, NULL, taps);
    check(!strcmp(taps, "quantized block/conv 1 float "), "taps");
    run_in_process(module, threaded, pool, NULL);
    check(!memcmp(expected, threaded, ELEMS_OUT * sizeof *expected), "in process, threads");
    check_entry();
    check(pool_is_sound(), "thread pool");
    ProgramFacts facts = program_facts(module);
    check(facts.live_bytes == 2 * (H * W * O + (H + 2) * (W + 2) * C) / 64 * 64 + 384, "live bytes");
    if (argc > 1) {
        check_targets(module, argv[1], expected, pool);
        emit(module, argv[1], "x86-64", EMIT_ASM, "tiny.s");
        emit(module, argv[1], "x86-64", EMIT_LLVM, "tiny.ll");
        emit(module, argv[1], "x86-64", EMIT_OBJ, "tiny.o");
        emit(module, argv[1], "x86-64", EMIT_LIB, "tiny.a");
    }
    qn_pool_close(pool);
    arena_free(arena);
    printf("%d failures\n", failures);
    return failures != 0;
}
