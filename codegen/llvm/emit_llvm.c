// The LLVM route: kernels' bitcode, specialised by the constants of each layer, optimised, and written as an object,
// assembly or LLVM IR. LLVM is started here and nowhere else. The same program gives the same bytes.
#include <llvm-c/Analysis.h>
#include <llvm-c/Object.h>
#include <llvm-c/Target.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <stdatomic.h>
#include <string.h>

#include "codegen/llvm/bitcode.h"
#include "runtime/pool.h"

enum { MOST_PARTS = 8, PART_FUNCTIONS = 16 };

// Kernels come simplified from Qanat's own build (codegen/embed.cmake); they are inlined into the layers before anything
// is optimised, so that only their specialised forms are.
static const char *const passes = "globaldce,always-inline,globaldce,default<O2>";

// On one thread.
static void start_llvm(void) {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeX86AsmParser(); // the entry asks the processor by inline assembly
}

static bool find_backend(const Target *target, LLVMTargetRef *backend, Diag *diag) {
    char *message = NULL;
    if (!LLVMGetTargetFromTriple(target->triple, backend, &message)) return true;
    diag_error(diag, (Loc){0}, "target '%s': %s", target->name, message);
    LLVMDisposeMessage(message);
    return false;
}

// Loops that a kernel asks to be unrolled stay loops where their length is known at run time only: no news to the user.
static void hear(LLVMDiagnosticInfoRef info, void *context) {
    (void)context;
    if (LLVMGetDiagInfoSeverity(info) == LLVMDSError) BUG("LLVM: %s", LLVMGetDiagInfoDescription(info));
}

static void open_module(Emitter *e) {
    e->context = LLVMContextCreate();
    LLVMContextSetDiagnosticHandler(e->context, hear, NULL);
    e->module = LLVMModuleCreateWithNameInContext(e->options->name, e->context);
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(e->machine);
    LLVMSetTarget(e->module, e->target->triple);
    LLVMSetModuleDataLayout(e->module, layout);
    LLVMDisposeTargetData(layout);
    e->ptr = LLVMPointerTypeInContext(e->context, 0);
    e->i8 = LLVMInt8TypeInContext(e->context);
    e->i32 = LLVMInt32TypeInContext(e->context);
    e->i64 = LLVMInt64TypeInContext(e->context);
    e->f32 = LLVMFloatTypeInContext(e->context);
}

static void verify(Emitter *e) {
    char *message = NULL;
    if (LLVMVerifyModule(e->module, LLVMReturnStatusAction, &message)) BUG("invalid LLVM IR: %s", message);
    LLVMDisposeMessage(message);
}

static void optimise(Emitter *e) {
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMErrorRef error = LLVMRunPasses(e->module, passes, e->machine, options);
    if (error) BUG("LLVM passes: %s", LLVMGetErrorMessage(error));
    LLVMDisposePassBuilderOptions(options);
}

// The size of the sections that hold instructions.
static int64_t text_bytes(LLVMMemoryBufferRef buffer) {
    char *message = NULL;
    LLVMBinaryRef binary = LLVMCreateBinary(buffer, NULL, &message);
    if (!binary) BUG("the object just written: %s", message);
    int64_t bytes = 0;
    LLVMSectionIteratorRef section = LLVMObjectFileCopySectionIterator(binary);
    for (; !LLVMObjectFileIsSectionIteratorAtEnd(binary, section); LLVMMoveToNextSection(section)) {
        const char *name = LLVMGetSectionName(section);
        if (name && !strncmp(name, ".text", 5)) bytes += (int64_t)LLVMGetSectionSize(section);
    }
    LLVMDisposeSectionIterator(section);
    LLVMDisposeBinary(binary);
    return bytes;
}

static void write_output(Emitter *e) {
    char *message = NULL;
    if (e->options->kind == EMIT_LLVM) {
        message = LLVMPrintModuleToString(e->module);
        e->output = (Object){arena_strdup(e->arena, message), strlen(message)};
        LLVMDisposeMessage(message);
        return;
    }
    LLVMCodeGenFileType type = e->options->kind == EMIT_ASM ? LLVMAssemblyFile : LLVMObjectFile;
    LLVMMemoryBufferRef buffer;
    if (LLVMTargetMachineEmitToMemoryBuffer(e->machine, e->module, type, &message, &buffer)) BUG("LLVM: %s", message);
    e->output.size = LLVMGetBufferSize(buffer);
    e->output.bytes = arena_alloc(e->arena, e->output.size);
    memcpy(e->output.bytes, LLVMGetBufferStart(buffer), e->output.size);
    if (type == LLVMObjectFile) e->code_bytes = text_bytes(buffer);
    LLVMDisposeMemoryBuffer(buffer);
}

static void emit_part(Emitter *e) {
    open_module(e);
    bitcode_link(e);
    build_part(e);
    verify(e);
    optimise(e);
    write_output(e);
    LLVMDisposeModule(e->module);
    LLVMContextDispose(e->context);
}

typedef struct { Emitter *parts; int count; atomic_int next; } Queue;

// A qn_task over threads: each takes parts as long as there are any. Each part has an LLVM context of its own.
static void emit_queued(void *context, int32_t worker, int32_t begin, int32_t end) {
    Queue *queue = context;
    (void)worker, (void)begin, (void)end;
    for (int part; (part = atomic_fetch_add(&queue->next, 1)) < queue->count;) emit_part(&queue->parts[part]);
}

static void emit_parts(Emitter *parts, int count, int threads) {
    Queue queue = {parts, count, 0};
    struct qn_pool *pool = NULL;
    if (threads > count) threads = count;
    if (threads > 1) pool = qn_pool_open(threads);
    if (pool) pool->run(pool, emit_queued, &queue, threads, 1);
    else emit_queued(&queue, 0, 0, 1);
    if (pool) qn_pool_close(pool);
}

// So many that each has work worth its own start. They hang on nothing but the program, for the sake of the same bytes.
static int divide(const Steps *steps, bool whole, int *part_of) {
    int distinct = 0, parts = 1;
    for (int i = 0; i < steps->step_count; i++) distinct += steps->steps[i].like == i && !steps->steps[i].custom;
    while (!whole && parts < MOST_PARTS && distinct >= PART_FUNCTIONS * parts) parts *= 2;
    for (int i = 0, next = 0; i < steps->step_count; i++) {
        const Step *step = &steps->steps[i];
        part_of[i] = step->custom ? -1 : step->like < i ? part_of[step->like] : next++ % parts;
    }
    return parts;
}

// The parts of program `number`, put behind those in `parts`. False after a message.
static bool add_parts(Arena *arena, const Interface *interface, int number, const EmitOptions *options, Diag *diag, Emitter *parts, int *count) {
    LLVMTargetRef backend;
    const TargetSteps *program = &interface->programs[number];
    const Target *target = program->target;
    int *part_of = ARENA_ARRAY(arena, int, program->steps->step_count + 1);
    int own = divide(program->steps, options->kind == EMIT_ASM || options->kind == EMIT_LLVM, part_of);
    if (!find_backend(target, &backend, diag)) return false;
    for (int i = 0; i < own; i++) {
        Emitter *e = &parts[(*count)++];
        *e = (Emitter){.arena = arena_new(), .program = number, .part = i, .part_of = part_of, .target = target, .steps = program->steps,
                       .interface = interface, .options = options};
        e->machine = LLVMCreateTargetMachine(backend, target->triple, target->cpu, target->features, LLVMCodeGenLevelDefault,
                                             LLVMRelocPIC, LLVMCodeModelDefault);
    }
    return true;
}

static void add_output(Arena *arena, Code *code, const Emitter *parts, int count) {
    const Emitter *first = &parts[0];
    Object *objects = ARENA_ARRAY(arena, Object, count);
    for (int i = 0; i < count; i++) {
        objects[i] = parts[i].output;
        code->code_bytes += parts[i].code_bytes;
    }
    Object object = elf_join(arena, count, objects);
    if (!weights_are_apart(first)) {
        code_add(arena, code, memcpy(arena_alloc(arena, object.size), object.bytes, object.size), object.size);
        return;
    }
    size_t start = (object.size + 63) / 64 * 64;
    char *bytes = arena_alloc(arena, start);
    memset(bytes + object.size, 0, start - object.size);
    memcpy(bytes, object.bytes, object.size);
    bool apart = elf_place_weights(bytes, start);
    code_add(arena, code, bytes, apart ? start : object.size);
    if (apart) code_add_weights(arena, code, first->steps);
}

bool emit_llvm(Arena *arena, const Interface *interface, const EmitOptions *options, Diag *diag, Code *code) {
    Emitter *parts = ARENA_ARRAY(arena, Emitter, interface->program_count * MOST_PARTS);
    int count = 0;
    bool ok = true;
    start_llvm();
    for (int i = 0; i < interface->program_count && ok; i++) ok = add_parts(arena, interface, i, options, diag, parts, &count);
    if (ok) {
        emit_parts(parts, count, options->threads);
        add_output(arena, code, parts, count);
    }
    for (int i = 0; i < count; i++) {
        LLVMDisposeTargetMachine(parts[i].machine);
        arena_free(parts[i].arena);
    }
    return ok;
}
